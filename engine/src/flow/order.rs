//! One total order of values, for every fold that compares: it decides between any two, so that a
//! result depends on no order, grouping or number of workers.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
};

/// A total order of values: of any two, one is less, or they are equal. What `min`, `max` and
/// `top_n` compare by.
///
/// Numbers, text and bytes come in the order that Rust has for them; tuples, arrays and lists
/// element by element; `None` before `Some`. Of `f32` and `f64` it is the order of Java's
/// `Double.compare`, and so that of Kafka Streams and Flink:
///
/// ```text
/// -∞ < … < -0.0 < 0.0 < … < ∞ < NaN
/// ```
/// So NaN is the greatest value: a `max` over rows with a NaN is NaN, a `min` is NaN only where all
/// rows are. Filter them out before the fold (`.filter(|r| !r.is_nan())`) where they mean that
/// there is no value. NaNs with other bits are ordered by their bits.
///
/// (`PartialOrd` is not enough: a NaN is neither less nor greater there, so what a fold kept
/// depended on which row came first.)
///
/// A type of one's own that has Rust's `Ord` takes it over:
///
/// ```
/// use std::cmp::Ordering;
/// use engine::flow::TotalOrder;
///
/// #[derive(PartialEq, Eq, PartialOrd, Ord)]
/// enum Level { Low, High }
///
/// impl TotalOrder for Level {
///     fn total_order(&self, other: &Self) -> Ordering { self.cmp(other) }
/// }
/// assert_eq!(f64::NAN.total_order(&f64::INFINITY), Ordering::Greater);
/// assert_eq!((1, -0.0).total_order(&(1, 0.0)), Ordering::Less);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no total order, so its least and greatest values are not known",
    note = "numbers, text, bytes, options, lists and tuples of them have one; a type with `Ord` takes it over: \
            `impl engine::flow::TotalOrder for T {{ fn total_order(&self, other: &Self) -> Ordering {{ self.cmp(other) }} }}`"
)]
pub trait TotalOrder {
    /// How this value compares with another one. It must be a total order: for all values, what is
    /// less than something less is less.
    #[must_use]
    fn total_order(&self, other: &Self) -> Ordering;
}

macro_rules! as_rust_has_it {
    ($($t:ty),*) => {$(
        impl TotalOrder for $t {
            #[inline]
            fn total_order(&self, other: &Self) -> Ordering {
                self.cmp(other)
            }
        }
    )*};
}
as_rust_has_it!(
    u8,
    u16,
    u32,
    u64,
    u128,
    i8,
    i16,
    i32,
    i64,
    i128,
    bool,
    char,
    String,
    ()
);

macro_rules! with_nan_last {
    ($($t:ty),*) => {$(
        impl TotalOrder for $t {
            #[inline]
            fn total_order(&self, other: &Self) -> Ordering {
                // `total_cmp` alone puts a NaN with its sign set before everything; which sign a
                // NaN has, nobody knows.
                self.is_nan().cmp(&other.is_nan()).then_with(|| self.total_cmp(other))
            }
        }
    )*};
}
with_nan_last!(f32, f64);

fn by_elements<'v, T: TotalOrder + 'v>(
    ours: impl IntoIterator<Item = &'v T>,
    others: impl IntoIterator<Item = &'v T>,
) -> Ordering {
    let mut others = others.into_iter();
    for one in ours {
        match others.next().map(|other| one.total_order(other)) {
            None => return Ordering::Greater,
            Some(Ordering::Equal) => {}
            Some(order) => return order,
        }
    }
    match others.next() {
        Some(_) => Ordering::Less,
        None => Ordering::Equal,
    }
}

macro_rules! element_by_element {
    ($([$($generics:tt)*] $t:ty),* $(,)?) => {$(
        impl<$($generics)*> TotalOrder for $t {
            #[inline]
            fn total_order(&self, other: &Self) -> Ordering {
                by_elements(self, other)
            }
        }
    )*};
}
element_by_element!(
    [T: TotalOrder, const N: usize] [T; N],
    [T: TotalOrder] Vec<T>,
    [T: TotalOrder] Option<T>,
    [T: TotalOrder] VecDeque<T>,
    [T: TotalOrder] BTreeSet<T>,
);

impl<K: TotalOrder, V: TotalOrder> TotalOrder for BTreeMap<K, V> {
    fn total_order(&self, other: &Self) -> Ordering {
        let values = || by_elements(self.values(), other.values());
        by_elements(self.keys(), other.keys()).then_with(values)
    }
}

macro_rules! tuples {
    ($($name:ident $at:tt)*) => {
        impl<$($name: TotalOrder),*> TotalOrder for ($($name,)*) {
            #[inline]
            fn total_order(&self, other: &Self) -> Ordering {
                Ordering::Equal$(.then_with(|| self.$at.total_order(&other.$at)))*
            }
        }
    };
}
tuples!(A 0);
tuples!(A 0 B 1);
tuples!(A 0 B 1 C 2);
tuples!(A 0 B 1 C 2 D 3);
tuples!(A 0 B 1 C 2 D 3 E 4);
tuples!(A 0 B 1 C 2 D 3 E 4 F 5);

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending<T: TotalOrder + std::fmt::Debug>(values: &[T]) {
        for (i, one) in values.iter().enumerate() {
            for (j, other) in values.iter().enumerate() {
                assert_eq!(one.total_order(other), i.cmp(&j), "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn nan_is_the_greatest_number_and_minus_zero_is_less_than_zero_in_whatever_they_stand() {
        let numbers = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.0,
            -0.0,
            0.0,
            f64::MIN_POSITIVE,
            5.0,
            f64::INFINITY,
            f64::NAN,
        ];
        ascending(&numbers);
        ascending(&[
            f32::NEG_INFINITY,
            -1.0,
            -0.0,
            0.0,
            1.0,
            f32::INFINITY,
            f32::NAN,
        ]);
        ascending(&numbers.map(|n| (1u8, n)));
        ascending(&numbers.map(|n| vec![0.0, n]));
        let mut options = vec![None];
        options.extend(numbers.map(Some));
        ascending(&options);
        // A NaN with its sign set is one too.
        assert_eq!((-f64::NAN).total_order(&f64::INFINITY), Ordering::Greater);
        assert_eq!((-f32::NAN).total_order(&0.0), Ordering::Greater);
        // What stands first decides, also where a NaN follows.
        ascending(&[
            (-1.0, f64::NAN),
            (0.0, 5.0),
            (1.0, 2.0),
            (1.0, f64::NAN),
            (f64::NAN, 0.0),
        ]);
    }

    #[test]
    fn other_values_come_in_the_order_that_rust_has_for_them() {
        ascending(&["", "a", "ab", "b"].map(str::to_owned));
        ascending(&[vec![], vec![1u8], vec![1, 2], vec![2]]);
        ascending(&[(false, 'a', i128::MIN), (false, 'b', 0), (true, 'a', 7)]);
        ascending(&[[-1i64, 3], [0, 2], [0, 4]]);
        ascending(&[BTreeSet::new(), BTreeSet::from([1u64]), BTreeSet::from([2])]);
        ascending(&[
            BTreeMap::from([(1u8, 1.0)]),
            BTreeMap::from([(1u8, 2.0)]),
            BTreeMap::from([(2u8, 0.0)]),
        ]);
    }
}
