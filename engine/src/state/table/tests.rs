//! Tables against a map: many keys, splits, deletions, restores.

use std::collections::HashMap;

use super::*;

fn table(groups: u32) -> Table<u64> {
    Table::new(KeyGroups::new(7, groups), 0)
}

fn drain(table: &mut Table<u64>, limit: usize) -> Vec<(Vec<u8>, u64, i64)> {
    let mut out = vec![];
    for group in 0..table.keys.count() {
        loop {
            let mut rows = Rows::new();
            let more = table.drain_changed(group, &mut rows, limit);
            out.extend(
                rows.iter()
                    .map(|(h, k, v)| (k.to_vec(), decode_all(v).unwrap(), h.timestamp)),
            );
            if !more {
                break;
            }
        }
    }
    out.sort();
    out
}

fn key(i: u64) -> Vec<u8> {
    let prefix = ["", "k", "a-rather-long-key-", "exactly-fifteen"][i as usize % 4];
    format!("{prefix}{i}").into_bytes()
}

#[test]
fn counts_agree_with_a_hash_map_while_groups_grow() {
    let (mut table, mut truth) = (table(5), HashMap::new());
    let mut rows = Vec::new();
    for i in 0..60_000u64 {
        let key = key(i * i % 7919);
        *truth.entry(key.clone()).or_insert(0u64) += 1;
        match Key::short(&key) {
            Some(packed) if i % 2 == 1 => rows.push(KeyRow {
                key: [packed.low, packed.high],
                hash: table.keys.hasher.short(packed),
                timestamp: 1,
            }),
            _ => table.update(&key, 1, |n| *n += 1),
        }
        if rows.len() == CHUNK {
            table.update_keys(&rows, |n| *n += 1);
            rows.clear();
        }
    }
    table.update_keys(&rows, |n| *n += 1);
    assert_eq!(table.len(), truth.len());
    for (key, n) in &truth {
        assert_eq!(table.find(key), Some(n));
    }
    assert_eq!(table.find(b"never seen"), None);
    assert_eq!(table.find(b"never seen, and longer than a slot"), None);
    let mut seen = 0;
    for group in 0..5 {
        table.each(group, |k, n| {
            assert_eq!(truth[k], *n);
            seen += 1;
        });
    }
    assert_eq!(seen, truth.len());
}

#[test]
fn a_key_is_drained_once_with_its_last_value_and_timestamp() {
    let mut table = table(16);
    for i in 0..1000u64 {
        table.update(&key(i % 100), i as i64, |n| *n += 1);
    }
    let mut want: Vec<_> = (0..100).map(|i| (key(i), 10, 900 + i as i64)).collect();
    want.sort();
    assert_eq!(drain(&mut table, 200), want);
    assert_eq!(drain(&mut table, 200), []);
    table.update(b"k1", i64::MIN, |n| *n += 1);
    assert_eq!(drain(&mut table, 200), [(key(1), 11, i64::MIN + 2)]);
}

#[test]
fn what_was_drained_restores_the_same_table() {
    let mut first = table(16);
    for i in 0..5000u64 {
        first.update(&key(i), 0, |n| *n = i);
    }
    let mut second = table(16);
    for group in 0..16 {
        first.each_encoded(group, &mut |k, v| {
            second.restore(group, k, Some(v)).unwrap()
        });
    }
    assert_eq!(second.len(), first.len());
    assert_eq!(
        second.changed(),
        0,
        "what is restored is in the changelog already"
    );
    assert!((0..5000).all(|i| second.find(&key(i)) == Some(&i)));
}

#[test]
fn a_removed_key_leaves_the_others_to_be_found() {
    let mut table = table(1);
    for i in 0..2000u64 {
        table.update(&key(i), 0, |n| *n = i);
    }
    for i in (0..2000).filter(|i| i % 3 == 0) {
        table.restore(0, &key(i), None).unwrap();
    }
    for i in 0..2000 {
        let want = (i % 3 != 0).then_some(i);
        assert_eq!(table.find(&key(i)).copied(), want, "{i}");
    }
    assert_eq!(table.len(), 1333);
    assert_eq!(drain(&mut table, 1 << 20).len(), 1333);
}

#[test]
fn keys_that_live_again_before_they_are_removed_stay_and_no_change_is_lost() {
    let mut table = table(1);
    let drained = |table: &mut Table<u64>, gone: &mut Rows| {
        let mut rows = Rows::new();
        let is_gone: fn(&u64) -> bool = |n| *n == 0;
        assert!(!table.drain(0, &[], &mut rows, 1 << 20, Some((gone, is_gone))));
        let mut keys: Vec<Vec<u8>> = rows.iter().map(|(_, key, _)| key.to_vec()).collect();
        keys.sort();
        keys
    };
    for i in 0..1_000 {
        table.update(&key(i), 0, |n| *n = i % 2);
    }
    let mut gone = Rows::new();
    assert_eq!(drained(&mut table, &mut gone).len(), 500);
    assert_eq!(gone.len(), 500);
    // Lives again, and the changelog knows it.
    table.update(&key(6), 0, |n| *n = 7);
    assert_eq!(drained(&mut table, &mut gone), [key(6)]);
    // Changed since: one lives again, one is gone again, others had lived all the time.
    table.update(&key(0), 0, |n| *n = 5);
    table.update(&key(2), 0, |n| *n = 0);
    let odd: Vec<u64> = (0..1_000).filter(|i| i % 6 == 1).collect();
    odd.iter()
        .for_each(|i| table.update(&key(*i), 0, |n| *n += 1));
    table.remove_all(&gone, |n| *n == 0);
    assert_eq!(table.find(&key(6)), Some(&7));
    assert_eq!(table.find(&key(0)), Some(&5));
    assert_eq!(table.find(&key(4)), None);
    gone.clear();
    let mut want: Vec<Vec<u8>> = odd.iter().map(|i| key(*i)).chain([key(0)]).collect();
    want.sort();
    assert_eq!(drained(&mut table, &mut gone), want);
    assert_eq!(
        gone.iter().map(|(_, key, _)| key).collect::<Vec<_>>(),
        [key(2)]
    );
    table.remove_all(&gone, |n| *n == 0);
    assert_eq!((table.find(&key(2)), table.len()), (None, 502));
}

#[cfg(feature = "fjall")]
#[test]
fn keys_that_a_changelog_deletes_again_are_gone_from_disk_too() {
    let path = crate::state::temporary_folder("deleted-keys");
    let disk = Box::new(crate::state::Disk::open(&path, None).unwrap());
    let place = crate::state::StorePlace(Some((disk, 1024)));
    let mut table = Table::placed(KeyGroups::new(7, 1), 0_u64, place);
    let encoded = |n: u64| {
        let mut value = Vec::new();
        n.encode_last(&mut value);
        value
    };
    for i in 0..2_000 {
        table.restore(0, &key(i), Some(&encoded(i))).unwrap();
    }
    for i in (0..2_000).step_by(2) {
        table.restore(0, &key(i), None).unwrap();
    }
    for i in (1..2_000).step_by(4) {
        table.restore(0, &key(i), Some(&encoded(i + 1))).unwrap();
    }
    assert!(table.has_cold() && table.len() == 1_000);
    let mut found = HashMap::new();
    let mut each = |key: &[u8], value: &[u8]| {
        assert_eq!(found.insert(key.to_vec(), value.to_vec()), None);
    };
    table.each_encoded(0, &mut each);
    let value = |i: u64| encoded(if i % 4 == 1 { i + 1 } else { i });
    let want = (1..2_000).step_by(2).map(|i| (key(i), value(i)));
    assert_eq!(found, want.collect());
    assert!(table.take_error().is_none());
}

#[cfg(feature = "fjall")]
#[test]
fn state_with_changes_that_no_changelog_has_is_not_kept_wherever_they_are() {
    let path = crate::state::temporary_folder("undrained");
    let disk = Box::new(crate::state::Disk::open(&path, None).unwrap());
    let place = crate::state::StorePlace(Some((disk, 1024)));
    let mut table = Table::placed(KeyGroups::new(7, 1), 0_u64, place);
    table.update(b"key", 1, |n| *n = 1);
    assert!(!table.keep(b"mark"), "in memory");
    while table.evict_segment() {}
    assert!(!table.keep(b"mark"), "on disk");
    assert_eq!(drain(&mut table, 1 << 20).len(), 1);
    assert!(table.keep(b"mark"));
    drop(table);
    let _ = std::fs::remove_dir_all(path);
}

#[test]
fn foreign_state_is_refused() {
    let mut table = table(16);
    let (own, _) = table.keys.of(table.keys.hasher.bytes(b"k"));
    let other = (own as u32 + 1) % 16;
    assert_eq!(
        table.restore(other, b"k", Some(&[0; 8])),
        Err(RestoreError::WrongGroup {
            group: other,
            actual: own as u32
        })
    );
    assert_eq!(
        table.restore(own as u32, b"k", Some(&[0; 7])),
        Err(RestoreError::Value { bytes: 7 })
    );
}

#[test]
fn a_group_grows_in_pieces_of_bounded_size() {
    // Short and long keys, changed and not, over several splits.
    let mut table = table(1);
    for i in 0..200_000u64 {
        table.update(&key(i), i as i64, |n| *n = i);
        if i == 50_000 {
            drain(&mut table, 1 << 20);
        }
    }
    assert!(table.of_group(0).count() >= 4, "several splits");
    let largest = table.segments.iter().map(|s| s.slots.len()).max();
    assert_eq!(largest, Some(1 << 17), "one piece never moves more");
    assert_eq!(table.len(), 200_000);
    assert!((0..200_000).all(|i| table.find(&key(i)) == Some(&i)));
    assert_eq!(table.changed(), 200_000 - 50_001);
    let (mut seen, mut from) = (0, Some(0));
    while let Some(place) = from {
        let mut left = 1000;
        from = table.walk(0, place, |_, _, _| {
            (seen, left) = (seen + 1, left - 1);
            left > 0
        });
    }
    assert_eq!(seen, table.of_group(0).map(|s| s.len).sum::<usize>());
}

#[test]
fn memory_does_not_grow_with_keys_that_came_and_went() {
    let mut table = table(4);
    let long = |i: u64| format!("a key of more than fifteen bytes: {i}").into_bytes();
    let mut live = std::collections::VecDeque::new();
    let mut peak_early = 0;
    for i in 0..400_000u64 {
        table.update(&long(i), 0, |n| *n = i);
        live.push_back(i);
        if i % 1000 == 999 {
            drain(&mut table, 1 << 20);
            let mut gone = Rows::new();
            while live.len() > 10_000 {
                let key = long(live.pop_front().unwrap());
                gone.push(table.hash(&key), 0, &[], &key).unwrap();
            }
            table.remove_all(&gone, |_| true);
        }
        if i == 40_000 {
            peak_early = table.memory_bytes();
        }
    }
    assert_eq!(table.len(), 10_000);
    let now = table.memory_bytes();
    assert!(
        now < peak_early * 2,
        "{peak_early} bytes after 40,000 keys, {now} after 400,000"
    );
    assert!(live.iter().all(|i| table.find(&long(*i)) == Some(i)));
    let mut gone = Rows::new();
    for i in &live {
        gone.push(table.hash(&long(*i)), 0, &[], &long(*i)).unwrap();
    }
    table.remove_all(&gone, |_| true);
    let empty = table.memory_bytes();
    assert!(
        empty < now / 20,
        "{empty} bytes for no key, {now} for 10,000"
    );
}

#[test]
fn a_table_with_room_for_another_takes_its_keys_without_growing() {
    let (mut from, mut to) = (table(1), table(1));
    for i in 0..150_000u64 {
        from.update(&key(i), 0, |n| *n = i);
    }
    to.make_room_for(&from);
    let slots = |t: &Table<u64>| t.segments.iter().map(|s| s.slots.len()).sum::<usize>();
    let before = slots(&to);
    let _ = from.walk(0, 0, |hash, key, n| {
        to.update_hashed(key, Key::short(key), hash, 0, |m| *m = *n);
        true
    });
    assert_eq!((to.len(), slots(&to)), (150_000, before));
    assert!((0..150_000).all(|i| to.find(&key(i)) == Some(&i)));
}

#[test]
fn a_slot_of_a_count_takes_32_bytes() {
    assert_eq!(size_of::<Slot<u64>>(), 32);
}
