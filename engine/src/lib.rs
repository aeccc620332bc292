//! A stream engine fed by Kafka: **the plan is an ordinary function over one batch of records, and its body runs for each batch.**
//!
//! The engine calls the plan once without data, to learn which operators there are, and then with one batch after another. Everything
//! that a closure sees lives as long as that batch, so rows borrow from the fetched bytes and nothing is copied or allocated for a
//! record. Neighbouring operators become one loop. `key_by` is a cut: behind it, rows are with the worker that owns their key, whether
//! there is one thread or many. State and time belong to keyed operators; what is dear to make belongs into
//! [`once`](flow::Scope::once) or outside of the plan.
//!
//! ```
//! use engine::{flow::Scope, formats::text::words, testing::Driver};
//!
//! fn wordcount(s: Scope<'_>) {
//!     s.source("lines").utf8()                           // &str, borrowed from the fetch buffer
//!         .flat_map(|line| words(line, s.scratch()))     // lower case, borrowed from the batch's arena
//!         .key_by(|w| w)
//!         .count()
//!         .sink("counts");                               // (&str, u64), encoded into the produce batch
//! }
//!
//! let mut driver = Driver::new(wordcount);               // no broker; `App::new("wordcount", wordcount)?.run(&config)` is the real thing
//! driver.feed("lines", ["To be, or not", "to be"]);
//! driver.commit();
//! assert!(driver.read("counts").iter().any(|r| r.key_str() == Some("be") && r.value_u64() == Some(2)));
//! ```
//!
//! Operators are methods of [`Stream`](flow::Stream) and [`Keyed`](flow::Keyed); a reusable piece of a plan is a function that takes and
//! gives streams, see [`Pipe`](flow::Pipe).
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
pub mod time;
pub mod windows;

pub use connectors::Reset;
pub use runtime::{Config, Error, stop_requested};

impl Reset {
    /// Looks at what the application `application.id` of `config` has in the cluster (`bootstrap.servers`) and in the state directory of
    /// this machine (`state.dir`). Without `bootstrap.servers` it is the state directory alone. Removes nothing.
    ///
    /// # Errors
    /// [`Error::State`] while a process of the application runs: a member of its group (of either protocol), or one that has files of
    /// the folder locked. [`Error::Settings`] without an `application.id`; else what goes wrong while asking.
    pub async fn look(config: &Config) -> Result<Self, Error> {
        let Some(application_id) = &config.application_id else {
            return Err(Error::Settings(
                "application.id is missing (--group-id): it says whose state is meant".into(),
            ));
        };
        let remote = if config.names_brokers() {
            let prefix = config.internal_topic_prefix.clone();
            Some(connectors::kafka_reset::Remote::connect(&config.client, prefix).await?)
        } else {
            None
        };
        let state_dir = config.state_dir.clone();
        let state_dir = state_dir.unwrap_or_else(checkpoint::home::default_dir);
        Self::of(application_id, &state_dir, remote).await
    }
}

impl Config {
    /// The properties in a file, as Kafka writes them, in their order.
    ///
    /// # Errors
    /// [`Error::Settings`] when the file cannot be read, or a line is no property.
    pub fn properties_of(path: &std::path::Path) -> Result<Vec<(String, String)>, Error> {
        connectors::kafka::properties_of(path)
    }

    /// Whether there is a cluster to connect to.
    fn names_brokers(&self) -> bool {
        let names = ["bootstrap.servers", "metadata.broker.list"];
        names.iter().any(|name| self.client.contains_key(*name))
    }
}

impl plan::App {
    /// Runs the application: until the ends of its input if [`Config::until_end`] or its sources say so, else until an error. A plan that
    /// neither reads nor writes topics needs no broker; then its state lives as long as the run, unless `bootstrap.servers` says where
    /// changelogs can be.
    ///
    /// At SIGTERM and Ctrl-C ([`stop_requested`]) it ends in order: what was read is processed and committed. The handlers are
    /// there before anything is connected. [`Self::run_until`] installs none.
    ///
    /// Outputs and changelogs are acknowledged before positions are committed (at least once). With keyed operators one process of the
    /// group has all of the work; others that call this stand by and take over. It is `Send`: it may be spawned beside others. Dropped, it
    /// abandons what is not committed, and the next run processes that again.
    ///
    /// # Errors
    /// [`Error`], with what to do about it. Nothing that was committed is lost by it.
    pub async fn run(&self, config: &Config) -> Result<(), Error> {
        let stop = stop_requested();
        self.run_until(config, stop, &inspect::Inspector::new())
            .await
    }

    /// As [`Self::run`], until `stop` completes, and without handlers of signals: then everything read is processed and committed. `stop`
    /// is heard from the first moment on, and at any time; it may complete while the run connects, restores its state, or has begun to
    /// end by itself. `inspector` sees how it goes.
    ///
    /// It returns within 30 seconds after that, whatever hangs: a broker, a sink, a user's function.
    ///
    /// # Errors
    /// As [`Self::run`], and when what was read could not be committed within 24 seconds after a stop: the next run processes it again.
    pub async fn run_until(
        &self,
        config: &Config,
        stop: impl Future<Output = ()>,
        inspector: &inspect::Inspector,
    ) -> Result<(), Error> {
        let (app, config, inspector) = (self.clone(), config.clone(), inspector.clone());
        runtime::own_thread::run(stop, move |stop| async move {
            let stop = async {
                if stop.await.is_err() {
                    // Nobody is left who could ask.
                    std::future::pending().await
                }
            };
            app.run_here(&config, stop, &inspector).await
        })
        .await
    }

    /// As [`Self::run_until`], in the runtime of whoever awaits it: what it is made of belongs to that thread.
    async fn run_here(
        &self,
        config: &Config,
        stop: impl Future<Output = ()>,
        inspector: &inspect::Inspector,
    ) -> Result<(), Error> {
        let stop = std::pin::pin!(stop);
        let mut stop = runtime::Stop::new(stop);
        let started = std::time::Instant::now();
        let application_id = config
            .application_id
            .clone()
            .unwrap_or_else(|| self.name().to_owned());
        let prefix = config.internal_topic_prefix.as_deref();
        let job = runtime::Job::new(application_id.clone(), prefix, self.clone())?;
        let kafka = if config.names_brokers() || job.needs_kafka() {
            let settings = connectors::kafka::Settings {
                application_id: application_id.clone(),
                client: config.client.clone(),
                state_dir: config.state_dir.clone(),
                replication_factor: config.replication_factor,
                internal_prefix: config.internal_topic_prefix.clone(),
                internal_configs: config.internal_topic_configs.clone(),
                until_end: config.until_end,
            };
            match stop.or(connectors::kafka::Kafka::connect(settings)).await? {
                None => return Ok(()),
                kafka => kafka,
            }
        } else {
            None
        };
        let log = connectors::mixed::Mixed::new(
            kafka,
            connectors::mixed::Setting {
                application_id,
                state_dir: config.state_dir.clone(),
                until_end: config.until_end,
            },
        );
        runtime::run(job.into(), config, log, stop, inspector, started).await
    }
}
