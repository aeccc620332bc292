//! A fetched record batch as the plan sees it: walked in place, nothing copied.

use kafka_proto::records::{Batch, Headers, RecordError, RecordIter, WalkPlace};

use super::InputPartition;

/// A record as it lies in the batch, without its partition.
pub(crate) type RawRecord<'b> = kafka_proto::records::Record<'b>;

/// What Kafka writes for a record without a timestamp.
const NO_TIMESTAMP: i64 = -1;

/// Whether a timestamp is a time: Kafka's -1 and `i64::MIN` mean that there is none, `i64::MAX` is the end of time.
#[inline]
pub(crate) const fn is_time(timestamp: i64) -> bool {
    timestamp != NO_TIMESTAMP && timestamp != i64::MIN && timestamp != i64::MAX
}

/// One fetched batch of one partition, its records uncompressed.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'b> {
    partition: InputPartition,
    topic: Option<&'b str>,
    batch: &'b Batch,
    body: &'b [u8],
    position: i64,
}

impl<'b> Frame<'b> {
    /// The records of `batch` from offset `position` on (a fetch may return a batch that begins before what was asked for).
    /// `body` is what [`Batch::uncompressed`] gave for this batch.
    #[must_use]
    pub fn new(partition: InputPartition, batch: &'b Batch, body: &'b [u8], position: i64) -> Self {
        Self {
            partition,
            topic: None,
            batch,
            body,
            position,
        }
    }

    /// The same, of this topic; without it the topic is the source's.
    #[must_use]
    pub fn of_topic(self, topic: &'b str) -> Self {
        Self {
            topic: Some(topic),
            ..self
        }
    }

    /// The topic it was fetched from, if somebody has said so.
    pub(crate) fn topic(&self) -> Option<&'b str> {
        self.topic
    }

    /// The partition that the batch was fetched from, among all that its source reads.
    #[must_use]
    pub fn partition(&self) -> InputPartition {
        self.partition
    }

    /// The batch itself, for those who relay it.
    #[must_use]
    pub fn batch(&self) -> &'b Batch {
        self.batch
    }

    /// The bytes of its records.
    pub(crate) fn body(&self) -> &'b [u8] {
        self.body
    }

    /// The greatest timestamp of its records that is a time.
    pub(crate) fn greatest_time(&self) -> Option<i64> {
        let greatest = self.batch.max_timestamp();
        if is_time(greatest) {
            return Some(greatest);
        }
        let times = self.walk().filter_map(|r| r.ok().map(|r| r.timestamp));
        times.filter(|at| is_time(*at)).max()
    }

    /// First offset that is wanted.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// All records that lie in the batch, also those before the position.
    #[inline]
    pub(crate) fn walk(&self) -> RecordIter<'b> {
        self.batch.records(self.body)
    }

    /// As [`Frame::walk`], from where another walk stood.
    #[inline]
    pub(crate) fn walk_from(&self, place: WalkPlace) -> RecordIter<'b> {
        self.batch.records_from(self.body, place)
    }

    /// The records from the position on.
    ///
    /// # Errors
    /// Each item is an error when the bytes are no record; nothing follows then.
    pub fn records(&self) -> impl Iterator<Item = Result<Record<'b>, RecordError>> + use<'b> {
        let (position, partition) = (self.position, self.partition.number());
        let topic = self.topic.unwrap_or_default();
        self.walk()
            .filter(move |r| !matches!(r, Ok(r) if r.offset < position))
            .map(move |r| r.map(|r| Record::of(r, topic, partition)))
    }
}

/// Where the last record that was looked up by its index stands in the frame of a call. Looking records up in their order walks the
/// frame once, whatever their number: a batch of nothing but bad records must not cost its square.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// Its index, and where the walk stood before it.
    at: Option<(u32, WalkPlace)>,
    /// Records that were walked over.
    #[cfg(test)]
    steps: u64,
}

impl Cursor {
    /// The record of this index in the frame, which is the same in all calls; `None` when there is none that can be read.
    pub(crate) fn record<'b>(&mut self, frame: Frame<'b>, index: u32) -> Option<RawRecord<'b>> {
        let (mut next, mut records) = match self.at {
            Some((at, place)) if at <= index => (at, frame.batch.records_from(frame.body, place)),
            // Another operator began anew with the first records.
            _ => (0, frame.walk()),
        };
        loop {
            let place = records.place();
            let record = records.next()?.ok()?;
            #[cfg(test)]
            {
                self.steps += 1;
            }
            if next == index {
                self.at = Some((index, place));
                return Some(record);
            }
            next += 1;
        }
    }
}

/// A whole record as a plan sees it: borrowed from the fetched batch, and written by `sink` as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'b> {
    /// The key; no key and an empty key are two things.
    pub key: Option<&'b [u8]>,
    /// The value; a null value is a tombstone in a compacted topic.
    pub value: Option<&'b [u8]>,
    /// The headers, in their order, duplicates included.
    pub headers: Headers<'b>,
    /// The topic it was read from; what a source of another kind is called.
    pub topic: &'b str,
    /// Offset in the partition it was read from.
    pub offset: i64,
    /// Milliseconds since 1970; -1 when the record has none.
    pub timestamp: i64,
    /// Partition it was read from, and which a sink writes it to. `None`: the sink chooses by the key, as Kafka's producer does.
    pub partition: Option<i32>,
}

impl<'b> Record<'b> {
    #[inline]
    pub(crate) fn of(record: RawRecord<'b>, topic: &'b str, partition: i32) -> Self {
        Self {
            key: record.key,
            value: record.value,
            headers: record.headers,
            topic,
            offset: record.offset,
            timestamp: record.timestamp,
            partition: Some(partition),
        }
    }

    /// As the builder of batches takes it.
    #[inline]
    pub(crate) fn raw(&self) -> RawRecord<'b> {
        RawRecord {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            headers: self.headers,
        }
    }

    /// The same record with another value.
    #[must_use]
    pub fn with_value(self, value: Option<&'b [u8]>) -> Self {
        Self { value, ..self }
    }

    /// The same record, to be written to the partition that its key chooses (murmur2, as Kafka's producer).
    #[must_use]
    pub fn by_key(self) -> Self {
        Self {
            partition: None,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_proto::records::{BatchBuilder, Compression, Stamp};

    use super::*;

    #[test]
    fn looking_up_every_record_of_a_frame_walks_it_once_for_each_operator_that_does() {
        let mut builder = BatchBuilder::new(Compression::NONE, 1 << 16);
        for n in 0..1000 {
            let value = format!("{n}");
            let appended = builder.append(n, None, Some(value.as_bytes()), &[]);
            appended.expect("the batch has room");
        }
        let bytes = builder.finish(Stamp::NONE).expect("it is not empty");
        let batch = Batch::new(bytes).expect("it is a batch");
        let frame = Frame::new(InputPartition::single(0), &batch, batch.body(), 0);
        let mut cursor = Cursor::default();
        let value = |cursor: &mut Cursor, index: u32| {
            let record = cursor.record(frame, index);
            record.and_then(|r| r.value).map(<[u8]>::to_vec)
        };
        for round in 1..=2 {
            for index in 0..1000 {
                let want = Some(format!("{index}").into_bytes());
                assert_eq!(value(&mut cursor, index), want);
            }
            // Each is read once more, so that the next operator may ask for the same one.
            assert_eq!(cursor.steps, round * 1999);
        }
        assert_eq!(value(&mut cursor, 500), Some(b"500".to_vec()), "a way back");
        assert_eq!(value(&mut cursor, 1000), None, "there is no such record");
        assert_eq!(value(&mut cursor, 999), Some(b"999".to_vec()));
    }
}
