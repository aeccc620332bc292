//! What the records of one partition's answer mean: which batches are delivered, and where the position goes. Pure.

use bytes::Bytes;

use crate::{
    messages::fetch,
    records::{AbortedFilter, AbortedTransaction, Batch, RecordError, Verdict, batches},
};

/// The batches of an answer, judged.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// To be delivered, in order.
    pub(super) batches: Vec<Batch>,
    /// Behind the last whole batch, delivered or not.
    pub(super) position: i64,
    pub(super) leader_epoch: i32,
    /// Why what stands at `position` cannot be read, and where reading could go on.
    pub(super) bad: Option<(RecordError, i64)>,
    /// Bytes of a last batch that is cut off.
    pub(super) partial_bytes: usize,
    pub(super) record_count: u64,
    /// Bytes of all whole batches.
    pub(super) whole_bytes: usize,
    /// Bytes of copies that were made of them: messages of old versions are inflated and written anew when they are cut.
    pub(super) copied_bytes: usize,
}

/// Judges the records that a fetch from `from` answered. `aborted` is none under read_uncommitted. Once copies of more than `copies_max`
/// bytes were made, what is left of the answer is not looked at: it is fetched again.
pub(super) fn cut(
    records: Bytes,
    from: i64,
    leader_epoch: i32,
    aborted: Option<Vec<fetch::AbortedTransaction>>,
    check_crcs: bool,
    copies_max: usize,
) -> Cut {
    let mut cut = Cut {
        position: from,
        leader_epoch,
        ..Cut::default()
    };
    let listed = aborted.unwrap_or_default().into_iter();
    let mut filter = AbortedFilter::new(listed.map(|a| AbortedTransaction {
        producer_id: a.producer_id,
        first_offset: a.first_offset,
    }));
    let size = records.len();
    let mut found = batches(records);
    for batch in &mut found {
        let judged = batch.and_then(|batch| {
            // Markers decide over others' records and are read here; all else is verified when it is taken.
            if check_crcs && batch.is_control() {
                batch.verify_crc()?;
            }
            let verdict = filter.judge(&batch)?;
            Ok((batch, verdict))
        });
        let (batch, verdict) = match judged {
            Ok(judged) => judged,
            Err(error) => {
                cut.bad = Some((error, cut.position.saturating_add(1)));
                break;
            }
        };
        if batch.magic() < 2 {
            cut.copied_bytes += batch.size_bytes();
        }
        // The position moves behind the whole batch, whatever compaction left of it.
        let next = batch.next_offset();
        if next <= cut.position {
            continue;
        }
        cut.position = next;
        cut.leader_epoch = batch.partition_leader_epoch();
        if verdict == Verdict::Deliver && batch.record_count() > 0 {
            cut.record_count += u64::from(batch.record_count());
            cut.batches.push(batch);
        }
        if cut.copied_bytes > copies_max {
            cut.whole_bytes = size - found.partial_bytes();
            return cut;
        }
    }
    cut.partial_bytes = found.partial_bytes();
    cut.whole_bytes = size - cut.partial_bytes;
    cut
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::records::{
        BatchBuilder, Compression, ControlType, EndTxnMarker, Placement, Stamp, end_txn_batch,
    };

    fn batch(
        base_offset: i64,
        count: i32,
        last_offset_delta: i32,
        producer_id: Option<i64>,
    ) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::NONE, 1024);
        for _ in 0..count {
            builder.append(7, None, Some(b"v"), &[]).unwrap();
        }
        let stamp = producer_id.map_or(Stamp::NONE, |producer_id| Stamp {
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            transactional: true,
        });
        let last_offset_delta = Some(last_offset_delta);
        let placement = Placement {
            base_offset,
            partition_leader_epoch: 5,
            last_offset_delta,
            ..Placement::NONE
        };
        builder.finish_at(stamp, placement).unwrap()
    }

    fn marker(kind: ControlType, producer_id: i64, base_offset: i64) -> Bytes {
        let placement = Placement {
            base_offset,
            partition_leader_epoch: 5,
            ..Placement::NONE
        };
        end_txn_batch(
            kind,
            EndTxnMarker {
                coordinator_epoch: 0,
            },
            producer_id,
            0,
            7,
            placement,
        )
    }

    fn together(parts: &[Bytes]) -> Bytes {
        parts.concat().into()
    }

    /// A message of version 1, with a value of so many bytes.
    fn old_message(offset: i64, size: usize) -> Bytes {
        let mut body = vec![1, 0];
        body.extend(7_i64.to_be_bytes());
        body.extend((-1_i32).to_be_bytes());
        body.extend((size as i32).to_be_bytes());
        body.resize(body.len() + size, b'v');
        let mut message = offset.to_be_bytes().to_vec();
        message.extend((body.len() as i32 + 4).to_be_bytes());
        message.extend(crate::partition::crc32(&body).to_be_bytes());
        message.extend(body);
        message.into()
    }

    #[test]
    fn copies_of_old_messages_are_counted_and_end_at_their_limit() {
        let records = together(&[0, 1, 2, 3].map(|offset| old_message(offset, 1000)));
        let all = cut(records.clone(), 0, -1, None, true, usize::MAX);
        assert_eq!((all.position, all.batches.len()), (4, 4));
        let bytes: usize = all.batches.iter().map(Batch::size_bytes).sum();
        assert_eq!(all.copied_bytes, bytes);
        // One goes beyond the limit at most, and what is left is fetched again.
        let some = cut(records.clone(), 0, -1, None, true, 1500);
        assert_eq!((some.position, some.batches.len()), (2, 2));
        assert_eq!(
            (some.partial_bytes, some.whole_bytes),
            (0, records.len() / 2)
        );
        let one = cut(records, 2, -1, None, true, 0);
        assert_eq!((one.position, offsets(&one)), (3, vec![2]));
        let new = cut(batch(0, 2, 1, None), 0, -1, None, true, 0);
        assert_eq!(new.copied_bytes, 0);
    }

    fn offsets(cut: &Cut) -> Vec<i64> {
        cut.batches.iter().map(Batch::base_offset).collect()
    }

    #[test]
    fn the_position_goes_behind_a_compacted_batch_though_its_last_records_are_gone() {
        // Two records are left of ten; the fetch began in the hole behind them.
        let cut = cut(batch(100, 2, 9, None), 105, -1, None, true, usize::MAX);
        assert_eq!((cut.position, cut.leader_epoch), (110, 5));
        assert_eq!(
            offsets(&cut),
            [100],
            "its records below the position are skipped by the walk"
        );
    }

    #[test]
    fn an_empty_batch_moves_the_position_and_is_not_delivered() {
        let cut = cut(
            together(&[batch(0, 0, 4, None), batch(5, 1, 0, None)]),
            0,
            -1,
            None,
            true,
            usize::MAX,
        );
        assert_eq!((cut.position, offsets(&cut)), (6, vec![5]));
    }

    #[test]
    fn markers_move_the_position_and_are_not_delivered() {
        let records = together(&[batch(0, 3, 2, Some(9)), marker(ControlType::Commit, 9, 3)]);
        let cut = cut(records, 0, -1, Some(Vec::new()), true, usize::MAX);
        assert_eq!((cut.position, offsets(&cut)), (4, vec![0]));
    }

    #[test]
    fn an_answer_of_aborted_records_alone_moves_the_position() {
        let records = together(&[batch(0, 3, 2, Some(9)), marker(ControlType::Abort, 9, 3)]);
        let aborted = vec![fetch::AbortedTransaction {
            producer_id: 9,
            first_offset: 0,
        }];
        let committed = cut(records.clone(), 0, -1, Some(aborted), true, usize::MAX);
        assert_eq!((committed.position, committed.batches.len()), (4, 0));
        let uncommitted = cut(records, 0, -1, None, true, usize::MAX);
        assert_eq!((uncommitted.position, offsets(&uncommitted)), (4, vec![0]));
    }

    #[test]
    fn an_unsorted_list_of_aborted_transactions_holds_across_batches() {
        let records = together(&[
            batch(0, 1, 0, Some(1)),
            marker(ControlType::Commit, 1, 1),
            batch(2, 1, 0, Some(2)),
            batch(3, 1, 0, Some(1)),
            batch(4, 1, 0, Some(2)),
            marker(ControlType::Abort, 2, 5),
            marker(ControlType::Abort, 1, 6),
            batch(7, 1, 0, Some(1)),
        ]);
        let aborted = vec![
            fetch::AbortedTransaction {
                producer_id: 1,
                first_offset: 3,
            },
            fetch::AbortedTransaction {
                producer_id: 2,
                first_offset: 2,
            },
        ];
        let cut = cut(records, 0, -1, Some(aborted), true, usize::MAX);
        assert_eq!((cut.position, offsets(&cut)), (8, vec![0, 7]));
    }

    #[test]
    fn a_cut_last_batch_is_normal() {
        let mut records =
            BytesMut::from(&together(&[batch(0, 1, 0, None), batch(1, 1, 0, None)])[..]);
        records.truncate(records.len() - 3);
        let cut = cut(records.freeze(), 0, -1, None, true, usize::MAX);
        assert!(cut.bad.is_none() && cut.partial_bytes > 0);
        assert_eq!((cut.position, offsets(&cut)), (1, vec![0]));
    }

    #[test]
    fn what_stands_before_a_bad_batch_is_delivered_and_the_position_stays_at_it() {
        let mut bad = BytesMut::from(&batch(1, 1, 0, None)[..]);
        bad[8..12].copy_from_slice(&(-5_i32).to_be_bytes());
        let cut = cut(
            together(&[batch(0, 1, 0, None), bad.freeze(), batch(2, 1, 0, None)]),
            0,
            -1,
            None,
            true,
            usize::MAX,
        );
        assert_eq!((cut.position, offsets(&cut)), (1, vec![0]));
        assert!(matches!(
            cut.bad,
            Some((RecordError::BatchLength { .. }, 2))
        ));
    }

    #[test]
    fn a_corrupt_marker_is_not_believed() {
        let mut abort = BytesMut::from(&marker(ControlType::Abort, 9, 1)[..]);
        let last = abort.len() - 1;
        abort[last] ^= 1;
        let cut = cut(
            together(&[batch(0, 1, 0, Some(9)), abort.freeze()]),
            0,
            -1,
            None,
            true,
            usize::MAX,
        );
        assert!(matches!(cut.bad, Some((RecordError::Crc { .. }, _))));
        assert_eq!(cut.position, 1);
    }
}
