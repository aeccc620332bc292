//! A time limit as one value: made once where an operation begins, and handed down to all that the operation waits for.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    Config,
    error::{Error, Result},
};

/// When an operation ends at the latest, and which setting says so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    at: Instant,
    after: Duration,
    setting: &'static str,
}

impl Deadline {
    /// From now on; `setting` is for the text of the error.
    pub(crate) fn after(after: Duration, setting: &'static str) -> Self {
        // As far as a clock reaches.
        const LONG: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        Self {
            at: Instant::now() + after.min(LONG),
            after,
            setting,
        }
    }

    /// `default.api.timeout.ms` from now on.
    pub(crate) fn of_api(config: &Config) -> Self {
        let after = Duration::from_millis(config.default_api_timeout_ms);
        Self::after(after, "`default.api.timeout.ms`")
    }

    /// `max.block.ms` from now on.
    pub(crate) fn of_block(config: &Config) -> Self {
        let after = Duration::from_millis(config.max_block_ms);
        Self::after(after, "`max.block.ms`")
    }

    pub(crate) const fn at(&self) -> Instant {
        self.at
    }

    /// What comes of an operation, or that its time is over. It is dropped then, whatever it waits for: an answer, a connection, or a broker
    /// that has asked for no more requests for a while.
    pub(crate) async fn bound<T>(
        &self,
        what: impl FnOnce() -> String,
        operation: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = tokio::time::timeout_at(self.at, operation).await;
        result.unwrap_or_else(|_| Err(self.over(what())))
    }

    /// The error that says that the time is over.
    pub(crate) fn over(&self, what: impl Into<Arc<str>>) -> Error {
        Error::Timeout {
            what: what.into(),
            after: self.after,
            setting: self.setting,
        }
    }
}
