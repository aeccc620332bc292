//! A record with everything that a producer may say of it.

use super::{Payload, ToRecord};
use crate::batch::{
    Outbox, Scratch,
    produce::{SinkError, Target},
};

/// Headers as they are written: names, and values that may be null.
pub type HeaderSlice<'h> = &'h [(&'h str, Option<&'h [u8]>)];

/// What a sink writes, where a pair of key and value is not enough: headers, a timestamp, a partition. Fields as in Kafka's `ProducerRecord`.
///
/// ```
/// use engine::{formats::ProducerRecord, testing::Driver};
///
/// let mut driver = Driver::new(|s| {
///     s.source("in").record()
///         .map(|r| {
///             let from = s.scratch().alloc_slice_copy(&[("from", Some(r.topic.as_bytes()))]);
///             ProducerRecord::new(r.key, r.value).headers(from).timestamp(r.timestamp + 1)
///         })
///         .sink("out");
/// });
/// driver.feed("in", ["a"]);
/// let out = &driver.read("out")[0];
/// assert_eq!(out.headers, [("from".to_owned(), Some(b"in".to_vec()))]);
/// assert_eq!(out.timestamp, 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerRecord<'h, K, V> {
    /// The key.
    pub key: K,
    /// The value; `None::<V>` is a tombstone.
    pub value: V,
    /// The headers, in their order.
    pub headers: HeaderSlice<'h>,
    /// Milliseconds since 1970; `None`: the row's.
    pub timestamp: Option<i64>,
    /// The partition; `None`: the key chooses.
    pub partition: Option<i32>,
}

impl<'h, K: Payload, V: Payload> ProducerRecord<'h, K, V> {
    /// A record of key and value, everything else as usual.
    #[must_use]
    pub fn new(key: K, value: V) -> Self {
        Self {
            key,
            value,
            headers: &[],
            timestamp: None,
            partition: None,
        }
    }

    /// The same with these headers.
    #[must_use]
    pub fn headers(self, headers: HeaderSlice<'h>) -> Self {
        Self { headers, ..self }
    }

    /// The same with this timestamp, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(self, timestamp: i64) -> Self {
        Self {
            timestamp: Some(timestamp),
            ..self
        }
    }

    /// The same, to this partition. One that the topic does not have ends the run.
    #[must_use]
    pub fn partition(self, partition: i32) -> Self {
        Self {
            partition: Some(partition),
            ..self
        }
    }
}

impl<K: Payload, V: Payload> ToRecord for ProducerRecord<'_, K, V> {
    #[inline]
    fn write(
        &self,
        timestamp: i64,
        scratch: &mut Scratch,
        outbox: &mut Outbox,
    ) -> Result<(), SinkError> {
        let (key, value) = scratch.pair(&self.key, &self.value)?;
        outbox.append_with_headers(
            self.partition.map_or(Target::Key, Target::Partition),
            self.timestamp.unwrap_or(timestamp),
            key,
            value,
            self.headers,
        )
    }
}
