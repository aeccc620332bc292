//! One partition's log over raw batch bytes: offsets, leader epochs, last stable offset, aborted transactions.
//! Pure: no clock and no socket. It looks into a batch's header only; records stay as the producer encoded them.
//!
//! Bytes are copied once, when a batch is appended into the open segment (its header is restamped there). Reads are
//! slices of sealed bytes: the open segment is sealed by the first read that reaches into it, and neighbouring small
//! pieces are joined once when a later read runs over them.
use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};

use super::producers::{Active, Admission, Producers, SequenceError, Sequenced};

mod checks;

pub(crate) use checks::{RecordErrors, Timestamps};

/// Bytes of a magic 2 batch before its records.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes before the part that `batch_length` counts.
const LENGTH_PREFIX_BYTES: usize = 12;
/// The CRC covers everything behind itself.
const CRC_START: usize = 21;
/// Pieces this large are handed out as they are; smaller neighbours are joined up to this size.
const SEGMENT_BYTES: usize = 1 << 20;
const SEGMENT_BYTES_MIN: usize = 64 << 10;

const ATTRIBUTE_LOG_APPEND_TIME: i16 = 1 << 3;
const ATTRIBUTE_TRANSACTIONAL: i16 = 1 << 4;
const ATTRIBUTE_CONTROL: i16 = 1 << 5;

/// The header of a magic 2 batch (KIP-98), as far as a broker needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) base_offset: i64,
    /// The whole batch, the twelve bytes before the counted part included.
    pub(crate) size_bytes: usize,
    pub(crate) crc: u32,
    pub(crate) attributes: i16,
    pub(crate) last_offset_delta: i32,
    pub(crate) max_timestamp: i64,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) base_sequence: i32,
    pub(crate) record_count: i32,
}

impl Header {
    /// Reads the header of the batch at the start of `bytes`.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() < HEADER_BYTES {
            return Err(Refusal::Corrupt("a batch needs at least 61 bytes"));
        }
        if bytes[16] != 2 {
            return Err(Refusal::UnsupportedMagic(bytes[16] as i8));
        }
        let counted = i32_at(bytes, 8);
        if counted < (HEADER_BYTES - LENGTH_PREFIX_BYTES) as i32 {
            return Err(Refusal::Corrupt(
                "the batch length is smaller than a batch header",
            ));
        }
        let size_bytes = counted as usize + LENGTH_PREFIX_BYTES;
        if size_bytes > bytes.len() {
            return Err(Refusal::Corrupt(
                "the batch length is beyond the bytes sent",
            ));
        }
        Ok(Self {
            base_offset: i64_at(bytes, 0),
            size_bytes,
            crc: i32_at(bytes, 17) as u32,
            attributes: i16_at(bytes, 21),
            last_offset_delta: i32_at(bytes, 23),
            max_timestamp: i64_at(bytes, 35),
            producer_id: i64_at(bytes, 43),
            producer_epoch: i16_at(bytes, 51),
            base_sequence: i32_at(bytes, 53),
            record_count: i32_at(bytes, 57),
        })
    }

    pub(crate) fn is_transactional(&self) -> bool {
        self.attributes & ATTRIBUTE_TRANSACTIONAL != 0
    }

    pub(crate) fn is_control(&self) -> bool {
        self.attributes & ATTRIBUTE_CONTROL != 0
    }

    /// The number of the compression codec, as in the attributes.
    pub(crate) fn codec(&self) -> i16 {
        self.attributes & 7
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(array_at(bytes, at))
}
fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array_at(bytes, at))
}
fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array_at(bytes, at))
}

/// Why a batch was not appended. The produce handler maps it to an error code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Framing or checksum.
    Corrupt(&'static str),
    /// Well framed, but not what a producer may send.
    Invalid(&'static str),
    /// No batch, or more than one.
    NotOne,
    /// Magic 0 or 1, or none that exists.
    UnsupportedMagic(i8),
    /// Larger than the topic's `max.message.bytes`.
    TooLarge,
    /// Records, by their place in the batch, that the topic does not take; with words for the first of them.
    Records(RecordErrors),
    /// The producer's sequence or epoch does not fit.
    Sequence(SequenceError),
}

/// What a topic's settings mean for an append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) leader_epoch: i32,
    pub(crate) max_message_bytes: usize,
    pub(crate) timestamps: Timestamps,
    /// The topic is compacted: a record without a key is refused.
    pub(crate) keys_needed: bool,
    /// `message.timestamp.type=LogAppendTime`: the time to stamp.
    pub(crate) log_append_time_ms: Option<i64>,
    /// Keep about so many bytes, counted in segments; the oldest go first.
    pub(crate) retention_bytes: Option<u64>,
}

/// Where a batch ended up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// The batch was there already: the producer sent it again (idempotence).
    pub(crate) duplicate: bool,
}

/// A range of offsets of one producer that ended in an abort marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aborted {
    pub(crate) producer_id: i64,
    pub(crate) first_offset: i64,
    /// Offset of the abort marker.
    pub(crate) last_offset: i64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    base_offset: i64,
    last_offset: i64,
    /// Bytes appended to this log before this batch.
    position: u64,
    max_timestamp: i64,
}

/// Whole batches, as a read gives them.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) bytes: Bytes,
    /// Behind the last batch.
    pub(crate) end_offset: i64,
}

#[derive(Debug)]
struct Piece {
    position: u64,
    bytes: Bytes,
}

/// One partition's log.
#[derive(Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    /// Sealed bytes, in order and without a gap.
    pieces: VecDeque<Piece>,
    /// Appended and not yet read; stands behind the last piece.
    open: BytesMut,
    open_position: u64,
    end_position: u64,
    start_offset: i64,
    next_offset: i64,
    /// Readers see nothing at or above this; `None` is the end of the log.
    held_high_watermark: Option<i64>,
    /// Each leader epoch with its first offset.
    epochs: Vec<(i32, i64)>,
    producers: Producers,
    /// First offset of each open transaction, by producer id.
    open_transactions: BTreeMap<i64, i64>,
    aborted: Vec<Aborted>,
}

impl Log {
    pub(crate) fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// The offset that the next record gets.
    pub(crate) fn end_offset(&self) -> i64 {
        self.next_offset
    }

    pub(crate) fn high_watermark(&self) -> i64 {
        self.held_high_watermark
            .map_or(self.next_offset, |held| held.min(self.next_offset))
    }

    /// Keeps the high watermark from passing `offset`, as followers that lag do; `None` lets it go.
    pub(crate) fn hold_high_watermark(&mut self, offset: Option<i64>) {
        self.held_high_watermark = offset;
    }

    /// Everything below is decided: no open transaction begins below it.
    pub(crate) fn last_stable_offset(&self) -> i64 {
        let high_watermark = self.high_watermark();
        self.open_transactions
            .values()
            .copied()
            .min()
            .map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// Bytes kept.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.end_position - self.start_position()
    }

    fn start_position(&self) -> u64 {
        self.pieces
            .front()
            .map_or(self.open_position, |piece| piece.position)
    }

    /// Appends what one producer sent for this partition: exactly one batch, checked as a broker does.
    pub(crate) fn append(&mut self, bytes: &[u8], terms: Terms) -> Result<Appended, Refusal> {
        let header = Header::read(bytes)?;
        if header.size_bytes != bytes.len() {
            return Err(Refusal::NotOne);
        }
        if crc32c::crc32c(&bytes[CRC_START..]) != header.crc {
            return Err(Refusal::Corrupt("the batch's CRC does not match its bytes"));
        }
        if header.size_bytes > terms.max_message_bytes {
            return Err(Refusal::TooLarge);
        }
        if header.is_control() {
            return Err(Refusal::Invalid("clients may not write control batches"));
        }
        if header.record_count <= 0 || header.last_offset_delta != header.record_count - 1 {
            return Err(Refusal::Invalid(
                "the batch's record count does not fit its last offset delta",
            ));
        }
        if header.base_offset != 0 {
            return Err(Refusal::Invalid("a producer's batch has the base offset 0"));
        }
        if header.codec() > 4 {
            return Err(Refusal::Invalid("the batch names an unknown compression"));
        }
        checks::check_records(bytes, &header, &terms)?;
        if header.producer_id >= 0 {
            let sequenced = Sequenced {
                producer_id: header.producer_id,
                epoch: header.producer_epoch,
                base_sequence: header.base_sequence,
                last_offset_delta: header.last_offset_delta,
            };
            match self.producers.check(sequenced) {
                Ok(Admission::Duplicate { base_offset }) => {
                    return Ok(Appended {
                        base_offset,
                        duplicate: true,
                    });
                }
                Ok(Admission::Next) => {
                    let timestamp = terms.log_append_time_ms.unwrap_or(header.max_timestamp);
                    self.producers
                        .append(sequenced, self.next_offset, timestamp);
                }
                Err(error) => return Err(Refusal::Sequence(error)),
            }
        } else if header.is_transactional() {
            return Err(Refusal::Invalid(
                "a transactional batch needs a producer id",
            ));
        }
        let base_offset = self.push(bytes, &header, terms);
        Ok(Appended {
            base_offset,
            duplicate: false,
        })
    }

    /// Appends well framed batches as they are, whatever else is wrong with them; only base offsets and leader
    /// epoch are stamped. Holes inside a batch stay.
    pub(crate) fn append_raw(&mut self, bytes: &[u8], terms: Terms) -> Result<i64, Refusal> {
        let mut rest = bytes;
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let header = Header::read(rest)?;
            if header.last_offset_delta < 0 {
                return Err(Refusal::Invalid("the last offset delta is negative"));
            }
            headers.push(header);
            rest = &rest[header.size_bytes..];
        }
        let first = self.next_offset;
        let mut rest = bytes;
        for header in headers {
            let (batch, behind) = rest.split_at(header.size_bytes);
            rest = behind;
            let base_offset = self.push(batch, &header, terms);
            if header.is_control() {
                self.injected_marker(batch, &header, base_offset);
            } else if header.producer_id >= 0 && header.base_sequence >= 0 {
                let sequenced = Sequenced {
                    producer_id: header.producer_id,
                    epoch: header.producer_epoch,
                    base_sequence: header.base_sequence,
                    last_offset_delta: header.last_offset_delta,
                };
                self.producers
                    .append(sequenced, base_offset, header.max_timestamp);
            }
        }
        Ok(first)
    }

    /// A control batch that a test put in: its record's key says whether it ends a transaction.
    fn injected_marker(&mut self, batch: &[u8], header: &Header, offset: i64) {
        // Behind the header: length, attributes, timestamp delta, offset delta and key length of one byte each, then
        // the key: version and type. Markers are so small that every varint in them is one byte.
        let kind = batch
            .get(HEADER_BYTES + 5..HEADER_BYTES + 9)
            .map(|key| i16_at(key, 2));
        if let Some(kind @ (0 | 1)) = kind {
            self.close_transaction(header.producer_id, offset, kind == 1);
        }
    }

    /// Writes the marker that ends a producer's transaction here; gives the marker's offset.
    pub(crate) fn append_marker(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        commit: bool,
        now_ms: i64,
        terms: Terms,
    ) -> i64 {
        let batch = marker(producer_id, producer_epoch, commit, now_ms);
        let header = Header {
            base_offset: 0,
            size_bytes: batch.len(),
            crc: 0,
            attributes: ATTRIBUTE_CONTROL | ATTRIBUTE_TRANSACTIONAL,
            last_offset_delta: 0,
            max_timestamp: now_ms,
            producer_id,
            producer_epoch,
            base_sequence: -1,
            record_count: 1,
        };
        let terms = Terms {
            log_append_time_ms: None,
            ..terms
        };
        let offset = self.push(&batch, &header, terms);
        self.producers.fence(producer_id, producer_epoch);
        self.close_transaction(producer_id, offset, commit);
        offset
    }

    fn close_transaction(&mut self, producer_id: i64, marker_offset: i64, commit: bool) {
        let Some(first_offset) = self.open_transactions.remove(&producer_id) else {
            return;
        };
        if !commit {
            self.aborted.push(Aborted {
                producer_id,
                first_offset,
                last_offset: marker_offset,
            });
        }
    }

    /// Copies the batch behind the log and stamps it.
    fn push(&mut self, batch: &[u8], header: &Header, terms: Terms) -> i64 {
        let base_offset = self.next_offset;
        if self.open.capacity() - self.open.len() < batch.len() {
            self.seal();
            let segment = (self.size_bytes() as usize).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES);
            self.open = BytesMut::with_capacity(segment.max(batch.len()));
        }
        let at = self.open.len();
        self.open.extend_from_slice(batch);
        let stored = &mut self.open[at..];
        stored[..8].copy_from_slice(&base_offset.to_be_bytes());
        stored[12..16].copy_from_slice(&terms.leader_epoch.to_be_bytes());
        let mut max_timestamp = header.max_timestamp;
        if let Some(now_ms) = terms.log_append_time_ms {
            max_timestamp = now_ms;
            let attributes = header.attributes | ATTRIBUTE_LOG_APPEND_TIME;
            stored[21..23].copy_from_slice(&attributes.to_be_bytes());
            stored[35..43].copy_from_slice(&now_ms.to_be_bytes());
            let crc = crc32c::crc32c(&stored[CRC_START..]);
            stored[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let last_offset = base_offset + i64::from(header.last_offset_delta);
        self.entries.push_back(Entry {
            base_offset,
            last_offset,
            position: self.end_position,
            max_timestamp,
        });
        self.end_position += batch.len() as u64;
        self.next_offset = last_offset + 1;
        if self
            .epochs
            .last()
            .is_none_or(|&(epoch, _)| epoch < terms.leader_epoch)
        {
            self.epochs.push((terms.leader_epoch, base_offset));
        }
        if header.is_transactional() && !header.is_control() {
            self.open_transactions
                .entry(header.producer_id)
                .or_insert(base_offset);
        }
        if let Some(retention_bytes) = terms.retention_bytes {
            self.retain(retention_bytes);
        }
        base_offset
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            let bytes = self.open.split().freeze();
            let position = self.open_position;
            self.open_position += bytes.len() as u64;
            self.pieces.push_back(Piece { position, bytes });
        }
    }

    /// Drops whole pieces from the front until about `retention_bytes` are left.
    fn retain(&mut self, retention_bytes: u64) {
        while self.size_bytes() > retention_bytes && !self.pieces.is_empty() {
            self.pieces.pop_front();
            let start = self.start_position();
            let gone = self.entries.partition_point(|entry| entry.position < start);
            self.entries.drain(..gone);
            let first = self
                .entries
                .front()
                .map_or(self.next_offset, |entry| entry.base_offset);
            self.raise_start(first);
        }
    }

    /// Makes everything below `offset` unreadable, as DeleteRecords does; gives the new start of the log.
    pub(crate) fn delete_before(&mut self, offset: i64) -> i64 {
        let first = self.first_entry_from(offset);
        let position = self
            .entries
            .get(first)
            .map_or(self.end_position, |entry| entry.position);
        self.seal();
        while self
            .pieces
            .front()
            .is_some_and(|piece| piece.position + piece.bytes.len() as u64 <= position)
        {
            self.pieces.pop_front();
        }
        let start = self.start_position();
        let gone = self.entries.partition_point(|entry| entry.position < start);
        self.entries.drain(..gone);
        self.raise_start(offset);
        self.start_offset
    }

    fn raise_start(&mut self, offset: i64) {
        self.start_offset = offset.clamp(self.start_offset, self.next_offset);
        self.aborted
            .retain(|aborted| aborted.last_offset >= self.start_offset);
        self.open_transactions
            .values_mut()
            .for_each(|first| *first = (*first).max(self.start_offset));
    }

    /// Cuts the log at the batch that holds `offset`, as an unclean leader election does. What transactions and
    /// producers did there is forgotten only where it shows in offsets.
    pub(crate) fn truncate(&mut self, offset: i64) {
        self.seal();
        let keep = self.first_entry_from(offset);
        let Some(first_gone) = self.entries.get(keep).copied() else {
            return;
        };
        self.entries.truncate(keep);
        while self
            .pieces
            .back()
            .is_some_and(|piece| piece.position >= first_gone.position)
        {
            self.pieces.pop_back();
        }
        if let Some(piece) = self.pieces.back_mut() {
            let keep_bytes = (first_gone.position - piece.position) as usize;
            piece.bytes.truncate(keep_bytes);
        }
        self.end_position = first_gone.position;
        self.open_position = first_gone.position;
        self.open = BytesMut::new();
        self.next_offset = first_gone.base_offset;
        let end = self.next_offset;
        self.epochs.retain(|&(_, first)| first < end);
        self.open_transactions.retain(|_, first| *first < end);
        self.aborted.retain(|aborted| aborted.last_offset < end);
        self.producers.truncate(end);
        self.start_offset = self.start_offset.min(end);
    }

    fn first_entry_from(&self, offset: i64) -> usize {
        self.entries
            .partition_point(|entry| entry.last_offset < offset)
    }

    fn position_of(&self, index: usize) -> u64 {
        self.entries
            .get(index)
            .map_or(self.end_position, |entry| entry.position)
    }

    /// Bytes of the whole batches from the one that holds `from` to `up_to`.
    pub(crate) fn bytes_between(&self, from: i64, up_to: i64) -> u64 {
        let first = self.first_entry_from(from);
        let end = self.first_entry_from(up_to).max(first);
        self.position_of(end) - self.position_of(first)
    }

    /// Whole batches, from the one that holds `from` on, that end below `up_to`: at most `bytes_max`, but with
    /// `first_always` at least one. May be fewer than there are; the next read goes on.
    pub(crate) fn read(
        &mut self,
        from: i64,
        up_to: i64,
        bytes_max: usize,
        first_always: bool,
    ) -> Slice {
        let nothing = Slice {
            bytes: Bytes::new(),
            end_offset: from,
        };
        let first = self.first_entry_from(from);
        let mut end = self.first_entry_from(up_to);
        if end <= first {
            return nothing;
        }
        let start = self.position_of(first);
        let limit = start.saturating_add(bytes_max as u64);
        // A batch fits when the next one starts within the limit.
        while end > first + 1 && self.position_of(end) > limit {
            let inside = self
                .entries
                .partition_point(|entry| entry.position <= limit);
            end = inside.saturating_sub(1).clamp(first + 1, end - 1);
        }
        if self.position_of(end) > limit && !first_always {
            return nothing;
        }
        let stop = self.position_of(end);
        if stop > self.open_position {
            self.seal();
        }
        let index = self
            .pieces
            .partition_point(|piece| piece.position <= start)
            .saturating_sub(1);
        if self.piece_end(index) < stop {
            self.join(index);
        }
        let stop = stop.min(self.piece_end(index));
        let behind = self.entries.partition_point(|entry| entry.position < stop);
        let (Some(piece), Some(last)) = (self.pieces.get(index), self.entries.get(behind - 1))
        else {
            return nothing;
        };
        let offset = (start - piece.position) as usize;
        Slice {
            bytes: piece.bytes.slice(offset..offset + (stop - start) as usize),
            end_offset: last.last_offset + 1,
        }
    }

    fn piece_end(&self, index: usize) -> u64 {
        self.pieces.get(index).map_or(self.open_position, |piece| {
            piece.position + piece.bytes.len() as u64
        })
    }

    /// Joins a small piece with the ones behind it, so that a reader of many small appends gets them in one go.
    fn join(&mut self, index: usize) {
        let mut bytes_total = self.pieces[index].bytes.len();
        if bytes_total >= SEGMENT_BYTES / 2 {
            return;
        }
        let mut end = index + 1;
        while let Some(next) = self.pieces.get(end) {
            if bytes_total + next.bytes.len() > SEGMENT_BYTES {
                break;
            }
            bytes_total += next.bytes.len();
            end += 1;
        }
        if end == index + 1 {
            return;
        }
        let mut joined = BytesMut::with_capacity(bytes_total);
        let position = self.pieces[index].position;
        for piece in self.pieces.drain(index..end) {
            joined.extend_from_slice(&piece.bytes);
        }
        let bytes = joined.freeze();
        self.pieces.insert(index, Piece { position, bytes });
    }

    /// The ranges of aborted transactions that touch offsets from `from` to below `to`.
    pub(crate) fn aborted_between(&self, from: i64, to: i64) -> Vec<Aborted> {
        self.aborted
            .iter()
            .filter(|aborted| aborted.last_offset >= from && aborted.first_offset < to)
            .copied()
            .collect()
    }

    /// The first batch that may hold a record with a timestamp of `timestamp` or later.
    pub(crate) fn batch_for_timestamp(&mut self, timestamp: i64) -> Option<Bytes> {
        let start_offset = self.start_offset;
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.max_timestamp >= timestamp && entry.last_offset >= start_offset)
            .copied()?;
        Some(self.batch_of(entry))
    }

    /// The first batch with the largest timestamp of the log.
    pub(crate) fn batch_with_max_timestamp(&mut self) -> Option<Bytes> {
        let max = self.entries.iter().map(|entry| entry.max_timestamp).max()?;
        self.batch_for_timestamp(max)
    }

    fn batch_of(&mut self, entry: Entry) -> Bytes {
        self.read(entry.base_offset, entry.last_offset + 1, 0, true)
            .bytes
    }

    /// The last leader epoch up to `epoch` and where it ended (KIP-279); `None` where the log knows nothing of it.
    pub(crate) fn end_of_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let behind = self.epochs.partition_point(|&(known, _)| known <= epoch);
        let &(last, _) = self.epochs.last()?;
        if epoch > last {
            return None;
        }
        let end = self
            .epochs
            .get(behind)
            .map_or(self.next_offset, |&(_, first)| first);
        match behind.checked_sub(1).and_then(|at| self.epochs.get(at)) {
            Some(&(known, _)) => Some((known, end)),
            None => Some((epoch, end)),
        }
    }

    /// The leader epoch under which the record at `offset` was, or would be, appended; −1 in an empty log.
    pub(crate) fn epoch_of(&self, offset: i64) -> i32 {
        let behind = self.epochs.partition_point(|&(_, first)| first <= offset);
        behind
            .checked_sub(1)
            .and_then(|at| self.epochs.get(at))
            .map_or(-1, |&(epoch, _)| epoch)
    }

    /// The producers that are remembered, each with the first offset of its open transaction.
    pub(crate) fn producers(&self) -> impl Iterator<Item = (Active, Option<i64>)> {
        let first = |active: &Active| self.open_transactions.get(&active.producer_id).copied();
        self.producers
            .active()
            .map(move |active| (active, first(&active)))
    }

    /// Forgets a producer, as a broker does when its id has expired.
    pub(crate) fn forget_producer(&mut self, producer_id: i64) {
        self.producers.forget(producer_id);
    }
}

/// A control batch with one record that says how a transaction ended (KIP-98).
fn marker(producer_id: i64, producer_epoch: i16, commit: bool, now_ms: i64) -> Vec<u8> {
    let mut batch = vec![0; HEADER_BYTES];
    // One record; every varint is one byte: length 16, no attributes, deltas 0, key of 4 bytes, value of 6, no headers.
    batch.extend_from_slice(&[32, 0, 0, 0, 8]);
    batch.extend_from_slice(&[0, 0, 0, u8::from(commit)]);
    batch.extend_from_slice(&[12, 0, 0, 0, 0, 0, 0]);
    batch.push(0);
    let counted = (batch.len() - LENGTH_PREFIX_BYTES) as i32;
    batch[8..12].copy_from_slice(&counted.to_be_bytes());
    batch[16] = 2;
    let attributes = ATTRIBUTE_CONTROL | ATTRIBUTE_TRANSACTIONAL;
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[27..35].copy_from_slice(&now_ms.to_be_bytes());
    batch[35..43].copy_from_slice(&now_ms.to_be_bytes());
    batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
    batch[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
    batch[53..57].copy_from_slice(&(-1i32).to_be_bytes());
    batch[57..61].copy_from_slice(&1i32.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[cfg(test)]
pub(crate) mod tests;
