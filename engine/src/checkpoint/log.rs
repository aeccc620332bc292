//! What a run needs from outside, and all that the runtime sees of Kafka: input to read, outputs and changelogs to append to, positions to
//! commit. `connectors` implements it over Kafka and over memory.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, atomic::AtomicU64};

use crate::Error;
use crate::batch::{
    Batch, BatchBuilder, InputPartition, OutboxConfig, sink::Destination, source::Origin,
};

/// A partition of one of the run's topics. Topics are counted in the order in which they were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Index of the topic.
    pub topic: usize,
    /// Which of its topics, where that is an input of several, and the partition's number there.
    pub partition: InputPartition,
}

impl Place {
    /// A partition of what is one topic.
    #[must_use]
    pub fn single(topic: usize, number: i32) -> Self {
        Self::of(topic, 0, number)
    }

    /// A partition of the `nth` topic of an input that is several topics.
    #[must_use]
    pub fn of(topic: usize, nth: usize, number: i32) -> Self {
        Self {
            topic,
            partition: InputPartition::of_topic(nth, number),
        }
    }

    /// Which of the input's topics it is in.
    #[must_use]
    pub fn nth(self) -> usize {
        self.partition.nth()
    }

    /// The partition's number in its topic.
    #[must_use]
    pub fn number(self) -> i32 {
        self.partition.number()
    }
}

/// A place and the offset of the next record wanted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Where.
    pub place: Place,
    /// Next record wanted.
    pub offset: i64,
}

/// What is committed for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Next record wanted.
    pub offset: i64,
    /// What was committed beside it.
    pub metadata: String,
}

/// What a fetch brought for one partition.
pub trait Arrival {
    /// A batch, and what keeps its bytes and its share of the buffer budget.
    type Held: AsRef<Batch>;

    /// Where it came from.
    fn place(&self) -> Place;

    /// First offset that is wanted of it: the first batch may begin before.
    fn position(&self) -> i64;

    /// Position when all of it is processed, with control batches and what was aborted counted as passed.
    fn next_position(&self) -> i64;

    /// The topic it came from.
    fn topic(&self) -> &str;

    /// Nothing comes from the partition any more: it is at its end for good.
    fn is_last(&self) -> bool {
        false
    }

    /// End of what could be read: the last stable offset under read_committed, else the high watermark.
    fn end(&self) -> i64;

    /// Takes the next batch, in order. Control batches and what was aborted are left out.
    ///
    /// # Errors
    /// When the batch is corrupt.
    fn next_batch(&mut self) -> Result<Option<Self::Held>, Error>;
}

/// Reads partitions. One belongs to each worker and lives in its thread.
pub trait Source {
    /// What a fetch brings for one partition.
    type Arrival: Arrival;

    /// Reads from these positions on, and nothing else any more.
    fn assign(&mut self, positions: &[Position]);

    /// Without an offset: stops reading a place. With one: reads it from there on again. The other places are not touched. True: what is
    /// here of it, and what was given out and is not handled, comes again then. False: it does not, so what was given out is to be handled.
    fn hold(&mut self, place: Place, from: Option<i64>) -> bool;

    /// The next arrival; waits for it, for ever if need be. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What cannot be waited out: the topic is gone, the position is gone and no reset is allowed, a batch is corrupt.
    fn next(&mut self) -> impl Future<Output = Result<Self::Arrival, Error>>;

    /// What an earlier wait has brought already, without looking further.
    fn try_next(&mut self) -> Option<Self::Arrival>;

    /// Kafka's high watermark of a place that is read, as the last answer gave it; `None` while none has, or while something of the
    /// place is here and not taken. An open transaction that holds what can be read below it does not lower it.
    fn high_watermark(&self, place: Place) -> Option<i64>;
}

/// When a batch is acknowledged, or why it cannot be.
pub type Ack = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// What becomes of records that their topic does not take. Batches of a sink whose policy is not to fail have one, and dead letters.
#[derive(Debug)]
pub struct Guard {
    /// The operator that writes, as errors name it.
    pub operator: String,
    /// Topic of the dead letters, by its index among the run's topics, and its number of partitions.
    pub letters: Option<(usize, i32)>,
    /// What the batches hold.
    pub holds: Guarded,
    /// What was refused.
    pub refused: Arc<Refused>,
}

/// What guarded batches hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// Results for a topic that the plan names.
    Results,
    /// Results for topics that rows name: what such a topic alone refuses is about the rows.
    ResultsByTopic,
    /// Dead letters: one that is too large is cut.
    Letters,
}

/// Counts of one worker: what topics have not taken since they were last asked for.
#[derive(Debug, Default)]
pub struct Refused {
    /// Results that were left out, or became dead letters.
    pub records: AtomicU64,
    /// Dead letters that could not be written at all.
    pub letters_lost: AtomicU64,
}

/// Appends record batches. Each worker has one; what they share (connections, buffer budget, sequences) is behind it.
pub trait Sink {
    /// Opens a topic that only a record has named: created if missing, where the cluster allows it. Returns the index that it has for
    /// [`Self::append`], and its number of partitions.
    ///
    /// # Errors
    /// When there is no such topic and it may not be created.
    fn open(&mut self, topic: &str) -> impl Future<Output = Result<(usize, i32), Error>>;

    /// Hands a filled batch over, in order; waits while the buffer is full. The acknowledgement comes later.
    ///
    /// # Errors
    /// When the batch cannot be accepted, for example because it is too large.
    fn append(
        &mut self,
        place: Place,
        batch: BatchBuilder,
    ) -> impl Future<Output = Result<Ack, Error>>;

    /// As [`Self::append`]; what its topic does not take is for `guard`. What cannot say so record by record takes the batch as it is.
    ///
    /// # Errors
    /// As [`Self::append`], for what is not about the records.
    fn append_guarded(
        &mut self,
        place: Place,
        batch: BatchBuilder,
        guard: &Arc<Guard>,
    ) -> impl Future<Output = Result<Ack, Error>> {
        let _ = guard;
        self.append(place, batch)
    }

    /// Hands a fetched batch over whole, or `None` when this one has to be rewritten record by record.
    ///
    /// # Errors
    /// As [`Self::append`].
    fn relay(
        &mut self,
        place: Place,
        batch: &Batch,
        position: i64,
    ) -> impl Future<Output = Result<Option<Ack>, Error>>;

    /// Waits until what was handed over to something else than a log is durable; logs say so by their acknowledgements.
    ///
    /// # Errors
    /// When it cannot be.
    fn flush(&mut self) -> impl Future<Output = Result<(), Error>> {
        std::future::ready(Ok(()))
    }

    /// An empty builder whose batch is done with, to be filled again.
    fn spare(&mut self) -> Option<BatchBuilder>;
}

/// What kind of topic the run needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Read by the run; topics are created if missing, where the cluster allows it.
    Input(Origin),
    /// Written by the run; a topic is created if missing, where the cluster allows it.
    Output(Destination),
    /// State: compacted, with exactly this many partitions; created if missing.
    Changelog {
        /// One for each key group.
        partitions: i32,
    },
}

/// Which part of the input is this process's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// Nothing for now: another member of the group has it.
    Standby,
    /// These partitions.
    Mine(Vec<Place>),
}

/// A change of what this process owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This is ours from now on.
    Assigned(Share),
    /// Finish, commit and then call [`Log::release`]: it will be assigned anew.
    Revoked,
    /// It is another's already: what was not committed is not ours to commit any more.
    Lost(String),
}

/// Where the positions of sources that are not the log's own are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptPositions {
    /// Not in this log.
    Elsewhere,
    /// In this log, beside the state: as they were kept last, if they ever were.
    Here(Option<Vec<u8>>),
}

/// Everything that a run shares between its workers: the group, the positions, the topics.
pub trait Log {
    /// How a worker reads.
    type Source: Source;
    /// How a worker writes.
    type Sink: Sink;
    /// Carries what a worker needs to its thread.
    type Worker: Worker<Source = Self::Source, Sink = Self::Sink> + Send + 'static;

    /// Makes sure that the topics are there and as they must be; returns their partition counts.
    ///
    /// # Errors
    /// When a topic is missing and may not be created, or a changelog has the wrong partition count or cleanup policy.
    fn open(&mut self, topics: &[(String, Need)]) -> impl Future<Output = Result<Vec<i32>, Error>>;

    /// What a person should know of the topics that were opened, although the run goes on.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// All partitions of the inputs that are there: what the group shares.
    fn inputs(&self) -> Vec<Place>;

    /// Where each place ends, `None` for one that goes on; `i64::MAX` for one that says so itself ([`Arrival::is_last`]). With `until_end` all end.
    ///
    /// # Errors
    /// When the cluster does not say.
    fn ends(
        &self,
        places: &[Place],
        until_end: bool,
    ) -> impl Future<Output = Result<Vec<Option<i64>>, Error>>;

    /// Joins the group to share these topics; `whole` when one member must have all of it.
    ///
    /// # Errors
    /// When the group cannot be joined.
    fn join(&self, input: &[usize], whole: bool) -> impl Future<Output = Result<(), Error>>;

    /// The next change of what is ours. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When membership ended for good.
    fn change(&self) -> impl Future<Output = Result<Change, Error>>;

    /// Everything is finished and committed: the partitions may go to others.
    fn release(&self);

    /// Where each place continues: the committed position, or where `auto.offset.reset` says.
    ///
    /// # Errors
    /// When it cannot be told; never a guess.
    fn positions(&self, places: &[Place]) -> impl Future<Output = Result<Vec<Position>, Error>>;

    /// The committed positions, `None` where nothing is committed.
    ///
    /// # Errors
    /// When they cannot be told.
    fn committed(&self, places: &[Place]) -> impl Future<Output = Result<Vec<Option<i64>>, Error>>;

    /// As [`Self::committed`], with what was committed beside each position (nothing, of sources that are not Kafka's). Only who owns the
    /// places may ask.
    ///
    /// # Errors
    /// When it cannot be told.
    fn committed_with_metadata(
        &self,
        places: &[Place],
    ) -> impl Future<Output = Result<Vec<Option<Committed>>, Error>>;

    /// Whether the position of a place is still known to the next run.
    fn keeps_position(&self, _place: Place) -> bool {
        true
    }

    /// The name of the topic, or of the source of another kind, that a place is in.
    fn name_of(&self, place: Place) -> String;

    /// First and end offsets at this moment; the end is the last stable offset under read_committed when `stable`, else the high watermark.
    ///
    /// # Errors
    /// When the cluster does not say.
    fn bounds(
        &self,
        places: &[Place],
        stable: bool,
    ) -> impl Future<Output = Result<Vec<(i64, i64)>, Error>>;

    /// Commits the positions of an epoch whose outputs are acknowledged, each with this metadata beside it.
    ///
    /// # Errors
    /// When they could not be committed, for example because another member has taken over.
    fn commit(
        &self,
        positions: &[Position],
        metadata: &str,
    ) -> impl Future<Output = Result<(), Error>>;

    /// Bytes that one record may have on its way to a changelog.
    fn record_bytes_max(&self) -> usize {
        usize::MAX
    }

    /// How batches for this cluster are built; the number of partitions is each topic's own.
    fn outbox(&self) -> OutboxConfig;

    /// What a worker takes to its thread.
    fn worker(&self) -> Self::Worker;

    /// The positions of sources that are not the log's own, in a plan with state.
    ///
    /// # Errors
    /// When they cannot be read, or belong to another application.
    fn kept_positions(&self) -> impl Future<Output = Result<KeptPositions, Error>> {
        std::future::ready(Ok(KeptPositions::Elsewhere))
    }

    /// Keeps such positions, where [`Self::kept_positions`] said that they are here; when this returns they are as durable as state.
    ///
    /// # Errors
    /// When they cannot be kept; what was kept before stays.
    fn keep_positions(&self, positions: Vec<u8>) -> impl Future<Output = Result<(), Error>> {
        drop(positions);
        std::future::ready(Ok(()))
    }

    /// The work is lost, or given up: workers made until now can write nothing more, and what they have handed over is given up where it is
    /// not on its way. That happens at once; the future waits within bounds for what is on its way. Workers made after it are not concerned.
    fn revoke(&self) -> impl Future<Output = ()> {
        std::future::ready(())
    }

    /// Leaves the group and sends what is left; the others take over at once.
    fn close(self) -> impl Future<Output = ()>;
}

/// Makes a worker's ends inside its own thread and runtime.
pub trait Worker {
    /// How it reads.
    type Source: Source;
    /// How it writes.
    type Sink: Sink;

    /// A reader of this run's topics.
    ///
    /// # Errors
    /// When it cannot be made.
    fn source(&self) -> Result<Self::Source, Error>;

    /// A writer to this run's topics.
    fn sink(&self) -> Self::Sink;
}
