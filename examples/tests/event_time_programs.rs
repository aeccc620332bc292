//! The programs of event time, as processes: they end, and say what they found.
#![allow(clippy::unwrap_used, reason = "a test stops where it is surprised")]

#[path = "support/programs.rs"]
mod programs;

use programs::{Running, program};

#[test]
fn each_program_of_event_time_ends_with_results_on_a_cluster_of_its_own() {
    for (name, expected) in [
        ("sensors", "average"),
        ("sessions", "clicks, left at"),
        ("anomalies", "silent since"),
        ("monitoring", "% failed in the minute"),
        ("window_counts", "from 2026-01-01 08:0"),
    ] {
        let (status, out, err) =
            Running::start(program(name).args(["--until-end", "--threads", "2", "--stats"])).end();
        assert_eq!(status, Some(0), "{name}: {err}");
        assert!(out.contains(expected), "{name}: {out}");
        assert!(out.contains("\"rows_late\":0"), "{name}: {out}");
    }
}
