//! Batches being filled: those that are lent out, and the one of each partition that `send` and `enqueue` fill.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::delivery::Completion;
use super::memory::{BATCH_OVERHEAD, Share};
use super::state::Outcome;
use crate::client::error::Error;
use crate::records::{BatchBuilder, BuildError, Codec, Compression, Record, Stamp};

/// A batch of one partition that its owner fills: no lock, no waiting, nothing shared, until it is given to
/// [`Producer::submit`](super::Producer::submit). Dropping it sends nothing.
#[derive(Debug)]
pub struct OpenBatch {
    pub(super) builder: BatchBuilder,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
}

impl OpenBatch {
    /// Appends a record and returns its offset delta: its place in the batch. `timestamp` is in milliseconds since 1970, −1 if there is none.
    ///
    /// # Errors
    /// [`BuildError::Timestamp`]; [`BuildError::Full`] when it does not fit below `max.request.size` any more: submit this batch and open another.
    #[inline]
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<i32, BuildError> {
        if timestamp < -1 {
            return Err(BuildError::Timestamp(timestamp));
        }
        self.builder.append(timestamp, key, value, headers)
    }

    /// Appends a record that was read, with its key, value, headers and timestamp.
    ///
    /// # Errors
    /// As [`OpenBatch::append`].
    #[inline]
    pub fn append_record(&mut self, record: &Record<'_>) -> Result<i32, BuildError> {
        self.builder.append_record(record)
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Records so far.
    #[inline]
    #[must_use]
    pub fn record_count(&self) -> u32 {
        self.builder.record_count()
    }

    /// Bytes so far, before compression. Submit it when this passes what one wants a batch to be (`batch.size` is a fine measure).
    #[inline]
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.builder.size_bytes()
    }

    /// Whether there is no record yet.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// What it will take of `buffer.memory` at most.
    pub(super) fn memory_bytes(&self) -> usize {
        if self.builder.compression().codec() == Codec::None {
            self.builder.capacity_bytes() + BATCH_OVERHEAD
        } else {
            // Compressed, it is a copy of its exact size, hardly ever larger than before.
            self.builder.size_bytes() + BATCH_OVERHEAD
        }
    }

    /// The builder itself, for code that writes records by other means.
    pub fn builder(&mut self) -> &mut BatchBuilder {
        &mut self.builder
    }
}

/// Where `send` and `enqueue` put the records of one partition.
#[derive(Debug)]
pub(super) struct Accumulator {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    load: Arc<Mutex<Waiting>>,
    /// Held while a record is appended or the batch is sealed and handed over: batches leave in the order in which they were filled.
    open: Mutex<Option<Filling>>,
}

/// The batch that is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    pub(super) builder: BatchBuilder,
    pub(super) completion: Arc<Completion>,
    /// Covers `batch.size`, or the one larger record.
    pub(super) share: Share,
    /// Tells it from later ones of its partition.
    pub(super) serial: u64,
    /// `delivery.timeout.ms` counts from here.
    pub(super) opened: Instant,
}

/// A batch that was opened and is to be sent: whoever drops this while the batch is still being filled tells its waiters that the
/// producer is gone.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) accumulator: Arc<Accumulator>,
    pub(super) serial: u64,
}

impl Opened {
    /// Whether the batch is still being filled.
    pub(super) fn is_filling(&self) -> bool {
        self.is(&self.accumulator.lock())
    }

    fn is(&self, open: &Option<Filling>) -> bool {
        let filling = open.as_ref();
        filling.is_some_and(|filling| filling.serial == self.serial)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let filling = {
            let mut open = self.accumulator.lock();
            if !self.is(&open) {
                return;
            }
            open.take()
        };
        if let Some(Filling {
            builder,
            completion,
            ..
        }) = filling
        {
            let error = Error::Delivery {
                topic: Arc::clone(&self.accumulator.topic),
                partition: self.accumulator.partition,
                maybe_written: false,
                source: Box::new(Error::Closed { what: "producer" }),
            };
            completion.tell(builder.record_count(), Outcome::Failed(error));
        }
    }
}

impl Accumulator {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            load: Arc::default(),
            open: Mutex::new(None),
        }
    }

    /// How many batches wait here or are on their way.
    pub(super) fn load(&self) -> u32 {
        waiting(&self.load).batches
    }

    /// Whether batches have waited here for so long, and none of them could be sent.
    pub(super) fn is_stuck_for(&self, timeout: Duration) -> bool {
        let waiting = waiting(&self.load);
        waiting
            .since
            .is_some_and(|since| since.elapsed() >= timeout)
    }

    /// Counts one more, until what is returned is dropped.
    pub(super) fn loaded(&self) -> Loaded {
        let mut waiting = waiting(&self.load);
        waiting.batches += 1;
        waiting.unsent += 1;
        waiting.since.get_or_insert_with(Instant::now);
        Loaded {
            load: Arc::clone(&self.load),
            is_sent: false,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Filling>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The batches of one partition that were accepted and have not ended.
#[derive(Debug, Default)]
struct Waiting {
    batches: u32,
    /// Those of them that were not sent yet.
    unsent: u32,
    /// Since when one of those is there and none was sent.
    since: Option<Instant>,
}

fn waiting(load: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    load.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A batch that counts in its partition's load.
#[derive(Debug)]
pub(super) struct Loaded {
    load: Arc<Mutex<Waiting>>,
    is_sent: bool,
}

impl Loaded {
    /// The batch is sent, perhaps not for the first time.
    pub(super) fn sent(&mut self) {
        if !std::mem::replace(&mut self.is_sent, true) {
            waiting(&self.load).one_less_unsent();
        }
    }
}

impl Waiting {
    fn one_less_unsent(&mut self) {
        self.unsent -= 1;
        self.since = (self.unsent > 0).then(Instant::now);
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let mut waiting = waiting(&self.load);
        waiting.batches -= 1;
        if !self.is_sent {
            waiting.one_less_unsent();
        }
    }
}

/// Builders and buffers of finished batches, to be used again: fresh memory costs as much as filling it.
#[derive(Debug)]
pub(super) struct Pool {
    capacity: usize,
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    builders: Vec<BatchBuilder>,
    buffers: Vec<Bytes>,
}

impl Pool {
    /// Builders that are kept at most.
    const BUILDERS_MAX: usize = 64;

    /// A pool for batches of about `batch_size` bytes that keeps at most `bytes_max` bytes, and at least one buffer.
    pub(super) fn new(batch_size: usize, bytes_max: usize) -> Self {
        Self {
            // The record that fills a batch, or passes its size a little, is not to double its buffer.
            capacity: batch_size + batch_size / 8 + 64,
            kept: Mutex::default(),
            bytes_max,
        }
    }

    /// The bytes that a batch takes which is not opened for one larger record.
    pub(super) fn batch_bytes(&self) -> usize {
        self.capacity + BATCH_OVERHEAD
    }

    /// An empty builder that takes records up to `limit` bytes.
    pub(super) fn builder(&self, compression: Compression, limit: usize) -> BatchBuilder {
        let (builder, buffer) = {
            let mut kept = self.kept();
            let fits = |builder: &BatchBuilder| builder.compression() == compression;
            let place = kept.builders.iter().rposition(fits);
            let builder = place.map(|place| kept.builders.swap_remove(place));
            // Builders that compress keep their buffers.
            let is_bare = builder.is_none() || compression.codec() == Codec::None;
            let buffer = if is_bare { kept.buffers.pop() } else { None };
            (builder, buffer)
        };
        let mut builder = builder.unwrap_or_else(|| BatchBuilder::new(compression, self.capacity));
        if let Some(buffer) = buffer {
            builder.recycle(buffer);
        }
        builder.with_limit(limit)
    }

    /// Ends a batch: its bytes, and how much of `buffer.memory` they take.
    pub(super) fn finish(&self, mut builder: BatchBuilder) -> Result<(Bytes, usize), BuildError> {
        let capacity = builder.capacity_bytes();
        let bytes = builder.finish(Stamp::NONE)?;
        let is_plain = builder.compression().codec() == Codec::None;
        self.give_builder(builder);
        if !is_plain {
            let taken = bytes.len() + BATCH_OVERHEAD;
            return Ok((bytes, taken));
        }
        if bytes.len() >= capacity / 2 {
            return Ok((bytes, capacity + BATCH_OVERHEAD));
        }
        // A few records are not to hold a buffer for many.
        let exact = Bytes::copy_from_slice(&bytes);
        if capacity <= 2 * self.capacity {
            self.give_bytes(bytes);
        }
        let taken = exact.len() + BATCH_OVERHEAD;
        Ok((exact, taken))
    }

    /// Takes an empty builder back.
    fn give_builder(&self, mut builder: BatchBuilder) {
        builder.clear();
        let mut kept = self.kept();
        if kept.builders.len() < Self::BUILDERS_MAX {
            kept.builders.push(builder);
        }
    }

    /// Takes the bytes of a batch back that was acknowledged.
    pub(super) fn recycle(&self, bytes: Bytes) {
        // Smaller ones are exact copies, larger ones had one large record.
        if bytes.len() >= self.capacity / 2 && bytes.len() <= 2 * self.capacity {
            self.give_bytes(bytes);
        }
    }

    fn give_bytes(&self, bytes: Bytes) {
        if !bytes.is_unique() {
            return;
        }
        let mut kept = self.kept();
        if kept.buffers.len() < (self.bytes_max / self.capacity).max(1) {
            kept.buffers.push(bytes);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_keeps_buffers_up_to_its_bound_and_lends_them_again() {
        let pool = Pool::new(1000, 2500);
        let buffers: Vec<Bytes> = (0..4).map(|_| vec![0_u8; 1000].into()).collect();
        let places: Vec<*const u8> = buffers.iter().map(|buffer| buffer.as_ptr()).collect();
        buffers.into_iter().for_each(|buffer| pool.recycle(buffer));
        assert_eq!(pool.kept().buffers.len(), 2);
        let shared = Bytes::from(vec![0_u8; 1000]);
        let other = shared.clone();
        let builder = pool.builder(Compression::NONE, 1000);
        pool.recycle(shared);
        assert_eq!(pool.kept().buffers.len(), 1, "somebody still reads it");
        drop((other, builder));
        let mut builder = pool.builder(Compression::NONE, 1000);
        builder.append(1, None, Some(&[b'a'; 900]), &[]).unwrap();
        let (batch, _) = pool.finish(builder).unwrap();
        assert_eq!(batch.as_ptr(), places[0]);
    }

    #[test]
    fn a_small_batch_takes_its_own_size_and_a_full_one_its_buffer() {
        let pool = Pool::new(1000, 10_000);
        let mut builder = pool.builder(Compression::NONE, 1000);
        builder.append(1, None, Some(b"a"), &[]).unwrap();
        let (batch, taken) = pool.finish(builder).unwrap();
        assert_eq!(taken, batch.len() + BATCH_OVERHEAD);
        assert_eq!(pool.kept().buffers.len(), 1, "its buffer is free again");
        // Filled to the brim: the last record does not double the buffer.
        let mut builder = pool.builder(Compression::NONE, 1000);
        while builder.append(1, None, Some(&[0; 21]), &[]).is_ok() {}
        assert!(builder.size_bytes() > 960, "{}", builder.size_bytes());
        let (_, taken) = pool.finish(builder).unwrap();
        assert_eq!(taken, pool.batch_bytes());
    }
}
