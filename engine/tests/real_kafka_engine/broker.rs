//! What a test does with the broker: rows written with their times, also in transactions, records read, positions asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::Config;
use kafka_proto::client::{
    Admin, Cluster, Config as ClientConfig, Consumer, CoordinatorKind, Producer, ProducerRecord,
    Purpose, TopicPartition,
};
use kafka_proto::messages::produce::{PartitionProduceData, TopicProduceData};
use kafka_proto::messages::{EndTxnRequest, InitProducerIdRequest, ProduceRequest};
use kafka_proto::records::{BatchBuilder, Compression, Stamp};
use test_support::kafka::Broker;

/// Only a guard against hanging.
const LIMIT: Duration = Duration::from_secs(60);

/// One application and its topics, whose names begin with its own.
pub(crate) struct Job {
    kafka: &'static Broker,
    name: &'static str,
    cluster: Cluster,
    producer: Producer,
    admin: Admin,
}

/// A record as it lies in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, String>,
}

impl Read {
    pub(crate) fn key_text(&self) -> String {
        String::from_utf8(self.key.clone().unwrap()).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.value.clone().unwrap()).unwrap()
    }

    pub(crate) fn number(&self) -> u64 {
        u64::from_be_bytes(self.value.as_deref().unwrap().try_into().unwrap())
    }
}

impl Job {
    pub(crate) async fn new(kafka: &'static Broker, name: &'static str) -> Self {
        let mut config = ClientConfig::new(&kafka.bootstrap_servers());
        config.set("linger.ms", "0").unwrap();
        let cluster = Cluster::connect(config).await.unwrap();
        Self {
            kafka,
            name,
            producer: Producer::new(&cluster).unwrap(),
            admin: Admin::new(&cluster),
            cluster,
        }
    }

    /// The full name of a topic.
    pub(crate) fn topic(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// Creates a topic that keeps its records, however old their times are.
    pub(crate) fn create(&self, what: &str, partitions: i32) {
        let kept = [("retention.ms", "-1")];
        self.kafka
            .create_topic(&self.topic(what), partitions, &kept);
    }

    pub(crate) fn create_compacted(&self, what: &str, partitions: i32) {
        let compacted = [("cleanup.policy", "compact")];
        self.kafka
            .create_topic(&self.topic(what), partitions, &compacted);
    }

    pub(crate) async fn add_partitions(&self, what: &str, total: i32) {
        let topic = self.topic(what);
        self.admin.create_partitions(&topic, total).await.unwrap();
        // The controller has them; the broker hears of it a moment later.
        while self.partitions(what).await < total as usize {}
    }

    /// Settings for two workers and quick commits, until the end of the input.
    pub(crate) fn config(&self) -> Config {
        let state = self.kafka.directory().join(self.name);
        let properties = [
            ("bootstrap.servers", &*self.kafka.bootstrap_servers()),
            ("application.id", self.name),
            ("commit.interval.ms", "20"),
            ("num.stream.threads", "2"),
            ("state.dir", state.to_str().unwrap()),
        ];
        Config::from_properties(properties).unwrap().until_end(true)
    }

    /// Everything as users have it, but the names, the folder and the number of workers.
    pub(crate) fn defaults(&self, workers: usize) -> Config {
        let state = self.kafka.directory().join(self.name);
        let properties = [
            ("bootstrap.servers", &*self.kafka.bootstrap_servers()),
            ("application.id", self.name),
            ("state.dir", state.to_str().unwrap()),
            ("num.stream.threads", &*workers.to_string()),
        ];
        Config::from_properties(properties).unwrap()
    }

    /// The same, until the test has seen enough.
    pub(crate) fn running(&self) -> Config {
        self.config().until_end(false)
    }

    /// Appends values with their times to one partition, as few batches.
    pub(crate) async fn write<V: AsRef<str>>(&self, what: &str, partition: i32, rows: &[(i64, V)]) {
        let topic = self.topic(what);
        let mut sent = Vec::new();
        for (timestamp, value) in rows {
            let record = ProducerRecord {
                topic: &topic,
                partition: Some(partition),
                timestamp: Some(*timestamp),
                value: Some(value.as_ref().as_bytes()),
                ..ProducerRecord::default()
            };
            sent.push(self.producer.enqueue(record).await.unwrap());
        }
        for delivery in sent {
            delivery.await.unwrap();
        }
    }

    /// Appends one record as it is given, to a partition of a topic.
    pub(crate) async fn send(&self, what: &str, partition: i32, record: ProducerRecord<'_>) {
        let topic = &*self.topic(what);
        let partition = Some(partition);
        let record = ProducerRecord {
            topic,
            partition,
            ..record
        };
        self.producer.send(record).await.unwrap();
    }

    /// Everything that is in a topic, partition by partition, control records and what was aborted left out.
    pub(crate) async fn read(&self, what: &str) -> Vec<Read> {
        self.read_all(&self.topic(what)).await
    }

    /// A consumer of all partitions of a topic, by its full name, from their beginning.
    pub(crate) async fn consumer(&self, topic: &str, partitions: i32) -> Consumer {
        let mut config = ClientConfig::new(&self.kafka.bootstrap_servers());
        config.set("auto.offset.reset", "earliest").unwrap();
        config.set("isolation.level", "read_committed").unwrap();
        let mut consumer = Consumer::connect(config).await.unwrap();
        let places = (0..partitions).map(|p| TopicPartition::new(topic, p));
        consumer.assign(&places.collect::<Vec<_>>()).unwrap();
        consumer
    }

    async fn read_all(&self, topic: &str) -> Vec<Read> {
        let partitions = self.admin.describe_topic(topic).await.unwrap().partitions;
        let count = i32::try_from(partitions.len()).unwrap();
        let ends = self.kafka.end_offsets(topic, count);
        let mut consumer = self.consumer(topic, count).await;
        let mut all = BTreeMap::new();
        let is_behind = |consumer: &Consumer, partition: i32| {
            let position = consumer.position(topic, partition).unwrap_or(0);
            position < ends[partition as usize]
        };
        let reading = async {
            while (0..count).any(|partition| is_behind(&consumer, partition)) {
                for record in consumer.poll(Duration::from_millis(100)).await.unwrap() {
                    let text = |value: Option<&[u8]>| {
                        String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
                    };
                    let headers = record.headers();
                    let read = Read {
                        timestamp: record.timestamp(),
                        key: record.key().map(<[u8]>::to_vec),
                        value: record.value().map(<[u8]>::to_vec),
                        headers: headers
                            .map(|header| (text(Some(header.name_bytes())), text(header.value())))
                            .collect(),
                    };
                    all.insert((record.partition(), record.offset()), read);
                }
            }
        };
        let in_time = tokio::time::timeout(LIMIT, reading).await;
        in_time.unwrap_or_else(|_| panic!("{topic} cannot be read to its end"));
        all.into_values().collect()
    }

    /// The last number written for each key.
    pub(crate) async fn numbers(&self, what: &str) -> BTreeMap<String, u64> {
        let all = self.read(what).await;
        all.iter().map(|r| (r.key_text(), r.number())).collect()
    }

    /// What the application has committed, by partition.
    pub(crate) async fn committed(&self, what: &str) -> BTreeMap<i32, i64> {
        let topic = self.topic(what);
        let all = self.admin.group_offsets(self.name).await.unwrap();
        all.into_iter()
            .filter(|(place, _)| *place.topic == *topic)
            .map(|(place, committed)| (place.partition, committed.offset))
            .collect()
    }

    /// Waits until so many records of a topic are committed.
    pub(crate) async fn until_committed(&self, what: &str, records: i64) {
        while self.committed(what).await.values().sum::<i64>() < records {
            tokio::task::yield_now().await;
        }
    }

    /// Number of partitions of a topic.
    pub(crate) async fn partitions(&self, what: &str) -> usize {
        let topic = self.admin.describe_topic(&self.topic(what)).await;
        topic.unwrap().partitions.len()
    }
}

/// An open transaction of a producer of its own.
pub(crate) struct Transaction<'a> {
    job: &'a Job,
    id: String,
    stamp: Stamp,
}

impl<'a> Transaction<'a> {
    pub(crate) async fn begin(job: &'a Job, id: &str) -> Self {
        let id = format!("{}-{id}", job.name);
        let request = InitProducerIdRequest {
            transactional_id: Some(id.as_str().into()),
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        let found = loop {
            let response = job.transactional(&id, &request).await;
            match response.error_code {
                code if code.is_ok() => break response,
                code => assert!(code.is_retriable(), "beginning a transaction: {code}"),
            }
        };
        let stamp = Stamp {
            producer_id: found.producer_id,
            producer_epoch: found.producer_epoch,
            base_sequence: 0,
            transactional: true,
        };
        Self { job, id, stamp }
    }

    /// Appends rows as one batch; once for each partition. The broker lets the partition join the transaction by itself (KIP-890).
    pub(crate) async fn write(&self, what: &str, partition: i32, rows: &[(i64, &str)]) {
        let topic = self.job.topic(what);
        let cluster = &self.job.cluster;
        let mut builder = BatchBuilder::new(Compression::NONE, 1024);
        for (timestamp, value) in rows {
            builder
                .append(*timestamp, None, Some(value.as_bytes()), &[])
                .unwrap();
        }
        let records = builder.finish(self.stamp).unwrap();
        loop {
            let topic_id = cluster.topic(&topic, LIMIT).await.unwrap().id;
            let leader = cluster.metadata().leader(&topic, partition).unwrap().0;
            let request = ProduceRequest {
                transactional_id: Some(self.id.as_str().into()),
                acks: -1,
                timeout_ms: 30_000,
                topic_data: vec![TopicProduceData {
                    name: topic.as_str().into(),
                    topic_id,
                    partition_data: vec![PartitionProduceData {
                        index: partition,
                        records: Some(records.clone().into()),
                    }],
                }],
            };
            let connection = cluster.connection(leader, Purpose::Produce).await.unwrap();
            let response = connection.call(&request, LIMIT).await.unwrap();
            let code = response.responses[0].partition_responses[0].error_code;
            if code.is_ok() {
                return;
            }
            assert!(code.is_retriable(), "writing in a transaction: {code}");
        }
    }

    pub(crate) async fn end(self, committed: bool) {
        let request = EndTxnRequest {
            transactional_id: self.id.as_str().into(),
            producer_id: self.stamp.producer_id,
            producer_epoch: self.stamp.producer_epoch,
            committed,
        };
        loop {
            let response = self.job.transactional(&self.id, &request).await;
            if response.error_code.is_ok() {
                return;
            }
            let code = response.error_code;
            assert!(code.is_retriable(), "ending a transaction: {code}");
        }
    }
}

impl Job {
    async fn transactional<R: kafka_proto::schema::Request>(
        &self,
        id: &str,
        request: &R,
    ) -> R::Response {
        let kind = CoordinatorKind::Transaction;
        let found = self.cluster.coordinator_of(kind, id).await.unwrap();
        found.1.call(request, LIMIT).await.unwrap()
    }
}
