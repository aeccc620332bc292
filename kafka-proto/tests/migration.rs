//! The calls of the migration tables (`docs/from_rdkafka.md`, `docs/from_java.md`): each is here as it stands there, compiled, and run
//! where the in-process cluster can.
#![cfg(all(feature = "client", feature = "mock", feature = "compression"))]

use std::{error::Error, path::Path, time::Duration};

use kafka_proto::{
    client::{
        Acks, Admin, Config, ConfigResource, Consumer, GroupMembershipOperation, IsolationLevel,
        NewTopic, OffsetSpec, OffsetToCommit, Producer, ProducerRecord, Start, TopicPartition,
    },
    messages::ErrorCode,
    mock,
};

type Tried = Result<(), Box<dyn Error>>;

/// Only a guard against hanging, where a call takes a time limit.
const LIMIT: Duration = Duration::from_secs(30);

/// What stands in code in a table's second column and is no code of a program.
const NAMES: [&str; 7] = [
    "max.block.ms",
    "max.poll.records",
    "futures::Stream",
    "Bytes",
    "^",
    "None",
    "tests/migration.rs",
];

#[test]
fn every_line_of_the_migration_tables_is_compiled() {
    let squeezed = |text: &str| {
        let text: String = text.split_whitespace().collect();
        text.replace(",)", ")")
            .replace(",}", "}")
            .replace(",]", "]")
    };
    let source = include_str!("migration.rs").lines();
    let source: Vec<&str> = source
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let source = squeezed(&source.join("\n"));
    for table in [
        include_str!("../docs/from_rdkafka.md"),
        include_str!("../docs/from_java.md"),
    ] {
        let mut count = 0;
        for line in table.lines().filter(|line| line.starts_with("| ")) {
            // A bar inside of code is written `\|`.
            let line = line.replace("\\|", "\u{1}");
            let ours = line.split('|').nth(2).unwrap_or_default();
            for code in ours.split('`').skip(1).step_by(2) {
                let code = code.replace('\u{1}', "|");
                let is_found = source.contains(&squeezed(&code));
                assert!(is_found || NAMES.contains(&&*code), "{code} is not here");
                count += usize::from(is_found);
            }
        }
        assert!(count > 40, "only {count} pieces of code were found");
    }
}

fn of_file(path: &Path) -> Result<Config, Box<dyn Error>> {
    Ok(Config::from_file(path)?)
}

fn settings(s: &str, path: &Path) -> Result<Config, Box<dyn Error>> {
    let mut config = Config::new(s)
        .group_id("billing")
        .acks("all")
        .acks(Acks::All)
        .partitioner("consistent_random")
        .auto_offset_reset("earliest");
    config.set("group.id", "billing")?;
    config.set("queue.buffering.max.ms", "5")?;
    assert!(of_file(path).is_err(), "there is no such file");
    Ok(config)
}

async fn start() -> Result<(mock::Cluster, Config), Box<dyn Error>> {
    let cluster = mock::Cluster::builder().brokers(3).start().await?;
    let config = settings(&cluster.bootstrap_servers(), Path::new("/no/such/file"))?;
    let admin = Admin::connect(config.clone()).await?;
    let topic = NewTopic::new("orders").partitions(3).replication_factor(1);
    admin.create_topic(&topic).await?;
    admin.close().await?;
    Ok((cluster, config))
}

#[tokio::test]
async fn producing() -> Tried {
    let (cluster, config) = start().await?;
    let timeout = LIMIT;
    let producer = Producer::connect(config).await?;
    let record = ProducerRecord {
        topic: "orders",
        key: Some(b"alice"),
        value: Some(b"3 apples"),
        ..Default::default()
    };
    let sent = producer.send(record).await?;
    let place = (sent.partition, sent.offset, sent.timestamp);
    assert!(place.1 == Some(0) && place.2 > 0, "{place:?}");
    let record = ProducerRecord {
        headers: &[("trace", Some(b"7"))],
        ..record
    };
    let delivery = producer.enqueue(record).await?;
    assert_eq!(delivery.await?.offset, Some(1));
    assert_eq!(producer.partition_count("orders").await?, 3);
    producer.flush().await?;
    producer.purge().await?;
    assert_eq!(producer.cluster().metrics().records_sent, 2);
    producer.close().await?;
    producer.close_within(timeout).await?;
    assert_eq!(cluster.records("orders", place.0)?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn consuming_as_a_member() -> Tried {
    let (cluster, config) = start().await?;
    let timeout = LIMIT;
    cluster.append("orders", 0, [(None, Some(b"3 apples".as_slice())); 3])?;
    let mut consumer = Consumer::connect(config).await?;
    consumer.on_rebalance(|rebalancing| async move { println!("{:?}", rebalancing.what()) });
    consumer.subscribe(&["orders"])?;
    assert_eq!(consumer.subscription(), ["orders"]);
    let record = consumer.recv().await?;
    assert_eq!(record.value(), Some(b"3 apples".as_slice()));
    assert_eq!(record.value_bytes().as_deref(), record.value());
    assert_eq!((record.key(), record.key_bytes()), (None, None));
    let place = (record.topic(), record.partition(), record.offset());
    assert!(*place.0 == "orders" && place.1 == 0 && place.2 == 0);
    assert!(record.timestamp() >= -1 && record.leader_epoch() >= -1);
    assert!(record.headers().first("trace").is_none());
    let last = record
        .headers()
        .filter(|header| header.name() == "trace")
        .last();
    assert!(last.is_none_or(|header| header.name() == "trace" && header.value().is_some()));
    consumer.commit_record(&record).await?;
    drop(consumer.commit_record(&record));
    drop(consumer.commit());
    consumer.commit().await?;
    assert!(!consumer.poll(timeout).await?.is_empty());
    consumer
        .commit_offsets(&[OffsetToCommit::new("orders", 0, 17)])
        .await?;
    let committed = consumer
        .committed(&[TopicPartition::new("orders", 0)])
        .await?;
    assert_eq!(committed[0].as_ref().map(|of| of.offset), Some(17));
    assert!(consumer.member().is_some() && consumer.assignment().len() == 3);
    assert!(consumer.cluster().metrics().records_fetched >= 3);
    consumer.cluster().refresh_all().await?;
    consumer.unsubscribe().await?;
    consumer.subscribe_pattern("orders-.*")?;
    consumer.close_within(timeout).await?;
    Ok(())
}

#[tokio::test]
async fn consuming_what_is_assigned() -> Tried {
    let (cluster, config) = start().await?;
    cluster.append("orders", 0, [(None, Some(b"3 apples".as_slice())); 3])?;
    let mut consumer = Consumer::connect(config.clone()).await?;
    consumer.assign(&[TopicPartition::new("orders", 0)])?;
    consumer.recv().await?;
    assert_eq!(consumer.position("orders", 0), Some(1));
    assert_eq!(consumer.lag("orders", 0), Some(2));
    consumer.pause("orders", 0)?;
    consumer.resume("orders", 0)?;
    consumer.seek("orders", 0, Start::Latest)?;
    consumer.seek("orders", 0, Start::Offset(17))?;
    consumer.seek("orders", 0, Start::Earliest)?;
    let of = [TopicPartition::new("orders", 0)];
    let ends = (
        consumer.beginning_offsets(&of).await?,
        consumer.end_offsets(&of).await?,
    );
    assert_eq!(ends, (vec![0], vec![3]));
    let found = consumer
        .offsets_for_times(&[(TopicPartition::new("orders", 0), 0)])
        .await?;
    assert_eq!(found.len(), 1);
    consumer.close().await?;
    let mut consumer = Consumer::connect(config.group_protocol("consumer")).await?;
    consumer.subscribe_server_pattern("orders-.*")?;
    consumer
        .close_with(GroupMembershipOperation::Remain)
        .await?;
    Ok(())
}

#[tokio::test]
async fn administration() -> Tried {
    let (cluster, config) = start().await?;
    cluster.append("orders", 0, [(None, Some(b"3 apples".as_slice())); 3])?;
    let admin = Admin::connect(config).await?;
    admin.create_partitions("orders", 6).await?;
    assert_eq!(admin.describe_topic("orders").await?.partitions.len(), 6);
    admin
        .alter_configs(
            ConfigResource::Topic("orders"),
            &[("retention.ms", Some("60000"))],
        )
        .await?;
    let configs = admin.configs(ConfigResource::Topic("orders")).await?;
    assert_eq!(configs["retention.ms"].value.as_deref(), Some("60000"));
    let ends = admin
        .list_offsets(
            &[("orders", 0, OffsetSpec::Latest)],
            IsolationLevel::ReadUncommitted,
        )
        .await?;
    assert_eq!(ends.into_iter().next().ok_or("no answer")??.offset, Some(3));
    assert_eq!(admin.delete_records(&[("orders", 0, 1)]).await?.len(), 1);
    admin
        .alter_group_offsets("billing", &[OffsetToCommit::new("orders", 0, 17)])
        .await?;
    assert_eq!(admin.group_offsets("billing").await?.len(), 1);
    assert_eq!(admin.list_groups().await?.len(), 1);
    assert_eq!(admin.describe_group("billing").await?.group_id, "billing");
    assert!(admin.delete_groups(&["billing"]).await[0].is_ok());
    assert_eq!(admin.describe_cluster().await?.brokers.len(), 3);
    assert!(
        admin
            .list_all_topics()
            .await?
            .contains(&"orders".to_owned())
    );
    assert!(admin.delete_topics(&["orders"]).await?[0].is_ok());
    assert!(admin.list_topics().await?.is_empty());
    let Err(error) = admin.describe_topic("orders").await else {
        return Err("a deleted topic was described".into());
    };
    assert!(error.code() == Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.is_retriable() && !error.is_fatal());
    let topic = NewTopic::new("orders").partitions(3).replication_factor(1);
    admin.create_topics(&[topic]).await?;
    admin.close().await?;
    Ok(())
}
