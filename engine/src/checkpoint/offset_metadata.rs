//! The metadata of committed offsets: which state the positions belong to, and how far its time had come. Pure.
//!
//! Kafka keeps a text beside each committed offset, and both are replaced together. So positions, the identity of the state that was made
//! from what lies before them, and the watermarks that its operators had acted upon are one: a crash leaves all of the old or all of the new.
//! Each partition carries the whole text, so that any of them may go away.
//!
//! ```text
//! "engine1:" ‖ base64url of
//!   hash seed   8 bytes, little-endian
//!   epoch       varint, one more at each commit
//!   inputs      varint n, n × (hash of the name 4 bytes, varint number of partitions with a position)
//!   operators   varint n, n × (hash of the id 4 bytes, varint 4 × runs, runs × (varint 2 × groups + has a watermark, watermark))
//!               or, where each key group has one of its own, varint 4 × groups + 1, groups × watermark; and 2 more at the end of time
//!   watermark   varint zigzag of the difference to the watermark before it
//! ```

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;
use crate::state::Hasher;

/// What brokers take at most (`offset.metadata.max.bytes`, its default).
pub(crate) const METADATA_BYTES_MAX: usize = 4096;
const FAMILY: &str = "engine";
const PREFIX: &str = "engine1:";

/// The command that begins an application anew.
pub(crate) fn reset_command(application_id: &str) -> String {
    format!("`kafka-engine reset --bootstrap-servers HOST:PORT --group-id {application_id}`")
}

/// A name as the metadata has it: 32 bits of its hash.
pub(crate) fn short(name: &str) -> u32 {
    Hasher::new(0).bytes(name.as_bytes()) as u32
}

/// One operator with state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OperatorTime {
    /// [`short`] of its id.
    pub(crate) id: u32,
    /// By key group, the watermark that was acted upon; empty for an operator that does not wait for time.
    pub(crate) watermarks: Vec<Option<i64>>,
    /// Time had come to its end, so all that the changelog still holds is past. The next rows are late against `watermarks` all the same.
    pub(crate) is_at_end: bool,
}

/// How far time had come for one operator in one worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The watermark that was acted upon, that at the end of time not counted.
    pub(crate) watermark: Option<i64>,
    /// As [`OperatorTime::is_at_end`].
    pub(crate) is_at_end: bool,
}

/// See the module's head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OffsetMetadata {
    /// The state's identity: its hash seed.
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    /// [`short`] of each input's name, and how many of its partitions have a position. Empty where there are too many to say.
    pub(crate) inputs: Vec<(u32, u32)>,
    /// All operators with state.
    pub(crate) operators: Vec<OperatorTime>,
}

impl OffsetMetadata {
    /// Whether it says the same as another, whatever their epochs.
    pub(crate) fn says_as(&self, other: &Self) -> bool {
        (self.seed, &self.inputs, &self.operators) == (other.seed, &other.inputs, &other.operators)
    }

    /// The text; within [`METADATA_BYTES_MAX`] as long as there are less than two hundred operators. What does not fit is left out in this
    /// order: names of inputs; the differences between key groups, of which the greatest watermark counts then.
    pub(crate) fn encode(&self) -> String {
        let text = self.text();
        if text.len() <= METADATA_BYTES_MAX {
            return text;
        }
        let without_inputs = Self {
            inputs: Vec::new(),
            ..self.clone()
        };
        let text = without_inputs.text();
        if text.len() <= METADATA_BYTES_MAX {
            return text;
        }
        let coarse = |of: &OperatorTime| OperatorTime {
            id: of.id,
            is_at_end: of.is_at_end,
            watermarks: vec![of.watermarks.iter().copied().max().flatten(); of.watermarks.len()],
        };
        Self {
            operators: self.operators.iter().map(coarse).collect(),
            ..without_inputs
        }
        .text()
    }

    fn text(&self) -> String {
        let mut out = self.seed.to_le_bytes().to_vec();
        write(&mut out, self.epoch);
        write(&mut out, self.inputs.len() as u64);
        for (name, partitions) in &self.inputs {
            out.extend_from_slice(&name.to_le_bytes());
            write(&mut out, u64::from(*partitions));
        }
        write(&mut out, self.operators.len() as u64);
        let mut before = 0i64;
        for operator in &self.operators {
            out.extend_from_slice(&operator.id.to_le_bytes());
            let runs: Vec<&[Option<i64>]> = operator.watermarks.chunk_by(|a, b| a == b).collect();
            // Each key group by itself costs a byte less than a run of one.
            let is_single = runs.iter().all(|run| run.len() == 1 && run[0].is_some());
            let is_single = is_single && !runs.is_empty();
            let head = ((runs.len() as u64) << 2) | (u64::from(operator.is_at_end) << 1);
            write(&mut out, head | u64::from(is_single));
            for run in runs {
                if !is_single {
                    write(
                        &mut out,
                        ((run.len() as u64) << 1) | u64::from(run[0].is_some()),
                    );
                }
                if let Some(at) = run[0] {
                    write(&mut out, zigzag(at.wrapping_sub(before)));
                    before = at;
                }
            }
        }
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(&out, &mut text);
        text
    }

    /// Reads a text; `None`: it is none of ours.
    ///
    /// # Errors
    /// [`Error::State`] when a later version has written it, or it is damaged.
    pub(crate) fn decode(text: &str) -> Result<Option<Self>, Error> {
        let Some(encoded) = text.strip_prefix(PREFIX) else {
            let version = text.strip_prefix(FAMILY).and_then(|t| t.split_once(':'));
            return match version {
                Some((version, _)) if version.parse::<u32>().is_ok() => Err(Error::State(format!(
                    "the committed positions have metadata of version {version}, this version of the engine reads version 1: run the version that wrote them"
                ))),
                _ => Ok(None),
            };
        };
        let bytes = URL_SAFE_NO_PAD.decode(encoded).ok();
        match bytes.as_deref().and_then(Self::parse) {
            Some(metadata) => Ok(Some(metadata)),
            None => Err(Error::State(
                "the metadata of the committed positions is damaged: it cannot be said which state they belong to".into(),
            )),
        }
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        let from = &mut bytes;
        let seed = u64::from_le_bytes(take(from)?);
        let epoch = read(from)?;
        let mut inputs = Vec::new();
        for _ in 0..read(from)? {
            inputs.push((
                u32::from_le_bytes(take(from)?),
                u32::try_from(read(from)?).ok()?,
            ));
        }
        let mut operators = Vec::new();
        let mut before = 0i64;
        for _ in 0..read(from)? {
            let id = u32::from_le_bytes(take(from)?);
            let mut watermarks = Vec::new();
            let runs = read(from)?;
            let (is_single, is_at_end) = (runs & 1 == 1, runs & 2 == 2);
            for _ in 0..runs >> 2 {
                let head = if is_single { 3 } else { read(from)? };
                let groups = usize::try_from(head >> 1).ok()?;
                // More key groups than a topic can have partitions are no state of ours.
                if watermarks.len() + groups > 1 << 20 {
                    return None;
                }
                let at = if head & 1 == 1 {
                    before = before.wrapping_add(unzigzag(read(from)?));
                    Some(before)
                } else {
                    None
                };
                watermarks.extend(std::iter::repeat_n(at, groups));
            }
            operators.push(OperatorTime {
                id,
                watermarks,
                is_at_end,
            });
        }
        from.is_empty().then_some(Self {
            seed,
            epoch,
            inputs,
            operators,
        })
    }

    /// What is said of an operator.
    pub(crate) fn operator(&self, id: &str) -> Option<&OperatorTime> {
        let id = short(id);
        self.operators.iter().find(|of| of.id == id)
    }
}

fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

fn unzigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}

fn write(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn read(from: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = from.split_first()?;
        *from = rest;
        n |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(id: u32, watermarks: Vec<Option<i64>>) -> OperatorTime {
        OperatorTime {
            id,
            watermarks,
            is_at_end: id.is_multiple_of(2),
        }
    }

    fn some() -> OffsetMetadata {
        OffsetMetadata {
            seed: 0xfedc_ba98_7654_3210,
            epoch: 300,
            inputs: vec![(short("lines"), 4), (short("clicks"), 200)],
            operators: vec![
                windows(short("count-1"), Vec::new()),
                windows(short("a"), vec![Some(5), Some(5), None, Some(-7)]),
                windows(
                    short("b"),
                    vec![Some(i64::MAX - 1), Some(i64::MIN + 1), None],
                ),
            ],
        }
    }

    #[test]
    fn what_was_committed_comes_back() {
        for length in 0..4 {
            let mut metadata = some();
            // Every length modulo three.
            metadata.epoch = [1, 200, 20_000, u64::MAX][length];
            let text = metadata.encode();
            assert_eq!(OffsetMetadata::decode(&text).unwrap(), Some(metadata));
        }
    }

    #[test]
    fn texts_of_others_are_none_of_ours_and_later_or_damaged_ones_are_refused() {
        for text in ["", "engine", "set by hand", "engineer: x", "engine:1"] {
            assert_eq!(OffsetMetadata::decode(text).unwrap(), None, "{text}");
        }
        let error = OffsetMetadata::decode("engine2:AAAA").unwrap_err();
        assert!(error.to_string().contains("version 2"), "{error}");
        let text = some().encode();
        for damaged in [
            &text[..text.len() - 1],
            &text[..text.len() - 4],
            &format!("{text}AAAA"),
            "engine1:",
            "engine1:=",
        ] {
            OffsetMetadata::decode(damaged).unwrap_err();
        }
    }

    #[test]
    fn watermarks_of_64_key_groups_and_ten_windows_fit_into_what_brokers_take() {
        let now = 1_790_000_000_000i64;
        // A worker each group, hours apart.
        let apart = |nth: i64| (0..64).map(move |g| Some(now + (g * 7919 + nth) % 61 * 600_000));
        let mut metadata = some();
        metadata.operators = (0..10)
            .map(|nth| windows(nth as u32, apart(nth).collect()))
            .collect();
        let text = metadata.encode();
        assert!(text.len() <= METADATA_BYTES_MAX, "{} bytes", text.len());
        assert_eq!(
            OffsetMetadata::decode(&text).unwrap(),
            Some(metadata.clone())
        );
        // Equal ones cost next to nothing.
        for operator in &mut metadata.operators {
            operator.watermarks = vec![Some(now); 64];
        }
        assert!(metadata.encode().len() < 200);
    }

    #[test]
    fn watermarks_that_do_not_fit_become_the_greatest_of_their_operator() {
        let far = |nth: i64| (0..64).map(move |g| Some(((g * 7919 + nth) % 61) << 50));
        let mut metadata = some();
        metadata.operators = (0..10)
            .map(|nth| windows(nth as u32, far(nth).collect()))
            .collect();
        let text = metadata.encode();
        assert!(text.len() <= METADATA_BYTES_MAX, "{} bytes", text.len());
        let back = OffsetMetadata::decode(&text).unwrap().unwrap();
        assert_eq!((back.seed, back.epoch), (metadata.seed, metadata.epoch));
        for (back, whole) in back.operators.iter().zip(&metadata.operators) {
            let greatest = whole.watermarks.iter().copied().max().flatten();
            assert_eq!(back.watermarks, vec![greatest; 64]);
        }
    }

    #[test]
    fn another_epoch_says_the_same_and_another_watermark_does_not() {
        let one = some();
        let mut other = some();
        other.epoch += 1;
        assert!(other.says_as(&one));
        other.operators[1].watermarks[3] = Some(-6);
        assert!(!other.says_as(&one));
    }

    #[test]
    fn what_is_said_is_all_but_the_epoch() {
        let next = OffsetMetadata {
            epoch: 301,
            ..some()
        };
        assert!(next.says_as(&some()));
        let others = [
            OffsetMetadata { seed: 1, ..some() },
            OffsetMetadata {
                inputs: vec![(short("lines"), 4)],
                ..some()
            },
            OffsetMetadata {
                operators: Vec::new(),
                ..some()
            },
        ];
        assert!(others.iter().all(|other| !other.says_as(&some())));
    }
}
