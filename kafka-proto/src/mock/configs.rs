//! Topic settings: the names Kafka knows, their defaults, and what the cluster itself does with them.
//! All are stored and described; obeyed are `max.message.bytes`, `message.timestamp.type`, `retention.bytes` and
//! `min.insync.replicas`. Nothing is ever compacted.
use std::collections::BTreeMap;

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

/// Name, default, type.
pub(crate) const TOPIC_CONFIGS: &[(&str, &str, Kind)] = &[
    ("cleanup.policy", "delete", Kind::List),
    ("compression.gzip.level", "-1", Kind::Int),
    ("compression.lz4.level", "9", Kind::Int),
    ("compression.type", "producer", Kind::String),
    ("compression.zstd.level", "3", Kind::Int),
    ("delete.retention.ms", "86400000", Kind::Long),
    ("file.delete.delay.ms", "60000", Kind::Long),
    ("flush.messages", "9223372036854775807", Kind::Long),
    ("flush.ms", "9223372036854775807", Kind::Long),
    ("follower.replication.throttled.replicas", "", Kind::List),
    ("index.interval.bytes", "4096", Kind::Int),
    ("leader.replication.throttled.replicas", "", Kind::List),
    ("local.retention.bytes", "-2", Kind::Long),
    ("local.retention.ms", "-2", Kind::Long),
    ("max.compaction.lag.ms", "9223372036854775807", Kind::Long),
    ("max.message.bytes", "1048588", Kind::Int),
    ("message.timestamp.after.max.ms", "3600000", Kind::Long),
    (
        "message.timestamp.before.max.ms",
        "9223372036854775807",
        Kind::Long,
    ),
    ("message.timestamp.type", "CreateTime", Kind::String),
    ("min.cleanable.dirty.ratio", "0.5", Kind::Double),
    ("min.compaction.lag.ms", "0", Kind::Long),
    ("min.insync.replicas", "1", Kind::Int),
    ("preallocate", "false", Kind::Boolean),
    ("remote.storage.enable", "false", Kind::Boolean),
    ("retention.bytes", "-1", Kind::Long),
    ("retention.ms", "604800000", Kind::Long),
    ("segment.bytes", "1073741824", Kind::Int),
    ("segment.index.bytes", "10485760", Kind::Int),
    ("segment.jitter.ms", "0", Kind::Long),
    ("segment.ms", "604800000", Kind::Long),
    ("unclean.leader.election.enable", "false", Kind::Boolean),
];

/// What was set for one topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicConfigs {
    set: BTreeMap<String, String>,
}

impl TopicConfigs {
    /// Takes a setting, if Kafka knows it and the value is of its type.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        check(name, value)?;
        self.set.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.set.remove(name);
    }

    /// What was set, or `None` where the default holds.
    pub(crate) fn set_value(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(String::as_str)
    }

    /// What holds.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.set_value(name).or_else(|| {
            TOPIC_CONFIGS
                .iter()
                .find(|(known, ..)| *known == name)
                .map(|&(_, default, _)| default)
        })
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.value(name).and_then(|value| value.parse().ok())
    }

    pub(crate) fn log_append_time(&self) -> bool {
        self.value("message.timestamp.type") == Some("LogAppendTime")
    }
}

/// Is this a setting of topics, and a value for it?
pub(crate) fn check(name: &str, value: &str) -> Result<(), String> {
    let Some(&(_, _, kind)) = TOPIC_CONFIGS.iter().find(|(known, ..)| *known == name) else {
        return Err(format!("Unknown topic config name: {name}"));
    };
    let fits = match kind {
        Kind::Boolean => value.parse::<bool>().is_ok(),
        Kind::Int => value.parse::<i32>().is_ok(),
        Kind::Long => value.parse::<i64>().is_ok(),
        Kind::Double => value.parse::<f64>().is_ok(),
        Kind::String | Kind::List => true,
    };
    if !fits {
        return Err(format!("Invalid value {value} for configuration {name}"));
    }
    let one_of = |allowed: &[&str]| {
        if value.split(',').all(|part| allowed.contains(&part.trim())) {
            Ok(())
        } else {
            Err(format!(
                "Invalid value {value} for configuration {name}: must be one of {}",
                allowed.join(", ")
            ))
        }
    };
    match name {
        "cleanup.policy" => one_of(&["compact", "delete"]),
        "message.timestamp.type" => one_of(&["CreateTime", "LogAppendTime"]),
        "compression.type" => {
            one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        }
        _ => Ok(()),
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
    fn unknown_names_and_wrong_values_are_refused() {
        let mut configs = TopicConfigs::default();
        assert!(configs.set("cleanup.polcy", "compact").is_err());
        assert!(configs.set("cleanup.policy", "shred").is_err());
        assert!(configs.set("retention.ms", "long").is_err());
        assert!(configs.set("cleanup.policy", "compact,delete").is_ok());
    }

    #[test]
    fn every_default_is_a_value_of_its_type() {
        for (name, default, _) in TOPIC_CONFIGS {
            if !default.is_empty() {
                assert_eq!(check(name, default), Ok(()), "{name}");
            }
        }
    }
}
