//! The text form of a snapshot, for people: rates, then the brokers, budgets and partitions one a line. What is 0 is left out.

use std::fmt::{Display, Formatter, Result};

use super::{
    BrokerMetricsSnapshot, GroupMetricsSnapshot, HistogramSnapshot, MetricsSnapshot,
    PartitionMetricsSnapshot, TopicMetricsSnapshot,
};

impl Display for MetricsSnapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "in {:.1} s:", self.age.as_secs_f64())?;
        for (name, count) in self.iter().filter(|(_, count)| *count > 0) {
            let rate = self.per_second(count);
            writeln!(f, "  {name:<26} {count:>14}  {rate:>12.1}/s")?;
        }
        if self.batch_bytes_uncompressed > self.batch_bytes_sent {
            let rate = self.compression_rate();
            writeln!(f, "  {:<26} {rate:>14.2}", "compression_rate")?;
        }
        for (name, values) in self.histograms().filter(|(_, values)| values.count() > 0) {
            writeln!(f, "  {name:<26} {}", Spread(values))?;
        }
        for (code, count) in &self.errors {
            writeln!(f, "  answered {code}: {count}")?;
        }
        for budget in &self.budgets {
            writeln!(
                f,
                "  {}: {} of {} bytes taken",
                budget.property, budget.taken, budget.limit
            )?;
        }
        for (name, broker) in &self.brokers {
            writeln!(f, "{name}:\n{broker}")?;
        }
        for (name, topic) in &self.topics {
            writeln!(f, "produced to {name}:\n{topic}")?;
        }
        for (name, group) in &self.groups {
            writeln!(f, "group {name}:\n{group}")?;
        }
        for ((topic, partition), reading) in &self.partitions {
            writeln!(f, "{topic}-{partition}: {reading}")?;
        }
        Ok(())
    }
}

impl Display for BrokerMetricsSnapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        in_one_line(f, self.iter())?;
        if self.requests_in_flight > 0 {
            write!(f, ", {} in flight", self.requests_in_flight)?;
        }
        for (name, values) in self.histograms().filter(|(_, values)| values.count() > 0) {
            write!(f, "\n  {name:<12} {}", Spread(values))?;
        }
        Ok(())
    }
}

impl Display for TopicMetricsSnapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        in_one_line(f, self.iter())
    }
}

impl Display for GroupMetricsSnapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        in_one_line(f, self.iter())?;
        for (what, age) in [
            ("heartbeat", self.last_heartbeat),
            ("rebalance", self.last_rebalance),
        ] {
            if let Some(age) = age {
                write!(f, ", the last {what} {:.1} s ago", age.as_secs_f64())?;
            }
        }
        for (name, values) in self.histograms().filter(|(_, values)| values.count() > 0) {
            write!(f, "\n  {name:<12} {}", Spread(values))?;
        }
        Ok(())
    }
}

impl Display for PartitionMetricsSnapshot {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.lag() {
            Some(lag) => write!(f, "at offset {}, {lag} behind the end", self.position),
            None if self.position < 0 => f.write_str("no position yet"),
            None => write!(f, "at offset {}", self.position),
        }
    }
}

/// Counters that are not 0.
fn in_one_line(
    f: &mut Formatter<'_>,
    counters: impl Iterator<Item = (&'static str, u64)>,
) -> Result {
    for (place, (name, count)) in counters.filter(|(_, count)| *count > 0).enumerate() {
        let before = if place == 0 { "  " } else { ", " };
        write!(f, "{before}{name} {count}")?;
    }
    Ok(())
}

/// A histogram in one line.
struct Spread<'a>(&'a HistogramSnapshot);

impl Display for Spread<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let values = self.0;
        write!(
            f,
            "n {}, mean {:.0}, p50 {}, p99 {}, p99.9 {}, max {}",
            values.count(),
            values.mean(),
            values.quantile(0.5),
            values.quantile(0.99),
            values.quantile(0.999),
            values.max()
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::client::metrics::Metrics;

    #[test]
    fn a_person_reads_what_happened_and_not_what_did_not() {
        let metrics = Metrics::default();
        metrics.records_sent.add(1000);
        metrics.batch_bytes_sent.add(100);
        metrics.batch_bytes_uncompressed.add(400);
        let broker = metrics.broker(&"broker 1 (a:9092)".into());
        broker.requests.add(7);
        broker.produce_us.record(250);
        let partition = metrics.partitions.entry(&("lines".into(), 3));
        partition.position.set(5);
        partition.end_offset.set(9);
        let text = metrics.snapshot().to_string();
        for part in [
            "records_sent                         1000",
            "compression_rate                     4.00",
            "broker 1 (a:9092):\n  requests 7\n  produce_us   n 1, mean 250, p50 250",
            "lines-3: at offset 5, 4 behind the end",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("timeouts"), "{text}");
    }
}
