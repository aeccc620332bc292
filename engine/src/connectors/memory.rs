//! Memory at both ends: elements, iterators and collected results. For tests, for embedding, and for whatever fits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::batch::sink::{Destination, IntoDestination, Sink, Writer};
use crate::batch::source::{BoxError, IntoOrigin, Open, Origin, Read, Reader, Records, Source};
use crate::batch::{Batch, OutRecord, Record, Scratch};
use crate::formats::Payload;

/// These values, in their order, and then the end: a bounded source of one partition, whose records have no key and the time at which the plan was learned.
///
/// ```
/// use engine::connectors::{Collected, elements};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lengths = Collected::new();
/// let out = lengths.clone();
/// let app = engine::plan::App::new("lengths", move |s| {
///     s.source(elements(["to be", "or not"])).utf8().map(|line| (line, line.len() as u64)).sink(&out);
/// })?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(app.run(&engine::Config::default()))?;
/// assert_eq!(lengths.take()[1].value_u64(), Some(6));
/// # Ok(()) }
/// ```
pub fn elements<I>(items: I) -> Elements<I>
where
    I: IntoIterator,
    I::Item: Payload,
{
    Elements { items }
}

/// A source of given values; see [`elements`]. They are copied once, when the plan is learned.
#[derive(Clone, Debug)]
pub struct Elements<I> {
    items: I,
}

impl<I> IntoOrigin for Elements<I>
where
    I: IntoIterator,
    I::Item: Payload,
{
    fn name(&self) -> &str {
        "elements"
    }

    fn into_origin(self) -> Origin {
        let mut batches = Vec::new();
        let mut records = Records::new(0);
        let mut scratch = Scratch::default();
        let now = now_ms();
        for item in self.items {
            let pushed = scratch
                .pair(&(), &item)
                .map_err(BoxError::from)
                .and_then(|(key, value)| records.push(now, key, value));
            pushed.unwrap_or_else(|e| panic!("an element cannot be a record: {e}"));
            if records.is_full() {
                batches.extend(records.take().ok().and_then(|(_, batch)| batch));
            }
        }
        batches.extend(records.take().ok().and_then(|(_, batch)| batch));
        Batches(batches.into()).into_origin()
    }
}

struct Batches(Arc<[Batch]>);

struct BatchReader {
    batches: Arc<[Batch]>,
    next: usize,
}

impl Source for Batches {
    type Reader = BatchReader;

    fn name(&self) -> &str {
        "elements"
    }

    fn open(&self, open: Open) -> Result<BatchReader, BoxError> {
        let batches = Arc::clone(&self.0);
        let next = batches.partition_point(|batch| batch.next_offset() <= open.offset);
        Ok(BatchReader { batches, next })
    }

    fn keeps_positions(&self) -> bool {
        false
    }
}

impl Reader for BatchReader {
    async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
        if let Some(batch) = self.batches.get(self.next) {
            records.whole(batch.clone());
            self.next += 1;
        }
        Ok(if self.next < self.batches.len() {
            Read::More
        } else {
            Read::End
        })
    }
}

/// Pairs of key and value from iterators, one for each partition, made by a function of the partition's number; it is bounded if they are. After a restart each begins anew.
///
/// Partitions are spread over the workers, so the iterators run side by side.
///
/// ```
/// use std::sync::Arc;
/// use engine::connectors::{Collected, generated};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sums = Collected::new();
/// let out = sums.clone();
/// let numbers = Arc::new(generated(4, |partition| (0..1000u64).map(move |n| (partition, n))));
/// let app = engine::plan::App::new("sums", move |s| {
///     s.source(numbers.clone()).record()
///         .map(|r| (r.key.unwrap_or_default()[3], r.value.unwrap_or_default()[7] as u64))
///         .key_by(|r| r.0)
///         .sum(|r| r.1)
///         .map(|(partition, sum)| (partition as i32, sum))
///         .sink(&out);
/// })?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(app.run(&engine::Config::default()))?;
/// assert!(sums.take().len() >= 4);
/// # Ok(()) }
/// ```
pub fn generated<F, I, K, V>(partitions: i32, make: F) -> Generated<F>
where
    F: Fn(i32) -> I + Send + Sync + 'static,
    I: Iterator<Item = (K, V)> + 'static,
    K: Payload + 'static,
    V: Payload + 'static,
{
    Generated { partitions, make }
}

/// A source of iterators; see [`generated`].
#[derive(Clone, Debug)]
pub struct Generated<F> {
    partitions: i32,
    make: F,
}

/// Reads one iterator of a [`Generated`].
#[derive(Debug)]
pub struct GeneratedReader<I> {
    items: I,
    scratch: Scratch,
}

impl<F, I, K, V> Source for Generated<F>
where
    F: Fn(i32) -> I + Send + Sync + 'static,
    I: Iterator<Item = (K, V)> + 'static,
    K: Payload + 'static,
    V: Payload + 'static,
{
    type Reader = GeneratedReader<I>;

    fn name(&self) -> &str {
        "generated"
    }

    fn partitions(&self) -> Result<i32, BoxError> {
        Ok(self.partitions)
    }

    fn open(&self, open: Open) -> Result<Self::Reader, BoxError> {
        let mut items = (self.make)(open.partition);
        if let Some(passed) = usize::try_from(open.offset)
            .ok()
            .and_then(|n| n.checked_sub(1))
        {
            let _ = items.nth(passed);
        }
        Ok(GeneratedReader {
            items,
            scratch: Scratch::default(),
        })
    }

    fn keeps_positions(&self) -> bool {
        false
    }
}

impl<I, K, V> Reader for GeneratedReader<I>
where
    I: Iterator<Item = (K, V)> + 'static,
    K: Payload,
    V: Payload,
{
    async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
        let now = now_ms();
        while !records.is_full() {
            let Some((key, value)) = self.items.next() else {
                return Ok(Read::End);
            };
            let (key, value) = self.scratch.pair(&key, &value)?;
            records.push(now, key, value)?;
        }
        Ok(Read::More)
    }
}

/// The wall clock, in milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Collects what is written to it: a sink in memory. Clones are handles to the same records.
///
/// Each worker's records are in their order; between workers there is none.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    records: Arc<Mutex<Vec<OutRecord>>>,
}

impl Collected {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was written since it was last asked.
    #[must_use]
    pub fn take(&self) -> Vec<OutRecord> {
        std::mem::take(&mut self.lock())
    }

    /// Number of records that are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OutRecord>> {
        // Each holder leaves a whole value behind.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IntoDestination for &Collected {
    fn name(&self) -> &str {
        "collected"
    }

    fn into_destination(self) -> Destination {
        self.clone().into_destination()
    }
}

impl Sink for Collected {
    type Writer = Self;

    fn name(&self) -> &str {
        "collected"
    }

    fn open(&self) -> Result<Self, BoxError> {
        Ok(self.clone())
    }
}

impl Writer for Collected {
    async fn write(&mut self, records: &[Record<'_>]) -> Result<(), BoxError> {
        self.lock().extend(records.iter().map(OutRecord::of));
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BoxError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset and value of each record from an offset on, and the offsets at which reads begin.
    async fn read(origin: &Origin, offset: i64) -> (Vec<(i64, String)>, Vec<i64>) {
        let open = Open {
            partition: 0,
            offset,
            segment: None,
            until_end: true,
        };
        let mut reader = origin.own().unwrap().open(open).unwrap();
        let mut records = Records::new(offset);
        let (mut all, mut begins) = (Vec::new(), Vec::new());
        loop {
            let outcome;
            (reader, records, outcome) = reader.read(records).await;
            if let Some(batch) = records.take().unwrap().1 {
                begins.push(batch.base_offset());
                for record in batch.records(batch.body()) {
                    let record = record.unwrap();
                    let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
                    all.push((record.offset, value));
                }
            }
            if outcome.unwrap() == Read::End {
                return (all, begins);
            }
        }
    }

    #[tokio::test]
    async fn elements_go_on_at_the_batch_that_a_position_lies_in() {
        let values: Vec<String> = (0..10).map(|n| n.to_string().repeat(50_000)).collect();
        let origin = elements(values.clone()).into_origin();
        let (all, begins) = read(&origin, 0).await;
        assert_eq!(
            all.iter().map(|(_, value)| value).collect::<Vec<_>>(),
            values.iter().collect::<Vec<_>>()
        );
        assert!(begins.len() > 2, "{begins:?}");
        let second = begins[1];
        for (at, first) in [(second - 1, 0), (second, second), (second + 1, second)] {
            assert_eq!(read(&origin, at).await.1[0], first, "at {at}");
        }
        assert!(read(&origin, 10).await.0.is_empty());
    }

    #[tokio::test]
    async fn generated_pairs_go_on_at_the_position() {
        let origin = generated(1, |_| (0..5).map(|n| ((), n.to_string()))).into_origin();
        for from in 0..=5 {
            let want: Vec<(i64, String)> = (from..5).map(|n| (n, n.to_string())).collect();
            assert_eq!(read(&origin, from).await.0, want);
        }
    }
}
