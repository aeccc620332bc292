//! The example programs as processes of their own, which end with the test.
#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Only a guard against hanging.
const GUARD: Duration = Duration::from_secs(120);

/// A program by its name; what it prints is caught.
pub(crate) fn program(name: &str) -> Command {
    // Cargo tells the path of one of them; the others lie beside it.
    let path = std::path::Path::new(env!("CARGO_BIN_EXE_wordcount")).with_file_name(name);
    let mut command = Command::new(path);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("RUST_LOG");
    command
}

/// A program that is gone with the test, also when that fails.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Its process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Sends a signal such as `-TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.0.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end: status, standard output (what nobody took from it), standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        // Read beside one another: a full pipe would stop the program.
        let (out, err) = (self.0.stdout.take(), self.0.stderr.take());
        let reader = |pipe: Option<Box<dyn std::io::Read + Send>>| {
            std::thread::spawn(move || {
                let mut text = String::new();
                if let Some(mut pipe) = pipe {
                    pipe.read_to_string(&mut text).unwrap();
                }
                text
            })
        };
        let out = reader(out.map(|pipe| Box::new(pipe) as _));
        let err = reader(err.map(|pipe| Box::new(pipe) as _));
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < GUARD, "the program hangs");
            std::thread::sleep(Duration::from_millis(5));
        };
        (status.code(), out.join().unwrap(), err.join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> (Option<i32>, String, String) {
    Running::start(command).end()
}

/// Waits for something that must come.
pub(crate) fn look(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < GUARD, "{what}: it never comes");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An in-process cluster on a thread of its own.
pub(crate) fn cluster(builder: kafka_proto::mock::Builder) -> kafka_proto::mock::Cluster {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(builder.start()).unwrap()
}
