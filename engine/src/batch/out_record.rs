//! A record that a sink has written, with its bytes: for tests, and for results collected in memory.

use std::fmt;

use super::Record;

/// A record that a sink has written.
#[derive(Clone, PartialEq, Eq)]
pub struct OutRecord {
    /// Partition of the topic.
    pub partition: i32,
    /// Key, `None` for null.
    pub key: Option<Vec<u8>>,
    /// Value, `None` for null.
    pub value: Option<Vec<u8>>,
    /// Headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
}

impl OutRecord {
    /// A copy of a record; a partition that is not known is 0.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        Self {
            partition: record.partition.unwrap_or(0),
            key: record.key.map(Into::into),
            value: record.value.map(Into::into),
            headers: record
                .headers
                .map(|h| (h.name().into_owned(), h.value().map(Into::into)))
                .collect(),
            timestamp: record.timestamp,
        }
    }

    /// The key as text; `None` when it is null or not UTF-8.
    #[must_use]
    pub fn key_str(&self) -> Option<&str> {
        str::from_utf8(self.key.as_deref()?).ok()
    }

    /// The value as text; `None` when it is null or not UTF-8.
    #[must_use]
    pub fn value_str(&self) -> Option<&str> {
        str::from_utf8(self.value.as_deref()?).ok()
    }

    /// The value as a number of 8 bytes, big-endian; `None` when it is something else.
    #[must_use]
    pub fn value_u64(&self) -> Option<u64> {
        self.value
            .as_deref()?
            .try_into()
            .ok()
            .map(u64::from_be_bytes)
    }
}

impl fmt::Debug for OutRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            |b: &Option<Vec<u8>>| b.as_ref().map(|b| String::from_utf8_lossy(b).into_owned());
        write!(
            f,
            "{}: {:?} = {:?}",
            self.partition,
            text(&self.key),
            text(&self.value)
        )
    }
}
