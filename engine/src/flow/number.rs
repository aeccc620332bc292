//! Numbers that can be summed, and what their sums and averages are kept as until they are given
//! out.

use std::{fmt, marker::PhantomData};

use super::{
    TotalOrder,
    wide::{Packed, Spilling, Wide},
};
use crate::{
    batch::{Decode, Encode, Reader},
    state::State,
};

/// A number that can be summed and compared: whole numbers and fractions of any size.
pub trait Number: State + Copy + TotalOrder {
    /// What a sum of such numbers is kept as. Of whole numbers up to 64 bits it takes 8 bytes, of
    /// larger ones 16, and it is exact whatever it adds up to; of `f32` and `f64` it is a double.
    type Sum: Accumulate<Self>;
    /// What a sum is kept as beside the number of rows, for averages.
    #[doc(hidden)]
    type Mean: Accumulate<Self>;
    /// What the type is called in errors.
    #[doc(hidden)]
    const NAME: &'static str;
}

/// A sum on its way: see [`Number::Sum`].
pub trait Accumulate<N>: State + Default {
    /// Adds a number.
    fn add(&mut self, number: N);
    /// Adds another sum.
    fn join(&mut self, other: Self);
    /// The sum, if it fits.
    ///
    /// # Errors
    /// When the sum is beyond the range of the number's type.
    fn total(self) -> Result<N, OutOfRange>;
    /// The sum divided by a number of rows.
    fn mean(&self, rows: u64) -> f64;
}

/// A sum that does not fit into the type of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange {
    /// The type.
    number: &'static str,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the sum does not fit into {}: sum a wider type, as in `.sum(|r| i128::from(r.amount))`",
            self.number
        )
    }
}

impl std::error::Error for OutOfRange {}

/// A whole number.
#[doc(hidden)]
pub trait Whole: Number {
    type Packed: Packed;
    /// What a sum in a changelog begins with that does not fit into the number; as a number, the
    /// end of the range at which sums of former versions stayed.
    const MARK: Self;

    fn packed(self) -> Option<Self::Packed>;
    fn parts(self) -> (i64, u128);
    fn of_parts(high: i64, low: u128) -> Option<Self>;
}

macro_rules! whole_numbers {
    ($($t:ty: $packed:ty, $wide:ty, $of:ident, $mark:expr;)*) => {$(
        impl Number for $t {
            type Sum = Exact<Self>;
            type Mean = ExactMean<Self>;
            const NAME: &'static str = stringify!($t);
        }
        impl Whole for $t {
            type Packed = $packed;
            const MARK: Self = $mark;
            #[inline]
            fn packed(self) -> Option<$packed> {
                // Of the smaller types neither step can fail, and the compiler knows it.
                <$packed>::try_from(self).ok()?.checked_mul(2)
            }
            fn parts(self) -> (i64, u128) {
                let Wide { high, low } = Wide::from(<$wide>::from(self));
                (high, low)
            }
            fn of_parts(high: i64, low: u128) -> Option<Self> {
                Self::try_from(Wide { high, low }.$of()?).ok()
            }
        }
    )*};
}
whole_numbers!(
    u8: i64, u128, unsigned, Self::MAX;
    u16: i64, u128, unsigned, Self::MAX;
    u32: i64, u128, unsigned, Self::MAX;
    u64: i64, u128, unsigned, Self::MAX;
    u128: i128, u128, unsigned, Self::MAX;
    i8: i64, i128, signed, Self::MIN;
    i16: i64, i128, signed, Self::MIN;
    i32: i64, i128, signed, Self::MIN;
    i64: i64, i128, signed, Self::MIN;
    i128: i128, i128, signed, Self::MIN;
);

/// The exact sum of whole numbers.
///
/// ```text
/// number                                  where it fits: as sums of former versions
/// mark, high i64, low u128                where it does not (or is the mark)
/// ```
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Exact<N: Whole>(Spilling<N::Packed>);

impl<N: Whole> Default for Exact<N> {
    fn default() -> Self {
        Self(Spilling::default())
    }
}

fn wide((high, low): (i64, u128)) -> Wide {
    Wide { high, low }
}

impl<N: Whole> Exact<N> {
    fn of(sum: Wide) -> Self {
        let mut exact = Self::default();
        exact.0.set(sum);
        exact
    }

    fn number(&self) -> Option<N> {
        let Wide { high, low } = self.0.get();
        N::of_parts(high, low)
    }

    fn read(r: &mut Reader<'_>, is_last: bool) -> Option<Self> {
        let number = N::decode(r)?;
        let is_marked = number.total_order(&N::MARK).is_eq();
        // Sums of former versions could be the mark itself.
        if !is_marked || is_last && r.0.is_empty() {
            return Some(Self::of(wide(number.parts())));
        }
        Some(Self::of(Wide {
            high: i64::decode(r)?,
            low: u128::decode(r)?,
        }))
    }
}

impl<N: Whole> Accumulate<N> for Exact<N> {
    #[inline]
    fn add(&mut self, number: N) {
        self.0.add(number.packed(), || wide(number.parts()));
    }
    #[inline]
    fn join(&mut self, other: Self) {
        self.0.join(&other.0);
    }
    fn total(self) -> Result<N, OutOfRange> {
        self.number().ok_or(OutOfRange { number: N::NAME })
    }
    fn mean(&self, rows: u64) -> f64 {
        self.0.get().to_f64() / rows as f64
    }
}

impl<N: Whole> Encode for Exact<N> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self.number() {
            Some(number) if number.total_order(&N::MARK).is_ne() => number.encode(out),
            _ => {
                let Wide { high, low } = self.0.get();
                N::MARK.encode(out);
                high.encode(out);
                low.encode(out);
            }
        }
    }
}

impl<'b, N: Whole> Decode<'b> for Exact<N> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        Self::read(r, false)
    }
    fn decode_last(r: &mut Reader<'b>) -> Option<Self> {
        Self::read(r, true)
    }
}

/// The exact sum of whole numbers, for an average.
///
/// ```text
/// 0x7f, sum
/// double                                  of former versions: it begins with another byte below 2^1009
/// ```
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct ExactMean<N: Whole>(Exact<N>);

const EXACT: u8 = 0x7f;

impl<N: Whole> Default for ExactMean<N> {
    fn default() -> Self {
        Self(Exact::default())
    }
}

impl<N: Whole> Accumulate<N> for ExactMean<N> {
    #[inline]
    fn add(&mut self, number: N) {
        self.0.add(number);
    }
    #[inline]
    fn join(&mut self, other: Self) {
        self.0.join(other.0);
    }
    fn total(self) -> Result<N, OutOfRange> {
        self.0.total()
    }
    fn mean(&self, rows: u64) -> f64 {
        self.0.mean(rows)
    }
}

impl<N: Whole> Encode for ExactMean<N> {
    fn encode(&self, out: &mut Vec<u8>) {
        EXACT.encode(out);
        self.0.encode(out);
    }
}

impl<'b, N: Whole> Decode<'b> for ExactMean<N> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        if r.0.first() == Some(&EXACT) {
            r.take(1)?;
            return Exact::decode(r).map(Self);
        }
        let sum = f64::decode(r)?;
        let is_sum = sum.is_finite() && sum.abs() < 2f64.powi(190);
        is_sum.then(|| Self(Exact::of(Wide::from_f64(sum))))
    }
}

impl Number for f64 {
    type Sum = Self;
    type Mean = Self;
    const NAME: &'static str = "f64";
}

impl Accumulate<Self> for f64 {
    #[inline]
    fn add(&mut self, number: Self) {
        *self += number;
    }
    #[inline]
    fn join(&mut self, other: Self) {
        *self += other;
    }
    fn total(self) -> Result<Self, OutOfRange> {
        Ok(self)
    }
    fn mean(&self, rows: u64) -> Self {
        self / rows as Self
    }
}

impl Number for f32 {
    type Sum = Double<Self>;
    type Mean = f64;
    const NAME: &'static str = "f32";
}

impl Accumulate<f32> for f64 {
    #[inline]
    fn add(&mut self, number: f32) {
        *self += Self::from(number);
    }
    #[inline]
    fn join(&mut self, other: Self) {
        *self += other;
    }
    fn total(self) -> Result<f32, OutOfRange> {
        let total = self as f32;
        if self.is_finite() && total.is_infinite() {
            return Err(OutOfRange { number: f32::NAME });
        }
        Ok(total)
    }
    fn mean(&self, rows: u64) -> Self {
        self / rows as Self
    }
}

/// A sum of `f32` that is kept as a double.
///
/// ```text
/// f32                                     of former versions
/// a NaN that no computation makes, f64
/// ```
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Double<N>(f64, PhantomData<fn() -> N>);

impl<N> Default for Double<N> {
    fn default() -> Self {
        Self(0.0, PhantomData)
    }
}

const IS_DOUBLE: u32 = 0x7fa5_64d0;

impl Accumulate<f32> for Double<f32> {
    #[inline]
    fn add(&mut self, number: f32) {
        self.0.add(number);
    }
    #[inline]
    fn join(&mut self, other: Self) {
        self.0 += other.0;
    }
    fn total(self) -> Result<f32, OutOfRange> {
        self.0.total()
    }
    fn mean(&self, rows: u64) -> f64 {
        self.0 / rows as f64
    }
}

impl<N> Encode for Double<N> {
    fn encode(&self, out: &mut Vec<u8>) {
        IS_DOUBLE.encode(out);
        self.0.encode(out);
    }
}

impl<'b, N> Decode<'b> for Double<N> {
    fn decode(r: &mut Reader<'b>) -> Option<Self> {
        let first = u32::decode(r)?;
        let sum = if first == IS_DOUBLE {
            f64::decode(r)?
        } else {
            f64::from(f32::from_bits(first))
        };
        Some(Self(sum, PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::row::decode_all;

    fn sum<N: Number>(numbers: &[N]) -> N::Sum {
        let mut sum = N::Sum::default();
        numbers.iter().for_each(|n| sum.add(*n));
        sum
    }

    /// Through its bytes as the last part of a row, and in the middle of one.
    fn through_bytes<S: State>(sum: &S) -> [S; 2] {
        let (mut last, mut middle) = (Vec::new(), Vec::new());
        sum.encode_last(&mut last);
        (sum.clone(), 7u64).encode(&mut middle);
        let (again, seven): (S, u64) = decode_all(&middle).unwrap();
        assert_eq!(seven, 7);
        [decode_all(&last).unwrap(), again]
    }

    #[test]
    fn a_sum_that_leaves_its_range_and_comes_back_is_right_in_whatever_order() {
        fn check<N: Whole>(numbers: &[N], want: Result<N, ()>) {
            let mut numbers = numbers.to_vec();
            for _ in 0..numbers.len() {
                numbers.rotate_left(1);
                for cut in 0..numbers.len() {
                    let (left, right) = numbers.split_at(cut);
                    let mut total = sum(left);
                    total.join(sum(right));
                    for total in through_bytes(&total) {
                        let got = total.total().map_err(|_| ());
                        let is_same = match (&got, &want) {
                            (Ok(got), Ok(want)) => got.total_order(want).is_eq(),
                            (got, want) => got.is_err() == want.is_err(),
                        };
                        assert!(is_same, "{}", N::NAME);
                    }
                }
            }
        }
        check(
            &[2_000_000_000i32, 2_000_000_000, -2_000_000_000],
            Ok(2_000_000_000),
        );
        check(&[i64::MAX, i64::MAX, i64::MIN, i64::MIN, 1], Ok(-1));
        check(&[i64::MIN], Ok(i64::MIN));
        check(&[i128::MAX, 1, -1, i128::MIN, i128::MAX], Ok(i128::MAX - 1));
        check(&[u64::MAX], Ok(u64::MAX));
        check(&[u128::MAX - 1, 1], Ok(u128::MAX));
        check(&[i8::MIN, i8::MIN, i8::MAX, 100], Ok(-29));
        check(&[u8::MAX, 0], Ok(u8::MAX));
        check(&[u8::MAX, 1], Err(()));
        check(&[u64::MAX, 1], Err(()));
        check(&[u128::MAX, u128::MAX], Err(()));
        check(&[i32::MIN, -1], Err(()));
        check(&[i128::MAX, 1], Err(()));
        check::<i64>(&[], Ok(0));
    }

    #[test]
    fn sums_of_f32_are_added_up_as_doubles_and_do_not_end_at_infinity_in_silence() {
        let total = sum(&[16_777_216f32; 3].map(|n| n + 0.0));
        assert_eq!(total.total(), Ok(50_331_648.0));
        let mut many = Double::default();
        (0..16_777_217).for_each(|_| Accumulate::<f32>::add(&mut many, 1.0));
        assert_eq!(many.0, 16_777_217.0, "f32 alone stays at 2^24");
        let [again, _] = through_bytes(&many);
        assert_eq!(again.0, many.0);
        assert_eq!(sum(&[f32::MAX, f32::MAX, -f32::MAX]).total(), Ok(f32::MAX));
        assert!(sum(&[f32::MAX, f32::MAX]).total().is_err());
        assert_eq!(sum(&[f32::INFINITY]).total(), Ok(f32::INFINITY));
    }

    #[test]
    fn averages_of_large_whole_numbers_are_exact() {
        let mut mean = <u64 as Number>::Mean::default();
        [u64::MAX, u64::MAX, 3]
            .into_iter()
            .for_each(|n| mean.add(n));
        for mean in through_bytes(&mean) {
            assert_eq!(mean.mean(3), (2.0 * 2f64.powi(64) + 1.0) / 3.0);
        }
        let mut mean = <i64 as Number>::Mean::default();
        [i64::MAX, 3, -i64::MAX]
            .into_iter()
            .for_each(|n| mean.add(n));
        assert_eq!(mean.mean(3), 1.0, "a double alone forgets the 3");
    }

    #[test]
    fn sums_and_averages_of_former_versions_are_read() {
        fn old<'b, S: Decode<'b>>(bytes: &'b mut Vec<u8>, value: impl Encode) -> S {
            value.encode_last(bytes);
            decode_all(bytes).expect("it is a value of before")
        }
        assert_eq!(old::<Exact<i32>>(&mut vec![], -7i32).total(), Ok(-7));
        assert_eq!(
            old::<Exact<i64>>(&mut vec![], i64::MIN).total(),
            Ok(i64::MIN)
        );
        assert_eq!(
            old::<Exact<u64>>(&mut vec![], u64::MAX).total(),
            Ok(u64::MAX)
        );
        assert_eq!(old::<Double<f32>>(&mut vec![], 1.5f32).total(), Ok(1.5));
        let (mean, rows): (ExactMean<i64>, u64) = old(&mut vec![], (-10.0f64, 4u64));
        assert_eq!(mean.mean(rows), -2.5);
        let (mean, rows): (f64, u64) = old(&mut vec![], (1.5f64, 3u64));
        assert_eq!(Accumulate::<f32>::mean(&mean, rows), 0.5);
    }

    #[test]
    fn sums_take_no_more_room_than_their_numbers() {
        assert_eq!(size_of::<<i64 as Number>::Sum>(), 8);
        assert_eq!(size_of::<<u64 as Number>::Sum>(), 8);
        assert_eq!(
            size_of::<<i32 as Number>::Sum>(),
            8,
            "a slot is padded to 8"
        );
        assert_eq!(size_of::<<i128 as Number>::Sum>(), 16);
        assert_eq!(size_of::<(<i64 as Number>::Mean, u64)>(), 16);
        assert_eq!(size_of::<<f32 as Number>::Sum>(), 8);
    }
}
