//! What `producer_perf` and `consumer_perf` share with the tools of Kafka that they stand in for: flags, payloads, lines.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, Parser};

use kafka_proto::client::{Config, ConfigError};

use crate::cli::{self, property};
use crate::sample::Rng;

/// Flags of both tools that say how to reach the cluster.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// Brokers to connect to; wins over the properties. Without any an in-process cluster is started.
    #[arg(long, alias = "bootstrap-servers", value_name = "HOST:PORT,…")]
    pub bootstrap_server: Option<String>,

    /// Client properties; win over the file.
    #[arg(long, visible_aliases = ["producer-props", "property"], aliases = ["consumer-property"], value_name = "K=V", num_args = 1.., action = ArgAction::Append, value_parser = property)]
    pub command_property: Vec<(String, String)>,

    /// File of client properties.
    #[arg(long, aliases = ["producer.config", "consumer.config", "config"], value_name = "FILE")]
    pub command_config: Option<PathBuf>,

    /// Milliseconds between lines of progress.
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..))]
    pub reporting_interval: u64,

    /// At the end one line of JSON: records, bytes, wall and CPU seconds, peak memory.
    #[arg(long)]
    pub stats: bool,
}

impl Connection {
    /// All settings as one client configuration: the file's, then the properties', then the flag's.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown property, a value that is not of its kind.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = &self.command_config {
            config.set_from_file(path)?;
        }
        for (name, value) in &self.command_property {
            config.set(name, value)?;
        }
        if let Some(servers) = &self.bootstrap_server {
            config.set("bootstrap.servers", servers)?;
        }
        Ok(config)
    }
}

/// Runs a tool to its end and returns the status to exit with.
pub fn run(
    name: &str,
    tool: impl Future<Output = Result<(), Box<dyn std::error::Error>>>,
) -> ExitCode {
    crate::run::log_warnings();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return cli::complain(name, &error),
    };
    match runtime.block_on(tool) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::complain(name, &error),
    }
}

/// `producer_perf`: writes records as fast as asked and says how fast that was. The flags are those of Kafka's ProducerPerformance.
#[derive(Debug, Clone, Parser)]
#[command(name = "producer_perf", version)]
pub struct ProducerPerf {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: Connection,

    /// Topic to write; created if missing, where the broker allows it.
    #[arg(long)]
    pub topic: String,

    /// Records to write.
    #[arg(long, value_name = "N")]
    pub num_records: u64,

    /// About how many records a second; -1 for as many as possible.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = -1.0)]
    pub throughput: f64,

    /// What the records hold.
    #[command(flatten)]
    pub payload: Payload,

    /// Delimiter between the payloads of --payload-file.
    #[arg(long, default_value = "\\n")]
    pub payload_delimiter: String,

    /// First records, which the steady-state line at the end leaves out.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub warmup_records: u64,

    /// Print the client's metrics at the end.
    #[arg(long)]
    pub print_metrics: bool,
}

/// What the records hold: exactly one of these.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Payload {
    /// Random capital letters of this many bytes.
    #[arg(long, value_name = "BYTES")]
    pub record_size: Option<usize>,

    /// A random payload of this file each time.
    #[arg(long, value_name = "FILE")]
    pub payload_file: Option<PathBuf>,

    /// The record's number.
    #[arg(long)]
    pub payload_monotonic: bool,
}

/// `consumer_perf`: reads records as fast as possible and says how fast that was. The flags are those of Kafka's ConsumerPerformance.
#[derive(Debug, Clone, Parser)]
#[command(name = "consumer_perf", version)]
pub struct ConsumerPerf {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: Connection,

    /// Topic to read.
    #[arg(long)]
    pub topic: String,

    /// Records to read.
    #[arg(long, alias = "messages", value_name = "N")]
    pub num_records: u64,

    /// Group to read with; without it the partitions are assigned directly.
    #[arg(long, value_name = "ID")]
    pub group: Option<String>,

    /// Bytes to fetch at most from a partition per request.
    #[arg(long, value_name = "BYTES", default_value_t = 1_048_576)]
    pub fetch_size: u32,

    /// Start with the latest record instead of the earliest where the group has no position.
    #[arg(long)]
    pub from_latest: bool,

    /// Bytes of the socket's receive buffer; the system's own sizing when not given.
    #[arg(long, value_name = "BYTES")]
    pub socket_buffer_size: Option<u32>,

    /// Milliseconds without a record after which the run ends.
    #[arg(long, value_name = "MS", default_value_t = 10_000)]
    pub timeout: u64,

    /// Print a line for each reporting interval.
    #[arg(long)]
    pub show_detailed_stats: bool,

    /// Do not print the line with the names of the columns.
    #[arg(long)]
    pub hide_header: bool,

    /// Print the client's metrics at the end.
    #[arg(long)]
    pub print_metrics: bool,
}

/// Makes the value of one record after another.
#[derive(Debug)]
pub struct Payloads(Kind);

#[derive(Debug)]
enum Kind {
    /// Slices of one random text, so that making a value costs nothing beside its copy.
    Random {
        text: Vec<u8>,
        size: usize,
        rng: Rng,
    },
    /// Pieces of a file, one at random each time.
    File { pieces: Vec<Vec<u8>>, rng: Rng },
    /// The record's number.
    Monotonic { next: u64, text: Vec<u8> },
}

impl Payloads {
    /// The payloads asked for.
    ///
    /// # Errors
    /// A line that says which file could not be read or holds nothing.
    pub fn new(payload: &Payload, delimiter: &str) -> Result<Self, String> {
        if let Some(size) = payload.record_size {
            let mut rng = Rng::new(0);
            // Twice the size: every start in the first half gives another value.
            let text = (0..2 * size.max(1))
                .map(|_| b'A' + rng.below(26) as u8)
                .collect();
            return Ok(Self(Kind::Random { text, size, rng }));
        }
        if let Some(path) = &payload.payload_file {
            return Ok(Self(Kind::File {
                pieces: pieces(path, delimiter)?,
                rng: Rng::new(0),
            }));
        }
        Ok(Self(Kind::Monotonic {
            next: 0,
            text: Vec::new(),
        }))
    }

    /// The next value.
    pub fn next_value(&mut self) -> &[u8] {
        match &mut self.0 {
            Kind::Random { text, size, rng } => {
                let start = rng.below((*size).clamp(1, u32::MAX as usize) as u32) as usize;
                &text[start..start + *size]
            }
            Kind::File { pieces, rng } => &pieces[rng.below(pieces.len() as u32) as usize],
            Kind::Monotonic { next, text } => {
                text.clear();
                text.extend_from_slice(next.to_string().as_bytes());
                *next += 1;
                text
            }
        }
    }
}

fn pieces(path: &Path, delimiter: &str) -> Result<Vec<Vec<u8>>, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read --payload-file {}: {error}", path.display()))?;
    let delimiter = delimiter.replace("\\n", "\n").replace("\\t", "\t");
    if delimiter.is_empty() {
        return Err("--payload-delimiter is empty".into());
    }
    let pieces: Vec<Vec<u8>> = text
        .split(&delimiter)
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.as_bytes().to_vec())
        .collect();
    if pieces.is_empty() {
        return Err(format!(
            "--payload-file {} holds no payload",
            path.display()
        ));
    }
    Ok(pieces)
}

/// Latencies by the millisecond, and what Kafka's tool prints of them. A batch is recorded once with all its records.
#[derive(Debug, Clone)]
pub struct Latencies {
    by_ms: Vec<u64>,
    records: u64,
    bytes: u64,
    total_ms: f64,
    max: Duration,
}

/// Latencies beyond this share the last place.
const LATENCY_MS_MAX: usize = 120_000;

impl Latencies {
    /// None recorded yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            by_ms: Vec::new(),
            records: 0,
            bytes: 0,
            total_ms: 0.0,
            max: Duration::ZERO,
        }
    }

    /// `records` records of `bytes` bytes were acknowledged after `latency`.
    pub fn record(&mut self, records: u64, bytes: u64, latency: Duration) {
        let ms = (latency.as_millis() as usize).min(LATENCY_MS_MAX);
        if self.by_ms.len() <= ms {
            self.by_ms.resize(ms + 1, 0);
        }
        self.by_ms[ms] += records;
        self.records += records;
        self.bytes += bytes;
        self.total_ms += latency.as_secs_f64() * 1e3 * records as f64;
        self.max = self.max.max(latency);
    }

    /// Records recorded.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Bytes recorded.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The whole milliseconds that this part of the records did not exceed.
    #[must_use]
    pub fn percentile(&self, part: f64) -> u64 {
        let wanted = (self.records as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (ms, n) in self.by_ms.iter().enumerate() {
            seen += n;
            if seen >= wanted {
                return ms as u64;
            }
        }
        0
    }

    /// Kafka's line for an interval.
    #[must_use]
    pub fn window_line(&self, over: Duration) -> String {
        let (rate, mb) = self.rates(over);
        format!(
            "{} records sent, {rate:.1} records/sec ({mb:.2} MB/sec), {:.1} ms avg latency, {:.1} ms max latency.",
            self.records,
            self.average_ms(),
            self.max.as_secs_f64() * 1e3
        )
    }

    /// Kafka's line for the whole run.
    #[must_use]
    pub fn total_line(&self, over: Duration, what: &str) -> String {
        let (rate, mb) = self.rates(over);
        format!(
            "{} {what}records sent, {rate:.6} records/sec ({mb:.2} MB/sec), {:.2} ms avg latency, {:.2} ms max latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.",
            self.records,
            self.average_ms(),
            self.max.as_secs_f64() * 1e3,
            self.percentile(0.5),
            self.percentile(0.95),
            self.percentile(0.99),
            self.percentile(0.999)
        )
    }

    fn average_ms(&self) -> f64 {
        if self.records == 0 {
            0.0
        } else {
            self.total_ms / self.records as f64
        }
    }

    fn rates(&self, over: Duration) -> (f64, f64) {
        let seconds = over.as_secs_f64().max(1e-9);
        (
            self.records as f64 / seconds,
            self.bytes as f64 / seconds / (1024.0 * 1024.0),
        )
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

/// `yyyy-MM-dd HH:mm:ss:SSS` in UTC, as ConsumerPerformance prints times by default.
#[must_use]
pub fn date_time(unix: Duration) -> String {
    let (days, second) = ((unix.as_secs() / 86_400) as i64, unix.as_secs() % 86_400);
    // Days to a civil date: eras of 400 years that begin in March.
    let z = days + 719_468;
    let (era, day) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let date = of_year - (153 * shifted + 2) / 5 + 1;
    let year = year + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02} {:02}:{:02}:{:02}:{:03}",
        second / 3600,
        second / 60 % 60,
        second % 60,
        unix.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_of_kafkas_tool_works_unchanged() {
        let perf = ProducerPerf::try_parse_from([
            "producer_perf",
            "--topic",
            "t",
            "--num-records",
            "10",
            "--throughput",
            "-1",
            "--record-size",
            "100",
            "--producer-props",
            "bootstrap.servers=a:1",
            "acks=all",
            "--print-metrics",
        ])
        .unwrap();
        assert_eq!(
            perf.connection.command_property[1],
            ("acks".into(), "all".into())
        );
        assert_eq!(perf.payload.record_size, Some(100));
        let perf = ConsumerPerf::try_parse_from([
            "consumer_perf",
            "--bootstrap-server",
            "a:1",
            "--topic",
            "t",
            "--messages",
            "5",
            "--hide-header",
        ])
        .unwrap();
        assert_eq!(
            (
                perf.num_records,
                perf.connection.bootstrap_server.as_deref()
            ),
            (5, Some("a:1"))
        );
    }

    #[test]
    fn exactly_one_payload_is_asked_for() {
        let base = ["producer_perf", "--topic", "t", "--num-records", "1"];
        assert!(ProducerPerf::try_parse_from(base).is_err());
        assert!(
            ProducerPerf::try_parse_from(
                [&base[..], &["--record-size", "1", "--payload-monotonic"]].concat()
            )
            .is_err()
        );
    }

    #[test]
    fn percentiles_are_whole_milliseconds() {
        let mut latencies = Latencies::new();
        for ms in 0..100 {
            latencies.record(10, 1000, Duration::from_millis(ms));
        }
        assert_eq!(
            (
                latencies.percentile(0.5),
                latencies.percentile(0.99),
                latencies.percentile(0.999)
            ),
            (49, 98, 99)
        );
        let line = latencies.total_line(Duration::from_secs(2), "");
        assert!(line.starts_with("1000 records sent, 500.000000 records/sec (0.05 MB/sec), 49.50 ms avg latency, 99.00 ms max latency, 49 ms 50th"), "{line}");
    }

    #[test]
    fn payloads_have_the_size_asked_for() {
        for size in [0, 1, 100] {
            let payload = Payload {
                record_size: Some(size),
                payload_file: None,
                payload_monotonic: false,
            };
            let mut payloads = Payloads::new(&payload, "\\n").unwrap();
            for _ in 0..50 {
                assert_eq!(payloads.next_value().len(), size);
            }
        }
        let mut numbers = Payloads::new(
            &Payload {
                record_size: None,
                payload_file: None,
                payload_monotonic: true,
            },
            "",
        )
        .unwrap();
        assert_eq!(
            (numbers.next_value().to_vec(), numbers.next_value()),
            (b"0".to_vec(), &b"1"[..])
        );
    }

    #[test]
    fn dates_follow_the_calendar() {
        assert_eq!(
            date_time(Duration::from_millis(951_782_400_123)),
            "2000-02-29 00:00:00:123"
        );
        assert_eq!(
            date_time(Duration::from_secs(1_795_132_799)),
            "2026-11-19 23:59:59:000"
        );
        assert_eq!(date_time(Duration::ZERO), "1970-01-01 00:00:00:000");
    }
}
