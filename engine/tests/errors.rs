//! Texts of errors: each says a thing once, whoever prints it and with whatever chain of causes.

use std::error::Error as StdError;

use engine::{
    Error,
    batch::{RecordError, produce::SinkError},
    flow,
    formats::csv,
    plan::App,
    state::StoreError,
    testing::Driver,
};

/// What a program prints that follows causes to the end.
fn with_causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!("\ncaused by: {error}");
        cause = error.source();
    }
    text
}

/// A piece of at least four words that stands in the text twice.
fn said_twice(text: &str) -> Option<String> {
    let text = text.replace("caused by: ", "");
    let words: Vec<&str> = text.split_whitespace().collect();
    let pieces = || words.windows(4);
    pieces()
        .enumerate()
        .find(|(at, piece)| pieces().skip(at + 1).any(|other| other == *piece))
        .map(|(_, piece)| piece.join(" "))
}

fn check(error: &(dyn StdError + 'static)) {
    let text = with_causes(error);
    assert_eq!(said_twice(&text), None, "{text}");
    assert_eq!(
        format!("{error:?}"),
        error.to_string(),
        "`main` prints Debug"
    );
}

fn io() -> std::io::Error {
    std::io::Error::other("the disk of this machine is on fire")
}

#[test]
fn each_error_says_a_thing_once_and_its_debug_text_is_for_people() {
    let name = || "the operator of this test".to_owned();
    let reason = || "something that nobody could foresee".to_owned();
    let plan: Vec<flow::Error> = vec![
        flow::Error::NoSource,
        flow::Error::Unused { operator: name() },
        flow::Error::DuplicateName { name: name() },
        flow::Error::StateType { operator: name() },
        flow::Error::Undecodable { operator: name() },
        flow::Error::Window { problem: reason() },
        flow::Error::Modifier {
            modifier: "`state_ttl`".to_owned(),
            place: "has no meaning before count".to_owned(),
            instead: reason(),
        },
        flow::Error::PlanChanged {
            operator: 3,
            learned: "map".to_owned(),
            found: "filter".to_owned(),
        },
        flow::Error::Store {
            operator: name(),
            source: StoreError {
                path: "the folder of the state".to_owned(),
                reason: reason(),
            },
        },
        flow::Error::Awaiting {
            operator: name(),
            rows: 3,
        },
        flow::Error::BadRecord {
            operator: name(),
            topic: "lines".to_owned(),
            partition: 0,
            offset: 7,
            reason: reason(),
        },
        flow::Error::BadRow {
            operator: name(),
            reason: reason(),
        },
        flow::Error::Batch {
            topic: "lines".to_owned(),
            partition: 0,
            source: RecordError::Magic {
                base_offset: 7,
                magic: 9,
            },
        },
        flow::Error::Sink {
            topic: "out".to_owned(),
            source: SinkError::NoSuchPartition {
                partition: 3,
                partitions: 2,
            },
        },
        flow::Error::Sink {
            topic: "out".to_owned(),
            source: SinkError::NoJson,
        },
    ];
    for error in plan {
        check(&error);
        check(&Error::Plan(error));
    }
    for error in [
        Error::Settings(reason()),
        Error::State(reason()),
        Error::Fenced(reason()),
        Error::Cluster {
            doing: "reading topic lines".to_owned(),
            source: io().into(),
            retriable: true,
        },
        Error::Connector {
            doing: "writing to the sink of this test".to_owned(),
            source: io().into(),
        },
        Error::Data {
            topic: "lines".to_owned(),
            partition: 0,
            offset: 7,
            reason: reason(),
        },
        Error::Disk {
            doing: "writing",
            path: "/a/folder/of/the/state".into(),
            source: io(),
        },
        Error::Panic {
            worker: 1,
            message: reason(),
        },
    ] {
        check(&error);
    }
}

#[test]
fn a_program_that_returns_its_error_from_main_prints_a_sentence() {
    fn program() -> Result<(), Box<dyn StdError>> {
        App::new("nothing", |_| ())?;
        Ok(())
    }
    let printed = format!("Error: {:?}", program().unwrap_err());
    assert_eq!(
        printed,
        "Error: the plan reads nothing: begin with `s.source(\"topic\")`"
    );
}

#[test]
fn csv_errors_are_text_and_boxed_errors_by_the_question_mark() {
    fn text(line: &str, scratch: &bumpalo::Bump) -> Result<String, String> {
        let [name, amount] = csv::columns(line, ',', scratch)?;
        Ok(format!("{name}: {amount}"))
    }
    fn boxed(line: &str, scratch: &bumpalo::Bump) -> Result<u64, Box<dyn StdError>> {
        let [_, amount] = csv::columns(line, ',', scratch)?;
        Ok(amount.parse()?)
    }
    fn sendable(
        line: &str,
        scratch: &bumpalo::Bump,
    ) -> Result<u64, Box<dyn StdError + Send + Sync>> {
        let [_, amount] = csv::columns(line, ',', scratch)?;
        Ok(amount.parse()?)
    }
    let scratch = bumpalo::Bump::new();
    assert_eq!(text("a,1", &scratch).as_deref(), Ok("a: 1"));
    assert_eq!(
        text("a", &scratch).unwrap_err(),
        "the line has 1 fields, expected 2"
    );
    assert_eq!(boxed("a,1", &scratch).unwrap(), 1);
    assert!(sendable("a,x", &scratch).is_err());
    let mut driver = Driver::new(|s| {
        s.source("in")
            .utf8()
            .try_map(|l| -> Result<_, String> {
                let [name, amount] = csv::columns(l, ',', s.scratch())?;
                Ok((name, amount))
            })
            .sink("out");
    });
    driver.feed("in", ["a,1", "b"]);
    assert_eq!(driver.read("out").len(), 1);
}
