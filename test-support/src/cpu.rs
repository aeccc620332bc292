//! CPU time and memory as the kernel counts them: of this thread, of this process, of another one.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time the calling thread has used, user and system.
#[must_use]
pub fn thread() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// CPU time all threads of this process have used, user and system.
#[must_use]
pub fn process() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// CPU time of another process, in steps of 10 ms; `None` once it is gone.
#[must_use]
pub fn of(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold spaces; fields 14 and 15 counted from 1, so 11 and 12 after it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields
        .split(' ')
        .skip(11)
        .map_while(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis((ticks.next()? + ticks.next()?) * 10))
}

/// The most memory this process ever held, in bytes; 0 where the system does not say.
#[must_use]
pub fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|value| value.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .unwrap_or(0)
        * 1024
}

fn clock(id: ClockId) -> Duration {
    let now = clock_gettime(id);
    let seconds = u64::try_from(now.tv_sec).expect("CPU time is never negative");
    Duration::new(
        seconds,
        u32::try_from(now.tv_nsec).expect("nanoseconds fit, by POSIX"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_uses_cpu_time_that_all_three_clocks_see() {
        let (thread_before, process_before) = (thread(), process());
        let mut sum = 0u64;
        while thread() - thread_before < Duration::from_millis(30) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(process() - process_before >= Duration::from_millis(30));
        assert!(of(std::process::id()).expect("this process lives") >= Duration::from_millis(20));
        assert!(of(u32::MAX).is_none());
        assert!(peak_memory_bytes() > 100_000);
    }
}
