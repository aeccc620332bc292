//! What the client tells through `tracing`, kept as lines.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Keeps every event and span as a line.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<String>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Lines {
    fn push(&self, kind: &str, metadata: &Metadata<'_>, fields: impl FnOnce(&mut Text)) {
        if !metadata.target().starts_with("kafka_proto::client") {
            return;
        }
        let mut text = Text(format!("{kind} {}", metadata.level()));
        fields(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    /// The lines that hold all of these.
    pub(crate) fn with(&self, parts: &[&str]) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let found = lines
            .iter()
            .filter(|line| parts.iter().all(|part| line.contains(part)));
        found.cloned().collect()
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.push("span", span.metadata(), |text| {
            write!(text.0, " {}", span.metadata().name()).unwrap();
            span.record(text);
        });
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.push("event", event.metadata(), |text| event.record(text));
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
