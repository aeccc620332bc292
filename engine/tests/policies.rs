//! What happens to records and rows that are refused: by one policy for all that follows, at each edge, sinks included.

use std::collections::BTreeMap;

use engine::{
    flow::{OnBad, Scope},
    formats::Json,
    testing::{Driver, InRecord},
};

type Plan = fn(Scope<'_>);

/// A map whose keys are no text: JSON has no way to write it.
fn unwritable() -> BTreeMap<[u8; 1], u8> {
    BTreeMap::from([([0], 0)])
}

fn value(bytes: &[u8]) -> InRecord<'_> {
    InRecord {
        value: Some(bytes),
        ..InRecord::default()
    }
}

/// Three steps that refuse, and a sink that does.
fn steps(s: Scope<'_>, source: impl for<'b> Fn(Scope<'b>) -> engine::operators::Source<'b>) {
    source(s)
        .utf8()
        .try_map(|l| l.split_once(' ').ok_or("no blank"))
        .try_map(|(name, n)| n.parse::<i64>().map(|n| (name, n)))
        .map(|(name, n)| (name, (n >= 0).then_some(n).ok_or_else(unwritable)))
        .map(|(name, row)| (name, Json(row)))
        .sink("out");
}

const STEPS: [&[u8]; 5] = [b"a 1", b"\xff", b"no-blank", b"c x", b"d -1"];

#[test]
fn of_bad_records_in_three_steps_and_a_sink_all_arrive_as_dead_letters_of_the_source() {
    for plan in [
        (|s: Scope<'_>| steps(s, |s| s.source("in").dead_letters("bad"))) as Plan,
        |s| steps(s, |s| s.dead_letters("bad").source("in")),
    ] {
        let mut driver = Driver::new(plan);
        driver.feed("in", STEPS);
        assert_eq!(driver.read("out").len(), 1);
        let letters = driver.read("bad");
        let values: Vec<_> = letters.iter().map(|l| l.value.clone().unwrap()).collect();
        assert_eq!(values, STEPS[1..]);
        for (letter, operator) in letters.iter().zip([
            "source(\"in\")",
            "try_map (operator 1)",
            "try_map (operator 2)",
            "sink(\"out\")",
        ]) {
            let header = |name: &str| {
                let found = letter.headers.iter().find(|(n, _)| n == name).unwrap();
                String::from_utf8(found.1.clone().unwrap()).unwrap()
            };
            assert_eq!(header("__errors.operator"), operator);
            assert_eq!(header("__errors.topic"), "in");
        }
        assert_eq!(driver.counters("sink-1").bad, 1);
    }
}

#[test]
fn a_policy_to_fail_for_a_source_holds_for_each_of_its_steps() {
    for bad in &STEPS[1..] {
        let mut driver = Driver::new(|s| steps(s, |s| s.source("in").on_bad(OnBad::Fail)));
        assert!(driver.try_feed_records("in", 0, &[value(bad)]).is_err());
    }
}

#[test]
fn without_a_policy_readers_skip_and_sinks_fail() {
    let mut driver = Driver::new(|s| steps(s, |s| s.source("in")));
    driver.feed("in", &STEPS[..4]);
    assert_eq!(driver.read("out").len(), 1);
    let error = driver
        .try_feed_records("in", 0, &[value(STEPS[4])])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot write to out") && error.contains("then_on_bad"),
        "{error}"
    );
}

#[test]
fn a_policy_behind_a_keyed_operator_holds_for_the_sink() {
    let mut driver = Driver::new(|s| {
        s.source("in")
            .dead_letters("bad")
            .utf8()
            .key_by(|l| l)
            .count()
            .map(|(word, n)| {
                (
                    word,
                    Json(if word == "odd" {
                        Err(unwritable())
                    } else {
                        Ok(n)
                    }),
                )
            })
            .sink("out");
    });
    driver.feed("in", ["odd", "even"]);
    driver.commit();
    assert_eq!(driver.read("out").len(), 1);
    let letter = &driver.read("bad")[0];
    assert_eq!(letter.key_str(), Some("odd"));
}

#[test]
fn rows_that_name_impossible_topics_are_for_the_policy_of_the_sink() {
    let names = ["fine", "", ".", "..", "a b", "ä"];
    let plan = |s: Scope<'_>| {
        s.source("in")
            .utf8()
            .map(|l| ((), l))
            .then_dead_letters("bad")
            .sink_by(|(_, l)| *l);
    };
    let mut driver = Driver::new(plan);
    driver.feed("in", names);
    driver.feed("in", ["x".repeat(250).as_str(), "fine"]);
    assert_eq!(driver.read("fine").len(), 2);
    assert_eq!(driver.read("bad").len(), 6);
    let mut driver = Driver::new(|s| s.source("in").utf8().map(|l| ((), l)).sink_by(|(_, l)| *l));
    let error = driver
        .try_feed_records("in", 0, &[value(b"a b")])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot write to a b") && error.contains("expected letters, digits"),
        "{error}"
    );
}

#[test]
fn a_row_for_a_partition_that_is_not_there_is_for_the_policy_of_the_sink() {
    let mut driver = Driver::new(|s| s.source("in").record().then_dead_letters("bad").sink("out"));
    driver.partitions("out", 2);
    driver.feed_records("in", 1, &[value(b"a")]);
    driver.feed_records("in", 2, &[value(b"b")]);
    assert_eq!(driver.read("out").len(), 1);
    assert_eq!(driver.read("bad")[0].value_str(), Some("b"));
    assert_eq!(driver.counters("sink-1").bad, 1);
    let mut driver = Driver::new(|s| {
        s.source("in")
            .record()
            .then_on_bad(OnBad::Skip)
            .sink_by(|_| "out")
    });
    driver.feed_records("in", 1, &[value(b"a")]);
    driver.feed_records("in", 0, &[value(b"b")]);
    assert_eq!(driver.read("out").len(), 1, "a topic of one partition");
    assert_eq!(driver.counters("sink-1").bad, 1);
}

#[test]
fn a_reason_that_quotes_the_input_does_not_double_a_dead_letter() {
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .try_map(|l| Err::<u64, _>(format!("cannot read {l}")))
            .dead_letters("bad")
            .map(|n| ((), n))
            .sink("out");
    });
    let long = "x".repeat(1 << 20);
    driver.feed("in", [long.as_str()]);
    let letter = &driver.read("bad")[0];
    assert_eq!(letter.value.as_ref().unwrap().len(), 1 << 20);
    let message = letter
        .headers
        .iter()
        .find(|(n, _)| n == "__errors.message")
        .unwrap();
    assert!(message.1.as_ref().unwrap().len() < 1100);
}

#[test]
fn json_with_a_number_that_json_has_not_is_for_the_policy_of_the_sink() {
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .try_map(|l| l.parse::<f64>())
            .map(|n| ((), Json(n)))
            .then_dead_letters("bad")
            .sink("out");
    });
    driver.feed("in", ["1.5", "NaN", "inf", "2.5"]);
    assert_eq!(driver.read("out").len(), 2);
    let letters = driver.read("bad");
    let values: Vec<_> = letters.iter().filter_map(|l| l.value_str()).collect();
    assert_eq!(values, ["NaN", "inf"], "the record as it was read");
}
