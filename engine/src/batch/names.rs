//! Kafka's rules for names of topics, which hold for applications and operators too: topics and folders are named after them. Pure.

/// The longest name of a topic, in bytes.
pub(crate) const TOPIC_BYTES_MAX: usize = 249;

/// Why a name can be neither a topic's nor a part of one: an expectation, as a phrase after "expected". `None` if it can.
pub(crate) fn expected(name: &str) -> Option<&'static str> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    match name {
        "" => Some("at least one character"),
        "." | ".." => Some("a name other than '.' and '..', which are folders"),
        _ if !name.bytes().all(is_allowed) => {
            Some("letters, digits, '.', '_' and '-', as in names of topics")
        }
        _ if name.len() > TOPIC_BYTES_MAX => Some("at most 249 characters, as in names of topics"),
        _ => None,
    }
}

/// A name as Kafka compares it: topics whose names differ in '.' and '_' alone would share the names of their metrics, so brokers refuse
/// the second one.
pub(crate) fn folded(name: &str) -> String {
    name.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_topics_cannot_have_are_refused_and_all_others_taken() {
        let long = "x".repeat(250);
        for bad in [
            "", ".", "..", "a b", "a/b", "../a", "ä", "a:b", "a\n", "*", &long,
        ] {
            assert!(expected(bad).is_some(), "{bad:?}");
        }
        for good in ["a", "...", "a.b", "a_b", "-", "A-9", &long[1..]] {
            assert_eq!(expected(good), None, "{good:?}");
        }
    }
}
