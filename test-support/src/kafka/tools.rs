//! Kafka's own tools, and small Java programs, run against a broker of the harness.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use super::{Broker, available};

/// What a Java program printed and how it ended.
#[derive(Debug, Clone)]
pub struct ToolOutput {
    /// Whether it ended with status 0.
    pub success: bool,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Broker {
    /// Runs a class of `org.apache.kafka.tools` (such as `TopicCommand`, `consumer.ConsoleConsumer`,
    /// `consumer.group.ConsumerGroupCommand`) with `--bootstrap-server` added, and returns its standard output.
    ///
    /// # Panics
    /// When the tool fails; the text holds all it printed.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> String {
        self.tool_with_input(class, arguments, b"")
    }

    /// The same with something on the tool's standard input.
    ///
    /// # Panics
    /// When the tool fails; the text holds all it printed.
    pub fn tool_with_input(&self, class: &str, arguments: &[&str], input: &[u8]) -> String {
        let servers = self.bootstrap_servers();
        let class = format!("org.apache.kafka.tools.{class}");
        let arguments = [&["--bootstrap-server", &servers], arguments].concat();
        let output = java_tool(&class, &arguments, input);
        assert!(
            output.success,
            "{class} {arguments:?} failed:\n{}{}",
            output.stdout, output.stderr
        );
        output.stdout
    }

    /// What a group has committed for a topic, as Kafka's own group tool shows it: partition and offset, in order of
    /// partitions; partitions without a commit are left out.
    ///
    /// # Panics
    /// When the tool fails.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<(i32, i64)> {
        let table = self.tool(
            "consumer.group.ConsumerGroupCommand",
            &["--describe", "--group", group, "--offsets"],
        );
        // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID, and LEADER-EPOCH with it.
        let mut columns = Vec::new();
        let mut committed = Vec::new();
        for line in table.lines() {
            let fields: Vec<&str> = line.split_whitespace().collect();
            if fields.first() == Some(&"GROUP") {
                columns = fields;
            } else if !columns.is_empty() {
                let field = |name| {
                    columns
                        .iter()
                        .position(|&column| column == name)
                        .and_then(|at| fields.get(at))
                };
                let number = |name| field(name).and_then(|text| text.parse::<i64>().ok());
                if field("TOPIC") == Some(&topic)
                    && let (Some(partition), Some(offset)) =
                        (number("PARTITION"), number("CURRENT-OFFSET"))
                {
                    committed.push((
                        i32::try_from(partition).expect("a partition number"),
                        offset,
                    ));
                }
            }
        }
        committed.sort_unstable();
        committed
    }

    /// Every record of a topic, read by Kafka's console consumer up to the ends it has now; one line a record, as the
    /// given `--formatter-property` and other options make it. For topics without transactions and compaction.
    ///
    /// # Panics
    /// When the tool fails.
    pub fn read_all(&self, topic: &str, partitions: i32, options: &[&str]) -> Vec<String> {
        let count: i64 = self.end_offsets(topic, partitions).iter().sum();
        if count == 0 {
            return Vec::new();
        }
        let count = count.to_string();
        let fixed = [
            "--topic",
            topic,
            "--from-beginning",
            "--max-messages",
            &count,
            "--timeout-ms",
            "30000",
        ];
        let output = self.tool("consumer.ConsoleConsumer", &[&fixed[..], options].concat());
        output.lines().map(str::to_owned).collect()
    }

    /// Compiles and runs one Java source file; the bootstrap servers are its first argument.
    ///
    /// # Panics
    /// When it fails; the text holds all it printed.
    pub fn java_source(&self, file: &Path, arguments: &[&str]) -> String {
        self.java_source_with_input(file, arguments, b"")
    }

    /// The same with something on the program's standard input.
    ///
    /// # Panics
    /// When it fails; the text holds all it printed.
    pub fn java_source_with_input(&self, file: &Path, arguments: &[&str], input: &[u8]) -> String {
        let servers = self.bootstrap_servers();
        let mut java = java();
        java.arg(file).arg(&servers).args(arguments);
        let output = run(java, input);
        assert!(
            output.success,
            "{} {arguments:?} failed:\n{}{}",
            file.display(),
            output.stdout,
            output.stderr
        );
        output.stdout
    }
}

/// Runs any class of Kafka's jars and returns what it printed, also when it fails.
///
/// # Panics
/// Without Java, or without the jars.
pub fn java_tool(class: &str, arguments: &[&str], input: &[u8]) -> ToolOutput {
    let mut java = java();
    java.arg(class).args(arguments);
    run(java, input)
}

/// A class of Kafka's jars as a command to be started: for programs that run beside the test.
///
/// # Panics
/// Without Java, or without the jars.
#[must_use]
pub fn java_command(class: &str) -> Command {
    let mut java = java();
    java.arg(class);
    java
}

fn java() -> Command {
    let libs = available().unwrap_or_else(|reason| panic!("{reason}"));
    let mut java = Command::new("java");
    java.args([
        "-Xmx192m",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-cp",
    ])
    .arg(format!("{}/*", libs.display()));
    java
}

/// Runs a command to its end, with `input` on its standard input.
///
/// # Panics
/// When it cannot be started.
pub fn run(mut command: Command, input: &[u8]) -> ToolOutput {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("running {command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("piped above");
    // Written beside the reading: a tool that prints while it reads would stand still otherwise.
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().expect("the child was spawned")
    });
    ToolOutput {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
