//! Time from Kafka's own truth: what is idle and what is only held up, partitions that wait for each other, timers and expiry across runs.

use std::sync::{Arc, Mutex};

use engine::connectors::Collected;
use engine::operators::Event;
use engine::time::Watermarks;
use engine::windows::Tumbling;

use super::*;

/// Behaviour 44, both halves.
#[tokio::test]
async fn an_empty_partition_holds_no_window_open_and_one_with_an_open_transaction_does() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "idle").await;
    job.create("rows", 3);
    job.write("rows", 0, &[(1000, "x"), (2000, "x"), (15_000, "x")])
        .await;
    // Undecided: it may still turn out to belong to the first window. Partition 2 stays empty.
    let open = Transaction::begin(&job, "open").await;
    open.write("rows", 1, &[(3000, "x")]).await;
    let mut config = job.running();
    config.set("fetch.max.wait.ms", "20").unwrap();
    let out = Collected::new();
    let (input, to) = (job.topic("rows"), out.clone());
    let plan = move |s: Scope<'_>| {
        s.source(&*input)
            .utf8()
            .key_by(|_| "all")
            .window(Tumbling::of(Duration::from_secs(10)))
            .count()
            .map(|(_, window, n)| ((), format!("{}: {n}", window.start / 1000)))
            .sink(&to);
    };
    let script = async {
        job.until_committed("rows", 3).await;
        // Time goes on in the other partition, through many times of `fetch.max.wait.ms` and many commits.
        for n in 0..20 {
            job.write("rows", 0, &[(16_000 + n * 1000, "x")]).await;
            job.until_committed("rows", 4 + n).await;
        }
        assert!(out.is_empty(), "the window has closed: {:?}", out.take());
        open.end(true).await;
        // At its end and idle now, as the empty one was all the time. While all are idle time stands: something has to go on.
        for n in 0.. {
            if !out.is_empty() {
                break;
            }
            job.write("rows", 0, &[(40_000 + n * 1000, "x")]).await;
            job.committed("rows").await;
        }
    };
    run_until(plan, &config, script).await.unwrap();
    let first = out.take().remove(0);
    assert_eq!(
        first.value_str(),
        Some("0: 3"),
        "with the row that was undecided"
    );
}

#[tokio::test]
async fn a_fast_partition_waits_for_a_slow_one() {
    const DRIFT: i64 = 1000;
    let kafka = require_kafka!();
    let job = Job::new(kafka, "aligned").await;
    job.create("rows", 2);
    // A batch for each, a second apart: read at once, the whole minute would lie between the two.
    for n in 0..60 {
        job.write("rows", 0, &[(n * 1000, "fast")]).await;
    }
    // An open transaction behind each row of the slow one keeps it from being idle: then nobody would wait for it.
    let mut open = Transaction::begin(&job, "0").await;
    open.write("rows", 1, &[(0, "slow")]).await;
    let mut config = job.running();
    config.set("fetch.max.wait.ms", "20").unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (input, log) = (job.topic("rows"), Arc::clone(&seen));
    let plan = move |s: Scope<'_>| {
        let log = Arc::clone(&log);
        let wait = Watermarks::monotonous().aligned("all", Duration::from_millis(DRIFT as u64));
        s.source(&*input)
            .record()
            .map(|r| (r.partition.unwrap(), r.timestamp))
            .with_timestamps(|r| r.1, wait)
            .inspect(move |r| log.lock().unwrap().push(*r))
            .key_by(|r| r.0)
            .count()
            .for_each(|_| {});
    };
    let script = async {
        for (n, second) in [0, 10, 11, 30, 59].into_iter().enumerate() {
            let next = Transaction::begin(&job, ["1", "0"][n % 2]).await;
            let after = [10, 11, 30, 59, 3600][n];
            next.write("rows", 1, &[(after * 1000, "slow")]).await;
            std::mem::replace(&mut open, next).end(true).await;
            until(|| seen.lock().unwrap().contains(&(0, second * 1000))).await;
        }
        open.end(false).await;
    };
    run_until(plan, &config, script).await.unwrap();
    let mut slow = 0;
    for (partition, ts) in seen.lock().unwrap().iter() {
        if *partition == 1 {
            slow = *ts;
        } else {
            let ahead = ts - slow;
            assert!(ahead <= DRIFT + 1000, "{ahead} ms ahead at {ts}");
        }
    }
}

/// Behaviours 56 and 57 across a restart.
#[tokio::test]
async fn timers_fire_once_after_a_restart_and_those_deleted_do_not() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "timers").await;
    job.create("rows", 2);
    job.create("out", 1);
    let (input, output) = (job.topic("rows"), job.topic("out"));
    let plan = move |s: Scope<'_>| {
        s.source(&*input)
            .utf8()
            .try_map(|line| {
                let mut parts = line.split(' ');
                let mut next = || parts.next().ok_or("three words");
                let (key, at, what) = (next()?, next()?, next()?);
                Ok::<_, &str>((key, at.parse::<i64>().map_err(|_| "no time")?, what))
            })
            .with_timestamps(|r| r.1, Duration::ZERO)
            .key_by(|r| r.0)
            .process(0u64, |cx, key, event, out| match event {
                Event::Row((_, at, what)) => {
                    *cx.state += 1;
                    match what {
                        "set" => {
                            cx.timer_at(at + 10_000);
                            cx.timer_at(at + 10_000);
                            cx.timer_at(at + 20_000);
                        }
                        "delete" => cx.delete_timer(10_001),
                        "wall" => cx.wall_timer_at(cx.now_ms() + 1000),
                        _ => {}
                    }
                }
                Event::Timer(at) => out.push((key, format!("timer {at} after {}", cx.state))),
                Event::WallTimer(_) => out.push((key, format!("wall after {}", cx.state))),
            })
            .sink(&*output);
    };
    let of = |rows: &[(i64, &str, &str)]| -> Vec<(i64, String)> {
        rows.iter()
            .map(|(at, key, what)| (0, format!("{key} {at} {what}")))
            .collect()
    };
    let first = of(&[(1, "a", "set"), (1, "b", "set"), (1, "w", "wall")]);
    job.write("rows", 0, &first).await;
    let second = of(&[(2, "b", "delete"), (5000, "a", "see")]);
    job.write("rows", 0, &second).await;
    job.write("rows", 1, &of(&[(5000, "c", "see")])).await;
    let stop = job.until_committed("rows", 6);
    run_until(plan.clone(), &job.running(), stop).await.unwrap();
    let before = job.read("out").await;
    assert!(
        before.iter().all(|r| r.key_text() == "w"),
        "no time for it has come: {before:?}"
    );
    // Time goes on past the first timers, not past the second ones.
    for partition in 0..2 {
        job.write("rows", partition, &of(&[(15_000, "d", "see")]))
            .await;
    }
    let wanted = [("a", "timer 10001 after 2"), ("w", "wall after 1")];
    let all_there = async { while job.read("out").await.len() < wanted.len() {} };
    run_until(plan, &job.running(), all_there).await.unwrap();
    let mut found: Vec<_> = job
        .read("out")
        .await
        .iter()
        .map(|r| (r.key_text(), r.text()))
        .collect();
    found.sort();
    assert_eq!(
        found,
        wanted.map(|(key, text)| (key.to_owned(), text.to_owned()))
    );
}

/// Behaviour 57: by the wall clock, which goes on while nothing runs.
#[tokio::test]
async fn state_that_expired_while_nothing_ran_is_hidden_and_other_state_is_there() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "expiry").await;
    job.create("rows", 1);
    job.create("short", 1);
    job.create("long", 1);
    let (input, short, long) = (job.topic("rows"), job.topic("short"), job.topic("long"));
    let plan = move |s: Scope<'_>| {
        let rows = s.source(&*input).utf8().share();
        let expiring = rows
            .clone()
            .key_by(|l| l)
            .state_ttl(Duration::from_millis(1));
        expiring.distinct().map(|l| ((), l)).sink(&*short);
        let lasting = rows.key_by(|l| l).state_ttl(Duration::from_secs(3600));
        lasting.distinct().map(|l| ((), l)).sink(&*long);
    };
    job.write("rows", 0, &[(0, "a"), (0, "b")]).await;
    run(plan.clone(), &job.config()).await.unwrap();
    job.write("rows", 0, &[(0, "a"), (0, "c")]).await;
    run(plan, &job.config()).await.unwrap();
    let values = async |what: &str| {
        let mut all: Vec<_> = job
            .read(what)
            .await
            .iter()
            .map(broker::Read::text)
            .collect();
        all.sort();
        all
    };
    assert_eq!(values("short").await, ["a", "a", "b", "c"]);
    assert_eq!(values("long").await, ["a", "b", "c"]);
}

/// A broker refuses times of more than an hour ahead (KIP-1030). One wrong clock must not stop the job, and stop it again at each restart.
#[tokio::test]
async fn times_that_a_broker_refuses_are_counted_like_others_and_written_with_the_nearest_it_takes()
{
    let kafka = require_kafka!();
    let job = Job::new(kafka, "extremes").await;
    job.create("rows", 1);
    job.create("counts", 1);
    job.create("days", 1);
    job.create("bad", 1);
    let [input, counts, days, bad] = ["rows", "counts", "days", "bad"].map(|what| job.topic(what));
    let plan = move |s: Scope<'_>| {
        let rows = s
            .source(&*input)
            .utf8()
            .try_map(|line| line.parse::<i64>().map_err(|_| "no time"))
            .dead_letters(&bad)
            .with_timestamps(|ts| *ts, Duration::ZERO)
            .share();
        rows.clone()
            .key_by(|ts| ts > 0)
            .count()
            .map(|(k, n)| (k.to_string(), n))
            .sink(&*counts);
        let window = Tumbling::of(Duration::from_secs(86_400));
        let days_of = rows
            .key_by(|_| "all")
            .window(window)
            .emit_each_commit()
            .count();
        days_of
            .map(|(_, w, n)| (w.start.to_string(), n))
            .sink(&*days);
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap().as_millis() as i64;
    let day = 86_400_000;
    // Time never falls here, so that nothing is late.
    let times = [
        i64::MIN + 1,
        -5_000_000_000_000,
        -2,
        0,
        now,
        now + 400 * day,
        i64::MAX - 1,
    ];
    for (at, ts) in times.iter().enumerate() {
        job.write("rows", 0, &[(0, ts.to_string()), (0, "x".to_owned())])
            .await;
        run(plan.clone(), &job.config()).await.unwrap();
        let done = &times[..=at];
        let mut truth: BTreeMap<String, u64> = BTreeMap::new();
        for ts in done {
            *truth.entry((*ts > 0).to_string()).or_default() += 1;
        }
        assert_eq!(job.numbers("counts").await, truth, "after {ts}");
    }
    let written = job.read("days").await;
    assert_eq!(written.len(), times.len(), "{written:?}");
    let soon = now + 3_600_000;
    assert!(written.iter().all(|r| r.timestamp < soon), "{written:?}");
    let today = (now / day * day).to_string();
    assert!(
        written
            .iter()
            .any(|r| r.key_text() == today && r.number() == 1)
    );
    assert_eq!(job.read("bad").await.len(), times.len());
}
