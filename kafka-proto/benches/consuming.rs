//! What it costs the client to consume, by the number of partitions: the same bytes in batches of 64 KiB, from an in-process cluster on
//! a thread of its own, so that only the client is measured. Records of 100 B, checksums verified, every record touched.
//!
//! `cargo bench -p kafka-proto --all-features --bench consuming`; `-- --rounds 31` measures longer, `-- 1000` reads that many partitions
//! over and over, for a profiler.
#![allow(
    clippy::unwrap_used,
    reason = "a benchmark stops where it is surprised"
)]

use std::{cell::RefCell, hint::black_box, time::Duration};

use kafka_proto::{
    client::{Cluster, Config, Consumer, Fetcher, Start, TopicPartition},
    mock,
    records::{BatchBuilder, Compression, Stamp},
};
use test_support::{CountingAllocator, measure::Paired};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const BATCH_BYTES: usize = 64 * 1024;
const BATCHES: usize = 2000;
const POLL: Duration = Duration::from_secs(10);

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    if let Some(partitions) = arguments.first().and_then(|arg| arg.parse().ok()) {
        let set_up = SetUp::new(&runtime, partitions);
        for _ in 0..20 {
            black_box(set_up.batches(&runtime));
        }
        return;
    }
    let rounds = arguments
        .iter()
        .position(|arg| arg == "--rounds")
        .map_or(9, |at| arguments[at + 1].parse().unwrap());
    let set_ups: Vec<(i32, SetUp)> = [1, 4, 100, 1000]
        .into_iter()
        .map(|partitions| (partitions, SetUp::new(&runtime, partitions)))
        .collect();
    let mut paired = Paired::new("consuming 100 B records, by partitions", rounds);
    for (partitions, set_up) in &set_ups {
        let runtime = &runtime;
        paired = paired.arm(&format!("{partitions} batches"), move || {
            set_up.batches(runtime)
        });
    }
    let (_, four) = &set_ups[1];
    println!(
        "{}",
        paired.arm("4 records", || four.records(&runtime)).run()
    );
}

struct SetUp {
    _mock: mock::Cluster,
    partitions: i32,
    each: i64,
    fetcher: RefCell<Fetcher>,
    consumer: RefCell<Consumer>,
}

impl SetUp {
    fn new(runtime: &Runtime, partitions: i32) -> Self {
        runtime.block_on(async {
            let builder = mock::Cluster::builder().topic("t", partitions);
            let mock = builder.start().await.unwrap();
            let mut builder =
                BatchBuilder::new(Compression::NONE, BATCH_BYTES).with_limit(BATCH_BYTES);
            let mut records = 0;
            while builder.append(0, None, Some(&[b'x'; 100]), &[]).is_ok() {
                records += 1;
            }
            let batch = builder.finish(Stamp::NONE).unwrap();
            for number in 0..BATCHES as i32 {
                mock.append_raw("t", number % partitions, &batch).unwrap();
            }
            let cluster = Cluster::connect(Config::new(&mock.bootstrap_servers()))
                .await
                .unwrap();
            let mut fetcher = Fetcher::new(&cluster);
            let mut all = Vec::new();
            for partition in 0..partitions {
                fetcher.assign("t", partition, Start::Earliest);
                all.push(TopicPartition::new("t", partition));
            }
            let mut consumer = Consumer::new(&cluster);
            consumer.assign(&all).unwrap();
            Self {
                _mock: mock,
                partitions,
                each: records * BATCHES as i64 / i64::from(partitions),
                fetcher: RefCell::new(fetcher),
                consumer: RefCell::new(consumer),
            }
        })
    }

    /// Reads everything through the borrowed interface; how many records.
    fn batches(&self, runtime: &Runtime) -> u64 {
        let mut fetcher = self.fetcher.borrow_mut();
        for partition in 0..self.partitions {
            fetcher.seek("t", partition, Start::Offset(0)).unwrap();
        }
        let mut decompressor = fetcher.decompressor();
        let (all, mut count) = ((self.each * i64::from(self.partitions)) as u64, 0);
        runtime.block_on(async {
            while count < all {
                for mut of in fetcher.poll_batches(POLL).await.unwrap() {
                    while let Some(batch) = of.next_batch().unwrap() {
                        for record in batch.records(&mut decompressor).unwrap() {
                            black_box(record.unwrap().value);
                            count += 1;
                        }
                    }
                }
            }
        });
        count
    }

    /// The same through the record interface.
    fn records(&self, runtime: &Runtime) -> u64 {
        let mut consumer = self.consumer.borrow_mut();
        for partition in 0..self.partitions {
            consumer.seek("t", partition, Start::Offset(0)).unwrap();
        }
        let (all, mut count) = ((self.each * i64::from(self.partitions)) as u64, 0);
        runtime.block_on(async {
            while count < all {
                for record in consumer.poll(POLL).await.unwrap() {
                    black_box(record.value());
                    count += 1;
                }
            }
        });
        count
    }
}
