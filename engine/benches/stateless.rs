//! Filter and map through the engine against loops written by hand, over the same fetched batches.
//!
//! Run: `cargo bench -p engine --bench stateless [-- ROUNDS]`

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;

use engine::{
    batch::{Frame, InputPartition, OutboxConfig},
    flow::{Input, Position, Scope},
    plan::{App, Task, TaskConfig},
};
use kafka_proto::records::{Batch, BatchBuilder, Compression, Stamp};
use test_support::{alloc::CountingAllocator, measure::Paired, random::SplitMix64};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const RECORDS: usize = 200_000;
const BATCH_BYTES: usize = 128 << 10;

/// A record of 100 bytes: two numbers, a name, and a rest that nobody looks at.
#[derive(Clone, Copy)]
struct Bid<'a> {
    auction: u64,
    price: u64,
    channel: &'a str,
}

#[inline]
fn decode(bytes: &[u8]) -> Result<Bid<'_>, &'static str> {
    let (auction, rest) = bytes.split_first_chunk::<8>().ok_or("too short")?;
    let (price, rest) = rest.split_first_chunk::<8>().ok_or("too short")?;
    let channel = rest.get(..20).ok_or("too short")?;
    Ok(Bid {
        auction: u64::from_be_bytes(*auction),
        price: u64::from_be_bytes(*price),
        channel: str::from_utf8(channel).map_err(|_| "not UTF-8")?,
    })
}

fn input() -> Vec<Batch> {
    let mut random = SplitMix64::new(1);
    let mut builder = BatchBuilder::new(Compression::NONE, BATCH_BYTES).with_limit(BATCH_BYTES);
    let mut out = Vec::new();
    for at in 0..RECORDS as u64 {
        let mut value = Vec::with_capacity(100);
        value.extend_from_slice(&at.to_be_bytes());
        value.extend_from_slice(&random.below(200).to_be_bytes());
        value.extend_from_slice(b"channel-abcdefghijkl");
        value.resize(100, b'x');
        if builder.append(at as i64, None, Some(&value), &[]).is_err() {
            out.push(Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap());
            builder.append(at as i64, None, Some(&value), &[]).unwrap();
        }
    }
    out.push(Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap());
    out
}

fn main() {
    let rounds = std::env::args()
        .skip(1)
        .find_map(|a| a.parse().ok())
        .unwrap_or(15);
    let input = input();
    let mut looping = Engine::new(|s| {
        s.source("bids")
            .decode(decode)
            .filter(|b| b.price >= 100)
            .map(|b| (b.auction, b.price * 2, b.channel))
            .for_each(|row| {
                black_box(row);
            });
    });
    println!(
        "{}",
        Paired::new("filter half, map; nothing written; per record", rounds)
            .arm("by hand", || {
                for batch in &input {
                    for record in batch.records(batch.body()) {
                        let Ok(bid) = decode(record.unwrap().value.unwrap()) else {
                            continue;
                        };
                        if bid.price >= 100 {
                            black_box((bid.auction, bid.price * 2, bid.channel));
                        }
                    }
                }
                RECORDS as u64
            })
            .arm("engine", || looping.run(&input))
            .run()
    );
    let mut writing = Engine::new(|s| {
        s.source("bids")
            .decode(decode)
            .filter(|b| b.price >= 100)
            .map(|b| (b.channel, b.price * 2))
            .sink("dear");
    });
    let mut builder = BatchBuilder::new(Compression::NONE, BATCH_BYTES).with_limit(BATCH_BYTES);
    println!(
        "{}",
        Paired::new("filter half, map, write; per record", rounds)
            .arm("by hand", || {
                for batch in &input {
                    for record in batch.records(batch.body()) {
                        let record = record.unwrap();
                        let Ok(bid) = decode(record.value.unwrap()) else {
                            continue;
                        };
                        if bid.price < 100 {
                            continue;
                        }
                        let (key, value) = (bid.channel.as_bytes(), (bid.price * 2).to_be_bytes());
                        if builder
                            .append(record.timestamp, Some(key), Some(&value), &[])
                            .is_err()
                        {
                            finish(&mut builder);
                            builder
                                .append(record.timestamp, Some(key), Some(&value), &[])
                                .unwrap();
                        }
                    }
                }
                finish(&mut builder);
                RECORDS as u64
            })
            .arm("engine", || writing.run(&input))
            .run()
    );
    let mut passing = Engine::new(|s| s.source("bids").record().sink("copy"));
    println!(
        "{}",
        Paired::new("pass records on one by one; per record", rounds)
            .arm("by hand", || {
                for batch in &input {
                    for record in batch.records(batch.body()) {
                        let record = record.unwrap();
                        if builder.append_record(&record).is_err() {
                            finish(&mut builder);
                            builder.append_record(&record).unwrap();
                        }
                    }
                }
                finish(&mut builder);
                RECORDS as u64
            })
            .arm("engine", || passing.run(&input))
            .run()
    );
}

fn finish(builder: &mut BatchBuilder) {
    let bytes = builder.finish(Stamp::NONE).unwrap();
    builder.recycle(black_box(bytes));
}

/// What the runtime does with a task, on one thread and without a broker.
struct Engine {
    task: Task,
    sink: Option<usize>,
    done: Vec<(i32, BatchBuilder)>,
}

impl Engine {
    fn new(plan: fn(Scope<'_>)) -> Self {
        let app = App::new("bench", plan).unwrap();
        let mut task = Task::new(&app, &TaskConfig::single(7)).unwrap();
        let sink = app.graph().sinks().next().map(|(sink, _)| sink);
        if let Some(sink) = sink {
            let config = OutboxConfig {
                batch_bytes_max: BATCH_BYTES,
                ..OutboxConfig::default()
            };
            task.configure_sink(sink, config);
        }
        Self {
            task,
            sink,
            done: Vec::new(),
        }
    }

    fn run(&mut self, input: &[Batch]) -> u64 {
        for batch in input {
            let frame = Frame::new(InputPartition::single(0), batch, batch.body(), 0);
            let mut from = Some(Position::START);
            while let Some(at) = from {
                from = self
                    .task
                    .call(Input::Frame { source: 0, frame }, at)
                    .unwrap();
                self.write(false);
            }
        }
        self.write(true);
        RECORDS as u64
    }

    fn write(&mut self, all: bool) {
        let Some(sink) = self.sink else { return };
        let outbox = self.task.outbox(sink);
        if all {
            self.done.extend(outbox.take_all());
        } else {
            self.done.extend(outbox.take_full());
        }
        for (_, mut builder) in self.done.drain(..) {
            finish(&mut builder);
            outbox.lend(builder);
        }
    }
}
