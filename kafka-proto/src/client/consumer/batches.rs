//! What a poll delivers: partitions, their batches as views of the fetched frame, and the walk over a batch's records.
//!
//! Nothing here is paid per record but the walk. A checksum is verified when its batch is taken, while the bytes come into the cache
//! anyway; a batch that turns out bad sends its partition's position back to it, so that it is never skipped in silence.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use crate::{
    client::error::{Error, Result},
    records::{Batch, Codec, Decompressor, Record, RecordError, RecordIter},
    wire::Text,
};

use super::room::{FetchBudget, Room};

/// The partitions that one poll delivered.
#[derive(Debug, Default)]
pub struct FetchedBatches {
    partitions: Vec<FetchedPartition>,
}

impl FetchedBatches {
    pub(super) const fn new(partitions: Vec<FetchedPartition>) -> Self {
        Self { partitions }
    }

    /// Whether the poll delivered nothing: its time was over.
    pub const fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// How many partitions there are.
    pub const fn len(&self) -> usize {
        self.partitions.len()
    }

    /// The partitions, to look at. One may be without batches: its position moved over markers and aborted records alone, or
    /// only its watermarks moved.
    pub fn partitions(&self) -> &[FetchedPartition] {
        &self.partitions
    }

    /// Bytes of all batches as they were fetched.
    pub fn size_bytes(&self) -> usize {
        self.partitions
            .iter()
            .map(FetchedPartition::size_bytes)
            .sum()
    }
}

impl IntoIterator for FetchedBatches {
    type Item = FetchedPartition;
    type IntoIter = std::vec::IntoIter<FetchedPartition>;

    fn into_iter(self) -> Self::IntoIter {
        self.partitions.into_iter()
    }
}

/// What was fetched of one partition: batches whose records the application may see, in order.
///
/// Markers of transactions are left out, and so are aborted records under `isolation.level=read_committed`.
#[derive(Debug)]
pub struct FetchedPartition {
    pub(super) origin: Arc<Origin>,
    pub(super) batches: std::vec::IntoIter<Batch>,
    /// Where the partition was read from: behind what was taken of it since.
    pub(super) from: i64,
    /// Leader epoch of the batch before that, −1 if unknown.
    pub(super) from_epoch: i32,
    pub(super) position: i64,
    pub(super) leader_epoch: i32,
    pub(super) high_watermark: i64,
    pub(super) last_stable_offset: i64,
    pub(super) log_start_offset: i64,
    pub(super) end: i64,
}

/// Where batches came from, shared by all that are made of them.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) topic: Text,
    pub(super) partition: i32,
    pub(super) check_crcs: bool,
    pub(super) fault: Arc<Fault>,
    /// Bytes of the frame, given back when the last batch of it is gone.
    pub(super) room: Arc<Room>,
}

/// Where a partition's reader met a bad batch; one for each position that was set.
#[derive(Debug)]
pub(super) struct Fault {
    at: AtomicI64,
    /// Shared by all partitions of a fetcher, so that a poll looks at one flag.
    any: Arc<AtomicBool>,
}

impl Fault {
    const NONE: i64 = i64::MAX;

    pub(super) fn new(any: &Arc<AtomicBool>) -> Arc<Self> {
        Arc::new(Self {
            at: AtomicI64::new(Self::NONE),
            any: Arc::clone(any),
        })
    }

    fn report(&self, offset: i64) {
        self.at.fetch_min(offset, Ordering::Release);
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn offset(&self) -> Option<i64> {
        Some(self.at.load(Ordering::Acquire)).filter(|&at| at != Self::NONE)
    }
}

impl FetchedPartition {
    /// The topic.
    pub fn topic(&self) -> &Text {
        &self.origin.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.origin.partition
    }

    /// The position that the batches not taken yet begin at: where they were fetched from, before the first is taken.
    pub const fn start(&self) -> i64 {
        self.from
    }

    /// The position behind them, markers and aborted records included: what to commit once all of them are processed.
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// Leader epoch of the last batch before the position, −1 if unknown: goes with the position into a commit (KIP-320).
    pub const fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// The end of what is replicated, as of this fetch.
    pub const fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The end of what is decided: an open transaction begins here, or it is the high watermark. −1 from old brokers.
    pub const fn last_stable_offset(&self) -> i64 {
        self.last_stable_offset
    }

    /// The first offset that is still in the log, −1 if unknown.
    pub const fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// Whether the position stands at the end of what can be read: the last stable offset under read_committed, else the high
    /// watermark.
    pub const fn reached_end(&self) -> bool {
        self.position >= self.end
    }

    /// The first offset that is still to be taken; `None` if there is none.
    pub fn next_offset(&self) -> Option<i64> {
        self.batches
            .as_slice()
            .first()
            .map(|batch| batch.base_offset().max(self.from))
    }

    /// Batches not taken yet.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether no batch is left.
    pub fn is_empty(&self) -> bool {
        self.batches.as_slice().is_empty()
    }

    /// Bytes of the batches not taken yet, as they were fetched.
    pub fn size_bytes(&self) -> usize {
        self.batches.as_slice().iter().map(Batch::size_bytes).sum()
    }

    /// Takes the next batch, its checksum verified (`check.crcs`).
    ///
    /// # Errors
    /// [`Error::CorruptRecords`] if the checksum is wrong; nothing more comes then. The position goes back to the batch, and the
    /// next poll fetches it again; to go on behind it, seek.
    #[inline]
    pub fn next_batch(&mut self) -> Result<Option<FetchedBatch>> {
        let Some(batch) = self.batches.next() else {
            return Ok(None);
        };
        let from = self.from.max(batch.base_offset());
        (self.from, self.from_epoch) = (batch.next_offset(), batch.partition_leader_epoch());
        let batch = FetchedBatch {
            from,
            batch,
            origin: Arc::clone(&self.origin),
        };
        if let Err(error) = batch.verified() {
            self.batches = Vec::new().into_iter();
            return Err(error);
        }
        Ok(Some(batch))
    }

    /// The next batch, verified, without taking it: [`FetchedPartition::take_to`] says how far it was taken.
    pub(super) fn peek_batch(&self) -> Result<Option<FetchedBatch>> {
        let Some(batch) = self.batches.as_slice().first() else {
            return Ok(None);
        };
        let batch = FetchedBatch {
            from: self.from.max(batch.base_offset()),
            batch: batch.clone(),
            origin: Arc::clone(&self.origin),
        };
        batch.verified()?;
        Ok(Some(batch))
    }

    /// The records before `offset` are taken, all of them in the batch that [`FetchedPartition::peek_batch`] showed.
    pub(super) fn take_to(&mut self, offset: i64, epoch: i32) {
        (self.from, self.from_epoch) = (offset, epoch);
    }

    /// The batch that [`FetchedPartition::peek_batch`] showed is taken whole.
    pub(super) fn take_batch(&mut self) {
        if let Some(batch) = self.batches.next() {
            self.take_to(batch.next_offset(), batch.partition_leader_epoch());
        }
    }

    /// Where what is not taken yet begins, with the leader epoch of the batch before.
    pub(super) const fn next(&self) -> (i64, i32) {
        (self.from, self.from_epoch)
    }

    pub(super) fn budget(&self) -> &FetchBudget {
        self.origin.room.budget()
    }

    pub(super) fn is_of(&self, topic: &str, partition: i32) -> bool {
        self.partition() == partition && *self.topic() == *topic
    }
}

impl IntoIterator for FetchedPartition {
    type Item = Result<FetchedBatch>;
    type IntoIter = PartitionBatches;

    /// The batches, as [`FetchedPartition::next_batch`] gives them.
    fn into_iter(self) -> PartitionBatches {
        PartitionBatches(self)
    }
}

/// The batches of a [`FetchedPartition`].
#[derive(Debug)]
pub struct PartitionBatches(FetchedPartition);

impl Iterator for PartitionBatches {
    type Item = Result<FetchedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_batch().transpose()
    }
}

/// One batch that was fetched. It keeps its frame and holds room in the fetch buffer until it is dropped.
#[derive(Clone, Debug)]
pub struct FetchedBatch {
    batch: Batch,
    from: i64,
    origin: Arc<Origin>,
}

impl FetchedBatch {
    /// The topic.
    pub fn topic(&self) -> &Text {
        &self.origin.topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.origin.partition
    }

    /// The batch as it stands in the log: also what lies before [`FetchedBatch::first_offset`].
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The first offset that is to be delivered. A batch is fetched whole, though the position may lie inside it.
    pub const fn first_offset(&self) -> i64 {
        self.from
    }

    /// Whether all of the batch is to be delivered, so that it may be relayed as it is.
    pub fn is_whole(&self) -> bool {
        self.from <= self.batch.base_offset()
    }

    /// The records to be delivered, inflated into the buffer of `decompressor` if they are compressed.
    ///
    /// # Errors
    /// [`Error::CorruptRecords`] if the compressed bytes are corrupt or inflate to more than the decompressor's limit
    /// (`fetch.buffer.bytes`); the position goes back to this batch.
    #[inline]
    pub fn records<'a>(&'a self, decompressor: &'a mut Decompressor) -> Result<FetchedRecords<'a>> {
        let body = self
            .batch
            .uncompressed(decompressor)
            .map_err(|error| self.fail(error))?;
        if self.is_compressed() {
            self.inflates_to(body.len());
        }
        Ok(self.walk(body))
    }

    /// So many bytes were inflated of this batch into a buffer that is used again.
    pub(super) fn inflates_to(&self, bytes: usize) {
        self.origin.room.inflates_to(bytes);
    }

    pub(super) fn is_compressed(&self) -> bool {
        self.batch.compression() != Codec::None
    }

    fn verified(&self) -> Result<()> {
        if self.origin.check_crcs {
            self.batch.verify_crc().map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    pub(super) fn budget(&self) -> &FetchBudget {
        self.origin.room.budget()
    }

    /// The records to be delivered, in `body`, which is this batch's as [`Batch::uncompressed`] gave it.
    #[inline]
    pub fn walk<'a>(&'a self, body: &'a [u8]) -> FetchedRecords<'a> {
        let mut records = self.batch.records(body);
        if self.from > self.batch.base_offset() {
            self.skip(&mut records);
        }
        FetchedRecords {
            records,
            batch: self,
        }
    }

    #[cold]
    fn skip(&self, records: &mut RecordIter<'_>) {
        loop {
            let mut ahead = records.clone();
            match ahead.next() {
                Some(Ok(record)) if record.offset < self.from => *records = ahead,
                _ => return,
            }
        }
    }

    /// This batch cannot be read: the error to return, with the place; the partition's position goes back to the batch.
    #[cold]
    pub fn fail(&self, error: RecordError) -> Error {
        self.fail_at(self.from, error)
    }

    /// As [`FetchedBatch::fail`], where what lies before `offset` could be read.
    #[cold]
    pub(super) fn fail_at(&self, offset: i64, error: RecordError) -> Error {
        self.origin.fault.report(offset);
        corrupt(
            &self.origin.topic,
            self.origin.partition,
            offset,
            self.batch.next_offset(),
            error,
        )
    }
}

pub(super) fn corrupt(
    topic: &Text,
    partition: i32,
    offset: i64,
    next_offset: i64,
    source: RecordError,
) -> Error {
    Error::CorruptRecords {
        topic: topic.as_str().into(),
        partition,
        offset,
        next_offset,
        source,
    }
}

/// The records of one batch, as views; made by [`FetchedBatch::records`].
#[derive(Clone, Debug)]
pub struct FetchedRecords<'a> {
    records: RecordIter<'a>,
    batch: &'a FetchedBatch,
}

impl<'a> Iterator for FetchedRecords<'a> {
    type Item = Result<Record<'a>>;

    /// The next record. After an error, which sends the position back to the batch, nothing more comes.
    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        match self.records.next() {
            Some(Ok(record)) => Some(Ok(record)),
            Some(Err(error)) => Some(Err(self.batch.fail(error))),
            None => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.records.size_hint()
    }
}
