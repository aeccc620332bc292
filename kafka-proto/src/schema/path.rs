//! Which field stands at an offset: the slow way through a message, by its schema, for error texts. The fast way carries no path.

use std::fmt::Write as _;

use bytes::Bytes;

use super::{Kind, Schema, Struct};
use crate::wire::{Cursor, Layout, Reader, Uuid, Wire as _};

impl Schema {
    /// The path of the field at `offset` of a body, as `topics[2].partitions[0].records`; where the body cannot be read as
    /// far as that, the path of the field that stopped it.
    pub fn path_at(&self, body: &Bytes, version: i16, offset: usize) -> String {
        let mut path = String::new();
        let mut r = Reader::new(body.clone());
        let walked = r.read(|cursor| {
            let mut walk = Walk {
                r: cursor,
                l: self.layout(version),
                offset,
                path: &mut path,
            };
            walk.fields(self.fields)
        });
        match walked {
            Ok(Ok(())) => "the end".to_owned(),
            _ => path,
        }
    }
}

struct Walk<'a, 'b> {
    r: &'a mut Cursor<'b>,
    l: Layout,
    offset: usize,
    path: &'a mut String,
}

/// The field was found, or the bytes end before it.
struct Stop;

impl Walk<'_, '_> {
    fn fields(&mut self, of: &Struct) -> Result<(), Stop> {
        for field in of.untagged(self.l.version) {
            self.step(field.name, &field.kind)?;
        }
        if !self.l.flexible {
            return Ok(());
        }
        let end = self.path.len();
        let dot = if end == 0 { "" } else { "." };
        self.path.push_str(dot);
        self.path.push_str("tagged fields");
        let mut tags = self.r.tags();
        self.found()?;
        while let Some(tag) = tags.next(self.r) {
            self.found()?;
            if let Some(field) = of.tagged(tag, self.l.version) {
                let tags_path = self.path.split_off(end);
                self.step(field.name, &field.kind)?;
                self.path.push_str(&tags_path);
                tags.end(self.r);
            } else {
                tags.skip(self.r);
            }
            self.found()?;
        }
        self.found()?;
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
                let some = self.r.present();
                self.found()?;
                if some {
                    self.fields(of)?;
                }
            }
            Kind::Nullable(inner) => self.value(inner)?,
            Kind::Struct(of) => self.fields(of)?,
            Kind::Array(element) => {
                let count = self.r.count(self.l.flexible).unwrap_or(0);
                self.found()?;
                let end = self.path.len();
                for index in 0..count {
                    let _ = write!(self.path, "[{index}]");
                    self.value(element)?;
                    self.path.truncate(end);
                }
            }
            Kind::String => drop(self.r.text(self.l.flexible)),
            Kind::ShortString => drop(self.r.text(false)),
            Kind::Bytes | Kind::Records => drop(self.r.bytes(self.l.flexible)),
            Kind::Bool | Kind::Int8 => drop(self.r.i8()),
            Kind::Int16 | Kind::Uint16 => drop(self.r.i16()),
            Kind::Int32 => drop(self.r.i32()),
            Kind::Int64 | Kind::Float64 => drop(self.r.i64()),
            Kind::Uuid => drop(Uuid::read(self.r, self.l)),
        }
        self.found()
    }

    /// Stops once the cursor has passed the offset.
    fn found(&self) -> Result<(), Stop> {
        if self.r.failed() || self.r.offset() > self.offset {
            Err(Stop)
        } else {
            Ok(())
        }
    }
}
