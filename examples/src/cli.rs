//! The flags that `wordcount`, `passthrough` and `uppercase` share, in Kafka's own words. They stay as they are: trials call them.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use kafka_proto::client::{Config, ConfigError};

/// Where a program reads and writes, how, and for how long.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// A real cluster; without it an in-process one is started and filled with sample data.
    #[arg(long, alias = "bootstrap-server", value_name = "HOST:PORT,…")]
    pub bootstrap_servers: Option<String>,

    /// File of client properties, as Kafka writes them.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// One client property; wins over the file, and the flags here win over it. May be repeated.
    #[arg(long, value_name = "K=V", action = ArgAction::Append, value_parser = property)]
    pub property: Vec<(String, String)>,

    /// Topic to read; created if missing, where the broker allows it.
    #[arg(long, value_name = "TOPIC")]
    pub input: Option<String>,

    /// Topic to write; created if missing, where the broker allows it.
    #[arg(long, value_name = "TOPIC")]
    pub output: Option<String>,

    /// Consumer group, which is also the application id: state and offsets belong to it.
    #[arg(long, alias = "application-id", value_name = "ID")]
    pub group_id: Option<String>,

    /// `at_least_once`; `exactly_once_v2` is not built yet and is refused.
    #[arg(long, value_name = "GUARANTEE")]
    pub processing_guarantee: Option<String>,

    /// Milliseconds between commits; changed results are written at each [default: 100].
    #[arg(long, value_name = "N")]
    pub commit_interval_ms: Option<u64>,

    /// Worker threads [default: the machine's cores, at most 8].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,

    /// Folder for what a restart wants to find again [default: kafka-engine in the folder for temporary files].
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// Stop, committed, once everything that was in the input at the start is processed; otherwise run until SIGTERM or Ctrl-C.
    #[arg(long)]
    pub until_end: bool,

    /// With --until-end: time does not end with the input. Windows stay open, and the next run goes on with them.
    #[arg(long, requires = "until_end")]
    pub no_drain: bool,

    /// At the end one line of JSON: records in and out, bytes, wall and CPU seconds, peak memory.
    #[arg(long)]
    pub stats: bool,
}

/// `K=V` of the command line.
///
/// # Errors
/// When there is no `=` or nothing before it.
pub fn property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!(
            "expected KEY=VALUE as in linger.ms=5, found '{text}'"
        )),
    }
}

impl Common {
    /// All settings as properties: the file's, then those of `--property`, then the flags', so that the last one of a name wins.
    ///
    /// # Errors
    /// When the file of `--config` cannot be read.
    pub fn properties(&self, application_id: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let mut all = match &self.config {
            Some(path) => Config::properties_of(path)?,
            None => Vec::new(),
        };
        if !all
            .iter()
            .any(|(name, _)| matches!(name.as_str(), "application.id" | "group.id"))
        {
            all.push(("application.id".to_owned(), application_id.to_owned()));
        }
        all.extend(self.property.iter().cloned());
        let mut set = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                all.push((key.to_owned(), value));
            }
        };
        set("bootstrap.servers", self.bootstrap_servers.clone());
        set("application.id", self.group_id.clone());
        set("processing.guarantee", self.processing_guarantee.clone());
        set(
            "commit.interval.ms",
            self.commit_interval_ms.map(|n| n.to_string()),
        );
        set("num.stream.threads", self.threads.map(|n| n.to_string()));
        set(
            "state.dir",
            self.state_dir.as_ref().map(|dir| dir.display().to_string()),
        );
        Ok(all)
    }
}

/// Prints an error as one line on standard error; the status that goes with it is 1.
pub fn complain(program: &str, error: &dyn std::fmt::Display) -> std::process::ExitCode {
    eprintln!("{program}: {error}");
    std::process::ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        common: Common,
    }

    fn parse(args: &[&str]) -> Result<Common, clap::Error> {
        Program::try_parse_from([&["program"], args].concat()).map(|p| p.common)
    }

    #[test]
    fn every_flag_of_the_stable_command_line_is_taken() {
        let file =
            std::env::temp_dir().join(format!("examples-cli-{}.properties", std::process::id()));
        std::fs::write(&file, "# a comment\nacks: all\n").unwrap();
        let common = parse(&[
            "--bootstrap-servers",
            "a:1,b:2",
            "--config",
            &file.display().to_string(),
            "--property",
            "linger.ms=5",
            "--property",
            "client.id=x=y",
            "--input",
            "in",
            "--output",
            "out",
            "--group-id",
            "g",
            "--processing-guarantee",
            "at_least_once",
            "--commit-interval-ms",
            "20",
            "--threads",
            "2",
            "--state-dir",
            "/tmp/s",
            "--until-end",
            "--no-drain",
            "--stats",
        ])
        .unwrap();
        assert!(common.until_end && common.no_drain && common.stats);
        let properties = common.properties("wordcount").unwrap();
        assert!(properties.contains(&("client.id".into(), "x=y".into())));
        assert_eq!(
            properties[0],
            ("acks".into(), "all".into()),
            "the file comes first"
        );
        std::fs::remove_file(&file).unwrap();
        for (key, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("application.id", "g"),
            ("processing.guarantee", "at_least_once"),
            ("commit.interval.ms", "20"),
            ("num.stream.threads", "2"),
            ("state.dir", "/tmp/s"),
        ] {
            assert!(properties.contains(&(key.into(), value.into())), "{key}");
        }
    }

    #[test]
    fn the_old_spelling_bootstrap_server_works() {
        assert_eq!(
            parse(&["--bootstrap-server", "a:1"])
                .unwrap()
                .bootstrap_servers
                .as_deref(),
            Some("a:1")
        );
    }

    #[test]
    fn a_property_without_an_equals_sign_is_refused_with_an_example() {
        let Err(error) = parse(&["--property", "linger.ms"]) else {
            panic!("accepted")
        };
        assert!(error.to_string().contains("KEY=VALUE"), "{error}");
    }

    #[test]
    fn an_end_that_does_not_drain_needs_an_end() {
        assert!(parse(&["--no-drain"]).is_err());
        assert!(!parse(&["--until-end"]).unwrap().no_drain);
    }
}
