//! The batches that a sink is filling: each record is encoded once, into the bytes that go on the wire.
//!
//! It decides the partition and when a batch is full. It does not send: whoever runs the plan takes the batches.

use kafka_proto::{
    partition::murmur2,
    records::{self, BatchBuilder, BuildError, Compression},
};

/// How a sink's batches are built.
#[derive(Clone, Copy, Debug)]
pub struct OutboxConfig {
    /// Number of partitions of the topic; at least 1.
    pub partitions: i32,
    /// Codec of the batches.
    pub compression: Compression,
    /// A batch is closed before it would grow past this (`batch.size`). A single larger record gets a batch of its own.
    pub batch_bytes_max: usize,
}

impl Default for OutboxConfig {
    fn default() -> Self {
        Self {
            partitions: 1,
            compression: Compression::NONE,
            batch_bytes_max: 128 * 1024,
        }
    }
}

/// Two buffers for a key and a value that are being encoded.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(crate) value: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To the partition that the key chooses; without a key to one that changes with each batch and each flush.
    Key,
    /// To this one.
    Partition(i32),
}

/// Open and full batches of one sink.
#[derive(Debug)]
pub struct Outbox {
    config: OutboxConfig,
    /// By partition; made when first used.
    open: Vec<Option<BatchBuilder>>,
    full: Vec<(i32, BatchBuilder)>,
    spare: Vec<BatchBuilder>,
    /// Bytes in `full`.
    full_bytes: usize,
    /// Partition of records without a key.
    sticky: i32,
    /// A record without a key went there since it was chosen.
    is_sticky_used: bool,
    records: u64,
    /// Of a topic whose number of partitions is not known yet: its records, and where they are to go.
    unopened: Option<(BatchBuilder, Vec<Target>)>,
}

impl Outbox {
    /// An empty one.
    #[must_use]
    pub fn new(config: OutboxConfig) -> Self {
        let config = OutboxConfig {
            partitions: config.partitions.max(1),
            ..config
        };
        Self {
            config,
            open: (0..config.partitions).map(|_| None).collect(),
            full: Vec::new(),
            spare: Vec::new(),
            full_bytes: 0,
            sticky: 0,
            is_sticky_used: false,
            records: 0,
            unopened: None,
        }
    }

    /// One for a topic of which nothing is known yet: it keeps what it is given until [`Outbox::opened`].
    pub(crate) fn unopened(config: OutboxConfig) -> Self {
        Self {
            open: Vec::new(),
            unopened: Some((BatchBuilder::new(Compression::NONE, 0), Vec::new())),
            ..Self::new(OutboxConfig {
                partitions: 1,
                ..config
            })
        }
    }

    /// Whether it still waits to be opened.
    pub(crate) fn is_unopened(&self) -> bool {
        self.unopened.is_some()
    }

    /// The number of partitions is known: what was kept goes where it belongs. `refused` says what becomes of a record that cannot.
    pub(crate) fn opened(
        &mut self,
        partitions: i32,
        mut refused: impl FnMut(&records::Record<'_>, SinkError) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let Some((kept, targets)) = self.unopened.take() else {
            return Ok(());
        };
        let sticky = self.sticky;
        *self = Self::new(OutboxConfig {
            partitions,
            ..self.config
        });
        self.begin_with(usize::try_from(sticky).unwrap_or(0));
        let mut targets = targets.into_iter();
        each_kept(kept, |record| {
            let target = targets.next().unwrap_or(Target::Key);
            let appended = self.append_record(target, record);
            appended.or_else(|error| refused(record, error))
        })
    }

    /// The topic will not be opened: calls `f` with each record that was kept for it, and keeps nothing more.
    pub(crate) fn never_opened(
        &mut self,
        f: impl FnMut(&records::Record<'_>) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        match self.unopened.take() {
            Some((kept, _)) => each_kept(kept, f),
            None => Ok(()),
        }
    }

    /// Records without a key begin with this partition, counted round: so that workers do not all begin with the first one.
    pub(crate) fn begin_with(&mut self, partition: usize) {
        // Of a topic that is not open yet it is noted as it is.
        let partitions = match self.unopened {
            None => usize::try_from(self.config.partitions).unwrap_or(1).max(1),
            Some(_) => usize::from(u16::MAX),
        };
        self.sticky = (partition % partitions) as i32;
    }

    /// The next records without a key go to another partition. As Kafka's producer stays with one for a batch (KIP-480): a batch ends
    /// when it is full, or when everything is taken. Without the second, rows that never fill a batch before a commit would all go
    /// to one partition.
    #[cold]
    fn next_sticky(&mut self) {
        self.sticky = (self.sticky + 1) % self.config.partitions;
        self.is_sticky_used = false;
    }

    /// How the batches are built.
    #[must_use]
    pub fn config(&self) -> OutboxConfig {
        self.config
    }

    /// Records written so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes in full batches that wait to be taken.
    #[must_use]
    pub fn full_bytes(&self) -> usize {
        self.full_bytes
    }

    /// Gives back a builder (or lends a further one) to be used for a batch to come; what it holds is forgotten.
    pub fn lend(&mut self, mut builder: BatchBuilder) {
        builder.clear();
        self.spare.push(builder);
    }

    /// Takes the batches that are full, in the order in which they were filled.
    pub fn take_full(&mut self) -> impl Iterator<Item = (i32, BatchBuilder)> + '_ {
        self.full_bytes = 0;
        self.full.drain(..)
    }

    /// Takes all batches that hold records, the full ones first.
    pub fn take_all(&mut self) -> impl Iterator<Item = (i32, BatchBuilder)> + '_ {
        if self.is_sticky_used {
            self.next_sticky();
        }
        for (partition, open) in (0..).zip(&mut self.open) {
            if open.as_ref().is_some_and(|b| !b.is_empty()) {
                self.full.extend(open.take().map(|b| (partition, b)));
            }
        }
        self.take_full()
    }

    /// Whether no record waits here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.iter().flatten().all(BatchBuilder::is_empty)
    }

    /// Writes a record of key and value.
    #[inline]
    pub(crate) fn append(
        &mut self,
        target: Target,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), SinkError> {
        self.write(target, key, |b| b.append(timestamp, key, value, &[]))
    }

    /// Writes a record of key, value and headers.
    #[inline]
    pub(crate) fn append_with_headers(
        &mut self,
        target: Target,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<(), SinkError> {
        self.write(target, key, |b| b.append(timestamp, key, value, headers))
    }

    /// Writes a whole record: its headers as they stand, its offset not.
    #[inline]
    pub(crate) fn append_record(
        &mut self,
        target: Target,
        record: &records::Record<'_>,
    ) -> Result<(), SinkError> {
        self.write(target, record.key, |b| b.append_record(record))
    }

    #[inline]
    fn write(
        &mut self,
        target: Target,
        key: Option<&[u8]>,
        append: impl Fn(&mut BatchBuilder) -> Result<i32, BuildError>,
    ) -> Result<(), SinkError> {
        let partition = match (target, key) {
            (Target::Partition(p), _) => p,
            (Target::Key, _) if self.config.partitions == 1 => 0,
            (Target::Key, Some(key)) => by_key(key, self.config.partitions),
            (Target::Key, None) => {
                self.is_sticky_used = true;
                self.sticky
            }
        };
        let Some(open) = usize::try_from(partition)
            .ok()
            .and_then(|p| self.open.get_mut(p))
        else {
            if let Some((kept, targets)) = &mut self.unopened {
                append(kept)?;
                targets.push(target);
                self.records += 1;
                return Ok(());
            }
            return Err(SinkError::NoSuchPartition {
                partition,
                partitions: self.config.partitions,
            });
        };
        let builder = match open {
            Some(builder) => builder,
            None => open.insert(fresh(&mut self.spare, self.config)),
        };
        match append(builder) {
            Ok(_) => {}
            Err(BuildError::Full { .. }) => {
                let full = std::mem::replace(builder, fresh(&mut self.spare, self.config));
                append(builder)?;
                self.full_bytes += full.size_bytes();
                self.full.push((partition, full));
                if key.is_none() && target == Target::Key {
                    self.next_sticky();
                }
            }
            Err(other) => return Err(other.into()),
        }
        self.records += 1;
        Ok(())
    }
}

/// Calls `f` with each record of a batch that was kept here, until it fails.
fn each_kept(
    mut kept: BatchBuilder,
    mut f: impl FnMut(&records::Record<'_>) -> Result<(), SinkError>,
) -> Result<(), SinkError> {
    if kept.is_empty() {
        return Ok(());
    }
    let batch = records::Batch::new(kept.finish(records::Stamp::NONE)?);
    let batch = batch.map_err(|_| SinkError::Kept)?;
    for record in batch.records(batch.body()) {
        f(&record.map_err(|_| SinkError::Kept)?)?;
    }
    Ok(())
}

/// Why a sink cannot write a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The topic has fewer partitions than the record asks for.
    #[error(
        "the record belongs to partition {partition}, but the topic has {partitions}: give it at least as many partitions as the \
         source, or choose by key (`.map(|r| r.by_key())`)"
    )]
    NoSuchPartition {
        /// The partition that was asked for.
        partition: i32,
        /// How many the topic has.
        partitions: i32,
    },
    /// Serde refuses to write the row as JSON.
    #[error(
        "serde cannot write the row as JSON: are the keys of all its maps text, and does its own `Serialize` not fail?"
    )]
    NoJson,
    /// A number of the row is NaN or an infinity, which JSON cannot write.
    #[error(
        "a number of the row is NaN or an infinity, which JSON cannot write: leave such rows out before the sink, or write \
         an option (`x.is_finite().then_some(x)`, null where it is none)"
    )]
    NotFinite,
    /// Records name more topics than one sink writes to.
    #[error(
        "records name more than {max} topics: a topic is not the place for a key; choose the topic by something with fewer values"
    )]
    TooManyTopics {
        /// How many a sink writes to at most.
        max: usize,
    },
    /// A record names a topic that there cannot be.
    #[error("no topic can have that name, expected {expected}")]
    TopicName {
        /// What a name must be.
        expected: &'static str,
    },
    /// The topic was refused when it was to be opened.
    #[error("the topic could not be opened when a row named it first")]
    TopicRefused,
    /// Records kept for a topic that was being opened cannot be read back: an error of the engine.
    #[error("records that waited for their topic cannot be read back")]
    Kept,
    /// The batch cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl SinkError {
    /// Whether it is about this one record, so that others may go on without it.
    pub(crate) fn is_about_the_record(self) -> bool {
        match self {
            Self::NoSuchPartition { .. }
            | Self::NoJson
            | Self::NotFinite
            | Self::TooManyTopics { .. }
            | Self::TopicName { .. }
            | Self::TopicRefused => true,
            Self::Build(error) => matches!(error, BuildError::RecordTooLarge { .. }),
            Self::Kept => false,
        }
    }
}

#[cold]
fn fresh(spare: &mut Vec<BatchBuilder>, config: OutboxConfig) -> BatchBuilder {
    spare.pop().unwrap_or_else(|| {
        BatchBuilder::new(config.compression, config.batch_bytes_max)
            .with_limit(config.batch_bytes_max)
    })
}

/// Kafka's partition of a key.
#[inline]
fn by_key(key: &[u8], partitions: i32) -> i32 {
    // `partitions` is at least 1 and the masked hash is not negative.
    (murmur2(key) & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(partitions: i32) -> Outbox {
        Outbox::new(OutboxConfig {
            partitions,
            ..OutboxConfig::default()
        })
    }

    /// Writes as many records and takes them: their number by partition.
    fn flush(outbox: &mut Outbox, key: Option<&[u8]>, records: usize) -> Vec<(i32, u32)> {
        for _ in 0..records {
            outbox.append(Target::Key, 0, key, Some(b"v")).unwrap();
        }
        let batches = outbox.take_all();
        batches
            .map(|(at, batch)| (at, batch.record_count()))
            .collect()
    }

    #[test]
    fn records_without_a_key_stay_together_until_everything_is_taken_and_then_go_to_the_next_partition()
     {
        let mut outbox = outbox(3);
        let taken: Vec<_> = (1..=7).map(|n| flush(&mut outbox, None, n)).collect();
        let wanted = [(0, 1), (1, 2), (2, 3), (0, 4), (1, 5), (2, 6), (0, 7)];
        assert_eq!(taken, wanted.map(|one| vec![one]));
    }

    #[test]
    fn a_full_batch_ends_the_stay_in_a_partition_too() {
        let mut outbox = Outbox::new(OutboxConfig {
            partitions: 3,
            batch_bytes_max: 200,
            ..OutboxConfig::default()
        });
        for _ in 0..60 {
            outbox
                .append(Target::Key, 0, None, Some(b"0123456789"))
                .unwrap();
        }
        let full: Vec<i32> = outbox.take_full().map(|(at, _)| at).collect();
        assert!(full.len() > 3, "{full:?}");
        assert!((0..3).all(|at| full.contains(&at)), "{full:?}");
    }

    #[test]
    fn only_records_without_a_key_end_a_stay_and_workers_begin_with_different_partitions() {
        let mut outbox = outbox(4);
        outbox.begin_with(6);
        assert_eq!(flush(&mut outbox, None, 1), [(2, 1)]);
        for _ in 0..5 {
            let _ = flush(&mut outbox, Some(b"key"), 1);
            let _ = flush(&mut outbox, None, 0);
        }
        assert_eq!(flush(&mut outbox, None, 1), [(3, 1)]);
        outbox.append(Target::Partition(1), 0, None, None).unwrap();
        assert_eq!(flush(&mut outbox, None, 0), [(1, 1)], "it has a partition");
        assert_eq!(flush(&mut outbox, None, 2), [(0, 2)]);
    }

    #[test]
    fn a_topic_that_opens_later_begins_with_the_partition_of_the_worker() {
        let mut outbox = Outbox::unopened(OutboxConfig::default());
        outbox.begin_with(5);
        outbox.append(Target::Key, 0, None, Some(b"v")).unwrap();
        outbox.opened(4, |_, e| Err(e)).unwrap();
        assert_eq!(flush(&mut outbox, None, 0), [(1, 1)]);
        assert_eq!(flush(&mut outbox, None, 1), [(2, 1)]);
    }
}
