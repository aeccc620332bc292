//! The graph for people: as text, and as Mermaid.

use std::fmt::Write;

use crate::{
    flow::{Emit, Graph, Kind, OnBad},
    state::Store,
};

impl Graph {
    /// The graph as text, an operator a line.
    ///
    /// ```text
    /// 0  source "lines"
    /// 1  flat_map                        <- 0
    /// 2  count "words"                   <- 1   keyed; changed keys at each commit
    /// 3  sink "counts"                   <- 2
    /// ```
    #[must_use]
    pub fn explain(&self) -> String {
        let mut text = String::new();
        for (i, node) in self.nodes().iter().enumerate() {
            let title = title(self, i);
            let inputs: Vec<_> = node.inputs.iter().map(ToString::to_string).collect();
            let mut notes = Vec::new();
            if node.kind.is_keyed() {
                let emit = match node.emit {
                    Emit::ChangedKeys => "changed keys at each commit",
                    Emit::EveryUpdate => "every update",
                    Emit::OnClose => "results when windows close",
                    Emit::Early => {
                        "early results from time to time, and results when windows close"
                    }
                    Emit::Final => "one result for each window, after the allowed lateness",
                };
                notes.push(format!("keyed, state \"{}\"; {emit}", self.id(i)));
            }
            notes.extend(node.note.clone());
            if node.store != Store::Memory {
                notes.push(node.store.to_string());
            }
            if let Some(source) = node.relays {
                notes.push(format!("relays whole batches of {source}"));
            }
            match (node.kind, node.on_bad) {
                (Kind::Sink, OnBad::Skip) => notes.push("leaves out what is refused".to_owned()),
                (kind, OnBad::Fail) if kind != Kind::Sink => {
                    notes.push("stops at bad records".to_owned());
                }
                _ => {}
            }
            if let Some(topic) = &node.dead_letters {
                notes.push(format!("bad records to \"{topic}\""));
            }
            let line = if inputs.is_empty() {
                format!("{i:<3}{title:<32}")
            } else {
                format!("{i:<3}{title:<32}<- {:<4}", inputs.join(", "))
            };
            let line = format!("{line}{}", notes.join("; "));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    /// The graph as a Mermaid flowchart.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (i, node) in self.nodes().iter().enumerate() {
            let title = title(self, i).replace('"', "#quot;");
            let (open, close) = match node {
                n if n.topic.is_some() => ("[(", ")]"),
                n if n.kind.is_cut() => ("[[", "]]"),
                _ => ("[", "]"),
            };
            let _ = writeln!(text, "    {i}{open}\"{title}\"{close}");
            for input in &node.inputs {
                let arrow = if node.kind.is_cut() { "==>" } else { "-->" };
                let _ = writeln!(text, "    {input} {arrow} {i}");
            }
        }
        text
    }
}

fn title(graph: &Graph, operator: usize) -> String {
    let node = &graph.nodes()[operator];
    let mut title = node.kind.to_string();
    for part in [&node.topic, &node.name].into_iter().flatten() {
        let _ = write!(title, " \"{part}\"");
    }
    title
}
