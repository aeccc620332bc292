//! The task that keeps the metadata young: when somebody asked for it, and when it is old.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Cluster, Inner, lock};

/// Refreshes until the cluster's last handle is gone.
pub(super) async fn keep_young(inner: Weak<Inner>, wanted: Arc<Notify>, max_age: Duration) {
    let mut failures = 0;
    loop {
        if failures == 0 {
            tokio::select! {
                () = wanted.notified() => {}
                () = tokio::time::sleep(max_age) => {}
            }
        }
        let Some(inner) = inner.upgrade() else { return };
        let cluster = Cluster { inner };
        let missing = match cluster.ask_again().await {
            Ok(metadata) => !lock(&cluster.inner.wanted).all_in(&metadata),
            Err(error) => {
                tracing::warn!(%error, "cannot refresh the metadata");
                true
            }
        };
        // Repeated while something is missing, more and more slowly; and never more often than the back-off, whoever asks.
        failures = if missing { failures + 1 } else { 0 };
        let delay = cluster.retry_delay(failures.max(1));
        drop(cluster);
        tokio::time::sleep(delay).await;
    }
}
