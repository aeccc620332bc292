//! A thread and runtime of a run's own: so that what a user awaits is `Send`, whatever the run is made of, and goes on whatever else the
//! user's runtime has to do.

use std::future::Future;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::Error;

/// A thread that ends when this is dropped: what runs in it is abandoned.
struct Thread {
    /// Dropped, it tells the thread to end.
    abandon: Option<oneshot::Sender<()>>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    fn join(&mut self) -> std::thread::Result<()> {
        self.abandon = None;
        self.handle.take().map_or(Ok(()), JoinHandle::join)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // What it holds (files, connections) is free when this returns; nothing is awaited there any more.
        let _ = self.join();
    }
}

/// Runs what `work` makes in a thread of its own. `work` is given a future that completes when `stop` does.
///
/// # Errors
/// Those of `work`, and when there can be no thread.
///
/// # Panics
/// When `work` does.
pub(crate) async fn run<F, W>(stop: impl Future<Output = ()>, work: W) -> Result<(), Error>
where
    F: Future<Output = Result<(), Error>>,
    W: FnOnce(oneshot::Receiver<()>) -> F + Send + 'static,
{
    let failed = |e: std::io::Error| Error::Settings(format!("cannot start a thread: {e}"));
    let (stopping, stopped) = oneshot::channel();
    let (abandon, abandoned) = oneshot::channel::<()>();
    let (done, mut outcome) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let body = move || {
        runtime.block_on(async move {
            tokio::select! {
                biased;
                _ = abandoned => {}
                outcome = work(stopped) => drop(done.send(outcome)),
            }
        });
        // A look-up of a name that hangs is not waited for.
        runtime.shutdown_background();
    };
    let handle = std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(body)
        .map_err(failed)?;
    let mut thread = Thread {
        abandon: Some(abandon),
        handle: Some(handle),
    };
    let came = tokio::select! {
        biased;
        came = &mut outcome => came,
        () = stop => {
            let _ = stopping.send(());
            outcome.await
        }
    };
    match came {
        Ok(outcome) => outcome,
        Err(_) => match thread.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => Err(Error::Settings("the thread of the run has ended".into())),
        },
    }
}
