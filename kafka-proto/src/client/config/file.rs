//! Java's `.properties` format: comments, separators, continued lines, escapes.

use crate::client::error::ConfigError;

/// The pairs of names and values of a text, in its order.
pub(super) fn properties(text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let mut pairs = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut line = first.to_owned();
        // An odd number of backslashes at the end continues the line with the next one, less its indentation.
        while (line.len() - line.trim_end_matches('\\').len()) % 2 == 1 {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next.trim_start());
        }
        pairs.push(pair(&line).ok_or_else(|| {
            ConfigError::File(format!(
                "line {} of the properties has an escape that is not one: {first}",
                index + 1
            ))
        })?);
    }
    Ok(pairs)
}

/// Splits a logical line at its first separator and resolves escapes; `None` for a broken `\uXXXX`.
fn pair(line: &str) -> Option<(String, String)> {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|(_, c)| {
            let separates = !escaped && (matches!(c, '=' | ':') || c.is_ascii_whitespace());
            escaped = !escaped && *c == '\\';
            separates
        })
        .map_or(line.len(), |(at, _)| at);
    let (name, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
    Some((unescape(name)?, unescape(value)?))
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next()? {
            't' => out.push('\t'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            'f' => out.push('\u{c}'),
            'u' => {
                let digits: String = chars.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok();
                out.push(
                    code.filter(|_| digits.len() == 4)
                        .and_then(char::from_u32)?,
                );
            }
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_java_reads_them() {
        let text = "# a comment\n! another\n\n  linger.ms = 7\nacks:all\nclient.id  spaced out\n\
                    bootstrap.servers=a:1,\\\n    b:2\npath=c:\\\\d\\u0041\\tx\nempty=\nk\\=ey=v\nlone";
        let pairs = properties(text).unwrap();
        let expected = [
            ("linger.ms", "7"),
            ("acks", "all"),
            ("client.id", "spaced out"),
            ("bootstrap.servers", "a:1,b:2"),
            ("path", "c:\\dA\tx"),
            ("empty", ""),
            ("k=ey", "v"),
            ("lone", ""),
        ];
        let pairs: Vec<(&str, &str)> = pairs
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_broken_escape_names_its_line() {
        let error = properties("a=1\nb=\\u12").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
