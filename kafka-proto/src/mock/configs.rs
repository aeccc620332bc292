//! Topic settings: the names Kafka knows, the values it takes, and what the cluster itself does with them.
//! All are stored and described; obeyed are `max.message.bytes`, `message.timestamp.*`, `retention.bytes`,
//! `min.insync.replicas`, and of `cleanup.policy` what it refuses. Nothing is ever compacted.
use std::collections::BTreeMap;

mod table;

pub(crate) use table::{TOPIC_CONFIGS, TopicConfig};

/// Kafka's sources of a setting's value.
pub(crate) const DYNAMIC_TOPIC_CONFIG: i8 = 1;
/// Set for all brokers while they run.
pub(crate) const DYNAMIC_DEFAULT_BROKER_CONFIG: i8 = 3;
pub(crate) const DEFAULT_CONFIG: i8 = 5;

impl TopicConfig {
    /// Where its value comes from, if it is set for the topic or not.
    pub(crate) fn source(&self, is_set: bool) -> i8 {
        match is_set {
            true => DYNAMIC_TOPIC_CONFIG,
            false if self.is_cluster_wide() => DYNAMIC_DEFAULT_BROKER_CONFIG,
            false => DEFAULT_CONFIG,
        }
    }

    /// Is it set for all brokers? A new cluster does this with `min.insync.replicas` (KIP-966).
    pub(crate) fn is_cluster_wide(&self) -> bool {
        self.name == "min.insync.replicas"
    }
}

/// Kafka's number for a type of setting in DescribeConfigs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Long = 5,
    Double = 6,
    List = 7,
}

/// Which values of its type a setting takes.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Any,
    /// A number from the first to the second.
    Range(i64, i64),
    /// A number from 0 to 1.
    Ratio,
    /// 1 to 9, or -1 for gzip's own default.
    GzipLevel,
    OneOf(&'static [&'static str]),
    /// Each item is one of these; an empty list is one too.
    Items(&'static [&'static str]),
    /// `partition:broker` each, or `*`.
    Replicas,
}

/// What was set for one topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicConfigs {
    set: BTreeMap<String, String>,
}

impl TopicConfigs {
    /// Takes a setting, if Kafka knows it and takes the value.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let value = parsed(name, value)?;
        self.set.insert(name.to_owned(), value);
        Ok(())
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.set.remove(name);
    }

    /// Do the settings fit one another? To be asked when all of a request are taken.
    pub(crate) fn check(&self) -> Result<(), String> {
        let lag = |name| self.number(name).unwrap_or(0);
        let (min, max) = (lag("min.compaction.lag.ms"), lag("max.compaction.lag.ms"));
        if min > max {
            return Err(format!(
                "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
            ));
        }
        if self.value("remote.storage.enable") == Some("true") {
            return Err(String::from(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
            ));
        }
        Ok(())
    }

    /// What was set, or `None` where the default holds.
    pub(crate) fn set_value(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// What holds.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.set_value(name)
            .or_else(|| definition(name).map(|of| of.default))
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.value(name).and_then(|value| value.parse().ok())
    }

    /// Is `delete` or `compact` among the topic's policies?
    pub(crate) fn has_policy(&self, policy: &str) -> bool {
        let policies = self.value("cleanup.policy").unwrap_or_default();
        policies.split(',').any(|one| one == policy)
    }

    pub(crate) fn log_append_time(&self) -> bool {
        self.value("message.timestamp.type") == Some("LogAppendTime")
    }
}

/// The setting of this name.
pub(crate) fn definition(name: &str) -> Option<&'static TopicConfig> {
    TOPIC_CONFIGS.iter().find(|of| of.name == name)
}

/// The value as Kafka writes it once it has read it; or why it does not take it.
fn parsed(name: &str, value: &str) -> Result<String, String> {
    let Some(of) = definition(name) else {
        return Err(format!("Unknown topic config name: {name}"));
    };
    let value = value.trim();
    let refuse = |why: String| {
        Err(format!(
            "Invalid value {value} for configuration {name}: {why}"
        ))
    };
    let number = |text: &str, is_number: bool| {
        is_number.then(|| text.to_owned()).ok_or_else(|| {
            let kind = format!("{:?}", of.kind).to_uppercase();
            format!("Not a number of type {kind}")
        })
    };
    let read = match of.kind {
        Kind::Boolean => match value.to_ascii_lowercase().as_str() {
            known @ ("true" | "false") => Ok(known.to_owned()),
            _ => Err(String::from("Expected value to be either true or false")),
        },
        Kind::Int => number(value, value.parse::<i32>().is_ok()),
        Kind::Long => number(value, value.parse::<i64>().is_ok()),
        Kind::Double => number(value, value.parse::<f64>().is_ok()),
        Kind::String => Ok(value.to_owned()),
        Kind::List => {
            // What is there twice counts once.
            let mut items: Vec<&str> = Vec::new();
            for item in value.split(',').map(str::trim) {
                if !items.contains(&item) {
                    items.push(item);
                }
            }
            Ok(items.join(","))
        }
    };
    match read.and_then(|read| of.rule.check(&read).map(|()| read)) {
        Ok(read) => Ok(read),
        Err(why) => refuse(why),
    }
}

impl Rule {
    fn check(self, value: &str) -> Result<(), String> {
        let number = || value.parse::<i64>().unwrap_or(0);
        let items = || value.split(',').filter(|_| !value.is_empty());
        let need = |holds: bool, why: &dyn Fn() -> String| if holds { Ok(()) } else { Err(why()) };
        match self {
            Self::Any => Ok(()),
            Self::Range(min, _) if number() < min => Err(format!("Value must be at least {min}")),
            Self::Range(_, max) => need(number() <= max, &|| {
                format!("Value must be no more than {max}")
            }),
            Self::Ratio => {
                let ratio = value.parse::<f64>().unwrap_or(0.0);
                need((0.0..=1.0).contains(&ratio), &|| {
                    String::from("Value must be from 0 to 1")
                })
            }
            Self::GzipLevel => need(matches!(number(), 1..=9 | -1), &|| {
                String::from("Value must be between 1 and 9 or equal to -1")
            }),
            Self::OneOf(known) => need(known.contains(&value), &|| {
                format!("String must be one of: {}", known.join(", "))
            }),
            Self::Items(known) => need(items().all(|item| known.contains(&item)), &|| {
                format!("String must be one of: {}", known.join(", "))
            }),
            Self::Replicas => {
                let is_replica = |item: &str| {
                    let parts = item.split_once(':');
                    parts.is_some_and(|(partition, broker)| {
                        partition.parse::<u32>().is_ok() && broker.parse::<u32>().is_ok()
                    })
                };
                need(value == "*" || items().all(is_replica), &|| {
                    String::from(
                        "Must be the literal '*' or a list of replicas in the following form: [partitionId]:[brokerId],…",
                    )
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_hold_until_something_is_set() {
        let mut configs = TopicConfigs::default();
        assert_eq!(configs.number("max.message.bytes"), Some(1_048_588));
        configs.set("max.message.bytes", "100").unwrap();
        assert_eq!(configs.number("max.message.bytes"), Some(100));
        configs.unset("max.message.bytes");
        assert_eq!(configs.set_value("max.message.bytes"), None);
    }

    #[test]
    fn values_outside_of_type_range_and_enumeration_are_refused() {
        let mut configs = TopicConfigs::default();
        for (name, value) in [
            ("cleanup.polcy", "compact"),
            ("cleanup.policy", "shred"),
            ("compression.gzip.level", "0"),
            ("compression.gzip.level", "10"),
            ("compression.lz4.level", "18"),
            ("compression.zstd.level", "23"),
            ("compression.type", "GZIP"),
            ("follower.replication.throttled.replicas", "1"),
            ("max.message.bytes", "-1"),
            ("max.message.bytes", "2147483648"),
            ("message.timestamp.type", "createtime"),
            ("min.cleanable.dirty.ratio", "1.1"),
            ("min.insync.replicas", "0"),
            ("preallocate", "yes"),
            ("retention.ms", "-2"),
            ("retention.ms", "long"),
            ("segment.bytes", "1048575"),
        ] {
            let refused = configs.set(name, value).unwrap_err();
            assert!(refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn values_are_taken_and_kept_as_kafka_reads_them() {
        let mut configs = TopicConfigs::default();
        for (name, value, kept) in [
            ("cleanup.policy", "", ""),
            ("cleanup.policy", "compact, delete", "compact,delete"),
            ("cleanup.policy", "delete,delete", "delete"),
            ("compression.gzip.level", "-1", "-1"),
            ("leader.replication.throttled.replicas", "*", "*"),
            (
                "leader.replication.throttled.replicas",
                "0:1,1:2",
                "0:1,1:2",
            ),
            ("preallocate", "TRUE", "true"),
            ("retention.ms", " -1 ", "-1"),
        ] {
            configs.set(name, value).unwrap();
            assert_eq!(configs.value(name), Some(kept), "{name}");
        }
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        let mut configs = TopicConfigs::default();
        configs.set("min.compaction.lag.ms", "10").unwrap();
        configs.set("max.compaction.lag.ms", "10").unwrap();
        assert_eq!(configs.check(), Ok(()));
        configs.set("max.compaction.lag.ms", "9").unwrap();
        assert!(configs.check().is_err());
    }

    #[test]
    fn every_default_is_a_value_that_is_taken() {
        for of in TOPIC_CONFIGS {
            assert_eq!(parsed(of.name, of.default).as_deref(), Ok(of.default));
        }
    }
}
