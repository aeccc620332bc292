//! What counts as committed.

use crate::messages::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};

use super::*;

fn answer(topics: &[(&str, &[(i32, ErrorCode)])]) -> OffsetCommitResponse {
    let topics = topics.iter().map(|(name, partitions)| {
        let partitions = partitions
            .iter()
            .map(|(index, code)| OffsetCommitResponsePartition {
                partition_index: *index,
                error_code: *code,
            });
        OffsetCommitResponseTopic {
            name: Text::from(*name),
            partitions: partitions.collect(),
            ..OffsetCommitResponseTopic::default()
        }
    });
    OffsetCommitResponse {
        topics: topics.collect(),
        ..OffsetCommitResponse::default()
    }
}

#[test]
fn a_commit_counts_only_if_each_of_its_partitions_was_answered_well() {
    let partition = |partition_index| OffsetCommitRequestPartition {
        partition_index,
        ..OffsetCommitRequestPartition::default()
    };
    let topic = |name: &str, partitions| OffsetCommitRequestTopic {
        name: Text::from(name),
        partitions,
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        topics: vec![
            topic("t", vec![partition(0), partition(1)]),
            topic("u", vec![partition(0)]),
        ],
        ..OffsetCommitRequest::default()
    };
    let (well, bad) = (ErrorCode::NONE, ErrorCode::INVALID_COMMIT_OFFSET_SIZE);
    let code = |topics: &[(&str, &[(i32, ErrorCode)])]| {
        let all = committed_all("g", &request, &answer(topics));
        all.err().map(|error| error.code().unwrap())
    };
    assert_eq!(
        code(&[("t", &[(0, well), (1, well)]), ("u", &[(0, well)])]),
        None
    );
    assert_eq!(
        code(&[("t", &[(0, well), (1, well)]), ("u", &[(0, bad)])]),
        Some(bad)
    );
    let missing = Some(ErrorCode::UNKNOWN_SERVER_ERROR);
    assert_eq!(code(&[("t", &[(0, well), (1, well)])]), missing);
    assert_eq!(code(&[("t", &[(1, well)]), ("u", &[(0, well)])]), missing);
    assert_eq!(code(&[]), missing);
}
