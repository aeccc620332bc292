//! SIGTERM and Ctrl-C, turned into one future.

/// Completes at the first SIGTERM or Ctrl-C. A second one while the program drains is left to the system: it ends the process at once.
/// Where no handler can be installed it never completes, and the system's default action applies.
pub async fn requested() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut term), Ok(mut int)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        ) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        // tokio's handler stays installed for the life of the process, so the second signal is answered here.
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => std::process::exit(143),
                _ = int.recv() => std::process::exit(130),
            }
        });
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
