//! State on disk: the results are those of state in memory, whatever is where; memory stays bounded; and what cannot be is told clearly.
#![cfg(feature = "fjall")]
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::{collections::BTreeMap, time::Duration};

use engine::{
    flow::{Error, Scope},
    plan::{App, Task, TaskConfig},
    state::{KeyGroups, Store},
    testing::{Driver, InRecord},
    windows::{Hopping, Session, Tumbling, WindowSpec},
};
use proptest::prelude::*;

const SMALL: Store = small();

/// Some hundred keys are in memory.
const fn small() -> Store {
    match Store::disk() {
        Store::Disk { .. } => {}
        _ => panic!("on disk"),
    }
    Store::Disk {
        cache_bytes: 64 << 10,
    }
}

/// Key and number: short keys, and some that are too long for a slot.
fn parse(line: &str) -> Option<(&str, u64)> {
    let (key, n) = line.split_once(' ')?;
    Some((key, n.parse().ok()?))
}

fn key(n: u32) -> String {
    if n.is_multiple_of(3) {
        format!("a-key-that-does-not-fit-into-a-slot-{n}")
    } else {
        format!("k{n}")
    }
}

fn counts(store: Store) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    move |s| {
        let rows = s.source("in").utf8().try_map(|l| parse(l).ok_or("no row"));
        rows.key_by(|r| r.0).state_store(store).count().sink("out");
    }
}

fn sums(store: Store) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    move |s| {
        let rows = s.source("in").utf8().try_map(|l| parse(l).ok_or("no row"));
        rows.key_by(|r| r.0)
            .state_store(store)
            .sum(|r| r.1)
            .sink("out");
    }
}

/// Values of different lengths, and every update given out.
fn texts(store: Store) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    move |s| {
        let rows = s.source("in").utf8().try_map(|l| parse(l).ok_or("no row"));
        rows.key_by(|r| r.0)
            .state_store(store)
            .aggregate(String::new(), |text, (_, n)| {
                if text.len() > 40 {
                    text.clear();
                }
                text.push_str(&n.to_string());
            })
            .emit_every_update()
            .sink("out");
    }
}

type Out = Vec<(Option<Vec<u8>>, Option<Vec<u8>>, i64)>;

/// What a commit gave out, in no order.
fn take(driver: &mut Driver) -> Out {
    driver.commit();
    let records = driver.read("out").into_iter();
    let mut out: Out = records.map(|r| (r.key, r.value, r.timestamp)).collect();
    out.sort();
    out
}

fn same(
    workers: u16,
    epochs: &[Vec<Vec<u32>>],
    plan: impl Fn(Store) -> Box<dyn Fn(Scope<'_>) + Send + Sync>,
) {
    let (memory, disk) = (plan(Store::Memory), plan(SMALL));
    let mut memory = Driver::with_workers(workers, memory);
    let mut disk = Driver::with_workers(workers, disk);
    for (nth, epoch) in epochs.iter().enumerate() {
        for batch in epoch {
            let lines: Vec<String> = batch
                .iter()
                .map(|n| format!("{} {}", key(*n), n % 97))
                .collect();
            memory.feed("in", &lines);
            disk.feed("in", &lines);
        }
        assert_eq!(take(&mut disk), take(&mut memory), "epoch {nth}");
        if nth == epochs.len() / 2 {
            memory = memory.restarted(workers);
            disk = disk.restarted(workers);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn results_on_disk_are_those_in_memory(
        workers in 1u16..3,
        seed in any::<u32>(),
        shape in prop::collection::vec(prop::collection::vec(1usize..1500, 1..4), 2..7),
        keys in prop::sample::select(vec![50u32, 3_000, 20_000]),
        kind in 0..3,
    ) {
        let mut n = seed;
        let mut draw = || {
            n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (n >> 8) % keys
        };
        let batch = |len: &usize, draw: &mut dyn FnMut() -> u32| (0..*len).map(|_| draw()).collect();
        let epochs: Vec<Vec<Vec<u32>>> = shape
            .iter()
            .map(|epoch| epoch.iter().map(|len| batch(len, &mut draw)).collect())
            .collect();
        same(workers, &epochs, |store| match kind {
            0 => Box::new(counts(store)),
            1 => Box::new(sums(store)),
            _ => Box::new(texts(store)),
        });
    }
}

#[test]
fn memory_stays_within_its_bound_and_every_key_is_remembered() {
    const KEYS: u32 = 100_000;
    let limit = 1 << 20;
    let store = Store::Disk { cache_bytes: limit };
    let Store::Disk { .. } = store else {
        panic!("on disk")
    };
    let mut driver = Driver::new(counts(store));
    let mut last = BTreeMap::new();
    for round in 1..=2u64 {
        for from in (0..KEYS).step_by(1000) {
            let lines: Vec<String> = (from..from + 1000)
                .map(|n| format!("{} 1", key(n)))
                .collect();
            driver.feed("in", &lines);
            let size = driver.state_size("count-1");
            assert!(
                size.bytes <= limit * 3 / 2,
                "{} bytes at key {from}",
                size.bytes
            );
            // The commits lie so that many changed keys are on disk.
            if from % 30_000 == 0 {
                driver.commit();
            }
        }
        driver.commit();
        assert_eq!(driver.state_size("count-1").keys, KEYS as usize);
        for record in driver.read("out") {
            last.insert(
                record.key_str().unwrap().to_owned(),
                record.value_u64().unwrap(),
            );
        }
        assert_eq!(last.len(), KEYS as usize);
        assert!(
            last.values().all(|n| *n == round),
            "each key was counted {round} times"
        );
    }
}

/// Key, time and number of rows.
type Windows = BTreeMap<(String, i64), u64>;

/// A window's start as value is all that comes out, beside the count.
fn windowed(spec: impl WindowSpec + Sync, store: Store) -> impl Fn(Scope<'_>) + Send + Sync {
    move |s| {
        let rows = s.source("in").utf8().try_map(|l| parse(l).ok_or("no row"));
        rows.with_timestamps(|r| r.1 as i64, Duration::ZERO)
            .key_by(|r| r.0)
            .state_store(store)
            .window(spec)
            .count()
            .map(|(key, window, n)| (key, format!("{} {n}", window.start)))
            .sink("out");
    }
}

fn take_windows(driver: &mut Driver, all: &mut Windows) {
    for record in driver.read("out") {
        let value = record.value_str().unwrap();
        let (start, n) = value.split_once(' ').unwrap();
        let key = record.key_str().unwrap().to_owned();
        let before = all.insert((key, start.parse().unwrap()), n.parse().unwrap());
        assert_eq!(before, None, "a window is given out once");
    }
}

/// Rows of many keys in two windows, one after the other; each key has two rows in a window, far apart.
fn many_keys(spec: impl WindowSpec + Sync, starts: &[i64]) {
    const KEYS: u32 = 12_000;
    let cache_bytes = 256 << 10;
    let mut driver = Driver::new(windowed(spec, Store::Disk { cache_bytes }));
    let mut all = Windows::new();
    for (nth, time) in [0, 50, 100, 150].into_iter().enumerate() {
        for from in (0..KEYS).step_by(1000) {
            let lines: Vec<String> = (from..from + 1000)
                .map(|n| format!("{} {time}", key(n)))
                .collect();
            driver.feed("in", &lines);
            let size = driver.state_size("window-1").bytes;
            assert!(
                size < cache_bytes * 2,
                "{size} bytes at key {from} of {time}"
            );
        }
        driver.commit();
        take_windows(&mut driver, &mut all);
        if nth != 2 {
            driver = driver.restarted(1);
        }
    }
    driver.finish();
    take_windows(&mut driver, &mut all);
    assert_eq!(driver.state_size("window-1").keys, 0);
    let of = |n: u32, start: i64| all.get(&(key(n), start)).copied();
    for n in 0..KEYS {
        for start in starts {
            assert_eq!(of(n, *start), Some(2), "{} from {start}", key(n));
        }
    }
    let rows: u64 = all.values().sum();
    assert_eq!(rows % u64::from(KEYS), 0);
}

#[test]
fn tumbling_windows_of_more_keys_than_fit_into_memory_give_out_every_key_once() {
    many_keys(Tumbling::of(Duration::from_millis(100)), &[0, 100]);
}

#[test]
fn hopping_windows_of_more_keys_than_fit_into_memory_are_joined_on_disk() {
    let spec = Hopping::of(Duration::from_millis(100), Duration::from_millis(50));
    many_keys(spec, &[0, 50, 100]);
}

#[test]
fn sessions_of_more_keys_than_fit_into_memory_give_out_every_key_once() {
    // 49 and not more: the rows 50 ms apart are sessions of their own.
    let mut driver = Driver::new(windowed(Session::gap(Duration::from_millis(49)), SMALL));
    let mut all = Windows::new();
    for time in [0, 50] {
        let lines: Vec<String> = (0..20_000).map(|n| format!("{} {time}", key(n))).collect();
        driver.feed("in", &lines);
        driver.commit();
        take_windows(&mut driver, &mut all);
        driver = driver.restarted(1);
    }
    driver.finish();
    take_windows(&mut driver, &mut all);
    assert_eq!(all.len(), 40_000);
    assert!(all.values().all(|n| *n == 1));
}

#[test]
fn an_error_of_the_disk_ends_the_call_of_a_window_too() {
    let long = "x".repeat(70_000);
    let lines = [format!("{long} 1"), "b 2".to_owned()];
    let store = Store::Disk { cache_bytes: 0 };
    let tumbling = Tumbling::of(Duration::from_millis(100));
    let session = Session::gap(Duration::from_millis(100));
    for mut driver in [
        Driver::new(windowed(tumbling, store)),
        Driver::new(windowed(session, store)),
    ] {
        // Every chunk moves the one before it out.
        let records = lines.iter().map(|line| InRecord {
            value: Some(line.as_bytes()),
            ..InRecord::default()
        });
        let ends = records.map(|record| driver.try_feed_records("in", 0, &[record]));
        let error = ends.last().unwrap().unwrap_err();
        assert!(matches!(error, Error::Store { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("700") && text.contains("Store::Memory"),
            "{text}"
        );
    }
}

fn open(state_dir: std::path::PathBuf) -> Result<Task, Error> {
    let config = TaskConfig {
        keys: KeyGroups::new(7, 4),
        state_dir: Some(state_dir),
        ..TaskConfig::single(7)
    };
    Task::new(&App::new("app", counts(Store::disk())).unwrap(), &config)
}

fn folder(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!(
        "engine-state-on-disk-{}-{name}",
        std::process::id()
    ))
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named_with_what_to_do() {
    let file = folder("file");
    std::fs::write(&file, "").unwrap();
    let error = open(file.clone()).unwrap_err().to_string();
    std::fs::remove_file(&file).unwrap();
    let path = file.display().to_string();
    assert!(
        error.contains(&path) && error.contains("state.dir"),
        "{error}"
    );
}

#[test]
fn a_state_directory_that_another_process_uses_is_left_alone() {
    let path = folder("locked");
    let first = open(path.clone()).unwrap();
    let error = open(path.clone()).unwrap_err().to_string();
    let text = path.display().to_string();
    assert!(
        error.contains(&text) && error.contains("another process uses"),
        "{error}"
    );
    drop(first);
    open(path.clone()).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn nothing_is_left_on_disk_when_the_work_has_ended() {
    let path = folder("clean");
    drop(open(path.clone()).unwrap());
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0);
    std::fs::remove_dir_all(&path).unwrap();
}

/// A process function with timers, wall-clock timers and expiry; keys come and go.
fn visits(store: Store) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    use engine::operators::Event;
    move |s| {
        let rows = s.source("in").utf8().try_map(|l| parse(l).ok_or("no row"));
        rows.with_timestamps(|r| r.1 as i64, Duration::ZERO)
            .key_by(|r| r.0)
            .state_store(store)
            .state_ttl(Duration::from_millis(40))
            .process(0u64, |cx, key, event, out| match event {
                Event::Row((_, n)) => {
                    *cx.state += n;
                    cx.timer_at(n as i64 + 30);
                    if n % 3 == 0 {
                        cx.wall_timer_at(cx.now_ms() + 5);
                    }
                }
                Event::Timer(_) => out.push((key, *cx.state)),
                Event::WallTimer(_) => {
                    out.push((key, *cx.state));
                    cx.clear();
                }
            })
            .sink("out");
    }
}

fn firsts(store: Store) -> impl Fn(Scope<'_>) + Send + Sync + 'static {
    move |s| {
        let rows = s.source("in").utf8().try_map(|l| parse(l).ok_or("no row"));
        rows.key_by(|r| r.0)
            .state_store(store)
            .distinct()
            .map(|k| (k, 1u64))
            .sink("out");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5))]

    #[test]
    fn process_functions_on_disk_do_what_they_do_in_memory(
        seed in any::<u32>(),
        lens in prop::collection::vec(1usize..2500, 2..10),
        keys in prop::sample::select(vec![300u32, 5_000]),
        is_process in any::<bool>(),
    ) {
        let make = |store| {
            if is_process { Driver::new(visits(store)) } else { Driver::new(firsts(store)) }
        };
        let (mut memory, mut disk) = (make(Store::Memory), make(SMALL));
        let mut n = seed;
        for (nth, len) in lens.iter().enumerate() {
            let lines: Vec<String> = (0..*len).map(|_| {
                n = n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                format!("{} {}", key((n >> 8) % keys), nth * 10 + (n >> 28) as usize)
            }).collect();
            for driver in [&mut memory, &mut disk] {
                driver.set_clock(nth as i64 * 15);
                driver.feed("in", &lines);
            }
            prop_assert_eq!(take(&mut disk), take(&mut memory), "batch {}", nth);
            let id = if is_process { "process-1" } else { "distinct-1" };
            prop_assert_eq!(disk.state_size(id).keys, memory.state_size(id).keys, "batch {}", nth);
            if nth == lens.len() / 2 {
                (memory, disk) = (memory.restarted(1), disk.restarted(1));
            }
        }
    }
}
