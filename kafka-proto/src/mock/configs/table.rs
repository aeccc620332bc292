//! The settings of topics as Kafka 4.4.0 defines them (LogConfig): type, default, range, the broker's setting that the
//! default comes from, and what it means.
use super::{Kind, Rule};

/// One setting of topics.
#[derive(Debug)]
pub(crate) struct TopicConfig {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(super) rule: Rule,
    /// The broker's setting with the default; empty where a broker has none.
    pub(crate) synonym: &'static str,
    pub(crate) documentation: &'static str,
}

macro_rules! topic_configs {
    ($($name:literal $kind:ident $default:literal $rule:expr, $synonym:literal $documentation:literal;)*) => {
        /// All of them, in the order of their names.
        pub(crate) const TOPIC_CONFIGS: &[TopicConfig] = &[$(TopicConfig {
            name: $name,
            kind: Kind::$kind,
            default: $default,
            rule: $rule,
            synonym: $synonym,
            documentation: $documentation,
        },)*];
    };
}

const COMPRESSIONS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: i64 = i64::MAX;

topic_configs! {
    "cleanup.policy" List "delete" Rule::Items(&["compact", "delete"]), "log.cleanup.policy"
        "What becomes of old records: delete drops them by time and size, compact keeps the last one of each key.";
    "compression.gzip.level" Int "-1" Rule::GzipLevel, "compression.gzip.level"
        "Level of gzip where the broker compresses.";
    "compression.lz4.level" Int "9" Rule::Range(1, 17), "compression.lz4.level"
        "Level of lz4 where the broker compresses.";
    "compression.type" String "producer" Rule::OneOf(COMPRESSIONS), "compression.type"
        "Compression of stored batches; producer keeps what the producer chose.";
    "compression.zstd.level" Int "3" Rule::Range(-131_072, 22), "compression.zstd.level"
        "Level of zstd where the broker compresses.";
    "delete.retention.ms" Long "86400000" Rule::Range(0, LONG_MAX), "log.cleaner.delete.retention.ms"
        "How long tombstones of a compacted topic are kept, in milliseconds.";
    "errors.deadletterqueue.group.enable" Boolean "false" Rule::Any, ""
        "Whether share groups may write undeliverable records to this topic.";
    "file.delete.delay.ms" Long "60000" Rule::Range(0, LONG_MAX), "log.segment.delete.delay.ms"
        "How long a file stays on disk after its segment was deleted, in milliseconds.";
    "flush.messages" Long "9223372036854775807" Rule::Range(1, LONG_MAX), "log.flush.interval.messages"
        "Records between two flushes to disk.";
    "flush.ms" Long "9223372036854775807" Rule::Range(0, LONG_MAX), ""
        "Milliseconds between two flushes to disk.";
    "follower.replication.throttled.replicas" List "" Rule::Replicas, ""
        "Replicas whose replication is throttled at the follower, as partition:broker, or * for all.";
    "index.interval.bytes" Int "4096" Rule::Range(0, INT_MAX), "log.index.interval.bytes"
        "Bytes between two entries of the offset index.";
    "leader.replication.throttled.replicas" List "" Rule::Replicas, ""
        "Replicas whose replication is throttled at the leader, as partition:broker, or * for all.";
    "local.retention.bytes" Long "-2" Rule::Range(-2, LONG_MAX), "log.local.retention.bytes"
        "Bytes of local segments kept with tiered storage; -2 is retention.bytes.";
    "local.retention.ms" Long "-2" Rule::Range(-2, LONG_MAX), "log.local.retention.ms"
        "Milliseconds that local segments are kept with tiered storage; -2 is retention.ms.";
    "max.compaction.lag.ms" Long "9223372036854775807" Rule::Range(1, LONG_MAX), "log.cleaner.max.compaction.lag.ms"
        "After how many milliseconds at the latest a record is compacted.";
    "max.decompressed.message.bytes" Int "2147483639" Rule::Range(1, INT_MAX - 8), "max.decompressed.message.bytes"
        "Largest size of one record after decompression.";
    "max.message.bytes" Int "1048588" Rule::Range(0, INT_MAX), "message.max.bytes"
        "Largest size of a batch, as it is stored.";
    "message.timestamp.after.max.ms" Long "3600000" Rule::Range(0, LONG_MAX), "log.message.timestamp.after.max.ms"
        "How far a record's timestamp may be ahead of the broker's clock, in milliseconds.";
    "message.timestamp.before.max.ms" Long "9223372036854775807" Rule::Range(0, LONG_MAX), "log.message.timestamp.before.max.ms"
        "How far a record's timestamp may be behind the broker's clock, in milliseconds.";
    "message.timestamp.type" String "CreateTime" Rule::OneOf(&["CreateTime", "LogAppendTime"]), "log.message.timestamp.type"
        "Whether records carry the producer's time or that of the append.";
    "min.cleanable.dirty.ratio" Double "0.5" Rule::Ratio, "log.cleaner.min.cleanable.ratio"
        "Share of a log that is not compacted yet at which compaction begins.";
    "min.compaction.lag.ms" Long "0" Rule::Range(0, LONG_MAX), "log.cleaner.min.compaction.lag.ms"
        "For how many milliseconds a record is not compacted.";
    "min.insync.replicas" Int "1" Rule::Range(1, INT_MAX), "min.insync.replicas"
        "In-sync replicas, the leader among them, that a write with acks=all needs.";
    "preallocate" Boolean "false" Rule::Any, "log.preallocate"
        "Whether a segment's file is made in its full size.";
    "remote.copy.lag.bytes" Long "-1" Rule::Range(-1, LONG_MAX), "log.remote.copy.lag.bytes"
        "Bytes behind which a segment is copied to tiered storage.";
    "remote.copy.lag.ms" Long "0" Rule::Range(-1, LONG_MAX), "log.remote.copy.lag.ms"
        "Milliseconds after which a segment is copied to tiered storage.";
    "remote.log.copy.disable" Boolean "false" Rule::Any, ""
        "Whether nothing more is copied to tiered storage.";
    "remote.log.delete.on.disable" Boolean "false" Rule::Any, ""
        "Whether tiered data are deleted when tiered storage is switched off.";
    "remote.storage.enable" Boolean "false" Rule::Any, ""
        "Whether the topic has tiered storage.";
    "retention.bytes" Long "-1" Rule::Any, "log.retention.bytes"
        "Bytes of a partition that are kept; -1 is all.";
    "retention.ms" Long "604800000" Rule::Range(-1, LONG_MAX), ""
        "Milliseconds that records are kept; -1 is for ever.";
    "segment.bytes" Int "1073741824" Rule::Range(1 << 20, INT_MAX), "log.segment.bytes"
        "Size of a segment's file.";
    "segment.index.bytes" Int "10485760" Rule::Range(4, INT_MAX), "log.index.size.max.bytes"
        "Size of a segment's offset index.";
    "segment.jitter.ms" Long "0" Rule::Range(0, LONG_MAX), ""
        "Largest random time taken off segment.ms, in milliseconds.";
    "segment.ms" Long "604800000" Rule::Range(1, LONG_MAX), ""
        "Milliseconds after which a new segment is begun.";
    "unclean.leader.election.enable" Boolean "false" Rule::Any, "unclean.leader.election.enable"
        "Whether a replica that lags may become leader when no other is left.";
}
