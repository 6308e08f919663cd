//! Cuts CSV and TSV into records; quoting and newlines in quotes are the `csv` crate's work.

use std::io;
use std::path::Path;
use std::sync::Arc;

use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::pool::chunk::{CHUNK_BYTES, Chunk, Layout, Stream};
use crate::pool::reject::Reject;
use crate::{Error, Result};

/// A CSV file as chunks of records under the names of its header.
#[derive(Debug)]
pub struct CsvCutter {
    reader: Reader<Stream>,
    names: Arc<Vec<String>>,
    max_bytes: usize,
    ended: bool,
}

impl CsvCutter {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Data`] where the header is not UTF-8, names a column twice or is missing;
    /// [`Error::Io`] where the file cannot be read.
    pub fn new(stream: Stream, separator: u8, max_bytes: usize, path: &Path) -> Result<Self> {
        let mut reader =
            ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(stream);
        let header = reader
            .byte_headers()
            .map_err(|error| Error::Data(format!("{}:1: {error}", path.display())))?;
        let mut names: Vec<String> = Vec::with_capacity(header.len());
        for field in header {
            let name = String::from_utf8(field.to_vec()).map_err(|_| {
                Error::Data(format!(
                    "{}:1: expected a header in UTF-8, got other bytes; convert the file with iconv",
                    path.display()
                ))
            })?;
            if names.contains(&name) {
                return Err(Error::Data(format!(
                    "{}:1: expected different column names, got `{name}` twice; rename one",
                    path.display()
                )));
            }
            names.push(name);
        }
        Ok(Self { reader, names: Arc::new(names), max_bytes, ended: false })
    }

    /// The next records, or `None` at the end.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = Chunk::default();
        let mut records = Vec::new();
        let mut bytes = 0;
        while bytes < CHUNK_BYTES {
            let mut record = ByteRecord::new();
            match self.reader.read_byte_record(&mut record) {
                Ok(true) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    bytes += record.as_slice().len() + 24 * record.len();
                    if record.as_slice().len() > self.max_bytes {
                        let reject =
                            super::chunk::too_long(line, record.as_slice(), self.max_bytes);
                        chunk.rejects.push(reject);
                    } else {
                        records.push((line, record));
                    }
                }
                Ok(false) => {
                    self.ended = true;
                    self.note_fault(&mut chunk, &mut records);
                    break;
                }
                Err(error) => {
                    self.ended = true;
                    self.refuse(error, &mut chunk)?;
                    break;
                }
            }
        }
        chunk.layout = Layout::Fields { names: Arc::clone(&self.names), records };
        Ok(Some(chunk))
    }

    /// A broken gzip or zstd stream ends the file early; its last record may be cut in two.
    fn note_fault(&mut self, chunk: &mut Chunk, records: &mut Vec<(u64, ByteRecord)>) {
        if !self.reader.get_ref().is_broken() {
            return;
        }
        let last = records.pop();
        let line = last.as_ref().map_or_else(|| self.reader.position().line(), |last| last.0);
        let raw = last.map(|(_, record)| record.as_slice().to_vec()).unwrap_or_default();
        chunk.rejects.extend(self.reader.get_mut().take_fault(line, &raw));
    }

    fn refuse(&self, error: csv::Error, chunk: &mut Chunk) -> io::Result<()> {
        let line =
            error.position().map_or_else(|| self.reader.position().line(), csv::Position::line);
        let got = error.to_string();
        match error.into_kind() {
            csv::ErrorKind::Io(error) => Err(error),
            _ => {
                let reject = Reject::new("csv", "a CSV record", got, "").at(line, b"");
                chunk.rejects.push(reject);
                Ok(())
            }
        }
    }
}
