//! Numbers that are too long for the short way.

/// A whole number: whether it is negative, and how great. `None`: greater than 64 bits hold.
#[cold]
pub(super) fn whole(text: &[u8]) -> Option<(bool, u64)> {
    let is_negative = text.first() == Some(&b'-');
    let digits = text.get(usize::from(is_negative)..)?;
    let add = |value: u64, b: &u8| value.checked_mul(10)?.checked_add(u64::from(b & 0xf));
    Some((is_negative, digits.iter().try_fold(0, add)?))
}

/// The nearest double; `None`: beyond all of them.
#[cold]
pub(super) fn nearest(text: &[u8]) -> Option<f64> {
    let text = str::from_utf8(text).ok()?;
    text.parse().ok().filter(|value: &f64| value.is_finite())
}
