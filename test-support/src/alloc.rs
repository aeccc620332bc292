//! A global allocator that counts: how often and how much was allocated, by this thread and by the whole process,
//! and how many bytes live at once. It proves that allocations do not grow with the number of records.
//!
//! A test binary or a benchmark turns it on for itself:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: test_support::CountingAllocator = test_support::CountingAllocator;
//!
//! let (kept, counted) = test_support::alloc::count_thread(|| vec![1u8, 2, 3]);
//! assert_eq!((kept.len(), counted.count), (3, 1));
//! ```
#![expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait; nothing else in the workspace needs unsafe"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// The system's allocator with counters before it. Make it the `#[global_allocator]` of a test binary.
#[derive(Debug, Default, Clone, Copy)]
pub struct CountingAllocator;

/// How often memory was asked for, and how much of it. A reallocation counts as one request of its new size.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Allocations {
    /// Number of requests.
    pub count: u64,
    /// Sum of the requested sizes.
    pub bytes: u64,
}

impl Sub for Allocations {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            count: self.count - earlier.count,
            bytes: self.bytes - earlier.bytes,
        }
    }
}

thread_local! {
    // Constant, `Copy`, without a destructor: safe to touch inside the allocator, also while a thread ends.
    static COUNT: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

static PROCESS_COUNT: AtomicU64 = AtomicU64::new(0);
static PROCESS_BYTES: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// What the calling thread has allocated since it started.
#[must_use]
pub fn thread() -> Allocations {
    Allocations {
        count: COUNT.get(),
        bytes: BYTES.get(),
    }
}

/// What all threads have allocated since the process started.
#[must_use]
pub fn process() -> Allocations {
    Allocations {
        count: PROCESS_COUNT.load(Relaxed),
        bytes: PROCESS_BYTES.load(Relaxed),
    }
}

/// Bytes allocated and not yet freed, over all threads.
#[must_use]
pub fn live_bytes() -> u64 {
    LIVE.load(Relaxed).max(0).unsigned_abs()
}

/// The most that was ever live at once since the start or the last [`reset_peak`].
#[must_use]
pub fn peak_bytes() -> u64 {
    PEAK.load(Relaxed).max(0).unsigned_abs()
}

/// Starts a new peak at what is live now.
pub fn reset_peak() {
    PEAK.store(LIVE.load(Relaxed), Relaxed);
}

/// Runs `work` and says what the calling thread allocated in it.
pub fn count_thread<R>(work: impl FnOnce() -> R) -> (R, Allocations) {
    let before = thread();
    let result = work();
    (result, thread() - before)
}

/// Runs `work` and says what all threads allocated meanwhile: for work that hands over to others. Such a test wants a
/// binary of its own, because tests of one binary run side by side.
pub fn count_process<R>(work: impl FnOnce() -> R) -> (R, Allocations) {
    let before = process();
    let result = work();
    (result, process() - before)
}

fn allocated(bytes: usize) {
    COUNT.set(COUNT.get() + 1);
    BYTES.set(BYTES.get() + bytes as u64);
    PROCESS_COUNT.fetch_add(1, Relaxed);
    PROCESS_BYTES.fetch_add(bytes as u64, Relaxed);
}

fn grew(bytes: i64) {
    let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
    if live > PEAK.load(Relaxed) {
        PEAK.fetch_max(live, Relaxed);
    }
}

#[expect(
    clippy::cast_possible_wrap,
    reason = "no allocation is larger than isize::MAX, by Layout's invariant"
)]
const fn signed(bytes: usize) -> i64 {
    bytes as i64
}

// SAFETY: every method hands its arguments unchanged to `System`, which upholds the contract; counting neither
// allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        grew(signed(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        allocated(layout.size());
        grew(signed(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        allocated(new_size);
        grew(signed(new_size) - signed(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        grew(-signed(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
