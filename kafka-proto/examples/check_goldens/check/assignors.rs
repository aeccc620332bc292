//! Vectors of partition assignors, those of the clients (range, roundrobin, sticky, cooperative-sticky): who gets which partitions.

use kafka_proto::{
    client::{GroupMember, TopicLayout, assignor_named},
    wire::Text,
};
use serde_json::{Map, Value, json};

use super::{Check, Outcome, expect};

/// One round of one assignor.
pub(crate) fn check(vector: &Value) -> Check {
    let name = vector["assignor"].as_str().unwrap_or("?");
    let side = vector["side"].as_str().unwrap_or("?");
    let ("client", Some(assignor)) = (side, assignor_named(name)) else {
        return Ok(Outcome::Skipped(format!("assignors: {side} {name}")));
    };
    let mut got = Map::new();
    for assignment in assignor.assign(&members(vector)?, &topics(vector)?) {
        let of: Map<String, Value> = assignment
            .partitions
            .into_iter()
            .map(|(topic, mut partitions)| {
                partitions.sort_unstable();
                (topic.to_string(), json!(partitions))
            })
            .collect();
        got.insert(assignment.member_id.to_string(), Value::Object(of));
    }
    let case = vector["case"].as_str().unwrap_or("?");
    let what = format!("{name} {case} round {}", vector["round"]);
    expect(&what, &Value::Object(got), &vector["out"])?;
    Ok(Outcome::Passed)
}

fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Map<String, Value>, String> {
    value[name]
        .as_object()
        .ok_or_else(|| format!("{name} is missing"))
}

fn array<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>, String> {
    value[name]
        .as_array()
        .ok_or_else(|| format!("{name} is missing"))
}

fn text(value: &Value) -> Option<Text> {
    value.as_str().map(Text::from)
}

fn members(vector: &Value) -> Result<Vec<GroupMember>, String> {
    let member = |member: &Value| {
        let partitions = |of: &Value| -> Vec<i32> {
            let of = of.as_array().into_iter().flatten();
            of.filter_map(|of| of.as_i64()?.try_into().ok()).collect()
        };
        let owned = object(member, "owned")?.iter();
        Ok(GroupMember {
            member_id: text(&member["memberId"]).ok_or("memberId is missing")?,
            instance_id: text(&member["groupInstanceId"]),
            rack: text(&member["rackId"]),
            topics: array(member, "topics")?.iter().filter_map(text).collect(),
            userdata: None,
            owned: owned
                .map(|(topic, of)| (Text::from(topic), partitions(of)))
                .collect(),
            generation: member["generation"]
                .as_i64()
                .and_then(|generation| generation.try_into().ok())
                .ok_or("generation is missing")?,
        })
    };
    array(&vector["in"], "members")?
        .iter()
        .map(member)
        .collect()
}

fn topics(vector: &Value) -> Result<Vec<TopicLayout>, String> {
    let racks = &vector["in"]["replicaRacks"];
    let layout = |(name, count): (&String, &Value)| {
        let count = count.as_u64().ok_or("partitionsPerTopic holds no number")?;
        let mut layout = TopicLayout::new(name.as_str(), count as usize);
        if let Some(racks) = racks[name].as_array() {
            let of = |replicas: &Value| {
                let replicas = replicas.as_array().into_iter().flatten();
                replicas.filter_map(text).collect()
            };
            layout.partitions = racks.iter().map(of).collect();
        }
        Ok(layout)
    };
    object(&vector["in"], "partitionsPerTopic")?
        .iter()
        .map(layout)
        .collect()
}
