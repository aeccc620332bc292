//! `union`: the rows of two streams in one.

use crate::flow::{Flow, Kind, Meta, Pipe, Stream};

/// The rows of two streams; see [`Stream::union`].
pub struct Union<A, B>(A, B);

impl<'b, T, P> Stream<'b, T, P> {
    /// The rows of both streams. Between the two there is no order.
    pub fn union<Q>(self, other: Stream<'b, T, Q>) -> Stream<'b, T, Union<P, Q>> {
        let node = self
            .scope
            .operator(Kind::Union, &[self.node, other.node], None);
        Stream::new(self.scope, node, Union(self.pipe, other.pipe))
    }
}

impl<T, A: Pipe<T>, B: Pipe<T>> Pipe<T> for Union<A, B> {
    const SHARED: bool = A::SHARED || B::SHARED;

    // One loop's end for both: written out twice, the rest of the chain would be compiled twice.
    #[inline]
    fn drive(self, mut f: impl FnMut(Meta, T) -> Flow) -> Flow {
        let f: &mut dyn FnMut(Meta, T) -> Flow = &mut f;
        self.0.drive(&mut *f)?;
        self.1.drive(f)
    }
}
