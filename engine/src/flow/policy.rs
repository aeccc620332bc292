//! Modifiers of streams and scopes: names, and policies for bad rows, of one operator or of all that follows.
//!
//! A modifier that has no meaning where it stands is an error when the plan is learned; nothing is accepted and then ignored.

use super::{Error, Mode, OnBad, Scope, Stream};

/// A policy for all that follows: what a plan has stated, and whether any operator has taken it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    /// As it stands in the plan.
    pub(super) text: String,
    on_bad: OnBad,
    dead_letters: Option<String>,
    pub(super) is_used: bool,
}

impl<'b> Scope<'b> {
    /// The same scope with a policy: what each operator made from it does with records and rows that it refuses (a decoder, `try_map`,
    /// `with_timestamps`, `enrich`, a sink), also behind keyed operators. One line for a whole plan. A policy that is stated for a
    /// source ([`Source::on_bad`](crate::operators::Source::on_bad)), for what follows on a stream ([`Stream::then_on_bad`]) or for one
    /// operator ([`Stream::on_bad`]) goes before it. Without any, each has its default, see [`OnBad`].
    ///
    /// ```
    /// use engine::{flow::OnBad, testing::Driver};
    ///
    /// let mut driver = Driver::new(|s| {
    ///     let s = s.on_bad(OnBad::Fail);
    ///     s.source("in").utf8().try_map(|l| l.parse::<u64>()).map(|n| ((), n)).sink("out");
    /// });
    /// # driver.feed("in", ["1"]);
    /// ```
    #[must_use = "the policy is that of the scope which is returned"]
    pub fn on_bad(self, on_bad: OnBad) -> Self {
        self.with_policy("on_bad", on_bad, None)
    }

    /// As [`Scope::on_bad`]: what is refused is written to this topic, see [`Stream::dead_letters`].
    #[must_use = "the policy is that of the scope which is returned"]
    pub fn dead_letters(self, topic: &str) -> Self {
        self.with_policy("dead_letters", OnBad::DeadLetter, Some(topic))
    }

    pub(crate) fn with_policy(
        self,
        word: &'static str,
        on_bad: OnBad,
        topic: Option<&str>,
    ) -> Self {
        let Mode::Learn(graph) = self.call.mode else {
            return self;
        };
        self.check_policy(word, on_bad, topic);
        let mut graph = graph.borrow_mut();
        let text = match topic {
            Some(topic) => format!("`{word}(\"{topic}\")`"),
            None => format!("`{word}(OnBad::{on_bad:?})`"),
        };
        graph.policies.push(Declared {
            text,
            on_bad,
            dead_letters: topic.map(str::to_owned),
            is_used: false,
        });
        Self {
            policy: Some(graph.policies.len() - 1),
            ..self
        }
    }

    /// Notes that an operator can refuse rows, and what happens to them: what its scope says, or else `default`.
    pub(crate) fn refuses(self, operator: usize, default: OnBad) {
        let Mode::Learn(graph) = self.call.mode else {
            return;
        };
        let mut graph = graph.borrow_mut();
        let inherited = self.policy.and_then(|at| graph.policies.get_mut(at));
        let (on_bad, dead_letters) = match inherited {
            Some(policy) => {
                policy.is_used = true;
                (policy.on_bad, policy.dead_letters.clone())
            }
            None => (default, None),
        };
        if let Some(node) = graph.node_mut(operator) {
            node.refuses = true;
            (node.on_bad, node.dead_letters) = (on_bad, dead_letters);
        }
    }

    fn check_policy(self, word: &str, on_bad: OnBad, topic: Option<&str>) {
        if on_bad == OnBad::DeadLetter && topic.is_none() {
            self.fail(Error::Modifier {
                modifier: format!("`{word}(OnBad::DeadLetter)`"),
                place: "names no topic".to_owned(),
                instead: "use `dead_letters(topic)`".to_owned(),
            });
        }
    }

    /// Refuses a modifier that stands in the plan a second time.
    pub(crate) fn only_once(self, modifier: &str, is_there: bool) {
        if is_there && let Mode::Learn(_) = self.call.mode {
            self.fail(Error::Modifier {
                modifier: modifier.to_owned(),
                place: "stands there already, and one of the two would be ignored".to_owned(),
                instead: "leave one out".to_owned(),
            });
        }
    }

    /// Refuses a modifier in a place where it has no meaning.
    #[cold]
    pub(crate) fn misplaced(
        self,
        modifier: &str,
        operator: usize,
        place: impl FnOnce(&str) -> String,
        instead: &str,
    ) {
        let Mode::Learn(graph) = self.call.mode else {
            return;
        };
        let of = graph.borrow().describe(operator);
        self.fail(Error::Modifier {
            modifier: modifier.to_owned(),
            place: place(&of),
            instead: instead.to_owned(),
        });
    }
}

impl<'b, T, P> Stream<'b, T, P> {
    /// Names the operator before it. The name of a keyed operator addresses its state and its changelog topic, so that it is found
    /// again when other operators were added to the plan; each name may be used once, and each operator named once. It consists of letters,
    /// digits, '.', '_' and '-', as names of topics do; other names are refused when the plan is learned.
    pub fn named(self, name: &str) -> Self {
        let mut before = None;
        self.scope.learn(self.node, |n| {
            before = n.name.replace(name.to_owned());
        });
        if let Some(before) = before {
            self.scope.misplaced(
                &format!("`named(\"{name}\")`"),
                self.node,
                |of| format!("gives {of} a second name (the first is \"{before}\")"),
                "leave one out",
            );
        }
        if let Some(graph) = self.scope.running()
            && graph
                .node(self.node)
                .is_none_or(|n| n.name.as_deref() != Some(name))
        {
            let kind = graph.node(self.node).map_or("", |n| n.kind.name());
            self.scope
                .changed(graph, self.node, format!("{kind} \"{name}\""));
        }
        self
    }

    /// What the operator before it, and no other, does with records and rows that it refuses: a decoder of a source, `try_map`,
    /// `with_timestamps` or `enrich`. Behind any other operator it is an error when the plan is learned. For a whole source say it once:
    /// [`Source::on_bad`](crate::operators::Source::on_bad); for sinks: [`Stream::then_on_bad`].
    pub fn on_bad(self, on_bad: OnBad) -> Self {
        self.own_policy("on_bad", on_bad, None)
    }

    /// What the operator before it, and no other, refuses is written to this topic: the record as it was read (key, value, headers and
    /// timestamp), with headers that say where it comes from (`__errors.topic`, `__errors.partition`, `__errors.offset`), which operator
    /// refused it (`__errors.operator`) and why (`__errors.message`, at most 1,024 bytes of it). Behind a keyed operator there is no record
    /// any more: then key and row as they crossed, operator and reason. It is acknowledged before the position behind it is committed,
    /// and counted (`bad`).
    ///
    /// A record that is too large with these headers (`max.request.size`, the topic's `max.message.bytes`) is written with as much of its
    /// value as fits and `__errors.truncated`, the size that the value had; headers and key are left out next. What cannot be written at all
    /// is counted (`Snapshot::dead_letters_lost`), and the job goes on.
    ///
    /// For a whole source say it once: [`Source::dead_letters`](crate::operators::Source::dead_letters); for sinks:
    /// [`Stream::then_dead_letters`]. Behind an operator that cannot refuse a row it is an error when the plan is learned.
    ///
    /// ```
    /// use engine::testing::Driver;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("in").utf8().try_map(|l| l.parse::<u64>()).dead_letters("bad").map(|n| ((), n)).sink("out");
    /// });
    /// driver.feed("in", ["1", "one"]);
    /// let bad = &driver.read("bad")[0];
    /// assert_eq!(bad.value_str(), Some("one"));
    /// assert!(bad.headers.contains(&("__errors.message".to_owned(), Some(b"invalid digit found in string".to_vec()))));
    /// ```
    pub fn dead_letters(self, topic: &str) -> Self {
        self.own_policy("dead_letters", OnBad::DeadLetter, Some(topic))
    }

    /// What all operators that follow on this stream do with rows that they refuse, sinks included; without it a sink fails.
    ///
    /// A sink refuses a row that its topic does not take: one that is too large, a topic name that Kafka does not allow or a topic that may
    /// not be created ([`Stream::sink_by`]), a partition that is not there, a value that cannot be encoded, a timestamp or missing key that
    /// the brokers refuse. With [`OnBad::Skip`] it is left out and counted. What has nothing to do with the row (a broker that is away, no
    /// permission) ends the run whatever the policy is.
    ///
    /// Records that a broker refuses are known only when it has answered. So a sink with another policy than [`OnBad::Fail`] sends a
    /// partition's next batch when the one before is acknowledged, and writes the records of a refused batch one by one, in
    /// their order; and it does not relay whole batches unread. That costs a round trip for each batch of a partition.
    ///
    /// ```
    /// use engine::{flow::OnBad, formats::Json, testing::Driver};
    /// use std::collections::BTreeMap;
    ///
    /// let mut driver = Driver::new(|s| {
    ///     s.source("in").utf8()
    ///         .map(|l| (l, if l == "odd" { Err(BTreeMap::from([([1], 1)])) } else { Ok(l.len()) })) // a map whose keys are no text
    ///         .map(|(key, value)| (key, Json(value)))
    ///         .then_on_bad(OnBad::Skip)
    ///         .sink("out");
    /// });
    /// driver.feed("in", ["even", "odd"]);
    /// assert_eq!(driver.read("out").len(), 1);
    /// assert_eq!(driver.counters("sink-1").bad, 1);
    /// ```
    pub fn then_on_bad(self, on_bad: OnBad) -> Self {
        let scope = self.scope.with_policy("then_on_bad", on_bad, None);
        Self::new(scope, self.node, self.pipe)
    }

    /// As [`Stream::then_on_bad`]: what is refused is written to this topic. What a sink refuses while a record is at hand is that record,
    /// as with [`Stream::dead_letters`]; what a broker refuses later is the result: its key, value, headers and timestamp, with the topic
    /// that did not take it in `__errors.sink`.
    pub fn then_dead_letters(self, topic: &str) -> Self {
        let dead_letter = OnBad::DeadLetter;
        let scope = (self.scope).with_policy("then_dead_letters", dead_letter, Some(topic));
        Self::new(scope, self.node, self.pipe)
    }

    fn own_policy(self, word: &'static str, on_bad: OnBad, topic: Option<&str>) -> Self {
        let Self { scope, node, .. } = self;
        if let Mode::Run(_) = scope.call.mode {
            return self;
        }
        scope.check_policy(word, on_bad, topic);
        let (mut refuses, mut before) = (false, None);
        scope.learn(node, |n| {
            refuses = n.refuses;
            before = n.own_policy.replace(word);
            n.on_bad = on_bad;
            n.dead_letters = topic.map(str::to_owned);
        });
        let modifier = format!("`{word}`");
        if !refuses {
            scope.misplaced(
                &modifier,
                node,
                |of| format!("has no meaning after {of}, which refuses no row"),
                "it belongs after a decoder, `try_map`, `with_timestamps`, `sum` or `enrich`; for a whole source say it once, before the decoder \
                 (`s.source(topic).dead_letters(topic).utf8()`), for sinks before the sink (`.then_dead_letters(topic).sink(topic)`)",
            );
        } else if let Some(before) = before {
            let place =
                |of: &str| format!("is the second policy of {of} (the first is `{before}`)");
            scope.misplaced(&modifier, node, place, "leave one out");
        }
        self
    }
}
