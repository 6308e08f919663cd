//! The texts of a pool, as short sequences of token numbers.

use arrow_array::RecordBatch;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::vocabulary::{MAX_TOKENS, Vocabulary, encode};
use super::{ShingleOptions, TextColumns, Tokenizer};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Records that one task tokenizes at a time.
const ROWS_A_TASK: usize = 256;
/// Records between two updates of the vocabulary.
const ROWS_A_BLOCK: usize = 64 * ROWS_A_TASK;
/// Stands for a token that the vocabulary does not have yet.
const UNSEEN: u32 = u32::MAX;

/// All records of a pool in the order they came, some 2.2 bytes a token.
///
/// Words are kept instead of shingles because they are fewer distinct ones: a million
/// records of 70 words take 160 MB, and the shingles are made again whenever they are
/// needed, which costs less than reading them from memory would.
#[derive(Debug)]
pub struct TextPool {
    options: ShingleOptions,
    vocabulary: Vocabulary,
    units: Vec<u16>,
    /// Where each record's units end.
    ends: Vec<u64>,
    content: Vec<u64>,
    id: Vec<u64>,
    length: Vec<u32>,
}

/// What one task makes of its records.
#[derive(Default)]
struct Chunk {
    hashes: Vec<u64>,
    numbers: Vec<u32>,
    records: Vec<Record>,
}

struct Record {
    num_tokens: usize,
    content: u64,
    id: u64,
    length: u32,
}

impl TextPool {
    /// An empty pool.
    ///
    /// # Errors
    /// [`Error::Argument`] where the options are out of range.
    pub fn new(options: ShingleOptions) -> Result<Self> {
        Ok(Self {
            options: options.check()?,
            vocabulary: Vocabulary::default(),
            units: Vec::new(),
            ends: Vec::new(),
            content: Vec::new(),
            id: Vec::new(),
            length: Vec::new(),
        })
    }

    /// Adds the records of a batch (columns `prompt`, `completion`, optionally `id`).
    ///
    /// # Errors
    /// [`Error::Data`] for a batch without these columns; [`Error::Infeasible`] beyond 2³¹
    /// records or distinct tokens; [`Error::Interrupted`].
    pub fn push(
        &mut self,
        batch: &RecordBatch,
        num_threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let columns = TextColumns::of(batch)?;
        if self.len() + columns.len() >= MAX_TOKENS {
            return Err(Error::Infeasible("a pool may have at most 2^31 records".into()));
        }
        with_threads(num_threads, || {
            for start in (0..columns.len()).step_by(ROWS_A_BLOCK) {
                let rows = start..columns.len().min(start + ROWS_A_BLOCK);
                progress.advance(rows.len() as u64)?;
                self.push_rows(&columns, rows)?;
            }
            Ok(())
        })
    }

    fn push_rows(&mut self, columns: &TextColumns, rows: std::ops::Range<usize>) -> Result<()> {
        let starts: Vec<usize> = rows.clone().step_by(ROWS_A_TASK).collect();
        let (options, vocabulary) = (self.options, &self.vocabulary);
        let mut chunks: Vec<Chunk> = starts
            .into_par_iter()
            .map(|start| {
                let rows = start..rows.end.min(start + ROWS_A_TASK);
                Chunk::of(columns, rows, options, vocabulary)
            })
            .collect();
        for chunk in &mut chunks {
            chunk.number_unseen(&mut self.vocabulary);
        }
        if self.vocabulary.len() >= MAX_TOKENS {
            return Err(Error::Infeasible("a pool may have at most 2^31 distinct tokens".into()));
        }
        let encoded: Vec<_> = chunks.into_par_iter().map(Chunk::encode).collect();
        for (units, ends, records) in encoded {
            let start = self.units.len() as u64;
            self.units.extend_from_slice(&units);
            self.ends.extend(ends.iter().map(|end| start + end));
            for record in records {
                self.content.push(record.content);
                self.id.push(record.id);
                self.length.push(record.length);
            }
        }
        Ok(())
    }

    /// Frees what only [`TextPool::push`] needs.
    pub fn seal(&mut self) {
        self.vocabulary = Vocabulary::default();
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

impl Chunk {
    fn of(
        columns: &TextColumns,
        rows: std::ops::Range<usize>,
        options: ShingleOptions,
        vocabulary: &Vocabulary,
    ) -> Self {
        let mut chunk = Self::default();
        let mut tokenizer = Tokenizer::new(options);
        for row in rows {
            let texts = columns.texts(row);
            let start = chunk.hashes.len();
            tokenizer.tokenize(texts, &mut chunk.hashes);
            chunk.records.push(Record {
                num_tokens: chunk.hashes.len() - start,
                content: hash_sequence(&chunk.hashes[start..]),
                id: xxh3_64(columns.id(row).as_bytes()),
                length: u32::try_from(texts[0].len() + texts[1].len()).unwrap_or(u32::MAX),
            });
        }
        let numbers = chunk.hashes.iter().map(|&hash| vocabulary.get(hash).unwrap_or(UNSEEN));
        chunk.numbers = numbers.collect();
        chunk
    }

    fn number_unseen(&mut self, vocabulary: &mut Vocabulary) {
        for (number, &hash) in self.numbers.iter_mut().zip(&self.hashes) {
            if *number == UNSEEN {
                *number = vocabulary.number(hash);
            }
        }
    }

    fn encode(self) -> (Vec<u16>, Vec<u64>, Vec<Record>) {
        let mut units = Vec::with_capacity(self.numbers.len() * 5 / 4);
        let mut ends = Vec::with_capacity(self.records.len());
        let mut numbers = self.numbers.iter();
        for record in &self.records {
            for &number in numbers.by_ref().take(record.num_tokens) {
                encode(number, &mut units);
            }
            ends.push(units.len() as u64);
        }
        (units, ends, self.records)
    }
}

fn hash_sequence(hashes: &[u64]) -> u64 {
    let mut hash = hashes.len() as u64;
    for &token in hashes {
        hash = (hash ^ token).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    hash ^ (hash >> 32)
}
