//! The command line of the engine: what is done to an application from outside. `reset` removes its state.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};
use engine::{Config, Error, Reset};

/// Operates applications of the engine.
#[derive(Parser)]
#[command(name = "kafka-engine", version, arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Removes the positions, changelogs, internal topics and state directory of an application, so that it begins anew. Shows what it
    /// would remove unless `--execute` is given.
    ///
    /// Refused while a process of the application runs. The topics that it reads and writes are not touched. What is gone already is
    /// passed over: a reset that was interrupted is completed by running it again.
    Reset(ResetArgs),
}

#[derive(Args)]
struct ResetArgs {
    /// The cluster. Without one here or in the file, only the state directory of this machine is looked at, and `--state-dir` is needed.
    #[arg(long, alias = "bootstrap-server", value_name = "HOST:PORT,…")]
    bootstrap_servers: Option<String>,

    /// The application's id, which is also its consumer group.
    #[arg(long, alias = "application-id", value_name = "ID")]
    group_id: Option<String>,

    /// File of properties, as Kafka writes them: how to reach the cluster, and what the application was run with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// One property; wins over the file, and the flags here win over it. May be repeated.
    #[arg(long, value_name = "K=V", action = ArgAction::Append, value_parser = property)]
    property: Vec<(String, String)>,

    /// The folder that the application was run with [default: kafka-engine in the folder for temporary files].
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// Removes what is shown. Without it nothing is removed.
    #[arg(long)]
    execute: bool,
}

fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!(
            "expected KEY=VALUE as in linger.ms=5, found '{text}'"
        )),
    }
}

impl ResetArgs {
    fn config(&self) -> Result<Config, Error> {
        let mut config = Config::default();
        if let Some(path) = &self.config {
            for (key, value) in Config::properties_of(path)? {
                config.set(&key, &value)?;
            }
        }
        for (key, value) in &self.property {
            config.set(key, value)?;
        }
        let flags = [
            ("bootstrap.servers", &self.bootstrap_servers),
            ("application.id", &self.group_id),
        ];
        for (key, value) in flags {
            if let Some(value) = value {
                config.set(key, value)?;
            }
        }
        if let Some(dir) = &self.state_dir {
            config.state_dir = Some(dir.clone());
        }
        let names = ["bootstrap.servers", "metadata.broker.list"];
        let is_remote = names.iter().any(|name| config.client.contains_key(*name));
        if !is_remote && config.state_dir.is_none() {
            return Err(Error::Settings(
                "neither a cluster (--bootstrap-servers) nor a folder (--state-dir) is given: there is nothing to look at".into(),
            ));
        }
        Ok(config)
    }

    async fn run(&self) -> Result<(), Error> {
        let reset = Reset::look(&self.config()?).await?;
        let id = reset.application_id().to_owned();
        print!("{reset}");
        if reset.is_empty() {
            println!("nothing to remove: application {id} has no state here");
        } else if self.execute {
            reset.execute().await?;
            println!("removed: application {id} begins anew");
        } else {
            println!("nothing was removed: --execute removes what does not say kept");
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    let Program {
        command: Command::Reset(reset),
    } = Program::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(reset.run()).map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kafka-engine reset: {error}");
            ExitCode::FAILURE
        }
    }
}
