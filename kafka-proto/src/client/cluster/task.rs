//! The task that keeps the metadata young: when somebody asked for it, and when it is old.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Cluster, Inner, lock};

/// Whoever asks after such a pause begins at the first back-off again.
const LONG_AGO: Duration = Duration::from_secs(2);

/// Refreshes until the cluster is closed or its last handle is gone.
pub(super) async fn keep_young(inner: Weak<Inner>, wanted: Arc<Notify>, max_age: Duration) {
    let (mut failures, mut unchanged) = (0, 0);
    loop {
        if failures == 0 {
            let since = Instant::now();
            tokio::select! {
                () = wanted.notified() => {}
                () = tokio::time::sleep(max_age) => {}
            }
            if since.elapsed() > LONG_AGO {
                unchanged = 0;
            }
        }
        let Some(inner) = inner.upgrade() else { return };
        let cluster = Cluster { inner };
        if cluster.inner.connections.is_closed() {
            return;
        }
        let before = cluster.metadata();
        let missing = match cluster.ask_again().await {
            Ok(metadata) => {
                unchanged = match Arc::ptr_eq(&before, &metadata) {
                    true => unchanged + 1,
                    false => 0,
                };
                !lock(&cluster.inner.wanted).all_in(&metadata)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot refresh the metadata");
                true
            }
        };
        drop(before);
        // Repeated while something is missing, more and more slowly; and never more often than the back-off, whoever asks, which grows while the
        // answers say nothing new.
        failures = if missing { failures + 1 } else { 0 };
        let delay = cluster.retry_delay(failures.max(unchanged).max(1));
        drop(cluster);
        tokio::time::sleep(delay).await;
    }
}
