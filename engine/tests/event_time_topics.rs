//! Event time over one topic, and over two topics of one source, by list and by pattern: a row is counted the same wherever it lies.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::time::Duration;

use engine::{
    connectors::Topics,
    flow::{Pipe, Scope, Stream},
    testing::{Driver, InRecord},
    windows::{Session, Sliding, Tumbling, Window},
};

/// How a source reads its partitions, and which those are.
#[derive(Clone, Copy, Debug)]
enum Shape {
    OneTopic,
    List,
    Pattern,
}

const SHAPES: [Shape; 3] = [Shape::OneTopic, Shape::List, Shape::Pattern];

impl Shape {
    fn topics(self) -> Topics {
        match self {
            Self::OneTopic => Topics::list(["a"]),
            Self::List => Topics::list(["b", "a"]),
            Self::Pattern => Topics::pattern("a|b"),
        }
    }

    /// Where the first and the second of two partitions are.
    fn partition(self, n: usize) -> (&'static str, i32) {
        match (self, n) {
            (_, 0) => ("a", 0),
            (Self::OneTopic, _) => ("a", 1),
            (Self::List | Self::Pattern, _) => ("b", 0),
        }
    }

    /// Rows are numbers, which are their times.
    fn feed(self, driver: &mut Driver, n: usize, times: &[i64]) {
        let text: Vec<String> = times.iter().map(ToString::to_string).collect();
        let record = |(text, timestamp): (&String, &i64)| (text.clone(), *timestamp);
        let texts: Vec<_> = text.iter().zip(times).map(record).collect();
        let records: Vec<_> = texts
            .iter()
            .map(|(text, timestamp)| InRecord {
                value: Some(text.as_bytes()),
                timestamp: *timestamp,
                ..InRecord::default()
            })
            .collect();
        let (topic, partition) = self.partition(n);
        driver.feed_records(topic, partition, &records);
    }

    fn assign(self, driver: &mut Driver) {
        for n in 0..2 {
            let (topic, partition) = self.partition(n);
            driver.assign(topic, partition);
        }
    }

    fn idle(self, driver: &mut Driver, n: usize) {
        let (topic, partition) = self.partition(n);
        driver.idle(topic, partition);
    }

    fn end(self, driver: &mut Driver, n: usize) {
        let (topic, partition) = self.partition(n);
        driver.end(topic, partition);
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn times(s: Scope<'_>, topics: Topics, bound: u64) -> Stream<'_, i64, impl Pipe<i64>> {
    s.source(topics)
        .utf8()
        .try_map(str::parse::<i64>)
        .with_timestamps(|t| *t, ms(bound))
}

/// Each shape with one, two and three workers; its rows counted in windows of 10 ms, with 2 ms of disorder.
fn each(test: impl Fn(Shape, &mut Driver)) {
    for shape in SHAPES {
        for workers in [1, 2, 3] {
            let mut driver = Driver::with_workers(workers, move |s| {
                times(s, shape.topics(), 2)
                    .key_by(|t| t.rem_euclid(3))
                    .window(Tumbling::of(ms(10)))
                    .count()
                    .map(|(_, w, n)| (w.start, n))
                    .sink("counts");
            });
            shape.assign(&mut driver);
            test(shape, &mut driver);
        }
    }
}

/// The rows of each window, whatever their keys.
fn counts(driver: &mut Driver) -> Vec<(i64, u64)> {
    let mut all = std::collections::BTreeMap::new();
    for record in driver.read("counts") {
        let start = i64::from_be_bytes(record.key.clone().unwrap().try_into().unwrap());
        *all.entry(start).or_default() += record.value_u64().unwrap();
    }
    all.into_iter().collect()
}

#[test]
fn windows_close_while_both_partitions_flow_and_none_of_their_rows_is_late() {
    each(|shape, driver| {
        for n in 0..100 {
            shape.feed(driver, 0, &[n * 10, n * 10 + 5]);
            shape.feed(driver, 1, &[n * 10 + 3]);
        }
        let got = counts(driver);
        assert_eq!(got.len(), 99, "{shape:?}");
        assert!(got.iter().all(|(_, n)| *n == 3), "{shape:?}: {got:?}");
        assert_eq!(driver.counters("window-1").late, 0, "{shape:?}");
    });
}

#[test]
fn a_partition_that_is_far_ahead_makes_no_row_of_the_other_late() {
    each(|shape, driver| {
        for n in 0..100 {
            shape.feed(driver, 1, &[n * 10]);
        }
        assert_eq!(counts(driver), [], "{shape:?}");
        for n in 0..100 {
            shape.feed(driver, 0, &[n * 10]);
        }
        assert_eq!(counts(driver).len(), 98, "{shape:?}");
        assert_eq!(driver.counters("window-1").late, 0, "{shape:?}");
    });
}

#[test]
fn an_idle_partition_is_not_waited_for_until_it_wakes() {
    each(|shape, driver| {
        shape.feed(driver, 0, &[1]);
        shape.feed(driver, 1, &[100]);
        assert_eq!(driver.watermark("window-1"), -2, "{shape:?}");
        shape.idle(driver, 0);
        assert_eq!(driver.watermark("window-1"), 97, "{shape:?}");
        assert_eq!(counts(driver), [(0, 1)], "{shape:?}");
        shape.feed(driver, 0, &[98]);
        shape.feed(driver, 1, &[200]);
        assert_eq!(driver.watermark("window-1"), 97, "{shape:?}: it is back");
        shape.feed(driver, 0, &[150]);
        assert_eq!(driver.watermark("window-1"), 147, "{shape:?}");
    });
}

#[test]
fn one_partition_at_its_end_does_not_end_the_other() {
    each(|shape, driver| {
        shape.feed(driver, 0, &[5]);
        shape.feed(driver, 1, &[50]);
        shape.end(driver, 0);
        assert_eq!(driver.watermark("window-1"), 47, "{shape:?}");
        shape.feed(driver, 1, &[60]);
        assert_eq!(driver.watermark("window-1"), 57, "{shape:?}");
        shape.end(driver, 1);
        driver.finish();
        assert_eq!(driver.watermark("window-1"), i64::MAX, "{shape:?}");
    });
}

#[test]
fn after_a_restart_the_partitions_go_on_each_by_itself() {
    each(|shape, driver| {
        shape.feed(driver, 0, &[5, 30]);
        shape.feed(driver, 1, &[25, 45]);
        assert_eq!(counts(driver), [(0, 1)], "{shape:?}");
        driver.commit();
        let mut driver = driver.restarted(2);
        shape.assign(&mut driver);
        shape.feed(&mut driver, 1, &[50]);
        shape.feed(&mut driver, 0, &[33, 46]);
        assert_eq!(counts(&mut driver), [(20, 1), (30, 2)], "{shape:?}");
        assert_eq!(driver.counters("window-1").late, 0, "{shape:?}");
        driver.finish();
        assert_eq!(counts(&mut driver), [(40, 2), (50, 1)], "{shape:?}");
    });
}

/// What comes out of a plan when both partitions are read in turn: the texts, in their order.
fn texts<P>(shape: Shape, workers: u16, plan: P) -> Vec<String>
where
    P: Fn(Scope<'_>) + Send + Sync + 'static,
{
    let mut driver = Driver::with_workers(workers, plan);
    shape.assign(&mut driver);
    for n in 0..30 {
        // The second one is ahead by up to 200.
        shape.feed(&mut driver, 1, &[n * 20 + 7, n * 20 + 200]);
        shape.feed(&mut driver, 0, &[n * 20, n * 20 + 3]);
    }
    driver.finish();
    let text = |r: &engine::testing::OutRecord| r.value_str().unwrap().to_owned();
    driver.read("out").iter().map(text).collect()
}

fn all_times() -> Vec<i64> {
    let of = |n: i64| [n * 20 + 7, n * 20 + 200, n * 20, n * 20 + 3];
    let mut all: Vec<i64> = (0..30).flat_map(of).collect();
    all.sort_unstable();
    all
}

#[test]
fn rows_in_order_are_all_there_and_in_the_order_of_their_times() {
    for shape in SHAPES {
        for workers in [1, 2, 4] {
            let got = texts(shape, workers, move |s| {
                times(s, shape.topics(), 200)
                    .key_by(|_| "all")
                    .in_order()
                    .process((), |_, _, event, out| {
                        if let engine::operators::Event::Row(row) = event {
                            out.push(row);
                        }
                    })
                    .map(|t| ((), t.to_string()))
                    .sink("out");
            });
            let want: Vec<String> = all_times().iter().map(ToString::to_string).collect();
            assert_eq!(got, want, "{shape:?}, {workers} workers");
        }
    }
}

/// Windows of every kind, as texts in the order of their bounds.
fn windows(shape: Shape, workers: u16) -> Vec<String> {
    let mut all = texts(shape, workers, move |s| {
        let rows = times(s, shape.topics(), 200).share();
        let text = |what: &'static str| {
            move |(key, w, n): (i64, Window, u64)| {
                let text = format!("{what} {key} {} {} {n}", w.start, w.end);
                ((), text)
            }
        };
        let by = |t: &i64| t % 2;
        rows.clone()
            .key_by(move |t| by(&t))
            .window(Session::gap(ms(6)))
            .count()
            .map(text("session"))
            .sink("out");
        rows.clone()
            .key_by(move |t| by(&t))
            .window(Sliding::of(ms(8)))
            .count()
            .map(text("sliding"))
            .sink("out");
        rows.key_by(move |t| by(&t))
            .window(Tumbling::of(ms(25)))
            .count()
            .map(text("tumbling"))
            .sink("out");
    });
    all.sort();
    all
}

#[test]
fn windows_of_every_kind_are_the_same_over_one_topic_and_over_two() {
    let want = windows(Shape::OneTopic, 1);
    assert!(want.len() > 100);
    for shape in SHAPES {
        for workers in [1, 2, 4] {
            assert_eq!(
                windows(shape, workers),
                want,
                "{shape:?}, {workers} workers"
            );
        }
    }
}

#[test]
fn records_with_their_own_time_are_counted_the_same_over_two_topics() {
    for shape in SHAPES {
        let mut driver = Driver::with_workers(2, move |s| {
            s.source(shape.topics())
                .utf8()
                .key_by(|_| 0i64)
                .window(Tumbling::of(ms(10)))
                .count()
                .map(|(_, w, n)| (w.start, n))
                .sink("counts");
        });
        shape.assign(&mut driver);
        for n in 0..20 {
            shape.feed(&mut driver, 1, &[n * 10 + 200]);
            shape.feed(&mut driver, 0, &[n * 10, n * 10 + 1]);
        }
        assert_eq!(counts(&mut driver).len(), 19, "{shape:?}");
        driver.finish();
        assert_eq!(driver.counters("window-1").late, 0, "{shape:?}");
    }
}

#[test]
fn two_sources_that_read_the_same_topics_have_clocks_of_their_own() {
    for shape in SHAPES {
        let mut driver = Driver::with_workers(2, move |s| {
            let other = s
                .source(shape.topics())
                .utf8()
                .try_map(str::parse::<i64>)
                .with_timestamps(|t| *t + 1000, ms(0));
            times(s, shape.topics(), 0)
                .union(other)
                .key_by(|_| 0i64)
                .window(Tumbling::of(ms(10)))
                .count()
                .map(|(_, w, n)| (w.start, n))
                .sink("counts");
        });
        shape.assign(&mut driver);
        for n in 0..10 {
            shape.feed(&mut driver, 0, &[n * 10]);
            shape.feed(&mut driver, 1, &[n * 10]);
        }
        assert_eq!(counts(&mut driver).len(), 9, "{shape:?}");
        driver.finish();
        assert_eq!(driver.counters("window-1").late, 0, "{shape:?}");
        assert_eq!(counts(&mut driver).len(), 11, "{shape:?}");
    }
}

#[test]
fn rows_of_one_time_come_by_topic_whichever_is_read_first() {
    for first in ["a", "b"] {
        let mut driver = Driver::new(|s| {
            s.source(Topics::list(["b", "a"]))
                .record()
                .map(|r| r.topic.to_owned())
                .with_timestamps(|_| 5, ms(0))
                .key_by(|_| "all")
                .in_order()
                .process((), |_, _, event, out| {
                    if let engine::operators::Event::Row(row) = event {
                        out.push(((), row));
                    }
                })
                .sink("out");
        });
        let second = if first == "a" { "b" } else { "a" };
        for topic in [first, second] {
            driver.assign(topic, 0);
        }
        for topic in [first, second] {
            driver.feed(topic, ["x"]);
        }
        driver.finish();
        let out = driver.read("out");
        let topics: Vec<_> = out.iter().map(|r| r.value_str().unwrap()).collect();
        assert_eq!(topics, ["a", "b"], "{first} first");
    }
}
