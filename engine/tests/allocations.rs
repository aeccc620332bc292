//! No allocation for a record: twice the records cost the same number of allocations, from the fetched batch to the produce batch.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use engine::{
    batch::{Frame, InputPartition, Rows},
    flow::{Input, Port, Position, Scope},
    formats::text::words,
    plan::{App, Task, TaskConfig},
};
use kafka_proto::records::{Batch, BatchBuilder, Compression, Stamp};
use test_support::alloc::{CountingAllocator, count_thread};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Batches of 100 lines each.
fn batches(records: usize) -> Vec<Batch> {
    let mut builder = BatchBuilder::new(Compression::NONE, 1 << 16);
    let lines = [
        "The quick brown fox jumps",
        "over the lazy dog",
        "a_rather_long_word_for_the_arena 42",
    ];
    let batch = |start: usize| {
        for at in start..start + 100 {
            let line = lines[at % 3].as_bytes();
            builder
                .append(at as i64, Some(b"key"), Some(line), &[])
                .unwrap();
        }
        Batch::new(builder.finish(Stamp::NONE).unwrap()).unwrap()
    };
    (0..records).step_by(100).map(batch).collect()
}

/// What a runtime does, on one thread: calls, brings rows to their second half, takes full batches and gives their buffers back.
struct Runner {
    task: Task,
    rows: Rows,
    taken: Vec<(i32, BatchBuilder)>,
}

impl Runner {
    fn new(plan: impl Fn(Scope<'_>) + Send + Sync + 'static) -> Self {
        let app = App::new("test", plan).unwrap();
        Self {
            task: Task::new(&app, &TaskConfig::single(1)).unwrap(),
            rows: Rows::new(),
            taken: Vec::new(),
        }
    }

    fn call(&mut self, input: Input<'_>) {
        let mut from = Some(Position::START);
        while let Some(at) = from {
            from = self.task.call(input, at).unwrap();
            self.take();
        }
    }

    /// Empties the sinks. The buffers go round, as they would through a producer.
    fn take(&mut self) {
        let graph = std::sync::Arc::clone(self.task.graph());
        for (sink, _) in graph.sinks() {
            let outbox = self.task.outbox(sink);
            self.taken.extend(outbox.take_all());
            for (_, builder) in self.taken.drain(..) {
                outbox.lend(builder);
            }
        }
    }

    fn feed(&mut self, batches: &[Batch]) {
        for batch in batches {
            let frame = Frame::new(InputPartition::single(0), batch, batch.body(), 0);
            self.call(Input::Frame { source: 0, frame });
            let (mut rows, mut to) = (std::mem::take(&mut self.rows), None);
            self.task.outgoing(|operator, _, out| {
                std::mem::swap(out, &mut rows);
                to = Some(operator);
            });
            if let Some(operator) = to {
                let port = Port::Sent;
                self.call(Input::Rows {
                    operator,
                    port,
                    rows: &rows,
                });
                rows.clear();
            }
            self.rows = rows;
        }
    }

    fn commit(&mut self) {
        let graph = std::sync::Arc::clone(self.task.graph());
        let mut rows = std::mem::take(&mut self.rows);
        for (operator, _) in graph.keyed() {
            for group in 0..16 {
                while self.task.drain_changed(operator, group, &mut rows, 1 << 16)
                    || !rows.is_empty()
                {
                    let port = Port::Fired;
                    self.call(Input::Rows {
                        operator,
                        port,
                        rows: &rows,
                    });
                    rows.clear();
                }
            }
        }
        self.rows = rows;
    }

    /// Allocations of a run over so many records in so many batches, once all buffers have their size.
    fn allocations(&mut self, batches: &[Batch]) -> u64 {
        self.feed(batches);
        self.commit();
        count_thread(|| {
            self.feed(batches);
            self.commit();
        })
        .1
        .count
    }
}

/// Allocations for N and for 2N records, each in batches of 100.
fn compare(plan: fn(Scope<'_>)) -> (u64, u64) {
    (
        Runner::new(plan).allocations(&batches(20_000)),
        Runner::new(plan).allocations(&batches(40_000)),
    )
}

#[test]
fn a_stateless_pipeline_allocates_nothing_for_a_record() {
    let (n, twice) = compare(|s| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()))
            .filter(|w| w.len() > 2)
            .map(|w| (w, w.len() as u64))
            .sink("lengths");
    });
    assert!(twice <= n + 4, "{n} and {twice}");
}

#[test]
fn a_word_count_over_known_words_allocates_nothing_for_a_word() {
    let (n, twice) = compare(|s| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()))
            .key_by(|w| w)
            .count()
            .sink("counts");
    });
    assert!(twice <= n + 4, "{n} and {twice}");
}

#[test]
fn an_aggregate_over_known_keys_allocates_nothing_for_a_row() {
    let (n, twice) = compare(|s| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()).map(|w| (w, w.len() as u64)))
            .key_by(|(w, _)| w)
            .aggregate((0u64, 0u64), |(sum, n), (_, len)| {
                *sum += len;
                *n += 1;
            })
            .emit_every_update()
            .map(|(w, (sum, _))| (w, sum))
            .sink("sums");
    });
    assert!(twice <= n + 4, "{n} and {twice}");
}

/// Allocations of windows on keys that are there: all rows lie in windows that stay open.
fn compare_windows(plan: fn(Scope<'_>)) -> (u64, u64) {
    let count = |records: usize| {
        let mut runner = Runner::new(plan);
        let batches = batches(records);
        runner.feed(&batches);
        count_thread(|| runner.feed(&batches)).1.count
    };
    (count(20_000), count(40_000))
}

#[test]
fn windows_over_known_keys_allocate_nothing_for_a_row() {
    use engine::windows::{Hopping, Tumbling};
    use std::time::Duration;
    let tumbling = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()))
            .key_by(|w| w)
            .window(Tumbling::of(Duration::from_secs(3600)))
            .count()
            .map(|(w, _, n)| (w, n))
            .sink("counts");
    };
    let hopping = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()).map(|w| (w, w.len() as u64)))
            .key_by(|(w, _)| w)
            .window(Hopping::of(
                Duration::from_secs(3600),
                Duration::from_secs(600),
            ))
            .sum(|(_, n)| *n)
            .map(|(w, _, n)| (w, n))
            .sink("sums");
    };
    for plan in [tumbling as fn(Scope<'_>), hopping] {
        let (n, twice) = compare_windows(plan);
        assert!(twice <= n + 4, "{n} and {twice}");
    }
}

#[test]
fn sessions_sliding_windows_and_process_functions_on_known_keys_allocate_nothing_for_a_row() {
    use engine::{
        operators::Event,
        windows::{Session, Sliding},
    };
    use std::time::Duration;
    let session = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()))
            .key_by(|w| w)
            .window(Session::gap(Duration::from_secs(3600)))
            .count()
            .map(|(w, _, n)| (w, n))
            .sink("counts");
    };
    let process = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()))
            .key_by(|w| w)
            .process(0u64, |cx, word, event, out| {
                if let Event::Row(_) = event {
                    *cx.state += 1;
                    cx.timer_at(1 << 40);
                    out.push((word, *cx.state));
                }
            })
            .sink("counts");
    };
    // A sliding window keeps a part for each moment: the moments are the same again and again.
    let sliding = |s: Scope<'_>| {
        s.source("lines")
            .utf8()
            .with_timestamps(|l| l.len() as i64, Duration::from_secs(3600))
            .flat_map(|line| words(line, s.scratch()))
            .key_by(|w| w)
            .window(Sliding::of(Duration::from_secs(3600)))
            .count()
            .map(|(w, _, n)| (w, n))
            .sink("counts");
    };
    let (n, twice) = compare_windows(session);
    assert!(twice <= n + 4, "{n} and {twice}");
    // A few for each batch, of which there are twice as many: the list of what a function gives out; what clocks hear.
    for plan in [sliding as fn(Scope<'_>), process] {
        let (n, twice) = compare_windows(plan);
        assert!(twice <= 2 * n + 4 && n <= 200 * 16, "{n} and {twice}");
    }
}

#[test]
fn rows_held_until_their_time_allocate_nothing_for_a_row() {
    use engine::testing::Driver;
    // The watermark is one less than the last record's time: each batch lets the rows of 100 records go, some 370.
    let mut driver = Driver::new(|s| {
        s.source("lines")
            .utf8()
            .flat_map(|line| words(line, s.scratch()).map(|w| (w, w.len() as u64)))
            .key_by(|(w, _)| w)
            .in_order()
            .aggregate(0u64, |sum, (_, len)| *sum += len)
            .sink("sums");
    });
    let batches = batches(70_000);
    let mut feed = |batches: &[Batch]| {
        let feed = || {
            for batch in batches {
                driver.feed_batch("lines", 0, batch).unwrap();
            }
        };
        count_thread(feed).1.count
    };
    feed(&batches[..100]);
    let (n, twice) = (feed(&batches[100..300]), feed(&batches[300..]));
    assert!(driver.counters("aggregate-1").records > 250_000);
    assert!(
        twice <= 2 * n + 4 && n <= 200 * 32,
        "{n} and {twice}: a few for each batch of some 370 rows"
    );
}

#[test]
fn whole_records_are_passed_on_without_an_allocation() {
    let (n, twice) = compare(|s| {
        s.source("in")
            .record()
            .filter(|r| r.value.is_some())
            .sink("out")
    });
    assert!(twice <= n + 4, "{n} and {twice}");
}

#[test]
fn a_shared_stream_allocates_for_a_batch_and_not_for_a_record() {
    let plan = |s: Scope<'_>| {
        let lines = s.source("lines").utf8().share();
        lines.clone().map(|l| ((), l)).sink("a");
        lines.map(|l| (l, ())).sink("b");
    };
    let n = Runner::new(plan).allocations(&batches(20_000));
    assert!(n < 200 * 16, "{n} allocations for 200 batches");
}

#[test]
fn an_allocation_for_each_record_would_be_seen() {
    let (n, twice) = compare(|s| {
        s.source("lines")
            .utf8()
            .map(|l| ((), l.to_owned()))
            .sink("copies");
    });
    assert!(n >= 20_000 && twice >= n + 20_000, "{n} and {twice}");
}
