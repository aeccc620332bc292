//! Exact sums of whole numbers, in no more room than the number: a sum beyond the range of its slot
//! lies in a table on the side.
//!
//! ```text
//! in the slot   sum << 1 | 0        below 2^62 (of 128 bits: below 2^126), which is nearly all there are
//!               ticket << 1 | 1     the sum lies at this place of the side table, with 192 bits
//! ```
//! Sums stay exact whatever the order in which numbers come, because nothing is cut off before a
//! result is given out.

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// A whole number of 192 bits in two's complement: 2^64 numbers of 128 bits can be added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wide {
    pub(super) high: i64,
    pub(super) low: u128,
}

impl From<i128> for Wide {
    fn from(n: i128) -> Self {
        Self {
            high: if n < 0 { -1 } else { 0 },
            low: n as u128,
        }
    }
}

impl From<u128> for Wide {
    fn from(low: u128) -> Self {
        Self { high: 0, low }
    }
}

impl Wide {
    pub(super) fn plus(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        Self {
            high: self
                .high
                .wrapping_add(other.high)
                .wrapping_add(i64::from(carry)),
            low,
        }
    }

    /// `None` where it does not fit.
    pub(super) fn signed(self) -> Option<i128> {
        let low = self.low as i128;
        (self.high == (low >> 127) as i64).then_some(low)
    }

    /// `None` where it does not fit.
    pub(super) fn unsigned(self) -> Option<u128> {
        (self.high == 0).then_some(self.low)
    }

    /// The nearest double, or one beside it.
    pub(super) fn to_f64(self) -> f64 {
        match self.signed() {
            Some(n) => n as f64,
            None => self.high as f64 * 2f64.powi(128) + self.low as f64,
        }
    }

    /// The whole number that a double is, which lies below 2^190.
    pub(super) fn from_f64(n: f64) -> Self {
        if n.abs() < 2f64.powi(126) {
            return Self::from(n as i128);
        }
        // Its last 64 bits are zero.
        let upper = (n / 2f64.powi(64)) as i128;
        Self {
            high: (upper >> 64) as i64,
            low: (upper as u128) << 64,
        }
    }
}

/// A sum as it lies in a slot: the sum itself, doubled, or a ticket for the side table.
pub trait Packed: Copy + Default + std::fmt::Debug + Send + 'static {
    #[doc(hidden)]
    fn sum(self, other: Self) -> Option<Self>;
    #[doc(hidden)]
    fn pack(high: i64, low: u128) -> Option<Self>;
    #[doc(hidden)]
    fn unpack(self) -> (i64, u128);
    #[doc(hidden)]
    fn of_ticket(ticket: u32) -> Self;
    #[doc(hidden)]
    fn ticket(self) -> Option<u32>;
}

macro_rules! packed {
    ($($t:ty),*) => {$(
        impl Packed for $t {
            /// Of two sums that are here themselves.
            #[inline]
            fn sum(self, other: Self) -> Option<Self> {
                // Both are even.
                self.checked_add(other)
            }
            fn pack(high: i64, low: u128) -> Option<Self> {
                let n = Self::try_from(Wide { high, low }.signed()?).ok()?;
                n.checked_mul(2)
            }
            fn unpack(self) -> (i64, u128) {
                let Wide { high, low } = Wide::from(i128::from(self >> 1));
                (high, low)
            }
            fn of_ticket(ticket: u32) -> Self {
                Self::from(ticket) << 1 | 1
            }
            #[inline]
            fn ticket(self) -> Option<u32> {
                (self & 1 == 1).then_some((self >> 1) as u32)
            }
        }
    )*};
}
packed!(i64, i128);

/// A sum in a slot: see the module's head.
#[derive(Debug, Default)]
pub(super) struct Spilling<P: Packed>(P);

impl<P: Packed> Spilling<P> {
    fn of(sum: Wide) -> Self {
        Self(P::pack(sum.high, sum.low).unwrap_or_else(|| P::of_ticket(put(sum))))
    }

    pub(super) fn get(&self) -> Wide {
        match self.0.ticket() {
            Some(ticket) => *side(ticket).place(ticket),
            None => {
                let (high, low) = self.0.unpack();
                Wide { high, low }
            }
        }
    }

    pub(super) fn set(&mut self, sum: Wide) {
        *self = Self::of(sum);
    }

    /// Adds a sum or number that is packed, if both can be there themselves.
    #[inline]
    pub(super) fn add(&mut self, packed: Option<P>, wide: impl FnOnce() -> Wide) {
        if self.0.ticket().is_none()
            && let Some(packed) = packed
            && let Some(sum) = self.0.sum(packed)
        {
            self.0 = sum;
            return;
        }
        self.add_wide(wide());
    }

    #[cold]
    #[inline(never)]
    fn add_wide(&mut self, number: Wide) {
        self.set(self.get().plus(number));
    }

    #[inline]
    pub(super) fn join(&mut self, other: &Self) {
        let packed = other.0.ticket().is_none().then_some(other.0);
        self.add(packed, || other.get());
    }
}

impl<P: Packed> Clone for Spilling<P> {
    #[inline]
    fn clone(&self) -> Self {
        match self.0.ticket() {
            None => Self(self.0),
            Some(_) => Self::of(self.get()),
        }
    }
}

impl<P: Packed> Drop for Spilling<P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(ticket) = self.0.ticket() {
            give_back(ticket);
        }
    }
}

/// Sums that found no room in their slots. Each thread puts its own into one of a few of these, so
/// that workers do not wait for each other.
struct Side {
    sums: Vec<Wide>,
    free: Vec<u32>,
}

const SIDE_BITS: u32 = 4;
static SIDES: [Mutex<Side>; 1 << SIDE_BITS] = [const {
    Mutex::new(Side {
        sums: Vec::new(),
        free: Vec::new(),
    })
}; 1 << SIDE_BITS];

impl Side {
    fn place(&mut self, ticket: u32) -> &mut Wide {
        &mut self.sums[(ticket >> SIDE_BITS) as usize]
    }
}

fn side(ticket: u32) -> MutexGuard<'static, Side> {
    let side = &SIDES[(ticket & ((1 << SIDE_BITS) - 1)) as usize];
    // Nothing in here can be left half done.
    side.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cold]
fn put(sum: Wide) -> u32 {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<u32> = Cell::new(
        (THREADS.fetch_add(1, Ordering::Relaxed) % (1 << SIDE_BITS)) as u32
    ));
    let mine = MINE.get();
    let mut side = side(mine);
    let at = side.free.pop().unwrap_or_else(|| {
        side.sums.push(Wide::default());
        (side.sums.len() - 1) as u32
    });
    assert!(
        at < 1 << (31 - SIDE_BITS),
        "a hundred million sums beyond 2^62"
    );
    let ticket = at << SIDE_BITS | mine;
    *side.place(ticket) = sum;
    ticket
}

#[cold]
fn give_back(ticket: u32) {
    let mut side = side(ticket);
    side.free.push(ticket >> SIDE_BITS);
    if side.free.len() == side.sums.len() {
        (side.sums, side.free) = (Vec::new(), Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(numbers: &[i128]) -> Wide {
        let add = |sum: Wide, n: &i128| sum.plus(Wide::from(*n));
        numbers.iter().fold(Wide::default(), add)
    }

    #[test]
    fn wide_sums_are_exact_at_the_ends_of_128_bits() {
        let ends = [i128::MAX, i128::MAX, i128::MIN, 7, i128::MIN, -1];
        let mut numbers = ends.to_vec();
        for _ in 0..ends.len() {
            numbers.rotate_left(1);
            assert_eq!(total(&numbers).signed(), Some(4));
        }
        assert_eq!(total(&[i128::MAX, 1]).signed(), None);
        assert_eq!(total(&[i128::MAX, 1]).unsigned(), Some(1 << 127));
        assert_eq!(total(&[-1]).unsigned(), None);
        assert_eq!(total(&[i128::MIN, -1]).signed(), None);
        let all = Wide::from(u128::MAX).plus(Wide::from(1u128));
        assert_eq!((all.unsigned(), all.to_f64()), (None, 2f64.powi(128)));
    }

    #[test]
    fn doubles_become_the_whole_numbers_that_they_are() {
        let numbers = [
            0.0,
            1.0,
            -1.0,
            -7e15,
            1e30,
            -1e30,
            2f64.powi(130),
            -2f64.powi(150),
        ];
        for n in numbers {
            assert_eq!(Wide::from_f64(n).to_f64(), n);
        }
        assert_eq!(Wide::from_f64(-5.0).signed(), Some(-5));
    }

    #[test]
    fn a_sum_goes_to_the_side_and_comes_back_and_copies_are_apart() {
        fn check<P: Packed>(edge: i128) {
            let mut sum = Spilling::<P>::default();
            let add = |sum: &mut Spilling<P>, n: i128| sum.add(None, || Wide::from(n));
            add(&mut sum, edge);
            assert!(sum.0.ticket().is_none(), "the last one in the slot");
            add(&mut sum, 1);
            assert!(sum.0.ticket().is_some(), "the first one on the side");
            let mut copy = sum.clone();
            add(&mut copy, -2);
            assert!(copy.0.ticket().is_none(), "it is back");
            assert_eq!(sum.get().signed(), Some(edge + 1));
            assert_eq!(copy.get().signed(), Some(edge - 1));
            copy.join(&sum);
            assert_eq!(copy.get(), total(&[edge, edge]));
            add(&mut sum, -edge - 1 - edge - 1);
            assert!(sum.0.ticket().is_none(), "the least in the slot");
            add(&mut sum, -1);
            assert!(sum.0.ticket().is_some());
        }
        check::<i64>((1 << 62) - 1);
        check::<i128>((1 << 126) - 1);
    }

    #[test]
    fn room_on_the_side_is_given_back() {
        let large = || Spilling::<i64>::of(Wide::from(i128::from(i64::MAX)));
        let first = large();
        let ticket = first.0.ticket();
        drop(first);
        let others: Vec<_> = (0..3).map(|_| large()).collect();
        assert!(others.iter().any(|s| s.0.ticket() == ticket), "used again");
    }
}
