//! Vectors of SCRAM exchanges: not checked until the mechanisms are there.

use serde_json::Value;

use super::{Check, Outcome};

/// One exchange.
pub(crate) fn check(_vector: &Value) -> Check {
    Ok(Outcome::Skipped(
        "scram: the SASL mechanisms are not there yet".to_owned(),
    ))
}
