//! Memory of state on disk, counted by the allocator: also what values own.
#![cfg(feature = "fjall")]

use engine::{state::Store, testing::Driver};
use test_support::alloc::{self, CountingAllocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

#[test]
fn values_of_120_megabytes_stay_within_the_bound_and_the_stores_own_buffers() {
    const KEYS: usize = 15_000;
    let cache_bytes = 8 << 20;
    let mut driver = Driver::new(move |s| {
        s.source("in")
            .utf8()
            .key_by(|line| line)
            .state_store(Store::Disk { cache_bytes })
            .aggregate(String::new(), |text, _| {
                if text.is_empty() {
                    *text = "x".repeat(8000);
                }
                text.push('+');
            })
            .emit_every_update()
            .for_each(|(key, text)| {
                assert!(text.trim_start_matches('x').len() <= 2, "{key}");
            });
    });
    let before = alloc::live_bytes();
    alloc::reset_peak();
    for keys in [KEYS, KEYS / 8] {
        for from in (0..keys).step_by(500) {
            driver.feed("in", (from..from + 500).map(|n| format!("key-{n}")));
        }
    }
    let peak = alloc::peak_bytes() - before;
    assert_eq!(driver.state_size("aggregate-1").keys, KEYS);
    assert!(peak < 90 << 20, "{} MiB at the peak", peak >> 20);
}
