//! Paired measurements: the arms take turns within one run, so that a noisy machine disturbs all of them alike, and
//! what is reported is the ratio to the first arm.
//!
//! ```
//! use test_support::measure::Paired;
//! let table = Paired::new("sum of 1,000 numbers", 5)
//!     .arm("for loop", || { let mut s = 0u64; for i in 0..1_000 { s += std::hint::black_box(i) } std::hint::black_box(s); 1_000 })
//!     .arm("iterator", || { std::hint::black_box((0..1_000u64).map(std::hint::black_box).sum::<u64>()); 1_000 })
//!     .run();
//! assert!(table.ratio("iterator").is_some());
//! println!("{table}");
//! ```

use std::fmt;
use std::time::Duration;

use crate::{alloc, cpu};

/// Several ways of doing the same work, measured in turn.
pub struct Paired<'a> {
    title: String,
    rounds: usize,
    clock: fn() -> Duration,
    arms: Vec<Arm<'a>>,
}

struct Arm<'a> {
    name: String,
    work: Box<dyn FnMut() -> u64 + 'a>,
}

impl fmt::Debug for Paired<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Paired")
            .field("title", &self.title)
            .field("rounds", &self.rounds)
            .finish_non_exhaustive()
    }
}

impl<'a> Paired<'a> {
    /// Measures by the calling thread's CPU time, each arm once in each of `rounds` rounds, after one round that is
    /// thrown away. An odd number of rounds has a median that was really measured.
    #[must_use]
    pub fn new(title: &str, rounds: usize) -> Self {
        Self {
            title: title.to_owned(),
            rounds: rounds.max(1),
            clock: cpu::thread,
            arms: Vec::new(),
        }
    }

    /// Measures by the CPU time of the whole process instead: for work done on other threads.
    #[must_use]
    pub fn by_process(mut self) -> Self {
        self.clock = cpu::process;
        self
    }

    /// Adds an arm. The first one is the baseline. `work` does the whole work once and says how many items it did:
    /// enough of them that one call takes at least some milliseconds.
    #[must_use]
    pub fn arm(mut self, name: &str, work: impl FnMut() -> u64 + 'a) -> Self {
        self.arms.push(Arm {
            name: name.to_owned(),
            work: Box::new(work),
        });
        self
    }

    /// Runs all rounds. Every other round goes through the arms backwards.
    pub fn run(mut self) -> Table {
        let mut ns_per_item = vec![Vec::with_capacity(self.rounds); self.arms.len()];
        let mut allocations = vec![0.0; self.arms.len()];
        for round in 0..=self.rounds {
            let mut order: Vec<usize> = (0..self.arms.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for index in order {
                let (allocated, start) = (alloc::process().count, (self.clock)());
                let items = (self.arms[index].work)();
                let spent = (self.clock)() - start;
                if round > 0 {
                    ns_per_item[index].push(spent.as_secs_f64() * 1e9 / items.max(1) as f64);
                    allocations[index] =
                        (alloc::process().count - allocated) as f64 / items.max(1) as f64;
                }
            }
        }
        let baseline = ns_per_item.first().cloned().unwrap_or_default();
        let rows = self.arms.into_iter().zip(ns_per_item).zip(allocations);
        let rows = rows
            .map(|((arm, samples), allocations_per_item)| Row {
                name: arm.name,
                ratio: median(
                    samples
                        .iter()
                        .zip(&baseline)
                        .map(|(ours, base)| ours / base)
                        .collect(),
                ),
                best_ns: samples.iter().copied().fold(f64::INFINITY, f64::min),
                median_ns: median(samples),
                allocations_per_item,
            })
            .collect();
        Table {
            title: self.title,
            rounds: self.rounds,
            rows,
        }
    }
}

/// What a paired measurement found; `Display` prints it as a Markdown table.
#[derive(Debug, Clone)]
pub struct Table {
    title: String,
    rounds: usize,
    /// One row for each arm, the baseline first.
    pub rows: Vec<Row>,
}

/// One arm's figures.
#[derive(Debug, Clone)]
pub struct Row {
    /// The arm's name.
    pub name: String,
    /// Median over the rounds of nanoseconds of CPU time per item.
    pub median_ns: f64,
    /// The best round.
    pub best_ns: f64,
    /// Median over the rounds of this arm's time divided by the baseline's in the same round.
    pub ratio: f64,
    /// Allocations per item in the last round; 0 unless the binary uses the counting allocator.
    pub allocations_per_item: f64,
}

impl Table {
    /// An arm's ratio to the baseline.
    #[must_use]
    pub fn ratio(&self, name: &str) -> Option<f64> {
        self.rows
            .iter()
            .find(|row| row.name == name)
            .map(|row| row.ratio)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self
            .rows
            .iter()
            .map(|row| row.name.len())
            .max()
            .unwrap_or(0)
            .max(3);
        writeln!(f, "{} ({} rounds)", self.title, self.rounds)?;
        writeln!(
            f,
            "| {:width$} | ns/item | best | ratio | allocs/item |",
            "arm"
        )?;
        writeln!(f, "|{:-<1$}|--:|--:|--:|--:|", "", width + 2)?;
        for Row {
            name,
            median_ns,
            best_ns,
            ratio,
            allocations_per_item,
        } in &self.rows
        {
            writeln!(
                f,
                "| {name:width$} | {median_ns:.2} | {best_ns:.2} | {ratio:.2} | {allocations_per_item:.4} |"
            )?;
        }
        Ok(())
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_that_does_three_times_the_work_shows_a_ratio_near_three() {
        fn spin(n: u64) -> u64 {
            (0..n).for_each(|i| {
                std::hint::black_box(i);
            });
            1_000
        }
        let table = Paired::new("spin", 9)
            .arm("one", || spin(2_000_000))
            .arm("three", || spin(6_000_000))
            .run();
        let ratio = table.ratio("three").expect("the arm was measured");
        assert!((2.0..4.5).contains(&ratio), "{table}");
        assert!((table.ratio("one").expect("the baseline is measured too") - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_median_is_the_middle_sample() {
        assert_eq!(
            median(vec![9.0, 1.0, 5.0]).total_cmp(&5.0),
            std::cmp::Ordering::Equal
        );
    }
}
