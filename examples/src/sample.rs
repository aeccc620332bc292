//! Deterministic sample data: small stories for a person, Zipf lines for measurements. The same seed gives the same bytes on every machine.

use std::collections::HashSet;

/// SplitMix64: small, fast, the same in every language.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator whose whole sequence is decided by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 even random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        (((self.next_u64() >> 32) * u64::from(n)) >> 32) as u32
    }

    /// A fraction in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u32) as usize]
    }
}

/// Tiny tales of a harbour town, one sentence a line, without end.
#[derive(Debug, Clone)]
pub struct Tales {
    rng: Rng,
}

const WHO: &[&str] = &[
    "the lighthouse keeper",
    "the old captain",
    "a small dog",
    "the baker",
    "the clockmaker",
    "a tall stranger",
    "the ferryman",
    "my grandmother",
    "the harbour master",
    "a flock of gulls",
    "the night watch",
    "the mapmaker",
    "a travelling fiddler",
    "the schoolteacher",
    "the cat of the harbour",
    "a young sailor",
    "the beekeeper",
    "the mayor",
    "the fishmonger's daughter",
    "a messenger from the hills",
    "the river",
    "nobody",
];
const DID: &[&str] = &[
    "counted",
    "carried",
    "forgot",
    "painted",
    "followed",
    "sold",
    "repaired",
    "remembered",
    "watched",
    "borrowed",
    "hid",
    "sang about",
    "waited for",
    "dreamed of",
    "traded",
    "washed",
    "wrote down",
    "laughed at",
    "searched for",
    "polished",
];
const HOW_MANY: &[&str] = &[
    "the",
    "the",
    "the",
    "a",
    "one",
    "every",
    "no",
    "two or three",
    "seven",
    "almost every",
    "the last",
    "the first",
];
const WHAT: &[&str] = &[
    "boat",
    "lantern",
    "letter",
    "map",
    "basket of bread",
    "silver coin",
    "storm",
    "song",
    "window",
    "wooden stair",
    "bell",
    "rope",
    "star",
    "wave",
    "clock",
    "barrel of salt",
    "red umbrella",
    "key",
    "violin",
    "story",
    "herring",
    "honey jar",
    "compass",
    "blue door",
];
const WHERE: &[&str] = &[
    "in the harbour",
    "on the hill",
    "behind the church",
    "under the bridge",
    "at the market",
    "by the sea",
    "in the old town",
    "near the lighthouse",
    "on the long pier",
    "between the nets and the boats",
    "at the end of the street",
    "in the fog",
];
const WHEN: &[&str] = &[
    "before the rain came",
    "at dawn",
    "after the storm",
    "when the tide turned",
    "all winter",
    "on a quiet evening",
    "until the bells rang",
    "long after midnight",
    "while the town slept",
    "as the sun went down",
    "every morning",
    "once",
];
const AND: &[&str] = &["and", "and", "but", "so", "and then", "because", "while"];

impl Tales {
    /// Tales decided by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
        }
    }

    /// Replaces what is in `line` by the next sentence.
    pub fn next_into(&mut self, line: &mut String) {
        line.clear();
        if self.rng.below(4) == 0 {
            line.push_str(self.rng.pick(WHEN));
            line.push_str(", ");
        }
        self.clause(line);
        if self.rng.below(3) == 0 {
            line.push_str(", ");
            line.push_str(self.rng.pick(AND));
            line.push(' ');
            self.clause(line);
        }
        if let Some(first) = line.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        line.push('.');
    }

    fn clause(&mut self, line: &mut String) {
        for (i, part) in [WHO, DID, HOW_MANY, WHAT].into_iter().enumerate() {
            if i > 0 {
                line.push(' ');
            }
            line.push_str(self.rng.pick(part));
        }
        for part in [WHERE, WHEN] {
            if self.rng.below(2) == 0 {
                line.push(' ');
                line.push_str(self.rng.pick(part));
            }
        }
    }
}

/// Lines of 8 to 12 words, Zipf-distributed (s = 1) over 50,000 words, the first word of a line capitalised: the input of the
/// word count benchmark. Counts what it hands out, so it is its own truth.
#[derive(Debug, Clone)]
pub struct ZipfLines {
    rng: Rng,
    words: Vec<String>,
    cumulative: Vec<f64>,
    counts: Vec<u64>,
}

const VOCABULARY: usize = 50_000;

impl ZipfLines {
    /// The one sequence of lines; it has no seed, so that results can be compared between machines and languages.
    #[must_use]
    pub fn new() -> Self {
        let mut rng = Rng::new(3);
        let mut seen = HashSet::new();
        let mut words = Vec::with_capacity(VOCABULARY);
        while words.len() < VOCABULARY {
            let length = 3 + rng.below(6);
            let word: String = (0..length)
                .map(|_| char::from(b'a' + rng.below(26) as u8))
                .collect();
            if seen.insert(word.clone()) {
                words.push(word);
            }
        }
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (0..VOCABULARY)
            .map(|i| {
                sum += 1.0 / (i + 1) as f64;
                sum
            })
            .collect();
        for c in &mut cumulative {
            *c /= sum;
        }
        Self {
            rng: Rng::new(2),
            words,
            cumulative,
            counts: vec![0; VOCABULARY],
        }
    }

    /// Replaces what is in `line` by the next line.
    pub fn next_into(&mut self, line: &mut String) {
        line.clear();
        for i in 0..8 + self.rng.below(5) {
            let at = self.rng.unit();
            let word = self
                .cumulative
                .partition_point(|c| *c < at)
                .min(VOCABULARY - 1);
            self.counts[word] += 1;
            if i > 0 {
                line.push(' ');
            }
            line.push_str(&self.words[word]);
            if let (0, Some(first)) = (i, line.get_mut(..1)) {
                first.make_ascii_uppercase();
            }
        }
    }

    /// Every word handed out so far, with how often.
    pub fn truth(&self) -> impl Iterator<Item = (&str, u64)> {
        self.words
            .iter()
            .map(String::as_str)
            .zip(self.counts.iter().copied())
            .filter(|(_, n)| *n > 0)
    }
}

impl Default for ZipfLines {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tales_are_the_same_on_every_run_and_read_as_sentences() {
        let (mut a, mut b) = (Tales::new(1), Tales::new(1));
        let (mut one, mut two) = (String::new(), String::new());
        for _ in 0..1000 {
            a.next_into(&mut one);
            b.next_into(&mut two);
            assert_eq!(one, two);
            assert!(
                one.ends_with('.') && one.as_bytes()[0].is_ascii_uppercase() && one.is_ascii(),
                "{one}"
            );
            assert!(one.split(' ').count() >= 4 && !one.contains("  "), "{one}");
        }
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // First outputs for seed 0 as the algorithm's authors publish them.
        let mut rng = Rng::new(0);
        assert_eq!(rng.next_u64(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(rng.next_u64(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn zipf_lines_count_what_they_hand_out() {
        let mut lines = ZipfLines::new();
        let mut line = String::new();
        let mut words = 0;
        for _ in 0..200 {
            lines.next_into(&mut line);
            let n = line.split(' ').count();
            assert!((8..=12).contains(&n));
            assert!(
                line.as_bytes()[0].is_ascii_uppercase()
                    && line[1..]
                        .chars()
                        .all(|c| c == ' ' || c.is_ascii_lowercase())
            );
            words += n as u64;
        }
        assert_eq!(lines.truth().map(|(_, n)| n).sum::<u64>(), words);
    }
}
