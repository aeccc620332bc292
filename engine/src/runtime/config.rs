//! Settings of an application under the names that Kafka Streams gives them. What the engine does not know itself belongs to the client,
//! which refuses what it does not know either.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::now::WallClock;
use crate::Error;
use crate::batch::names;

/// How an application runs: where, with how many threads, how often it commits.
///
/// ```
/// # fn main() -> Result<(), engine::Error> {
/// let config = engine::Config::from_properties([("bootstrap.servers", "localhost:9092"), ("commit.interval.ms", "50")])?;
/// assert_eq!(config.commit_interval.as_millis(), 50);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// `application.id`: the consumer group, and the prefix of the changelog topics. `None`: the application's name.
    pub application_id: Option<String>,
    /// `commit.interval.ms`, 100 by default: how often changed results are written and input positions committed.
    pub commit_interval: Duration,
    /// `num.stream.threads`: worker threads of this process; the machine's cores by default, at most 8.
    pub threads: usize,
    /// `state.dir`: where the identity of this process is kept, so that its restart takes its work up at once; `kafka-engine` in the
    /// system's folder for temporary files by default, where that can be written.
    pub state_dir: Option<PathBuf>,
    /// `replication.factor` of topics that the engine creates; -1 leaves it to the broker.
    pub replication_factor: i16,
    /// `internal.topic.prefix`: internal topics (`<prefix>-<operator>-changelog`, `<prefix>-positions`) begin with it; the application's id
    /// by default. Changing it leaves the state under the former names.
    pub internal_topic_prefix: Option<String>,
    /// Settings of internal topics, as Kafka names those of topics: `topic.max.message.bytes`, `topic.min.insync.replicas`, … without the
    /// `topic.` that they have as properties. They count when a topic is created; of one that is there and has other settings the run
    /// warns. `max.request.size` follows a larger `max.message.bytes` unless it is set too.
    pub internal_topic_configs: BTreeMap<String, String>,
    /// Stop, committed, at the ends that the input had at the start.
    pub until_end: bool,
    /// Whether time ends where the input does; see [`Self::drain`].
    pub drain: bool,
    /// Everything else, for the client: Kafka's property names.
    pub client: BTreeMap<String, String>,
    /// How long a stop takes at most.
    pub(crate) stop_timeout: Duration,
    pub(crate) wall_clock: WallClock,
}

impl Default for Config {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Kafka Streams' defaults where they differ from a plain consumer's: everything from the beginning, nothing that was aborted.
        // Whole batches are filled while a fetched batch is walked, so that larger ones cost no waiting.
        let client = [
            ("auto.offset.reset", "earliest"),
            ("isolation.level", "read_committed"),
            ("batch.size", "131072"),
        ];
        Self {
            application_id: None,
            commit_interval: Duration::from_millis(100),
            threads: cores.min(8),
            state_dir: None,
            replication_factor: -1,
            internal_topic_prefix: None,
            internal_topic_configs: BTreeMap::new(),
            until_end: false,
            drain: true,
            stop_timeout: Duration::from_secs(30),
            wall_clock: WallClock::default(),
            client: client
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect(),
        }
    }
}

impl Config {
    /// Settings from property names and values; of a repeated name the last value counts.
    ///
    /// # Errors
    /// [`Error::Settings`] for a value that is not of its kind, and for `processing.guarantee=exactly_once_v2`, which is not built yet.
    /// Names that only the client can judge are judged when the application starts.
    pub fn from_properties<K: AsRef<str>, V: AsRef<str>>(
        properties: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        let mut config = Self::default();
        for (key, value) in properties {
            config.set(key.as_ref().trim(), value.as_ref().trim())?;
        }
        Ok(config)
    }

    /// Sets one property.
    ///
    /// # Errors
    /// As [`Self::from_properties`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        match key {
            "application.id" | "group.id" => {
                self.application_id = Some(name(key, value)?);
            }
            "internal.topic.prefix" => self.internal_topic_prefix = Some(name(key, value)?),
            "commit.interval.ms" => {
                self.commit_interval =
                    Duration::from_millis(number(key, value, 1, 3_600_000)? as u64);
            }
            "num.stream.threads" => self.threads = number(key, value, 1, 1024)? as usize,
            "state.dir" => self.state_dir = (!value.is_empty()).then(|| PathBuf::from(value)),
            "replication.factor" => {
                self.replication_factor = number(key, value, -1, i64::from(i16::MAX))? as i16
            }
            "processing.guarantee" => match value {
                "at_least_once" => {}
                "exactly_once_v2" => {
                    return Err(Error::Settings(
                        "processing.guarantee=exactly_once_v2 is not built yet; leave it out or say at_least_once, which is the default until then".into(),
                    ));
                }
                _ => return Err(bad(key, value, "at_least_once")),
            },
            _ => match internal_topic_setting(key) {
                Some(setting) => {
                    check_internal(setting, key, value)?;
                    self.internal_topic_configs
                        .insert(setting.to_owned(), value.to_owned());
                }
                None => {
                    self.client.insert(key.to_owned(), value.to_owned());
                }
            },
        }
        Ok(())
    }

    /// How long a batch that is not full waits for more when there is nothing else to do: the producer's `linger.ms`, 5 by default.
    pub(crate) fn linger(&self) -> Duration {
        Duration::from_millis(
            self.client
                .get("linger.ms")
                .and_then(|ms| ms.parse().ok())
                .unwrap_or(5),
        )
    }

    /// How long a partition must have had nothing to read before windows do not wait for its time any more: as long as a fetch waits,
    /// `fetch.max.wait.ms`, 500 by default.
    pub(crate) fn idle_after(&self) -> Duration {
        Duration::from_millis(
            self.client
                .get("fetch.max.wait.ms")
                .and_then(|ms| ms.parse().ok())
                .unwrap_or(500),
        )
    }

    /// The same with `drain` set: whether time ends where the input does, as it does by default. Then windows that are still open close with
    /// what they have, timers of event time fire, rows that wait for their time come: nothing is left of a bounded input.
    ///
    /// **A run that will be continued must not drain.** Otherwise the next one opens the last windows anew, with its own rows alone, and
    /// its results replace those of this one. With `drain(false)` an end is a pause: windows stay open in the state, and the next run
    /// goes on with them, so that runs over pieces of the input give what one run over all of it would. It is what Flink calls to stop with or without
    /// `--drain`. A run that is stopped (SIGTERM) never drains.
    #[must_use]
    pub fn drain(mut self, drain: bool) -> Self {
        self.drain = drain;
        self
    }

    /// The same with `until_end` set: the run ends, committed, at the ends that the input had at the start.
    #[must_use]
    pub fn until_end(mut self, until_end: bool) -> Self {
        self.until_end = until_end;
        self
    }
}

/// The setting of internal topics that a property is, as in Kafka Streams. librdkafka has properties of the client with the same prefix.
fn internal_topic_setting(key: &str) -> Option<&str> {
    let setting = key.strip_prefix("topic.")?;
    let is_client = setting.starts_with("metadata.") || setting == "blacklist";
    (!is_client).then_some(setting)
}

/// Settings without which state would be lost are not up to the user.
fn check_internal(setting: &str, key: &str, value: &str) -> Result<(), Error> {
    match setting {
        "" => Err(bad(
            key,
            value,
            "the name of a topic's setting after 'topic.'",
        )),
        "cleanup.policy" if value != "compact" => Err(bad(
            key,
            value,
            "compact, because what is deleted of a changelog is lost state",
        )),
        "message.timestamp.type" if value != "CreateTime" => Err(bad(key, value, "CreateTime")),
        "max.message.bytes" => number(key, value, 1, i64::from(i32::MAX)).map(drop),
        _ => Ok(()),
    }
}

/// A name that topics and folders are named after.
fn name(key: &str, value: &str) -> Result<String, Error> {
    match names::expected(value) {
        None => Ok(value.to_owned()),
        Some(expected) => Err(bad(
            key,
            value,
            &format!("{expected}, because topics and a folder are named after it"),
        )),
    }
}

fn number(key: &str, value: &str, least: i64, most: i64) -> Result<i64, Error> {
    value
        .parse()
        .ok()
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| {
            bad(
                key,
                value,
                &format!("a whole number from {least} to {most}"),
            )
        })
}

fn bad(key: &str, value: &str, expected: &str) -> Error {
    Error::Settings(format!("{key}={value}: expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_once_is_refused_until_it_is_built_and_the_text_says_what_to_do() {
        let error = Config::from_properties([("processing.guarantee", "exactly_once_v2")])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("not built yet") && error.contains("at_least_once"),
            "{error}"
        );
        Config::from_properties([("processing.guarantee", "at_least_once")]).unwrap();
    }

    #[test]
    fn the_last_value_of_a_property_counts_and_the_client_gets_the_rest() {
        let config = Config::from_properties([
            ("linger.ms", "1"),
            ("num.stream.threads", "3"),
            ("linger.ms", "2"),
        ])
        .unwrap();
        assert_eq!(config.threads, 3);
        assert_eq!(config.client["linger.ms"], "2");
        assert_eq!(config.client["isolation.level"], "read_committed");
        assert!(!config.client.contains_key("num.stream.threads"));
    }

    #[test]
    fn a_wrong_value_names_the_property_and_what_was_expected() {
        for (key, value) in [
            ("commit.interval.ms", "0"),
            ("num.stream.threads", "many"),
            ("application.id", "a b"),
            ("processing.guarantee", "maybe"),
        ] {
            let error = Config::from_properties([(key, value)])
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(&format!("{key}={value}: expected ")),
                "{error}"
            );
        }
    }
}
