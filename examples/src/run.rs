//! What `wordcount`, `passthrough` and `uppercase` do around their plan: settings, an in-process cluster where no other is named, progress,
//! statistics, and an orderly end.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use engine::Config;
use engine::inspect::{Inspector, OperatorState, Snapshot};
use engine::plan::App;
use kafka_proto::mock::Cluster;

use crate::cli::{self, Common};
use crate::demo::{Demo, Sample};
use crate::screen::{self, Screen};
use crate::stats::{Meter, Stats};
use crate::stop;

/// One of the programs.
pub struct Program {
    /// Its name, which is also the application id unless `--group-id` says otherwise.
    pub name: &'static str,
    /// Topic read unless `--input` says otherwise.
    pub input: &'static str,
    /// Topic written unless `--output` says otherwise.
    pub output: &'static str,
    /// Prints what a person wants to see of the results of an in-process run.
    pub show: fn(&Demo, &Snapshot) -> Result<(), String>,
}

type Failure = Box<dyn std::error::Error>;

/// Runs the plan that `plan` makes of the names of its input and output, and returns the status to exit with.
pub fn run(
    program: &Program,
    common: &Common,
    plan: impl FnOnce(&str, &str) -> Result<App, engine::plan::Error>,
) -> ExitCode {
    run_with(program, common, None, plan)
}

/// As [`run`], with so many lines of a sample in the in-process cluster instead of tales.
pub fn run_on_sample(
    program: &Program,
    common: &Common,
    lines: u64,
    sample: Sample,
    plan: impl FnOnce(&str, &str) -> Result<App, engine::plan::Error>,
) -> ExitCode {
    run_with(program, common, Some((lines, sample)), plan)
}

fn run_with(
    program: &Program,
    common: &Common,
    sample: Option<(u64, Sample)>,
    plan: impl FnOnce(&str, &str) -> Result<App, engine::plan::Error>,
) -> ExitCode {
    log_warnings();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return cli::complain(program.name, &error),
    };
    match runtime.block_on(run_async(program, common, sample, plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::complain(program.name, &error),
    }
}

/// Warnings of the client and the engine as lines on standard error; `RUST_LOG` asks for more.
pub fn log_warnings() {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    // Somebody may have set up logging before.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .try_init();
}

async fn run_async(
    program: &Program,
    common: &Common,
    sample: Option<(u64, Sample)>,
    plan: impl FnOnce(&str, &str) -> Result<App, engine::plan::Error>,
) -> Result<(), Failure> {
    let whole = Meter::whole_process();
    let input = common.input.as_deref().unwrap_or(program.input);
    let output = common.output.as_deref().unwrap_or(program.output);
    let app = plan(input, output)?;
    let mut properties = common.properties(program.name)?;
    let is_real = properties
        .iter()
        .any(|(name, _)| matches!(name.as_str(), "bootstrap.servers" | "metadata.broker.list"));
    let demo = if is_real {
        None
    } else {
        Some(match sample {
            Some((lines, sample)) => Demo::with_sample(input, output, lines, sample).await?,
            None => Demo::start(input, output).await?,
        })
    };
    if let Some(demo) = &demo {
        screen::print(&demo.greeting());
        properties.push(("bootstrap.servers".into(), demo.cluster.bootstrap_servers()));
    }
    let meter = if demo.is_some() {
        Meter::start()
    } else {
        whole
    };
    let cluster_cpu_before = cluster_cpu(demo.as_ref()).await;
    let config = Config::from_properties(properties)?
        .until_end(common.until_end)
        .drain(!common.no_drain);
    let inspector = Inspector::new();
    let outcome = {
        let screen = Screen::new(program.name);
        let run = app.run_until(&config, stop::requested(), &inspector);
        let feed = async {
            match &demo {
                Some(demo) if !common.until_end => demo.go_on().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            outcome = run => outcome,
            never = screen.follow(&inspector) => match never {},
            never = feed => match never {},
        }
    };
    screen::clear_line();
    outcome?;
    let (wall, cpu) = (meter.wall(), meter.cpu());
    let cluster = cluster_cpu(demo.as_ref())
        .await
        .zip(cluster_cpu_before)
        .map(|(after, before)| after.saturating_sub(before));
    let snapshot = inspector.snapshot();
    if let Some(demo) = &demo {
        (program.show)(demo, &snapshot)?;
    }
    screen::print(&screen::summary(&snapshot, wall, config.threads));
    if let Some(demo) = &demo {
        screen::print(&demo.next_step(program.name));
    }
    if common.stats {
        let stats = Stats {
            program: program.name,
            records_in: snapshot.records_in,
            records_out: snapshot.records_out,
            bytes_in: snapshot.bytes_in,
            bytes_out: snapshot.bytes_out,
            wall,
            cpu: cpu.saturating_sub(cluster.unwrap_or_default()),
            cluster_cpu: demo.is_some().then(|| cluster.unwrap_or_default()),
            first_record: snapshot.first_record,
            more: vec![
                ("changelog_records", snapshot.changelog_records.into()),
                ("records_restored", snapshot.records_restored.into()),
                ("records_skipped", snapshot.records_skipped.into()),
                ("rows_late", snapshot.rows_late.into()),
                ("rows_without_key", snapshot.rows_without_key.into()),
                ("commits", snapshot.commits.into()),
                ("state", snapshot.state.iter().map(state).collect()),
                ("threads", config.threads.into()),
                (
                    "commit_interval_ms",
                    (config.commit_interval.as_millis() as u64).into(),
                ),
                ("processing_guarantee", "at_least_once".into()),
            ],
        };
        screen::print(&stats.json());
    }
    Ok(())
}

/// One operator's state, as `--stats` prints it.
fn state(of: &OperatorState) -> serde_json::Value {
    serde_json::json!({ "operator": of.operator, "keys": of.keys, "bytes": of.bytes })
}

async fn cluster_cpu(demo: Option<&Demo>) -> Option<Duration> {
    let cluster: &Cluster = &demo?.cluster;
    cluster.cpu_time().await
}

/// The first results of an in-process run, as text, a line each.
///
/// # Errors
/// When the output topic is gone.
pub fn show_first(demo: &Demo, _: &Snapshot) -> Result<(), String> {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let results = demo.output().map_err(|error| error.to_string())?;
    for record in results.iter().take(12) {
        let (key, value) = (text(record.key.as_deref()), text(record.value.as_deref()));
        screen::print(&format!("  {key:<12} {value}"));
    }
    screen::print(&format!("  {} results\n", results.len()));
    Ok(())
}
