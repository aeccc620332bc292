//! Modifiers stand where they have a meaning, or the plan is refused when it is learned: a table of places.

use std::time::Duration;

use engine::{
    flow::{OnBad, Scope},
    operators::AsyncWait,
    plan::App,
    state::Store,
    time::Watermarks,
    windows::{Hopping, Session, Sliding, Tumbling},
};

const SECOND: Duration = Duration::from_secs(1);

type Plan = fn(Scope<'_>);

/// Plans that are refused, and what the text must name.
const REFUSED: &[(&str, Plan, &[&str])] = &[
    (
        "state_ttl before count",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .count()
                .sink("out")
        },
        &["`state_ttl`", "count", "`process`"],
    ),
    (
        "state_ttl before sum",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .sum(|l| l.len() as u64)
                .sink("out")
        },
        &["`state_ttl`", "sum"],
    ),
    (
        "state_ttl before min",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .min(|l| l.len() as u64)
                .sink("out")
        },
        &["`state_ttl`", "min"],
    ),
    (
        "state_ttl before average",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .average(|l| l.len() as u64)
                .sink("out")
        },
        &["`state_ttl`", "average"],
    ),
    (
        "state_ttl before top_n",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .top_n(1, |l| (l.len() as u64, 0u64))
                .map(|(k, _)| ((), k))
                .sink("out")
        },
        &["`state_ttl`", "top_n"],
    ),
    (
        "state_ttl before aggregate",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .aggregate(0u64, |n, _| *n += 1)
                .sink("out")
        },
        &["`state_ttl`", "aggregate"],
    ),
    (
        "state_ttl before aggregate_merging",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .aggregate_merging(0u64, |n, _| *n += 1, |a, b| *a += b)
                .sink("out")
        },
        &["`state_ttl`", "aggregate"],
    ),
    (
        "state_ttl before reduce",
        |s| {
            s.source("in")
                .utf8()
                .map(str::to_owned)
                .key_by(|l| l)
                .state_ttl(SECOND)
                .reduce(|a, _| a)
                .sink("out")
        },
        &["`state_ttl`", "reduce"],
    ),
    (
        "state_ttl before tumbling windows",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .window(Tumbling::of(SECOND))
                .count()
                .map(|(k, _, n)| (k, n))
                .sink("out")
        },
        &["`state_ttl`", "window"],
    ),
    (
        "state_ttl before hopping windows",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .window(Hopping::of(2 * SECOND, SECOND))
                .count()
                .map(|(k, _, n)| (k, n))
                .sink("out")
        },
        &["`state_ttl`", "window"],
    ),
    (
        "state_ttl before sessions",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .window(Session::gap(SECOND))
                .count()
                .map(|(k, _, n)| (k, n))
                .sink("out")
        },
        &["`state_ttl`", "window"],
    ),
    (
        "state_ttl before sliding windows",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .window(Sliding::of(SECOND))
                .count()
                .map(|(k, _, n)| (k, n))
                .sink("out")
        },
        &["`state_ttl`", "window"],
    ),
    (
        "state_ttl before in_order and a fold",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .in_order()
                .count()
                .sink("out")
        },
        &["`state_ttl`", "count"],
    ),
    (
        "state_ttl twice",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_ttl(SECOND)
                .state_ttl(SECOND)
                .distinct()
                .map(|k| ((), k))
                .sink("out")
        },
        &["`state_ttl`", "leave one out"],
    ),
    (
        "state_ttl twice behind in_order",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .in_order()
                .state_ttl(SECOND)
                .state_ttl(SECOND)
                .distinct()
                .map(|k| ((), k))
                .sink("out")
        },
        &["`state_ttl`", "leave one out"],
    ),
    (
        "state_store twice",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .state_store(Store::Memory)
                .state_store(Store::Memory)
                .count()
                .sink("out")
        },
        &["`state_store`", "leave one out"],
    ),
    (
        "dead_letters behind map",
        |s| {
            s.source("in")
                .utf8()
                .map(|l| ((), l))
                .dead_letters("bad")
                .sink("out")
        },
        &["`dead_letters`", "map", "`try_map`"],
    ),
    (
        "dead_letters behind filter",
        |s| {
            s.source("in")
                .utf8()
                .filter(|_| true)
                .dead_letters("bad")
                .map(|l| ((), l))
                .sink("out")
        },
        &["`dead_letters`", "filter", "s.source(topic).dead_letters"],
    ),
    (
        "on_bad behind map",
        |s| {
            s.source("in")
                .utf8()
                .map(|l| ((), l))
                .on_bad(OnBad::Fail)
                .sink("out")
        },
        &["`on_bad`", "map"],
    ),
    (
        "on_bad behind flat_map",
        |s| {
            s.source("in")
                .utf8()
                .flat_map(|l| l.split(' '))
                .on_bad(OnBad::Fail)
                .map(|l| ((), l))
                .sink("out")
        },
        &["`on_bad`", "flat_map"],
    ),
    (
        "on_bad behind inspect",
        |s| {
            s.source("in")
                .utf8()
                .inspect(|_| ())
                .on_bad(OnBad::Skip)
                .map(|l| ((), l))
                .sink("out")
        },
        &["`on_bad`", "inspect"],
    ),
    (
        "on_bad behind share",
        |s| {
            s.source("in")
                .utf8()
                .share()
                .on_bad(OnBad::Skip)
                .map(|l| ((), l))
                .sink("out")
        },
        &["`on_bad`", "share"],
    ),
    (
        "on_bad behind union",
        |s| {
            let a = s.source("a").utf8();
            a.union(s.source("b").utf8())
                .on_bad(OnBad::Skip)
                .map(|l| ((), l))
                .sink("out")
        },
        &["`on_bad`", "union"],
    ),
    (
        "on_bad behind branch",
        |s| {
            let (a, b) = s.source("a").utf8().branch(|l| l.is_empty());
            a.on_bad(OnBad::Skip).map(|l| ((), l)).sink("out");
            b.map(|l| ((), l)).sink("b")
        },
        &["`on_bad`", "branch"],
    ),
    (
        "dead_letters behind count",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .count()
                .dead_letters("bad")
                .sink("out")
        },
        &["`dead_letters`", "count"],
    ),
    (
        "dead_letters behind windows",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .window(Tumbling::of(SECOND))
                .count()
                .dead_letters("bad")
                .map(|(k, _, n)| (k, n))
                .sink("out")
        },
        &["`dead_letters`", "window"],
    ),
    (
        "dead_letters behind deduplicate",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .deduplicate()
                .dead_letters("bad")
                .map(|l| ((), l))
                .sink("out")
        },
        &["`dead_letters`", "deduplicate"],
    ),
    (
        "dead_letters behind late rows",
        |s| {
            let (sums, late) = s
                .source("in")
                .utf8()
                .key_by(|l| l)
                .window(Tumbling::of(SECOND))
                .count()
                .with_late();
            sums.map(|(k, _, n)| (k, n)).sink("out");
            late.dead_letters("bad").map(|(k, ())| ((), k)).sink("late");
        },
        &["`dead_letters`", "late"],
    ),
    (
        "two policies of one operator",
        |s| {
            s.source("in")
                .utf8()
                .on_bad(OnBad::Fail)
                .dead_letters("bad")
                .map(|l| ((), l))
                .sink("out")
        },
        &["`dead_letters`", "`on_bad`", "source(\"in\")"],
    ),
    (
        "on_bad twice",
        |s| {
            s.source("in")
                .utf8()
                .on_bad(OnBad::Fail)
                .on_bad(OnBad::Skip)
                .map(|l| ((), l))
                .sink("out")
        },
        &["`on_bad`", "leave one out"],
    ),
    (
        "dead letters without a topic",
        |s| {
            s.source("in")
                .utf8()
                .on_bad(OnBad::DeadLetter)
                .map(|l| ((), l))
                .sink("out")
        },
        &["OnBad::DeadLetter", "dead_letters(topic)"],
    ),
    (
        "dead letters without a topic, for a source",
        |s| {
            s.source("in")
                .on_bad(OnBad::DeadLetter)
                .utf8()
                .map(|l| ((), l))
                .sink("out")
        },
        &["OnBad::DeadLetter", "dead_letters(topic)"],
    ),
    (
        "dead letters to a name that is none",
        |s| {
            s.source("in")
                .utf8()
                .dead_letters("bad letters")
                .map(|l| ((), l))
                .sink("out")
        },
        &["dead letters of source", "expected"],
    ),
    (
        "dead letters to a name that is none, for a source",
        |s| {
            s.source("in")
                .dead_letters("")
                .utf8()
                .map(|l| ((), l))
                .sink("out")
        },
        &["dead letters of source", "expected"],
    ),
    (
        "a policy for what follows that covers nothing",
        |s| {
            s.source("in")
                .utf8()
                .then_dead_letters("bad")
                .map(|l| ((), l))
                .for_each(|_| ())
        },
        &["`then_dead_letters(\"bad\")`", "covers nothing"],
    ),
    (
        "a policy that is replaced before it covers anything",
        |s| {
            s.source("in")
                .on_bad(OnBad::Fail)
                .dead_letters("bad")
                .utf8()
                .map(|l| ((), l))
                .sink("out")
        },
        &["`on_bad(OnBad::Fail)`", "covers nothing"],
    ),
    (
        "two names",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .count()
                .named("a")
                .named("b")
                .sink("out")
        },
        &["`named(\"b\")`", "count", "\"a\""],
    ),
    (
        "two names of the halves of a branch",
        |s| {
            let (a, b) = s.source("a").utf8().branch(|l| l.is_empty());
            a.named("a").map(|l| ((), l)).sink("out");
            b.named("b").map(|l| ((), l)).sink("b")
        },
        &["`named(\"b\")`", "branch"],
    ),
    (
        "emit_early and emit_final",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .window(Tumbling::of(SECOND))
                .emit_early(SECOND)
                .emit_final()
                .count()
                .map(|(k, _, n)| (k, n))
                .sink("out")
        },
        &["`emit_final`", "`emit_early`"],
    ),
    (
        "emit_each_commit twice",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .window(Tumbling::of(SECOND))
                .emit_each_commit()
                .emit_each_commit()
                .count()
                .map(|(k, _, n)| (k, n))
                .sink("out")
        },
        &["`emit_each_commit`"],
    ),
    (
        "allowed_lateness twice",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .window(Tumbling::of(SECOND))
                .allowed_lateness(SECOND)
                .allowed_lateness(SECOND)
                .count()
                .map(|(k, _, n)| (k, n))
                .sink("out")
        },
        &["`allowed_lateness`"],
    ),
    (
        "emit_every_update twice",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .count()
                .emit_every_update()
                .emit_every_update()
                .sink("out")
        },
        &["`emit_every_update`"],
    ),
    (
        "aligned behind a keyed operator",
        |s| {
            s.source("in")
                .utf8()
                .key_by(|l| l)
                .count()
                .with_timestamps(
                    |r| r.1 as i64,
                    Watermarks::monotonous().aligned("g", SECOND),
                )
                .sink("out")
        },
        &["`aligned`", "with_timestamps"],
    ),
    (
        "aligned behind enrich",
        |s| {
            s.source("in")
                .utf8()
                .map(str::to_owned)
                .enrich(AsyncWait::ordered(), |l| async move { Ok::<_, String>(l) })
                .with_timestamps(|_| 0, Watermarks::monotonous().aligned("g", SECOND))
                .map(|l| ((), l))
                .sink("out")
        },
        &["`aligned`", "with_timestamps"],
    ),
];

/// Plans with modifiers in every place where they have a meaning.
const TAKEN: &[(&str, Plan)] = &[
    ("state_ttl", |s| {
        let lines = s.source("in").utf8().share();
        lines
            .clone()
            .key_by(|l| l)
            .state_ttl(SECOND)
            .deduplicate()
            .map(|l| ((), l))
            .sink("a");
        lines
            .clone()
            .key_by(|l| l)
            .state_store(Store::Memory)
            .state_ttl(SECOND)
            .distinct()
            .map(|l| ((), l))
            .sink("b");
        lines
            .clone()
            .key_by(|l| l)
            .state_ttl(SECOND)
            .in_order()
            .deduplicate()
            .map(|l| ((), l))
            .sink("c");
        lines
            .clone()
            .key_by(|l| l)
            .state_ttl(SECOND)
            .in_order()
            .state_ttl(2 * SECOND)
            .state_store(Store::Memory)
            .deduplicate()
            .map(|l| ((), l))
            .sink("d");
        lines
            .key_by(|l| l)
            .state_ttl(SECOND)
            .process(0u64, |_, k, _, out| out.push(((), k)))
            .dead_letters("bad")
            .sink("e");
    }),
    ("policies of one operator", |s| {
        s.source("in")
            .utf8()
            .on_bad(OnBad::Fail)
            .try_map(|l| l.parse::<i64>())
            .dead_letters("bad")
            .named("numbers")
            .with_timestamps(
                |n| *n,
                Watermarks::monotonous()
                    .ahead_max(SECOND)
                    .aligned("g", SECOND),
            )
            .on_bad(OnBad::Skip)
            .enrich(
                AsyncWait::ordered()
                    .capacity(3)
                    .timeout(SECOND)
                    .retries(2, SECOND),
                |n| async move { Ok::<_, String>(n) },
            )
            .dead_letters("bad")
            .map(|n| ((), n))
            .then_on_bad(OnBad::Skip)
            .sink("out");
    }),
    ("one policy for everything, and another for the sink", |s| {
        let s = s.dead_letters("bad");
        s.source("a").utf8().map(|l| ((), l)).sink("out");
        s.source("b")
            .on_bad(OnBad::Fail)
            .utf8()
            .map(|l| ((), l))
            .then_dead_letters("refused")
            .sink_by(|_| "out");
    }),
    ("a policy before record covers the sink", |s| {
        s.source("in").dead_letters("bad").record().sink("out")
    }),
];

#[test]
fn a_modifier_that_has_no_meaning_where_it_stands_is_refused_with_the_operator_and_the_right_place()
{
    for (what, plan, words) in REFUSED {
        let error = match App::new("test", plan) {
            Ok(app) => panic!("{what} is accepted:\n{}", app.explain()),
            Err(error) => error.to_string(),
        };
        for word in *words {
            assert!(error.contains(word), "{what}: {word} is not in: {error}");
        }
    }
}

#[test]
fn modifiers_in_their_places_are_taken() {
    for (what, plan) in TAKEN {
        if let Err(error) = App::new("test", plan) {
            panic!("{what}: {error}");
        }
    }
}
