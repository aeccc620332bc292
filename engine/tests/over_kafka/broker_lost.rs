//! A broker that goes away in the middle: the run waits for it, loses nothing, and goes on.

use super::*;

#[tokio::test]
async fn a_broker_that_comes_back_is_waited_for() {
    let (cluster, mut truth) = filled(400).await;
    let running = config(&cluster).until_end(false);
    let script = async {
        until(|| !committed(&cluster).iter().any(Option::is_none)).await;
        let broker = cluster.broker_ids()[0];
        cluster.stop_broker(broker).await.unwrap();
        add_lines(&cluster, 400, &mut truth);
        cluster.start_broker(broker).await.unwrap();
        until(|| committed(&cluster).iter().all(|at| *at == Some(200))).await;
    };
    run_until(wordcount, &running, script).await.unwrap();
    let counts = counts(&cluster);
    // What was processed and not committed when the broker went may have been processed again.
    assert!(
        truth.iter().all(|(word, n)| counts[word] >= *n),
        "nothing is lost"
    );
}

#[tokio::test]
async fn connections_that_break_again_and_again_lose_nothing() {
    let (cluster, truth) = filled(2000).await;
    let fault = cluster
        .faults()
        .on(kafka_proto::messages::ApiKey::FETCH)
        .after(2)
        .times(3)
        .drop_connection();
    run(wordcount, &config(&cluster)).await.unwrap();
    assert!(fault.hits() > 0);
    assert_eq!(counts(&cluster), truth);
}
