//! Applications that run to their end, or until a test has seen what it waits for.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::inspect::{Inspector, Snapshot};
use engine::plan::{App, Scope};
use engine::{Config, Error};

/// Everything ends within this time, however busy the machine is: only a guard against hanging.
pub(crate) const GUARD: Duration = Duration::from_secs(120);

/// Runs a plan to the end of its input.
pub(crate) async fn run(
    plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
    config: &Config,
) -> Result<Snapshot, Error> {
    run_until(plan, config, std::future::pending()).await
}

/// Runs a plan until `stop` completes.
pub(crate) async fn run_until(
    plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
    config: &Config,
    stop: impl Future<Output = ()>,
) -> Result<Snapshot, Error> {
    let inspector = Inspector::new();
    let app = App::new("app", plan)?;
    let outcome = tokio::time::timeout(GUARD, app.run_until(config, stop, &inspector)).await;
    outcome.expect("the run hangs")?;
    Ok(inspector.snapshot())
}

/// Waits for something that must come; [`GUARD`] is around the run that it waits for.
pub(crate) async fn until(mut is: impl FnMut() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A folder of the test's own, gone with the test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("engine-test-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
