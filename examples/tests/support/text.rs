//! Lines whose words follow Zipf's law, and the truth about them, counted by code that shares nothing with the engine.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use test_support::{SplitMix64, Zipf};

/// A text, the file that holds it line by line, and how often each word occurs.
pub(crate) struct Truth {
    pub(crate) lines: Vec<String>,
    pub(crate) file: PathBuf,
    pub(crate) counts: HashMap<String, u64>,
}

/// The words of a line by the rule of the documentation: maximal runs of ASCII letters, digits and `_`, in lower case.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut found, mut word) = (Vec::new(), String::new());
    for letter in line.chars().chain([' ']) {
        if letter == '_' || letter.is_ascii_alphanumeric() {
            word.push(letter.to_ascii_lowercase());
        } else if !word.is_empty() {
            found.push(std::mem::take(&mut word));
        }
    }
    found
}

/// The text of this run, made once: `WORDCOUNT_LINES` lines, also as a file in `folder`.
pub(crate) fn truth(folder: &Path) -> &'static Truth {
    static TRUTH: OnceLock<Truth> = OnceLock::new();
    TRUTH.get_or_init(|| {
        let count = std::env::var("WORDCOUNT_LINES").map_or(200_000, |text| text.parse().unwrap());
        let lines = lines(count, 42);
        let mut counts = HashMap::new();
        for word in lines.iter().flat_map(|line| words(line)) {
            *counts.entry(word).or_default() += 1;
        }
        let file = folder.join("lines.txt");
        let mut out = std::io::BufWriter::new(fs::File::create(&file).unwrap());
        lines
            .iter()
            .for_each(|line| writeln!(out, "{line}").unwrap());
        out.flush().unwrap();
        Truth {
            lines,
            file,
            counts,
        }
    })
}

/// 8 to 12 words a line over a vocabulary of 50,000, the first one capitalised; now and then a mark, an accent, a number.
fn lines(count: usize, seed: u64) -> Vec<String> {
    let (mut random, zipf) = (SplitMix64::new(seed), Zipf::new(50_000, 1.0));
    let vocabulary: Vec<String> = (0..50_000)
        .map(|_| {
            (0..3 + random.below(6))
                .map(|_| char::from(b'a' + random.below(26) as u8))
                .collect()
        })
        .collect();
    (0..count)
        .map(|_| {
            let mut line = String::new();
            for at in 0..8 + random.below(5) {
                let word = &vocabulary[zipf.draw(&mut random)];
                if at == 0 {
                    line.push_str(&word[..1].to_ascii_uppercase());
                    line.push_str(&word[1..]);
                } else {
                    line.push_str(
                        [" ", " ", " ", " ", " ", " ", ", ", "  ", "é", "_"]
                            [random.below(10) as usize],
                    );
                    line.push_str(word);
                }
            }
            if random.chance(0.05) {
                line.push_str(" 1984!");
            }
            line
        })
        .collect()
}
