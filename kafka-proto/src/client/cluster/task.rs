//! The task that keeps the metadata young: when somebody asked for it, and when it is old.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Cluster, Inner, lock};

/// How seldom a topic that is missing is asked for at least.
const MISSING_MAX: Duration = Duration::from_secs(30);

/// Whoever asks after such a pause begins at the first back-off again.
const LONG_AGO: Duration = Duration::from_secs(2);

/// Refreshes until the cluster is closed or its last handle is gone.
pub(super) async fn keep_young(inner: Weak<Inner>, wanted: Arc<Notify>, max_age: Duration) {
    let (mut failures, mut unchanged) = (0, 0);
    let mut rest = max_age;
    loop {
        if !rest.is_zero() {
            let since = Instant::now();
            tokio::select! {
                () = wanted.notified() => {}
                () = tokio::time::sleep(rest) => {}
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
                lock(&cluster.inner.wanted).missing_for(Instant::now())
            }
            Err(error) => {
                match failures {
                    0 => {
                        tracing::warn!(%error, "cannot refresh the metadata; trying again, later each time")
                    }
                    _ => tracing::debug!(%error, "cannot refresh the metadata"),
                }
                Some(Duration::ZERO)
            }
        };
        drop(before);
        // Repeated while something is missing, more and more slowly; and never more often than the back-off, whoever asks, which grows while the
        // answers say nothing new. What has been missing for an hour may be missing half a minute more.
        failures = if missing.is_some() { failures + 1 } else { 0 };
        let delay = cluster.retry_delay(failures.max(unchanged).max(1));
        rest = missing.map_or(max_age, |time| {
            (time / 8).min(MISSING_MAX).saturating_sub(delay)
        });
        drop(cluster);
        tokio::time::sleep(delay).await;
    }
}
