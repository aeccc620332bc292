//! Vectors of the default partitioner: a key's hash, and its partition among 1 to 100.

use kafka_proto::partition::{murmur2, partition_for_key};
use serde_json::Value;

use super::{Check, Outcome, expect, hex};

/// One key.
pub(crate) fn check(vector: &Value) -> Check {
    let key = hex(vector, "keyHex")?;
    let hash = murmur2(&key);
    expect("murmur2", &Value::from(hash), &vector["murmur2"])?;
    expect(
        "positive",
        &Value::from(hash & i32::MAX),
        &vector["positive"],
    )?;
    let partitions: Value = (1..=100)
        .map(|count| partition_for_key(&key, count))
        .collect();
    expect(
        "partitionOf1To100",
        &partitions,
        &vector["partitionOf1To100"],
    )?;
    Ok(Outcome::Passed)
}
