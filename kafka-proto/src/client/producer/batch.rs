//! Batches being filled: those that are lent out, and the one of each partition that `send` and `enqueue` fill.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::delivery::Completion;
use crate::records::{BatchBuilder, BuildError, Compression, Record};

/// A batch of one partition that its owner fills: no lock, no waiting, nothing shared, until it is given to
/// [`Producer::submit`](super::Producer::submit). Dropping it sends nothing.
#[derive(Debug)]
pub struct OpenBatch {
    pub(super) builder: BatchBuilder,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
}

impl OpenBatch {
    /// Appends a record and returns its offset delta: its place in the batch. `timestamp` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`BuildError::Full`] when it does not fit below `max.request.size` any more: submit this batch and open another.
    #[inline]
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) -> Result<i32, BuildError> {
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
    /// Held while a record is appended or the batch is sealed and handed over: batches leave in the order in which they were filled.
    open: Mutex<Option<Filling>>,
}

/// The batch that is being filled.
#[derive(Debug)]
pub(super) struct Filling {
    pub(super) builder: BatchBuilder,
    pub(super) completion: Arc<Completion>,
    /// Covers `batch.size`, or the one larger record.
    pub(super) permit: OwnedSemaphorePermit,
    /// Tells it from later ones of its partition.
    pub(super) serial: u64,
    /// `delivery.timeout.ms` counts from here.
    pub(super) opened: Instant,
}

impl Accumulator {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self {
            topic,
            partition,
            open: Mutex::new(None),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Filling>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Builders and buffers of finished batches, to be used again: fresh memory costs as much as filling it.
#[derive(Debug)]
pub(super) struct Pool {
    compression: Compression,
    capacity: usize,
    kept: Mutex<Kept>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    builders: Vec<BatchBuilder>,
    buffers: Vec<Bytes>,
    bytes: usize,
}

impl Pool {
    /// Builders that are kept at most.
    const BUILDERS_MAX: usize = 64;

    pub(super) fn new(compression: Compression, capacity: usize, bytes_max: usize) -> Self {
        Self {
            compression,
            capacity,
            kept: Mutex::default(),
            bytes_max,
        }
    }

    /// An empty builder that takes records up to `limit` bytes.
    pub(super) fn builder(&self, limit: usize) -> BatchBuilder {
        let (builder, buffer) = {
            let mut kept = self.kept();
            let buffer = kept.buffers.pop();
            kept.bytes -= buffer.as_ref().map_or(0, Bytes::len);
            (kept.builders.pop(), buffer)
        };
        let mut builder =
            builder.unwrap_or_else(|| BatchBuilder::new(self.compression, self.capacity));
        if let Some(buffer) = buffer {
            builder.recycle(buffer);
        }
        builder.with_limit(limit)
    }

    /// Takes an empty builder back.
    pub(super) fn give_builder(&self, mut builder: BatchBuilder) {
        builder.clear();
        let mut kept = self.kept();
        if kept.builders.len() < Self::BUILDERS_MAX {
            kept.builders.push(builder);
        }
    }

    /// Takes the bytes of a batch back that were sent and acknowledged.
    pub(super) fn give_bytes(&self, bytes: Bytes) {
        // Compressed batches have exact buffers, too small to be worth it; their builders keep the large ones.
        if self.compression != Compression::NONE || !bytes.is_unique() {
            return;
        }
        let mut kept = self.kept();
        if kept.bytes + bytes.len() <= self.bytes_max {
            kept.bytes += bytes.len();
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
        let pool = Pool::new(Compression::NONE, 1000, 2500);
        let buffers: Vec<Bytes> = (0..4).map(|_| vec![0_u8; 1000].into()).collect();
        let places: Vec<*const u8> = buffers.iter().map(|buffer| buffer.as_ptr()).collect();
        buffers
            .into_iter()
            .for_each(|buffer| pool.give_bytes(buffer));
        assert_eq!(pool.kept().buffers.len(), 2);
        let shared = Bytes::from(vec![0_u8; 100]);
        let other = shared.clone();
        pool.give_bytes(shared);
        assert_eq!(pool.kept().buffers.len(), 2, "somebody still reads it");
        drop(other);
        let mut builder = pool.builder(1000);
        builder.append(1, None, Some(b"a"), &[]).unwrap();
        let batch = builder.finish(crate::records::Stamp::NONE).unwrap();
        assert_eq!(batch.as_ptr(), places[1]);
        assert_eq!(pool.kept().bytes, 1000);
    }
}
