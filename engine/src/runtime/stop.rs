//! When a run is to stop: a wait that may be asked again after it has completed, and the signals that ask for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::Error;

/// What a user's future says, kept: a stop is heard wherever the run is, and however often it is looked at.
pub(crate) struct Stop<'a, F> {
    future: Pin<&'a mut F>,
    is_asked: bool,
}

impl<'a, F: Future<Output = ()>> Stop<'a, F> {
    pub(crate) fn new(future: Pin<&'a mut F>) -> Self {
        Self {
            future,
            is_asked: false,
        }
    }

    /// Whether it has been asked for, as far as anybody has looked.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// What comes of `work`, which is dropped when a stop is asked for: `None`.
    ///
    /// # Errors
    /// Those of `work`.
    pub(crate) async fn or<T>(
        &mut self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, Error> {
        tokio::select! {
            biased;
            () = &mut *self => Ok(None),
            outcome = work => outcome.map(Some),
        }
    }
}

impl<F: Future<Output = ()>> Future for Stop<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_asked && self.future.as_mut().poll(cx).is_ready() {
            self.is_asked = true;
        }
        match self.is_asked {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

/// Waits for SIGTERM or Ctrl-C: what [`App::run`](crate::plan::App::run) stops at, for those who call
/// [`App::run_until`](crate::plan::App::run_until).
///
/// The handlers are installed by the call, not by the first wait, and stay for the life of the process: a signal does not end it by itself
/// any more. After the first one a second ends the process at once, with status 143 or 130. Where no handler can be installed it waits for
/// ever, and the system does what it does with signals.
///
/// # Panics
/// Outside of a tokio runtime whose I/O is enabled.
///
/// ```no_run
/// # async fn run(app: &engine::plan::App, config: &engine::Config) -> Result<(), engine::Error> {
/// let inspector = engine::inspect::Inspector::new();
/// app.run_until(config, engine::stop_requested(), &inspector).await
/// # }
/// ```
pub fn stop_requested() -> impl Future<Output = ()> + Send + 'static {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        );
        async move {
            let (Ok(mut term), Ok(mut int)) = signals else {
                return std::future::pending().await;
            };
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            tokio::spawn(async move {
                tokio::select! {
                    _ = term.recv() => std::process::exit(143),
                    _ = int.recv() => std::process::exit(130),
                }
            });
        }
    }
    #[cfg(not(unix))]
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
