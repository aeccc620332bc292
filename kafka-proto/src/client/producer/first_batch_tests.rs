//! The first batch under a producer id: nothing may overtake it, because the leader would let it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;

fn acknowledged() -> Answer {
    Answer::Acknowledged {
        base_offset: Some(0),
        log_append_time: None,
    }
}

#[test]
fn a_refused_first_batch_is_not_overtaken_by_the_second() {
    let mut sender = Sender::<(), u32>::new(Settings {
        idempotent: true,
        in_flight_max: 5,
        retries: u32::MAX,
        request_bytes_max: 1000,
        delivery_timeout: Duration::from_secs(100),
        backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(10)),
    });
    sender.set_identity(Identity { id: 7, epoch: 0 });
    let topic: Arc<str> = "new".into();
    let mut now = Instant::now();
    let mut effects = Effects::default();
    for ticket in 0..4 {
        let deadline = now + Duration::from_secs(100);
        sender.submit(&topic, 0, ((), ticket), 10, 100, deadline);
    }
    let mut route = |_: &Arc<str>, _| Some(BrokerId(1));
    let first = sender
        .next_request(now, &mut route)
        .expect("the first goes");
    assert_eq!(
        sender.next_request(now, &mut route),
        None,
        "nothing goes beside it"
    );
    let refused = Answer::Refused {
        code: ErrorCode::NOT_LEADER_OR_FOLLOWER,
        message: None,
        moved: false,
    };
    sender.answered(
        first.request,
        now,
        0.5,
        |_, _| refused.clone(),
        &mut effects,
    );
    now += Duration::from_secs(1);
    let again = sender.next_request(now, &mut route).expect("it goes again");
    let (_, _, (), stamp) = sender.sending(again.partitions[0]).expect("it has a batch");
    assert_eq!(stamp.map(|stamp| stamp.base_sequence), Some(0));
    assert_eq!(sender.next_request(now, &mut route), None);
    sender.answered(again.request, now, 0.5, |_, _| acknowledged(), &mut effects);
    // From now on the leader refuses gaps: all others may be on their way at once.
    for sequence in [10, 20, 30] {
        let plan = sender
            .next_request(now, &mut route)
            .expect("it does not wait");
        let (_, _, (), stamp) = sender.sending(plan.partitions[0]).expect("it has a batch");
        assert_eq!(stamp.map(|stamp| stamp.base_sequence), Some(sequence));
    }
    assert_eq!(effects.done.len(), 1);
}
