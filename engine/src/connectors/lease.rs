//! The right to write that the workers of one assignment share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Error;

/// Lets a crew's workers write until the work is given to another crew.
///
/// A worker may be left behind, for example in a function of the plan that does not come back in
/// time. When it does come back, whatever it would write is refused.
#[derive(Clone, Debug, Default)]
pub(super) struct Lease(Arc<AtomicBool>);

impl Lease {
    /// Ends the right for all that have a clone.
    pub(super) fn revoke(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// # Errors
    /// When the work is another crew's.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Error::Fenced(
                "this worker's work was given to another one: it writes nothing more".into(),
            ));
        }
        Ok(())
    }
}
