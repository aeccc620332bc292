//! Members of a group, ours and others', and what they have read together.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kafka_proto::client::{Config, Consumer};
use test_support::kafka::{Broker, java_command, skipped};
use tokio::sync::oneshot;

pub(super) const TOPIC: &str = "rolling";
const LIMIT: Duration = Duration::from_secs(120);

/// What a group has read; clones are the same group.
#[derive(Clone)]
pub(super) struct Group {
    name: &'static str,
    seen: Arc<Mutex<Vec<Partition>>>,
}

struct Partition {
    /// How often each offset was read.
    counts: Vec<u8>,
    /// When something new was read last.
    fresh: Instant,
    longest_stall: Duration,
}

impl Group {
    /// A group that speaks the protocol of this name.
    pub(super) fn new(name: &'static str, partitions: i32) -> Self {
        let partition = |_| Partition {
            counts: Vec::new(),
            fresh: Instant::now(),
            longest_stall: Duration::ZERO,
        };
        let seen = Arc::new(Mutex::new((0..partitions).map(partition).collect()));
        Self { name, seen }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    fn read(&self, partition: i32, offsets: std::ops::RangeInclusive<i64>) {
        let mut seen = self.seen.lock().unwrap();
        let partition = &mut seen[partition as usize];
        let (first, last) = (*offsets.start() as usize, *offsets.end() as usize);
        if partition.counts.len() <= last {
            partition.counts.resize(last + 1, 0);
            let waited = partition.fresh.elapsed();
            // The first one waits for members to join: no stall.
            if first > 0 {
                partition.longest_stall = partition.longest_stall.max(waited);
            }
            partition.fresh = Instant::now();
        }
        for count in &mut partition.counts[first..=last] {
            *count = count.saturating_add(1);
        }
    }

    /// Waits until every offset below these ends was read.
    pub(super) async fn wait_for_all(&self, ends: &[i64]) {
        let begin = Instant::now();
        loop {
            let missing: Vec<String> = {
                let seen = self.seen.lock().unwrap();
                let missing = |(partition, end): (usize, &i64)| {
                    let counts = &seen[partition].counts;
                    let unread =
                        |offset: &usize| counts.get(*offset).is_none_or(|count| *count == 0);
                    let first = (0..*end as usize).find(unread);
                    first.map(|offset| format!("{partition} from {offset} of {end}"))
                };
                ends.iter().enumerate().filter_map(missing).collect()
            };
            if missing.is_empty() {
                return;
            }
            assert!(
                begin.elapsed() < LIMIT,
                "group {} did not read: {missing:?}",
                self.name
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) fn longest_stall(&self) -> Duration {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|partition| partition.longest_stall)
            .max()
            .unwrap()
    }

    pub(super) fn report(&self) -> String {
        let seen = self.seen.lock().unwrap();
        let counts = || seen.iter().flat_map(|partition| &partition.counts);
        let again: u64 = counts()
            .map(|count| u64::from(count.saturating_sub(1)))
            .sum();
        let total = counts().count();
        drop(seen);
        format!(
            "group {}: {total} records read, {again} of them again after a rebalance, the longest stall of a partition {:.1} s",
            self.name,
            self.longest_stall().as_secs_f64()
        )
    }
}

/// A consumer of ours that polls in a task of its own.
pub(super) struct Member {
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Member {
    pub(super) async fn join(servers: &str, group: &Group) -> Self {
        let mut config = Config::new(servers);
        for (name, value) in [
            ("group.id", group.name),
            ("auto.offset.reset", "earliest"),
            ("auto.commit.interval.ms", "1000"),
        ] {
            config.set(name, value).unwrap();
        }
        if group.name == "classic" {
            config.set("session.timeout.ms", "10000").unwrap();
            config.set("heartbeat.interval.ms", "1000").unwrap();
        } else {
            config.set("group.protocol", group.name).unwrap();
        }
        let mut consumer = Consumer::connect(config).await.unwrap();
        consumer.subscribe(&[TOPIC]).unwrap();
        let (stop, mut stopped) = oneshot::channel();
        let group = group.clone();
        let task = tokio::spawn(async move {
            loop {
                let records = tokio::select! {
                    _ = &mut stopped => break,
                    records = consumer.poll(Duration::from_millis(200)) => records,
                };
                match records {
                    Ok(records) => records.iter().for_each(|record| {
                        group.read(record.partition(), record.offset()..=record.offset())
                    }),
                    Err(error) if error.is_retriable() => {
                        println!("a poll of {}: {error}", group.name)
                    }
                    Err(error) => panic!("a poll of {}: {error}", group.name),
                }
            }
            if let Err(error) = consumer.close().await {
                println!("a close in {}: {error}", group.name);
            }
        });
        Self { stop, task }
    }

    /// Commits, and leaves the group.
    pub(super) async fn leave(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, self.task)
            .await
            .expect("closing ends")
            .unwrap();
    }

    /// Lets it read on until the runtime ends.
    pub(super) fn detach(self) {
        std::mem::forget(self.stop);
    }
}

/// Another client's consumer in a process of its own.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    reader: Option<JoinHandle<u64>>,
}

impl Process {
    /// Kafka's own VerifiableConsumer.
    pub(super) fn java(kafka: &Broker, group: &Group) -> Self {
        let mut command = java_command("org.apache.kafka.tools.VerifiableConsumer");
        command.args([
            "--bootstrap-server",
            &kafka.bootstrap_servers(),
            "--topic",
            TOPIC,
        ]);
        command.args(["--group-id", group.name, "--session-timeout", "10000"]);
        let group = group.clone();
        Self::start("Java", command, move |line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            let mut count = 0;
            for part in event["partitions"].as_array().into_iter().flatten() {
                if event["name"] == "records_consumed" {
                    let number = |name: &str| part[name].as_i64().unwrap();
                    let (min, max) = (number("minOffset"), number("maxOffset"));
                    assert_eq!(max - min + 1, number("count"), "Java skips nothing: {part}");
                    group.read(number("partition") as i32, min..=max);
                    count += number("count") as u64;
                }
            }
            count
        })
    }

    /// librdkafka's balanced consumer, where kcat is installed.
    pub(super) fn kcat(kafka: &Broker, group: &Group) -> Option<Self> {
        if Command::new("kcat").arg("-V").output().is_err() {
            skipped(
                "librdkafka's member of the classic group",
                "no `kcat` on the PATH (Debian: apt-get install kcat)",
            );
            return None;
        }
        let mut command = Command::new("kcat");
        command.args(["-b", &kafka.bootstrap_servers(), "-u", "-f", "%p %o\n"]);
        for property in [
            "auto.offset.reset=earliest",
            "session.timeout.ms=10000",
            "auto.commit.interval.ms=1000",
        ] {
            command.args(["-X", property]);
        }
        command.args(["-G", group.name, TOPIC]);
        let group = group.clone();
        Some(Self::start("librdkafka", command, move |line| {
            let (partition, offset) = line.split_once(' ').unwrap();
            let offset = offset.parse().unwrap();
            group.read(partition.parse().unwrap(), offset..=offset);
            1
        }))
    }

    fn start(
        name: &'static str,
        mut command: Command,
        mut line: impl FnMut(&str) -> u64 + Send + 'static,
    ) -> Self {
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = spawned.unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader =
            thread::spawn(move || lines.map_while(Result::ok).map(|text| line(&text)).sum());
        Self {
            name,
            child,
            reader: Some(reader),
        }
    }

    /// Stops it and says how much it read; a process that read nothing was no member.
    pub(super) fn end(mut self) -> String {
        let running = self.child.try_wait().unwrap().is_none();
        assert!(running, "{} ended before the test", self.name);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let count = self.reader.take().unwrap().join().unwrap();
        assert!(count > 0, "{} read nothing", self.name);
        format!("{} read {count} records", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
