//! What `produce` and `consume` share: one record a line, in kcat's words.

use clap::{ArgAction, Args};
use kafka_proto::client::{Config, ConfigError, ConsumerRecord};

use crate::cli::property;

/// How to reach the cluster.
#[derive(Debug, Clone, Args)]
pub struct Connection {
    /// Brokers to connect to. Without any an in-process cluster is started.
    #[arg(
        short = 'b',
        long,
        alias = "bootstrap-servers",
        value_name = "HOST:PORT,…"
    )]
    pub bootstrap_server: Option<String>,

    /// One client property. May be repeated.
    #[arg(short = 'X', long, value_name = "K=V", action = ArgAction::Append, value_parser = property)]
    pub property: Vec<(String, String)>,

    /// File of client properties.
    #[arg(short = 'F', long, alias = "command-config", value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
}

impl Connection {
    /// The client's settings: the file's, then the properties', then the brokers.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown property, a value that is not of its kind.
    pub fn settings(&self) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        if let Some(path) = &self.config {
            config.set_from_file(path)?;
        }
        for (name, value) in &self.property {
            config.set(name, value)?;
        }
        if let Some(servers) = &self.bootstrap_server {
            config.set("bootstrap.servers", servers)?;
        }
        Ok(config)
    }
}

/// A delimiter or format as it is meant: `\n`, `\t`, `\r`, `\0`, `\\` and `\xHH` stand for one byte.
///
/// # Errors
/// A backslash before anything else.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let (taken, meant) = match rest {
            [b'n', ..] => (1, b'\n'),
            [b't', ..] => (1, b'\t'),
            [b'r', ..] => (1, b'\r'),
            [b'0', ..] => (1, 0),
            [b'\\', ..] => (1, b'\\'),
            [b'x', digits @ ..] => {
                let digits = digits.get(..2).and_then(|two| str::from_utf8(two).ok());
                let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
                (3, byte.ok_or("\\x needs two hexadecimal digits behind it")?)
            }
            _ => {
                return Err(format!(
                    "unknown escape in {text:?}: \\n \\t \\r \\0 \\\\ and \\xHH are known"
                ));
            }
        };
        bytes.push(meant);
        rest = &rest[taken..];
    }
    Ok(bytes)
}

/// A line as it is printed for a record, in kcat's letters: `%t` topic, `%p` partition, `%o` offset, `%k` key, `%s` value, `%h` headers,
/// `%T` timestamp, `%K` and `%S` bytes of key and value (−1 for null), `%%` a percent sign.
#[derive(Debug, Clone)]
pub struct Format(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(Vec<u8>),
    Field(u8),
}

impl Format {
    /// Reads a format.
    ///
    /// # Errors
    /// A letter behind `%` or `\` that means nothing.
    pub fn new(text: &str) -> Result<Self, String> {
        let bytes = unescape(text)?;
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut rest = bytes.iter().copied();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                plain.push(byte);
                continue;
            }
            match rest.next() {
                Some(b'%') => plain.push(b'%'),
                Some(field) if b"tpokshTKS".contains(&field) => {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    pieces.push(Piece::Field(field));
                }
                _ => {
                    return Err(format!(
                        "{text:?} is no format: behind % stands one of t p o k s h T K S %"
                    ));
                }
            }
        }
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    /// Appends a record; what is null stands as `null` says.
    pub fn write(&self, record: &ConsumerRecord, null: &[u8], out: &mut Vec<u8>) {
        let number = |out: &mut Vec<u8>, number: i64| out.extend(number.to_string().into_bytes());
        let length = |field: Option<&[u8]>| field.map_or(-1, |field| field.len() as i64);
        for piece in &self.0 {
            let field = match piece {
                Piece::Text(text) => {
                    out.extend_from_slice(text);
                    continue;
                }
                Piece::Field(field) => *field,
            };
            match field {
                b't' => out.extend_from_slice(record.topic().as_bytes()),
                b'p' => number(out, record.partition().into()),
                b'o' => number(out, record.offset()),
                b'k' => out.extend_from_slice(record.key().unwrap_or(null)),
                b's' => out.extend_from_slice(record.value().unwrap_or(null)),
                b'T' => number(out, record.timestamp()),
                b'K' => number(out, length(record.key())),
                b'S' => number(out, length(record.value())),
                _ => headers(record, null, out),
            }
        }
    }
}

/// `name=value,name=value`
fn headers(record: &ConsumerRecord, null: &[u8], out: &mut Vec<u8>) {
    for (n, header) in record.headers().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        out.extend_from_slice(header.name_bytes());
        out.push(b'=');
        out.extend_from_slice(header.value().unwrap_or(null));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_one_byte() {
        assert_eq!(unescape(r"a\n\t\x01\\").unwrap(), b"a\n\t\x01\\");
        assert!(unescape(r"\q").is_err() && unescape(r"\x1").is_err() && unescape("\\").is_err());
    }

    #[test]
    fn an_unknown_letter_is_refused_with_the_known_ones() {
        let error = Format::new("%q").unwrap_err();
        assert!(error.contains("t p o k s h T K S"), "{error}");
        assert!(Format::new("100 %").is_err());
        assert!(Format::new("100 %% %t[%p]@%o\\n").is_ok());
    }
}
