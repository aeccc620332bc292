//! Which field stands at an offset: the slow way through a message, by its schema, for error texts. The fast way carries no path.

use std::fmt::Write as _;

use bytes::Bytes;

use super::{Kind, Schema, Struct};
use crate::wire::{DecodeError, Layout, Nullable, Reader, Records, Text};

impl Schema {
    /// The path of the field at `offset` of a body, as `topics[2].partitions[0].records`; where the body cannot be read as
    /// far as that, the path of the field that stopped it.
    pub fn path_at(&self, body: &Bytes, version: i16, offset: usize) -> String {
        let mut walk = Walk {
            r: Reader::new(body.clone()),
            l: self.layout(version),
            offset,
            path: String::new(),
        };
        match walk.fields(self.fields) {
            Ok(()) => "the end".to_owned(),
            Err(_) => walk.path,
        }
    }
}

struct Walk {
    r: Reader,
    l: Layout,
    offset: usize,
    path: String,
}

/// The field was found, or the bytes end before it.
struct Stop;

impl From<DecodeError> for Stop {
    fn from(_: DecodeError) -> Self {
        Self
    }
}

impl Walk {
    fn fields(&mut self, of: &Struct) -> Result<(), Stop> {
        let version = self.l.version;
        for field in of
            .fields
            .iter()
            .filter(|field| field.tag.is_none() && field.versions.contains(version))
        {
            self.step(field.name, &field.kind)?;
        }
        if !self.l.flexible {
            return Ok(());
        }
        let end = self.path.len();
        self.path.push_str(if end == 0 {
            "tagged fields"
        } else {
            ".tagged fields"
        });
        let mut tags = self.r.tags()?;
        self.found()?;
        while let Some((tag, stop)) = tags.next(&mut self.r)? {
            self.found()?;
            let start = self.r.offset();
            let tagged = of
                .fields
                .iter()
                .find(|field| field.tag == Some(tag) && field.versions.contains(self.l.version));
            if let Some(field) = tagged {
                let tags_path = std::mem::take(&mut self.path);
                self.path.push_str(&tags_path[..end]);
                self.step(field.name, &field.kind)?;
                self.path = tags_path;
            }
            tags.end(&mut self.r, start, stop, tagged.is_some())?;
            self.found()?;
        }
        self.path.truncate(end);
        Ok(())
    }

    fn step(&mut self, name: &str, kind: &Kind) -> Result<(), Stop> {
        let end = self.path.len();
        if end > 0 {
            self.path.push('.');
        }
        self.path.push_str(name.trim_start_matches("r#"));
        self.value(kind)?;
        self.path.truncate(end);
        Ok(())
    }

    fn value(&mut self, kind: &Kind) -> Result<(), Stop> {
        match kind {
            Kind::Nullable(Kind::Struct(of)) => {
                let some = self.r.present()?;
                self.found()?;
                if some {
                    self.fields(of)?;
                }
            }
            Kind::Struct(of) => self.fields(of)?,
            Kind::Nullable(Kind::Array(element)) | Kind::Array(element) => {
                let count = self.r.length_32(self.l.flexible)?.unwrap_or(0);
                self.found()?;
                let end = self.path.len();
                for index in 0..count {
                    let _ = write!(self.path, "[{index}]");
                    self.value(element)?;
                    self.path.truncate(end);
                }
            }
            Kind::Nullable(Kind::String) | Kind::String => {
                drop(Text::read_nullable(&mut self.r, self.l)?)
            }
            Kind::Nullable(Kind::Bytes) | Kind::Bytes => {
                drop(Bytes::read_nullable(&mut self.r, self.l)?)
            }
            Kind::Nullable(Kind::Records) | Kind::Records => {
                drop(Records::read_nullable(&mut self.r, self.l)?)
            }
            Kind::Bool | Kind::Int8 => self.r.skip(1)?,
            Kind::Int16 | Kind::Uint16 => self.r.skip(2)?,
            Kind::Int32 => self.r.skip(4)?,
            Kind::Int64 | Kind::Float64 => self.r.skip(8)?,
            Kind::Uuid => self.r.skip(16)?,
            // No other type may be null.
            Kind::Nullable(_) => return Err(Stop),
        }
        self.found()
    }

    /// Stops once the cursor has passed the offset.
    fn found(&self) -> Result<(), Stop> {
        if self.r.offset() > self.offset {
            Err(Stop)
        } else {
            Ok(())
        }
    }
}
