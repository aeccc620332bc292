//! How the values of properties are read from text and shown again.

use std::fmt::Display;
use std::time::Duration;

use crate::client::error::ConfigError;

/// A type that a property can have.
pub trait Value: Sized {
    /// What the documentation calls it.
    const KIND: &'static str;
    /// Reads it, or says what was expected.
    fn parse(text: &str) -> Result<Self, String>;
    /// As it would be written in a file.
    fn show(&self) -> String;
    /// Its number, if the property can have a range.
    fn number(&self) -> Option<i128> {
        None
    }
}

/// What a setter of [`Config`](super::Config) takes for a property of type `T`: a value of this type, or its text as it would stand in a
/// file, so that `linger_ms(0)`, `linger_ms("0")`, `acks(Acks::All)` and `acks("all")` all do.
pub trait Setting<T> {
    /// The value of the property `name`.
    ///
    /// # Errors
    /// A text that is no value of the property.
    fn into_setting(self, name: &'static str) -> Result<T, ConfigError>;
}

impl<T: Value> Setting<T> for &str {
    fn into_setting(self, name: &'static str) -> Result<T, ConfigError> {
        let text = self.trim();
        T::parse(text).map_err(|expected| ConfigError::Invalid {
            name,
            value: text.to_owned(),
            expected,
        })
    }
}

impl<T: Value> Setting<T> for &String {
    fn into_setting(self, name: &'static str) -> Result<T, ConfigError> {
        self.as_str().into_setting(name)
    }
}

impl<T: Value> Setting<T> for String {
    fn into_setting(self, name: &'static str) -> Result<T, ConfigError> {
        self.as_str().into_setting(name)
    }
}

macro_rules! settings {
    ($($type:ty),*) => {$(
        impl Setting<$type> for $type {
            fn into_setting(self, _: &'static str) -> Result<$type, ConfigError> {
                Ok(self)
            }
        }
    )*};
}

settings! { bool, OffsetReset, Option<String>, Vec<String> }

macro_rules! numbers {
    ($($type:ty),*) => {$(
        settings! { $type }

        impl Value for $type {
            const KIND: &'static str = "number";
            fn parse(text: &str) -> Result<Self, String> {
                text.parse::<i128>()
                    .map_err(|_| "a whole number".to_owned())
                    .and_then(|number| Self::try_from(number).map_err(|_| format!("a whole number from {} to {}", Self::MIN, Self::MAX)))
            }
            fn show(&self) -> String {
                self.to_string()
            }
            fn number(&self) -> Option<i128> {
                i128::try_from(*self).ok()
            }
        }
    )*};
}

numbers!(i32, u32, u64, usize);

impl Value for bool {
    const KIND: &'static str = "boolean";
    fn parse(text: &str) -> Result<Self, String> {
        text.to_ascii_lowercase()
            .parse()
            .map_err(|_| "true or false".to_owned())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    const KIND: &'static str = "text";
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        self.clone()
    }
}

impl Value for Option<String> {
    const KIND: &'static str = "text";
    fn parse(text: &str) -> Result<Self, String> {
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
    fn show(&self) -> String {
        self.clone().unwrap_or_default()
    }
}

impl Value for Vec<String> {
    const KIND: &'static str = "list";
    fn parse(text: &str) -> Result<Self, String> {
        Ok(servers(text))
    }
    fn show(&self) -> String {
        self.join(",")
    }
}

/// The parts of a list with commas.
pub(super) fn servers(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A choice between words: the first word of each variant is how it is shown.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident: $expected:literal { $( $(#[$vdoc:meta])* $variant:ident = $word:literal $(| $also:literal)*, )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $( $(#[$vdoc])* $variant, )* }

        settings! { $name }

        impl Value for $name {
            const KIND: &'static str = "choice";
            fn parse(text: &str) -> Result<Self, String> {
                match text.to_ascii_lowercase().as_str() {
                    $( $word $(| $also)* => Ok(Self::$variant), )*
                    _ => Err($expected.to_owned()),
                }
            }
            fn show(&self) -> String {
                match self { $( Self::$variant => $word.to_owned(), )* }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.show())
            }
        }
    };
}

choice! {
    /// Whose acknowledgement a produce request waits for.
    Acks: "all, -1, 0 or 1" {
        /// All replicas that are in sync.
        All = "all" | "-1",
        /// The leader alone.
        Leader = "1",
        /// Nobody: the broker does not even answer.
        None = "0",
    }
}

impl Acks {
    /// As it stands in the request.
    #[must_use]
    pub fn wire(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
            Self::None => 0,
        }
    }
}

choice! {
    /// How the producer compresses batches.
    CompressionType: "none, gzip, snappy, lz4 or zstd" {
        /// Not at all.
        None = "none",
        /// Gzip.
        Gzip = "gzip",
        /// Snappy.
        Snappy = "snappy",
        /// LZ4.
        Lz4 = "lz4",
        /// Zstandard.
        Zstd = "zstd",
    }
}

choice! {
    /// What is done when no known broker can be reached (KIP-899).
    MetadataRecovery: "rebootstrap or none" {
        /// The bootstrap servers are asked again.
        Rebootstrap = "rebootstrap",
        /// The known brokers are tried for ever.
        None = "none",
    }
}

choice! {
    /// By which protocol a consumer is a member of its group.
    GroupProtocol: "classic or consumer" {
        /// The members join together, and one of them divides the partitions.
        Classic = "classic",
        /// The coordinator divides the partitions, and members change one by one (KIP-848).
        Consumer = "consumer",
    }
}

choice! {
    /// Whether a consumer sees records of transactions that are open or aborted.
    IsolationLevel: "read_uncommitted or read_committed" {
        /// It does.
        ReadUncommitted = "read_uncommitted",
        /// It does not.
        ReadCommitted = "read_committed",
    }
}

impl IsolationLevel {
    /// As it stands in requests.
    #[must_use]
    pub fn wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

choice! {
    /// How the producer chooses the partition of a record that names none.
    PartitionerChoice: "murmur2_random, murmur2, consistent_random, consistent, fnv1a_random, fnv1a, random or round_robin" {
        /// By murmur2 of the key, as Java's producer does; records without a key go where the current batch without keys goes (KIP-794).
        Murmur2 = "murmur2_random" | "default",
        /// By murmur2 of the key; all records without a key go to one partition, that of the empty key.
        Murmur2Single = "murmur2",
        /// By CRC-32 of the key, as librdkafka does by default; records without a key, or with an empty one, go where the current batch
        /// without keys goes.
        Crc32 = "consistent_random",
        /// By CRC-32 of the key; all records without a key go to one partition, that of the empty key.
        Crc32Single = "consistent",
        /// By FNV-1a of the key, as librdkafka can and Sarama does by default; records without a key go where the current batch without
        /// keys goes.
        Fnv1a = "fnv1a_random",
        /// By FNV-1a of the key; all records without a key go to one partition, that of the empty key.
        Fnv1aSingle = "fnv1a",
        /// Whatever the key: where the current batch goes (KIP-794).
        Sticky = "random" | "sticky",
        /// One after the other, whatever the key.
        RoundRobin = "round_robin",
    }
}

choice! {
    /// How a connection is secured.
    SecurityProtocol: "PLAINTEXT (TLS and SASL are not there yet)" {
        /// Not at all.
        Plaintext = "plaintext",
    }
}

/// Where a consumer starts that has no position, or one outside the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetReset {
    /// At the first record that is there.
    Earliest,
    /// Behind the last record.
    Latest,
    /// Nowhere: it is an error.
    None,
    /// At the first record younger than this (KIP-1106).
    ByDuration(Duration),
}

impl Value for OffsetReset {
    const KIND: &'static str = "choice";
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "earliest" | "smallest" | "beginning" => Ok(Self::Earliest),
            "latest" | "largest" | "end" => Ok(Self::Latest),
            "none" | "error" => Ok(Self::None),
            other => other
                .strip_prefix("by_duration:")
                .and_then(iso_duration)
                .map(Self::ByDuration)
                .ok_or_else(|| {
                    "earliest, latest, none or by_duration:<ISO 8601, such as P1DT2H>".to_owned()
                }),
        }
    }
    fn show(&self) -> String {
        match self {
            Self::Earliest => "earliest".to_owned(),
            Self::Latest => "latest".to_owned(),
            Self::None => "none".to_owned(),
            Self::ByDuration(age) => format!("by_duration:PT{}S", age.as_secs_f64()),
        }
    }
}

/// `P1DT2H3M4.5S` in lower case, as Java's `Duration.parse` takes it; not negative.
fn iso_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('p')?;
    let (days, times) = text.split_once('t').unwrap_or((text, ""));
    let mut total = Duration::ZERO;
    let mut found = false;
    for (part, units) in [
        (days, &[('d', 86_400_u32)][..]),
        (times, &[('h', 3600), ('m', 60), ('s', 1)][..]),
    ] {
        let mut rest = part;
        for (unit, seconds) in units {
            if let Some((number, after)) = rest.split_once(*unit) {
                let seconds = f64::from(*seconds) * number.parse::<f64>().ok()?;
                total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
                found = true;
                rest = after;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    found.then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_java_reads_them() {
        let seconds = |text: &str| iso_duration(text).map(|age| age.as_secs_f64());
        assert_eq!(seconds("p1d"), Some(86_400.0));
        assert_eq!(seconds("p1dt2h3m4.5s"), Some(93_784.5));
        assert_eq!(seconds("pt10m"), Some(600.0));
        for wrong in ["", "p", "pt", "1d", "p1h", "pt-5s", "pt5", "p1dx"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_shown_value_reads_as_itself() {
        for reset in [
            OffsetReset::Earliest,
            OffsetReset::None,
            OffsetReset::ByDuration(Duration::from_millis(1500)),
        ] {
            assert_eq!(OffsetReset::parse(&reset.show()), Ok(reset));
        }
        assert_eq!(Acks::parse(&Acks::All.show()), Ok(Acks::All));
    }
}
