//! What a plan reads: Kafka's topics, or a source that a user has written; and what such a source is.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use kafka_proto::records::{Batch, BatchBuilder, Compression, Headers, Placement, Stamp};

use super::Topics;

/// An error of a user's source or sink.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Records of one read: after this many bytes a reader should return what it has.
const READ_BYTES: usize = 128 << 10;
/// A read should not take much longer than this: a commit waits for its end.
const READ_TIME: Duration = Duration::from_millis(10);
/// After each so many records it is looked how long the read has taken; before, at powers of two.
const LOOK_RECORDS: u32 = 64;
/// What one read may bring at most: memory is bounded also against a reader that does not look.
const READ_BYTES_MAX: usize = 64 << 20;

/// Where records come from, if not from Kafka: something with partitions, each of which is read in order by one worker.
///
/// Positions are offsets: numbers that grow from record to record and mean the same after a restart. A record's offset is its position, and the
/// position behind it is one more or further on. Positions are committed when all outputs made from the records before are
/// acknowledged: **at least once**, if [`Source::open`] can go back to where it is told.
///
/// ```
/// use engine::connectors::{BoxError, Collected, Open, Read, Reader, Records, Source};
///
/// /// The whole numbers below `end`, in two partitions: even and odd.
/// struct Numbers { end: i64 }
///
/// struct Counting { next: i64, step: i64, end: i64 }
///
/// impl Source for Numbers {
///     type Reader = Counting;
///     fn name(&self) -> &str { "numbers" }
///     fn partitions(&self) -> Result<i32, BoxError> { Ok(2) }
///     fn open(&self, open: Open) -> Result<Counting, BoxError> {
///         Ok(Counting { next: open.offset * 2 + i64::from(open.partition), step: 2, end: self.end })
///     }
/// }
///
/// impl Reader for Counting {
///     async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
///         // A source that waits for something awaits here: the engine asks again only when what came is processed.
///         while self.next < self.end && !records.is_full() {
///             records.push(0, None, Some(self.next.to_string().as_bytes()))?;
///             self.next += self.step;
///         }
///         Ok(if self.next < self.end { Read::More } else { Read::End })
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let squares = Collected::new();
/// let out = squares.clone();
/// let app = engine::plan::App::new("squares", move |s| {
///     s.source(Numbers { end: 10 }).utf8().try_map(|n| n.parse::<i64>()).map(|n| (n, n * n)).sink(&out);
/// })?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// app.run(&engine::Config::default()).await?;              // no broker: nothing here needs one
/// # Ok::<(), engine::Error>(()) })?;
/// assert_eq!(squares.take().len(), 10);
/// # Ok(()) }
/// ```
pub trait Source: Send + Sync + 'static {
    /// Reads one partition.
    type Reader: Reader;

    /// What errors and `explain` call it.
    fn name(&self) -> &str;

    /// Number of partitions, asked for once when the run begins. They are spread over the workers.
    ///
    /// # Errors
    /// When the source cannot be used; the run ends with this error and the source's name.
    fn partitions(&self) -> Result<i32, BoxError> {
        Ok(1)
    }

    /// Opens a partition where it is told. Called in the worker's thread, inside its tokio runtime; what blocks the thread (other than
    /// for reading a file) belongs into a thread of its own.
    ///
    /// # Errors
    /// When it cannot be read from there; the run ends with this error, the source's name and the partition.
    fn open(&self, open: Open) -> Result<Self::Reader, BoxError>;

    /// Whether [`Source::open`] can go back to a position in another life of the process. If not, each run begins at offset 0.
    fn keeps_positions(&self) -> bool {
        true
    }
}

impl<S: Source> Source for Arc<S> {
    type Reader = S::Reader;

    fn name(&self) -> &str {
        (**self).name()
    }

    fn partitions(&self) -> Result<i32, BoxError> {
        (**self).partitions()
    }

    fn open(&self, open: Open) -> Result<Self::Reader, BoxError> {
        (**self).open(open)
    }

    fn keeps_positions(&self) -> bool {
        (**self).keeps_positions()
    }
}

/// Which partition to open, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Open {
    /// The partition, counted from 0.
    pub partition: i32,
    /// Offset of the next record wanted; 0 when nothing was read yet.
    pub offset: i64,
    /// What [`Records::begin_segment`] has said last before this offset: the offset it begins at, and its name.
    pub segment: Option<(i64, String)>,
    /// The run ends at what is there now ([`Config::until_end`](crate::Config)): a source that would wait for more says [`Read::End`].
    pub until_end: bool,
}

/// Reads one partition of a [`Source`].
pub trait Reader: 'static {
    /// Waits until there is something to read, and adds it to `records`, which is empty: some records, until [`Records::is_full`]; not
    /// for long, so that the first of them need not wait for the others. It is called again when all of them are processed: nothing is
    /// read ahead, so memory stays bounded. The future is never dropped before it is done, except when the run ends.
    ///
    /// # Errors
    /// When reading cannot go on. The run ends with this error, the source's name and the partition; nothing that is committed is lost.
    fn read(&mut self, records: &mut Records) -> impl Future<Output = Result<Read, BoxError>>;
}

/// What comes after a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// There may be more: read again.
    More,
    /// The partition is at its end: it is not read again. When all partitions of all sources are, the run ends, committed.
    End,
}

/// The records of one read.
#[derive(Debug)]
pub struct Records {
    builder: BatchBuilder,
    /// Position before the first of them.
    start: i64,
    /// Offset that the batch counts from.
    base: i64,
    /// Position behind the last of them.
    next: i64,
    segments: Vec<(i64, String)>,
    /// A batch that was made elsewhere.
    made: Option<Batch>,
    /// The clock by which a read is bounded in time, if it is.
    clock: Option<fn() -> Instant>,
    /// When the first record of this read came, and whether time is up since.
    began: Option<Instant>,
    is_late: bool,
}

impl Records {
    pub(crate) fn new(position: i64) -> Self {
        Self {
            builder: BatchBuilder::new(Compression::NONE, 0),
            start: position,
            base: position,
            next: position,
            segments: Vec::new(),
            made: None,
            clock: None,
            began: None,
            is_late: false,
        }
    }

    /// Also full when a read has taken [`READ_TIME`] since its first record, by this clock.
    pub(crate) fn timed_by(self, clock: fn() -> Instant) -> Self {
        let clock = Some(clock);
        Self { clock, ..self }
    }

    /// Notes how long the read has taken. Few looks at the clock, also where a record costs little.
    #[inline]
    fn look(&mut self) {
        let count = self.builder.record_count();
        if let Some(clock) = self.clock
            && (count.is_power_of_two() || count.is_multiple_of(LOOK_RECORDS))
        {
            let now = clock();
            let began = *self.began.get_or_insert(now);
            self.is_late = now.duration_since(began) >= READ_TIME;
        }
    }

    /// Adds a record at the next offset: one behind the last. `timestamp` is in milliseconds since 1970, -1 for none.
    ///
    /// # Errors
    /// When the read is larger than 64 MiB.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), BoxError> {
        self.push_at(self.next, timestamp, key, value)
    }

    /// Adds a record at an offset of its own, which must be the next one or a later one.
    ///
    /// # Errors
    /// When the offset is one that is passed already, or the read is larger than 64 MiB.
    pub fn push_at(
        &mut self,
        offset: i64,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), BoxError> {
        if self.builder.is_empty() {
            self.base = offset.max(self.next);
        }
        let delta = offset
            .checked_sub(self.base)
            .and_then(|d| i32::try_from(d).ok());
        let (Some(delta), true) = (delta, offset >= self.next) else {
            return Err(format!(
                "a record was given offset {offset} where the next one is {}: offsets must grow, by less than 2^31 within a read",
                self.next
            )
            .into());
        };
        if self.builder.size_bytes() > READ_BYTES_MAX {
            return Err(format!(
                "one read brought more than {READ_BYTES_MAX} bytes: return when `records.is_full()`"
            )
            .into());
        }
        let record = kafka_proto::records::Record {
            offset,
            timestamp,
            key,
            value,
            headers: Headers::default(),
        };
        self.builder.append_at(delta, &record)?;
        self.next = offset + 1;
        self.look();
        Ok(())
    }

    /// Hands over a batch that was made before, in place of records.
    pub(crate) fn whole(&mut self, batch: Batch) {
        self.next = batch.next_offset();
        self.made = Some(batch);
    }

    /// Says that everything before this offset is read: the position is there, although the last record stands earlier.
    pub fn pass_to(&mut self, offset: i64) {
        self.next = self.next.max(offset);
    }

    /// The position behind what was added.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.next
    }

    /// Says that the offsets from here on lie in another part of the source: a file that has taken the place of another. The name and where it begins
    /// are kept with the position, and given back by [`Open::segment`].
    pub fn begin_segment(&mut self, name: impl Into<String>) {
        self.segments.push((self.next, name.into()));
    }

    /// Whether it is time to return: 128 KiB are there, or ten milliseconds have passed since the first record.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.builder.size_bytes() >= READ_BYTES || self.is_late
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty() && self.made.is_none()
    }

    pub(crate) fn take_segments(&mut self) -> Vec<(i64, String)> {
        std::mem::take(&mut self.segments)
    }

    /// Takes what was added, if it is anything: the position before it, and the batch. Then it is empty, and goes on behind.
    pub(crate) fn take(&mut self) -> Result<(i64, Option<Batch>), BoxError> {
        (self.began, self.is_late) = (None, false);
        let position = std::mem::replace(&mut self.start, self.next);
        if let Some(made) = self.made.take() {
            return Ok((position, Some(made)));
        }
        if self.builder.is_empty() {
            return Ok((position, None));
        }
        let placement = Placement {
            base_offset: self.base,
            ..Placement::NONE
        };
        let bytes = self.builder.finish_at(Stamp::NONE, placement)?;
        self.builder.clear();
        Ok((position, Some(Batch::new(bytes)?)))
    }
}

/// What a plan reads, of whatever kind.
#[derive(Clone)]
pub struct Origin(pub(crate) OriginKind);

#[derive(Clone)]
pub(crate) enum OriginKind {
    Topics(Arc<Topics>),
    Own(Arc<dyn AnySource>),
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (OriginKind::Topics(a), OriginKind::Topics(b)) => a == b,
            (OriginKind::Own(a), OriginKind::Own(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Origin {}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            OriginKind::Topics(topics) => topics.fmt(f),
            OriginKind::Own(own) => f.debug_tuple("Source").field(&own.name()).finish(),
        }
    }
}

impl Origin {
    pub(crate) fn topics(&self) -> Option<&Topics> {
        self.shared_topics().map(|topics| &**topics)
    }

    pub(crate) fn shared_topics(&self) -> Option<&Arc<Topics>> {
        match &self.0 {
            OriginKind::Topics(topics) => Some(topics),
            OriginKind::Own(_) => None,
        }
    }

    pub(crate) fn own(&self) -> Option<&Arc<dyn AnySource>> {
        match &self.0 {
            OriginKind::Topics(_) => None,
            OriginKind::Own(own) => Some(own),
        }
    }
}

/// What [`Scope::source`](crate::flow::Scope::source) takes: the name of a topic, [`Topics`], or any [`Source`] (one that is dear to
/// make in an `Arc`, because the plan runs for each batch).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a plan can read",
    note = "the name of a topic, `Topics::list([…])`, `Topics::pattern(\"…\")`, `elements([…])`, and types that implement `connectors::Source` are"
)]
pub trait IntoOrigin {
    /// What `explain` and errors call it.
    fn name(&self) -> &str;

    /// Makes the origin; called once, when the plan is learned.
    fn into_origin(self) -> Origin;
}

macro_rules! one_topic {
    ($($t:ty),*) => {$(
        impl IntoOrigin for $t {
            fn name(&self) -> &str {
                self
            }

            fn into_origin(self) -> Origin {
                Topics::list([&*self]).into_origin()
            }
        }
    )*};
}
one_topic!(&str, &String, String);

impl IntoOrigin for Topics {
    fn name(&self) -> &str {
        &self.title
    }

    fn into_origin(self) -> Origin {
        Origin(OriginKind::Topics(Arc::new(self)))
    }
}

impl IntoOrigin for &Topics {
    fn name(&self) -> &str {
        &self.title
    }

    fn into_origin(self) -> Origin {
        self.clone().into_origin()
    }
}

impl<S: Source> IntoOrigin for S {
    fn name(&self) -> &str {
        Source::name(self)
    }

    fn into_origin(self) -> Origin {
        Origin(OriginKind::Own(Arc::new(self)))
    }
}

/// A [`Source`] of any type.
pub(crate) trait AnySource: Send + Sync {
    fn name(&self) -> &str;
    fn partitions(&self) -> Result<i32, BoxError>;
    fn open(&self, open: Open) -> Result<Box<dyn AnyReader>, BoxError>;
    fn keeps_positions(&self) -> bool;
}

impl<S: Source> AnySource for S {
    fn name(&self) -> &str {
        Source::name(self)
    }

    fn partitions(&self) -> Result<i32, BoxError> {
        Source::partitions(self)
    }

    fn open(&self, open: Open) -> Result<Box<dyn AnyReader>, BoxError> {
        Ok(Box::new(Source::open(self, open)?))
    }

    fn keeps_positions(&self) -> bool {
        Source::keeps_positions(self)
    }
}

/// A read under way. It owns the reader, so that whoever waits for it may stop waiting and begin again.
pub(crate) type Reading =
    Pin<Box<dyn Future<Output = (Box<dyn AnyReader>, Records, Result<Read, BoxError>)>>>;

/// A [`Reader`] of any type.
pub(crate) trait AnyReader {
    fn read(self: Box<Self>, records: Records) -> Reading;
}

impl<R: Reader> AnyReader for R {
    fn read(mut self: Box<Self>, mut records: Records) -> Reading {
        Box::pin(async move {
            let outcome = Reader::read(&mut *self, &mut records).await;
            (self as Box<dyn AnyReader>, records, outcome)
        })
    }
}
