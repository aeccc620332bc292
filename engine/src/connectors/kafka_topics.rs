//! The topics of a run: looked up, created where they are missing and may be, changelogs checked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kafka_proto::client::Cluster;
use kafka_proto::messages::ErrorCode;
use kafka_proto::messages::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest,
};
use kafka_proto::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};

use super::Need;
use super::kafka::failed;
use crate::Error;

/// How long a missing topic is waited for: brokers may be creating it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Resource types of DescribeConfigs.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Makes sure that the topics are there and as they must be; returns their partition counts.
pub(super) async fn open(
    cluster: &Cluster,
    topics: &[(String, Need)],
    replication_factor: i16,
) -> Result<Vec<i32>, Error> {
    let names: Vec<&str> = topics.iter().map(|(name, _)| name.as_str()).collect();
    let existing = existing(cluster, &names).await?;
    // Inputs first: an output that is created gets as many partitions as they have.
    let mut counts: HashMap<&str, i32> = HashMap::new();
    for (name, _) in topics.iter().filter(|(_, need)| *need == Need::Input) {
        let count = match existing.get(name.as_str()) {
            Some(count) => *count,
            None => auto_created(cluster, name).await?,
        };
        counts.insert(name, count);
    }
    let widest = counts.values().copied().max().unwrap_or(1);
    let mut check = Vec::new();
    for (name, need) in topics {
        let count = match (need, existing.get(name.as_str())) {
            (Need::Input, _) => continue,
            (Need::Output, Some(count)) => *count,
            (Need::Output, None) => {
                may_create(cluster, name).await?;
                create(cluster, name, widest, replication_factor, &[]).await?;
                settled(cluster, name).await?
            }
            (Need::Changelog { .. }, Some(count)) => {
                check.push((name.as_str(), need, *count));
                *count
            }
            (Need::Changelog { partitions }, None) => {
                let configs = [
                    ("cleanup.policy", "compact"),
                    ("message.timestamp.type", "CreateTime"),
                ];
                create(cluster, name, *partitions, replication_factor, &configs).await?;
                let count = settled(cluster, name).await?;
                check.push((name.as_str(), need, count));
                count
            }
        };
        counts.insert(name, count);
    }
    check_changelogs(cluster, &check).await?;
    Ok(names.iter().map(|name| counts[name]).collect())
}

/// Topics that are there, without having any created.
async fn existing(cluster: &Cluster, names: &[&str]) -> Result<HashMap<String, i32>, Error> {
    use kafka_proto::messages::metadata::{MetadataRequest, MetadataRequestTopic};
    let doing = || format!("looking up {}", names.join(", "));
    let connection = cluster
        .any_connection()
        .await
        .map_err(|e| failed(doing(), e))?;
    let request = MetadataRequest {
        topics: Some(
            names
                .iter()
                .map(|name| MetadataRequestTopic {
                    name: Some((*name).into()),
                    ..Default::default()
                })
                .collect(),
        ),
        allow_auto_topic_creation: false,
        ..Default::default()
    };
    let response = connection
        .call(&request, cluster.config().request_timeout())
        .await
        .map_err(|e| failed(doing(), e))?;
    let mut found = HashMap::new();
    for topic in response.topics {
        let name = topic.name.as_deref().unwrap_or_default();
        match topic.error_code {
            ErrorCode::NONE | ErrorCode::LEADER_NOT_AVAILABLE => {
                found.insert(name.to_owned(), topic.partitions.len() as i32);
            }
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {}
            code => return Err(refused(&format!("looking up topic {name}"), code, None)),
        }
    }
    Ok(found)
}

/// Has the brokers create a topic by asking for it, if they do that.
async fn auto_created(cluster: &Cluster, name: &str) -> Result<i32, Error> {
    may_create(cluster, name).await?;
    settled(cluster, name).await
}

/// Waits until a topic is known to the brokers and to this client.
async fn settled(cluster: &Cluster, name: &str) -> Result<i32, Error> {
    let topic = cluster
        .topic(name, PATIENCE)
        .await
        .map_err(|e| failed(format!("looking up topic {name}"), e))?;
    Ok(topic.partitions.len() as i32)
}

/// Topics of users are created only where the brokers' settings and this client's say so.
async fn may_create(cluster: &Cluster, name: &str) -> Result<(), Error> {
    let off = |setting: &str| {
        Err(Error::Settings(format!(
            "topic {name} does not exist, and {setting} is false: create the topic first, or switch that on"
        )))
    };
    if !cluster.config().allow_auto_create_topics {
        return off("allow.auto.create.topics");
    }
    let metadata = cluster.metadata();
    let Some(broker) = metadata.brokers().next() else {
        return Ok(());
    };
    let key = "auto.create.topics.enable";
    // Who may not read the brokers' settings may still be allowed to create topics: the broker will say.
    match describe(cluster, BROKER, &broker.id.to_string(), key).await {
        Ok(Some(value)) if value == "false" => off("the brokers' auto.create.topics.enable"),
        _ => Ok(()),
    }
}

async fn create(
    cluster: &Cluster,
    name: &str,
    partitions: i32,
    replication_factor: i16,
    configs: &[(&str, &str)],
) -> Result<(), Error> {
    let doing = format!("creating topic {name}");
    let connection = cluster
        .any_connection()
        .await
        .map_err(|e| failed(doing.clone(), e))?;
    let timeout = cluster.config().request_timeout();
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
    };
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor,
        configs: configs.iter().map(config).collect(),
        ..Default::default()
    };
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: timeout.as_millis() as i32,
        ..Default::default()
    };
    let response = connection
        .call(&request, timeout)
        .await
        .map_err(|e| failed(doing.clone(), e))?;
    match response.topics.first() {
        // Another process may have been faster.
        Some(result)
            if result.error_code.is_ok()
                || result.error_code == ErrorCode::TOPIC_ALREADY_EXISTS =>
        {
            Ok(())
        }
        Some(result) => Err(refused(
            &doing,
            result.error_code,
            result.error_message.as_deref(),
        )),
        None => Err(refused(
            &doing,
            ErrorCode::UNKNOWN_SERVER_ERROR,
            Some("the answer is empty"),
        )),
    }
}

/// One setting of a topic or broker; `None` where it is not told.
async fn describe(
    cluster: &Cluster,
    resource_type: i8,
    name: &str,
    key: &str,
) -> Result<Option<String>, Error> {
    let doing = || format!("reading the settings of {name}");
    let connection = cluster
        .any_connection()
        .await
        .map_err(|e| failed(doing(), e))?;
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: Some(vec![key.into()]),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    let response = connection
        .call(&request, cluster.config().request_timeout())
        .await
        .map_err(|e| failed(doing(), e))?;
    let Some(result) = response.results.into_iter().next() else {
        return Ok(None);
    };
    if !result.error_code.is_ok() {
        return Err(refused(
            &doing(),
            result.error_code,
            result.error_message.as_deref(),
        ));
    }
    let config = result.configs.iter().find(|config| *config.name == *key);
    Ok(config
        .and_then(|config| config.value.as_deref())
        .map(str::to_owned))
}

/// A changelog that loses entries, or spreads them otherwise than this application, loses state.
async fn check_changelogs(cluster: &Cluster, topics: &[(&str, &Need, i32)]) -> Result<(), Error> {
    for (name, need, count) in topics {
        let Need::Changelog { partitions } = need else {
            continue;
        };
        if count != partitions {
            return Err(Error::State(format!(
                "changelog topic {name} has {count} partitions, this application needs {partitions}, one for each key group; delete the topic to start anew, or use another application id (--group-id)"
            )));
        }
        let policy = describe(cluster, TOPIC, name, "cleanup.policy").await?;
        // Where the setting may not be read the topic is taken as it is.
        if let Some(policy) = policy.filter(|policy| policy.trim() != "compact") {
            return Err(Error::State(format!(
                "changelog topic {name} has cleanup.policy={policy}, so that state would be deleted; set it to compact (kafka-configs --alter --topic {name} --add-config cleanup.policy=compact)"
            )));
        }
    }
    Ok(())
}

fn refused(doing: &str, code: ErrorCode, message: Option<&str>) -> Error {
    let detail = message
        .filter(|text| !text.is_empty())
        .map_or_else(|| code.message().to_owned(), str::to_owned);
    Error::Cluster {
        doing: doing.to_owned(),
        source: format!("{code}: {detail}").into(),
        retriable: code.is_retriable(),
    }
}

/// Names shared by the parts of a run.
pub(super) fn names(topics: &[(String, Need)]) -> Arc<[Arc<str>]> {
    topics
        .iter()
        .map(|(name, _)| Arc::from(name.as_str()))
        .collect()
}
