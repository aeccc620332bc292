//! Values that a plan makes once: an append-only list, so that what is in it can be borrowed while more is added.

use std::{any::Any, cell::OnceCell};

/// The values of `Scope::once`, in the order of the plan.
#[derive(Default)]
pub(crate) struct Onces {
    value: OnceCell<Box<dyn Any + Send>>,
    next: OnceCell<Box<Self>>,
}

impl Onces {
    /// The value number `index`; `None` when there is one of another type.
    pub(crate) fn value<T: Any + Send>(
        &self,
        index: usize,
        init: impl FnOnce() -> T,
    ) -> Option<&T> {
        let mut at = self;
        for _ in 0..index {
            at = at.next.get_or_init(Box::default);
        }
        at.value.get_or_init(|| Box::new(init())).downcast_ref()
    }
}
