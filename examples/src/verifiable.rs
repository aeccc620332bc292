//! Flags and JSON lines of Kafka's VerifiableProducer and VerifiableConsumer, so that its system tests can drive our client.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgAction, Parser};
use kafka_proto::client::{Config, ConfigError, Error, OffsetToCommit, TopicPartition};
use serde::Serialize;

use crate::cli::property;
use crate::screen;

/// `verifiable_producer`: writes increasing numbers and says of each whether it was acknowledged.
#[derive(Debug, Clone, Parser)]
#[command(name = "verifiable_producer", version)]
pub struct VerifiableProducer {
    /// Topic to write.
    #[arg(long)]
    pub topic: String,

    /// Brokers to connect to. Without any an in-process cluster is started.
    #[arg(long, aliases = ["bootstrap-servers", "broker-list"], value_name = "HOST:PORT,…")]
    pub bootstrap_server: Option<String>,

    /// Records to write; -1: until the program is stopped.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = -1)]
    pub max_messages: i64,

    /// About how many records a second; -1 for as many as possible.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = -1)]
    pub throughput: i64,

    /// Acknowledgements to wait for: all replicas in sync (-1), the leader (1), none (0).
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = -1, value_parser = clap::value_parser!(i16).range(-1..=1))]
    pub acks: i16,

    /// File of client properties; wins over the flags, as in Kafka's tool.
    #[arg(long, aliases = ["producer.config", "producer-config"], value_name = "FILE")]
    pub command_config: Option<PathBuf>,

    /// One client property; wins over the file. May be repeated.
    #[arg(long, alias = "command-property", value_name = "K=V", action = ArgAction::Append, value_parser = property)]
    pub property: Vec<(String, String)>,

    /// Timestamp of the first record in milliseconds since 1970; the later ones follow as time goes. -1: the time of sending.
    #[arg(long, value_name = "MS", allow_negative_numbers = true, default_value_t = -1)]
    pub message_create_time: i64,

    /// A number that is put before each value, with a dot.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub value_prefix: Option<i64>,

    /// Gives the records the keys 0 to N - 1 in turn.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub repeating_keys: Option<u64>,

    /// At the end one line of JSON: records, bytes, wall and CPU seconds, peak memory.
    #[arg(long)]
    pub stats: bool,
}

impl VerifiableProducer {
    /// All settings, in the order of Kafka's tool: no retries unless the file or a property says otherwise.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown property, a value that is not of its kind.
    pub fn settings(&self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(servers) = &self.bootstrap_server {
            config.set("bootstrap.servers", servers)?;
        }
        config.set("acks", &self.acks.to_string())?;
        config.set("retries", "0")?;
        finish(config, self.command_config.as_ref(), &self.property)
    }

    /// The value of record number `n`.
    #[must_use]
    pub fn value(&self, n: u64) -> String {
        self.value_prefix
            .map_or_else(|| n.to_string(), |prefix| format!("{prefix}.{n}"))
    }

    /// The key of record number `n`.
    #[must_use]
    pub fn key(&self, n: u64) -> Option<String> {
        self.repeating_keys.map(|keys| (n % keys).to_string())
    }
}

/// `verifiable_consumer`: reads one topic as a member of a group and says what it got and what the group did.
#[derive(Debug, Clone, Parser)]
#[command(name = "verifiable_consumer", version)]
pub struct VerifiableConsumer {
    /// Brokers to connect to. Without any an in-process cluster with sample data is started.
    #[arg(long, aliases = ["bootstrap-servers", "broker-list"], value_name = "HOST:PORT,…")]
    pub bootstrap_server: Option<String>,

    /// Topic to read.
    #[arg(long)]
    pub topic: String,

    /// The group's protocol: classic or consumer (KIP-848).
    #[arg(long, value_name = "PROTOCOL", default_value = "classic", ignore_case = true, value_parser = ["classic", "consumer"])]
    pub group_protocol: String,

    /// The broker's assignor, under the consumer protocol.
    #[arg(long, value_name = "NAME")]
    pub group_remote_assignor: Option<String>,

    /// The group.
    #[arg(long, value_name = "ID")]
    pub group_id: String,

    /// Makes this a static member.
    #[arg(long, value_name = "ID")]
    pub group_instance_id: Option<String>,

    /// Records to read; -1: until the program is stopped.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = -1)]
    pub max_messages: i64,

    /// Session timeout in milliseconds, under the classic protocol.
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    pub session_timeout: u64,

    /// Print each record.
    #[arg(long)]
    pub verbose: bool,

    /// Let the client commit by itself, instead of after each poll.
    #[arg(long)]
    pub enable_autocommit: bool,

    /// Where to start without a committed offset: earliest, latest or none.
    #[arg(long, value_name = "POLICY", default_value = "earliest")]
    pub reset_policy: String,

    /// Assignors under the classic protocol, by Kafka's class names or by their short ones.
    #[arg(long, value_name = "NAMES")]
    pub assignment_strategy: Option<String>,

    /// File of client properties; the flags win over it, as in Kafka's tool.
    #[arg(long, aliases = ["consumer.config", "consumer-config"], value_name = "FILE")]
    pub command_config: Option<PathBuf>,

    /// One client property; wins over the flags. May be repeated.
    #[arg(long, alias = "command-property", value_name = "K=V", action = ArgAction::Append, value_parser = property)]
    pub property: Vec<(String, String)>,

    /// At the end one line of JSON: records, bytes, wall and CPU seconds, peak memory.
    #[arg(long)]
    pub stats: bool,
}

impl VerifiableConsumer {
    /// All settings, in the order of Kafka's tool.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown property, a value that is not of its kind.
    pub fn settings(&self) -> Result<Config, ConfigError> {
        let mut config = finish(Config::default(), self.command_config.as_ref(), &[])?;
        if let Some(servers) = &self.bootstrap_server {
            config.set("bootstrap.servers", servers)?;
        }
        if self.group_protocol.eq_ignore_ascii_case("consumer") {
            config.set("group.protocol", "consumer")?;
            if let Some(assignor) = &self.group_remote_assignor {
                config.set("group.remote.assignor", assignor)?;
            }
        } else {
            config.set("session.timeout.ms", &self.session_timeout.to_string())?;
            if let Some(strategy) = &self.assignment_strategy {
                config.set("partition.assignment.strategy", strategy)?;
            }
        }
        config.set("group.id", &self.group_id)?;
        if let Some(instance) = &self.group_instance_id {
            config.set("group.instance.id", instance)?;
        }
        config.set("enable.auto.commit", &self.enable_autocommit.to_string())?;
        config.set("auto.offset.reset", &self.reset_policy)?;
        finish(config, None, &self.property)
    }
}

fn finish(
    mut config: Config,
    file: Option<&PathBuf>,
    properties: &[(String, String)],
) -> Result<Config, ConfigError> {
    if let Some(path) = file {
        config.set_from_file(path)?;
    }
    for (name, value) in properties {
        config.set(name, value)?;
    }
    Ok(config)
}

/// What one of the programs prints: one line of JSON, the members in the order of Kafka's tools.
#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[expect(missing_docs, reason = "the members are those of Kafka's lines")]
pub enum Event<'a> {
    /// `startup_complete`, `shutdown_requested` and `shutdown_complete`
    Bare,
    /// `producer_send_success`
    Sent {
        key: Option<&'a str>,
        value: &'a str,
        topic: &'a str,
        partition: i32,
        offset: i64,
    },
    /// `producer_send_error`
    NotSent {
        key: Option<&'a str>,
        value: &'a str,
        topic: &'a str,
        exception: String,
        message: String,
    },
    /// `tool_data`, the producer's summary
    #[serde(rename_all = "snake_case")]
    Tool {
        sent: u64,
        acked: u64,
        target_throughput: i64,
        avg_throughput: f64,
    },
    /// `partitions_assigned` and `partitions_revoked`
    Partitions { partitions: Vec<Place> },
    /// `records_consumed`
    Consumed {
        count: usize,
        partitions: Vec<Consumed>,
    },
    /// `record_data`
    Record {
        key: Option<String>,
        value: Option<String>,
        topic: &'a str,
        partition: i32,
        offset: i64,
    },
    /// `offsets_committed`
    Committed {
        offsets: Vec<Committed>,
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        success: bool,
    },
}

/// A partition in a line.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the members are those of Kafka's lines")]
pub struct Place {
    pub topic: String,
    pub partition: i32,
}

/// What one poll brought of a partition.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the members are those of Kafka's lines")]
pub struct Consumed {
    pub topic: String,
    pub partition: i32,
    pub count: u64,
    pub min_offset: i64,
    pub max_offset: i64,
}

/// A committed offset in a line.
#[derive(Debug, Serialize)]
#[expect(missing_docs, reason = "the members are those of Kafka's lines")]
pub struct Committed {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
}

impl Place {
    /// Partitions as they stand in a line.
    #[must_use]
    pub fn all(partitions: &[TopicPartition]) -> Vec<Self> {
        let place = |of: &TopicPartition| Self {
            topic: of.topic.to_string(),
            partition: of.partition,
        };
        partitions.iter().map(place).collect()
    }
}

impl Committed {
    /// Offsets as they stand in a line.
    #[must_use]
    pub fn all(offsets: &[OffsetToCommit]) -> Vec<Self> {
        let committed = |of: &OffsetToCommit| Self {
            topic: of.partition.topic.to_string(),
            partition: of.partition.partition,
            offset: of.offset,
        };
        offsets.iter().map(committed).collect()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: u128,
    name: &'a str,
    #[serde(flatten)]
    event: &'a Event<'a>,
}

/// Prints one event with the present time.
pub fn print(name: &str, event: &Event<'_>) {
    screen::print(&line(name, event));
}

fn line(name: &str, event: &Event<'_>) -> String {
    let timestamp = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let line = Line {
        timestamp,
        name,
        event,
    };
    serde_json::to_string(&line).unwrap_or_else(|error| format!("no JSON: {error}"))
}

/// What stands under `exception`, where Kafka's tools name a Java class.
#[must_use]
pub fn kind(error: &Error) -> String {
    let code = error.code().and_then(|code| code.name());
    code.unwrap_or("kafka_proto::client::Error").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stand_in_the_order_of_kafkas_lines() {
        let sent = Event::Sent {
            key: None,
            value: "7",
            topic: "t",
            partition: 1,
            offset: 2,
        };
        let text = line("producer_send_success", &sent);
        let (_, behind) = text.split_once(',').unwrap();
        assert_eq!(
            behind,
            r#""name":"producer_send_success","key":null,"value":"7","topic":"t","partition":1,"offset":2}"#
        );
        assert!(text.starts_with(r#"{"timestamp":"#), "{text}");
        let text = line("startup_complete", &Event::Bare);
        assert!(text.ends_with(r#","name":"startup_complete"}"#), "{text}");
        let partitions = vec![Consumed {
            topic: "t".into(),
            partition: 0,
            count: 3,
            min_offset: 4,
            max_offset: 6,
        }];
        let text = line(
            "records_consumed",
            &Event::Consumed {
                count: 3,
                partitions,
            },
        );
        assert!(
            text.ends_with(r#""count":3,"partitions":[{"topic":"t","partition":0,"count":3,"minOffset":4,"maxOffset":6}]}"#),
            "{text}"
        );
        let data = Event::Tool {
            sent: 1,
            acked: 1,
            target_throughput: -1,
            avg_throughput: 2.5,
        };
        let text = line("tool_data", &data);
        assert!(
            text.ends_with(r#""sent":1,"acked":1,"target_throughput":-1,"avg_throughput":2.5}"#),
            "{text}"
        );
    }

    #[test]
    fn the_file_wins_over_the_producers_flags_and_not_over_the_consumers() {
        let file =
            std::env::temp_dir().join(format!("verifiable-{}.properties", std::process::id()));
        std::fs::write(&file, "retries=9\nauto.offset.reset=none\n").unwrap();
        let file_name = file.display().to_string();
        let producer = VerifiableProducer::parse_from([
            "p",
            "--topic",
            "t",
            "--producer.config",
            &file_name,
            "--acks",
            "-1",
        ]);
        assert_eq!(producer.settings().unwrap().retries, 9);
        let consumer = VerifiableConsumer::parse_from([
            "c",
            "--topic",
            "t",
            "--group-id",
            "g",
            "--consumer.config",
            &file_name,
        ]);
        let reset = consumer.settings().unwrap().value("auto.offset.reset");
        assert_eq!(reset.as_deref(), Some("earliest"));
        std::fs::remove_file(file).unwrap();
    }
}
