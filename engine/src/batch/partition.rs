//! A partition of an input: which of the input's topics, and the partition's number there. It is never only one of the two.

use std::fmt;

/// A partition of an input. A source may read several topics, each of which has a partition 0: what is kept for each partition
/// (watermarks, idleness, alignment, positions, the order of rows of one time) is found by this and never by the number alone.
///
/// ```
/// use engine::batch::InputPartition;
///
/// let (orders, returns) = (InputPartition::of_topic(0, 3), InputPartition::of_topic(1, 3));
/// assert_eq!(orders, InputPartition::single(3));
/// assert_ne!(orders, returns);
/// assert_eq!((returns.nth(), returns.number()), (1, 3));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputPartition {
    nth: u32,
    number: i32,
}

impl InputPartition {
    /// Topics from this one on are equal in [`Self::order`].
    const ORDERED_TOPICS: u32 = 4094;
    /// Partitions of one topic that [`Self::order`] tells apart: 2 to the power of this.
    const ORDER_BITS: u32 = 20;

    /// A partition of an input that is one topic: a source's only topic, an output, a changelog.
    #[must_use]
    pub const fn single(number: i32) -> Self {
        Self { nth: 0, number }
    }

    /// A partition of the `nth` topic of an input, counted from 0 in the order in which the input's topics were opened.
    #[must_use]
    pub const fn of_topic(nth: usize, number: i32) -> Self {
        // An input has no more topics than memory has room for their names.
        let nth = nth as u32;
        Self { nth, number }
    }

    /// Which of the input's topics it is in.
    #[must_use]
    pub const fn nth(self) -> usize {
        self.nth as usize
    }

    /// The partition's number in its topic.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.number
    }

    /// A number that orders partitions by topic and number, for state: less than `u32::MAX`. From [`Self::ORDER_UNKNOWN`] on it does
    /// not tell the topics apart.
    pub(crate) fn order(self) -> u32 {
        let number = self.number as u32 & ((1 << Self::ORDER_BITS) - 1);
        (self.nth.min(Self::ORDERED_TOPICS) << Self::ORDER_BITS) | number
    }

    /// From here on [`Self::order`] does not tell the topics apart.
    pub(crate) const ORDER_UNKNOWN: u32 = Self::ORDERED_TOPICS << Self::ORDER_BITS;
}

impl fmt::Debug for InputPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.nth, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_equal_only_when_topic_and_number_are_also_beyond_thousands_of_topics() {
        let of = InputPartition::of_topic;
        for nth in [1, 2047, 2048, 4095, 4096, 100_000] {
            assert_ne!(of(nth, 0), of(0, 0), "topic {nth}");
            assert_eq!((of(nth, 7).nth(), of(nth, 7).number()), (nth, 7));
        }
    }

    #[test]
    fn the_order_in_state_is_by_topic_then_number_and_says_where_it_does_not_know() {
        let of = InputPartition::of_topic;
        assert!(of(0, 9).order() < of(1, 0).order());
        assert!(of(1, 0).order() < of(1, 1).order());
        assert!(of(4093, 1).order() < InputPartition::ORDER_UNKNOWN);
        assert!(of(4094, 0).order() >= InputPartition::ORDER_UNKNOWN);
        assert!(
            of(usize::MAX >> 40, i32::MAX).order() < u32::MAX,
            "that stands for no record"
        );
    }
}
