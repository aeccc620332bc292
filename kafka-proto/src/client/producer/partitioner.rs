//! Where records go that name no partition: by a hash of the key, or with the current batch (KIP-794); and what users may plug in.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

use super::ProducerRecord;
use crate::client::config::{Config, PartitionerChoice};
use crate::partition::{partition_for_key, partition_for_key_by_crc32, partition_for_key_by_fnv1a};

/// Chooses partitions for records that name none. Called once a record, on the thread that sends it: it must not block.
pub trait Partitioner: Debug + Send + Sync {
    /// The partition of a record among `partitions` (counted from 0; at least one), or `None` if any will do: then it goes where the
    /// current batch of such records goes.
    fn partition(&self, record: &ProducerRecord<'_>, partitions: usize) -> Option<i32>;
}

/// What `partitioner` and `partitioner.ignore.keys` say.
#[derive(Debug)]
pub(super) struct Configured {
    choice: PartitionerChoice,
    ignores_keys: bool,
    next: AtomicU32,
}

impl Configured {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            choice: config.partitioner,
            ignores_keys: config.partitioner_ignore_keys,
            next: AtomicU32::new(0),
        }
    }
}

impl Partitioner for Configured {
    fn partition(&self, record: &ProducerRecord<'_>, partitions: usize) -> Option<i32> {
        let key = record.key.filter(|_| !self.ignores_keys);
        match self.choice {
            PartitionerChoice::Murmur2 => Some(partition_for_key(key?, partitions)),
            PartitionerChoice::Murmur2Single => {
                Some(partition_for_key(key.unwrap_or_default(), partitions))
            }
            PartitionerChoice::Crc32 => {
                let key = key.filter(|key| !key.is_empty())?;
                Some(partition_for_key_by_crc32(key, partitions))
            }
            PartitionerChoice::Crc32Single => {
                let key = key.unwrap_or_default();
                Some(partition_for_key_by_crc32(key, partitions))
            }
            PartitionerChoice::Fnv1a => Some(partition_for_key_by_fnv1a(key?, partitions)),
            PartitionerChoice::Fnv1aSingle => {
                let key = key.unwrap_or_default();
                Some(partition_for_key_by_fnv1a(key, partitions))
            }
            PartitionerChoice::Sticky => None,
            PartitionerChoice::RoundRobin => {
                Some((self.next.fetch_add(1, Relaxed) as usize % partitions) as i32)
            }
        }
    }
}

/// Where records go for which any partition will do, until a batch's worth of bytes went there (KIP-794).
#[derive(Debug)]
pub(super) struct Sticky {
    partition: AtomicUsize,
    bytes: AtomicUsize,
}

impl Sticky {
    pub(super) fn new(partition: usize) -> Self {
        Self {
            partition: AtomicUsize::new(partition),
            bytes: AtomicUsize::new(0),
        }
    }

    /// The partition for now.
    pub(super) fn partition(&self, partitions: usize) -> usize {
        self.partition.load(Relaxed) % partitions
    }

    /// Counts a record that went there. Whether it is time for another partition: after a batch's worth, with the end of a batch, so that
    /// none is left behind unfilled; but not later than after two.
    pub(super) fn count(&self, bytes: usize, ends_batch: bool, batch_size: usize) -> bool {
        let bytes = self.bytes.fetch_add(bytes, Relaxed) + bytes;
        (bytes >= batch_size && ends_batch) || bytes >= batch_size.saturating_mul(2)
    }

    /// Goes on to a partition chosen by [`choose`]; `None`: to any.
    pub(super) fn move_on(&self, loads: &[Option<u32>], random: u64) {
        self.bytes.store(0, Relaxed);
        self.partition.store(choose(loads, random), Relaxed);
    }
}

/// A partition by chance: the fewer batches wait there, the likelier. `None` stands for a partition that cannot take anything now;
/// if that is all of them, they are all alike.
fn choose(loads: &[Option<u32>], random: u64) -> usize {
    let longest = loads.iter().flatten().max().copied().unwrap_or_default();
    let weight = |load: &Option<u32>| load.map_or(0, |load| u64::from(longest - load) + 1);
    let total: u64 = loads.iter().map(weight).sum();
    if total == 0 {
        return (random % loads.len().max(1) as u64) as usize;
    }
    let mut left = random % total;
    for (partition, load) in loads.iter().enumerate() {
        let weight = weight(load);
        if left < weight {
            return partition;
        }
        left -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(choice: PartitionerChoice, key: Option<&[u8]>) -> Option<i32> {
        let config = Config::default().partitioner(choice);
        let record = ProducerRecord {
            key,
            ..ProducerRecord::default()
        };
        Configured::new(&config).partition(&record, 10)
    }

    #[test]
    fn empty_keys_are_keys_to_java_and_none_to_librdkafka() {
        use PartitionerChoice::{
            Crc32, Crc32Single, Fnv1a, Fnv1aSingle, Murmur2, Murmur2Single, RoundRobin, Sticky,
        };
        let empty = Some(partition_for_key(b"", 10));
        assert_eq!(chosen(Murmur2, Some(b"")), empty);
        assert_eq!(chosen(Murmur2, None), None);
        assert_eq!(chosen(Murmur2Single, None), empty);
        assert_eq!(chosen(Crc32, Some(b"")), None);
        assert_eq!(chosen(Crc32, None), None);
        assert_eq!(chosen(Crc32Single, None), Some(0));
        assert_eq!(chosen(Crc32Single, Some(b"")), Some(0));
        let hash = 0xcbf4_3926_u32;
        assert_eq!(chosen(Crc32, Some(b"123456789")), Some((hash % 10) as i32));
        // The hash of nothing is 0x7ee3623b = 2128831035.
        assert_eq!(chosen(Fnv1a, None), None);
        assert_eq!(chosen(Fnv1a, Some(b"")), Some(5));
        assert_eq!(chosen(Fnv1aSingle, None), Some(5));
        let key = Some(&b"giberish123456789"[..]);
        assert_eq!(
            chosen(Fnv1aSingle, key),
            Some((0x77a5_8295_u32 % 10) as i32)
        );
        assert_eq!(chosen(Sticky, Some(b"a")), None);
        assert_eq!(chosen(RoundRobin, Some(b"a")), Some(0));
    }

    #[test]
    fn partitions_where_more_waits_are_chosen_less_and_those_without_leader_not_at_all() {
        let loads = [Some(0), Some(3), None, Some(2)];
        let mut counts = [0; 4];
        for random in 0..700 {
            counts[choose(&loads, random)] += 1;
        }
        assert_eq!(counts, [400, 100, 0, 200]);
        assert_eq!(choose(&[None, None], 3), 1);
        assert_eq!(choose(&[], 3), 0);
    }

    #[test]
    fn a_batchs_worth_goes_to_one_partition_and_two_at_most() {
        let sticky = Sticky::new(7);
        assert_eq!(sticky.partition(4), 3);
        assert!(!sticky.count(600, true, 1000));
        assert!(!sticky.count(600, false, 1000), "the batch is not full yet");
        assert!(sticky.count(10, true, 1000));
        assert!(sticky.count(800, false, 1000));
        sticky.move_on(&[Some(0), None], 5);
        assert_eq!(sticky.partition(2), 0);
        assert!(!sticky.count(999, true, 1000));
    }
}
