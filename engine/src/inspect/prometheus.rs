//! Prometheus' text exposition format of snapshots (version 0.0.4): a pure function to text. Serving it
//! is the application's; `examples/src/bin/web.rs` does that beside an engine.

use std::fmt::Write as _;

use super::{Activity, Snapshot};

/// The `Content-Type` that goes with the text of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// Writes the samples of one metric: label values in the order of the metric's label names, and a
/// number.
type Samples = fn(&Snapshot, &mut dyn FnMut(&[&str], Number));

#[derive(Debug, Clone, Copy)]
enum Number {
    Whole(i128),
    /// Seconds with a fraction; always finite.
    Seconds(f64),
}

struct Metric {
    /// Without the prefix `kafka_engine_`.
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// Label names beside `application`.
    labels: &'static [&'static str],
    samples: Samples,
}

/// A metric of one number, which every snapshot has.
macro_rules! whole {
    ($kind:ident $name:literal, $help:literal, $of:expr) => {
        Metric {
            name: $name,
            kind: Kind::$kind,
            help: $help,
            labels: &[],
            samples: |s, write| {
                let of: fn(&Snapshot) -> i128 = $of;
                write(&[], Number::Whole(of(s)));
            },
        }
    };
}

const METRICS: &[Metric] = &[
    whole!(Counter "records_in_total", "Records read from sources.", |s| s.records_in.into()),
    whole!(Counter "records_in_bytes_total",
        "Bytes of the record batches read, as fetched.", |s| s.bytes_in.into()),
    whole!(Counter "records_out_total",
        "Records handed to the producer for sinks.", |s| s.records_out.into()),
    whole!(Counter "records_out_bytes_total",
        "Bytes of the record batches handed to the producer for sinks, before compression.",
        |s| s.bytes_out.into()),
    whole!(Counter "records_skipped_total",
        "Records that could not be decoded or processed and were skipped, as the policy says.",
        |s| s.records_skipped.into()),
    whole!(Counter "rows_late_total",
        "Rows that came after their windows and the allowed lateness had passed.",
        |s| s.rows_late.into()),
    whole!(Counter "rows_without_key_total",
        "Rows left out of keyed operators because their key is null.",
        |s| s.rows_without_key.into()),
    whole!(Counter "changelog_records_total",
        "Records written to changelogs.", |s| s.changelog_records.into()),
    whole!(Counter "records_restored_total",
        "Changelog records read back at the start.", |s| s.records_restored.into()),
    whole!(Counter "commits_total", "Epochs committed.", |s| s.commits.into()),
    Metric {
        name: "last_commit_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Unix time at which the last epoch was complete, with or without anything to commit.",
        labels: &[],
        samples: |s, write| {
            if let Some(since) = s.since_commit {
                let at = s.taken_at_ms as f64 / 1e3 - since.as_secs_f64();
                write(&[], Number::Seconds(at));
            }
        },
    },
    whole!(Gauge "lag",
        "Records between the positions and the ends of the input, as last seen.",
        |s| s.lag.into()),
    whole!(Gauge "standby",
        "1 while another process of the application has the work, else 0.",
        |s| s.standby.into()),
    whole!(Gauge "warnings",
        "Warnings of the run, as they stand in its log; no more than 100 are counted.",
        |s| s.warnings.len() as i128),
    Metric {
        name: "worker_seconds_total",
        kind: Kind::Counter,
        help: "Wall time of all workers by what they spent it on.",
        labels: &["activity"],
        samples: |s, write| {
            for (activity, time) in &s.time {
                write(
                    &[activity_label(*activity)],
                    Number::Seconds(time.as_secs_f64()),
                );
            }
        },
    },
    Metric {
        name: "state_keys",
        kind: Kind::Gauge,
        help: "Keys in an operator's state at the last commit; of windows, of keys and slices of time.",
        labels: &["operator"],
        samples: |s, write| {
            for of in &s.state {
                write(&[&of.operator], Number::Whole(of.keys.into()));
            }
        },
    },
    Metric {
        name: "state_bytes",
        kind: Kind::Gauge,
        help: "Bytes of memory of an operator's state at the last commit.",
        labels: &["operator"],
        samples: |s, write| {
            for of in &s.state {
                write(&[&of.operator], Number::Whole(of.bytes.into()));
            }
        },
    },
    Metric {
        name: "watermark_timestamp_seconds",
        kind: Kind::Gauge,
        help: "Event time up to which an operator has acted, as Unix time, at the last commit.",
        labels: &["operator"],
        samples: |s, write| {
            for of in &s.state {
                if let Some(at) = of.watermark_ms {
                    write(&[&of.operator], Number::Seconds(at as f64 / 1e3));
                }
            }
        },
    },
    Metric {
        name: "watermark_delay_seconds",
        kind: Kind::Gauge,
        help: "How far an operator's watermark is from the wall clock; negative where it is ahead.",
        labels: &["operator"],
        samples: |s, write| {
            for of in &s.state {
                if let Some(at) = of.watermark_ms {
                    let delay_ms = i128::from(s.taken_at_ms) - i128::from(at);
                    write(&[&of.operator], Number::Seconds(delay_ms as f64 / 1e3));
                }
            }
        },
    },
];

/// A label value: stable, unlike [`Activity::label`].
fn activity_label(activity: Activity) -> &'static str {
    match activity {
        Activity::Records => "records",
        Activity::Rows => "rows",
        Activity::Commit => "commit",
        Activity::Send => "send",
        Activity::Restore => "restore",
        Activity::Wait => "wait",
    }
}

/// The text that a Prometheus server scrapes, of all applications of this process: each with its name,
/// which becomes the label `application`, and a snapshot of its inspector. Of two applications with the
/// same name only the first one is written, likewise of two operators: a series must not come twice.
///
/// Counters begin at 0 with their inspector; Prometheus' `rate` takes that for the restart that it is.
/// What is not known yet (a watermark, the last commit) has no sample.
///
/// ```
/// use engine::inspect::{Inspector, prometheus};
///
/// let inspector = Inspector::new(); // give it to `run_until` as well
/// let text = prometheus::render(&[("wordcount", inspector.snapshot())]);
/// assert!(text.contains("kafka_engine_records_in_total{application=\"wordcount\"} 0\n"));
/// ```
#[must_use]
pub fn render<N: AsRef<str>>(applications: &[(N, Snapshot)]) -> String {
    let mut text = String::with_capacity(4096);
    for metric in METRICS {
        let mut series = Vec::new();
        for (at, (application, snapshot)) in applications.iter().enumerate() {
            let application = application.as_ref();
            let before = &applications[..at];
            if before.iter().any(|(name, _)| name.as_ref() == application) {
                continue;
            }
            (metric.samples)(snapshot, &mut |values, number| {
                let of = labels(application, metric.labels, values);
                if !series.iter().any(|(known, _)| *known == of) {
                    series.push((of, number));
                }
            });
        }
        if series.is_empty() {
            continue;
        }
        let (name, help) = (metric.name, metric.help);
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "# HELP kafka_engine_{name} {help}");
        let _ = writeln!(text, "# TYPE kafka_engine_{name} {kind}");
        for (of, number) in series {
            let _ = match number {
                Number::Whole(n) => writeln!(text, "kafka_engine_{name}{of} {n}"),
                Number::Seconds(n) => writeln!(text, "kafka_engine_{name}{of} {n}"),
            };
        }
    }
    text
}

fn labels(application: &str, names: &[&str], values: &[&str]) -> String {
    let mut text = String::from("{application=\"");
    escape(application, &mut text);
    for (name, value) in names.iter().zip(values) {
        text.push_str("\",");
        text.push_str(name);
        text.push_str("=\"");
        escape(value, &mut text);
    }
    text.push_str("\"}");
    text
}

/// Label values may be any text; these three characters are escaped, and no others.
fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    use super::*;
    use crate::inspect::{Inspector, OperatorState};

    fn state(operator: &str, watermark_ms: Option<i64>) -> OperatorState {
        OperatorState {
            operator: operator.to_owned(),
            keys: 7,
            bytes: 700,
            watermark_ms,
        }
    }

    fn snapshot(states: Vec<OperatorState>) -> Snapshot {
        Snapshot {
            taken_at_ms: 10_000,
            since_commit: Some(Duration::from_millis(500)),
            state: states,
            ..Inspector::new().snapshot()
        }
    }

    /// A sample line: name, labels as they stand, number.
    type Sample = (String, String, f64);

    /// Reads the format as its specification has it, and checks what every scraper relies on.
    fn parse(text: &str) -> Vec<Sample> {
        assert!(text.is_empty() || text.ends_with('\n'));
        let is_name = |name: &str| {
            let mut bytes = name.bytes();
            bytes
                .next()
                .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
                && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        let (mut kinds, mut series) = (HashMap::new(), HashSet::new());
        let (mut samples, mut helped, mut group) = (Vec::new(), HashSet::new(), "");
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(helped.insert(name), "{name} has two HELP lines");
                assert!(help.ends_with('.') && !help.contains('\\'), "{help}");
                group = name;
                continue;
            }
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert!(
                    name == group && is_name(name),
                    "{name} beside HELP of {group}"
                );
                assert!(
                    kinds.insert(name, kind).is_none(),
                    "{name} has two TYPE lines"
                );
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
                continue;
            }
            let (name, rest) = line.split_once('{').unwrap();
            assert_eq!(name, group, "the samples of a metric stand together");
            assert!(kinds.contains_key(name));
            let (labels, number) = rest.rsplit_once("} ").unwrap();
            assert!(series.insert((name, labels)), "twice: {line}");
            let number: f64 = number.parse().unwrap();
            assert!(number.is_finite(), "{line}");
            samples.push((name.to_owned(), labels.to_owned(), number));
        }
        samples
    }

    fn of(samples: &[Sample], name: &str) -> Vec<(String, f64)> {
        let name = format!("kafka_engine_{name}");
        let of = samples.iter().filter(|(known, ..)| *known == name);
        of.map(|(_, labels, number)| (labels.clone(), *number))
            .collect()
    }

    #[test]
    fn the_text_of_a_fresh_inspector_and_of_a_busy_one_keeps_the_rules_of_the_format() {
        let fresh = parse(&render(&[("app", Inspector::new().snapshot())]));
        assert_eq!(of(&fresh, "last_commit_timestamp_seconds"), []);
        assert_eq!(
            of(&fresh, "commits_total"),
            [("application=\"app\"".to_owned(), 0.0)]
        );
        let mut busy = snapshot(vec![state("count-1", None), state("window-1", Some(7_500))]);
        (busy.records_in, busy.lag, busy.standby) = (u64::MAX, -3, true);
        let text = render(&[("app", busy)]);
        let samples = parse(&text);
        let app = "application=\"app\"".to_owned();
        assert!(text.contains("records_in_total{application=\"app\"} 18446744073709551615\n"));
        assert_eq!(of(&samples, "lag"), [(app.clone(), -3.0)]);
        assert_eq!(of(&samples, "standby"), [(app.clone(), 1.0)]);
        assert_eq!(
            of(&samples, "last_commit_timestamp_seconds"),
            [(app.clone(), 9.5)]
        );
        let operator = |name: &str| format!("{app},operator=\"{name}\"");
        assert_eq!(
            of(&samples, "state_bytes"),
            [(operator("count-1"), 700.0), (operator("window-1"), 700.0)]
        );
        assert_eq!(
            of(&samples, "watermark_timestamp_seconds"),
            [(operator("window-1"), 7.5)]
        );
        assert_eq!(
            of(&samples, "watermark_delay_seconds"),
            [(operator("window-1"), 2.5)]
        );
        let activities = of(&samples, "worker_seconds_total");
        assert_eq!(activities.len(), Inspector::new().snapshot().time.len());
    }

    #[test]
    fn quotes_backslashes_and_line_ends_in_names_are_escaped_and_nothing_else_is() {
        let snapshot = snapshot(vec![state("a\\b\"c\nd é{}=,", None)]);
        let text = render(&[("x\"y", snapshot)]);
        let samples = parse(&text);
        assert_eq!(
            of(&samples, "state_keys"),
            [(
                r#"application="x\"y",operator="a\\b\"c\nd é{}=,""#.to_owned(),
                7.0
            )]
        );
    }

    #[test]
    fn several_applications_share_the_head_of_a_metric_and_a_name_given_twice_counts_once() {
        let texts = render(&[
            (
                "a",
                snapshot(vec![state("count-1", None), state("count-1", None)]),
            ),
            ("b", snapshot(vec![state("count-1", Some(0))])),
            ("a", snapshot(vec![state("sum-1", None)])),
        ]);
        let samples = parse(&texts);
        assert_eq!(of(&samples, "commits_total").len(), 2);
        let labels: Vec<String> = of(&samples, "state_keys")
            .into_iter()
            .map(|s| s.0)
            .collect();
        assert_eq!(
            labels,
            [
                r#"application="a",operator="count-1""#,
                r#"application="b",operator="count-1""#
            ]
        );
    }

    #[test]
    fn numbers_stay_finite_at_the_ends_of_time() {
        for at in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
            let mut snapshot = snapshot(vec![state("w", Some(at))]);
            for taken in [i64::MIN, 0, i64::MAX] {
                snapshot.taken_at_ms = taken;
                snapshot.since_commit = Some(Duration::MAX);
                assert!(!parse(&render(&[("app", snapshot.clone())])).is_empty());
            }
        }
        assert_eq!(render::<&str>(&[]), "");
    }
}
