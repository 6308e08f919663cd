//! The texts of a pool, as short sequences of token numbers.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use arrow_array::RecordBatch;
use rayon::prelude::*;

use super::numbered::{Numbered, TextSink, UNSEEN};
use super::vocabulary::{MAX_TOKENS, Vocabulary, encode};
use super::{ShingleOptions, TextColumns};
use crate::pool::store::{check_room, id_hash};
use crate::pool::{Reader, Request, Store};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Records that one task tokenizes at a time.
const ROWS_A_TASK: usize = 256;
/// Records between two updates of the vocabulary.
const ROWS_A_BLOCK: usize = 64 * ROWS_A_TASK;

/// All records of a pool in the order they came, some 2.2 bytes a token.
///
/// Words are kept instead of shingles because they are fewer distinct ones: a million
/// records of 70 words take 160 MB, and the shingles are made again whenever they are
/// needed, which costs less than reading them from memory would.
#[derive(Debug)]
pub struct TextPool {
    options: ShingleOptions,
    /// Shared with the threads that parse, which only look.
    vocabulary: Arc<RwLock<Vocabulary>>,
    units: Vec<u16>,
    /// Where each record's units end.
    ends: Vec<u64>,
    content: Vec<u64>,
    id: Vec<u64>,
    length: Vec<u32>,
}

impl TextPool {
    /// An empty pool.
    ///
    /// # Errors
    /// [`Error::Argument`] where the options are out of range.
    pub fn new(options: ShingleOptions) -> Result<Self> {
        Ok(Self {
            options: options.check()?,
            vocabulary: Arc::default(),
            units: Vec::new(),
            ends: Vec::new(),
            content: Vec::new(),
            id: Vec::new(),
            length: Vec::new(),
        })
    }

    fn push_rows(&mut self, columns: &TextColumns, rows: Range<usize>) -> Result<()> {
        let starts: Vec<usize> = rows.clone().step_by(ROWS_A_TASK).collect();
        let made: Vec<(Numbered, Vec<u64>)> = starts
            .into_par_iter()
            .map(|start| {
                let mut sink = TextSink::new(self.options, &self.vocabulary);
                let rows = start..rows.end.min(start + ROWS_A_TASK);
                rows.clone().for_each(|row| sink.take(columns.texts(row)));
                (sink.made, rows.map(|row| id_hash(columns.id(row))).collect())
            })
            .collect();
        made.into_iter().try_for_each(|(made, ids)| self.absorb(made, &ids, |_| true))
    }

    /// Frees what only [`Store::push`] and [`Store::read`] need.
    pub fn seal(&mut self) {
        self.vocabulary = Arc::default();
        self.units.shrink_to_fit();
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How texts become sets here.
    pub fn options(&self) -> ShingleOptions {
        self.options
    }

    /// The encoded tokens of a record, for [`super::Shingler`].
    #[inline]
    pub fn units(&self, record: usize) -> &[u16] {
        let start = if record == 0 { 0 } else { self.ends[record - 1] as usize };
        &self.units[start..self.ends[record] as usize]
    }

    /// Number of 16-bit units of all records; at least the number of tokens.
    pub fn num_units(&self) -> usize {
        self.units.len()
    }

    /// Hash of a record's tokens in their order: equal for equal normalised texts.
    pub fn content(&self, record: usize) -> u64 {
        self.content[record]
    }

    /// What orders records of equal rank without regard to where they stand in the input:
    /// the hash of the content, then the hash of the id.
    pub fn tie_break(&self, record: usize) -> (u64, u64) {
        (self.content[record], self.id[record])
    }

    /// Bytes of a record's prompt and completion.
    pub fn length(&self, record: usize) -> u32 {
        self.length[record]
    }
}

impl Store for TextPool {
    type Made = Numbered;
    type Id = u64;

    fn note(id: &str) -> u64 {
        id_hash(id)
    }

    fn num_records(&self) -> usize {
        self.len()
    }

    fn push(&mut self, batch: &RecordBatch, num_threads: usize, progress: &Progress) -> Result<()> {
        let columns = TextColumns::of(batch)?;
        check_room(self.len() + columns.len())?;
        with_threads(num_threads, || {
            for start in (0..columns.len()).step_by(ROWS_A_BLOCK) {
                let rows = start..columns.len().min(start + ROWS_A_BLOCK);
                progress.advance(rows.len() as u64)?;
                self.push_rows(&columns, rows)?;
            }
            Ok(())
        })
    }

    fn open(&self, request: Request) -> Result<Reader<Numbered>> {
        let (options, vocabulary) = (self.options, Arc::clone(&self.vocabulary));
        Reader::with_sinks(request, move |_| TextSink::new(options, &vocabulary))
    }

    /// Gives new tokens their numbers, in order.
    fn absorb(
        &mut self,
        mut made: Numbered,
        ids: &[u64],
        stays: impl Fn(usize) -> bool,
    ) -> Result<()> {
        let mut vocabulary = self.vocabulary.write().unwrap_or_else(PoisonError::into_inner);
        let unseen = made.numbers.iter_mut().filter(|number| **number == UNSEEN);
        for (number, &hash) in unseen.zip(&made.unseen) {
            *number = vocabulary.number(hash);
        }
        if vocabulary.len() >= MAX_TOKENS {
            return Err(Error::Infeasible("a pool may have at most 2^31 distinct tokens".into()));
        }
        drop(vocabulary);
        let mut rest = made.numbers.as_slice();
        for (at, (record, &id)) in made.records.iter().zip(ids).enumerate() {
            let (numbers, others) = rest.split_at(record.num_tokens);
            rest = others;
            if stays(at) {
                numbers.iter().for_each(|&number| encode(number, &mut self.units));
                self.ends.push(self.units.len() as u64);
                self.content.push(record.content);
                self.id.push(id);
                self.length.push(record.length);
            }
        }
        Ok(())
    }
}
