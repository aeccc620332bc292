//! Why a run ended. Every text says what was being done, to what, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// An error of the engine.
///
/// Its text says everything, so `source` of the `Error` trait is `None`: who prints a chain of causes says nothing twice. `Debug` is the same
/// text, because that is what `main` prints of the error it returns.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is missing, unknown, out of range or contradicts another.
    #[error("{0}")]
    Settings(String),
    /// The plan cannot run as it stands.
    #[error(transparent)]
    Plan(#[from] crate::flow::Error),
    /// The cluster, or what stands between it and us: the text of the client says what and where.
    #[error("{}", said_once(doing, &**source))]
    Cluster {
        /// What was being done, as a phrase: `reading topic lines`.
        doing: String,
        /// The client's own error.
        r#source: Box<dyn std::error::Error + Send + Sync>,
        /// Whether doing the same again can succeed without anything else being changed.
        retriable: bool,
    },
    /// A source or sink that is not Kafka's cannot go on: its own error.
    #[error("{doing}: {source}")]
    Connector {
        /// What was being done, as a phrase with the name of the source or sink.
        doing: String,
        /// Its error.
        r#source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// State in the cluster or on disk belongs to something else, or has a form that this version does not know.
    #[error("{0}")]
    State(String),
    /// A record or batch cannot be processed, and the policy is to fail.
    #[error("{topic}-{partition} at offset {offset}: {reason}")]
    Data {
        /// Topic of the record.
        topic: String,
        /// Partition of the record.
        partition: i32,
        /// Its offset, or the base offset of its batch.
        offset: i64,
        /// What is wrong with it and which setting changes what happens.
        reason: String,
    },
    /// A file or folder of the state directory could not be used.
    #[error("{doing} {}: {source}", path.display())]
    Disk {
        /// What was being done, as a verb: `writing`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        r#source: std::io::Error,
    },
    /// User code or the engine itself panicked in a worker; the run ends, and what was not committed is processed again by the next one.
    #[error("worker {worker} panicked: {message}")]
    Panic {
        /// Number of the worker.
        worker: usize,
        /// The panic's text.
        message: String,
    },
    /// The work was taken over by another member of the group, for example because this process stood still for longer than
    /// `session.timeout.ms`.
    #[error("{0}")]
    Fenced(String),
}

/// The client's text says what was being done where a broker has refused it: then that is not said again.
fn said_once(doing: &str, source: &(dyn std::error::Error + Send + Sync)) -> String {
    let text = source.to_string();
    match text.strip_prefix(doing) {
        Some(rest) if !rest.starts_with(|c: char| c.is_alphanumeric()) => text,
        _ => format!("{doing}: {text}"),
    }
}

impl Error {
    /// Whether starting again without changing anything can succeed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Cluster { retriable, .. } => *retriable,
            Self::Fenced(_) => true,
            _ => false,
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_being_done_is_said_once_whoever_says_it() {
        let error = |doing: &str, source: &str| {
            let (doing, retriable) = (doing.to_owned(), false);
            let source = source.to_owned().into();
            Error::Cluster {
                doing,
                source,
                retriable,
            }
            .to_string()
        };
        let text = error("creating topic a", "creating topic a failed with X");
        assert_eq!(text, "creating topic a failed with X");
        let text = error("creating topic a", "creating topic ab failed with X");
        assert_eq!(text, "creating topic a: creating topic ab failed with X");
        assert_eq!(error("stopping", "too late"), "stopping: too late");
    }
}
