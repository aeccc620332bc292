//! Which sources of a plan read a topic that a test feeds, and which of a source's topics it is.

use std::collections::BTreeMap;

use crate::{batch::topics::Names, flow::Graph};

/// The topics of the sources, those of patterns in the order in which they were first fed.
#[derive(Clone, Debug, Default)]
pub(super) struct Inputs {
    found: BTreeMap<usize, Vec<String>>,
}

impl Inputs {
    /// The sources that read a topic, and the topic's place among those of each.
    ///
    /// # Panics
    /// When no source reads it.
    pub(super) fn of(&mut self, graph: &Graph, topic: &str) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        for (source, name) in graph.sources() {
            let origin = graph.nodes()[source].origin.as_ref();
            let nth = match origin.and_then(|o| o.topics()).map(|t| &t.names) {
                Some(Names::List(names)) => names.iter().position(|n| n == topic),
                Some(Names::Pattern(pattern)) => self.found(source, pattern, topic),
                None => (name == topic).then_some(0),
            };
            all.extend(nth.map(|nth| (source, nth)));
        }
        assert!(!all.is_empty(), "no source reads \"{topic}\"");
        all
    }

    fn found(&mut self, source: usize, pattern: &str, topic: &str) -> Option<usize> {
        let found = self.found.entry(source).or_default();
        if let Some(nth) = found.iter().position(|n| n == topic) {
            return Some(nth);
        }
        let regex = Names::whole(pattern).unwrap_or_else(|e| panic!("{e}"));
        regex.is_match(topic).then(|| {
            found.push(topic.to_owned());
            found.len() - 1
        })
    }
}
