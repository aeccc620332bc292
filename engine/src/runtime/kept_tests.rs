//! State on disk across runs: what an orderly end has kept is taken up, if the changelog is still what it was; anything else is read back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::job::Job;
use super::{Config, process};
use crate::Error;
use crate::checkpoint::changelog::ENTRY;
use crate::connectors::memory_cluster::Memory;
use crate::flow::Scope;
use crate::inspect::Inspector;
use crate::plan::App;
use crate::state::Store;

const CHANGELOG: &str = "app-count-1-changelog";

/// Whether one word is not to be borne.
static PANICS: AtomicBool = AtomicBool::new(true);
/// The same of another word, for another test.
static PANICS_LATE: AtomicBool = AtomicBool::new(true);

/// Ten keys or so are in memory.
fn counts_on_disk(s: Scope<'_>) {
    let words = s.source("lines").utf8().inspect(|word| {
        assert!(*word != "panic" || !PANICS.load(Ordering::Relaxed));
        assert!(*word != "panic late" || !PANICS_LATE.load(Ordering::Relaxed));
        if *word == "pause" {
            // Time for a commit before the next record.
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let keyed = words.key_by(|w| w);
    let store = Store::Disk { cache_bytes: 1024 };
    keyed.state_store(store).count().sink("counts");
}

/// A cluster, a state directory, and what should have been counted.
struct Setting {
    memory: Memory,
    state_dir: PathBuf,
    truth: BTreeMap<String, u64>,
    commit_interval: Duration,
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.state_dir);
    }
}

impl Setting {
    fn new() -> Self {
        let memory = Memory::new("app");
        memory.create("lines", 4);
        Self {
            memory,
            state_dir: crate::state::temporary_folder("kept"),
            truth: BTreeMap::new(),
            commit_interval: Duration::from_millis(5),
        }
    }

    fn feed(&mut self, words: impl IntoIterator<Item = u64>) {
        for word in words {
            let text = format!("word {word}");
            self.memory
                .produce("lines", word as usize % 4, [Some(text.as_bytes())]);
            *self.truth.entry(text).or_default() += 1;
        }
    }

    /// Runs to the end; how many records of the changelog were read back.
    async fn run(&self, threads: usize) -> Result<u64, Error> {
        let mut config = Config::default().until_end(true);
        config.threads = threads;
        config.commit_interval = self.commit_interval;
        config.state_dir = Some(self.state_dir.clone());
        let app = App::new("app", counts_on_disk)?;
        let job = Arc::new(Job::new("app".to_owned(), None, app)?);
        let inspector = Inspector::new();
        let stop = std::pin::pin!(std::future::pending());
        let (memory, stop) = (self.memory.clone(), super::Stop::new(stop));
        let run = process::run(job, &config, memory, stop, &inspector, Instant::now());
        let guard = tokio::time::timeout(Duration::from_secs(60), run);
        guard.await.expect("the run hangs")?;
        Ok(inspector.snapshot().records_restored)
    }

    fn counts(&self) -> BTreeMap<String, u64> {
        let records = self.memory.records("counts").into_iter();
        let of = |(key, value): (Option<Vec<u8>>, Option<Vec<u8>>)| {
            let count = u64::from_be_bytes(value.unwrap().try_into().unwrap());
            (String::from_utf8(key.unwrap()).unwrap(), count)
        };
        records.map(of).collect()
    }
}

#[tokio::test]
async fn after_an_orderly_end_state_on_disk_is_taken_up_and_nothing_is_read_back() {
    let mut setting = Setting::new();
    setting.feed(0..500);
    assert_eq!(setting.run(2).await.unwrap(), 0);
    for round in 1..4 {
        setting.feed(round * 100..round * 100 + 200);
        assert_eq!(setting.run(2).await.unwrap(), 0, "round {round}");
        assert_eq!(setting.counts(), setting.truth, "round {round}");
    }
    // Nothing comes, and it is kept all the same.
    assert_eq!(setting.run(2).await.unwrap(), 0);
    setting.feed(0..10);
    assert_eq!(setting.run(2).await.unwrap(), 0);
    assert_eq!(setting.counts(), setting.truth);
}

#[tokio::test]
async fn other_workers_have_other_keys_and_read_them_back() {
    let mut setting = Setting::new();
    setting.feed(0..500);
    setting.run(2).await.unwrap();
    setting.feed(0..100);
    assert!(setting.run(3).await.unwrap() >= 500);
    assert_eq!(setting.counts(), setting.truth);
}

#[tokio::test]
async fn after_an_end_in_the_middle_the_changelog_is_the_truth() {
    let mut setting = Setting::new();
    setting.feed(0..500);
    setting.run(1).await.unwrap();
    // What is counted before the panic is in the store, and in no commit.
    setting.commit_interval = Duration::from_secs(3600);
    setting.feed(0..100);
    setting.memory.produce("lines", 0, [Some(&b"panic"[..])]);
    setting.truth.insert("panic".to_owned(), 1);
    let error = setting.run(1).await.unwrap_err();
    assert!(matches!(error, Error::Panic { .. }), "{error}");
    PANICS.store(false, Ordering::Relaxed);
    assert!(setting.run(1).await.unwrap() >= 500);
    assert_eq!(setting.counts(), setting.truth);
}

/// The last commit was no orderly end: what the store has counted since is not what the changelog's end says.
#[tokio::test]
async fn after_an_end_behind_commits_the_changelog_is_the_truth() {
    let mut setting = Setting::new();
    setting.feed(0..500);
    setting.run(1).await.unwrap();
    let words = (0..100).map(|word| format!("word {word}"));
    let pauses = (0..5).map(|_| "pause".to_owned());
    let late = [String::from("panic late")];
    for text in words.clone().chain(pauses).chain(words).chain(late) {
        setting.memory.produce("lines", 0, [Some(text.as_bytes())]);
        *setting.truth.entry(text).or_default() += 1;
    }
    let error = setting.run(1).await.unwrap_err();
    assert!(matches!(error, Error::Panic { .. }), "{error}");
    PANICS_LATE.store(false, Ordering::Relaxed);
    assert!(setting.run(1).await.unwrap() >= 500);
    assert_eq!(setting.counts(), setting.truth);
}

#[tokio::test]
async fn a_changelog_that_has_grown_or_begun_anew_is_read_back() {
    let mut setting = Setting::new();
    setting.feed(0..500);
    setting.run(1).await.unwrap();
    // Another process has counted on in the meantime.
    let key = [&[ENTRY][..], b"word 7"].concat();
    let partition = (0..16).find(|p| {
        let of = setting.memory.records_of(CHANGELOG, *p);
        of.iter().any(|(k, _)| k.as_deref() == Some(&key[..]))
    });
    let value = 100u64.to_be_bytes();
    setting
        .memory
        .produce_record(CHANGELOG, partition.unwrap(), Some(&key), Some(&value));
    setting.feed([7]);
    assert!(setting.run(1).await.unwrap() > 500);
    assert_eq!(setting.counts()["word 7"], 101);
    // It was deleted: everything begins with nothing.
    setting.memory.create(CHANGELOG, 16);
    setting.feed([7]);
    setting.run(1).await.unwrap();
    assert_eq!(setting.counts()["word 7"], 1);
}
