//! What cannot be sent or is refused: what becomes of the others, and of the pace.

use super::*;

#[test]
fn a_batch_that_cannot_be_written_fails_at_once_and_takes_no_other_with_it() {
    let mut bench = Bench::new(5);
    bench.submit_to(0, "a");
    bench.submit_to(1, "x");
    bench.submit_to(2, "y");
    assert_eq!(bench.sent(), ["0>1 0a@0.0 1x@0.0 2y@0.0"]);
    let unsent = || {
        Answer::Unsent(Error::Encode {
            what: "Produce version 12".into(),
            source: crate::wire::EncodeError {
                kind: crate::wire::EncodeErrorKind::TooLong(40_000),
                field: "name",
            },
        })
    };
    bench.answer(0, unsent());
    assert!(bench.told.is_empty(), "which of them it was is not known");
    // Each by itself, at once, under its own sequence.
    assert_eq!(bench.sent(), ["1>1 0a@0.0", "2>1 2y@0.0", "3>1 1x@0.0"]);
    bench.acknowledge(1);
    bench.acknowledge(2);
    bench.answer(3, unsent());
    assert_eq!(bench.told, ["a ok", "y ok", "x no"]);
    // From then on they go together again.
    bench.submit_to(0, "b");
    bench.submit_to(2, "z");
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn a_success_ends_the_pauses_and_a_batch_whose_time_is_over_is_not_tried_again() {
    let mut bench = Bench::new(1);
    bench.sender.settings.backoff =
        Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
    for request in [0, 2] {
        bench.submit("a");
        bench.sent();
        bench.refuse(request, ErrorCode::NOT_LEADER_OR_FOLLOWER);
        // As long as after a first failure.
        bench.at += 100;
        assert_eq!(bench.sent().len(), 1);
        bench.acknowledge(request + 1);
    }
    bench.told.clear();
    bench.submit("b");
    bench.sent();
    bench.at += 10_000;
    bench.refuse(4, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert_eq!(bench.told, ["b maybe"]);
}

#[test]
fn a_refusal_under_an_old_id_does_not_take_the_new_one_away() {
    let mut bench = Bench::new(5);
    for partition in 0..2 {
        bench.submit_to(partition, "a");
        bench.sent();
    }
    bench.refuse(0, ErrorCode::INVALID_PRODUCER_EPOCH);
    assert!(bench.sender.needs_identity());
    bench.sender.set_identity(Identity { id: 8, epoch: 0 });
    bench.refuse(1, ErrorCode::INVALID_PRODUCER_EPOCH);
    assert!(!bench.sender.needs_identity());
    assert_eq!(bench.bumps, 1);
}
