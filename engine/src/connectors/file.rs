//! Files of lines: read to their end, or followed as `tail -F` does; and written.
//!
//! The position of a line is the number of bytes before it, counted through all files that have stood under the path: rotation begins a
//! segment ([`Records::begin_segment`]) that is named after the file itself, so that a restart finds the right one again.

use std::fmt::Debug;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::memory::now_ms;
use crate::batch::Record;
use crate::batch::sink::{Sink, Writer};
use crate::batch::source::{BoxError, Open, Read, Reader, Records, Source};

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// A line longer than this is no line.
const LINE_BYTES_MAX: usize = 16 << 20;
/// How often a file that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The lines of a file, without their ends (`\n` or `\r\n`): a source of one partition. Each is a record without a key, its timestamp is when it was
/// read, its offset the number of bytes before it.
///
/// ```no_run
/// use engine::connectors::Lines;
///
/// let app = engine::plan::App::new("orders", |s| {
///     s.source(Lines::of("orders.csv").skip_header()).utf8().map(|line| ((), line)).sink("orders");
/// });
/// # let _ = app;
/// ```
#[derive(Clone, Debug)]
pub struct Lines {
    path: PathBuf,
    name: String,
    follows: bool,
    skips_header: bool,
    look_every: Duration,
}

impl Lines {
    /// The lines of a file, to its end: bounded. A last line without an end is one.
    pub fn of(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            name: path.display().to_string(),
            path,
            follows: false,
            skips_header: false,
            look_every: LOOK_EVERY,
        }
    }

    /// Goes on with what is added to the file, and with the file that takes its place (by name, as `tail -F`: rotated by renaming or by
    /// truncating). A last line without an end waits for it. With [`Config::until_end`](crate::Config) it ends as [`Lines::of`] does.
    #[must_use]
    pub fn follow(self) -> Self {
        Self {
            follows: true,
            ..self
        }
    }

    /// How often a file that is followed is looked at; every 100 ms without it.
    #[must_use]
    pub fn look_every(self, look_every: Duration) -> Self {
        Self { look_every, ..self }
    }

    /// Passes over the first line of each file.
    #[must_use]
    pub fn skip_header(self) -> Self {
        Self {
            skips_header: true,
            ..self
        }
    }
}

/// The lines of standard input, to its end. Positions mean nothing there: each run begins with what comes.
#[must_use]
pub fn stdin() -> Stdin {
    Stdin
}

/// What tells a file apart from others that stand under its name, before it or after it.
fn identity(meta: &Metadata) -> String {
    // The system gives the number of a file that is gone to another one.
    let created = meta
        .created()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let created = created.map_or(0, |since| since.as_nanos());
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        format!("{}:{}:{created}", meta.dev(), meta.ino())
    }
    #[cfg(not(unix))]
    {
        created.to_string()
    }
}

fn doing(what: &str, path: &Path, error: &std::io::Error) -> BoxError {
    format!("{what} {}: {error}", path.display()).into()
}

/// Cuts bytes into lines.
#[derive(Debug, Default)]
struct Cutter {
    /// What was read and is no whole line yet.
    rest: Vec<u8>,
    /// Bytes of `rest` that hold no end of a line.
    searched: usize,
}

impl Cutter {
    /// Adds the whole lines of `rest`, of which the first begins at `offset`; returns where the next one begins.
    fn cut(
        &mut self,
        mut offset: i64,
        skip: &mut bool,
        is_end: bool,
        records: &mut Records,
    ) -> Result<i64, BoxError> {
        let now = now_ms();
        let mut from = 0;
        loop {
            let found = self.rest[self.searched..].iter().position(|b| *b == b'\n');
            let (end, next) = match found {
                Some(at) => (self.searched + at, self.searched + at + 1),
                None if is_end && from < self.rest.len() => (self.rest.len(), self.rest.len()),
                None => break,
            };
            let line = &self.rest[from..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !std::mem::take(skip) {
                records.push_at(offset, now, None, Some(line))?;
            }
            offset += (next - from) as i64;
            (from, self.searched) = (next, next);
        }
        self.rest.drain(..from);
        self.searched = self.rest.len();
        records.pass_to(offset);
        if self.searched > LINE_BYTES_MAX {
            return Err(format!(
                "the line at byte {offset} is longer than {LINE_BYTES_MAX} bytes: this is no file of lines"
            )
            .into());
        }
        Ok(offset)
    }
}

/// Reads a file of [`Lines`].
#[derive(Debug)]
pub struct LinesReader {
    of: Lines,
    file: Option<File>,
    /// Whether its identity is to be told with the next record.
    is_new: Option<String>,
    identity: String,
    /// Bytes read of this file.
    read: u64,
    /// Position of the first line that was not given out.
    offset: i64,
    skip: bool,
    cutter: Cutter,
    chunk: Vec<u8>,
    waits: bool,
}

impl Source for Lines {
    type Reader = LinesReader;

    fn name(&self) -> &str {
        &self.name
    }

    fn partitions(&self) -> Result<i32, BoxError> {
        // What cannot be read should be known before anything else is begun.
        match File::open(&self.path) {
            Ok(file) if file.metadata().is_ok_and(|meta| meta.is_dir()) => {
                Err("this is a folder; name a file".into())
            }
            Err(error) if !(self.follows && error.kind() == ErrorKind::NotFound) => {
                Err(Box::new(error))
            }
            _ => Ok(1),
        }
    }

    fn open(&self, open: Open) -> Result<LinesReader, BoxError> {
        let mut reader = LinesReader {
            of: self.clone(),
            file: None,
            is_new: None,
            identity: String::new(),
            read: 0,
            offset: open.offset,
            skip: self.skips_header,
            cutter: Cutter::default(),
            chunk: vec![0; CHUNK],
            waits: self.follows && !open.until_end,
        };
        match open.segment {
            Some((from, identity)) => reader.go_back(from, identity)?,
            None => {
                reader.begin()?;
            }
        }
        Ok(reader)
    }
}

impl LinesReader {
    fn path(&self) -> &Path {
        &self.of.path
    }

    /// Opens what stands under the path now, at its first byte. False: there is nothing, which a follower waits for.
    fn begin(&mut self) -> Result<bool, BoxError> {
        let file = match File::open(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound && self.of.follows => {
                return Ok(false);
            }
            Err(error) => return Err(doing("opening", self.path(), &error)),
        };
        let meta = file.metadata();
        let identity = identity(&meta.map_err(|e| doing("reading", self.path(), &e))?);
        self.identity.clone_from(&identity);
        self.is_new = Some(identity);
        self.file = Some(file);
        self.read = 0;
        self.skip = self.of.skips_header;
        Ok(true)
    }

    /// Opens the file that the position lies in, also under another name in the same folder, and goes to it.
    fn go_back(&mut self, from: i64, known: String) -> Result<(), BoxError> {
        let is_it = |path: &Path| {
            let file = File::open(path).ok()?;
            (identity(&file.metadata().ok()?) == known).then_some(file)
        };
        let folder = self.path().parent().filter(|p| !p.as_os_str().is_empty());
        let rotated = || {
            let entries = std::fs::read_dir(folder.unwrap_or_else(|| Path::new("."))).ok()?;
            entries.flatten().find_map(|entry| is_it(&entry.path()))
        };
        let gone = |what: &str| {
            format!(
                "the file in which position {} lies {what}; lines may be lost. To read {} from its beginning, delete the file `positions` of this application in its state.dir, or use another application.id",
                self.offset,
                self.path().display()
            )
        };
        let Some(mut file) = is_it(self.path()).or_else(rotated) else {
            return Err(gone("is gone").into());
        };
        let at = u64::try_from(self.offset - from).unwrap_or(0);
        let length = file.metadata().map(|meta| meta.len());
        let length = length.map_err(|e| doing("reading", self.path(), &e))?;
        if at > length {
            return Err(gone("is shorter now").into());
        }
        // A position may lie behind the first byte of the last line: on to the next line then.
        let mut before = [b'\n'];
        if at > 0 {
            file.seek(SeekFrom::Start(at - 1))
                .and_then(|_| file.read_exact(&mut before))
                .map_err(|e| doing("reading", self.path(), &e))?;
        }
        self.read = at;
        self.skip = if at == 0 {
            self.of.skips_header
        } else {
            before != *b"\n"
        };
        self.identity = known;
        self.file = Some(file);
        Ok(())
    }

    /// Reads on; the number of bytes.
    fn fill(&mut self) -> Result<usize, BoxError> {
        let Some(file) = &mut self.file else {
            return Ok(0);
        };
        let n = file
            .read(&mut self.chunk)
            .map_err(|e| doing("reading", &self.of.path, &e))?;
        self.cutter.rest.extend_from_slice(&self.chunk[..n]);
        self.read += n as u64;
        Ok(n)
    }

    /// At the end of what there is: whether another file stands under the path, or the file was emptied.
    fn is_rotated(&self) -> bool {
        // Moved away, and the next one is not there yet: not now.
        std::fs::metadata(self.path())
            .is_ok_and(|meta| identity(&meta) != self.identity || meta.len() < self.read)
    }

    fn cut(&mut self, is_end: bool, records: &mut Records) -> Result<(), BoxError> {
        if let Some(name) = self.is_new.take() {
            records.begin_segment(name);
        }
        self.offset = self
            .cutter
            .cut(self.offset, &mut self.skip, is_end, records)?;
        Ok(())
    }
}

impl Reader for LinesReader {
    async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
        loop {
            while !records.is_full() {
                if self.fill()? == 0 {
                    break;
                }
                self.cut(false, records)?;
            }
            if !records.is_empty() {
                return Ok(Read::More);
            }
            if self.file.is_some() && self.is_rotated() {
                // What was added between the last look and the renaming is still there.
                if self.fill()? > 0 {
                    self.cut(false, records)?;
                    continue;
                }
                self.cut(true, records)?;
                self.file = None;
            }
            if self.file.is_none() && self.begin()? {
                continue;
            }
            if !self.waits {
                self.cut(true, records)?;
                return Ok(Read::End);
            }
            tokio::time::sleep(self.of.look_every).await;
        }
    }
}

/// Standard input; see [`stdin`].
#[derive(Clone, Copy, Debug)]
pub struct Stdin;

/// Reads [`Stdin`].
#[derive(Debug)]
pub struct StdinReader {
    chunks: tokio::sync::mpsc::Receiver<std::io::Result<Vec<u8>>>,
    offset: i64,
    cutter: Cutter,
}

impl Source for Stdin {
    type Reader = StdinReader;

    fn name(&self) -> &str {
        "stdin"
    }

    fn open(&self, _: Open) -> Result<StdinReader, BoxError> {
        // A thread of its own: it may wait for a line for ever, and nobody waits for it.
        let (chunk, chunks) = tokio::sync::mpsc::channel(2);
        let read = move || {
            let mut input = std::io::stdin().lock();
            loop {
                let mut bytes = vec![0; CHUNK];
                let sent = match input.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(n) => {
                        bytes.truncate(n);
                        chunk.blocking_send(Ok(bytes))
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => chunk.blocking_send(Err(error)),
                };
                if sent.is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(read)?;
        Ok(StdinReader {
            chunks,
            offset: 0,
            cutter: Cutter::default(),
        })
    }

    fn keeps_positions(&self) -> bool {
        false
    }
}

impl Reader for StdinReader {
    async fn read(&mut self, records: &mut Records) -> Result<Read, BoxError> {
        while records.is_empty() {
            let chunk = self.chunks.recv().await.transpose()?;
            let is_end = chunk.is_none();
            self.cutter.rest.extend(chunk.unwrap_or_default());
            self.offset = self.cutter.cut(self.offset, &mut false, is_end, records)?;
            if is_end {
                return Ok(Read::End);
            }
        }
        Ok(Read::More)
    }
}

/// Writes the values of records to a file, a line each, behind what is there. A null value is an empty line; a key is not written.
///
/// Several workers append whole batches to the same file, each batch in one write, so that lines stay whole; between workers there is no order.
/// At a commit the file is synchronised with the disk.
#[derive(Clone, Debug)]
pub struct LinesTo {
    path: PathBuf,
    name: String,
}

impl LinesTo {
    /// Appends to a file; it is made if it is missing.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            name: path.display().to_string(),
            path,
        }
    }
}

/// Writes to a file of [`LinesTo`], or to standard output.
#[derive(Debug)]
pub struct LinesWriter {
    out: Box<dyn Durable>,
    text: Vec<u8>,
    is_synchronised: bool,
}

/// Takes bytes that are to outlive a crash.
trait Durable: Write + Debug + Send + Sync {
    /// What was written is on the disk when it returns, where there is one.
    fn synchronise(&mut self) -> std::io::Result<()>;
}

impl Durable for File {
    fn synchronise(&mut self) -> std::io::Result<()> {
        match self.sync_data() {
            // A pipe or a terminal has nothing to synchronise.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            other => other,
        }
    }
}

impl Durable for std::io::Stdout {
    fn synchronise(&mut self) -> std::io::Result<()> {
        self.flush()
    }
}

impl LinesWriter {
    fn new(out: impl Durable + 'static) -> Self {
        Self {
            out: Box::new(out),
            text: Vec::new(),
            is_synchronised: true,
        }
    }
}

impl Sink for LinesTo {
    type Writer = LinesWriter;

    fn name(&self) -> &str {
        &self.name
    }

    fn open(&self) -> Result<LinesWriter, BoxError> {
        let file = File::options().append(true).create(true).open(&self.path)?;
        Ok(LinesWriter::new(file))
    }
}

/// Standard output: the values of records, a line each.
#[must_use]
pub fn stdout() -> Stdout {
    Stdout
}

/// Standard output; see [`stdout`].
#[derive(Clone, Copy, Debug)]
pub struct Stdout;

impl Sink for Stdout {
    type Writer = LinesWriter;

    fn name(&self) -> &str {
        "stdout"
    }

    fn open(&self) -> Result<LinesWriter, BoxError> {
        Ok(LinesWriter::new(std::io::stdout()))
    }
}

impl Writer for LinesWriter {
    async fn write(&mut self, records: &[Record<'_>]) -> Result<(), BoxError> {
        self.text.clear();
        for record in records {
            self.text
                .extend_from_slice(record.value.unwrap_or_default());
            self.text.push(b'\n');
        }
        self.is_synchronised = false;
        Ok(self.out.write_all(&self.text)?)
    }

    async fn flush(&mut self) -> Result<(), BoxError> {
        if !std::mem::replace(&mut self.is_synchronised, true) {
            self.out.synchronise()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kafka_proto::records::Headers;

    use super::*;

    /// Notes what was asked of it.
    #[derive(Clone, Debug, Default)]
    struct Disk(Arc<Mutex<Vec<String>>>);

    impl Disk {
        fn note(&self, what: &str) {
            self.0.lock().unwrap().push(what.to_owned());
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.note(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Durable for Disk {
        fn synchronise(&mut self) -> std::io::Result<()> {
            self.note("synchronised");
            Ok(())
        }
    }

    fn record(value: &str) -> Record<'_> {
        Record {
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::default(),
            topic: "lines",
            offset: 0,
            timestamp: 0,
            partition: None,
        }
    }

    #[tokio::test]
    async fn what_was_written_is_on_the_disk_at_a_commit_and_nothing_is_synchronised_for_nothing() {
        let disk = Disk::default();
        let mut writer = LinesWriter::new(disk.clone());
        writer.flush().await.unwrap();
        for commit in [["a", "b"], ["c", "d"]] {
            for value in commit {
                writer.write(&[record(value)]).await.unwrap();
            }
            writer.flush().await.unwrap();
            writer.flush().await.unwrap();
        }
        let seen = disk.0.lock().unwrap().join("|");
        assert_eq!(seen, "a\n|b\n|synchronised|c\n|d\n|synchronised");
    }
}
