//! Cuts a stream into chunks of whole records, so that threads can parse them side by side.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use memchr::{memchr, memchr_iter, memrchr};

use crate::pool::array::ArrayCutter;
use crate::pool::csv::CsvCutter;
use crate::pool::reject::{MAX_RAW, Reject};
use crate::pool::source::{Format, Unpacked, open};
use crate::{Error, Result};

/// Bytes of text in a chunk: small enough for little memory, large enough for little overhead.
pub const CHUNK_BYTES: usize = 2 << 20;

/// A piece of a file with whole records in it.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The text.
    pub data: Vec<u8>,
    /// Where the records are.
    pub layout: Layout,
    /// 1-based line (JSONL, CSV) or row (JSON list) of the first record.
    pub first: u64,
    /// What the cutter itself had to refuse (lines that are too long, a truncated stream).
    pub rejects: Vec<Reject>,
}

/// How records lie in a [`Chunk`].
#[derive(Debug, Default)]
pub enum Layout {
    /// Lines, the last one perhaps without its newline.
    #[default]
    Lines,
    /// Spans `(start, end)` in the data, one a record, numbered from `first` on.
    Spans(Vec<(usize, usize)>),
    /// CSV records, already split.
    Fields {
        /// The header: names of the fields.
        names: std::sync::Arc<Vec<String>>,
        /// The records with their 1-based lines.
        records: Vec<(u64, ::csv::ByteRecord)>,
    },
}

/// A file as chunks, in order.
#[derive(Debug)]
pub struct Chunks {
    path: PathBuf,
    cutter: Cutter,
}

#[derive(Debug)]
enum Cutter {
    Lines(LineCutter),
    Array(ArrayCutter),
    Csv(Box<CsvCutter>),
}

impl Chunks {
    /// Opens `path` as `format`. Records longer than `max_bytes` are refused, in flat memory.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] as [`open`].
    pub fn open(path: &Path, format: Format, max_bytes: usize) -> Result<Self> {
        let stream = Stream::new(open(path)?);
        let cutter = match format {
            Format::Jsonl => Cutter::Lines(LineCutter::new(stream, max_bytes)),
            Format::JsonArray => Cutter::Array(ArrayCutter::new(stream, max_bytes)),
            Format::Csv { separator } => {
                Cutter::Csv(Box::new(CsvCutter::new(stream, separator, max_bytes, path)?))
            }
        };
        Ok(Self { path: path.to_owned(), cutter })
    }

    /// The next chunk, or `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`] where reading fails for another reason than broken compression.
    ///
    /// `buffer` is one that is no longer needed: fresh memory costs a page fault every 4 KiB.
    pub fn next_chunk(&mut self, buffer: Vec<u8>) -> Result<Option<Chunk>> {
        let chunk = match &mut self.cutter {
            Cutter::Lines(cutter) => cutter.next_chunk(buffer),
            Cutter::Array(cutter) => cutter.next_chunk(),
            Cutter::Csv(cutter) => cutter.next_chunk(),
        };
        chunk.map_err(|error| Error::io(&self.path, error))
    }
}

/// Bytes of a file after unpacking, without a byte order mark. A broken stream ends early and
/// remembers why.
#[derive(Debug)]
pub struct Stream {
    inner: Unpacked,
    started: bool,
    broken: Option<String>,
}

impl Stream {
    /// A stream over an open file.
    pub fn new(inner: Unpacked) -> Self {
        Self { inner, started: false, broken: None }
    }

    /// Appends up to `count` bytes to `buffer` and says how many came; 0 is the end.
    ///
    /// # Errors
    /// What the operating system says. Broken compression is no error here but an early end.
    pub fn fill(&mut self, buffer: &mut Vec<u8>, count: usize) -> io::Result<usize> {
        if self.broken.is_some() {
            return Ok(0);
        }
        let before = buffer.len();
        let outcome = self.inner.append(buffer, count);
        if let Err(error) = outcome {
            if !self.inner.packing.is_fault(&error) {
                return Err(error);
            }
            self.broken = Some(format!("{}: {error}", self.inner.packing.name()));
        }
        if !self.started {
            self.started = true;
            if buffer[before..].starts_with(b"\xEF\xBB\xBF") {
                buffer.drain(before..before + 3);
            }
        }
        Ok(buffer.len() - before)
    }

    /// The reject for an early end, once.
    pub fn take_fault(&mut self, line: u64, raw: &[u8]) -> Option<Reject> {
        self.broken.take().map(|got| {
            let hint = "the file is cut off or damaged; what came before is used";
            Reject::new("truncated", "a whole compressed file", got, hint).at(line, raw)
        })
    }

    /// Whether the stream ended early.
    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut bytes = Vec::with_capacity(out.len().min(1 << 16));
        let count = self.fill(&mut bytes, out.len().min(1 << 16))?;
        out[..count].copy_from_slice(&bytes);
        Ok(count)
    }
}

/// The reject of a record over the limit.
pub fn too_long(line: u64, start: &[u8], max_bytes: usize) -> Reject {
    let mib = max_bytes as f64 / f64::from(1 << 20);
    let hint = "raise the limit with --max-line-mb, or look whether newlines are missing";
    let expected = format!("a record of at most {mib} MiB");
    Reject::new("long", expected, "a longer one", hint).at(line, start)
}

#[derive(Debug)]
struct LineCutter {
    stream: Stream,
    /// The beginning of a line whose end was not read yet.
    tail: Vec<u8>,
    line: u64,
    max_bytes: usize,
    ended: bool,
}

impl LineCutter {
    fn new(stream: Stream, max_bytes: usize) -> Self {
        Self { stream, tail: Vec::new(), line: 1, max_bytes, ended: false }
    }

    fn next_chunk(&mut self, buffer: Vec<u8>) -> io::Result<Option<Chunk>> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = Chunk { first: self.line, ..Chunk::default() };
        let mut data = buffer;
        data.clear();
        data.reserve(CHUNK_BYTES.max(2 * self.tail.len()));
        data.append(&mut self.tail);
        loop {
            let before = data.len();
            let wanted = CHUNK_BYTES.saturating_sub(before).max(CHUNK_BYTES / 2);
            if self.stream.fill(&mut data, wanted)? == 0 {
                return Ok(Some(self.finish(chunk, data)));
            }
            if let Some(offset) = memrchr(b'\n', &data[before..]) {
                let end = before + offset + 1;
                self.tail.extend_from_slice(&data[end..]);
                data.truncate(end);
                self.line += memchr_iter(b'\n', &data).count() as u64;
                chunk.data = data;
                return Ok(Some(chunk));
            }
            if data.len() > self.max_bytes {
                chunk.rejects.push(too_long(self.line, &data, self.max_bytes));
                data.clear();
                self.skip_line()?;
                self.line += 1;
                chunk.first = self.line;
                data.append(&mut self.tail);
                if self.ended {
                    return Ok(Some(self.finish(chunk, data)));
                }
            }
        }
    }

    /// Drops everything up to the next newline; what follows it becomes the tail.
    fn skip_line(&mut self) -> io::Result<()> {
        let mut piece = Vec::with_capacity(CHUNK_BYTES / 2);
        loop {
            piece.clear();
            if self.stream.fill(&mut piece, CHUNK_BYTES / 2)? == 0 {
                self.ended = true;
                return Ok(());
            }
            if let Some(offset) = memchr(b'\n', &piece) {
                self.tail.extend_from_slice(&piece[offset + 1..]);
                return Ok(());
            }
        }
    }

    fn finish(&mut self, mut chunk: Chunk, mut data: Vec<u8>) -> Chunk {
        self.ended = true;
        if self.stream.is_broken() {
            // The last line may be cut in two: it is shown in the reject, not parsed.
            let start = memrchr(b'\n', &data).map_or(0, |at| at + 1);
            let line = self.line + memchr_iter(b'\n', &data).count() as u64;
            let raw = &data[start..data.len().min(start + MAX_RAW)];
            chunk.rejects.extend(self.stream.take_fault(line, raw));
            data.truncate(start);
        }
        chunk.data = data;
        chunk
    }
}
