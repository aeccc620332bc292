//! Which of Kafka's topics a source reads: names or a pattern, partitions, where it begins and where it ends.

/// A place in each partition: where a source begins, or where it ends. Kafka's admin interface calls it so, Flink an `OffsetsInitializer`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OffsetSpec {
    /// The group's committed position; where there is none, what `auto.offset.reset` says (`earliest` unless it is set).
    #[default]
    Committed,
    /// The first record that is there.
    Earliest,
    /// Behind the last record; under `isolation.level=read_committed` the last stable offset.
    Latest,
    /// The first record with this timestamp or a later one, in milliseconds since 1970; where there is none, as [`OffsetSpec::Latest`].
    /// Before 1970: the first record that is there.
    Timestamp(i64),
    /// Given ones: topic, partition, and the offset of the next record. Partitions that are not named: [`OffsetSpec::Committed`] as a
    /// start, [`OffsetSpec::Latest`] as an end.
    Offsets(Vec<(String, i32, i64)>),
}

/// Topics that one source reads, and how. A name alone (`s.source("lines")`) is a topic with everything as usual.
///
/// ```
/// use engine::connectors::{OffsetSpec, Topics};
///
/// let both = Topics::list(["orders", "returns"]).start(OffsetSpec::Timestamp(1_700_000_000_000));
/// let sensors = Topics::pattern("sensor-.*").start(OffsetSpec::Latest);
/// let some = Topics::list(["orders"]).partitions([0, 3]).until(OffsetSpec::Latest);
/// # let _ = (both, sensors, some);
/// ```
///
/// Made in a plan, it is made for each batch, as everything there; made outside and given as a reference, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    pub(crate) names: Names,
    /// For people: the names, or the pattern.
    pub(crate) title: String,
    pub(crate) partitions: Option<Vec<i32>>,
    pub(crate) start: OffsetSpec,
    pub(crate) until: Option<OffsetSpec>,
}

/// How topics are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    List(Vec<String>),
    Pattern(String),
}

impl Names {
    /// A pattern as it is applied: the whole name has to match, as in Java.
    pub(crate) fn whole(pattern: &str) -> Result<regex::Regex, regex::Error> {
        regex::Regex::new(&format!("^(?:{pattern})$"))
    }
}

impl Topics {
    /// These topics. One of them that does not exist is created, where the cluster allows it.
    pub fn list<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        let title = names.join(", ");
        names.sort();
        names.dedup();
        Self::of(Names::List(names), title)
    }

    /// All topics whose whole name matches a regular expression, Kafka's own (`__…`) and this application's changelogs left out. Topics
    /// that are made later are found within `metadata.max.age.ms`; then the group divides the work anew.
    #[must_use]
    pub fn pattern(regex: &str) -> Self {
        Self::of(Names::Pattern(regex.to_owned()), regex.to_owned())
    }

    fn of(names: Names, title: String) -> Self {
        Self {
            names,
            title,
            partitions: None,
            start: OffsetSpec::default(),
            until: None,
        }
    }

    /// These partitions of each topic, and no others. One that does not exist ends the run at its start.
    #[must_use]
    pub fn partitions(self, partitions: impl IntoIterator<Item = i32>) -> Self {
        Self {
            partitions: Some(partitions.into_iter().collect()),
            ..self
        }
    }

    /// Where reading begins in partitions of which the group has no committed position. **A committed position goes before this**, as a
    /// savepoint does in Flink: state belongs to the positions that it was built from. Another `application.id`, or
    /// [`Reset`](crate::Reset), begins anew; of a plan with state, setting the offsets alone is refused. Partitions that are found while
    /// running begin with their first record.
    #[must_use]
    pub fn start(self, start: OffsetSpec) -> Self {
        Self { start, ..self }
    }

    /// Where reading ends: the source is bounded. What `spec` means is settled once, at the start; partitions found later are not read.
    #[must_use]
    pub fn until(self, until: OffsetSpec) -> Self {
        Self {
            until: Some(until),
            ..self
        }
    }

    /// The names that were told; none of a pattern.
    pub(crate) fn list_of(&self) -> &[String] {
        match &self.names {
            Names::List(names) => names,
            Names::Pattern(_) => &[],
        }
    }

    /// The only topic, if it is read as a whole: its batches can be relayed as they are.
    pub(crate) fn single(&self) -> Option<&str> {
        match &self.names {
            Names::List(names) if names.len() == 1 => names.first().map(String::as_str),
            _ => None,
        }
    }
}
