//! consumer_protocol

use bytes::Bytes;

use crate::wire::Text;

message! {
    pub struct ConsumerProtocolSubscription [0..=3] {
        topics: Vec<Text> [0..],
        user_data: Option<Bytes> [0..] = None,
        owned_partitions: Vec<RequestTopicPartition> [1..] ignorable,
        generation_id: i32 [2..] ignorable = -1,
        rack_id: Option<Text> [3..] ignorable = None,
    }

    pub struct RequestTopicPartition {
        topic: Text [1..],
        partitions: Vec<i32> [1..],
    }

    pub struct ConsumerProtocolAssignment [0..=3] {
        assigned_partitions: Vec<ResponseTopicPartition> [0..],
        user_data: Option<Bytes> [0..] = None,
    }

    pub struct ResponseTopicPartition {
        topic: Text [0..],
        partitions: Vec<i32> [0..],
    }
}
