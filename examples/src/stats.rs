//! What a run cost: wall and CPU time, peak memory, and the one line of JSON that `--stats` asks for.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Started with the program; read at its end.
#[derive(Debug, Clone, Copy)]
pub struct Meter {
    wall: Instant,
    cpu: Duration,
}

impl Meter {
    /// Starts counting now. CPU time that the process used before (start-up, sample data) can be taken out by starting later.
    #[must_use]
    pub fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: process_cpu(),
        }
    }

    /// Starts counting wall time now but CPU time from the start of the process.
    #[must_use]
    pub fn whole_process() -> Self {
        Self {
            wall: Instant::now(),
            cpu: Duration::ZERO,
        }
    }

    /// Time passed.
    #[must_use]
    pub fn wall(&self) -> Duration {
        self.wall.elapsed()
    }

    /// CPU time of all threads of this process, user and system.
    #[must_use]
    pub fn cpu(&self) -> Duration {
        process_cpu().saturating_sub(self.cpu)
    }
}

/// CPU time of this process so far.
#[must_use]
pub fn process_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread so far.
#[must_use]
pub fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

fn clock(id: ClockId) -> Duration {
    let t = clock_gettime(id);
    Duration::new(
        u64::try_from(t.tv_sec).unwrap_or(0),
        u32::try_from(t.tv_nsec).unwrap_or(0),
    )
}

/// Largest resident memory of this process so far, in bytes; `None` where the system does not tell (it is read from `/proc`).
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    peak_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// One run, as `--stats` prints it.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Name of the program.
    pub program: &'static str,
    /// Records read.
    pub records_in: u64,
    /// Records written and acknowledged.
    pub records_out: u64,
    /// Bytes of the record batches read, as on the wire.
    pub bytes_in: u64,
    /// Bytes of the record batches written, as on the wire.
    pub bytes_out: u64,
    /// From the start of the program to the last commit.
    pub wall: Duration,
    /// CPU time of this process, an in-process cluster's taken out.
    pub cpu: Duration,
    /// CPU time of the in-process cluster, where one ran.
    pub cluster_cpu: Option<Duration>,
    /// From the start of the program to the first record at hand.
    pub first_record: Option<Duration>,
    /// Further members of the line, program by program.
    pub more: Vec<(&'static str, serde_json::Value)>,
}

impl Stats {
    /// The line of JSON, without a line end. Seconds are decimal fractions, memory is bytes.
    /// With an in-process cluster `peak_memory_bytes` covers it too, as it is the same process; `in_process_cluster` says so.
    #[must_use]
    pub fn json(&self) -> String {
        let seconds = |d: Duration| (d.as_secs_f64() * 1e6).round() / 1e6;
        let mut line = serde_json::json!({
            "program": self.program,
            "records_in": self.records_in,
            "records_out": self.records_out,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "wall_seconds": seconds(self.wall),
            "cpu_seconds": seconds(self.cpu),
            "peak_memory_bytes": peak_memory_bytes(),
            "in_process_cluster": self.cluster_cpu.is_some(),
        });
        if let Some(object) = line.as_object_mut() {
            if let Some(cpu) = self.cluster_cpu {
                object.insert("in_process_cluster_cpu_seconds".into(), seconds(cpu).into());
            }
            if let Some(first) = self.first_record {
                object.insert("first_record_seconds".into(), seconds(first).into());
            }
            for (name, value) in &self.more {
                object.insert((*name).into(), value.clone());
            }
        }
        line.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_one_json_object_with_units_in_its_names() {
        let stats = Stats {
            program: "wordcount",
            records_in: 7,
            cluster_cpu: Some(Duration::from_millis(1500)),
            ..Stats::default()
        };
        let line = stats.json();
        assert!(!line.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["records_in"], 7);
        assert_eq!(value["in_process_cluster"], true);
        assert_eq!(value["in_process_cluster_cpu_seconds"], 1.5);
        assert!(value["cpu_seconds"].is_number() && value["wall_seconds"].is_number());
    }

    #[test]
    fn peak_memory_is_read_in_bytes() {
        assert_eq!(
            peak_of("Name:\tx\nVmHWM:\t   12345 kB\n"),
            Some(12345 * 1024)
        );
        assert_eq!(peak_of("Name:\tx\n"), None);
    }

    #[test]
    fn cpu_time_grows_with_work() {
        let meter = Meter::start();
        let mut x = 1u64;
        while meter.cpu() < Duration::from_millis(2) {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(meter.cpu() >= Duration::from_millis(2));
    }
}
