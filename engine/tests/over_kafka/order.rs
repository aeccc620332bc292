//! Behaviour 51 in a whole run: rows in order, held over a restart in the changelog.

use kafka_proto::records::{BatchBuilder, Compression, Stamp};

use super::*;

const PARTITIONS: i32 = 3;
/// How far rows come out of order.
const BOUND: i64 = 50;

/// Texts of each key in the order in which they come.
fn texts(s: Scope<'_>) {
    s.source("lines")
        .utf8()
        .with_timestamps(
            |l| l.split(' ').next().map_or(0, |at| at.parse().unwrap()),
            Duration::from_millis(BOUND as u64),
        )
        .map(str::to_owned)
        .key_by(|l| l.rsplit(' ').next().map(str::to_owned))
        .in_order()
        .reduce(|all, line| all + "\n" + &line)
        .sink("counts");
}

/// Twenty records of one partition, of few times, in one batch; those of one half.
fn add(cluster: &Cluster, partition: i32, half: i64, truth: &mut Vec<(i64, i32, i64, String)>) {
    let mut builder = BatchBuilder::new(Compression::NONE, 1024);
    for n in 0..20 {
        let offset = half * 20 + n;
        // From the bound on backwards, in tens.
        let at = offset / 5 * 10 + (7 * offset + i64::from(partition)) % 5 * 10;
        let line = format!("{at} {partition}.{offset} {}", ["a", "b"][n as usize % 2]);
        builder.append(0, None, Some(line.as_bytes()), &[]).unwrap();
        truth.push((at, partition, offset, line));
    }
    let bytes = builder.finish(Stamp::NONE).unwrap();
    cluster.append_raw("lines", partition, &bytes).unwrap();
}

#[tokio::test]
async fn rows_in_order_stay_so_across_a_restart_on_any_number_of_workers() {
    for threads in [["1", "2"], ["2", "4"], ["4", "1"]] {
        let cluster = Cluster::builder()
            .topic("lines", PARTITIONS)
            .topic("counts", 1)
            .start()
            .await
            .unwrap();
        let mut truth = Vec::new();
        (0..PARTITIONS).for_each(|p| add(&cluster, p, 0, &mut truth));
        let mut first = config(&cluster).until_end(false);
        first.set("num.stream.threads", threads[0]).unwrap();
        // No partition is idle before the other half is there.
        first.set("fetch.max.wait.ms", "20000").unwrap();
        let half =
            || (0..PARTITIONS).all(|p| cluster.committed_offset("app", "lines", p) == Some(20));
        run_until(texts, &first, until(half)).await.unwrap();
        let changelog = "app-in_order-1-changelog";
        let logged = |cluster: &Cluster| -> Vec<bool> {
            let of = |p| cluster.records(changelog, p).unwrap();
            let all = (0..cluster.partition_count(changelog)).flat_map(of);
            all.map(|r| r.value.is_some()).collect()
        };
        let puts = logged(&cluster).iter().filter(|is_put| **is_put).count();
        assert!(puts > 20, "{puts}: rows are held over the restart");
        (0..PARTITIONS).for_each(|p| add(&cluster, p, 1, &mut truth));
        let mut second = config(&cluster);
        second.set("num.stream.threads", threads[1]).unwrap();
        run(texts, &second).await.unwrap();

        truth.sort();
        for key in ["a", "b"] {
            let lines = truth.iter().map(|(.., line)| line.as_str());
            let want: Vec<&str> = lines.filter(|l| l.ends_with(key)).collect();
            let records = cluster.records("counts", 0).unwrap();
            let last = records
                .iter()
                .rev()
                .find(|r| r.key.as_deref() == Some(key.as_bytes()));
            let got = String::from_utf8(last.unwrap().value.clone().unwrap().to_vec()).unwrap();
            assert_eq!(got, want.join("\n"), "{threads:?}");
        }
    }
}
