//! The graph of a plan: its operators in the order in which the plan builds them, learned from one call without data.

use std::fmt;

use super::{Error, policy::Declared};
use crate::{
    batch::{Topics, names, sink::Destination, source::Origin},
    state::Store,
};

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Reads a topic.
    Source,
    /// One row for each row.
    Map,
    /// Keeps some rows.
    Filter,
    /// Any number of rows for each row.
    FlatMap,
    /// One row for each row, or an error.
    TryMap,
    /// Gives rows their event time.
    Timestamps,
    /// Looks at rows.
    Inspect,
    /// Keeps the rows of a batch for several readers.
    Share,
    /// The rows of two streams.
    Union,
    /// Splits a stream in two.
    Branch,
    /// Counts rows by key.
    Count,
    /// Folds rows by key.
    Aggregate,
    /// Joins two rows of a key into one, again and again.
    Reduce,
    /// Sums a number by key.
    Sum,
    /// The least value of each key.
    Min,
    /// The greatest value of each key.
    Max,
    /// The average of a number by key.
    Average,
    /// The greatest rows of each key.
    TopN,
    /// Holds rows until time has passed them, and gives them out in the order of their times.
    InOrder,
    /// Folds rows by key and window.
    Window,
    /// The rows that came too late for a window, or to be brought into order.
    Late,
    /// Calls a user's function for the rows and timers of each key.
    Process,
    /// The first row of each key.
    Deduplicate,
    /// Each key once.
    Distinct,
    /// Asks something outside for each row.
    Enrich,
    /// Writes to a topic.
    Sink,
    /// Ends in a user's function.
    ForEach,
}

impl Kind {
    /// Name as users write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Map => "map",
            Self::Filter => "filter",
            Self::FlatMap => "flat_map",
            Self::TryMap => "try_map",
            Self::Timestamps => "with_timestamps",
            Self::Inspect => "inspect",
            Self::Share => "share",
            Self::Union => "union",
            Self::Branch => "branch",
            Self::Count => "count",
            Self::Aggregate => "aggregate",
            Self::Reduce => "reduce",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Average => "average",
            Self::TopN => "top_n",
            Self::InOrder => "in_order",
            Self::Window => "window",
            Self::Late => "late",
            Self::Process => "process",
            Self::Deduplicate => "deduplicate",
            Self::Distinct => "distinct",
            Self::Enrich => "enrich",
            Self::Sink => "sink",
            Self::ForEach => "for_each",
        }
    }

    /// Whether rows are grouped by key before it: it has state, a changelog, and rows that come from other workers.
    #[must_use]
    pub const fn is_keyed(self) -> bool {
        matches!(
            self,
            Self::Count
                | Self::Aggregate
                | Self::Reduce
                | Self::Sum
                | Self::Min
                | Self::Max
                | Self::Average
                | Self::TopN
                | Self::InOrder
                | Self::Window
                | Self::Process
                | Self::Deduplicate
                | Self::Distinct
        )
    }

    /// Whether rows are written down before it and come in with another call: it is keyed, or it waits for answers.
    #[must_use]
    pub const fn is_cut(self) -> bool {
        self.is_keyed() || matches!(self, Self::Enrich)
    }

    /// Whether it gives out rows when time has come, not only at commits.
    #[must_use]
    pub const fn waits_for_time(self) -> bool {
        matches!(
            self,
            Self::InOrder | Self::Window | Self::Process | Self::Deduplicate | Self::Distinct
        )
    }

    /// Whether no stream leaves it.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Sink | Self::ForEach)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What happens to a record or row that an operator cannot read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnBad {
    /// It is left out and counted: the default of sources, `try_map` and `with_timestamps`, because what cannot be read today cannot be
    /// read after a restart either. (Kafka Streams and Flink fail here: [`Scope::on_bad`](super::Scope::on_bad) with
    /// [`OnBad::Fail`] does the same for a whole plan.)
    #[default]
    Skip,
    /// The job stops with an error that names the record: the default of sinks and of `enrich`, as in Kafka Streams and Flink, because
    /// what is left out there is a result, and a service or topic may be mended.
    Fail,
    /// It is written to a topic of its own, with what is known of it, and counted: [`Stream::dead_letters`](super::Stream::dead_letters).
    DeadLetter,
}

/// When a keyed operator gives out results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Emit {
    /// At each commit, once for each key that has changed; the default.
    #[default]
    ChangedKeys,
    /// After each row.
    EveryUpdate,
    /// Of windows: when the watermark passes their end, and at commits what late rows have changed; their default.
    OnClose,
    /// Of windows: from time to time before they close, and when they do.
    Early,
    /// Of windows: once, when their end and the allowed lateness have passed.
    Final,
}

/// One operator of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// What it does.
    pub kind: Kind,
    /// Its name, where `named` gave one.
    pub name: Option<String>,
    /// Topic of a source or sink, or what a source or sink of another kind is called.
    pub topic: Option<String>,
    /// Of a source: what it reads.
    pub(crate) origin: Option<Origin>,
    /// Of a sink: what it writes to.
    pub(crate) destination: Option<Destination>,
    /// The operators whose rows it reads.
    pub inputs: Vec<usize>,
    /// What happens to rows that it refuses.
    pub on_bad: OnBad,
    /// Topic that rows which it refuses are written to, with [`OnBad::DeadLetter`].
    pub dead_letters: Option<String>,
    /// Whether it can refuse a row at all.
    pub refuses: bool,
    /// The modifier of this operator alone that says what happens to those rows.
    pub(crate) own_policy: Option<&'static str>,
    /// When it gives out results, if it is keyed.
    pub emit: Emit,
    /// Where it keeps its state, if it is keyed.
    pub store: Store,
    /// What `explain` says of it beside this: the extent of windows.
    pub note: Option<String>,
    /// What its state means beside its kind: other windows cannot go on with it.
    pub(crate) state_of: Option<String>,
    /// Of an operator of windows, or of one that brings rows into order: whether somebody reads the rows that came too late.
    pub reads_late: bool,
    /// Of `with_timestamps`: which partitions wait for each other.
    pub aligned: Option<crate::time::Aligned>,
    /// Of a sink: the source whose records it writes unchanged, so that whole batches can be relayed without a call of the plan.
    pub relays: Option<usize>,
}

/// The operators of a plan. An operator is addressed by its index in the order in which the plan builds them; inputs come before
/// those who read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Policies for all that follows, in the order in which the plan states them.
    pub(super) policies: Vec<Declared>,
}

impl Graph {
    /// The operators in the order in which the plan builds them.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(crate) fn node(&self, operator: usize) -> Option<&Node> {
        self.nodes.get(operator)
    }

    pub(crate) fn node_mut(&mut self, operator: usize) -> Option<&mut Node> {
        self.nodes.get_mut(operator)
    }

    pub(crate) fn push(&mut self, node: Node) {
        self.nodes.push(node);
    }

    fn of_kind(&self, test: impl Fn(Kind) -> bool) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .filter(move |(_, n)| test(n.kind))
    }

    /// Sources with their topics.
    pub fn sources(&self) -> impl Iterator<Item = (usize, &str)> {
        self.of_kind(|k| k == Kind::Source)
            .map(|(i, n)| (i, n.topic.as_deref().unwrap_or_default()))
    }

    /// Sinks with their topics; those whose rows name their topics are [`Graph::sinks_by_topic`].
    pub fn sinks(&self) -> impl Iterator<Item = (usize, &str)> {
        self.of_kind(|k| k == Kind::Sink)
            .filter_map(|(i, n)| Some((i, n.topic.as_deref()?)))
    }

    /// Operators with a topic for dead letters, with those topics.
    pub fn dead_letters(&self) -> impl Iterator<Item = (usize, &str)> {
        self.of_kind(|_| true)
            .filter_map(|(i, n)| Some((i, n.dead_letters.as_deref()?)))
    }

    /// Sinks whose records name their topics.
    pub fn sinks_by_topic(&self) -> impl Iterator<Item = usize> {
        self.of_kind(|k| k == Kind::Sink)
            .filter(|(_, n)| n.topic.is_none())
            .map(|(i, _)| i)
    }

    /// Keyed operators, in an order in which rows can flow from an earlier one to a later one only.
    pub fn keyed(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.of_kind(Kind::is_keyed)
    }

    /// Operators with a cut before them, in an order in which rows can flow from an earlier one to a later one only.
    pub fn cuts(&self) -> impl Iterator<Item = (usize, &Node)> {
        self.of_kind(Kind::is_cut)
    }

    /// The sources and cuts whose rows reach `operator` without passing another cut. A source or cut is its own.
    pub(crate) fn origins(&self, operator: usize) -> Vec<usize> {
        let Some(node) = self.nodes.get(operator) else {
            return Vec::new();
        };
        if node.kind == Kind::Source || node.kind.is_cut() {
            return vec![operator];
        }
        let mut origins: Vec<usize> = node.inputs.iter().flat_map(|i| self.origins(*i)).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }

    /// Whether anything in the plan waits for time: then watermarks are made and carried along.
    #[must_use]
    pub fn needs_time(&self) -> bool {
        self.nodes
            .iter()
            .any(|n| n.kind.waits_for_time() || n.kind == Kind::Timestamps)
    }

    /// The first operator that cannot do without the timestamps that an operator gives out: it puts rows into windows or into order by
    /// them, and nothing between the two says what time they have.
    pub(crate) fn is_timed_for(&self, operator: usize) -> Option<usize> {
        let mut has_time_of = vec![false; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            let is_read = i == operator || node.inputs.iter().any(|input| has_time_of[*input]);
            if is_read && matches!(node.kind, Kind::Window | Kind::InOrder) {
                return Some(i);
            }
            has_time_of[i] = is_read && node.kind != Kind::Timestamps;
        }
        None
    }

    /// Where the records of `source` go unchanged: the sink of a relay.
    #[must_use]
    pub fn relay_of(&self, source: usize) -> Option<usize> {
        self.nodes.iter().position(|n| n.relays == Some(source))
    }

    /// Identity of an operator, also in stored state: its name, or else its kind and its place among the operators of that kind
    /// without a name (`count-1`).
    #[must_use]
    pub fn id(&self, operator: usize) -> String {
        let Some(node) = self.nodes.get(operator) else {
            return format!("operator {operator}");
        };
        match &node.name {
            Some(name) => name.clone(),
            None => {
                let before = self.nodes[..=operator].iter();
                let place = before
                    .filter(|n| n.kind == node.kind && n.name.is_none())
                    .count();
                format!("{}-{place}", node.kind)
            }
        }
    }

    /// The operator as an error names it.
    pub(crate) fn describe(&self, operator: usize) -> String {
        let Some(node) = self.nodes.get(operator) else {
            return "nothing".to_owned();
        };
        match (&node.name, &node.topic) {
            (Some(name), _) => format!("{} \"{name}\"", node.kind),
            (None, Some(topic)) => format!("{}(\"{topic}\")", node.kind),
            (None, None) => format!("{} (operator {operator})", node.kind),
        }
    }

    /// Partitions can wait for each other only where there are some: before the first cut.
    fn check_alignment(&self) -> Result<(), Error> {
        let is_behind_a_cut = |(at, node): &(usize, &Node)| {
            let mut origins = self.origins(*at).into_iter();
            node.aligned.is_some() && origins.any(|of| self.nodes[of].kind.is_cut())
        };
        match self.nodes.iter().enumerate().find(is_behind_a_cut) {
            None => Ok(()),
            Some((at, _)) => Err(Error::Modifier {
                modifier: "`aligned`".to_owned(),
                place: format!(
                    "has no meaning in {}: its rows come from other operators, whose partitions cannot be held",
                    self.describe(at)
                ),
                instead: "align in a `with_timestamps` before the first keyed operator or `enrich`"
                    .to_owned(),
            }),
        }
    }

    /// Checks what can be checked once the whole plan is known.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.sources().next().is_none() {
            return Err(Error::NoSource);
        }
        if let Some(unused) = self.policies.iter().find(|p| !p.is_used) {
            return Err(Error::Modifier {
                modifier: unused.text.clone(),
                place: "covers nothing: no operator that follows it can refuse a row".to_owned(),
                instead:
                    "place it before a decoder, `try_map`, `with_timestamps`, `enrich` or a sink"
                        .to_owned(),
            });
        }
        self.check_alignment()?;
        let mut ids: Vec<String> = (0..self.nodes.len()).map(|i| self.id(i)).collect();
        ids.sort();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::DuplicateName {
                name: pair[0].clone(),
            });
        }
        self.check_names()?;
        let is_read = |i: usize| self.nodes.iter().any(|n| n.inputs.contains(&i));
        match (0..self.nodes.len()).find(|i| !self.nodes[*i].kind.is_end() && !is_read(*i)) {
            Some(unused) => Err(Error::Unused {
                operator: self.describe(unused),
            }),
            None => Ok(()),
        }
    }

    /// Names become parts of topics, of folders and of metrics, as in Kafka Streams: what cannot is refused where it is given.
    fn check_names(&self) -> Result<(), Error> {
        let check = |what: String, name: &str| match names::expected(name) {
            None => Ok(()),
            Some(expected) => Err(Error::Name {
                what,
                name: name.to_owned(),
                expected,
            }),
        };
        for node in &self.nodes {
            let kind = node.kind;
            if let Some(name) = &node.name {
                check(format!("{kind}, named"), name)?;
            }
            let topics = node.origin.as_ref().and_then(Origin::topics);
            for topic in topics.map_or(&[][..], Topics::list_of) {
                check("topic of source".to_owned(), topic)?;
            }
            let is_topic = node
                .destination
                .as_ref()
                .is_none_or(|to| to.own().is_none());
            if let Some(topic) = node
                .topic
                .as_ref()
                .filter(|_| kind == Kind::Sink && is_topic)
            {
                check("topic of sink".to_owned(), topic)?;
            }
            if let Some(topic) = &node.dead_letters {
                check(format!("topic for dead letters of {kind}"), topic)?;
            }
        }
        let mut keyed: Vec<String> = self.keyed().map(|(i, _)| self.id(i)).collect();
        keyed.sort_by_key(|id| names::folded(id));
        let is_same = |pair: &&[String]| names::folded(&pair[0]) == names::folded(&pair[1]);
        match keyed.windows(2).find(is_same) {
            Some(pair) => Err(Error::NamesCollide {
                first: pair[0].clone(),
                second: pair[1].clone(),
            }),
            None => Ok(()),
        }
    }
}
