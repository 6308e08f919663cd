//! The tokens of a pool on their way into rows: windows of records, one handed over at a time.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow_array::RecordBatch;
use rayon::prelude::*;

use super::chat::{Chat, Drop};
use super::columns::ChatColumns;
use super::encoded::{Encoded, Limits, Shelves, TokenSink, Totals, Unused};
use super::window::Window;
use crate::pool::{Reader, Request, Store};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Records that one task encodes at a time.
const ROWS_A_TASK: usize = 256;

/// What is handed over to whoever makes rows.
#[derive(Debug)]
pub(super) enum Handed {
    /// A window that is full, or the last one.
    Window(Window),
    /// There is no more.
    End,
}

/// A window in memory is full with so many tokens (128 MiB), however few records they are of.
const MAX_WINDOW_TOKENS: u64 = 1 << 25;

/// Windows in their order; without [`Handed::End`] they were broken off.
#[derive(Debug)]
pub struct Windows {
    pub(super) handed: Receiver<Handed>,
    pub(super) shelves: Arc<Shelves>,
}

/// Encodes the records of a pool in the order they came. A window of them is held while it fills,
/// and one more while rows are made of it.
#[derive(Debug)]
pub struct TokenPool {
    chat: Arc<Chat>,
    limits: Limits,
    shelves: Arc<Shelves>,
    window: Window,
    /// Records of a window; 0: all.
    window_size: usize,
    /// Tokens of the window so far.
    window_tokens: u64,
    /// Gone once it is told that there is no more.
    rows: Option<SyncSender<Handed>>,
    num_kept: usize,
    num_tokens: u64,
    longest: u32,
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

    /// Hands windows over that are full, and waits until the one before was taken.
    /// [`Error::Data`] as [`Chat::encode`], and where nobody takes them; [`Error::Io`].
    fn absorb(
        &mut self,
        made: Encoded,
        ids: &[String],
        stays: impl Fn(usize) -> bool,
    ) -> Result<()> {
        if let Some(error) = made.failed {
            return Err(error);
        }
        let part = Arc::new(made.tokens);
        let mut at = 0;
        for (row, record) in made.records.into_iter().enumerate() {
            let count = record.as_ref().map_or(0, |length| length.kept);
            if stays(row) {
                self.num_pushed += 1;
                match record {
                    Ok(length) => {
                        self.totals.count(length);
                        self.add(&part, at, count)?;
                    }
                    Err(Unused { drop, length }) => {
                        self.totals.count_dropped(length);
                        self.dropped.push((ids[row].clone(), drop));
                    }
                }
            }
            at += count as usize;
        }
        Ok(())
    }
}

impl TokenPool {
    /// An empty pool, and the windows that come of it: of `window_size` records, or one of all of
    /// them (0), whose tokens go to the file `path`.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be made; [`Error::Argument`] for limits of nothing.
    pub fn new(
        chat: Arc<Chat>,
        limits: Limits,
        window_size: usize,
        path: &Path,
    ) -> Result<(Self, Windows)> {
        if limits.max_row_tokens == 0 || limits.max_row_tokens > i32::MAX as u32 {
            let got = limits.max_row_tokens;
            return Err(Error::Argument(format!(
                "max_row_tokens must be 1 to 2^31 - 1, got {got}"
            )));
        }
        let window = match window_size {
            0 => Window::on_disk(path)?,
            _ => Window::default(),
        };
        // Without room in between: no third window is held.
        let (rows, handed) = sync_channel(0);
        let shelves = Arc::<Shelves>::default();
        let windows = Windows { handed, shelves: Arc::clone(&shelves) };
        let pool = Self {
            chat,
            limits,
            shelves,
            window,
            window_size,
            window_tokens: 0,
            rows: Some(rows),
            num_kept: 0,
            num_tokens: 0,
            longest: 0,
            dropped: Vec::new(),
            totals: Totals::default(),
            num_pushed: 0,
        };
        Ok((pool, windows))
    }

    fn add(&mut self, part: &Arc<Vec<u32>>, start: usize, length: u32) -> Result<()> {
        self.window.add(part, start, length)?;
        self.num_kept += 1;
        self.num_tokens += u64::from(length);
        self.longest = self.longest.max(length);
        self.window_tokens += u64::from(length);
        let is_full = self.window.lengths.len() == self.window_size
            || (self.window_size > 0 && self.window_tokens >= MAX_WINDOW_TOKENS);
        match is_full {
            true => self.hand_over(),
            false => Ok(()),
        }
    }

    fn hand_over(&mut self) -> Result<()> {
        self.window.close()?;
        self.window_tokens = 0;
        let window = std::mem::take(&mut self.window);
        self.send(Handed::Window(window))
    }

    fn send(&self, handed: Handed) -> Result<()> {
        let sent = self.rows.as_ref().map(|rows| rows.send(handed));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(Error::Data("the rows are no longer taken".into())),
        }
    }

    /// Hands over the last window, and that there is no more.
    ///
    /// # Errors
    /// As [`Store::absorb`].
    pub fn finish(&mut self) -> Result<()> {
        self.hand_over()?;
        self.send(Handed::End)?;
        self.stop();
        Ok(())
    }

    /// Breaks the windows off, if they have not come to their end.
    pub fn stop(&mut self) {
        self.rows = None;
    }

    /// Number of records that have tokens.
    pub fn len(&self) -> usize {
        self.num_kept
    }

    /// Whether no record has tokens.
    pub fn is_empty(&self) -> bool {
        self.num_kept == 0
    }

    /// Tokens of all records.
    pub fn num_tokens(&self) -> u64 {
        self.num_tokens
    }

    /// Most tokens of a record, those that are cut off left out.
    pub fn longest(&self) -> u32 {
        self.longest
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
}
