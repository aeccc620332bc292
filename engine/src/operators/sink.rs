//! `sink`: writes a stream to a topic, straight into the batches that go on the wire.

use crate::{
    batch::{Outbox, Scratch, by_topic::ByTopic, produce::SinkError, sink::IntoDestination},
    flow::{Error, Flow, Kind, Meta, OnBad, Pipe, Resume, Scope, Stream, TimeRange},
    formats::ToRecord,
};

// Bounds stand at the method: at the `impl`, rustc would not say what `ToRecord` has to say.
impl<'b, T, P> Stream<'b, T, P> {
    /// Writes each row as a record: a pair as key and value, to the partition that the key chooses (murmur2, as Kafka's producer); a
    /// whole [`Record`](crate::batch::Record) as it is, to the partition with the number of its source. The record's timestamp is the row's.
    /// `to` is the name of a topic, or something else than Kafka ([`Sink`](crate::connectors::Sink)).
    ///
    /// A row that the topic does not take ends the run, unless a policy before the sink says otherwise: [`Stream::then_on_bad`],
    /// [`Stream::then_dead_letters`], or that of the source or the scope. A sink that is not Kafka's refuses what cannot be encoded; what
    /// its own code fails at ends the run.
    pub fn sink(self, to: impl IntoDestination)
    where
        T: ToRecord,
        P: Pipe<T>,
    {
        let scope = self.scope;
        let operator = scope.operator(Kind::Sink, &[self.node], Some(to.name()));
        let relays = self.pipe.relays();
        if scope.running().is_none() {
            scope.learn(operator, |n| {
                n.relays = relays;
                n.destination = Some(to.into_destination());
            });
            scope.refuses(operator, OnBad::Fail);
            return;
        }
        let topic = to.name();
        // Taken out, because a row that is refused borrows the slot.
        let mut slot = scope.slot(operator);
        let (outbox, mut scratch) = (slot.outbox.take(), std::mem::take(&mut slot.scratch));
        drop(slot);
        let Some(mut outbox) = outbox else {
            return;
        };
        let resume = Resume::new::<T, P>(scope);
        // What is not Kafka's takes times as they are.
        let is_own = scope
            .running()
            .and_then(|graph| graph.node(operator)?.destination.as_ref())
            .is_some_and(|to| to.own().is_some());
        let writable = if is_own {
            TimeRange::ALL
        } else {
            scope.call.writable
        };
        let _ = self.pipe.drive(step(
            Place { scope, operator },
            topic,
            resume,
            (&mut outbox, writable),
            &mut scratch,
        ));
        let mut slot = scope.slot(operator);
        (slot.outbox, slot.scratch) = (Some(outbox), scratch);
    }
}

impl<'b, T: ToRecord, P: Pipe<T>> Stream<'b, T, P> {
    /// Writes each row to the Kafka topic that `topic` names for it; otherwise as [`Stream::sink`]. A topic is looked up, or created where
    /// the cluster allows it, when the first row names it. At most 10,000 of them. A row that names a topic which Kafka does not allow,
    /// which may not be created, or which this application reads, is refused as by [`Stream::sink`].
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("orders").utf8()
    ///         .map(|order| (&order[..2], order))
    ///         .sink_by(|(country, _)| &*s.scratch().alloc_str(&format!("orders-{country}")));
    /// });
    /// driver.feed("orders", ["de 12", "fr 7", "de 9"]);
    /// assert_eq!(driver.read("orders-de").len(), 2);
    /// assert_eq!(driver.read("orders-fr").len(), 1);
    /// ```
    pub fn sink_by<N: AsRef<str>>(self, topic: impl FnMut(&T) -> N) {
        let scope = self.scope;
        let operator = scope.operator(Kind::Sink, &[self.node], None);
        if scope.running().is_none() {
            scope.learn(operator, |n| {
                n.note = Some("to the topic that each row names".to_owned());
            });
            scope.refuses(operator, OnBad::Fail);
            return;
        }
        let mut slot = scope.slot(operator);
        let (by_topic, mut scratch) = (slot.by_topic.take(), std::mem::take(&mut slot.scratch));
        drop(slot);
        let Some(mut by_topic) = by_topic else {
            return;
        };
        let resume = Resume::new::<T, P>(scope);
        let place = Place { scope, operator };
        let step = step_by(place, topic, resume, &mut by_topic, &mut scratch);
        let _ = self.pipe.drive(step);
        let mut slot = scope.slot(operator);
        (slot.by_topic, slot.scratch) = (Some(by_topic), scratch);
    }
}

/// A sink in its plan.
#[derive(Clone, Copy)]
struct Place<'b> {
    scope: Scope<'b>,
    operator: usize,
}

impl Place<'_> {
    /// A row cannot be written: what its policy says, if it is about this row alone.
    #[cold]
    fn refused(self, meta: Meta, topic: &str, source: SinkError) -> Flow {
        let Self { scope, operator } = self;
        let node = scope.running().and_then(|graph| graph.node(operator));
        let fails = node.is_none_or(|n| n.on_bad == OnBad::Fail);
        if fails || !source.is_about_the_record() {
            let topic = topic.to_owned();
            return scope.broken(Error::Sink { topic, source });
        }
        let reason = || format!("cannot write to {topic}: {source}");
        scope.bad(operator, meta.record, reason)
    }
}

#[inline]
fn step_by<'s, T: ToRecord + 's, N: AsRef<str> + 's>(
    place: Place<'s>,
    mut topic: impl FnMut(&T) -> N + 's,
    mut resume: Resume,
    by_topic: &'s mut ByTopic,
    scratch: &'s mut Scratch,
) -> impl FnMut(Meta, T) -> Flow + 's {
    let Place { scope, .. } = place;
    let limit = scope.call.limits.sink_bytes;
    let writable = scope.call.writable;
    move |meta, item| {
        if !resume.is_new(scope, meta) {
            return Flow::Continue(());
        }
        let name = topic(&item);
        let written = by_topic.outbox(name.as_ref()).and_then(|outbox| {
            item.write(writable.nearest(meta.timestamp), scratch, outbox)?;
            // A topic that waits to be opened is like one that is full.
            Ok(outbox.is_unopened() || outbox.full_bytes() >= limit)
        });
        match written {
            Ok(false) => Flow::Continue(()),
            Ok(true) => resume.full(scope),
            Err(source) => place.refused(meta, name.as_ref(), source),
        }
    }
}

#[inline]
fn step<'s, T: ToRecord>(
    place: Place<'s>,
    topic: &'s str,
    mut resume: Resume,
    (outbox, writable): (&'s mut Outbox, TimeRange),
    scratch: &'s mut Scratch,
) -> impl FnMut(Meta, T) -> Flow + 's {
    let Place { scope, .. } = place;
    let limit = scope.call.limits.sink_bytes;
    move |meta, item| {
        if !resume.is_new(scope, meta) {
            return Flow::Continue(());
        }
        if let Err(source) = item.write(writable.nearest(meta.timestamp), scratch, outbox) {
            return place.refused(meta, topic, source);
        }
        if outbox.full_bytes() >= limit {
            resume.full(scope)
        } else {
            Flow::Continue(())
        }
    }
}
