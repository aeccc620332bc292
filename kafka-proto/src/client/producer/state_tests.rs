//! The producer's decisions, event by event: what is sent, in which order, under which sequence, and what is told.

use super::*;

#[path = "refused_tests.rs"]
mod refused;

const A: BrokerId = BrokerId(1);
const B: BrokerId = BrokerId(2);

/// A sender of batches that are named by a letter and have ten records each; its clock stands at `at` milliseconds.
struct Bench {
    sender: Sender<char, char>,
    begin: Instant,
    at: u64,
    leader: BrokerId,
    told: Vec<String>,
    spent: Vec<char>,
    bumps: u64,
    /// What `warm` has used up of request numbers and sequences; shown ones count from behind it.
    warm_requests: u64,
    warm_sequence: i32,
}

impl Bench {
    fn new(in_flight_max: usize) -> Self {
        let mut sender = Sender::new(Settings {
            idempotent: true,
            in_flight_max,
            retries: 100,
            request_bytes_max: 1000,
            delivery_timeout: Duration::from_secs(10),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_millis(100)),
        });
        sender.set_identity(Identity { id: 7, epoch: 0 });
        Self {
            sender,
            begin: Instant::now(),
            at: 0,
            leader: A,
            told: Vec::new(),
            spent: Vec::new(),
            bumps: 0,
            warm_requests: 0,
            warm_sequence: 0,
        }
    }

    /// Has a first batch acknowledged on partition 0: from then on its leader refuses gaps, and batches need not go alone.
    fn warm(mut self) -> Self {
        self.submit("-");
        assert_eq!(self.sent(), ["0>1 0-@0.0"]);
        self.acknowledge(0);
        self.told.clear();
        self.spent.clear();
        (self.warm_requests, self.warm_sequence) = (1, 10);
        self
    }

    fn now(&self) -> Instant {
        self.begin + Duration::from_millis(self.at)
    }

    fn submit(&mut self, names: &str) {
        self.submit_to(0, names);
    }

    fn submit_to(&mut self, partition: i32, names: &str) {
        for name in names.chars() {
            let deadline = self.now() + Duration::from_secs(10);
            let topic: Arc<str> = "t".into();
            self.sender
                .submit(&topic, partition, (name, name), 10, 100, deadline);
        }
    }

    /// Everything that may go out now: each request as its number, broker, and batches with epoch and sequence.
    fn sent(&mut self) -> Vec<String> {
        let now = self.now();
        let leader = self.leader;
        let mut requests = Vec::new();
        while let Some(plan) = self.sender.next_request(now, &mut |_, _| Some(leader)) {
            let batches: Vec<String> = plan
                .partitions
                .iter()
                .map(|at| {
                    let (_, partition, name, stamp) = self.sender.sending(*at).unwrap();
                    let stamp = stamp.unwrap_or(Stamp::NONE);
                    let warm = if stamp.producer_epoch == 0 && partition == 0 {
                        self.warm_sequence
                    } else {
                        0
                    };
                    format!(
                        "{partition}{name}@{}.{}",
                        stamp.producer_epoch,
                        stamp.base_sequence - warm
                    )
                })
                .collect();
            requests.push(format!(
                "{}>{} {}",
                plan.request - self.warm_requests,
                plan.broker,
                batches.join(" ")
            ));
        }
        requests
    }

    fn answer(&mut self, request: u64, answer: Answer) {
        let mut effects = Effects::default();
        let now = self.now();
        let request = request + self.warm_requests;
        self.sender
            .answered(request, now, 0.5, |_, _| answer.clone(), &mut effects);
        self.note(effects);
    }

    fn acknowledge(&mut self, request: u64) {
        self.answer(
            request,
            Answer::Acknowledged {
                base_offset: Some(0),
                log_append_time: None,
            },
        );
    }

    fn refuse(&mut self, request: u64, code: ErrorCode) {
        self.answer(
            request,
            Answer::Refused {
                code,
                message: None,
                moved: false,
            },
        );
    }

    fn lose(&mut self, request: u64) {
        let error = Error::Disconnected {
            broker: "a".into(),
            reason: "gone".into(),
        };
        self.answer(request, Answer::Lost(error));
    }

    fn expire(&mut self) {
        let mut effects = Effects::default();
        let now = self.now();
        self.sender.expire(now, &mut effects);
        self.note(effects);
    }

    fn purge(&mut self) {
        let mut effects = Effects::default();
        self.sender.purge(&mut effects);
        self.note(effects);
    }

    fn note(&mut self, effects: Effects<char, char>) {
        for (name, outcome) in effects.done {
            self.told.push(match outcome {
                Outcome::Acknowledged { .. } => format!("{name} ok"),
                Outcome::Failed(error) => match error.maybe_written() {
                    Some(true) => format!("{name} maybe"),
                    Some(false) => format!("{name} no"),
                    None => format!("{name} ?"),
                },
            });
        }
        self.spent.extend(effects.spent);
        self.bumps += effects.bumps;
        for too_large in effects.too_large {
            // Ten records become four and six; parts are named by the letters that follow.
            let (whole, name, _) = too_large.take();
            let part = |by: u8| char::from(name as u8 + by);
            let halves = [(part(1), part(1), 4, 40), (part(2), part(2), 6, 60)];
            self.sender.split(&whole, halves);
        }
    }
}

#[test]
fn batches_of_a_partition_go_out_in_order_and_at_most_five_at_once() {
    let mut bench = Bench::new(5).warm();
    bench.submit("abcdefg");
    let sent = [
        "0>1 0a@0.0",
        "1>1 0b@0.10",
        "2>1 0c@0.20",
        "3>1 0d@0.30",
        "4>1 0e@0.40",
    ];
    assert_eq!(bench.sent(), sent);
    assert!(bench.sent().is_empty());
    bench.acknowledge(0);
    assert_eq!(bench.sent(), ["5>1 0f@0.50"]);
    assert_eq!(bench.told, ["a ok"]);
    assert_eq!(bench.spent, ['a']);
}

#[test]
fn partitions_of_one_broker_share_a_request_up_to_its_size() {
    let mut bench = Bench::new(5);
    for partition in 0..12 {
        bench.submit_to(partition, "a");
    }
    let sent = bench.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].matches('a').count(), 10);
    assert_eq!(sent[1].matches('a').count(), 2);
}

#[test]
fn a_batch_larger_than_a_request_goes_alone() {
    let mut bench = Bench::new(5);
    bench.sender.settings.request_bytes_max = 50;
    bench.submit_to(0, "a");
    bench.submit_to(1, "b");
    assert_eq!(bench.sent(), ["0>1 0a@0.0", "1>1 1b@0.0"]);
}

#[test]
fn a_failing_batch_two_of_five_is_not_overtaken() {
    let mut bench = Bench::new(5).warm();
    bench.submit("abcde");
    bench.sent();
    bench.acknowledge(0);
    bench.refuse(1, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    bench.submit("f");
    bench.at = 1000;
    // Nothing goes out before the answers to c, d and e are in: they miss b.
    assert!(bench.sent().is_empty());
    for request in 2..5 {
        bench.refuse(request, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    bench.leader = B;
    bench.at = 2000;
    // Again under the same sequences, to the new leader, one after the other.
    assert_eq!(bench.sent(), ["5>2 0b@0.10"]);
    bench.acknowledge(5);
    assert_eq!(bench.sent(), ["6>2 0c@0.20"]);
    bench.acknowledge(6);
    bench.sent();
    bench.acknowledge(7);
    assert_eq!(bench.sent(), ["8>2 0e@0.40"]);
    bench.acknowledge(8);
    assert_eq!(bench.sent(), ["9>2 0f@0.50"]);
    assert_eq!(bench.told, ["a ok", "b ok", "c ok", "d ok", "e ok"]);
    assert_eq!(bench.bumps, 0);
}

#[test]
fn nothing_goes_behind_a_batch_that_is_sent_again() {
    let mut bench = Bench::new(5).warm();
    bench.submit("a");
    bench.sent();
    bench.submit("bcdefghi");
    // Written, and said to have failed: as often as that happens, the broker must find it among its last five.
    for request in 0..3 {
        bench.refuse(request, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
        bench.at += 1000;
        let next = request + 1;
        assert_eq!(bench.sent(), [format!("{next}>1 0a@0.0")]);
    }
    bench.acknowledge(3);
    assert_eq!(bench.sent().len(), 5);
    assert_eq!(bench.bumps, 0);
}

#[test]
fn a_new_leader_gets_nothing_before_the_old_one_has_answered() {
    let mut bench = Bench::new(5).warm();
    bench.submit("a");
    bench.sent();
    bench.leader = B;
    bench.submit("b");
    assert!(bench.sent().is_empty());
    bench.acknowledge(0);
    assert_eq!(bench.sent(), ["1>2 0b@0.10"]);
}

#[test]
fn a_duplicate_is_success() {
    let mut bench = Bench::new(5);
    bench.submit("a");
    bench.sent();
    bench.lose(0);
    bench.at = 500;
    assert_eq!(bench.sent(), ["1>1 0a@0.0"]);
    bench.refuse(1, ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    assert_eq!(bench.told, ["a ok"]);
}

#[test]
fn a_gap_behind_a_batch_given_up_bumps_the_epoch_once_and_renumbers_the_rest() {
    let mut bench = Bench::new(5).warm();
    bench.submit("abcd");
    bench.sent();
    bench.refuse(0, ErrorCode::INVALID_RECORD);
    for request in 1..4 {
        bench.refuse(request, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    }
    assert_eq!(bench.told, ["a no"]);
    assert_eq!(bench.bumps, 1);
    bench.at = 1000;
    assert_eq!(bench.sent(), ["4>1 0b@1.0"]);
    bench.acknowledge(4);
    assert_eq!(bench.sent(), ["5>1 0c@1.10"]);
    bench.acknowledge(5);
    bench.sent();
    bench.acknowledge(6);
    bench.submit("e");
    assert_eq!(bench.sent(), ["7>1 0e@1.30"]);
}

#[test]
fn a_bump_renumbers_no_partition_that_has_batches_on_their_way() {
    let mut bench = Bench::new(1);
    bench.submit_to(0, "a");
    bench.submit_to(1, "x");
    assert_eq!(bench.sent(), ["0>1 0a@0.0 1x@0.0"]);
    // x is lost: it may be in the log under epoch 0, and must be sent again under it. a must get a new epoch.
    let mut effects = Effects::default();
    let now = bench.now();
    bench.sender.answered(
        0,
        now,
        0.5,
        |_, partition| match partition {
            0 => Answer::Refused {
                code: ErrorCode::UNKNOWN_PRODUCER_ID,
                message: None,
                moved: false,
            },
            _ => Answer::Lost(Error::Closed { what: "test" }),
        },
        &mut effects,
    );
    bench.submit_to(1, "y");
    bench.at = 1000;
    assert_eq!(bench.sent(), ["1>1 0a@1.0 1x@0.0"]);
    bench.acknowledge(1);
    // Now nothing under the old epoch is on its way: the next batch begins the new one.
    assert_eq!(bench.sent(), ["2>1 1y@1.0"]);
}

#[test]
fn a_partition_with_unanswered_batches_stays_in_the_old_epoch() {
    let mut bench = Bench::new(5);
    bench.submit_to(1, "w");
    bench.sent();
    bench.acknowledge(0);
    bench.submit_to(0, "a");
    bench.sent();
    bench.submit_to(1, "x");
    assert_eq!(bench.sent(), ["2>1 1x@0.10"]);
    bench.refuse(1, ErrorCode::UNKNOWN_PRODUCER_ID);
    bench.submit_to(1, "y");
    bench.at = 1000;
    // If x is lost it must be found again under its old number, and y behind it.
    let mut sent = bench.sent();
    sent.sort();
    assert_eq!(sent.len(), 1);
    assert!(
        sent[0].contains("0a@1.0") && sent[0].contains("1y@0.20"),
        "{sent:?}"
    );
}

#[test]
fn a_fenced_epoch_takes_a_new_identity() {
    let mut bench = Bench::new(5);
    bench.submit("a");
    bench.sent();
    bench.refuse(0, ErrorCode::INVALID_PRODUCER_EPOCH);
    bench.at = 1000;
    assert!(bench.sender.needs_identity());
    assert!(bench.sent().is_empty());
    bench.sender.set_identity(Identity { id: 8, epoch: 0 });
    assert_eq!(bench.sent(), ["1>1 0a@0.0"]);
}

#[test]
fn the_last_epoch_is_followed_by_a_new_identity() {
    let mut bench = Bench::new(5);
    let last = Identity {
        id: 7,
        epoch: i16::MAX,
    };
    bench.sender.set_identity(last);
    bench.submit("a");
    bench.sent();
    bench.refuse(0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert!(bench.sender.needs_identity());
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(sequence_after(0, 10), 10);
    assert_eq!(sequence_after(i32::MAX, 1), 0);
    assert_eq!(sequence_after(i32::MAX - 3, 10), 6);
}

#[test]
fn a_delivery_timeout_says_whether_the_record_may_be_in_the_log() {
    let mut bench = Bench::new(1);
    bench.submit("abc");
    bench.sent();
    bench.lose(0);
    bench.at = 500;
    assert_eq!(bench.sent(), ["1>1 0a@0.0"]);
    bench.at = 10_000;
    bench.expire();
    // b and c were never sent. a is, and its bytes are held until its answer comes.
    assert_eq!(bench.told, ["b no", "c no", "a maybe"]);
    assert_eq!(bench.spent, ['b', 'c']);
    assert_eq!(bench.sender.outstanding(), 1);
    bench.lose(1);
    assert_eq!(bench.spent, ['b', 'c', 'a']);
    assert_eq!((bench.sender.outstanding(), bench.told.len()), (0, 3));
}

#[test]
fn a_batch_lost_and_then_timed_out_in_the_queue_may_be_in_the_log() {
    let mut bench = Bench::new(5);
    bench.submit("a");
    bench.sent();
    bench.lose(0);
    bench.at = 20_000;
    bench.expire();
    assert_eq!(bench.told, ["a maybe"]);
}

#[test]
fn what_follows_a_timed_out_batch_is_delivered_under_a_new_epoch_if_it_was_not_written() {
    let mut bench = Bench::new(1);
    bench.submit("a");
    bench.sent();
    bench.at = 9_000;
    bench.submit("b");
    bench.at = 10_000;
    bench.expire();
    bench.lose(0);
    bench.at = 11_000;
    assert_eq!(bench.sent(), ["1>1 0b@0.10"]);
    bench.refuse(1, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.at = 12_000;
    assert_eq!(bench.sent(), ["2>1 0b@1.0"]);
    bench.acknowledge(2);
    assert_eq!(bench.told, ["a maybe", "b ok"]);
}

#[test]
fn a_request_that_was_not_sent_leaves_nothing_in_the_log() {
    let mut bench = Bench::new(5);
    bench.sender.settings.retries = 0;
    bench.submit("a");
    bench.sent();
    bench.answer(0, Answer::Unsent(Error::Closed { what: "test" }));
    assert_eq!(bench.told, ["a no"]);
}

#[test]
fn a_leader_that_timed_out_on_its_followers_may_have_written() {
    let mut bench = Bench::new(5);
    bench.sender.settings.retries = 0;
    bench.submit("a");
    bench.sent();
    bench.refuse(0, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    assert_eq!(bench.told, ["a maybe"]);
}

#[test]
fn a_fatal_error_fails_everything_and_holds_the_bytes_of_what_is_under_way() {
    let mut bench = Bench::new(1);
    bench.submit("ab");
    bench.sent();
    let mut effects = Effects::default();
    let error = Error::Closed { what: "producer" };
    bench.sender.fail_all(&error, &mut effects);
    bench.note(effects);
    assert_eq!(bench.told, ["b no", "a maybe"]);
    assert_eq!(bench.spent, ['b']);
}

#[test]
fn back_off_is_waited_for_and_the_wakeup_says_how_long() {
    let mut bench = Bench::new(5);
    bench.submit("a");
    bench.sent();
    bench.refuse(0, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    assert!(bench.sent().is_empty());
    let now = bench.now();
    let wakeup = bench.sender.next_wakeup(now);
    assert_eq!(wakeup, Some(now + Duration::from_millis(100)));
    bench.at = 100;
    assert_eq!(bench.sent(), ["1>1 0a@0.0"]);
}

#[test]
fn without_idempotence_nothing_is_numbered() {
    let mut bench = Bench::new(5);
    bench.sender.settings.idempotent = false;
    bench.sender.identity = None;
    bench.submit("a");
    assert_eq!(bench.sent(), ["0>1 0a@-1.-1"]);
}

#[test]
fn an_answer_to_an_unknown_request_changes_nothing() {
    let mut bench = Bench::new(5);
    bench.submit("a");
    bench.sent();
    bench.acknowledge(99);
    assert!(bench.told.is_empty());
    assert_eq!(bench.sender.outstanding(), 1);
}

#[test]
fn a_batch_too_large_goes_on_as_two_in_its_place_and_under_its_sequences() {
    let mut bench = Bench::new(5).warm();
    bench.submit("Aab");
    assert_eq!(bench.sent(), ["0>1 0A@0.0", "1>1 0a@0.10", "2>1 0b@0.20"]);
    bench.refuse(0, ErrorCode::MESSAGE_TOO_LARGE);
    // What was behind it is not there either, and waits.
    bench.refuse(1, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.refuse(2, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(bench.bumps, 0);
    bench.at = 1000;
    assert_eq!(bench.sent(), ["3>1 0B@0.0"]);
    bench.acknowledge(3);
    assert_eq!(bench.sent(), ["4>1 0C@0.4"]);
    bench.acknowledge(4);
    assert_eq!(bench.sent(), ["5>1 0a@0.10"]);
    bench.acknowledge(5);
    assert_eq!(bench.sent(), ["6>1 0b@0.20"]);
    bench.acknowledge(6);
    assert_eq!(bench.told, ["B ok", "C ok", "a ok", "b ok"]);
    assert_eq!(bench.sender.outstanding(), 0);
}

#[test]
fn halves_may_be_too_large_again_and_expire_with_their_batch() {
    let mut bench = Bench::new(5);
    bench.submit("A");
    bench.sent();
    bench.refuse(0, ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(bench.sent(), ["1>1 0B@0.0"]);
    bench.refuse(1, ErrorCode::MESSAGE_TOO_LARGE);
    // The first half's halves come before the second half.
    assert_eq!(bench.sent(), ["2>1 0C@0.0"]);
    bench.at = 10_000;
    bench.expire();
    assert_eq!(bench.told, ["D no", "C no", "C maybe"]);
}

#[test]
fn sequences_wrap_to_0_and_so_does_a_split_across_the_end() {
    let mut bench = Bench::new(5).warm();
    bench.sender.partitions[0].next_sequence = i32::MAX - 4;
    bench.warm_sequence = 0;
    bench.submit("Aa");
    let end = i32::MAX - 4;
    assert_eq!(
        bench.sent(),
        [format!("0>1 0A@0.{end}"), "1>1 0a@0.5".to_owned()]
    );
    bench.refuse(0, ErrorCode::MESSAGE_TOO_LARGE);
    bench.refuse(1, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.at = 1000;
    assert_eq!(bench.sent(), [format!("2>1 0B@0.{end}")]);
    bench.acknowledge(2);
    // Four records from 2³¹ − 5 on: the next is 2³¹ − 1.
    assert_eq!(bench.sent(), [format!("3>1 0C@0.{}", i32::MAX)]);
    bench.acknowledge(3);
    assert_eq!(bench.sent(), ["4>1 0a@0.5"]);
}

#[test]
fn a_named_leader_is_gone_to_at_once_and_one_that_names_another_after_the_back_off() {
    let mut bench = Bench::new(5);
    bench.submit("a");
    assert_eq!(bench.sent(), ["0>1 0a@0.0"]);
    let moved = Answer::Refused {
        code: ErrorCode::NOT_LEADER_OR_FOLLOWER,
        message: None,
        moved: true,
    };
    bench.answer(0, moved.clone());
    bench.leader = B;
    assert_eq!(bench.sent(), ["1>2 0a@0.0"]);
    bench.answer(1, moved);
    bench.leader = A;
    assert!(bench.sent().is_empty());
    bench.at = 100;
    assert_eq!(bench.sent(), ["2>1 0a@0.0"]);
}

#[test]
fn what_waits_is_purged_and_what_is_unanswered_ends_with_its_answer() {
    let mut bench = Bench::new(2).warm();
    bench.submit("abcd");
    assert_eq!(bench.sent(), ["0>1 0a@0.0", "1>1 0b@0.10"]);
    bench.purge();
    assert_eq!(bench.told, ["c no", "d no"]);
    bench.acknowledge(0);
    bench.refuse(1, ErrorCode::NOT_ENOUGH_REPLICAS);
    assert_eq!(bench.told[2..], ["a ok", "b no"], "it is not sent again");
    bench.at = 10_000;
    assert!(bench.sent().is_empty());
    assert_eq!(bench.sender.outstanding(), 0);
    // What comes next has numbers without a gap: those of the next epoch.
    bench.submit("ef");
    assert_eq!(bench.sent(), ["2>1 0e@1.0"]);
    bench.acknowledge(2);
    assert_eq!(bench.sent(), ["3>1 0f@1.10"]);
    assert_eq!(bench.bumps, 1);
}

#[test]
fn after_a_purge_new_batches_wait_until_what_is_on_the_wire_is_answered() {
    let mut bench = Bench::new(5).warm();
    bench.submit("ab");
    assert_eq!(bench.sent().len(), 2);
    bench.purge();
    bench.submit("c");
    assert!(bench.sent().is_empty());
    bench.lose(0);
    assert_eq!(bench.told, ["a maybe"]);
    assert!(bench.sent().is_empty());
    bench.acknowledge(1);
    bench.at = 1000;
    assert_eq!(bench.sent(), ["2>1 0c@1.0"]);
}

#[test]
fn a_purged_batch_that_was_sent_before_says_whether_it_may_be_written() {
    let mut bench = Bench::new(1).warm();
    bench.submit("a");
    bench.sent();
    bench.lose(0);
    bench.submit("b");
    bench.purge();
    assert_eq!(bench.told, ["a maybe", "b no"]);
    assert_eq!(bench.bumps, 1);
    // Numbers that were never used leave no gap.
    bench.submit("c");
    assert_eq!(bench.sent(), ["1>1 0c@1.0"]);
    bench.acknowledge(1);
    bench.submit_to(0, "d");
    bench.purge();
    bench.submit("e");
    assert_eq!(bench.sent(), ["2>1 0e@1.10"]);
    assert_eq!(bench.bumps, 1);
}

#[test]
fn partitions_with_nothing_on_its_way_keep_their_numbers_when_others_are_purged() {
    let mut bench = Bench::new(5);
    for partition in [1, 2] {
        bench.submit_to(partition, "-");
    }
    assert_eq!(bench.sent(), ["0>1 1-@0.0 2-@0.0"]);
    bench.acknowledge(0);
    bench.submit_to(1, "a");
    assert_eq!(bench.sent(), ["1>1 1a@0.10"]);
    bench.purge();
    bench.purge();
    bench.acknowledge(1);
    assert_eq!(
        bench.bumps, 1,
        "partition 1 waits for the raised epoch already"
    );
    bench.submit_to(1, "b");
    bench.submit_to(2, "c");
    assert_eq!(bench.sent(), ["2>1 1b@1.0 2c@1.0"]);
}

#[test]
fn a_producer_without_idempotence_sends_on_after_a_purge() {
    let mut bench = Bench::new(1);
    bench.sender.settings.idempotent = false;
    bench.submit("ab");
    assert_eq!(bench.sent().len(), 1);
    bench.purge();
    bench.submit("c");
    bench.refuse(0, ErrorCode::NOT_ENOUGH_REPLICAS);
    assert_eq!(bench.told, ["b no", "a no"]);
    assert_eq!(bench.sent().len(), 1);
    assert_eq!(bench.bumps, 0);
}

#[test]
fn nothing_is_renumbered_before_all_answers_under_the_old_numbers_are_in() {
    let mut bench = Bench::new(5).warm();
    bench.submit("abc");
    assert_eq!(bench.sent(), ["0>1 0a@0.0", "1>1 0b@0.10", "2>1 0c@0.20"]);
    bench.refuse(0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.at = 1000;
    assert!(bench.sent().is_empty());
    bench.lose(1);
    bench.lose(2);
    bench.at = 2000;
    assert_eq!(bench.sent(), ["3>1 0a@1.0"]);
    bench.acknowledge(3);
    assert_eq!(bench.sent(), ["4>1 0b@1.10"]);
    bench.acknowledge(4);
    assert_eq!(bench.sent(), ["5>1 0c@1.20"]);
}

#[test]
fn gaps_of_a_partition_that_waits_for_new_numbers_raise_the_epoch_no_further() {
    let mut bench = Bench::new(5).warm();
    bench.submit("ab");
    bench.sent();
    bench.refuse(0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(bench.bumps, 1);
    // Nothing is left before the second when its answer comes.
    bench.at = 10_001;
    bench.expire();
    bench.refuse(1, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    assert_eq!(bench.bumps, 1);
    bench.submit("c");
    bench.at += 1000;
    assert_eq!(bench.sent(), ["2>1 0c@1.0"]);
}

#[test]
fn the_first_batch_under_a_raised_epoch_goes_alone() {
    let mut bench = Bench::new(5).warm();
    bench.submit("a");
    bench.sent();
    bench.refuse(0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    bench.at = 10_001;
    bench.expire();
    bench.submit("de");
    bench.at += 1000;
    assert_eq!(bench.sent(), ["1>1 0d@1.0"]);
    bench.acknowledge(1);
    assert_eq!(bench.sent(), ["2>1 0e@1.10"]);
}

#[test]
fn a_batch_is_sent_again_as_often_as_retries_say() {
    for retries in 0..3 {
        let mut bench = Bench::new(5);
        bench.sender.settings.retries = retries;
        bench.submit("a");
        for request in 0..=u64::from(retries) {
            assert_eq!(bench.sent().len(), 1, "{request} of {retries}");
            assert!(bench.told.is_empty());
            bench.lose(request);
            bench.at += 1000;
        }
        assert_eq!(bench.told, ["a maybe"]);
    }
}
