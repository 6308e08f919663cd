//! Opens a file whatever its compression: found by its first bytes, not by its name.

use std::fs::File;
use std::io::{self, Chain, Cursor, Read};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

const HEAD_BYTES: usize = 64 * 1024;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not packed.
    Plain,
    /// gzip, one or more members.
    Gzip,
    /// Zstandard, one or more frames.
    Zstd,
}

impl Packing {
    /// The name that messages use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Whether an error while reading is that of a broken compression, and not of the disk.
    pub fn is_fault(self, error: &io::Error) -> bool {
        self != Self::Plain && error.raw_os_error().is_none()
    }
}

type Raw = Chain<Cursor<Vec<u8>>, File>;

/// An open file, unpacked on the fly.
pub struct Unpacked {
    /// How it is packed.
    pub packing: Packing,
    inner: Inner,
}

enum Inner {
    Plain(Raw),
    Gzip(Box<flate2::read::MultiGzDecoder<Raw>>),
    Zstd(zstd::stream::read::Decoder<'static, io::BufReader<Raw>>),
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(reader) => reader.read(buffer),
            Inner::Gzip(reader) => reader.read(buffer),
            Inner::Zstd(reader) => reader.read(buffer),
        }
    }
}

impl Unpacked {
    /// Appends up to `count` bytes and says how many came; fewer only at the end.
    ///
    /// # Errors
    /// What the operating system or the decoder says; what came before it is appended.
    pub fn append(&mut self, buffer: &mut Vec<u8>, count: usize) -> io::Result<usize> {
        match &mut self.inner {
            // A file fills memory that was not written yet; through a chain it would be zeroed.
            Inner::Plain(chain) => {
                let (head, file) = chain.get_mut();
                let from_head = head.take(count as u64).read_to_end(buffer)?;
                let rest = (count - from_head) as u64;
                Ok(from_head + file.take(rest).read_to_end(buffer)?)
            }
            _ => self.take(count as u64).read_to_end(buffer),
        }
    }
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Unpacked").field("packing", &self.packing).finish_non_exhaustive()
    }
}

/// Opens `path` and unpacks gzip and Zstandard.
///
/// # Errors
/// [`Error::Io`] where the file cannot be opened or read, [`Error::Data`] where it is empty.
pub fn open(path: &Path) -> Result<Unpacked> {
    let mut file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    (&mut file)
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|error| Error::io(path, error))?;
    if head.is_empty() {
        let path = path.display();
        return Err(Error::Data(format!(
            "{path}: expected records, got an empty file; remove it from the list of inputs"
        )));
    }
    let packing = match head.as_slice() {
        [0x1F, 0x8B, ..] => Packing::Gzip,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Packing::Zstd,
        _ => Packing::Plain,
    };
    let raw = Cursor::new(head).chain(file);
    let inner = match packing {
        Packing::Plain => Inner::Plain(raw),
        Packing::Gzip => Inner::Gzip(Box::new(flate2::read::MultiGzDecoder::new(raw))),
        Packing::Zstd => Inner::Zstd(
            zstd::stream::read::Decoder::new(raw).map_err(|error| Error::io(path, error))?,
        ),
    };
    Ok(Unpacked { packing, inner })
}

/// What the unpacked bytes of a file look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// One JSON list of objects.
    JsonArray,
    /// Comma- or tab-separated values with a header.
    Csv {
        /// The separator.
        separator: u8,
    },
}

impl Format {
    /// The name that messages and manifests use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::JsonArray => "json",
            Self::Csv { .. } => "csv",
        }
    }
}

/// Finds the format of a text file from its first bytes and, for CSV, from its name.
///
/// # Errors
/// [`Error::Io`] where it cannot be read, [`Error::Data`] where it is empty, holds something
/// that is not text with records, or is not what its name says.
pub fn sniff(path: &Path) -> Result<(Format, Packing)> {
    let mut unpacked = open(path)?;
    let packing = unpacked.packing;
    let mut head = vec![0; 4096];
    let mut filled = 0;
    while filled < head.len() {
        match unpacked.read(&mut head[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            // What could be unpacked is looked at; the reader reports the rest as truncated.
            Err(_) if filled > 0 => break,
            Err(error) if packing.is_fault(&error) => {
                return Err(Error::Data(format!(
                    "{}: expected a whole compressed file, got {}: {error}; it is cut off or \
                     damaged before its first record: fetch it again",
                    path.display(),
                    packing.name()
                )));
            }
            Err(error) => return Err(Error::io(path, error)),
        }
    }
    head.truncate(filled);
    let format = look(&head, path)?;
    Ok((format, packing))
}

fn look(head: &[u8], path: &Path) -> Result<Format> {
    let stem = bare_name(path);
    let is = |extension: &str| stem.ends_with(extension);
    let wrong = |what: &str, hint: &str| {
        let path = path.display();
        Err(Error::Data(format!("{path}: expected JSONL, JSON or CSV text, got {what}; {hint}")))
    };
    match head {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            return wrong("UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8");
        }
        [b'P', b'K', 3 | 5, ..] => return wrong("a zip archive", "unpack it first"),
        [b'B', b'Z', b'h', ..] => return wrong("bzip2", "unpack it first, or use gzip or zstd"),
        [0xFD, b'7', b'z', b'X', b'Z', ..] => {
            return wrong("xz", "unpack it first, or use gzip or zstd");
        }
        [b'P', b'A', b'R', b'1', ..] => return wrong("a Parquet file", "name it .parquet"),
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => return wrong("Arrow IPC", "name it .arrow"),
        _ => {}
    }
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        None => wrong("only white space", "is it the right file?"),
        Some(b'{') if !is(".csv") && !is(".tsv") => Ok(Format::Jsonl),
        Some(b'[') if !is(".csv") && !is(".tsv") => Ok(Format::JsonArray),
        Some(b'{' | b'[') => wrong("JSON under the name of a CSV file", "name it .jsonl or .json"),
        _ if is(".csv") => Ok(Format::Csv { separator: b',' }),
        _ if is(".tsv") => Ok(Format::Csv { separator: b'\t' }),
        // Broken first line or not, a file that says it is JSONL is read as such.
        _ if is(".jsonl") || is(".ndjson") => Ok(Format::Jsonl),
        _ => wrong(
            &format!("text that begins with {}", excerpt(text)),
            "records begin with `{`, lists of records with `[`; CSV files are named .csv or .tsv",
        ),
    }
}

fn excerpt(text: &[u8]) -> String {
    let start = String::from_utf8_lossy(&text[..text.len().min(24)]);
    format!("`{}`", crate::pool::json::excerpt(start.trim_start()))
}

/// The lower-case file name without the endings of compressions.
fn bare_name(path: &Path) -> String {
    let name = path.file_name().map(PathBuf::from).unwrap_or_default();
    let name = name.to_string_lossy().to_lowercase();
    for packed in [".gz", ".zst", ".zstd"] {
        if let Some(bare) = name.strip_suffix(packed) {
            return bare.to_owned();
        }
    }
    name
}
