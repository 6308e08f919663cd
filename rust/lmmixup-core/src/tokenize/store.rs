//! The tokens of a pool on disk: four bytes a token, read back record by record.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use rayon::prelude::*;

use super::chat::{Chat, Drop};
use super::columns::ChatColumns;
use super::encoded::{Encoded, Limits, Shelves, TokenSink, Totals, Unused};
use crate::pool::{Reader, Request, Store};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Records that one task encodes at a time.
const ROWS_A_TASK: usize = 256;

/// Tokens that a buffer which is used again may have room for.
const MAX_SPARE: usize = 1 << 20;

/// Records from one note of where their tokens begin to the next.
const NOTED_EVERY: usize = 64;

/// Tokens of a pool's records in the order they came: some four bytes a record in memory, the
/// tokens in a file.
#[derive(Debug)]
pub struct TokenPool {
    chat: Arc<Chat>,
    limits: Limits,
    shelves: Arc<Shelves>,
    path: PathBuf,
    file: File,
    /// Tokens of each record.
    lengths: Vec<u32>,
    /// Where the tokens of every [`NOTED_EVERY`]th record begin.
    starts: Vec<u64>,
    num_tokens: u64,
    dropped: Vec<(String, Drop)>,
    totals: Totals,
    num_pushed: usize,
}

impl Store for TokenPool {
    type Made = Encoded;
    type Id = String;

    fn note(id: &str) -> String {
        id.to_owned()
    }

    /// Those that were dropped included.
    fn num_records(&self) -> usize {
        self.num_pushed
    }

    /// Needs `id` and `messages`.
    fn push(&mut self, batch: &RecordBatch, num_threads: usize, progress: &Progress) -> Result<()> {
        let columns = ChatColumns::of(batch)?;
        let starts: Vec<usize> = (0..batch.num_rows()).step_by(ROWS_A_TASK).collect();
        let made: Vec<Encoded> = with_threads(num_threads, || {
            let encode = |&start: &usize| {
                let mut scratch = self.shelves.scratch.take();
                let mut made = Encoded::default();
                for row in start..batch.num_rows().min(start + ROWS_A_TASK) {
                    made.take(&self.chat, self.limits, &columns.turns(row), &mut scratch);
                }
                self.shelves.scratch.give(scratch);
                made
            };
            Ok(starts.par_iter().map(encode).collect())
        })?;
        let mut first = 0;
        for part in made {
            let count = part.records.len();
            let ids: Vec<String> =
                (first..first + count).map(|row| columns.id(row).to_owned()).collect();
            self.absorb(part, &ids, |_| true)?;
            first += count;
            progress.advance(count as u64)?;
        }
        Ok(())
    }

    fn open(&self, request: Request) -> Result<Reader<Encoded>> {
        let (chat, limits) = (Arc::clone(&self.chat), self.limits);
        let shelves = Arc::clone(&self.shelves);
        Reader::with_sinks(request, move |bytes| TokenSink::new(&chat, limits, &shelves, bytes))
    }

    /// Writes the tokens to the file. [`Error::Data`] as [`Chat::encode`]; [`Error::Io`].
    fn absorb(
        &mut self,
        made: Encoded,
        ids: &[String],
        stays: impl Fn(usize) -> bool,
    ) -> Result<()> {
        if let Some(error) = made.failed {
            return Err(error);
        }
        let mut at = 0;
        let mut tokens = made.tokens;
        let all_stay = (0..made.records.len()).all(&stays);
        let mut kept: Vec<u32> = Vec::new();
        for (row, record) in made.records.into_iter().enumerate() {
            let count = record.as_ref().map_or(0, |length| length.kept as usize);
            if stays(row) {
                self.num_pushed += 1;
                match record {
                    Ok(length) => {
                        if !all_stay {
                            kept.extend_from_slice(&tokens[at..at + count]);
                        }
                        self.note_length(length.kept);
                        self.totals.count(length);
                    }
                    Err(Unused { drop, length }) => {
                        self.totals.count_dropped(length);
                        self.dropped.push((ids[row].clone(), drop));
                    }
                }
            }
            at += count;
        }
        if !all_stay {
            tokens = kept;
        }
        let bytes = Buffer::from_vec(tokens);
        self.file.write_all(&bytes).map_err(|error| Error::io(&self.path, error))?;
        // Grown for one long record, memory would be held for good.
        if let Ok(mut tokens) = bytes.into_vec::<u32>()
            && tokens.capacity() <= MAX_SPARE
        {
            tokens.clear();
            self.shelves.tokens.give(tokens);
        }
        Ok(())
    }
}

impl TokenPool {
    /// An empty pool whose tokens go to a new file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be made; [`Error::Argument`] for limits of nothing.
    pub fn new(chat: Arc<Chat>, limits: Limits, path: &Path) -> Result<Self> {
        if limits.max_row_tokens == 0 || limits.max_row_tokens > i32::MAX as u32 {
            let got = limits.max_row_tokens;
            return Err(Error::Argument(format!(
                "max_row_tokens must be 1 to 2^31 - 1, got {got}"
            )));
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        Ok(Self {
            chat,
            limits,
            shelves: Arc::default(),
            path: path.to_owned(),
            file: file.map_err(|error| Error::io(path, error))?,
            lengths: Vec::new(),
            starts: Vec::new(),
            num_tokens: 0,
            dropped: Vec::new(),
            totals: Totals::default(),
            num_pushed: 0,
        })
    }

    /// Notes where the next record's tokens are.
    fn note_length(&mut self, length: u32) {
        if self.lengths.len().is_multiple_of(NOTED_EVERY) {
            self.starts.push(self.num_tokens);
        }
        self.lengths.push(length);
        self.num_tokens += u64::from(length);
    }

    /// Number of records that have tokens.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether no record has tokens.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Tokens of all records.
    pub fn num_tokens(&self) -> u64 {
        self.num_tokens
    }

    /// Id of each record that became no tokens, and why.
    pub fn dropped(&self) -> &[(String, Drop)] {
        &self.dropped
    }

    /// Counts over all records.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What encodes the chats.
    pub fn chat(&self) -> &Chat {
        &self.chat
    }

    /// Tokens of each record.
    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// Where a record's tokens begin, and how many they are.
    pub(super) fn place(&self, record: usize) -> (u64, usize) {
        let noted = record / NOTED_EVERY;
        let between = &self.lengths[noted * NOTED_EVERY..record];
        let start =
            self.starts[noted] + between.iter().map(|&length| u64::from(length)).sum::<u64>();
        (start, self.lengths[record] as usize)
    }

    /// A record that begins at a token or before it, less than [`NOTED_EVERY`] records before.
    pub(super) fn record_at(&self, token: u64) -> usize {
        let noted = self.starts.partition_point(|&start| start <= token);
        noted.saturating_sub(1) * NOTED_EVERY
    }

    /// The file of tokens, and its name.
    pub(super) fn file(&self) -> (&File, &Path) {
        (&self.file, &self.path)
    }
}
