//! An in-process cluster with sample data, for a first try without Kafka.

use std::convert::Infallible;
use std::time::Duration;

use kafka_proto::client::Config;
use kafka_proto::mock::{Cluster, Error, Record};

use crate::numbers;
use crate::sample::Tales;

const PARTITIONS: i32 = 4;
const LINES: u64 = 400_000;
const LINES_A_BATCH: u64 = 500;
/// While the program runs on, the tales do too.
const LINES_A_TICK: u64 = 200;
/// Lines of a sample go to the partitions in turn, this many at a time.
const SAMPLE_LINES_A_BATCH: u64 = 20;
const TICK: Duration = Duration::from_millis(20);

/// Starts an empty in-process cluster for a program that writes, where its settings name no brokers.
///
/// # Errors
/// When no loopback port can be opened.
pub async fn in_process(
    config: &mut Config,
    topic: &str,
    program: &str,
) -> Result<Option<Cluster>, Box<dyn std::error::Error>> {
    if !config.bootstrap_servers.is_empty() {
        return Ok(None);
    }
    // What was written long ago may go: a measurement is not to fill the memory.
    let cluster = Cluster::builder()
        .topic(topic, PARTITIONS)
        .retention_bytes(64 << 20)
        .start()
        .await?;
    config.set("bootstrap.servers", &cluster.bootstrap_servers())?;
    eprintln!("{program}: no --bootstrap-server given, writing to a cluster inside this process");
    Ok(Some(cluster))
}

/// What the smallest examples start with: the brokers named by the first argument, or an in-process cluster with two topics of three
/// partitions, `tales` with some lines and `copy` without. The cluster lives as long as the value.
///
/// # Errors
/// When no loopback port can be opened, or the argument names no brokers.
pub async fn connect() -> Result<(Option<Cluster>, Config), Box<dyn std::error::Error>> {
    let mut config = Config::default();
    config.set("auto.offset.reset", "earliest")?;
    if let Some(servers) = std::env::args().nth(1) {
        config.set("bootstrap.servers", &servers)?;
        return Ok((None, config));
    }
    let cluster = Cluster::builder()
        .topic("tales", 3)
        .topic("copy", 3)
        .start()
        .await?;
    let mut tales = Tales::new(1);
    let mut line = String::new();
    for n in 0..30 {
        tales.next_into(&mut line);
        cluster.append("tales", n % 3, [(None, Some(line.as_bytes()))])?;
    }
    config.set("bootstrap.servers", &cluster.bootstrap_servers())?;
    Ok((Some(cluster), config))
}

/// Makes the line of this number: the same number gives the same line.
pub type Sample = fn(u64) -> String;

/// A running cluster whose input topic is filled.
#[derive(Debug)]
pub struct Demo {
    /// The cluster.
    pub cluster: Cluster,
    input: String,
    output: String,
    bytes: u64,
    lines: u64,
    /// Lines of another kind than tales.
    sample: Option<Sample>,
}

impl Demo {
    /// Starts a cluster and fills `input` with tales.
    ///
    /// # Errors
    /// When no loopback port can be opened.
    pub async fn start(input: &str, output: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let mut builder = Cluster::builder().topic(input, PARTITIONS);
        if output != input {
            builder = builder.topic(output, PARTITIONS);
        }
        let cluster = builder.start().await?;
        let mut demo = Self {
            cluster,
            input: input.to_owned(),
            output: output.to_owned(),
            bytes: 0,
            lines: LINES,
            sample: None,
        };
        let mut tales = Tales::new(1);
        for batch in 0..LINES / LINES_A_BATCH {
            demo.bytes += demo.tell(
                &mut tales,
                LINES_A_BATCH,
                (batch % PARTITIONS as u64) as i32,
            )?;
        }
        Ok(demo)
    }

    /// Starts a cluster and fills `input` with so many lines of a sample, in turn over the partitions.
    ///
    /// # Errors
    /// When no loopback port can be opened.
    pub async fn with_sample(
        input: &str,
        output: &str,
        lines: u64,
        sample: Sample,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let builder = Cluster::builder().topic(input, PARTITIONS);
        let cluster = builder.topic(output, PARTITIONS).start().await?;
        let mut demo = Self {
            cluster,
            input: input.to_owned(),
            output: output.to_owned(),
            bytes: 0,
            lines,
            sample: Some(sample),
        };
        for from in (0..lines).step_by(SAMPLE_LINES_A_BATCH as usize) {
            demo.bytes += demo.add(sample, from, (from + SAMPLE_LINES_A_BATCH).min(lines))?;
        }
        Ok(demo)
    }

    /// Adds the lines of a sample from one number up to another; their bytes.
    fn add(&self, sample: Sample, from: u64, to: u64) -> Result<u64, Error> {
        let lines: Vec<String> = (from..to).map(sample).collect();
        let partition = (from / SAMPLE_LINES_A_BATCH % PARTITIONS as u64) as i32;
        let values = lines.iter().map(|line| (None, Some(line.as_bytes())));
        self.cluster.append(&self.input, partition, values)?;
        Ok(lines.iter().map(|line| line.len() as u64).sum())
    }

    fn tell(&self, tales: &mut Tales, lines: u64, partition: i32) -> Result<u64, Error> {
        let mut text = Vec::new();
        let mut ends = Vec::new();
        let mut line = String::new();
        for _ in 0..lines {
            tales.next_into(&mut line);
            text.extend_from_slice(line.as_bytes());
            ends.push(text.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let values = starts
            .zip(&ends)
            .map(|(start, end)| (None, Some(&text[start..*end])));
        self.cluster.append(&self.input, partition, values)?;
        Ok(text.len() as u64)
    }

    /// Goes on telling tales, some thousand lines a second, without end.
    pub async fn go_on(&self) -> Infallible {
        if let Some(sample) = self.sample {
            let mut from = self.lines;
            loop {
                tokio::time::sleep(TICK).await;
                // A cluster that is gone has ended the run already.
                let _ = self.add(sample, from, from + SAMPLE_LINES_A_BATCH);
                from += SAMPLE_LINES_A_BATCH;
            }
        }
        let mut tales = Tales::new(2);
        let mut partition = 0;
        loop {
            tokio::time::sleep(TICK).await;
            // A cluster that is gone has ended the run already.
            let _ = self.tell(&mut tales, LINES_A_TICK, partition);
            partition = (partition + 1) % PARTITIONS;
        }
    }

    /// All records written, partition by partition.
    ///
    /// # Errors
    /// When the output topic is gone.
    pub fn output(&self) -> Result<Vec<Record>, Error> {
        let mut all = Vec::new();
        for partition in 0..self.cluster.partition_count(&self.output) {
            all.extend(self.cluster.records(&self.output, partition)?);
        }
        Ok(all)
    }

    /// The first records read.
    ///
    /// # Errors
    /// When the input topic is gone.
    pub fn input(&self) -> Result<Vec<Record>, Error> {
        self.cluster.records(&self.input, 0)
    }

    /// Says what was started.
    #[must_use]
    pub fn greeting(&self) -> String {
        let what = if self.sample.is_some() {
            ""
        } else {
            " of tales"
        };
        format!(
            "No --bootstrap-servers given: a Kafka cluster now runs inside this process, with {} lines{what} ({}) in topic {}.\n",
            numbers::count(self.lines),
            numbers::bytes(self.bytes),
            self.input
        )
    }

    /// Says how to go on from here.
    #[must_use]
    pub fn next_step(&self, program: &str) -> String {
        format!(
            "\nThe same on your cluster: {program} --bootstrap-servers HOST:PORT --input {} --output {}",
            self.input, self.output
        )
    }
}
