//! Numbers that are no times: what stands for "none", and what was given in another unit than milliseconds.

/// What a number that is no time means.
pub(crate) const fn meaning(timestamp: i64) -> &'static str {
    match timestamp {
        i64::MAX => "the end of time",
        _ => "that there is none",
    }
}

/// A unit of time that a timestamp was probably given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    /// What makes milliseconds of it.
    pub(crate) remedy: &'static str,
}

/// The unit in which a timestamp would be one between 2000 and 2100, if that is not milliseconds.
pub(crate) fn misread(timestamp: i64) -> Option<Unit> {
    /// 2000-01-01 and 2100-01-01 in seconds since 1970.
    const SECONDS: std::ops::Range<i64> = 946_684_800..4_102_444_800;
    let units = [
        (1, "seconds", "multiply by 1000"),
        (1_000_000, "microseconds", "divide by 1000"),
        (1_000_000_000, "nanoseconds", "divide by 1000000"),
    ];
    let fits = |(in_a_second, ..): &&(i64, _, _)| SECONDS.contains(&(timestamp / in_a_second));
    units
        .iter()
        .find(fits)
        .map(|&(_, name, remedy)| Unit { name, remedy })
}

/// Warns once of times in another unit.
#[derive(Debug, Default)]
pub(crate) struct UnitCheck {
    has_warned: bool,
    waiting: Option<String>,
}

impl UnitCheck {
    /// Looks at one timestamp of many.
    #[inline]
    pub(crate) fn look(&mut self, timestamp: i64, operator: impl FnOnce() -> String) {
        if !self.has_warned
            && let Some(Unit { name, remedy }) = misread(timestamp)
        {
            self.has_warned = true;
            self.waiting = Some(format!(
                "{}: the timestamp {timestamp} is taken for milliseconds since 1970, as all are, and looks like {name}: {remedy}",
                operator()
            ));
        }
    }

    /// The warning, once.
    pub(crate) fn take(&mut self) -> Option<String> {
        self.waiting.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_our_century_is_recognised_in_every_unit_and_milliseconds_are_not_suspected() {
        for seconds in [946_684_800i64, 1_700_000_000, 4_102_444_799] {
            let unit = |timestamp| misread(timestamp).map(|u| u.name);
            assert_eq!(unit(seconds), Some("seconds"));
            assert_eq!(unit(seconds * 1000), None);
            assert_eq!(unit(seconds * 1_000_000), Some("microseconds"));
            assert_eq!(unit(seconds * 1_000_000_000), Some("nanoseconds"));
        }
        for timestamp in [i64::MIN, -1, 0, 5000, i64::MAX] {
            assert_eq!(misread(timestamp), None, "{timestamp}");
        }
    }

    #[test]
    fn a_unit_is_warned_of_once() {
        let mut check = UnitCheck::default();
        check.look(1_700_000_000_000, || unreachable!());
        assert_eq!(check.take(), None);
        check.look(1_700_000_000, || "with_timestamps".to_owned());
        check.look(1_700_000_001, || unreachable!());
        let text = check.take().unwrap();
        assert!(
            text.contains("with_timestamps: the timestamp 1700000000 ")
                && text.ends_with("seconds: multiply by 1000"),
            "{text}"
        );
        assert_eq!(check.take(), None);
    }
}
