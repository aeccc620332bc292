//! What a plan needs from the runtime: its topics, its levels, its changelogs, and the one seed of all its keyed state.

use std::path::PathBuf;
use std::sync::Arc;

use super::work::Work;
use crate::Error;
use crate::batch::OutboxConfig;
use crate::batch::names;
use crate::batch::sink::Destination;
use crate::checkpoint::changelog::{self, Identity};
use crate::checkpoint::log::{Need, Place};
use crate::checkpoint::offset_metadata::Reached;
use crate::plan::{App, Emit, Graph, Kind, OnBad};
use crate::state::Store;

/// Key groups of a new application. They decide the partition count of its changelogs, so they never change.
const KEY_GROUPS: u32 = 16;

/// A plan made ready to run under an application id.
pub(crate) struct Job {
    pub(crate) application_id: String,
    pub(crate) app: App,
    /// Every topic of the run; sources, sinks and changelogs name them by their index here.
    pub(crate) topics: Vec<(String, Need)>,
    /// Topics (and sources of other kinds) read.
    pub(crate) inputs: Vec<usize>,
    pub(crate) changelogs: Vec<Changelog>,
    /// Operators with a cut before them, in the order of the graph.
    pub(crate) cuts: Vec<Cut>,
    /// Sources whose partitions wait for others.
    pub(crate) aligned: Vec<Follower>,
    /// Names of the groups that wait for each other.
    pub(crate) alignments: Vec<&'static str>,
    pub(crate) key_groups: u32,
    /// By operator: the level of a cut.
    pub(crate) level_of: Vec<Option<usize>>,
    /// Source operators with their topics.
    pub(crate) sources: Vec<(usize, usize)>,
    /// Sink operators with their topics.
    pub(crate) sinks: Vec<(usize, usize)>,
    /// Operators with dead letters, with the topics of these.
    pub(crate) letters: Vec<(usize, usize)>,
    /// Input topics whose batches go to an output topic untouched, and are needed for nothing else.
    pub(crate) relays: Vec<(usize, usize)>,
}

/// The changelog of one keyed operator.
#[derive(Debug, Clone)]
pub(crate) struct Changelog {
    pub(crate) topic: usize,
    pub(crate) operator: usize,
    kind: String,
    /// The operator's identity.
    pub(crate) id: String,
    /// Written behind everything else of an epoch, with the others of this level; see [`Job::held_back`].
    pub(crate) held_back: Option<usize>,
    /// It keeps a watermark with its state.
    pub(crate) waits_for_time: bool,
    /// The watermark says what of it is past: that is deleted after the positions are committed, in the next epoch.
    pub(crate) forgets_by_time: bool,
}

/// A source whose partitions wait for others of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Follower {
    pub(crate) topic: usize,
    pub(crate) source: usize,
    /// The operator that knows the time of its partitions.
    pub(crate) operator: usize,
    pub(crate) group: usize,
    pub(crate) drift_max_ms: i64,
}

/// An operator to which rows are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) operator: usize,
    pub(crate) level: usize,
    /// Its changelog, if it is keyed.
    pub(crate) changelog: Option<usize>,
    /// Its changed keys, as they go into the changelog, are also what it gives out.
    pub(crate) emits_changes: bool,
    /// It gives out rows when time has come.
    pub(crate) waits_for_time: bool,
    /// It waits for answers.
    pub(crate) waits_for_answers: bool,
}

/// What a worker's state is to be restored to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Where its changelog partitions end.
    pub(crate) changelog_ends: Vec<(Place, i64)>,
    /// By changelog, how far time had come at the last commit.
    pub(crate) reached: Vec<Reached>,
    /// As [`Log::record_bytes_max`](crate::checkpoint::log::Log::record_bytes_max).
    pub(crate) record_bytes_max: usize,
}

/// A worker's place among the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) me: usize,
    pub(crate) workers: usize,
    pub(crate) seed: u64,
}

impl Job {
    /// The internal topics begin with `prefix`, or else with the application's id.
    ///
    /// # Errors
    /// When the plan reads what it writes.
    pub(crate) fn new(
        application_id: String,
        prefix: Option<&str>,
        app: App,
    ) -> Result<Self, Error> {
        let graph = Arc::clone(app.graph());
        let mut job = Self {
            application_id,
            app,
            topics: Vec::new(),
            inputs: Vec::new(),
            changelogs: Vec::new(),
            cuts: Vec::new(),
            aligned: Vec::new(),
            alignments: Vec::new(),
            key_groups: KEY_GROUPS,
            level_of: levels(&graph),
            sources: Vec::new(),
            sinks: Vec::new(),
            letters: Vec::new(),
            relays: Vec::new(),
        };
        for (operator, name) in graph.sources() {
            let topic = match &graph.nodes()[operator].origin {
                Some(origin) if origin.own().is_none() => {
                    job.topic(name, Need::Input(origin.clone()))?
                }
                Some(origin) => job.own(name, &graph.id(operator), Need::Input(origin.clone())),
                None => continue,
            };
            if !job.inputs.contains(&topic) {
                job.inputs.push(topic);
            }
            job.sources.push((operator, topic));
        }
        for (operator, name) in graph.sinks() {
            let topic = match &graph.nodes()[operator].destination {
                Some(to) if to.own().is_some() => {
                    job.own(name, &graph.id(operator), Need::Output(to.clone()))
                }
                _ => job.topic(name, Need::Output(Destination::TOPIC))?,
            };
            job.sinks.push((operator, topic));
        }
        for (operator, name) in graph.dead_letters() {
            let topic = job.topic(name, Need::Output(Destination::TOPIC))?;
            job.letters.push((operator, topic));
        }
        for (operator, node) in graph.keyed() {
            let id = graph.id(operator);
            let prefix = prefix.unwrap_or(&job.application_id);
            let name = changelog::topic(prefix, &id);
            if names::expected(&name).is_some() {
                return Err(Error::Settings(format!(
                    "the changelog topic of {id} would have a name of {} characters, topics have at most {}: shorten \"{id}\" (`.named(…)`) or \"{prefix}\" (application.id, internal.topic.prefix)",
                    name.len(),
                    names::TOPIC_BYTES_MAX
                )));
            }
            let topic = job.topic(
                &name,
                Need::Changelog {
                    partitions: KEY_GROUPS as i32,
                },
            )?;
            job.changelogs.push(Changelog {
                topic,
                operator,
                kind: match &node.state_of {
                    Some(of) => format!("{} ({of})", node.kind.name()),
                    None => node.kind.name().to_owned(),
                },
                id,
                held_back: job.level_of[operator].filter(|_| node.kind.waits_for_time()),
                waits_for_time: node.kind.waits_for_time(),
                forgets_by_time: matches!(node.kind, Kind::Window | Kind::InOrder),
            });
        }
        for (operator, node) in graph.nodes().iter().enumerate() {
            let Some(aligned) = node.aligned else {
                continue;
            };
            let known = job
                .alignments
                .iter()
                .position(|name| *name == aligned.group);
            let group = known.unwrap_or(job.alignments.len());
            if known.is_none() {
                job.alignments.push(aligned.group);
            }
            let origins = graph.origins(operator);
            let of = job
                .sources
                .iter()
                .filter(|(source, _)| origins.contains(source));
            job.aligned.extend(of.map(|&(source, topic)| Follower {
                topic,
                source,
                operator,
                group,
                drift_max_ms: aligned.drift_max_ms,
            }));
        }
        for (operator, node) in graph.cuts() {
            let waits_for_time = node.kind.waits_for_time();
            job.cuts.push(Cut {
                operator,
                level: job.level_of[operator].unwrap_or(0),
                changelog: job.changelogs.iter().position(|c| c.operator == operator),
                emits_changes: node.emit == Emit::ChangedKeys && !waits_for_time,
                waits_for_time,
                waits_for_answers: !node.kind.is_keyed(),
            });
        }
        job.relays = job
            .sources
            .iter()
            .filter_map(|&(source, topic)| Some((topic, job.relay(&graph, source, topic)?)))
            .collect();
        Ok(job)
    }

    /// The output topic of a source whose batches are relayed and that nobody else reads.
    fn relay(&self, graph: &Graph, source: usize, topic: usize) -> Option<usize> {
        let sink = graph.relay_of(source)?;
        let origin = graph.nodes()[source].origin.as_ref()?;
        let to = graph.nodes()[sink].destination.as_ref()?;
        // Only from topic to topic, each with its partitions as they are, and where no single record may be left out.
        if graph.nodes()[sink].on_bad != OnBad::Fail
            || origin
                .topics()
                .is_none_or(|topics| topics.single().is_none())
            || to.own().is_some()
        {
            return None;
        }
        let readers = graph
            .nodes()
            .iter()
            .filter(|node| node.inputs.contains(&source))
            .count();
        let alone = readers == 1 && self.sources.iter().filter(|(_, of)| *of == topic).count() == 1;
        let (_, output) = self.sinks.iter().find(|(operator, _)| *operator == sink)?;
        alone.then_some(*output)
    }

    /// A source or sink that is not Kafka's: one of its own for each operator.
    fn own(&mut self, name: &str, id: &str, need: Need) -> usize {
        let is_taken = self.topics.iter().any(|(known, _)| known == name);
        let name = if is_taken {
            format!("{name} ({id})")
        } else {
            name.to_owned()
        };
        self.topics.push((name, need));
        self.topics.len() - 1
    }

    /// Whether there is anything in it that only Kafka can do.
    pub(crate) fn needs_kafka(&self) -> bool {
        let names_topics = self.app.graph().sinks_by_topic().next().is_some();
        names_topics
            || self.topics.iter().any(|(_, need)| match need {
                Need::Input(origin) => origin.own().is_none(),
                Need::Output(to) => to.own().is_none(),
                Need::Changelog { .. } => false,
            })
    }

    fn topic(&mut self, name: &str, need: Need) -> Result<usize, Error> {
        match self.topics.iter().position(|(known, _)| known == name) {
            Some(at) if self.topics[at].1 == need && !matches!(need, Need::Changelog { .. }) => {
                Ok(at)
            }
            Some(at)
                if [&self.topics[at].1, &need]
                    .iter()
                    .any(|need| matches!(need, Need::Changelog { .. })) =>
            {
                Err(Error::Settings(format!(
                    "topic {name} is a changelog of this application, and its plan reads or writes it too; choose another topic, or another name for the operator (`.named(…)`)"
                )))
            }
            Some(_) => Err(Error::Settings(format!(
                "topic {name} is both read and written by this application, so that it would never end; choose another output (--output)"
            ))),
            None => {
                self.topics.push((name.to_owned(), need));
                Ok(self.topics.len() - 1)
            }
        }
    }

    /// Whole batches go to the partition with the number of their source: it must be there.
    ///
    /// # Errors
    /// When an output has fewer partitions than the input that is copied to it.
    pub(crate) fn check_widths(&self, partitions: &[i32]) -> Result<(), Error> {
        for &(input, output) in &self.relays {
            if partitions[output] < partitions[input] {
                return Err(Error::Settings(format!(
                    "topic {} has {} partitions, fewer than the {} of topic {}, whose records keep their partitions: add partitions, or choose them by key (--by-key)",
                    self.topics[output].0,
                    partitions[output],
                    partitions[input],
                    self.topics[input].0
                )));
            }
        }
        Ok(())
    }

    /// Whether there is keyed state: then one process must own all of it, as rows move between its threads only.
    pub(crate) fn is_keyed(&self) -> bool {
        !self.changelogs.is_empty()
    }

    /// Whether some of it is not kept in memory alone.
    pub(crate) fn has_stores(&self) -> bool {
        let nodes = self.app.graph().nodes();
        nodes.iter().any(|n| n.store != Store::Memory)
    }

    /// The levels whose changelogs are written behind everything else of an epoch, in that order: the last one first. There are
    /// operators that give a result once and forget it; a changelog that has forgotten it while the result is not written yet, or what
    /// has become of it at a later level, would lose it in a crash. The others give out again what they count again.
    pub(crate) fn held_back(&self) -> Vec<usize> {
        let levels = self.changelogs.iter().filter_map(|c| c.held_back);
        let mut levels: Vec<usize> = levels.collect();
        levels.sort_unstable_by(|a, b| b.cmp(a));
        levels.dedup();
        levels
    }

    pub(crate) fn levels(&self) -> usize {
        self.level_of
            .iter()
            .flatten()
            .max()
            .map_or(0, |level| level + 1)
    }

    /// The worker that owns a key group.
    pub(crate) fn owner(&self, group: i32, workers: usize) -> usize {
        usize::try_from(group).unwrap_or(0) * workers / self.key_groups as usize
    }

    /// The plan with the state of one worker.
    pub(crate) fn work(
        self: &Arc<Self>,
        seat: Seat,
        partitions: &[i32],
        outbox: OutboxConfig,
        state_dir: Option<PathBuf>,
        found: Found,
    ) -> Result<Work, Error> {
        let job = Arc::clone(self);
        Work::new(job, seat, partitions, outbox, state_dir, found)
    }

    /// What the state of each operator is when its changelog partitions end so: whose it is, and the ends. Two that are equal are the same
    /// state, because one process at a time writes there.
    pub(crate) fn marks(&self, seed: u64, ends: &[(Place, i64)]) -> Vec<(usize, Vec<u8>)> {
        let of = |changelog: &Changelog| {
            let mut mark = self.identity(changelog, seed).encode();
            let mut ends: Vec<(i32, i64)> = ends
                .iter()
                .filter(|(place, _)| place.topic == changelog.topic)
                .map(|(place, end)| (place.number(), *end))
                .collect();
            ends.sort_unstable();
            for (partition, end) in &ends {
                mark.extend_from_slice(&partition.to_be_bytes());
                mark.extend_from_slice(&end.to_be_bytes());
            }
            // So that none is the beginning of another one.
            mark.extend_from_slice(&(ends.len() as u32).to_be_bytes());
            (changelog.operator, mark)
        };
        self.changelogs.iter().map(of).collect()
    }

    /// What the changelog of this operator must say of itself.
    pub(crate) fn identity(&self, changelog: &Changelog, hash_seed: u64) -> Identity {
        Identity {
            application_id: self.application_id.clone(),
            operator: changelog.id.clone(),
            kind: changelog.kind.clone(),
            key_groups: self.key_groups,
            hash_seed,
        }
    }
}

/// By operator: how many cuts its rows have passed, for cuts counted from 0.
fn levels(graph: &Graph) -> Vec<Option<usize>> {
    let mut passed: Vec<usize> = Vec::new();
    let mut levels = Vec::new();
    for node in graph.nodes() {
        // Inputs come before those who read them.
        let before = node
            .inputs
            .iter()
            .filter_map(|&input| passed.get(input))
            .max()
            .copied()
            .unwrap_or(0);
        levels.push(node.kind.is_cut().then_some(before));
        passed.push(before + usize::from(node.kind.is_cut()));
    }
    levels
}
