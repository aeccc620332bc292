//! What a plan writes to: a topic, or a sink that a user has written; and what such a sink is.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use super::{Record, source::BoxError};

/// Where records go, if not to Kafka.
///
/// Each worker opens a [`Writer`] of its own and hands it batches, in order. Positions are committed after [`Writer::flush`]: **at least once**.
/// After a crash some records are written again, so a sink that must have each result once needs an idempotent write (an upsert by
/// key), or keeps what it has seen.
///
/// When the work goes to another process while a function of the plan does not come back, the
/// worker's next write is refused. One that is under way then goes on beside the next owner's:
/// only the written system can refuse that one, by a number that grows (a fencing token).
///
/// ```
/// use std::sync::mpsc;
/// use engine::{batch::Record, connectors::{BoxError, Sink, Writer, elements}};
///
/// /// Posts each batch in one piece, as one would to an HTTP service.
/// struct Post(mpsc::Sender<Vec<String>>);
///
/// impl Sink for Post {
///     type Writer = Posting;
///     fn name(&self) -> &str { "post" }
///     fn open(&self) -> Result<Posting, BoxError> { Ok(Posting(self.0.clone())) }
/// }
///
/// struct Posting(mpsc::Sender<Vec<String>>);
///
/// impl Writer for Posting {
///     async fn write(&mut self, records: &[Record<'_>]) -> Result<(), BoxError> {
///         let text = |r: &Record<'_>| String::from_utf8_lossy(r.value.unwrap_or_default()).into_owned();
///         self.0.send(records.iter().map(text).collect())?;     // a real one awaits the answer here: that is the back-pressure
///         Ok(())
///     }
///     async fn flush(&mut self) -> Result<(), BoxError> { Ok(()) }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (to, posted) = mpsc::channel();
/// let post = std::sync::Arc::new(Post(to));
/// let app = engine::plan::App::new("shout", move |s| {
///     s.source(elements(["to be", "or not"])).utf8().map(|l| ((), l.to_uppercase())).sink(post.clone());
/// })?;
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(app.run(&engine::Config::default()))?;
/// assert_eq!(posted.iter().next(), Some(vec!["TO BE".to_owned(), "OR NOT".to_owned()]));
/// # Ok(()) }
/// ```
pub trait Sink: Send + Sync + 'static {
    /// Writes for one worker.
    type Writer: Writer;

    /// What errors and `explain` call it.
    fn name(&self) -> &str;

    /// Opens it for one worker, in that worker's thread and tokio runtime, when the run begins.
    ///
    /// # Errors
    /// When it cannot be written to; the run ends with this error and the sink's name.
    fn open(&self) -> Result<Self::Writer, BoxError>;
}

impl<S: Sink> Sink for Arc<S> {
    type Writer = S::Writer;

    fn name(&self) -> &str {
        (**self).name()
    }

    fn open(&self) -> Result<Self::Writer, BoxError> {
        (**self).open()
    }
}

/// Writes for one worker; see [`Sink`].
pub trait Writer: 'static {
    /// Writes records, in order. While it waits nothing more is read: this is the back-pressure. It need not be durable before
    /// [`Writer::flush`].
    ///
    /// # Errors
    /// When it cannot be written, and trying again is of no use. The run ends with this error and the sink's name; what is not committed is
    /// processed again by the next run.
    fn write(&mut self, records: &[Record<'_>]) -> impl Future<Output = Result<(), BoxError>>;

    /// Waits until all that was written is as durable as it will be. The positions of its records are committed after this.
    ///
    /// # Errors
    /// As [`Writer::write`].
    fn flush(&mut self) -> impl Future<Output = Result<(), BoxError>>;
}

/// What a plan writes to, of whatever kind.
#[derive(Clone)]
pub struct Destination(pub(crate) DestinationKind);

#[derive(Clone)]
pub(crate) enum DestinationKind {
    Topic,
    Own(Arc<dyn AnySink>),
}

impl Destination {
    pub(crate) const TOPIC: Self = Self(DestinationKind::Topic);

    pub(crate) fn own(&self) -> Option<&Arc<dyn AnySink>> {
        match &self.0 {
            DestinationKind::Topic => None,
            DestinationKind::Own(own) => Some(own),
        }
    }
}

impl PartialEq for Destination {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (DestinationKind::Topic, DestinationKind::Topic) => true,
            (DestinationKind::Own(a), DestinationKind::Own(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Destination {}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            DestinationKind::Topic => f.write_str("Topic"),
            DestinationKind::Own(own) => f.debug_tuple("Sink").field(&own.name()).finish(),
        }
    }
}

/// What [`Stream::sink`](crate::flow::Stream::sink) takes: the name of a topic, or any [`Sink`] (one that is dear to make in an `Arc`,
/// because the plan runs for each batch).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is nothing that a plan can write to",
    note = "the name of a topic, and types that implement `connectors::Sink` are"
)]
pub trait IntoDestination {
    /// What `explain` and errors call it; the name of a topic.
    fn name(&self) -> &str;

    /// Makes the destination; called once, when the plan is learned.
    fn into_destination(self) -> Destination;
}

macro_rules! topic {
    ($($t:ty),*) => {$(
        impl IntoDestination for $t {
            fn name(&self) -> &str {
                self
            }

            fn into_destination(self) -> Destination {
                Destination::TOPIC
            }
        }
    )*};
}
topic!(&str, &String, String);

impl<S: Sink> IntoDestination for S {
    fn name(&self) -> &str {
        Sink::name(self)
    }

    fn into_destination(self) -> Destination {
        Destination(DestinationKind::Own(Arc::new(self)))
    }
}

/// A [`Sink`] of any type.
pub(crate) trait AnySink: Send + Sync {
    fn name(&self) -> &str;
    fn open(&self) -> Result<Box<dyn AnyWriter>, BoxError>;
}

impl<S: Sink> AnySink for S {
    fn name(&self) -> &str {
        Sink::name(self)
    }

    fn open(&self) -> Result<Box<dyn AnyWriter>, BoxError> {
        Ok(Box::new(Sink::open(self)?))
    }
}

/// A write or flush under way.
pub(crate) type Writing<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + 'a>>;

/// A [`Writer`] of any type.
pub(crate) trait AnyWriter {
    fn write<'a>(&'a mut self, records: &'a [Record<'a>]) -> Writing<'a>;
    fn flush(&mut self) -> Writing<'_>;
}

impl<W: Writer> AnyWriter for W {
    fn write<'a>(&'a mut self, records: &'a [Record<'a>]) -> Writing<'a> {
        Box::pin(Writer::write(self, records))
    }

    fn flush(&mut self) -> Writing<'_> {
        Box::pin(Writer::flush(self))
    }
}
