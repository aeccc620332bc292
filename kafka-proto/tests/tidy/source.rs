//! Rust source text as the rules see it: tokens without comments, strings and test modules, and the paths among them.
//! Not a parser: it knows just enough to find names.

use std::fs;
use std::path::Path;

/// One file of the workspace.
pub(crate) struct SourceFile {
    /// Relative to the workspace, with `/`.
    pub(crate) path: String,
    /// As it is on disk.
    pub(crate) text: String,
}

/// A name, a number, `::`, or a single other character.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Token {
    fn is_name(&self) -> bool {
        self.text
            .starts_with(|first: char| first.is_alphabetic() || first == '_' || first == '$')
    }
}

/// A path such as `crate::wire::Text`, with groups taken apart.
pub(crate) struct NamePath {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

/// Every Rust file under version control or about to be: all of them but those below `target` folders.
pub(crate) fn workspace_files(root: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    walk(root, root, &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(root, &path, files);
            }
        } else if name.ends_with(".rs") {
            let relative = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .replace('\\', "/");
            files.push(SourceFile {
                path: relative,
                text: fs::read_to_string(&path).unwrap(),
            });
        }
    }
}

impl SourceFile {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    /// `lib.rs`, `main.rs`, and the binaries.
    pub(crate) fn is_crate_root(&self) -> bool {
        let in_source =
            self.path.split('/').nth(1) == Some("src") || self.path.starts_with("bench/");
        in_source
            && (self.path.ends_with("/lib.rs")
                || self.path.ends_with("/main.rs")
                || self.path.contains("/bin/"))
    }

    /// Whether the file is compiled for tests only, by the name that such files have.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs") || self.path.split('/').any(|folder| folder == "tests")
    }

    /// The crate's folder and the module path within its `src`; `None` outside `src`.
    pub(crate) fn module(&self) -> Option<(&str, Vec<&str>)> {
        let (package, file) = self.path.split_once("/src/")?;
        let mut module: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
        if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
            module.pop();
        }
        Some((package, module))
    }

    /// Everything but comments, strings and characters.
    pub(crate) fn tokens(&self) -> Vec<Token> {
        tokens(&self.text)
    }

    /// The paths named outside `#[cfg(test)]` modules.
    pub(crate) fn paths(&self) -> Vec<NamePath> {
        let tokens = without_test_modules(&self.tokens());
        let (mut paths, mut at) = (Vec::new(), 0);
        while at < tokens.len() {
            let continues = at > 0 && matches!(tokens[at - 1].text.as_str(), "::" | ".");
            if tokens[at].is_name() && !continues {
                at = tree(&tokens, at, &[], &mut paths);
            } else {
                at += 1;
            }
        }
        paths
    }
}

/// Reads one path or use tree that starts at `at`; returns where it ends.
fn tree(tokens: &[Token], mut at: usize, prefix: &[String], paths: &mut Vec<NamePath>) -> usize {
    let (mut segments, line) = (prefix.to_vec(), tokens[at].line);
    loop {
        match tokens.get(at) {
            Some(token) if token.text == "{" && segments.len() > prefix.len() => {
                at += 1;
                while let Some(token) = tokens.get(at) {
                    match token.text.as_str() {
                        "}" => return at + 1,
                        "," => at += 1,
                        _ => at = tree(tokens, at, &segments, paths),
                    }
                }
                return at;
            }
            Some(token) if token.is_name() || token.text == "*" => {
                segments.push(token.text.clone());
                at += 1;
            }
            // Something unexpected inside a group: step over it.
            _ => return at + 1,
        }
        if tokens.get(at).is_some_and(|token| token.text == "::") {
            at += 1;
            // A turbofish ends the path.
            if tokens.get(at).is_some_and(|token| token.text == "<") {
                break;
            }
        } else {
            break;
        }
    }
    paths.push(NamePath { line, segments });
    // `name as other`, within a group or behind a use.
    if tokens.get(at).is_some_and(|token| token.text == "as") && !prefix.is_empty() {
        at += 2;
    }
    at
}

/// Where the brace that opens at or after the start of `tokens` closes.
pub(crate) fn matching_brace(tokens: &[Token]) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return Some(at),
            "}" => depth -= 1,
            ";" if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn without_test_modules(tokens: &[Token]) -> Vec<Token> {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let marked = tokens[at..]
            .iter()
            .map(|token| token.text.as_str())
            .take(mark.len())
            .eq(mark);
        let end = if marked {
            matching_brace(&tokens[at..])
        } else {
            None
        };
        if let Some(end) = end {
            at += end + 1;
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut found, mut line, mut at) = (Vec::new(), 1, 0);
    let next = |at: usize| chars.get(at).copied().unwrap_or('\0');
    while at < chars.len() {
        let start = at;
        match chars[at] {
            '/' if next(at + 1) == '/' => {
                while at < chars.len() && chars[at] != '\n' {
                    at += 1;
                }
            }
            '/' if next(at + 1) == '*' => {
                let mut depth = 0;
                while at < chars.len() {
                    let pair = (chars[at], next(at + 1));
                    match pair {
                        ('/', '*') => depth += 1,
                        ('*', '/') => depth -= 1,
                        _ => {
                            at += 1;
                            continue;
                        }
                    }
                    at += 2;
                    if depth == 0 {
                        break;
                    }
                }
            }
            '"' => at = string_end(&chars, at),
            'r' | 'b' | 'c' if raw_string_end(&chars, at).is_some() => {
                at = raw_string_end(&chars, at).unwrap()
            }
            'b' | 'c' if next(at + 1) == '"' => at = string_end(&chars, at + 1),
            // A character, unless it is a lifetime.
            '\'' if next(at + 1) == '\\' => {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            }
            '\'' if next(at + 2) == '\'' => at += 3,
            first if first.is_alphanumeric() || first == '_' || first == '$' => {
                at += 1;
                while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                    at += 1;
                }
                found.push(Token {
                    line,
                    text: chars[start..at].iter().collect(),
                });
            }
            ':' if next(at + 1) == ':' => {
                at += 2;
                found.push(Token {
                    line,
                    text: "::".to_owned(),
                });
            }
            other => {
                at += 1;
                if !other.is_whitespace() {
                    found.push(Token {
                        line,
                        text: other.to_string(),
                    });
                }
            }
        }
        at = at.min(chars.len());
        line += chars[start..at]
            .iter()
            .filter(|&&passed| passed == '\n')
            .count();
    }
    found
}

fn string_end(chars: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The end of `r"…"`, `r#"…"#`, `br"…"` and the like that starts at `at`.
fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let mut open = at;
    if matches!(chars[open], 'b' | 'c') {
        open += 1;
    }
    if chars.get(open) != Some(&'r') {
        return None;
    }
    open += 1;
    let hashes = chars[open..]
        .iter()
        .take_while(|&&hash| hash == '#')
        .count();
    open += hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |at: usize| {
        chars[at] == '"'
            && chars[at + 1..]
                .iter()
                .take(hashes)
                .filter(|&&h| h == '#')
                .count()
                == hashes
    };
    Some(
        (open + 1..chars.len())
            .find(|&at| closes(at))
            .map_or(chars.len(), |end| end + 1 + hashes),
    )
}
