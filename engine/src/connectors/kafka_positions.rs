//! Where inputs begin and end: committed positions first, then what a source asks for, then `auto.offset.reset`.

use kafka_proto::client::{self, IsolationLevel, OffsetReset, OffsetSpec as Ask, Purpose};

use super::kafka::{Kafka, failed};
use super::kafka_places::Input;
use super::memory::now_ms;
use crate::Error;
use crate::batch::topics::OffsetSpec;
use crate::checkpoint::log::{Log, Place, Position};

impl Kafka {
    /// What the leaders say; `None` where no record is as young as the time asked for.
    async fn ask(
        &self,
        questions: &[(Place, Ask)],
        isolation: IsolationLevel,
    ) -> Result<Vec<Option<i64>>, Error> {
        let topics = self.topics();
        let asked: Vec<(&str, i32, Ask)> = questions
            .iter()
            .map(|(p, ask)| (topics.name(*p).map_or("", |name| name), p.number(), *ask))
            .collect();
        let answers = self
            .cluster
            .list_offsets(&asked, isolation, Purpose::Metadata)
            .await
            .map_err(|e| failed("asking where topics begin and end", e))?;
        let offset = |(question, answer): (&(&str, i32, Ask), client::Result<_>)| {
            let (topic, partition, _) = question;
            let listed: client::ListedOffset = answer.map_err(|e| {
                failed(
                    format!("asking where {topic}-{partition} begins and ends"),
                    e,
                )
            })?;
            // A negative answer is not an offset.
            Ok(listed.offset.filter(|offset| *offset >= 0))
        };
        asked.iter().zip(answers).map(offset).collect()
    }

    /// As [`Self::ask`], where there is always an answer.
    pub(super) async fn list(
        &self,
        places: &[Place],
        ask: Ask,
        isolation: IsolationLevel,
    ) -> Result<Vec<i64>, Error> {
        let questions: Vec<(Place, Ask)> = places.iter().map(|place| (*place, ask)).collect();
        let answers = self.ask(&questions, isolation).await?;
        let told = |(place, answer): (&Place, Option<i64>)| {
            answer.ok_or_else(|| Error::Cluster {
                doing: format!("asking where {} begins and ends", self.partition(place)),
                source: "the broker did not say".into(),
                retriable: true,
            })
        };
        places.iter().zip(answers).map(told).collect()
    }

    fn input_of(&self, place: &Place) -> Option<&Input> {
        self.inputs.iter().find(|input| input.index == place.topic)
    }

    /// Checks what can be checked of starts and ends before anything is asked.
    ///
    /// # Errors
    /// When a time lies ahead of the clock, or a partition is named that is not read.
    pub(super) fn check_specs(&self) -> Result<(), Error> {
        for input in &self.inputs {
            let specs = [
                ("start", Some(&input.topics.start)),
                ("until", input.topics.until.as_ref()),
            ];
            for (what, spec) in specs {
                match spec {
                    Some(OffsetSpec::Timestamp(at)) if what == "start" && *at > now_ms() => {
                        return Err(Error::Settings(format!(
                            "start of {}: the timestamp {at} lies ahead of the clock ({}); timestamps are milliseconds since 1970",
                            input.topics.title,
                            now_ms()
                        )));
                    }
                    Some(OffsetSpec::Offsets(offsets)) => {
                        self.check_offsets(input, what, offsets)?
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn check_offsets(
        &self,
        input: &Input,
        what: &str,
        offsets: &[(String, i32, i64)],
    ) -> Result<(), Error> {
        let topics = self.topics();
        for (topic, partition, _) in offsets {
            let place = topics.place(topic, *partition);
            let is_read = place
                .is_some_and(|place| self.places.contains(&place) && place.topic == input.index);
            // A pattern may find the topic later.
            if !is_read && (input.pattern.is_none() || place.is_some()) {
                return Err(Error::Settings(format!(
                    "{what} of {}: an offset is given for {topic}-{partition}, which is not read by this source",
                    input.topics.title
                )));
            }
        }
        Ok(())
    }

    /// Where places begin that nobody has committed.
    async fn fresh(&self, places: &[Place]) -> Result<Vec<i64>, Error> {
        let isolation = self.cluster.config().isolation_level;
        let mut questions = Vec::new();
        let mut given: Vec<Option<i64>> = Vec::new();
        for place in places {
            let start = self.input_of(place).map(|input| &input.topics.start);
            let mut fixed = None;
            let ask = match start {
                // What was made while the run went on is read from its first record: nothing of it is passed over.
                _ if !self.places.contains(place) => Ask::Earliest,
                Some(OffsetSpec::Earliest) => Ask::Earliest,
                Some(OffsetSpec::Latest) => Ask::Latest,
                Some(OffsetSpec::Timestamp(at)) => at_or_after(*at),
                Some(OffsetSpec::Offsets(offsets)) => {
                    fixed = self.given(place, offsets);
                    match fixed {
                        Some(_) => Ask::Earliest,
                        None => self.reset(place)?,
                    }
                }
                Some(OffsetSpec::Committed) | None => self.reset(place)?,
            };
            questions.push((*place, ask));
            given.push(fixed);
        }
        let answers = self.ask(&questions, isolation).await?;
        // Behind the last record begins what has no record as young as that.
        let needs_ends = given.iter().any(Option::is_some) || answers.iter().any(Option::is_none);
        let ends = if needs_ends {
            self.list(places, Ask::Latest, isolation).await?
        } else {
            vec![0; places.len()]
        };
        let mut offsets = Vec::new();
        for (((place, given), answer), end) in places.iter().zip(given).zip(answers).zip(ends) {
            let offset = match given {
                Some(offset) => {
                    let begin = answer.unwrap_or(0);
                    if !(begin..=end).contains(&offset) {
                        return Err(Error::Settings(format!(
                            "start of {}: offset {offset} is out of range: the partition holds {begin} to {end}",
                            self.partition(place)
                        )));
                    }
                    offset
                }
                None => answer.unwrap_or(end),
            };
            offsets.push(offset);
        }
        Ok(offsets)
    }

    /// The offset that a list gives a place.
    fn given(&self, place: &Place, offsets: &[(String, i32, i64)]) -> Option<i64> {
        let topics = self.topics();
        let is_it = |(topic, partition, _): &&(String, i32, i64)| {
            topics.place(topic, *partition) == Some(*place)
        };
        offsets.iter().find(is_it).map(|(_, _, offset)| *offset)
    }

    /// What `auto.offset.reset` says.
    fn reset(&self, place: &Place) -> Result<Ask, Error> {
        match self.cluster.config().auto_offset_reset {
            OffsetReset::Earliest => Ok(Ask::Earliest),
            OffsetReset::Latest => Ok(Ask::Latest),
            OffsetReset::ByDuration(before) => {
                let before = i64::try_from(before.as_millis()).unwrap_or(i64::MAX);
                Ok(Ask::AtOrAfter(now_ms().saturating_sub(before)))
            }
            OffsetReset::None => Err(Error::Settings(format!(
                "group {} has no committed position for {}, and auto.offset.reset does not say earliest or latest",
                self.application_id,
                self.partition(place)
            ))),
        }
    }

    /// Where places continue.
    pub(super) async fn start_positions(&self, places: &[Place]) -> Result<Vec<Position>, Error> {
        let mut offsets = self.committed(places).await?;
        let fresh: Vec<usize> = (0..places.len())
            .filter(|at| offsets[*at].is_none())
            .collect();
        if !fresh.is_empty() {
            let asked: Vec<Place> = fresh.iter().map(|at| places[*at]).collect();
            for (at, offset) in fresh.into_iter().zip(self.fresh(&asked).await?) {
                offsets[at] = Some(offset);
            }
        }
        let position = |(&place, offset): (&Place, Option<i64>)| Position {
            place,
            offset: offset.unwrap_or(0),
        };
        Ok(places.iter().zip(offsets).map(position).collect())
    }

    /// Where places end, as it is now.
    pub(super) async fn end_positions(
        &self,
        places: &[Place],
        until_end: bool,
    ) -> Result<Vec<Option<i64>>, Error> {
        let bounded = |input: &&Input| until_end || input.topics.until.is_some();
        let mut empty = self.inputs.iter().filter(bounded);
        if let Some(input) = empty.find(|input| self.topics().of(input.index).is_empty()) {
            return Err(Error::Settings(format!(
                "no topic matches the pattern `{}`, so there is nothing to read to an end",
                input.topics.title
            )));
        }
        let isolation = self.cluster.config().isolation_level;
        let mut ends: Vec<Option<i64>> = vec![None; places.len()];
        let mut questions: Vec<(usize, Place, Ask)> = Vec::new();
        let mut committed: Vec<(usize, Place)> = Vec::new();
        for (at, place) in places.iter().enumerate() {
            let until = self
                .input_of(place)
                .and_then(|input| input.topics.until.as_ref());
            match until {
                None if !until_end => {}
                None | Some(OffsetSpec::Latest) => questions.push((at, *place, Ask::Latest)),
                Some(OffsetSpec::Earliest) => questions.push((at, *place, Ask::Earliest)),
                Some(OffsetSpec::Timestamp(time)) => {
                    questions.push((at, *place, at_or_after(*time)));
                }
                Some(OffsetSpec::Committed) => committed.push((at, *place)),
                Some(OffsetSpec::Offsets(offsets)) => match self.given(place, offsets) {
                    Some(offset) => ends[at] = Some(offset),
                    None => questions.push((at, *place, Ask::Latest)),
                },
            }
        }
        let asked: Vec<(Place, Ask)> = questions
            .iter()
            .map(|(_, place, ask)| (*place, *ask))
            .collect();
        let of: Vec<Place> = asked.iter().map(|(place, _)| *place).collect();
        if !asked.is_empty() {
            let answers = self.ask(&asked, isolation).await?;
            let has_times = asked
                .iter()
                .any(|(_, ask)| matches!(ask, Ask::AtOrAfter(_)));
            let latest = if has_times {
                self.list(&of, Ask::Latest, isolation).await?
            } else {
                vec![i64::MAX; of.len()]
            };
            for (((at, ..), answer), latest) in questions.into_iter().zip(answers).zip(latest) {
                // Where nothing that may be read is as young as that time, all of it is older.
                ends[at] = Some(answer.unwrap_or(latest));
            }
        }
        let of: Vec<Place> = committed.iter().map(|(_, place)| *place).collect();
        if !of.is_empty() {
            for ((at, place), offset) in committed.iter().zip(self.committed(&of).await?) {
                let offset = offset.ok_or_else(|| {
                    Error::Settings(format!(
                        "until of {}: group {} has no committed position there to end at",
                        self.partition(place),
                        self.application_id
                    ))
                })?;
                ends[*at] = Some(offset);
            }
        }
        Ok(ends)
    }
}

/// All records come at a time before 1970 or later; in Kafka's own question negative times mean other things than times.
fn at_or_after(timestamp: i64) -> Ask {
    match timestamp {
        0.. => Ask::AtOrAfter(timestamp),
        _ => Ask::Earliest,
    }
}
