//! Which topic and partition of Kafka a place of the run means. Pure.
//!
//! An input may be several topics, also such as are found while the run goes on: a place says which of them it is in ([`Place::of`]).

use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use crate::Error;
use crate::batch::Topics;
use crate::batch::source::Origin;
use crate::batch::topics::Names;
use crate::checkpoint::log::{Need, Place};

/// Topics by place, and places by topic.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// By index of the run's topics: the names behind it.
    names: Vec<Vec<Arc<str>>>,
    by_name: HashMap<Arc<str>, (usize, usize)>,
}

impl Places {
    /// Room for so many of the run's topics.
    pub(super) fn new(topics: usize) -> Self {
        Self {
            names: vec![Vec::new(); topics],
            by_name: HashMap::new(),
        }
    }

    /// Adds a topic behind an index. False: it stands there already.
    ///
    /// # Errors
    /// The index that it stands behind, if that is another one.
    pub(super) fn add(&mut self, index: usize, name: &str) -> Result<bool, usize> {
        if let Some((at, _)) = self.by_name.get(name) {
            return if *at == index { Ok(false) } else { Err(*at) };
        }
        let name: Arc<str> = name.into();
        self.by_name
            .insert(Arc::clone(&name), (index, self.names[index].len()));
        self.names[index].push(name);
        Ok(true)
    }

    /// Number of the run's topics.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The topics behind an index.
    pub(super) fn of(&self, index: usize) -> &[Arc<str>] {
        self.names.get(index).map_or(&[], Vec::as_slice)
    }

    /// The topic of a place that this has given out.
    pub(super) fn name(&self, place: Place) -> Option<&Arc<str>> {
        self.names.get(place.topic)?.get(place.nth())
    }

    /// The place of a partition.
    pub(super) fn place(&self, topic: &str, partition: i32) -> Option<Place> {
        let (index, nth) = self.by_name.get(topic)?;
        Some(Place::of(*index, *nth, partition))
    }
}

/// One input of the run, as far as it is Kafka's.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Its index among the run's topics.
    pub(super) index: usize,
    pub(super) topics: Arc<Topics>,
    pub(super) pattern: Option<Regex>,
}

impl Input {
    /// # Errors
    /// When its pattern is no regular expression.
    pub(super) fn new(index: usize, origin: &Origin) -> Result<Option<Self>, Error> {
        let Some(topics) = origin.shared_topics() else {
            return Ok(None);
        };
        let pattern = match &topics.names {
            Names::List(_) => None,
            Names::Pattern(pattern) => {
                let regex = Names::whole(pattern).map_err(|error| {
                    Error::Settings(format!(
                        "the pattern `{pattern}` of a source is no regular expression: {error}"
                    ))
                })?;
                Some(regex)
            }
        };
        Ok(Some(Self {
            index,
            topics: Arc::clone(topics),
            pattern,
        }))
    }

    /// Whether it reads a partition of its topics.
    pub(super) fn reads(&self, partition: i32) -> bool {
        let only = self.topics.partitions.as_ref();
        only.is_none_or(|only| only.contains(&partition))
    }

    /// The names that its pattern matches, sorted; changelogs of this run are no input, and outputs are a mistake.
    ///
    /// # Errors
    /// When it matches what this application writes.
    pub(super) fn matching<'a>(
        &self,
        names: impl Iterator<Item = (&'a str, bool)>,
        needs: &[(String, Need)],
    ) -> Result<Vec<&'a str>, Error> {
        let Some(pattern) = &self.pattern else {
            return Ok(Vec::new());
        };
        let mut matching = Vec::new();
        for (name, is_internal) in names {
            if is_internal || name.starts_with("__") || !pattern.is_match(name) {
                continue;
            }
            match needs.iter().find(|(known, _)| known == name) {
                Some((_, Need::Changelog { .. })) => {}
                Some((_, Need::Output(to))) if to.own().is_none() => {
                    return Err(Error::Settings(format!(
                        "the pattern `{}` matches topic {name}, which this application writes, so that it would never end; choose another output, or a narrower pattern",
                        self.topics.title
                    )));
                }
                _ => matching.push(name),
            }
        }
        matching.sort_unstable();
        Ok(matching)
    }
}

/// The text for a topic that two inputs read in different ways.
pub(super) fn read_twice(name: &str) -> Error {
    Error::Settings(format!(
        "topic {name} is read by two sources that do not mean the same (lists, patterns, starts or ends differ); give both the same `Topics`, or `share` one stream"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::sink::Destination;
    use crate::batch::source::IntoOrigin;

    #[test]
    fn places_of_several_topics_are_told_apart_and_found_again() {
        let mut places = Places::new(2);
        assert_eq!(places.add(0, "a"), Ok(true));
        assert_eq!(places.add(0, "b"), Ok(true));
        assert_eq!(places.add(1, "out"), Ok(true));
        assert_eq!(places.add(0, "a"), Ok(false));
        assert_eq!(places.add(1, "b"), Err(0), "it is another input's");
        let b3 = places.place("b", 3).unwrap();
        assert_eq!((b3.topic, b3.nth(), b3.number()), (0, 1, 3));
        assert_ne!(b3, places.place("a", 3).unwrap());
        assert_eq!(&**places.name(b3).unwrap(), "b");
        assert_eq!(places.place("c", 0), None);
    }

    #[test]
    fn a_pattern_matches_whole_names_and_never_what_the_run_makes() {
        let origin = Topics::pattern("app.*|x").into_origin();
        let input = Input::new(0, &origin).unwrap().unwrap();
        let needs = [
            (
                "app-count-1-changelog".to_owned(),
                Need::Changelog { partitions: 1 },
            ),
            ("out".to_owned(), Need::Output(Destination::TOPIC)),
        ];
        let all = ["x", "xy", "app-2", "app-count-1-changelog", "app-1", "out"];
        let found = input.matching(all.iter().map(|name| (*name, false)), &needs);
        assert_eq!(found.unwrap(), ["app-1", "app-2", "x"]);
        // Not every broker marks its own topics.
        let origin = Topics::pattern(".*x").into_origin();
        let all = [("__x", false), ("_x", false)].into_iter();
        let hidden = Input::new(0, &origin).unwrap().unwrap();
        assert_eq!(hidden.matching(all, &needs).unwrap(), ["_x"]);
        let internal = input.matching([("app-3", true)].into_iter(), &needs);
        assert!(internal.unwrap().is_empty());
        let origin = Topics::pattern(".*").into_origin();
        let input = Input::new(0, &origin).unwrap().unwrap();
        let error = input.matching(["out"].iter().map(|name| (*name, false)), &needs);
        assert!(error.unwrap_err().to_string().contains("topic out"));
        let origin = Topics::pattern("(").into_origin();
        let error = Input::new(0, &origin).unwrap_err().to_string();
        assert!(error.contains("`(`"), "{error}");
    }
}
