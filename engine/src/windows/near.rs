//! The slices of the last rows, at hand for the next ones.

/// Of a row that lies in neither of them, or in one of which nothing is known yet.
pub(super) const UNKNOWN: usize = usize::MAX - 1;

/// The numbers of two neighbouring slices: rows that are out of order lie now in the one and now in the other, and are told apart without
/// a division, and without a branch that nobody foresees.
pub(super) struct Near {
    size: i64,
    /// End of the first one, start of the second.
    middle: i64,
    numbers: [usize; 2],
}

impl Near {
    pub(super) fn new(size: i64) -> Self {
        Self {
            size,
            middle: 0,
            numbers: [UNKNOWN; 2],
        }
    }

    #[inline]
    pub(super) fn of(&self, timestamp: i64) -> usize {
        let behind = timestamp.wrapping_sub(self.middle);
        let is_near = (behind.wrapping_add(self.size) as u64) < 2 * self.size as u64;
        if is_near {
            self.numbers[usize::from(behind >= 0)]
        } else {
            UNKNOWN
        }
    }

    /// Notes the number of the slice that begins at `start`.
    pub(super) fn note(&mut self, start: i64, number: usize) {
        let [before, after] = self.numbers;
        (self.middle, self.numbers) = if start == self.middle {
            (start, [before, number])
        } else if start == self.middle - self.size {
            (self.middle, [number, after])
        } else if start == self.middle + self.size {
            (start, [after, number])
        } else if start == self.middle - 2 * self.size {
            (start + self.size, [number, before])
        } else {
            (start, [UNKNOWN, number])
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_neighbouring_slices_the_numbers_are_at_hand_whatever_came_before() {
        let mut near = Near::new(10);
        let number = |start: i64| (start + 1000) as usize;
        // Up and down by one slice, by several, to the ends of time and back.
        let ends = [-(1 << 60), 1 << 60].map(|t: i64| t - t.rem_euclid(10));
        let starts = [
            0, 10, 0, 20, 10, 0, -10, -20, 50, 40, ends[0], ends[1], 0, -10,
        ];
        for start in starts {
            near.note(start, number(start));
            for timestamp in start..start + 10 {
                assert_eq!(near.of(timestamp), number(start), "{timestamp}");
            }
            for timestamp in [
                start - 11,
                start - 1,
                start + 10,
                start + 25,
                -(1 << 62),
                1 << 62,
            ] {
                let known = near.of(timestamp);
                let truth = number(timestamp - timestamp.rem_euclid(10));
                assert!(known == UNKNOWN || known == truth, "{timestamp}");
            }
        }
    }
}
