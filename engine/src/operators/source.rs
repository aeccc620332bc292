//! `source`: the records of a topic, and what they are read as.

use std::{convert::Infallible, fmt::Display, str::Utf8Error};

use crate::{
    batch::{Frame, Record, frame::RawRecord, source::IntoOrigin},
    flow::{Error, Flow, Kind, Meta, OnBad, Pipe, Scope, Stream},
    formats::json::{Fields, JsonError},
};

/// What a plan reads, before it is said as what.
#[must_use = "say what the records are: `.utf8()`, `.bytes()`, `.json::<T>()`, `.json_fields::<(…)>([…])`, `.record()` or `.decode(f)`"]
pub struct Source<'b> {
    scope: Scope<'b>,
    node: usize,
}

impl<'b> Scope<'b> {
    /// Reads a topic (its name), several topics, partitions or times of them ([`Topics`](crate::connectors::Topics)), or something else
    /// than Kafka ([`Source`](crate::connectors::Source), [`elements`](crate::connectors::elements)).
    pub fn source(self, origin: impl IntoOrigin) -> Source<'b> {
        let node = self.operator(Kind::Source, &[], Some(origin.name()));
        self.learn(node, |n| n.origin = Some(origin.into_origin()));
        Source { scope: self, node }
    }
}

impl<'b> Source<'b> {
    /// One policy for this source and all that follows from it: what its decoder, `try_map`, `with_timestamps`, `enrich` and sinks do with
    /// what they refuse, also behind keyed operators. [`Stream::on_bad`] behind an operator says something else for it alone,
    /// [`Stream::then_on_bad`] for what follows; [`Scope::on_bad`] is for all sources of a plan. What each does without any: [`OnBad`].
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("in").dead_letters("bad")          // for the three that follow
    ///         .utf8()
    ///         .try_map(|l| l.split_once(' ').ok_or("no blank"))
    ///         .try_map(|(name, n)| n.parse::<u64>().map(|n| (name, n)))
    ///         .sink("out");
    /// });
    /// driver.feed("in", [&b"a 1"[..], b"\xff", b"b", b"c x"]);
    /// assert_eq!((driver.read("out").len(), driver.read("bad").len()), (1, 3));
    /// ```
    pub fn on_bad(self, on_bad: OnBad) -> Self {
        let scope = self.scope.with_policy("on_bad", on_bad, None);
        Self { scope, ..self }
    }

    /// As [`Source::on_bad`]: what is refused is written to this topic, see [`Stream::dead_letters`].
    pub fn dead_letters(self, topic: &str) -> Self {
        let dead_letter = OnBad::DeadLetter;
        let scope = (self.scope).with_policy("dead_letters", dead_letter, Some(topic));
        Self { scope, ..self }
    }

    /// Values as text, borrowed from the fetched batch. Values that are null or not UTF-8 are bad records ([`Source::on_bad`]).
    pub fn utf8(self) -> Values<'b, &'b str, impl FnMut(&'b [u8]) -> Result<&'b str, Utf8Error>> {
        self.decode(str::from_utf8)
    }

    /// Values as bytes. Null values are bad records ([`Source::on_bad`]).
    pub fn bytes(
        self,
    ) -> Values<'b, &'b [u8], impl FnMut(&'b [u8]) -> Result<&'b [u8], Infallible>> {
        self.decode(Ok)
    }

    /// Values as JSON, read by serde. What does not fit the type is a bad record.
    ///
    /// Text may be borrowed: `&'b str` where it never has escapes (one that has is a bad record), else `Cow<'b, str>` with
    /// `#[serde(borrow)]`. Of documents of which only some fields are wanted, [`Source::json_fields`] costs less.
    ///
    /// ```
    /// use engine::testing::Driver;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Bid<'a> { channel: &'a str, price: u64 }
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("bids").json::<Bid>().filter(|b| b.price > 100).map(|b| (b.channel, b.price)).sink("dear");
    /// });
    /// driver.feed("bids", [r#"{"channel":"web","price":120}"#, r#"{"channel":"app","price":20}"#, "no JSON"]);
    /// assert_eq!(driver.read("dear")[0].key_str(), Some("web"));
    /// assert_eq!(driver.counters("source-1").bad, 1);
    /// ```
    pub fn json<T: serde::Deserialize<'b>>(
        self,
    ) -> Values<'b, T, impl FnMut(&'b [u8]) -> Result<T, serde_json::Error>> {
        self.decode(|bytes| serde_json::from_slice(bytes))
    }

    /// Some fields of values that are JSON objects, as a tuple: for each path the type that stands there. Nothing else is looked at
    /// more than it takes to pass over it, so this costs a fraction of what [`Source::json`] does. A document that is no JSON, lacks a
    /// field (unless its type is an `Option`) or has another type there is a bad record.
    ///
    /// Text is borrowed from the batch, or made in the batch's arena where it has escapes. What paths and documents may be:
    /// [`Projection`](crate::formats::json::Projection); what types: [`Field`](crate::formats::json::Field). The paths are those of the
    /// first call.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("readings")
    ///         .json_fields::<(&str, f64)>(["sensor", "air.temp"])
    ///         .filter(|(_, temp)| *temp > 30.0)
    ///         .sink("hot");
    /// });
    /// driver.feed("readings", [
    ///     r#"{"id":1, "sensor":"attic", "air":{"co2":417, "temp":31.5}, "tags":["a","b"]}"#,
    ///     r#"{"sensor":"cellar", "air":{"temp":12}}"#,
    ///     r#"{"sensor":"garden", "air":{"temp":"hot"}}"#,
    /// ]);
    /// assert_eq!(driver.read("hot")[0].key_str(), Some("attic"));
    /// assert_eq!(driver.counters("source-1").bad, 1); // "hot" is no number
    /// ```
    pub fn json_fields<T: Fields<'b>>(
        self,
        paths: T::Paths<'_>,
    ) -> Values<'b, T, impl FnMut(&'b [u8]) -> Result<T, JsonError<'b>> + use<'b, T>> {
        let (projection, scratch) = (
            self.scope.once(|| T::projection(paths)),
            self.scope.scratch(),
        );
        self.decode(|bytes| T::read(projection, bytes, scratch))
    }

    /// Values as `f` reads them. What it refuses, and null values, are bad records ([`Source::on_bad`]).
    pub fn decode<T, E: Display, F: FnMut(&'b [u8]) -> Result<T, E>>(
        self,
        f: F,
    ) -> Stream<'b, T, Decoded<'b, F>> {
        let Self { scope, node } = self;
        scope.refuses(node, OnBad::Skip);
        Stream::new(scope, node, Decoded { scope, node, f })
    }

    /// Whole records: key, value, headers, offset, timestamp, partition. A stream of them that goes into a sink as it is lets the
    /// engine pass on whole batches without looking into them.
    pub fn record(self) -> Stream<'b, Record<'b>, Records<'b>> {
        let Self { scope, node } = self;
        // Where time is needed, a record without a timestamp.
        scope.refuses(node, OnBad::Skip);
        Stream::new(scope, node, Records { scope, node })
    }
}

/// The stream of a topic's values.
pub type Values<'b, T, F> = Stream<'b, T, Decoded<'b, F>>;

/// Values of a topic's records, decoded.
pub struct Decoded<'b, F> {
    scope: Scope<'b>,
    node: usize,
    f: F,
}

/// Whole records of a topic.
pub struct Records<'b> {
    scope: Scope<'b>,
    node: usize,
}

/// The topic of a batch.
fn topic_of<'b>(scope: Scope<'b>, node: usize, frame: Frame<'b>) -> &'b str {
    let of_source = || scope.running()?.node(node)?.topic.as_deref();
    frame.topic().or_else(of_source).unwrap_or_default()
}

/// Whether an operator that follows cannot do without the timestamps of records.
fn is_timed(scope: Scope<'_>, node: usize) -> bool {
    scope.running().is_some() && scope.slot(node).is_timed_for.is_some()
}

/// A record, or a row of a process function, without a time is bad where that is needed.
#[cold]
pub(super) fn without_time(scope: Scope<'_>, node: usize, index: u32, timestamp: i64) -> Flow {
    let needs = scope.slot(node).is_timed_for;
    scope.bad(node, index, || {
        let needs = scope.running().zip(needs).map(|(g, i)| g.describe(i));
        format!(
            "its timestamp is {timestamp}, which means {}, and {} needs one: say what time rows have with `with_timestamps`",
            crate::time::meaning(timestamp),
            needs.as_deref().unwrap_or("what follows")
        )
    })
}

/// Calls `f` with each record that this call is to handle.
#[inline]
fn walk<'b>(
    scope: Scope<'b>,
    node: usize,
    frame: Frame<'b>,
    mut f: impl FnMut(u32, RawRecord<'b>) -> Flow,
) -> Flow {
    let from = scope.call.from;
    let (mut index, mut begun) = (from.index, 0);
    let mut records = match from.place {
        None => frame.walk(),
        // Only batches that did not fit into one call come here.
        Some(place) => frame.walk_from(place),
    };
    let mut flow = Flow::Continue(());
    loop {
        let place = records.place();
        let Some(record) = records.next() else { break };
        let record = match record {
            Ok(record) => record,
            Err(source) => {
                flow = scope.broken(Error::Batch {
                    topic: topic_of(scope, node, frame).to_owned(),
                    partition: frame.partition().number(),
                    source,
                });
                break;
            }
        };
        if scope.is_enough(index - from.index) {
            flow = scope.stopped_before(index);
            scope.stopped_with(place);
            break;
        }
        if record.offset >= frame.position() {
            begun += 1;
            if f(index, record).is_break() {
                flow = scope.stopped_at(index);
                scope.stopped_with(place);
                break;
            }
        }
        index += 1;
    }
    // The first one was counted before if some of what was made from it is written already.
    scope.slot(node).counters.records += u64::saturating_sub(begun, u64::from(from.skip > 0));
    flow
}

impl<'b, T, E: Display, F: FnMut(&'b [u8]) -> Result<T, E>> Pipe<T> for Decoded<'b, F> {
    const SHARED: bool = false;

    #[inline]
    fn drive(self, f: impl FnMut(Meta, T) -> Flow) -> Flow {
        let Self {
            scope,
            node,
            f: decode,
        } = self;
        match scope.frame(node) {
            Some(frame) => {
                let is_timed = is_timed(scope, node);
                walk(
                    scope,
                    node,
                    frame,
                    decoded_step(scope, node, is_timed, decode, f),
                )
            }
            None => Flow::Continue(()),
        }
    }
}

#[inline]
fn decoded_step<'b, T, E: Display>(
    scope: Scope<'b>,
    node: usize,
    is_timed: bool,
    mut decode: impl FnMut(&'b [u8]) -> Result<T, E>,
    mut next: impl FnMut(Meta, T) -> Flow,
) -> impl FnMut(u32, RawRecord<'b>) -> Flow {
    move |index, record| {
        if is_timed && !crate::time::is_time(record.timestamp) {
            return without_time(scope, node, index, record.timestamp);
        }
        let Some(value) = record.value else {
            return scope.bad(node, index, || "the value is null".to_owned());
        };
        match decode(value) {
            Ok(item) => {
                let meta = Meta {
                    timestamp: record.timestamp,
                    record: index,
                };
                next(meta, item)
            }
            Err(error) => scope.bad(node, index, || error.to_string()),
        }
    }
}

impl<'b> Pipe<Record<'b>> for Records<'b> {
    const SHARED: bool = false;

    #[inline]
    fn drive(self, mut f: impl FnMut(Meta, Record<'b>) -> Flow) -> Flow {
        let Self { scope, node } = self;
        let Some(frame) = scope.frame(node) else {
            return Flow::Continue(());
        };
        let partition = frame.partition().number();
        let topic = topic_of(scope, node, frame);
        let is_timed = is_timed(scope, node);
        walk(scope, node, frame, move |index, record| {
            if is_timed && !crate::time::is_time(record.timestamp) {
                return without_time(scope, node, index, record.timestamp);
            }
            let meta = Meta {
                timestamp: record.timestamp,
                record: index,
            };
            f(meta, Record::of(record, topic, partition))
        })
    }

    fn relays(&self) -> Option<usize> {
        Some(self.node)
    }
}
