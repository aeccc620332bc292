//! What is asked for, and the walk through a document that finds it.

use thiserror::Error;

use super::{
    fields::Fields,
    scan::{DEPTH_MAX, Document, Expected, Kind, Problem, Token, unescape},
};

/// Why the fields of a document cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonError<'p> {
    /// It is no JSON, or no object.
    #[error("no JSON object: at byte {at} stands something else than {expected}")]
    Syntax {
        /// Bytes before it.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// Arrays and objects within each other that would have to be passed over, 128 levels deep.
    #[error("at byte {at} more than {DEPTH_MAX} arrays and objects are open")]
    Depth {
        /// Bytes before it.
        at: usize,
    },
    /// A field is not there.
    #[error("field {field} is missing")]
    Missing {
        /// Its path.
        field: &'p str,
    },
    /// A field is something else.
    #[error("field {field} is {found}, expected {wanted}")]
    Type {
        /// Its path.
        field: &'p str,
        /// What it is.
        found: &'static str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A number is too great or too small.
    #[error("field {field} does not fit into {wanted}")]
    Range {
        /// Its path.
        field: &'p str,
        /// What was asked for.
        wanted: &'static str,
    },
    /// A text is not UTF-8, or has an escape of half a character.
    #[error("field {field} is not UTF-8, or has half of a surrogate pair")]
    Text {
        /// Its path.
        field: &'p str,
    },
}

/// What is asked of documents: `N` fields, each by its path. Make it once, and read many documents by it.
///
/// A path is a name, or names with dots between for fields of objects within (`"location.city"`); a dot that is part of a name is
/// written `\.`, a backslash `\\`.
///
/// ```
/// use engine::formats::json::Projection;
///
/// let projection = Projection::new(["sensor", "at.ms", "note"]);
/// let scratch = bumpalo::Bump::new();
/// let document = br#"{"sensor":"s-7", "n":[1,2], "at":{"zone":"UTC","ms":1700000000000}, "temp":21.5}"#;
/// let fields = projection.read::<(&str, i64, Option<&str>)>(document, &scratch);
/// assert_eq!(fields, Ok(("s-7", 1_700_000_000_000, None)));
/// let error = projection.read::<(&str, i64, &str)>(br#"{"sensor":"s-7","at":{}}"#, &scratch).unwrap_err();
/// assert_eq!(error.to_string(), "field at.ms is missing");
/// ```
///
/// What to know of it:
/// - Reading ends at the comma behind the last field that is found: what stands there is not looked at, be it JSON or not. What stands
///   before it is checked as far as the grammar goes; text that nobody asked for may be no UTF-8.
/// - Of a name that comes twice in an object the **first** counts. (Other parsers take the last, or refuse.)
/// - A path through something that is no object leads to nothing: the field is missing.
/// - Fields may come in any order; a document is passed over once.
#[derive(Clone, Debug)]
pub struct Projection<const N: usize> {
    fields: [Path; N],
}

#[derive(Clone, Debug)]
struct Path {
    /// As it was asked for.
    text: String,
    first: Name,
    others: Vec<Name>,
}

impl Path {
    #[inline]
    fn name(&self, depth: usize) -> Option<&Name> {
        match depth {
            0 => Some(&self.first),
            _ => self.others.get(depth - 1),
        }
    }
}

/// A name on a path.
#[derive(Clone, Debug)]
struct Name {
    /// The first bytes of the name as it stands in a document most often, with closing quote and colon, and which bytes these are.
    head: u128,
    mask: u128,
    /// Bytes with quote and colon.
    len: usize,
    name: String,
    /// The fields whose paths begin as this one, up to this name.
    same: u64,
    /// Those of them that end here.
    ends: u64,
}

const HEAD: usize = size_of::<u128>();

impl Name {
    fn new(name: &str, same: u64, ends: u64) -> Self {
        let (mut head, mut mask) = ([0; HEAD], [0; HEAD]);
        for (at, byte) in name.bytes().chain(*b"\":").enumerate().take(HEAD) {
            (head[at], mask[at]) = (byte, 0xff);
        }
        let must_escape = |b: u8| matches!(b, b'"' | b'\\' | 0..0x20);
        if name.bytes().any(must_escape) {
            // Equal to nothing: it is found where escaped names are.
            (head, mask) = ([1; HEAD], [0; HEAD]);
        }
        Self {
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
            len: name.len() + 2,
            name: name.to_owned(),
            same,
            ends,
        }
    }

    /// Whether the whole name stands here, with quote and colon.
    #[inline(never)]
    fn begins(&self, document: Document<'_>, at: usize) -> bool {
        let behind = document.from(at).strip_prefix(self.name.as_bytes());
        behind.is_some_and(|rest| rest.starts_with(b"\":"))
    }
}

impl<const N: usize> Projection<N> {
    /// Asks for these fields.
    #[must_use]
    pub fn new(paths: [&str; N]) -> Self {
        const { assert!(N > 0 && N <= 64, "from 1 to 64 fields") };
        let all = paths.map(names);
        let fields = std::array::from_fn(|field| {
            let path = &all[field];
            let name = |depth: usize| {
                let (mut same, mut ends) = (0, 0);
                for (field, other) in all.iter().enumerate() {
                    let is_same = other.get(..=depth) == path.get(..=depth);
                    same |= u64::from(is_same) << field;
                    ends |= u64::from(is_same && other.len() == depth + 1) << field;
                }
                Name::new(&path[depth], same, ends)
            };
            Path {
                text: paths[field].to_owned(),
                first: name(0),
                others: (1..path.len()).map(name).collect(),
            }
        });
        Self { fields }
    }

    /// The fields of a document as `T`: a tuple of `N` types, see [`Field`](super::Field). Text with escapes is made in `scratch`, all other text is
    /// borrowed from the document.
    ///
    /// # Errors
    /// When the document is no JSON object, a field is missing or not of its type.
    #[inline]
    pub fn read<'b, 'p, T: Fields<'b, Projection = Self>>(
        &'p self,
        document: &'b [u8],
        scratch: &'b bumpalo::Bump,
    ) -> Result<T, JsonError<'p>> {
        T::read(self, document, scratch)
    }

    /// The path of a field.
    pub(super) fn path(&self, field: usize) -> &str {
        &self.fields[field].text
    }

    /// What stands in the document for each field.
    #[inline]
    pub(super) fn find(&self, document: &[u8]) -> Result<[Token; N], JsonError<'_>> {
        let mut found = [Token::MISSING; N];
        match document_of(&self.fields, document, &mut found) {
            Ok(()) => Ok(found),
            Err(problem) => Err(refused(problem)),
        }
    }
}

/// Finds the fields in a document. Not generic, so that it is compiled once, here.
fn document_of(fields: &[Path], document: &[u8], found: &mut [Token]) -> Result<(), Problem> {
    let Some(document) = Document::new(document) else {
        let (at, expected) = (0, Expected::Object);
        return Err(Problem { at, expected });
    };
    let at = document.take(0, b'{', Expected::Object)?;
    let all = u64::MAX >> (64 - fields.len());
    let mut walk = Walk {
        document,
        fields,
        found,
    };
    let (at, is_at_end) = walk.object(at, 0, all)?;
    let (at, next) = document.next(at);
    if is_at_end && (next != 0 || at < document.0.len()) {
        return document.expected(at, Expected::End);
    }
    Ok(())
}

/// A walk through a document.
struct Walk<'w> {
    document: Document<'w>,
    fields: &'w [Path],
    found: &'w mut [Token],
}

impl Walk<'_> {
    /// The members of an object, its brace being taken, in which these fields are asked for, at this place of their paths. The place behind
    /// the object's end and true; or that of a comma and false, when nothing more is asked for.
    fn object(
        &mut self,
        at: usize,
        depth: usize,
        mut wanted: u64,
    ) -> Result<(usize, bool), Problem> {
        let document = self.document;
        let (mut at, mut byte) = document.next(at);
        if byte == b'}' {
            return Ok((at + 1, true));
        }
        loop {
            if byte != b'"' {
                return document.expected(at, Expected::Name);
            }
            let (behind, here, ends) = self.name(at + 1, depth, wanted)?;
            at = if here == 0 {
                document.skip(behind)?
            } else if here == ends {
                let (behind, token) = document.value(behind)?;
                self.set(ends, token);
                behind
            } else {
                self.inner(behind, depth, here, ends)?
            };
            wanted &= !here;
            (at, byte) = document.next(at);
            match byte {
                b',' if wanted == 0 => return Ok((at, false)),
                b',' => (at, byte) = document.next(at + 1),
                b'}' => return Ok((at + 1, true)),
                _ => return document.expected(at, Expected::NextMember),
            }
        }
    }

    #[inline(always)]
    fn set(&mut self, mut fields: u64, token: Token) {
        while fields != 0 {
            if let Some(place) = self.found.get_mut(fields.trailing_zeros() as usize) {
                *place = token;
            }
            fields &= fields - 1;
        }
    }

    /// Takes a name and its colon. Which of the wanted fields have paths that go through it, and which of these end with it.
    #[inline(always)]
    fn name(&self, at: usize, depth: usize, wanted: u64) -> Result<(usize, u64, u64), Problem> {
        let head = head(self.document, at);
        let mut left = wanted;
        while let Some(name) = self.name_of(left, depth) {
            if head & name.mask == name.head && (name.len <= HEAD || name.begins(self.document, at))
            {
                return Ok((at + name.len, name.same & wanted, name.ends & wanted));
            }
            left &= left - 1;
        }
        let (end, has_escapes) = self.document.text(at)?;
        if !has_escapes && self.document.from(end + 1).first() == Some(&b':') {
            return Ok((end + 2, 0, 0));
        }
        let behind = self.document.take(end + 1, b':', Expected::Colon)?;
        let (here, ends) = self.odd_name(&self.document.from(at)[..end - at], depth, wanted);
        Ok((behind, here, ends))
    }

    /// The name at this place of the path of the lowest one of the fields.
    #[inline(always)]
    fn name_of(&self, fields: u64, depth: usize) -> Option<&Name> {
        let path = self.fields.get(fields.trailing_zeros() as usize)?;
        path.name(depth)
    }

    /// A name with escapes, or with blanks behind it.
    #[inline(never)]
    fn odd_name(&self, text: &[u8], depth: usize, wanted: u64) -> (u64, u64) {
        let mut left = wanted;
        while let Some(name) = self.name_of(left, depth) {
            let mut rest = Some(name.name.as_bytes());
            let is_whole = unescape(text, |part| {
                rest = rest.and_then(|rest| rest.strip_prefix(part));
            });
            if is_whole && rest == Some(b"") {
                return (name.same & wanted, name.ends & wanted);
            }
            left &= left - 1;
        }
        (0, 0)
    }

    /// A value within which some of the fields are that go through here; the value itself may be wanted too.
    #[inline(never)]
    fn inner(&mut self, at: usize, depth: usize, here: u64, ends: u64) -> Result<usize, Problem> {
        let (start, byte) = self.document.next(at);
        let (end, token) = if byte == b'{' {
            let (mut end, is_at_end) = self.object(start + 1, depth + 1, here & !ends)?;
            if !is_at_end {
                end = self.document.rest_of_object(end)?;
            }
            (end, Token::new(Kind::Object, start, end))
        } else {
            self.document.value(start)?
        };
        self.set(ends, token);
        Ok(end)
    }
}

/// The next bytes, zeros for those that are not there.
#[inline(always)]
fn head(document: Document<'_>, at: usize) -> u128 {
    match document.from(at).first_chunk::<HEAD>() {
        Some(head) => u128::from_le_bytes(*head),
        None => last_head(document, at),
    }
}

#[inline(never)]
fn last_head(document: Document<'_>, at: usize) -> u128 {
    let bytes = document.0;
    if let Some(last) = bytes.last_chunk::<HEAD>()
        && let Some(behind) = (at + HEAD).checked_sub(bytes.len())
    {
        let head = u128::from_le_bytes(*last);
        return head.checked_shr(8 * behind as u32).unwrap_or(0);
    }
    let mut head = [0; HEAD];
    for (to, from) in head.iter_mut().zip(document.from(at)) {
        *to = *from;
    }
    u128::from_le_bytes(head)
}

#[cold]
fn refused<'p>(problem: Problem) -> JsonError<'p> {
    let at = problem.at as usize;
    match problem.expected {
        Expected::Depth => JsonError::Depth { at },
        expected => JsonError::Syntax {
            at,
            expected: expected.text(),
        },
    }
}

/// The names of a path.
fn names(path: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        match (c, names.last_mut()) {
            ('.', _) => names.push(String::new()),
            (c, Some(name)) => name.push(escaped.unwrap_or(c)),
            _ => {}
        }
    }
    names
}
