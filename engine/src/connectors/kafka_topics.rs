//! The topics of a run: looked up, created where they are missing and may be, changelogs checked.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use kafka_proto::client::{self, Admin, BrokerId, Cluster, ConfigEntry, NewTopic, Purpose};
use kafka_proto::messages::ErrorCode;
use kafka_proto::messages::describe_configs::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_proto::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponseTopic,
};

use super::kafka::failed;
use crate::Error;
use crate::checkpoint::log::Need;

/// How long a missing topic is waited for: brokers may be creating it.
const PATIENCE: Duration = Duration::from_secs(5);
/// The resource type of DescribeConfigs for a broker.
const BROKER: i8 = 4;

/// How topics are created.
#[derive(Clone, Copy, Debug)]
pub(super) struct Created {
    pub(super) replication_factor: i16,
    /// Whether topics of users are created at all.
    pub(super) auto_create: bool,
    /// Partitions of an output, where there is no input to go by.
    pub(super) partitions: i32,
}

/// What internal topics must be, whatever is asked for: otherwise state would be lost.
const INTERNAL: [(&str, &str); 2] = [
    ("cleanup.policy", "compact"),
    ("message.timestamp.type", "CreateTime"),
];

/// The topics of a run.
pub(super) struct Opened {
    /// Number of partitions of each.
    pub(super) counts: Vec<i32>,
    /// In which way internal topics that were there are not as the settings ask for.
    pub(super) warnings: Vec<String>,
}

/// Makes sure that the topics are there and as they must be. `internal` are the settings of changelogs beside those that they always have.
pub(super) async fn open(
    cluster: &Cluster,
    topics: &[(String, Need)],
    created: Created,
    internal: &BTreeMap<String, String>,
) -> Result<Opened, Error> {
    let Created {
        replication_factor,
        auto_create,
        partitions,
    } = created;
    let names: Vec<&str> = topics.iter().map(|(name, _)| name.as_str()).collect();
    let existing = existing(cluster, &names).await?;
    // Inputs first: an output that is created gets as many partitions as they have.
    let mut counts: HashMap<&str, i32> = HashMap::new();
    for (name, _) in topics
        .iter()
        .filter(|(_, need)| matches!(need, Need::Input(_)))
    {
        let count = match existing.get(name.as_str()) {
            Some(count) => *count,
            None => auto_created(cluster, name, auto_create).await?,
        };
        counts.insert(name, count);
    }
    let widest = counts.values().copied().max().unwrap_or(partitions);
    let (mut check, mut warnings) = (Vec::new(), Vec::new());
    for (name, need) in topics {
        let count = match (need, existing.get(name.as_str())) {
            (Need::Input(_), _) => continue,
            (Need::Output(_), Some(count)) => *count,
            (Need::Output(_), None) => {
                may_create(cluster, name, auto_create).await?;
                create(cluster, name, widest, replication_factor, &[]).await?;
                settled(cluster, name).await?
            }
            (Need::Changelog { .. }, Some(count)) => {
                check.push((name.as_str(), need, *count));
                *count
            }
            (Need::Changelog { partitions }, None) => {
                let asked = internal.iter().map(|(k, v)| (k.as_str(), v.as_str()));
                let asked = asked.filter(|(name, _)| INTERNAL.iter().all(|(own, _)| own != name));
                let configs: Vec<_> = INTERNAL.into_iter().chain(asked).collect();
                create(cluster, name, *partitions, replication_factor, &configs).await?;
                let count = settled(cluster, name).await?;
                check.push((name.as_str(), need, count));
                count
            }
        };
        counts.insert(name, count);
    }
    for (name, need, count) in check {
        if let Need::Changelog { partitions } = need {
            let configs = check_changelog(cluster, name, *partitions, count).await?;
            warnings.extend(differences(name, internal, &configs)?);
            warnings.extend(replicas(cluster, name, replication_factor).await?);
        }
    }
    let counts = names.iter().map(|name| counts[name]).collect();
    Ok(Opened { counts, warnings })
}

/// Asks for topics by name.
async fn ask(
    cluster: &Cluster,
    names: &[&str],
    create: bool,
) -> Result<Vec<MetadataResponseTopic>, Error> {
    let doing = || format!("looking up {}", names.join(", "));
    let topic = |name: &&str| MetadataRequestTopic {
        name: Some((*name).into()),
        ..Default::default()
    };
    let request = MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: create,
        ..Default::default()
    };
    let connection = cluster
        .any_connection()
        .await
        .map_err(|e| failed(doing(), e))?;
    let response = connection
        .call(&request, cluster.config().request_timeout())
        .await
        .map_err(|e| failed(doing(), e))?;
    Ok(response.topics)
}

/// Topics that are there, without having any created.
async fn existing(cluster: &Cluster, names: &[&str]) -> Result<HashMap<String, i32>, Error> {
    let mut found = HashMap::new();
    for topic in ask(cluster, names, false).await? {
        let name = topic.name.as_deref().unwrap_or_default();
        match topic.error_code {
            // Without partitions yet it is just being made.
            ErrorCode::NONE | ErrorCode::LEADER_NOT_AVAILABLE => {
                let count = match topic.partitions.len() {
                    0 => settled(cluster, name).await?,
                    count => count as i32,
                };
                found.insert(name.to_owned(), count);
            }
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {}
            code => {
                let doing = format!("looking up topic {name}");
                return Err(match is_about_topic(code) {
                    true => Error::Settings(format!("{doing}: {code}: {}", code.message())),
                    false => Error::Cluster {
                        doing,
                        source: format!("{code}: {}", code.message()).into(),
                        retriable: code.is_retriable(),
                    },
                });
            }
        }
    }
    Ok(found)
}

/// Has the brokers create a topic by asking for it, if they do that.
async fn auto_created(cluster: &Cluster, name: &str, auto_create: bool) -> Result<i32, Error> {
    may_create(cluster, name, auto_create).await?;
    // The brokers' answer is that the topic is not there yet.
    ask(cluster, &[name], true).await?;
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
async fn may_create(cluster: &Cluster, name: &str, auto_create: bool) -> Result<(), Error> {
    let off = |setting: &str| {
        Err(Error::Settings(format!(
            "topic {name} does not exist, and {setting} is false: create the topic first, or switch that on"
        )))
    };
    if !auto_create {
        return off("allow.auto.create.topics");
    }
    let metadata = cluster.metadata();
    let Some(broker) = metadata.brokers().next() else {
        return Ok(());
    };
    let key = "auto.create.topics.enable";
    // Who may not read the brokers' settings may still be allowed to create topics: the broker will say.
    match broker_setting(cluster, broker.id, key).await {
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
    let topic = NewTopic::new(name)
        .partitions(partitions)
        .replication_factor(replication_factor);
    let topic = configs
        .iter()
        .fold(topic, |topic, (name, value)| topic.config(name, value));
    match Admin::new(cluster).create_topic(&topic).await {
        Ok(()) => Ok(()),
        // Another process may have been faster.
        Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Ok(()),
        Err(error) if error.code().is_some_and(is_about_topic) => {
            Err(Error::Settings(format!("creating topic {name}: {error}")))
        }
        Err(error) => Err(failed(format!("creating topic {name}"), error)),
    }
}

/// Whether brokers refuse this topic for its name, its rights or their rules, and may take another one.
fn is_about_topic(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::INVALID_TOPIC_EXCEPTION
            | ErrorCode::TOPIC_AUTHORIZATION_FAILED
            | ErrorCode::POLICY_VIOLATION
    )
}

/// One setting of a broker; `None` where it is not told. Only the broker itself knows it.
async fn broker_setting(
    cluster: &Cluster,
    broker: BrokerId,
    key: &str,
) -> Result<Option<String>, client::Error> {
    let resource = DescribeConfigsResource {
        resource_type: BROKER,
        resource_name: broker.to_string().into(),
        configuration_keys: Some(vec![key.into()]),
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        ..Default::default()
    };
    let connection = cluster.connection(broker, Purpose::Metadata).await?;
    let response = connection
        .call(&request, cluster.config().request_timeout())
        .await?;
    let configs = response
        .results
        .into_iter()
        .flat_map(|result| result.configs);
    let mut values = configs.filter(|config| *config.name == *key);
    Ok(values
        .next()
        .and_then(|config| config.value)
        .map(|value| value.to_string()))
}

/// A changelog that loses entries, or spreads them otherwise than this application, loses state. Returns its settings.
async fn check_changelog(
    cluster: &Cluster,
    name: &str,
    partitions: i32,
    count: i32,
) -> Result<BTreeMap<String, ConfigEntry>, Error> {
    if count != partitions {
        return Err(Error::State(format!(
            "changelog topic {name} has {count} partitions, this application needs {partitions}, one for each key group; delete the topic to start anew, or use another application id (--group-id)"
        )));
    }
    let configs = Admin::new(cluster)
        .topic_configs(name)
        .await
        .map_err(|e| failed(format!("reading the settings of topic {name}"), e))?;
    let policy = configs
        .get("cleanup.policy")
        .and_then(|config| config.value.as_deref());
    if let Some(policy) = policy.filter(|policy| policy.trim() != "compact") {
        return Err(Error::State(format!(
            "changelog topic {name} has cleanup.policy={policy}, so that state would be deleted; set it to compact (kafka-configs --alter --topic {name} --add-config cleanup.policy=compact)"
        )));
    }
    Ok(configs)
}

/// In which way a topic's settings are not those that are asked for: they count when a topic is created.
///
/// # Errors
/// When topics have no such setting.
fn differences(
    topic: &str,
    asked: &BTreeMap<String, String>,
    configs: &BTreeMap<String, ConfigEntry>,
) -> Result<Vec<String>, Error> {
    let mut texts = Vec::new();
    for (name, asked) in asked {
        let Some(config) = configs.get(name) else {
            return Err(Error::Settings(format!(
                "topic.{name}={asked}: topics of this cluster have no setting {name}"
            )));
        };
        match &config.value {
            Some(value) if !is_same(value, asked) => texts.push(format!(
                "internal topic {topic} was there with {name}={value}, and topic.{name}={asked} does not change it (kafka-configs --alter --topic {topic} --add-config {name}={asked} does)"
            )),
            _ => {}
        }
    }
    Ok(texts)
}

/// Whether two values of a setting mean the same.
fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    a.eq_ignore_ascii_case(b)
        || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a == b)
}

/// Whether a topic has another number of replicas than is asked for.
async fn replicas(cluster: &Cluster, topic: &str, asked: i16) -> Result<Option<String>, Error> {
    if asked <= 0 {
        return Ok(None);
    }
    let described = Admin::new(cluster).describe_topic(topic).await;
    let described = described.map_err(|e| failed(format!("looking up topic {topic}"), e))?;
    let count = described.partitions.first().map_or(0, |p| p.replicas.len());
    Ok((usize::try_from(asked) != Ok(count)).then(|| {
        format!(
            "internal topic {topic} was there with {count} {}, and replication.factor={asked} does not change that (kafka-reassign-partitions does)",
            if count == 1 { "replica" } else { "replicas" }
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_settings_that_mean_the_same_are_no_difference() {
        for (a, b) in [
            ("1", "1"),
            ("0.50", "0.5"),
            ("TRUE", "true"),
            (" lz4", "lz4"),
        ] {
            assert!(is_same(a, b), "{a} {b}");
        }
        for (a, b) in [("1", "2"), ("", "0"), ("gzip", "lz4")] {
            assert!(!is_same(a, b), "{a} {b}");
        }
    }
}
