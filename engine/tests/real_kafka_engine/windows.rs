//! Windows of every kind over several partitions with rows out of order and late, stopped in the middle and gone on.

use std::collections::BTreeSet;

use engine::windows::{Hopping, Session, Sliding, Tumbling};

use super::*;

/// How far out of order rows come.
const BOUND: i64 = 50;
const PARTITIONS: i64 = 4;

/// The row with this number: key and time. Rows of one partition come out of order by less than [`BOUND`].
fn row(n: i64) -> (String, i64) {
    (format!("k{}", n * n % 7), n * 5 + n * 37 % 45)
}

async fn write(job: &Job, rows: &[(String, i64)]) {
    for partition in 0..PARTITIONS {
        let of = rows.iter().enumerate();
        let mine = of.filter(|(n, _)| *n as i64 % PARTITIONS == partition);
        let mine: Vec<_> = mine
            .map(|(_, (key, ts))| (*ts, format!("{key} {ts}")))
            .collect();
        job.write("rows", partition as i32, &mine).await;
    }
}

fn plan(input: String, output: String, late: String) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    move |s| {
        let rows = s
            .source(&*input)
            .utf8()
            .try_map(|line| {
                let (key, ts) = line.split_once(' ').ok_or("no time")?;
                Ok::<_, &str>((key, ts.parse::<i64>().map_err(|_| "no number")?))
            })
            .with_timestamps(|r| r.1, Duration::from_millis(BOUND as u64))
            .share();
        macro_rules! windows {
            ($name:literal, $spec:expr) => {
                let (counts, too_late) = rows
                    .clone()
                    .key_by(|r| r.0)
                    .window($spec)
                    .count()
                    .named($name)
                    .with_late();
                counts
                    .map(|(key, w, n)| (format!("{} {key} {} {}", $name, w.start, w.end), n))
                    .sink(&*output);
                too_late
                    .map(|(key, ())| (format!("{} {key}", $name), 1u64))
                    .sink(&*late);
            };
        }
        windows!("tumbling", tumbling());
        windows!("hopping", hopping());
        windows!("session", session());
        windows!("sliding", sliding());
        rows.for_each(|_| {});
    }
}

fn tumbling() -> Tumbling {
    Tumbling::of(Duration::from_millis(1000))
}

fn hopping() -> Hopping {
    Hopping::of(Duration::from_millis(900), Duration::from_millis(300))
}

fn session() -> Session {
    Session::gap(Duration::from_millis(15))
}

fn sliding() -> Sliding {
    Sliding::of(Duration::from_millis(40))
}

/// What one computation over all rows gives: written down from the definitions, window by window.
fn truth(rows: &[(String, i64)]) -> BTreeMap<String, u64> {
    let mut by_key: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (key, ts) in rows {
        by_key.entry(key).or_default().push(*ts);
    }
    let mut truth = BTreeMap::new();
    for (key, mut times) in by_key {
        times.sort_unstable();
        let distinct: BTreeSet<i64> = times.iter().copied().collect();
        let mut windows: BTreeSet<(&str, i64, i64)> = BTreeSet::new();
        for &ts in &distinct {
            windows.insert(("tumbling", ts / 1000 * 1000, ts / 1000 * 1000 + 1000));
            let starts = (-3..=ts / 300).map(|n| n * 300);
            for start in starts.filter(|start| *start <= ts && ts < start + 900) {
                windows.insert(("hopping", start, start + 900));
            }
            windows.insert(("sliding", ts - 40, ts + 1));
            if distinct.range(ts + 1..=ts + 41).next().is_some() {
                windows.insert(("sliding", ts + 1, ts + 42));
            }
        }
        let mut start = times[0];
        for (at, &ts) in times.iter().enumerate() {
            if times.get(at + 1).is_none_or(|next| next - ts > 15) {
                windows.insert(("session", start, ts + 16));
                start = times.get(at + 1).copied().unwrap_or_default();
            }
        }
        for (kind, start, end) in windows {
            let inside = times.iter().filter(|ts| (start..end).contains(*ts));
            let name = format!("{kind} {key} {start} {end}");
            truth.insert(name, inside.count() as u64);
        }
    }
    truth
}

#[tokio::test]
async fn windows_of_every_kind_go_on_after_a_stop_in_the_middle_and_late_rows_stay_late() {
    let kafka = require_kafka!();
    let job = Job::new(kafka, "windows").await;
    job.create("rows", PARTITIONS as i32);
    job.create("counts", 2);
    job.create("late", 1);
    let plan = || plan(job.topic("rows"), job.topic("counts"), job.topic("late"));
    let all: Vec<_> = (0..2000).map(row).collect();
    write(&job, &all[..1000]).await;
    let stop = job.until_committed("rows", 1000);
    let first = run_until(plan(), &job.running(), stop).await.unwrap();
    assert_eq!((first.records_in, first.rows_late), (1000, 0));
    let before = job.numbers("counts").await;
    assert!(
        !before.is_empty() && before.len() < truth(&all).len(),
        "{} windows: not in the middle",
        before.len()
    );
    // Late for all of their windows: those have closed in the run before.
    let late: Vec<_> = (0..40).map(|n| (format!("k{}", n % 7), n * 10)).collect();
    write(&job, &late).await;
    write(&job, &all[1000..]).await;
    let second = run(plan(), &job.config()).await.unwrap();
    assert!(second.records_restored > 0);
    let counts = job.numbers("counts").await;
    let truth = truth(&all);
    let differs = |(name, n): &(&String, &u64)| truth.get(*name) != Some(n);
    let wrong: Vec<_> = counts.iter().filter(differs).collect();
    assert_eq!(wrong, [], "found beside the truth");
    assert_eq!(counts.len(), truth.len(), "windows are lost");
    let written = job.read("counts").await.len();
    assert_eq!(written, counts.len(), "each window was given out once");
    let mut of_late: BTreeMap<String, u64> = BTreeMap::new();
    for (key, _) in &late {
        for kind in ["tumbling", "hopping", "session", "sliding"] {
            *of_late.entry(format!("{kind} {key}")).or_default() += 1;
        }
    }
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for record in job.read("late").await {
        *found.entry(record.key_text()).or_default() += 1;
    }
    assert_eq!(found, of_late, "on time plus late is the input");
    assert_eq!((second.records_in, second.rows_late), (1040, 4 * 40));
}
