//! Configuration under Kafka's property names: one table declares name, librdkafka's name, type, default, range and meaning.
//!
//! Filled from code ([`Config::linger_ms`] and its like), from pairs of names and values ([`Config::from_properties`],
//! [`Config::set`]) or from a `.properties` file ([`Config::from_file`]); checked as a whole by [`Config::validate`].

mod contradictions;
mod file;
mod table;
mod value;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use table::{Config, PROPERTIES, Property};
pub use value::{
    Acks, CompressionType, GroupProtocol, IsolationLevel, MetadataRecovery, OffsetReset,
    PartitionerChoice, SecurityProtocol, Setting,
};

use super::error::ConfigError;
use crate::records::{Codec, Compression};

/// Properties of Java programs that mean nothing to a client that takes and gives bytes, and tries every address of a host's name in
/// any case; accepted, so that a file can be shared.
const IGNORED: [&str; 10] = [
    "client.dns.lookup",
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "interceptor.classes",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
];

impl Config {
    /// The defaults, and the servers to find the cluster by: `host:port`, several with commas.
    #[must_use]
    pub fn new(bootstrap_servers: &str) -> Self {
        let mut config = Self::default();
        config.bootstrap_servers = value::servers(bootstrap_servers);
        config
    }

    /// A configuration from pairs of property name and value, over the defaults. Not yet checked as a whole.
    ///
    /// # Errors
    /// An unknown name (the nearest known one is named) or a value that its property cannot have.
    pub fn from_properties<N, V>(
        properties: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, ConfigError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut config = Self::default();
        for (name, value) in properties {
            config.set(name.as_ref(), value.as_ref())?;
        }
        Ok(config)
    }

    /// A configuration from the text of a `.properties` file, over the defaults.
    ///
    /// # Errors
    /// As [`Config::from_properties`], and text that is not in Java's format.
    pub fn from_properties_text(text: &str) -> Result<Self, ConfigError> {
        Self::from_properties(file::properties(text)?)
    }

    /// A configuration from a `.properties` file, over the defaults.
    ///
    /// # Errors
    /// As [`Config::from_properties_text`], and a file that cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.set_from_file(path)?;
        Ok(config)
    }

    /// Sets what a `.properties` file says over what is set already.
    ///
    /// # Errors
    /// As [`Config::from_file`].
    pub fn set_from_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        for (name, value) in Self::properties_of(path)? {
            self.set(&name, &value)?;
        }
        Ok(())
    }

    /// The names and values of a `.properties` file, in its order and unjudged: for programs with properties of their own beside the
    /// client's.
    ///
    /// # Errors
    /// A file that cannot be read or is not in Java's format.
    pub fn properties_of(path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ConfigError::File(format!(
                "cannot read the properties file {}: {error}",
                path.display()
            ))
        })?;
        file::properties(&text)
    }

    /// Sets one property by its name: Kafka's or librdkafka's.
    ///
    /// # Errors
    /// An unknown name (the nearest known one is named) or a value that the property cannot have.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        if self.assign(name, value.trim())? || IGNORED.contains(&name) {
            return Ok(());
        }
        Err(ConfigError::Unknown {
            name: name.to_owned(),
            nearest: nearest(name),
        })
    }

    /// Checks the configuration as a whole and shares it.
    ///
    /// # Errors
    /// `bootstrap.servers` missing, or two settings that contradict each other, with their numbers.
    pub fn validate(mut self) -> Result<Arc<Self>, ConfigError> {
        contradictions::resolve(&mut self)?;
        Ok(Arc::new(self))
    }

    /// The producer's compression: `compression.type` with the level of that codec.
    ///
    /// # Errors
    /// The codec does not have the level.
    pub fn compression(&self) -> Result<Compression, ConfigError> {
        let (codec, name, level) = match self.compression_type {
            CompressionType::None => return Ok(Compression::NONE),
            CompressionType::Snappy => (Codec::Snappy, "compression.type", None),
            CompressionType::Gzip => (
                Codec::Gzip,
                "compression.gzip.level",
                Some(self.compression_gzip_level),
            ),
            CompressionType::Lz4 => (
                Codec::Lz4,
                "compression.lz4.level",
                Some(self.compression_lz4_level),
            ),
            CompressionType::Zstd => (
                Codec::Zstd,
                "compression.zstd.level",
                Some(self.compression_zstd_level),
            ),
        };
        Compression::new(codec, level).map_err(|error| ConfigError::Invalid {
            name,
            value: level.map_or_else(String::new, |level| level.to_string()),
            expected: error.to_string(),
        })
    }

    /// The properties that were set and mean nothing under this `group.protocol`.
    pub(crate) fn without_effect(&self) -> Vec<&'static str> {
        const CLASSIC: &[&str] = &[
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "partition.assignment.strategy",
        ];
        let of_the_other = match self.group_protocol {
            GroupProtocol::Classic => &["group.remote.assignor"],
            GroupProtocol::Consumer => CLASSIC,
        };
        let set = of_the_other.iter().filter(|name| self.is_set(name));
        set.copied().collect()
    }

    /// `request.timeout.ms`.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

/// The known property that looks most like `name`, if any looks at all like it.
fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace(['_', '-'], ".");
    PROPERTIES
        .iter()
        .flat_map(|property| std::iter::once(property.name).chain(property.aliases.iter().copied()))
        .map(|known| (distance(&name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2)
        .map(|(_, known)| known)
}

/// The number of letters to insert, remove or exchange to get from one to the other.
fn distance(left: &str, right: &str) -> usize {
    let right = right.as_bytes();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let exchanged = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_kafkas() {
        let config = Config::default();
        assert_eq!(config.linger_ms, 5);
        assert_eq!(config.batch_size, 16_384);
        assert_eq!(config.acks, Acks::All);
        assert!(config.enable_idempotence);
        assert_eq!(config.delivery_timeout_ms, 120_000);
        assert_eq!(config.max_poll_records, 500);
        assert_eq!(config.auto_offset_reset, OffsetReset::Latest);
        assert_eq!(config.isolation_level, IsolationLevel::ReadUncommitted);
    }

    #[test]
    fn an_unknown_property_names_the_nearest_known_one() {
        for (given, near) in [
            ("bootstrap.server", "bootstrap.servers"),
            ("bootstrap-servers", "bootstrap.servers"),
            ("linger_ms", "linger.ms"),
            ("max.inflight.requests", "max.in.flight"),
            ("compresion.type", "compression.type"),
        ] {
            let error = Config::from_properties([(given, "1")]).unwrap_err();
            assert_eq!(
                error,
                ConfigError::Unknown {
                    name: given.to_owned(),
                    nearest: Some(near)
                }
            );
            assert!(error.to_string().contains(near));
        }
        let error = Config::from_properties([("zzz", "1")]).unwrap_err();
        assert_eq!(error.to_string(), "unknown property `zzz`");
    }

    #[test]
    fn names_of_librdkafka_set_the_same_fields() {
        let config = Config::from_properties([
            ("metadata.broker.list", "a:1, b:2"),
            ("queue.buffering.max.ms", "7"),
            ("compression.codec", "zstd"),
            ("message.send.max.retries", "3"),
            ("auto.offset.reset", "smallest"),
            ("fetch.wait.max.ms", "20"),
            ("max.in.flight", "2"),
        ])
        .unwrap();
        assert_eq!(config.bootstrap_servers, ["a:1", "b:2"]);
        assert_eq!(config.linger_ms, 7);
        assert_eq!(config.compression_type, CompressionType::Zstd);
        assert_eq!(config.retries, 3);
        assert_eq!(config.auto_offset_reset, OffsetReset::Earliest);
        assert_eq!(config.fetch_max_wait_ms, 20);
        assert_eq!(config.max_in_flight_requests_per_connection, 2);
    }

    #[test]
    fn a_wrong_value_says_what_was_expected() {
        for (name, value, expected) in [
            ("linger.ms", "soon", "a whole number"),
            ("linger.ms", "-1", "from 0"),
            (
                "compression.type",
                "lzma",
                "none, gzip, snappy, lz4 or zstd",
            ),
            ("acks", "2", "all, -1, 0 or 1"),
            ("enable.idempotence", "yes", "true or false"),
            ("compression.gzip.level", "11", "from -1 to 9"),
            ("security.protocol", "SSL", "PLAINTEXT"),
        ] {
            let text = Config::from_properties([(name, value)])
                .unwrap_err()
                .to_string();
            assert!(
                text.contains(name) && text.contains(value) && text.contains(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn a_setter_takes_text_and_a_wrong_one_is_an_error_of_the_whole() {
        let right = Config::new("a:1")
            .auto_offset_reset("earliest")
            .linger_ms("7")
            .enable_idempotence("true")
            .group_id("g".to_owned());
        assert_eq!(right.auto_offset_reset, OffsetReset::Earliest);
        assert_eq!((right.linger_ms, right.group_id.as_deref()), (7, Some("g")));
        let wrong = right.auto_offset_reset("erliest").linger_ms("soon");
        let text = wrong.clone().validate().unwrap_err().to_string();
        assert!(
            text.contains("`auto.offset.reset` cannot be `erliest`"),
            "{text}"
        );
        // The last word counts.
        let mut mended = wrong.auto_offset_reset(OffsetReset::Latest);
        mended.set("linger.ms", "3").unwrap();
        assert!(mended.validate().is_ok());
    }

    #[test]
    fn properties_of_java_programs_are_accepted() {
        assert!(Config::from_properties([("key.serializer", "org.example.Foo")]).is_ok());
    }

    #[test]
    fn names_and_aliases_in_the_table_are_unique() {
        let mut names: Vec<&str> = PROPERTIES
            .iter()
            .flat_map(|p| std::iter::once(p.name).chain(p.aliases.iter().copied()))
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(
            PROPERTIES
                .iter()
                .all(|p| !p.doc.is_empty() && !p.kind.is_empty())
        );
    }

    #[test]
    fn distances_count_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
