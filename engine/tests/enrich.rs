//! `enrich`: answers from outside, given by hand. Bounded, in order or not, never past a watermark, tried again, and part of the epoch.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::{
    flow::{Error, Limits, OnBad, Pipe, Scope, Stream},
    operators::AsyncWait,
    plan::App,
    testing::Driver,
    windows::Tumbling,
};
use proptest::prelude::*;
use tokio::sync::oneshot;

type Answer = Result<String, &'static str>;

/// A service whose answers the test gives: who asks waits until then.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<Vec<(i64, oneshot::Sender<Answer>)>>>);

impl Service {
    fn ask(&self, n: i64) -> impl Future<Output = Answer> + use<> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap().push((n, sender));
        async move { receiver.await.unwrap_or(Err("the service has hung up")) }
    }

    /// What is asked for and not answered.
    fn asked(&self) -> Vec<i64> {
        let open = self.0.lock().unwrap();
        open.iter().map(|(n, _)| *n).collect()
    }

    fn answer(&self, n: i64, answer: Answer) {
        let mut open = self.0.lock().unwrap();
        let at = open.iter().position(|(asked, _)| *asked == n).unwrap();
        open.remove(at).1.send(answer).unwrap();
    }

    fn all(&self) {
        for n in self.asked() {
            self.answer(n, Ok(format!("{n}!")));
        }
    }
}

/// The input: numbers.
fn numbers<'b>(s: Scope<'b>) -> Stream<'b, i64, impl Pipe<i64>> {
    s.source("in").utf8().try_map(str::parse::<i64>)
}

fn plan(
    service: &Service,
    wait: AsyncWait,
    on_bad: OnBad,
) -> impl Fn(Scope<'_>) + Send + Sync + use<> {
    let service = service.clone();
    move |s| {
        let service = service.clone();
        numbers(s)
            .enrich(wait, move |n| service.ask(n))
            .on_bad(on_bad)
            .map(|answer| ((), answer))
            .sink("out");
    }
}

fn out(driver: &mut Driver) -> Vec<String> {
    let all = driver.read("out");
    all.iter()
        .map(|r| r.value_str().unwrap().to_owned())
        .collect()
}

#[test]
fn unordered_answers_come_as_they_are_given_and_ordered_ones_in_the_order_of_rows() {
    for (wait, want) in [
        (AsyncWait::unordered(), ["2!", "3!", "1!"]),
        (AsyncWait::ordered(), ["1!", "2!", "3!"]),
    ] {
        let service = Service::default();
        let mut driver = Driver::new(plan(&service, wait, OnBad::Fail));
        driver.feed("in", ["1", "2", "3"]);
        assert_eq!(service.asked(), [1, 2, 3], "all at once");
        let mut got = Vec::new();
        for n in [2, 3, 1] {
            service.answer(n, Ok(format!("{n}!")));
            driver.poll();
            got.extend(out(&mut driver));
        }
        assert_eq!(got, want);
    }
}

#[test]
fn no_more_rows_ask_than_there_is_capacity_for() {
    let service = Service::default();
    let mut driver = Driver::new(plan(
        &service,
        AsyncWait::unordered().capacity(3),
        OnBad::Fail,
    ));
    driver.feed("in", (0..10).map(|n| n.to_string()));
    let mut got = Vec::new();
    for n in 0..10 {
        assert_eq!(service.asked(), (n..10.min(n + 3)).collect::<Vec<_>>());
        service.answer(n, Ok(format!("{n}!")));
        driver.poll();
        got.extend(out(&mut driver));
    }
    assert_eq!(got.len(), 10);
    assert_eq!(driver.counters("enrich-1").records, 10);
}

#[test]
fn a_commit_waits_for_the_answers_of_its_epoch() {
    let service = Service::default();
    let mut driver = Driver::new(plan(&service, AsyncWait::unordered(), OnBad::Fail));
    driver.feed("in", ["1"]);
    let error = driver.try_commit().unwrap_err();
    assert!(matches!(&error, Error::Awaiting { rows: 1, .. }), "{error}");
    service.all();
    driver.commit();
    assert_eq!(out(&mut driver), ["1!"], "given out before the commit");
}

#[test]
fn a_row_without_an_answer_in_time_is_refused_and_late_answers_are_nobodys() {
    let service = Service::default();
    let wait = AsyncWait::ordered().timeout(Duration::from_millis(100));
    let mut driver = Driver::new(plan(&service, wait, OnBad::Skip));
    driver.set_clock(1000);
    driver.feed("in", ["1", "2"]);
    service.answer(2, Ok("2!".to_owned()));
    driver.set_clock(1099);
    assert_eq!(out(&mut driver), [""; 0]);
    driver.set_clock(1100);
    assert_eq!(out(&mut driver), ["2!"]);
    assert_eq!(driver.counters("enrich-1").bad, 1);
    driver.commit();
}

#[test]
fn an_error_is_tried_again_and_then_stops_the_job_or_goes_to_the_dead_letters() {
    let service = Service::default();
    let wait = AsyncWait::ordered().retries(2, Duration::from_millis(10));
    let plan_of = |on_bad| plan(&service, wait, on_bad);
    let mut driver = Driver::new(plan_of(OnBad::Fail));
    driver.feed("in", ["7"]);
    for (clock, pause) in [(0, 10), (10, 20)] {
        service.answer(7, Err("busy"));
        driver.set_clock(clock);
        assert_eq!(service.asked(), [0; 0], "it waits before it asks again");
        driver.set_clock(clock + pause);
        assert_eq!(service.asked(), [7]);
    }
    service.answer(7, Err("busy"));
    let error = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| driver.poll()));
    let text = *error.unwrap_err().downcast::<String>().unwrap();
    assert_eq!(
        text,
        "a row in enrich (operator 2) is bad: busy (the last of 3 attempts). To skip and count such rows: `.on_bad(OnBad::Skip)`"
    );

    let service = Service::default();
    let asked = service.clone();
    let mut driver = Driver::new(move |s| {
        let service = asked.clone();
        s.source("in")
            .utf8()
            .map(str::to_owned)
            .enrich(AsyncWait::ordered(), move |text| {
                service.ask(text.len() as i64)
            })
            .dead_letters("bad")
            .map(|answer| ((), answer))
            .sink("out");
    });
    driver.feed("in", ["four"]);
    service.answer(4, Err("unknown"));
    driver.poll();
    let bad = &driver.read("bad")[0];
    assert_eq!((bad.key_str(), bad.value_str()), (None, Some("four")));
    let why = ("__errors.message".to_owned(), Some(b"unknown".to_vec()));
    assert!(bad.headers.contains(&why), "{:?}", bad.headers);
}

/// Windows behind answers: what a window counts does not depend on when they came.
fn windowed(service: &Service, wait: AsyncWait) -> impl Fn(Scope<'_>) + Send + Sync + use<> {
    let service = service.clone();
    move |s| {
        let service = service.clone();
        numbers(s)
            .with_timestamps(|n| *n, Duration::from_millis(5))
            .enrich(wait, move |n| service.ask(n))
            .key_by(|_| "all")
            .window(Tumbling::of(Duration::from_millis(10)))
            .count()
            .map(|(_, w, n)| (w.start, n))
            .sink("counts");
    }
}

#[test]
fn a_watermark_waits_for_the_answers_before_it() {
    let service = Service::default();
    let mut driver = Driver::new(windowed(&service, AsyncWait::unordered()));
    driver.feed("in", ["1", "2"]);
    driver.feed("in", ["30"]);
    assert_eq!(driver.watermark("with_timestamps-1"), 24);
    service.answer(30, Ok(String::new()));
    service.answer(1, Ok(String::new()));
    driver.poll();
    assert_eq!(driver.watermark("window-1"), i64::MIN, "2 has no answer");
    assert_eq!(driver.read("counts"), []);
    service.answer(2, Ok(String::new()));
    driver.poll();
    assert_eq!(driver.watermark("window-1"), 24);
    assert_eq!(driver.read("counts")[0].value_u64(), Some(2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn windows_behind_answers_are_those_of_a_batch_computation(
        steps in prop::collection::vec((0i64..6, 0i64..5), 1..80),
        batch in 1usize..12,
        capacity in 1usize..9,
        ordered in any::<bool>(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 200),
        workers in 1u16..4,
    ) {
        let mut now = 5;
        let rows: Vec<i64> = steps.iter().map(|(step, back)| { now += step; now - back }).collect();
        let service = Service::default();
        let wait = if ordered { AsyncWait::ordered() } else { AsyncWait::unordered() }.capacity(capacity);
        let limits = Limits { records: 7, ..Limits::default() };
        let app = App::new("test", windowed(&service, wait)).unwrap();
        let mut driver = Driver::of(app, workers, limits).unwrap();
        let mut picks = picks.iter().cycle();
        for (n, rows) in rows.chunks(batch).enumerate() {
            let values: Vec<String> = rows.iter().map(ToString::to_string).collect();
            driver.feed("in", &values);
            for _ in 0..n % 4 {
                let open = service.asked();
                if !open.is_empty() {
                    let n = open[picks.next().unwrap().index(open.len())];
                    service.answer(n, Ok(String::new()));
                    driver.poll();
                }
            }
        }
        while !service.asked().is_empty() {
            service.all();
            driver.poll();
        }
        driver.finish();
        let mut want: BTreeMap<i64, u64> = BTreeMap::new();
        for ts in rows {
            *want.entry(ts.div_euclid(10) * 10).or_default() += 1;
        }
        let of = |r: &engine::testing::OutRecord| {
            (i64::from_be_bytes(r.key.clone().unwrap().try_into().unwrap()), r.value_u64().unwrap())
        };
        let got = driver.read("counts");
        prop_assert_eq!(got.len(), want.len(), "each window is given out once");
        prop_assert_eq!(got.iter().map(of).collect::<BTreeMap<_, _>>(), want);
        prop_assert_eq!(driver.counters("window-1").late, 0);
    }
}
