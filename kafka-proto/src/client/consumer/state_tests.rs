//! What a partition makes of each answer, event by event.

use super::*;

const PATIENCE: Patience = Patience {
    retry_backoff: Duration::from_millis(100),
    retry_backoff_max: Duration::from_millis(1000),
    spread: 0.5,
    unknown_topic: Duration::from_secs(10),
    read_replica: Duration::from_secs(300),
};

fn at(position: i64) -> PartitionState {
    let mut state = PartitionState::new(Text::from("t"), 0);
    state.seek(position, 2);
    state
        .observe(
            Seen::Exists(Some(Leader {
                broker: 1,
                epoch: 4,
            })),
            Instant::now(),
            &PATIENCE,
        )
        .unwrap();
    state
}

fn data(error_code: ErrorCode) -> PartitionData {
    PartitionData {
        error_code,
        high_watermark: 100,
        last_stable_offset: 90,
        log_start_offset: 3,
        ..PartitionData::default()
    }
}

fn answer(state: &mut PartitionState, data: &PartitionData, now: Instant) -> Outcome {
    let ask = Ask {
        offset: state.position().unwrap(),
        current_leader_epoch: 4,
        last_fetched_epoch: state.position_epoch(),
        partition_max_bytes: 1000,
    };
    state.answered(&ask, data, now, &PATIENCE)
}

#[test]
fn asks_for_the_position_with_both_epochs() {
    let ask = at(17).ask(Instant::now(), 1000).unwrap();
    let expected = Ask {
        offset: 17,
        current_leader_epoch: 4,
        last_fetched_epoch: 2,
        partition_max_bytes: 1000,
    };
    assert_eq!(ask, expected);
}

#[test]
fn a_good_answer_takes_the_watermarks_over() {
    let mut state = at(17);
    assert_eq!(
        answer(&mut state, &data(ErrorCode::NONE), Instant::now()),
        Outcome::Good
    );
    assert_eq!(
        (
            state.high_watermark,
            state.last_stable_offset,
            state.log_start_offset
        ),
        (100, 90, 3)
    );
    assert_eq!(state.position(), Some(17), "only batches move the position");
}

#[test]
fn an_answer_to_another_position_is_stale() {
    let now = Instant::now();
    let mut state = at(17);
    let ask = state.ask(now, 1000).unwrap();
    state.seek(50, -1);
    assert_eq!(
        state.answered(&ask, &data(ErrorCode::OFFSET_OUT_OF_RANGE), now, &PATIENCE),
        Outcome::Stale
    );
    state.reset(ResetTo::Earliest);
    assert_eq!(
        state.answered(&ask, &data(ErrorCode::NONE), now, &PATIENCE),
        Outcome::Stale
    );
}

#[test]
fn errors_are_sorted_into_waiting_and_telling() {
    let now = Instant::now();
    let table = [
        (
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
            Outcome::Retry { refresh: true },
        ),
        (
            ErrorCode::FENCED_LEADER_EPOCH,
            Outcome::Retry { refresh: true },
        ),
        (
            ErrorCode::UNKNOWN_LEADER_EPOCH,
            Outcome::Retry { refresh: true },
        ),
        (
            ErrorCode::OFFSET_NOT_AVAILABLE,
            Outcome::Retry { refresh: false },
        ),
        (
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            Outcome::Retry { refresh: true },
        ),
        (
            ErrorCode::UNKNOWN_TOPIC_ID,
            Outcome::Retry { refresh: true },
        ),
        (
            ErrorCode::UNKNOWN_SERVER_ERROR,
            Outcome::Retry { refresh: true },
        ),
        (
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            Outcome::Failed(ErrorCode::TOPIC_AUTHORIZATION_FAILED),
        ),
        (
            ErrorCode::CORRUPT_MESSAGE,
            Outcome::Failed(ErrorCode::CORRUPT_MESSAGE),
        ),
    ];
    for (code, outcome) in table {
        let mut state = at(17);
        assert_eq!(answer(&mut state, &data(code), now), outcome, "{code}");
        assert_eq!(state.ask(now, 1000), None, "{code}: not at once again");
        assert!(
            state.ask(now + PATIENCE.retry_backoff, 1000).is_some(),
            "{code}: but later"
        );
    }
}

#[test]
fn an_unknown_topic_is_an_error_after_a_while_and_not_before() {
    let start = Instant::now();
    let mut state = at(17);
    let unknown = data(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(
        answer(&mut state, &unknown, start),
        Outcome::Retry { refresh: true }
    );
    let late = start + PATIENCE.unknown_topic;
    assert_eq!(
        answer(&mut state, &unknown, late),
        Outcome::Failed(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    );
    assert_eq!(
        state.observe(Seen::Missing, late, &PATIENCE),
        Ok(()),
        "the patience starts anew"
    );
}

#[test]
fn an_older_leader_epoch_does_not_move_a_partition_back() {
    let now = Instant::now();
    let mut state = at(17);
    state
        .observe(
            Seen::Exists(Some(Leader {
                broker: 2,
                epoch: 3,
            })),
            now,
            &PATIENCE,
        )
        .unwrap();
    assert_eq!(state.broker(now), Some(1));
    state
        .observe(
            Seen::Exists(Some(Leader {
                broker: 2,
                epoch: 5,
            })),
            now,
            &PATIENCE,
        )
        .unwrap();
    assert_eq!(state.broker(now), Some(2));
}

#[test]
fn a_new_leader_ends_the_back_off() {
    let now = Instant::now();
    let mut state = at(17);
    answer(&mut state, &data(ErrorCode::NOT_LEADER_OR_FOLLOWER), now);
    assert_eq!(state.wakes_at(), Some(now + PATIENCE.retry_backoff));
    state
        .observe(
            Seen::Exists(Some(Leader {
                broker: 2,
                epoch: 5,
            })),
            now,
            &PATIENCE,
        )
        .unwrap();
    assert!(state.ask(now, 1000).is_some());
}

#[test]
fn where_the_logs_part_is_told_and_an_unknown_epoch_is_no_loss() {
    let now = Instant::now();
    let mut state = at(17);
    let mut diverging = data(ErrorCode::NONE);
    diverging.diverging_epoch = EpochEndOffset {
        epoch: 1,
        end_offset: 12,
    };
    let lost = Lost::Truncated {
        position: 17,
        to: 12,
        epoch: 1,
    };
    assert_eq!(answer(&mut state, &diverging, now), Outcome::Lost(lost));
    let mut state = at(17);
    diverging.diverging_epoch = EpochEndOffset {
        epoch: 1,
        end_offset: -1,
    };
    assert_eq!(
        answer(&mut state, &diverging, now),
        Outcome::Retry { refresh: false }
    );
    assert_eq!((state.position(), state.position_epoch()), (Some(17), -1));
}

#[test]
fn an_epoch_that_the_leader_does_not_know_is_no_loss_and_a_range_without_an_epoch_is() {
    let now = Instant::now();
    let mut state = at(17);
    let refused = data(ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(
        answer(&mut state, &refused, now),
        Outcome::Retry { refresh: false }
    );
    assert_eq!((state.position(), state.position_epoch()), (Some(17), -1));
    assert!(state.ask(now, 1000).is_some(), "asked again at once");
    let lost = Lost::OutOfRange {
        position: 17,
        log_start: 3,
        high_watermark: 100,
    };
    assert_eq!(answer(&mut state, &refused, now), Outcome::Lost(lost));
    assert_eq!(state.ask(now, 1000), None, "not at once again");
}

#[test]
fn negative_answers_of_list_offsets_are_not_offsets() {
    let mut state = PartitionState::new(Text::from("t"), 0);
    state.reset(ResetTo::Timestamp(5));
    state.reset_answered(ResetTo::Timestamp(5), -1, -1);
    assert_eq!(
        (state.position(), state.reset),
        (None, Some(ResetTo::Latest))
    );
    state.reset_answered(ResetTo::Latest, -1, -1);
    assert_eq!(
        (state.position(), state.reset),
        (None, Some(ResetTo::Latest))
    );
    state.reset_answered(ResetTo::Latest, 8, 3);
    assert_eq!((state.position(), state.position_epoch()), (Some(8), 3));
}

#[test]
fn a_late_reset_does_not_undo_a_seek() {
    let mut state = PartitionState::new(Text::from("t"), 0);
    state.reset(ResetTo::Earliest);
    state.seek(40, -1);
    state.reset_answered(ResetTo::Earliest, 0, -1);
    assert_eq!(state.position(), Some(40));
}

#[test]
fn a_follower_is_read_from_for_a_while_and_only_the_leader_decides_about_ranges() {
    let now = Instant::now();
    let mut state = at(17);
    let mut prefer = data(ErrorCode::NONE);
    prefer.preferred_read_replica = 9;
    assert_eq!(
        answer(&mut state, &prefer, now),
        Outcome::Retry { refresh: false }
    );
    assert_eq!(state.broker(now), Some(9));
    assert_eq!(state.broker(now + PATIENCE.read_replica), Some(1));
    // Named once more it is asked later, and still for as long.
    let mut again = state.clone();
    answer(&mut again, &prefer, now);
    let wait = PATIENCE.retry_backoff / 2;
    assert_eq!(again.broker(now + PATIENCE.read_replica + wait), Some(9));
    let mut unreachable = state.clone();
    unreachable.broker_failed(9);
    assert_eq!(unreachable.broker(now), Some(1));
    assert_eq!(
        answer(&mut state, &data(ErrorCode::OFFSET_OUT_OF_RANGE), now),
        Outcome::Retry { refresh: false }
    );
    assert_eq!(state.broker(now), Some(1));
}

#[test]
fn paused_partitions_are_not_asked_for_and_what_still_comes_counts() {
    let now = Instant::now();
    let mut state = at(17);
    state.set_paused(true);
    assert_eq!(state.ask(now, 1000), None);
    assert_eq!(
        answer(&mut state, &data(ErrorCode::NONE), now),
        Outcome::Good
    );
    state.set_paused(false);
    assert!(state.ask(now, 1000).is_some());
}

fn led_by(state: &mut PartitionState, broker: i32, epoch: i32) {
    let leader = Some(Leader { broker, epoch });
    state
        .observe(Seen::Exists(leader), Instant::now(), &PATIENCE)
        .unwrap();
}

#[test]
fn a_leader_without_an_epoch_is_a_leader_and_not_an_older_one() {
    let now = Instant::now();
    let mut state = at(17);
    led_by(&mut state, 2, -1);
    assert_eq!(state.broker(now), Some(2));
}

#[test]
fn a_topic_that_was_made_again_has_no_watermarks_yet() {
    let mut state = at(17);
    answer(&mut state, &data(ErrorCode::NONE), Instant::now());
    assert_eq!(state.recreated(), Some(Lost::Recreated { position: 17 }));
    let known = (
        state.high_watermark,
        state.last_stable_offset,
        state.log_start_offset,
    );
    assert_eq!(known, (-1, -1, -1));
    assert!(state.lacks_leader());
}

#[test]
fn a_position_is_looked_up_in_each_leaders_log_once_and_after_each_seek() {
    let mut state = at(17);
    let check = state.needs_check().unwrap();
    assert_eq!(state.check_answered(&check, 2, 17), None);
    assert_eq!(state.needs_check(), None);
    state.seek(17, 2);
    assert!(
        state.needs_check().is_some(),
        "what is sought is another's word"
    );
    state.seek(17, -1);
    assert_eq!(state.needs_check(), None, "there is no epoch to look up");
    state.seek(17, 2);
    let check = state.needs_check().unwrap();
    state.check_answered(&check, 2, 17);
    led_by(&mut state, 2, 5);
    assert!(state.needs_check().is_some(), "another leader");
}

#[test]
fn an_epoch_that_ends_at_the_position_took_nothing_away() {
    let now = Instant::now();
    let mut state = at(17);
    let check = state.needs_check().unwrap();
    assert_eq!(state.check_answered(&check, 2, 17), None);
    let mut diverging = data(ErrorCode::NONE);
    diverging.diverging_epoch = EpochEndOffset {
        epoch: 2,
        end_offset: 17,
    };
    assert_eq!(
        answer(&mut state, &diverging, now),
        Outcome::Retry { refresh: false }
    );
    assert_eq!(state.position(), Some(17));
}

#[test]
fn a_partition_that_does_not_get_on_waits_longer_each_time_until_something_is_read() {
    let now = Instant::now();
    let mut state = at(17);
    let refused = data(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    let mut waits = Vec::new();
    for _ in 0..6 {
        answer(&mut state, &refused, now);
        waits.push((state.wakes_at().unwrap() - now).as_millis());
        // Leaders that are named in a circle, and positions that are found again and again, are no progress.
        let epoch = 5 + waits.len() as i32;
        led_by(&mut state, 1 + epoch % 2, epoch);
        state.reset(ResetTo::Earliest);
        state.reset_answered(ResetTo::Earliest, 17, 2);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1000, 1000]);
    assert!(state.ask(now, 1000).is_none());
    state.advance(18, 2);
    answer(&mut state, &refused, now);
    assert_eq!((state.wakes_at().unwrap() - now).as_millis(), 100);
    state.gets_on();
    assert!(state.ask(now, 1000).is_some());
}

#[test]
fn a_start_waits_for_its_back_off_and_is_not_asked_for_when_it_is_not_wanted_any_more() {
    let now = Instant::now();
    let mut state = at(17);
    state.reset(ResetTo::Earliest);
    state.back_off(now, &PATIENCE);
    assert_eq!(state.wants_reset(now), None);
    let later = now + PATIENCE.retry_backoff;
    assert_eq!(state.wants_reset(later), Some(ResetTo::Earliest));
    state.set_paused(true);
    assert_eq!(state.wakes_at(), None, "nothing is done for it then");
    state.stop();
    assert_eq!(state.wants_reset(later), None);
}

#[test]
fn a_follower_is_left_for_a_new_leader_and_for_its_own_failure_only_and_never_decides_alone() {
    let now = Instant::now();
    let mut state = at(17);
    // Without an epoch to leave out nothing else is to be tried but the leader.
    state.seek(17, -1);
    let mut prefer = data(ErrorCode::NONE);
    prefer.preferred_read_replica = 9;
    answer(&mut state, &prefer, now);
    state.broker_failed(8);
    assert_eq!(state.broker(now), Some(9));
    let mut moved = state.clone();
    led_by(&mut moved, 2, 5);
    assert_eq!(moved.broker(now), Some(2));
    let out_of_range = data(ErrorCode::OFFSET_OUT_OF_RANGE);
    assert_eq!(
        answer(&mut state, &out_of_range, now),
        Outcome::Retry { refresh: false }
    );
    assert_eq!(state.broker(now), Some(1));
}

#[test]
fn a_log_start_that_is_not_said_stays_what_it_was() {
    let now = Instant::now();
    let mut state = at(17);
    answer(&mut state, &data(ErrorCode::NONE), now);
    let mut unsaid = data(ErrorCode::NONE);
    unsaid.log_start_offset = -1;
    answer(&mut state, &unsaid, now);
    assert_eq!(state.log_start_offset, 3);
}
