//! CSV (RFC 4180): a line into its fields, and fields into a line.

use bumpalo::Bump;
use thiserror::Error;

/// A line that is not what its columns say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CsvError {
    /// The line has another number of fields.
    #[error("the line has {found} fields, expected {wanted}")]
    Fields {
        /// How many were expected.
        wanted: usize,
        /// How many there are.
        found: usize,
    },
    /// A quoted field does not end, or something stands behind its end.
    #[error("field {field} begins with a quote and does not end with one")]
    Quote {
        /// The field, counted from 1.
        field: usize,
    },
}

/// For functions whose errors are text, so that `?` works there as it does with `Box<dyn Error>`.
impl From<CsvError> for String {
    fn from(error: CsvError) -> Self {
        error.to_string()
    }
}

/// The fields of a line that has exactly `N` of them, with `separator` between. A field may stand in quotes; a quote within is written
/// twice. Fields are borrowed from the line, except those with quotes within, which are made in `scratch`.
///
/// ```
/// use engine::formats::csv;
///
/// let scratch = bumpalo::Bump::new();
/// let [id, name, note] = csv::columns("7,\"Smith, John\",\"said \"\"no\"\"\"", ',', &scratch)?;
/// assert_eq!((id, name, note), ("7", "Smith, John", "said \"no\""));
/// assert_eq!(csv::columns::<2>("a,b,c", ',', &scratch).unwrap_err().to_string(), "the line has 3 fields, expected 2");
/// # Ok::<(), csv::CsvError>(())
/// ```
///
/// `?` works in functions whose errors are `String`, `Box<dyn Error>` or [`CsvError`]:
///
/// ```
/// use engine::{formats::csv, testing::Driver};
///
/// let mut driver = Driver::new(|s| {
///     s.source("sales").utf8()
///         .try_map(|line| -> Result<_, String> {
///             let [shop, amount] = csv::columns(line, ',', s.scratch())?;
///             let amount: u64 = amount.parse().map_err(|e| format!("amount {amount:?}: {e}"))?;
///             Ok((shop, amount))
///         })
///         .sink("amounts");
/// });
/// driver.feed("sales", ["north,2", "south"]);
/// assert_eq!(driver.read("amounts").len(), 1);
/// ```
///
/// # Errors
/// When there are more or fewer fields, or a quote is not closed.
pub fn columns<'b, const N: usize>(
    line: &'b str,
    separator: char,
    scratch: &'b Bump,
) -> Result<[&'b str; N], CsvError> {
    let mut fields = [""; N];
    let mut found = 0;
    let mut rest = Some(line.strip_suffix('\r').unwrap_or(line));
    while let Some(text) = rest {
        let (field, behind) = match text.strip_prefix('"') {
            None => match text.split_once(separator) {
                Some((field, behind)) => (field, Some(behind)),
                None => (text, None),
            },
            Some(quoted) => quoted_field(quoted, separator, scratch)
                .ok_or(CsvError::Quote { field: found + 1 })?,
        };
        if let Some(place) = fields.get_mut(found) {
            *place = field;
        }
        found += 1;
        rest = behind;
    }
    if found == N {
        Ok(fields)
    } else {
        Err(CsvError::Fields { wanted: N, found })
    }
}

/// A field behind its first quote, and what follows its separator; `None`: it does not end well.
fn quoted_field<'b>(
    text: &'b str,
    separator: char,
    scratch: &'b Bump,
) -> Option<(&'b str, Option<&'b str>)> {
    let (mut end, mut has_quotes) = (0, false);
    loop {
        end += text.get(end..)?.find('"')?;
        if !text[end + 1..].starts_with('"') {
            break;
        }
        has_quotes = true;
        end += 2;
    }
    let behind = match &text[end + 1..] {
        "" => None,
        behind => Some(behind.strip_prefix(separator)?),
    };
    let field = &text[..end];
    let field = if has_quotes {
        scratch.alloc_str(&field.replace("\"\"", "\""))
    } else {
        field
    };
    Some((field, behind))
}

/// Fields as one line without its end, in the arena; those that need it in quotes.
///
/// ```
/// use engine::formats::csv;
///
/// let scratch = bumpalo::Bump::new();
/// assert_eq!(csv::line(["7", "Smith, John", "a \"b\""], ',', &scratch), "7,\"Smith, John\",\"a \"\"b\"\"\"");
/// ```
pub fn line<'b, 'f>(
    fields: impl IntoIterator<Item = &'f str>,
    separator: char,
    scratch: &'b Bump,
) -> &'b str {
    let mut out = bumpalo::collections::String::new_in(scratch);
    for (nth, field) in fields.into_iter().enumerate() {
        if nth > 0 {
            out.push(separator);
        }
        if field.contains([separator, '"', '\n', '\r']) {
            out.push('"');
            for part in field.split_inclusive('"') {
                out.push_str(part);
                if part.ends_with('"') {
                    out.push('"');
                }
            }
            out.push('"');
        } else {
            out.push_str(field);
        }
    }
    out.into_bump_str()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_that_are_no_csv_say_why() {
        let scratch = Bump::new();
        let error = |line: &str| columns::<2>(line, ',', &Bump::new()).unwrap_err();
        assert_eq!(error("\"a,b"), CsvError::Quote { field: 1 });
        assert_eq!(error("a,\"b\"c"), CsvError::Quote { field: 2 });
        assert_eq!(
            error("a"),
            CsvError::Fields {
                wanted: 2,
                found: 1
            }
        );
        assert_eq!(
            error("a,b,"),
            CsvError::Fields {
                wanted: 2,
                found: 3
            }
        );
        assert_eq!(columns("a;\r", ';', &scratch), Ok(["a", ""]));
        assert_eq!(columns("\"\",\"\"", ',', &scratch), Ok(["", ""]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(a in "[a-c,\"; \\n]{0,8}", b in "[a-c,\"; \\n]{0,8}", c in ".{0,5}") {
            let scratch = Bump::new();
            prop_assume!(!c.ends_with('\r'));
            let text = line([a.as_str(), &b, &c], ',', &scratch);
            prop_assert_eq!(columns::<3>(text, ',', &scratch), Ok([a.as_str(), &b, &c]));
        }
    }
}
