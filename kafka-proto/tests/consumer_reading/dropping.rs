//! Futures that are dropped at each of their awaits: nothing is lost, nothing comes twice.
use kafka_proto::{
    client::consumer::{Fetcher, Start},
    mock,
};

use super::rig::{LIMIT, Rig, append, polled};

#[tokio::test]
async fn dropping_a_poll_anywhere_neither_loses_nor_repeats() {
    let Rig { mock, cluster } = Rig::of(
        mock::Cluster::builder().brokers(2).topic("t", 2),
        &[("max.partition.fetch.bytes", "700")],
    )
    .await;
    append(&mock, 0, 0..300);
    append(&mock, 1, 0..300);
    let mut fetcher = Fetcher::new(&cluster);
    fetcher.assign("t", 0, Start::Earliest);
    fetcher.assign("t", 1, Start::Earliest);
    let (mut read, mut polls) = ([Vec::new(), Vec::new()], 0_usize);
    let reading = async {
        while read.iter().any(|of| of.len() < 300) {
            polls += 1;
            // Polled so many times, then dropped.
            let fetched = polled(polls % 5 + 1, fetcher.poll_batches(LIMIT)).await;
            let Some(fetched) = fetched else {
                tokio::task::yield_now().await;
                continue;
            };
            for mut of in fetched.unwrap() {
                let partition = of.partition() as usize;
                assert_eq!(
                    of.start(),
                    read[partition].last().map_or(0, |last| last + 1)
                );
                while let Some(batch) = of.next_batch().unwrap() {
                    read[partition]
                        .extend(batch.batch().base_offset()..batch.batch().next_offset());
                }
            }
        }
    };
    tokio::time::timeout(LIMIT, reading)
        .await
        .expect("all is read");
    assert!(read.iter().all(|of| *of == (0..300).collect::<Vec<_>>()));
}
