//! Hashed, idf-weighted words and parts of words, projected with random signs: vectors
//! from nothing but the pool.
//!
//! Pass one counts in how many records each word is ([`Lexical::count`]), pass two makes
//! the vectors ([`Lexical::embed`]). A word weighs more the more often it is in the text
//! and the fewer records have it. It is spread over itself, its character n-grams (so that
//! "cluster" is near "clusters") and, with the word before it, a pair. Each of these
//! features has a fixed pseudo-random direction with few non-zero entries.

mod bag;
mod frequency;
mod parts;
mod vector;
mod words;

use frequency::Frequency;

use rayon::prelude::*;

use super::rows::{Shelf, fill_rows, normalize};
use super::texts::Texts;
use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use bag::Bag;
use parts::Parts;
use vector::Weigher;
use words::Words;

/// Largest number of dimensions: 15 bits of a hash choose one.
pub const MAX_DIM: usize = 8192;
/// Texts that one counting task takes.
const COUNT_BLOCK: usize = 512;

/// What the vectors are made of. The defaults are measured: `docs/decisions/0004-embeddings.md`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LexicalOptions {
    /// Dimensions of a vector, 8..=8192.
    pub dim: usize,
    /// Exponent of a word's idf.
    pub idf_power: f32,
    /// Exponent of a word's count in its text.
    pub tf_power: f32,
    /// Weight of the word itself.
    pub word: f32,
    /// Weight of all its character n-grams together.
    pub grams: f32,
    /// Weight of the pair it forms with the word before it.
    pub pair: f32,
    /// Weight of a sign (punctuation), beside a word's 1.
    pub sign: f32,
    /// Shortest character n-gram, ≥ 1.
    pub min_gram: usize,
    /// Longest character n-gram.
    pub max_gram: usize,
    /// Exponent of the number of n-grams that their common weight is divided by.
    pub gram_norm: f32,
}

impl Default for LexicalOptions {
    fn default() -> Self {
        Self {
            dim: 256,
            idf_power: 1.3,
            tf_power: 1.0,
            word: 1.0,
            grams: 1.5,
            pair: 0.0,
            sign: 0.3,
            min_gram: 3,
            max_gram: 3,
            gram_norm: 0.5,
        }
    }
}

impl LexicalOptions {
    fn check(&self) -> Result<()> {
        if !(8..=MAX_DIM).contains(&self.dim) {
            return Err(Error::Argument(format!("dim must be 8..={MAX_DIM}, got {}", self.dim)));
        }
        if self.min_gram == 0 || self.max_gram < self.min_gram || self.max_gram > 16 {
            return Err(Error::Argument(format!(
                "n-gram lengths must be 1 ≤ min ≤ max ≤ 16, got {}..={}",
                self.min_gram, self.max_gram
            )));
        }
        Ok(())
    }
}

/// Word frequencies of a pool and how to make vectors with them.
#[derive(Clone, Debug)]
pub struct Lexical {
    options: LexicalOptions,
    frequency: Frequency,
    num_records: u64,
}

/// What a thread reuses from text to text.
#[derive(Default)]
struct Scratch {
    words: Words,
    bag: Bag,
    weights: Vec<f32>,
    parts: Parts,
}

impl Lexical {
    /// A model that has counted nothing yet.
    ///
    /// # Errors
    /// [`Error::Argument`] for options out of range.
    pub fn new(options: LexicalOptions) -> Result<Self> {
        options.check()?;
        Ok(Self { options, frequency: Frequency::default(), num_records: 0 })
    }

    /// What the vectors are made of.
    pub fn options(&self) -> &LexicalOptions {
        &self.options
    }

    /// Records counted so far.
    pub fn num_records(&self) -> u64 {
        self.num_records
    }

    /// 32 hex digits that two models share only where they give the same vectors: XXH3 of the
    /// counts, with the number of records.
    pub fn digest(&self) -> String {
        let hash =
            xxhash_rust::xxh3::xxh3_128_with_seed(&self.frequency.to_bytes(), self.num_records);
        format!("{hash:032x}")
    }

    /// Pass one: counts the words of `texts`. Batches may come in any order.
    ///
    /// Linear in the bytes of the texts; 8 MiB for each thread.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn count(
        &mut self,
        texts: Texts<'_>,
        num_threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let blocks = texts.len().div_ceil(COUNT_BLOCK);
        let counted = with_threads(num_threads, || {
            // One contiguous share for each thread: a sketch for every small task would cost
            // more than the words in it.
            let tasks = rayon::current_num_threads().clamp(1, blocks.max(1));
            (0..tasks)
                .into_par_iter()
                .map(|task| {
                    count_blocks(
                        texts,
                        blocks * task / tasks..blocks * (task + 1) / tasks,
                        progress,
                    )
                })
                .try_reduce_with(|mut left, right| {
                    left.merge(&right);
                    Ok(left)
                })
                .unwrap_or_else(|| Ok(Frequency::default()))
        })?;
        self.frequency.merge(&counted);
        self.num_records += texts.len() as u64;
        Ok(())
    }

    /// Pass two: one vector of length 1 for each text, row-major `(N, dim)`.
    ///
    /// A text without any visible character has a zero vector. Linear in the bytes.
    ///
    /// # Errors
    /// [`Error::Data`] where `out` has not `N * dim` values; [`Error::Interrupted`].
    pub fn embed(
        &self,
        texts: Texts<'_>,
        out: &mut [f32],
        num_threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let dim = self.options.dim;
        if out.len() != texts.len() * dim {
            return Err(Error::Data(format!(
                "out must have {} × {dim} values, got {}",
                texts.len(),
                out.len()
            )));
        }
        let weigher = Weigher::new(&self.options, &self.frequency, self.num_records);
        fill_rows(
            out,
            dim,
            num_threads,
            progress,
            &Shelf::<Scratch>::default(),
            |scratch, row, vector| {
                vector.fill(0.0);
                scratch.words.split(texts.get(row));
                scratch.bag.fill(&scratch.words.list);
                weigher.add_text(scratch, vector);
                normalize(vector);
                Ok(())
            },
        )
    }
}

fn count_blocks(
    texts: Texts<'_>,
    blocks: std::ops::Range<usize>,
    progress: &Progress,
) -> Result<Frequency> {
    let mut frequency = Frequency::default();
    let mut scratch = Scratch::default();
    for block in blocks {
        let rows = block * COUNT_BLOCK..((block + 1) * COUNT_BLOCK).min(texts.len());
        let counted = rows.len();
        for row in rows {
            scratch.words.split(texts.get(row));
            scratch.bag.fill(&scratch.words.list);
            for entry in scratch.bag.entries() {
                frequency.add(vector::mix(entry.word.hash));
            }
        }
        progress.advance(counted as u64)?;
    }
    Ok(frequency)
}
