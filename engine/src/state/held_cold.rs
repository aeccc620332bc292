//! Rows that `in_order` holds on disk: those that have the longest to wait, in the order of their times.
//!
//! ```text
//! key there   [key group][time][number]     value   [in the changelog?][hash][length of tie and row][tie][row][key]
//! ```

use super::store::{Cold, Place};
use super::{CHUNK, StoreError};

/// A row on its way to the disk or from there.
pub(super) struct ColdRow<'r> {
    pub(super) time: i64,
    pub(super) number: u64,
    pub(super) hash: u64,
    pub(super) is_logged: bool,
    /// Tie and row.
    pub(super) value: &'r [u8],
    pub(super) key: &'r [u8],
}

/// The place on disk, for the rows of all key groups.
#[derive(Debug)]
pub(super) struct ColdRows {
    cold: Box<dyn Cold>,
    /// Memory for what is not there.
    pub(super) limit_bytes: usize,
    error: Option<StoreError>,
    buffer: Vec<u8>,
}

/// As bytes, times are in their order.
fn place(group: u32, time: i64, number: u64) -> [u8; 20] {
    let mut key = [0; 20];
    key[..4].copy_from_slice(&group.to_be_bytes());
    key[4..12].copy_from_slice(&(time ^ i64::MIN).to_be_bytes());
    key[12..].copy_from_slice(&number.to_be_bytes());
    key
}

fn read<'r>(key: &[u8], value: &'r [u8]) -> Option<ColdRow<'r>> {
    let (time, number) = key.get(4..)?.split_first_chunk::<8>()?;
    let (is_logged, value) = value.split_first()?;
    let (hash, value) = value.split_first_chunk::<8>()?;
    let (len, rest) = value.split_first_chunk::<4>()?;
    let (value, key) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    Some(ColdRow {
        time: i64::from_be_bytes(*time) ^ i64::MIN,
        number: u64::from_be_bytes(number.try_into().ok()?),
        hash: u64::from_be_bytes(*hash),
        is_logged: *is_logged == 1,
        value,
        key,
    })
}

impl ColdRows {
    pub(super) fn new(place: Place) -> Option<Self> {
        let (cold, limit_bytes) = place.0?;
        Some(Self {
            cold,
            limit_bytes,
            error: None,
            buffer: Vec::new(),
        })
    }

    pub(super) fn error(&self) -> Option<StoreError> {
        self.error.clone()
    }

    /// The first error stays: what comes after it is worth nothing.
    fn note<T>(&mut self, outcome: Result<T, StoreError>) -> Option<T> {
        match outcome {
            Ok(value) => Some(value),
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }

    /// Writes a row with the next flush.
    pub(super) fn put(&mut self, group: u32, row: &ColdRow<'_>) {
        self.buffer.clear();
        self.buffer.push(u8::from(row.is_logged));
        self.buffer.extend_from_slice(&row.hash.to_be_bytes());
        // Rows count their bytes in 32 bits.
        let len = row.value.len() as u32;
        self.buffer.extend_from_slice(&len.to_be_bytes());
        self.buffer.extend_from_slice(row.value);
        self.buffer.extend_from_slice(row.key);
        let key = place(group, row.time, row.number);
        let changed = (!row.is_logged).then_some(row.time);
        let put = self.cold.put(&key, &self.buffer, changed);
        self.note(put);
    }

    pub(super) fn flush(&mut self) {
        let flushed = self.cold.flush();
        self.note(flushed);
    }

    /// Takes rows back that come behind the time `after` and not behind `until`: `limit` bytes of them, and then the rest of that
    /// millisecond. The time of the first that is left, of all that come behind them.
    pub(super) fn take(
        &mut self,
        group: u32,
        after: i64,
        until: i64,
        limit: usize,
        mut f: impl FnMut(ColdRow<'_>),
    ) -> Option<i64> {
        let (mut taken, mut next) = (Vec::new(), None);
        let mut scan = || {
            let (mut bytes, mut last) = (0, None);
            // What was taken before is not looked at again: it lies there as deleted for a while.
            let after = (after > i64::MIN).then(|| place(group, after, u64::MAX));
            let after = after.as_ref().map(|key| &key[..]);
            for entry in self.cold.scan(&group.to_be_bytes(), after) {
                let (key, value) = entry?;
                let Some(row) = read(&key, &value) else {
                    continue;
                };
                if row.time > until || bytes >= limit && last != Some(row.time) {
                    next = Some(row.time);
                    break;
                }
                bytes += value.len();
                last = Some(row.time);
                taken.push((key, row.is_logged));
                f(row);
            }
            Ok(())
        };
        let outcome = scan();
        self.note(outcome);
        for (key, is_logged) in taken {
            self.cold.remove(&key);
            if !is_logged {
                self.cold.drained(&key);
            }
        }
        self.flush();
        next
    }

    /// Calls `f` with some rows that are not in the changelog, and notes that they are; how many.
    pub(super) fn drain(
        &mut self,
        group: u32,
        after: i64,
        mut f: impl FnMut(&ColdRow<'_>),
    ) -> usize {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let after = (after > i64::MIN).then(|| place(group, after, u64::MAX));
        let after = after.as_ref().map(|key| &key[..]);
        let found = self
            .cold
            .each_changed(&group.to_be_bytes(), after, &mut |key, _| {
                keys.push(key.to_vec());
                Ok(keys.len() < CHUNK)
            });
        self.note(found);
        let mut value = Vec::new();
        for key in &keys {
            let found = self.cold.get(key, &mut value);
            if self.note(found) != Some(true) {
                return 0;
            }
            if let Some(row) = read(key, &value) {
                f(&row);
                let is_logged = true;
                self.put(group, &ColdRow { is_logged, ..row });
            }
            self.cold.drained(key);
        }
        self.flush();
        keys.len()
    }

    /// Removes a row that is in the changelog; false when there is none.
    pub(super) fn remove(&mut self, group: u32, time: i64, number: u64) -> bool {
        let key = place(group, time, number);
        let found = self.cold.get(&key, &mut self.buffer);
        let is_there = self.note(found) == Some(true);
        if is_there {
            self.cold.remove(&key);
            self.flush();
        }
        is_there
    }

    /// Calls `f` with all rows of a group.
    pub(super) fn each(&self, group: u32, f: &mut dyn FnMut(&ColdRow<'_>)) {
        for (key, value) in self.cold.scan(&group.to_be_bytes(), None).flatten() {
            if let Some(row) = read(&key, &value) {
                f(&row);
            }
        }
    }
}

#[cfg(feature = "fjall")]
#[cfg(test)]
mod tests {
    use super::super::{Disk, HeldRows, KeyGroups, KeyedState, StorePlace, Tie, temporary_folder};
    use crate::batch::{InputPartition, Rows};
    use std::collections::BTreeMap;

    const KEYS: u64 = 5;
    const GROUPS: u32 = 3;

    fn on_disk(limit_bytes: usize) -> HeldRows {
        let disk = Disk::open(&temporary_folder("held"), None).unwrap();
        let place = StorePlace(Some((Box::new(disk), limit_bytes)));
        HeldRows::new(KeyGroups::new(3, GROUPS), place)
    }

    /// A worker's rows and its changelog.
    struct Run {
        held: HeldRows,
        log: BTreeMap<(u32, Vec<u8>), Vec<u8>>,
        out: Vec<(i64, Vec<u8>, Vec<u8>)>,
        peak_bytes: usize,
    }

    impl Run {
        fn new(held: HeldRows) -> Self {
            let (log, out) = (BTreeMap::new(), Vec::new());
            Self {
                held,
                log,
                out,
                peak_bytes: 0,
            }
        }

        fn take(&mut self, rows: &Rows, watermark: i64) {
            assert!(self.held.take(rows, watermark, |_| ()));
            self.peak_bytes = self.peak_bytes.max(self.held.memory_bytes());
        }

        /// One piece of what is due; false when there is nothing more.
        fn due(&mut self, watermark: i64, limit: usize) -> bool {
            let mut rows = Rows::new();
            self.held.due(watermark, 0, &mut rows, limit);
            let of = |(head, key, value): (&crate::batch::Head, &[u8], &[u8])| {
                (head.timestamp, key.to_vec(), value.to_vec())
            };
            self.out.extend(rows.iter().map(of));
            !rows.is_empty()
        }

        fn commit(&mut self) {
            let mut rows = Rows::new();
            for group in 0..GROUPS {
                let mut is_more = true;
                while is_more {
                    is_more = self.held.drain_changed(group, &mut rows, 100);
                    for (_, key, value) in rows.iter() {
                        let before = self.log.insert((group, key.to_vec()), value.to_vec());
                        assert_eq!(before, None, "each row is logged once");
                    }
                    rows.clear();
                }
            }
            assert_eq!(self.held.changed(), 0);
            let mut is_more = true;
            while is_more {
                is_more = self.held.drain_removed(&mut rows, 100);
                for (head, key, _) in rows.iter() {
                    let group = KeyGroups::new(3, GROUPS).group_of_hash(head.hash);
                    assert!(self.log.remove(&(group, key.to_vec())).is_some());
                }
                rows.clear();
            }
            assert_eq!(self.log.len(), self.held.len());
            let mut all = BTreeMap::new();
            for group in 0..GROUPS {
                let mut each = |key: &[u8], value: &[u8]| {
                    all.insert((group, key.to_vec()), value.to_vec());
                };
                self.held.each_encoded(group, &mut each);
            }
            assert!(all == self.log, "what is held is what is logged");
        }

        /// A new worker, its rows read back: all that were ever logged, and then the deletions of those that are gone.
        fn restarted(&self, held: HeldRows, gone: &[(u32, Vec<u8>, Vec<u8>)]) -> Self {
            let mut next = Self::new(held);
            let live = self.log.iter().map(|((g, k), v)| (*g, k, v));
            for (group, key, value) in gone.iter().map(|(g, k, v)| (*g, k, v)).chain(live) {
                next.held.restore(group, key, Some(value)).unwrap();
            }
            for (group, key, _) in gone {
                next.held.restore(*group, key, None).unwrap();
            }
            next.log = self.log.clone();
            next.out.clone_from(&self.out);
            next
        }
    }

    #[test]
    fn rows_on_disk_come_out_as_those_in_memory_also_after_a_restart() {
        for limit in [0, 1000] {
            let memory = HeldRows::new(KeyGroups::new(3, GROUPS), StorePlace::default());
            let (mut memory, mut disk) = (Run::new(memory), Run::new(on_disk(limit)));
            let (mut seed, mut watermark, mut offset) = (limit as u64, -50i64, 0);
            let mut random = |below: u64| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) % below
            };
            let mut gone = Vec::new();
            for step in 0..200 {
                let mut rows = Rows::new();
                for _ in 0..random(10) {
                    let key = format!("key {}", random(KEYS));
                    let mut value = Vec::new();
                    let record = Some((InputPartition::single(random(3) as i32), offset));
                    Tie { origin: 1, record }.write(&mut value);
                    value.extend_from_slice(offset.to_string().as_bytes());
                    let hash = KeyGroups::new(3, GROUPS).hasher.bytes(key.as_bytes());
                    let time = watermark + 1 + random(40) as i64;
                    rows.push(hash, time, &value, key.as_bytes()).unwrap();
                    offset += 1;
                }
                memory.take(&rows, watermark);
                disk.take(&rows, watermark);
                match random(8) {
                    0..3 => watermark += random(12) as i64,
                    3 => {
                        // A commit finds nothing that is due.
                        for run in [&mut memory, &mut disk] {
                            while run.due(watermark, 200) {}
                            let before = run.log.clone();
                            run.commit();
                            let is_gone = |k: &(u32, Vec<u8>)| !run.log.contains_key(k);
                            gone = before.into_iter().filter(|(k, _)| is_gone(k)).collect();
                        }
                        if step % 3 == 0 {
                            let gone: Vec<_> = gone
                                .iter()
                                .map(|((g, k), v): &((u32, Vec<u8>), Vec<u8>)| {
                                    (*g, k.clone(), v.clone())
                                })
                                .collect();
                            disk = disk.restarted(on_disk(limit), &gone);
                        }
                    }
                    _ => {}
                }
                // In pieces: rows come between them.
                memory.due(watermark, 100);
                disk.due(watermark, 100);
            }
            for run in [&mut memory, &mut disk] {
                while run.due(i64::MAX, 2000) {}
                assert_eq!(run.held.len(), 0);
                run.commit();
                // Between keys there is no order, and pieces are cut differently.
                run.out.sort_by(|a, b| a.1.cmp(&b.1));
            }
            assert!(memory.out.len() > 500);
            assert!(memory.out == disk.out, "bound {limit}");
        }
    }

    #[test]
    fn rows_that_came_back_and_went_there_again_are_found() {
        let mut run = Run::new(on_disk(4000));
        let hash = KeyGroups::new(3, GROUPS).hasher.bytes(b"k");
        let mut offset = 0;
        let mut take = |run: &mut Run, times: &[i64], watermark: i64| {
            let mut rows = Rows::new();
            for time in times {
                let mut value = Vec::new();
                let record = Some((InputPartition::single(0), offset));
                Tie { origin: 1, record }.write(&mut value);
                rows.push(hash, *time, &value, b"k").unwrap();
                offset += 1;
            }
            run.take(&rows, watermark);
        };
        // Each begins with making room: of 1 to 10 the last ones go to the disk, and come back when they are next but not yet given out.
        let early: Vec<i64> = (1..=10).flat_map(|time| [time; 10]).collect();
        take(&mut run, &early, 0);
        take(&mut run, &[100], 0);
        assert!(run.due(50, 100), "what is due first");
        // Then they are the last ones again.
        take(&mut run, &[200; 100], 50);
        take(&mut run, &[201], 50);
        while run.due(i64::MAX, 100) {}
        let times: Vec<i64> = run.out.iter().map(|(time, ..)| *time).collect();
        let all = [&early[..], &[100], &[200; 100], &[201]].concat();
        assert_eq!(times, all);
    }

    #[test]
    fn memory_is_bound_by_bytes_however_many_rows_wait() {
        let mut run = Run::new(on_disk(64 << 10));
        let hasher = KeyGroups::new(3, GROUPS).hasher;
        let mut rows = Rows::new();
        for n in 0..10_000i64 {
            let key = format!("key {}", n % 50);
            let mut value = Vec::new();
            let record = Some((InputPartition::single(0), n));
            Tie { origin: 1, record }.write(&mut value);
            value.extend_from_slice(&[7; 100]);
            // In no order.
            let time = n * 7919 % 10_000;
            let hash = hasher.bytes(key.as_bytes());
            rows.push(hash, time, &value, key.as_bytes()).unwrap();
            if rows.len() == 500 {
                run.take(&rows, -1);
                rows.clear();
            }
        }
        assert_eq!(run.held.len(), 10_000);
        // Twice the bound, because buffers double; 1.5 MB in all.
        assert!(run.peak_bytes < 400 << 10, "{}", run.peak_bytes);
        while run.due(9_999, 32 << 10) {}
        assert_eq!(run.out.len(), 10_000);
        run.out.sort_by(|a, b| a.1.cmp(&b.1));
        let of_key = |(_, key, _): &(i64, Vec<u8>, Vec<u8>)| key == b"key 7";
        let times: Vec<i64> = run.out.iter().filter(|r| of_key(r)).map(|r| r.0).collect();
        assert!(times.len() == 200 && times.is_sorted());
    }
}
