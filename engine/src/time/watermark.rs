//! Watermarks: a watermark `t` says that nothing more comes with a timestamp of `t` or before.

/// What one input says of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The watermark. `i64::MIN`: nothing is known; `i64::MAX`: the input has ended.
    pub(crate) at: i64,
    /// Nothing can come from it at present: others need not wait for it.
    pub(crate) idle: bool,
}

impl Mark {
    pub(crate) const START: Self = Self {
        at: i64::MIN,
        idle: false,
    };
    pub(crate) const END: Self = Self {
        at: i64::MAX,
        idle: false,
    };

    pub(crate) fn is_end(self) -> bool {
        self.at == i64::MAX
    }

    /// What follows it: a watermark never falls, whatever an input says.
    #[must_use]
    pub(crate) fn then(self, next: Self) -> Self {
        Self {
            at: self.at.max(next.at),
            idle: next.idle,
        }
    }

    /// The minimum over the inputs that are neither idle nor at their end. All at their end: the end. Otherwise, if none is left: idle,
    /// at the least of those that are idle and have ever said anything; [`Mark::then`] holds what was.
    pub(crate) fn least(marks: impl IntoIterator<Item = Self>) -> Self {
        let (mut live, mut idle, mut has_any) = (None::<i64>, None::<i64>, false);
        let mut idle_known = None;
        for mark in marks {
            has_any = true;
            if !mark.is_end() {
                let least = if mark.idle { &mut idle } else { &mut live };
                *least = Some(least.map_or(mark.at, |at| at.min(mark.at)));
                if mark.idle && mark.at != i64::MIN {
                    idle_known = Some(idle_known.map_or(mark.at, |at: i64| at.min(mark.at)));
                }
            }
        }
        match (live, idle) {
            (Some(at), _) => Self { at, idle: false },
            (None, Some(_)) => Self {
                at: idle_known.unwrap_or(i64::MIN),
                idle: true,
            },
            (None, None) if has_any => Self::END,
            (None, None) => Self {
                at: i64::MIN,
                idle: true,
            },
        }
    }
}

/// Several inputs of one operator, and its own watermark: the minimum over those that are not idle, which never falls.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    inputs: Vec<Mark>,
    mark: Mark,
}

impl Inputs {
    pub(crate) fn new(count: usize) -> Self {
        Self {
            inputs: vec![Mark::START; count],
            mark: Mark::START,
        }
    }

    /// Notes what an input says; an input that falls back is taken to stand where it was.
    pub(crate) fn set(&mut self, input: usize, mark: Mark) {
        self.inputs[input] = self.inputs[input].then(mark);
        self.mark = self.mark.then(Mark::least(self.inputs.iter().copied()));
    }

    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at: i64) -> Mark {
        Mark { at, idle: false }
    }

    fn idle(at: i64) -> Mark {
        Mark { at, idle: true }
    }

    #[test]
    fn the_watermark_is_the_minimum_over_inputs_that_are_not_idle_and_never_falls() {
        let mut inputs = Inputs::new(3);
        inputs.set(0, at(10));
        inputs.set(1, at(20));
        assert_eq!(inputs.mark(), Mark::START, "the third has said nothing");
        inputs.set(2, at(5));
        assert_eq!(inputs.mark(), at(5));
        inputs.set(2, idle(5));
        assert_eq!(inputs.mark(), at(10), "an idle input is not waited for");
        inputs.set(2, at(6));
        assert_eq!(
            inputs.mark(),
            at(10),
            "an input that wakes with an older watermark does not lower it"
        );
        inputs.set(0, at(30));
        assert_eq!(inputs.mark(), at(10), "but it holds it back");
        inputs.set(2, at(25));
        assert_eq!(inputs.mark(), at(20));
    }

    #[test]
    fn all_inputs_idle_hold_the_watermark_and_a_finished_one_leaves_the_minimum() {
        let mut inputs = Inputs::new(2);
        inputs.set(0, at(10));
        inputs.set(1, at(20));
        inputs.set(0, idle(10));
        inputs.set(1, idle(20));
        assert_eq!(inputs.mark(), idle(20), "the last one awake said 20");
        inputs.set(0, Mark::END);
        assert_eq!(inputs.mark(), idle(20), "one is idle, not at its end");
        inputs.set(1, at(21));
        assert_eq!(inputs.mark(), at(21), "a finished input holds nothing back");
        inputs.set(1, Mark::END);
        assert_eq!(inputs.mark(), Mark::END);
    }

    #[test]
    fn inputs_that_become_idle_at_once_stand_at_the_least_that_any_has_said() {
        // Whichever is noticed first, an empty partition knows nothing that could hold the others.
        let marks = [idle(10), idle(i64::MIN), idle(20)];
        assert_eq!(Mark::least(marks), idle(10));
        assert_eq!(Mark::least([idle(i64::MIN)]), idle(i64::MIN));
        assert_eq!(Mark::least([idle(10), at(i64::MIN)]), at(i64::MIN));
    }

    #[test]
    fn an_input_that_falls_back_is_taken_to_stand_where_it_was() {
        let mut inputs = Inputs::new(1);
        inputs.set(0, at(10));
        inputs.set(0, at(3));
        assert_eq!(inputs.mark(), at(10));
    }
}
