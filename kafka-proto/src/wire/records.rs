//! The bytes of a `records` field. What they hold is the business of [`records`](crate::records).

use bytes::Bytes;

/// The bytes of a `records` field, in at most two pieces, so that a relayed batch is a new header and an untouched body
/// without a copy. What was read is all in `head`.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The first bytes.
    pub head: Bytes,
    /// What follows them; mostly empty.
    pub tail: Bytes,
}

impl Records {
    /// Bytes of both pieces.
    pub const fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// In one piece; copies only if there are two.
    pub fn into_bytes(self) -> Bytes {
        if self.tail.is_empty() {
            self.head
        } else if self.head.is_empty() {
            self.tail
        } else {
            [self.head, self.tail].concat().into()
        }
    }
}

/// Equal bytes, wherever the pieces are cut.
impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self
                .head
                .iter()
                .chain(&self.tail)
                .eq(other.head.iter().chain(&other.tail))
    }
}

impl Eq for Records {}

impl From<Bytes> for Records {
    fn from(head: Bytes) -> Self {
        Self {
            head,
            tail: Bytes::new(),
        }
    }
}
