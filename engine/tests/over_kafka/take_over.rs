//! One process has all of a keyed plan; the others stand by and take over.

use super::*;

#[tokio::test]
async fn the_second_process_stands_by_and_takes_over_when_the_first_ends() {
    let (cluster, mut truth) = filled(400).await;
    let running = config(&cluster).until_end(false);
    let (one, two) = (Inspector::new(), Inspector::new());
    let app = App::new("app", wordcount).unwrap();
    let (stop_one, stopped_one) = tokio::sync::oneshot::channel::<()>();
    let (stop_two, stopped_two) = tokio::sync::oneshot::channel::<()>();
    let script = async {
        until(|| one.snapshot().records_in == 400 || two.snapshot().records_in == 400).await;
        until(|| one.snapshot().standby != two.snapshot().standby).await;
        let (first, stop_first, second, stop_second) = if two.snapshot().standby {
            (&one, stop_one, &two, stop_two)
        } else {
            (&two, stop_two, &one, stop_one)
        };
        let had = first.snapshot().records_in;
        stop_first.send(()).unwrap();
        until(|| !second.snapshot().standby).await;
        add_lines(&cluster, 100, &mut truth);
        until(|| committed(&cluster).iter().all(|at| *at == Some(125))).await;
        assert_eq!(first.snapshot().records_in, had);
        stop_second.send(()).unwrap();
    };
    let all = async {
        let first = app.run_until(&running, async { drop(stopped_one.await) }, &one);
        let second = app.run_until(&running, async { drop(stopped_two.await) }, &two);
        let (first, second, ()) = tokio::join!(first, second, script);
        first.unwrap();
        second.unwrap();
    };
    tokio::time::timeout(GUARD, all).await.expect("hangs");
    assert_eq!(counts(&cluster), truth);
}

#[tokio::test]
async fn two_processes_at_once_until_the_end_both_end_with_the_truth() {
    let (cluster, truth) = filled(2000).await;
    let config = config(&cluster);
    let (one, two) = tokio::join!(run(wordcount, &config), run(wordcount, &config));
    assert_eq!(one.unwrap().records_in + two.unwrap().records_in, 2000);
    assert_eq!(counts(&cluster), truth);
}
