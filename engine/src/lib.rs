//! A stream engine: the plan is an ordinary function over one batch of records.
#![forbid(unsafe_code)]

pub mod batch;
pub mod checkpoint;
pub mod connectors;
pub mod flow;
pub mod formats;
pub mod inspect;
pub mod operators;
pub mod plan;
mod runtime;
pub mod state;
pub mod testing;

pub use runtime::{Config, Error};

impl plan::App {
    /// Runs the application over Kafka: until the ends of its input if [`Config::until_end`] says so, else until an error.
    ///
    /// Outputs and changelogs are acknowledged before positions are committed (at least once). With keyed operators one process of the
    /// group has all of the work; others that call this stand by and take over. Await it in place (it is not `Send`); dropped, it
    /// abandons what is not committed, and the next run processes that again.
    ///
    /// # Errors
    /// [`Error`], with what to do about it. Nothing that was committed is lost by it.
    pub async fn run(&self, config: &Config) -> Result<(), Error> {
        self.run_until(config, std::future::pending(), &inspect::Inspector::new())
            .await
    }

    /// As [`Self::run`], until `stop` completes: then everything read is processed and committed, within 30 seconds. `inspector` sees how
    /// it goes.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_until(
        &self,
        config: &Config,
        stop: impl Future<Output = ()>,
        inspector: &inspect::Inspector,
    ) -> Result<(), Error> {
        let application_id = config
            .application_id
            .clone()
            .unwrap_or_else(|| self.name().to_owned());
        let job = runtime::Job::new(application_id.clone(), self.clone())?;
        let kafka = connectors::kafka::Kafka::connect(connectors::kafka::Settings {
            application_id,
            client: config.client.clone(),
            state_dir: config.state_dir.clone(),
            replication_factor: config.replication_factor,
        });
        runtime::run(job.into(), config, kafka.await?, stop, inspector).await
    }
}
