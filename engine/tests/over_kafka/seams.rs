//! Where one piece of the input ends and the next begins: batches larger than a call, and input after the end of a bounded run.

use std::sync::Arc;

use engine::windows::Tumbling;
use kafka_proto::records::{BatchBuilder, Compression, Stamp};

use super::*;

/// Appends one batch, of a record a millisecond.
fn append_times(cluster: &Cluster, partition: i32, times: std::ops::Range<i64>) {
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for time in times {
        builder.append(time, None, Some(b"x"), &[]).unwrap();
    }
    let bytes = builder.finish(Stamp::NONE).unwrap();
    cluster.append_raw("lines", partition, &bytes).unwrap();
}

fn windows(s: Scope<'_>) {
    let keyed = s.source("lines").utf8().key_by(|w| w);
    let counted = keyed.window(Tumbling::of(Duration::from_secs(1))).count();
    counted
        .map(|(_, w, n)| (w.start.to_string(), n))
        .sink("counts");
}

#[tokio::test]
async fn time_does_not_pass_the_records_of_a_batch_that_is_larger_than_a_call() {
    let (cluster, _) = filled(0).await;
    // A call takes 65,536 records; the head of the batch says how far its times go.
    append_times(&cluster, 0, 0..150_000);
    let snapshot = run(windows, &config(&cluster)).await.unwrap();
    assert_eq!((snapshot.records_in, snapshot.rows_late), (150_000, 0));
    let truth = (0..150).map(|n| ((n * 1000).to_string(), 1000)).collect();
    assert_eq!(counts(&cluster), truth);
}

#[tokio::test]
async fn what_comes_after_the_end_of_a_bounded_run_is_for_the_next_one_to_read() {
    let cluster = Arc::new(filled(0).await.0);
    append_times(&cluster, 0, 0..10);
    for time in 0..60 {
        append_times(&cluster, 1, time..time + 1);
    }
    let other = Arc::clone(&cluster);
    let plan = move |s: Scope<'_>| {
        let other = &other;
        let records = s.source("lines").record().inspect(|r| {
            if r.partition == Some(0) && r.offset == 9 {
                // The ends are settled; partition 1 keeps the run going.
                append_times(other, 0, 10..20);
            } else if r.partition == Some(1) {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let counted = records.map(|_| "x").key_by(|w| w);
        let counted = counted.window(Tumbling::of(Duration::from_secs(1))).count();
        counted
            .map(|(_, w, n)| (w.start.to_string(), n))
            .sink("counts");
    };
    let snapshot = run(plan, &config(&cluster)).await.unwrap();
    assert_eq!(counts(&cluster), [("0".to_owned(), 70)].into());
    assert_eq!(snapshot.rows_late, 0);
    let at = [Some(10), Some(60), Some(0), Some(0)];
    assert_eq!(committed(&cluster), at);
}
