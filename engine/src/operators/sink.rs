//! `sink`: writes a stream to a topic, straight into the batches that go on the wire.

use crate::{
    batch::{Outbox, Scratch, sink::IntoDestination},
    flow::{Error, Flow, Kind, Meta, Pipe, Resume, Scope, Stream},
    formats::ToRecord,
};

// Bounds stand at the method: at the `impl`, rustc would not say what `ToRecord` has to say.
impl<'b, T, P> Stream<'b, T, P> {
    /// Writes each row as a record: a pair as key and value, to the partition that the key chooses (murmur2, as Kafka's producer); a
    /// whole [`Record`](crate::batch::Record) as it is, to the partition with the number of its source. The record's timestamp is the row's.
    /// `to` is the name of a topic, or something else than Kafka ([`Sink`](crate::connectors::Sink)).
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
            return;
        }
        let topic = to.name();
        let mut slot = scope.slot(operator);
        let slot = &mut *slot;
        let Some(outbox) = &mut slot.outbox else {
            return;
        };
        let resume = Resume::new::<T, P>(scope);
        let _ = self
            .pipe
            .drive(step(scope, topic, resume, outbox, &mut slot.scratch));
    }
}

#[inline]
fn step<'s, T: ToRecord>(
    scope: Scope<'s>,
    topic: &'s str,
    mut resume: Resume,
    outbox: &'s mut Outbox,
    scratch: &'s mut Scratch,
) -> impl FnMut(Meta, T) -> Flow + 's {
    let limit = scope.call.limits.sink_bytes;
    move |meta, item| {
        if !resume.is_new(scope, meta) {
            return Flow::Continue(());
        }
        if let Err(source) = item.write(meta.timestamp, scratch, outbox) {
            let topic = topic.to_owned();
            return scope.broken(Error::Sink { topic, source });
        }
        if outbox.full_bytes() >= limit {
            resume.full(scope)
        } else {
            Flow::Continue(())
        }
    }
}
