//! Hashed, idf-weighted words and parts of words, projected with random signs: vectors
//! from nothing but the pool.
//!
//! Pass one counts in how many records each word is ([`Lexical::count`]), pass two makes
//! the vectors ([`Lexical::embed`]). A word weighs more the more often it is in the text
//! and the fewer records have it. It is spread over itself, its character n-grams (so that
//! "cluster" is near "clusters"). Each of these features has a fixed pseudo-random direction
//! with few non-zero entries.

mod bag;
mod frequency;
mod grams;
mod hash;
mod vector;
mod windows;
mod words;

use frequency::Frequency;

use std::ops::Range;

use rayon::prelude::*;

use super::rows::{Shelf, fill_rows, normalize};
use super::texts::Texts;
use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use bag::Bag;
use grams::MAX_GRAM;
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
    /// Weight of a sign (punctuation), beside a word's 1.
    pub sign: f32,
    /// Characters of an n-gram, 1..=8.
    pub gram: usize,
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
            sign: 0.3,
            gram: 3,
            gram_norm: 0.5,
        }
    }
}

impl LexicalOptions {
    fn check(&self) -> Result<()> {
        if !(8..=MAX_DIM).contains(&self.dim) {
            return Err(Error::Argument(format!("dim must be 8..={MAX_DIM}, got {}", self.dim)));
        }
        if !(1..=MAX_GRAM).contains(&self.gram) {
            return Err(Error::Argument(format!("gram must be 1..={MAX_GRAM}, got {}", self.gram)));
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
    grams: Vec<u64>,
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

    /// Pass one: counts the words of the texts in `chunks`. Chunks may come in any order.
    ///
    /// Linear in the bytes of the texts; 8 MiB for each thread, so hand over many at a time.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn count(
        &mut self,
        chunks: &[Texts<'_>],
        num_threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let blocks: Vec<(Texts<'_>, Range<usize>)> =
            chunks.iter().flat_map(|&texts| blocks_of(texts)).collect();
        let counted = with_threads(num_threads, || {
            // One contiguous share for each thread: a sketch for every small task would cost
            // more than the words in it.
            let share = blocks.len().div_ceil(rayon::current_num_threads()).max(1);
            blocks
                .par_chunks(share)
                .map(|blocks| count_blocks(blocks, progress))
                .try_reduce_with(|mut left, right| {
                    left.merge(&right);
                    Ok(left)
                })
                .unwrap_or_else(|| Ok(Frequency::default()))
        })?;
        self.frequency.merge(&counted);
        self.num_records += chunks.iter().map(|texts| texts.len() as u64).sum::<u64>();
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

fn blocks_of(texts: Texts<'_>) -> impl Iterator<Item = (Texts<'_>, Range<usize>)> {
    let starts = (0..texts.len()).step_by(COUNT_BLOCK);
    starts.map(move |start| (texts, start..(start + COUNT_BLOCK).min(texts.len())))
}

fn count_blocks(blocks: &[(Texts<'_>, Range<usize>)], progress: &Progress) -> Result<Frequency> {
    let mut frequency = Frequency::default();
    let (mut words, mut bag) = (Words::default(), Bag::default());
    for (texts, rows) in blocks {
        for row in rows.clone() {
            words.split(texts.get(row));
            bag.fill(&words.list);
            for entry in bag.entries() {
                frequency.add(hash::mix(entry.word.hash));
            }
        }
        progress.advance(rows.len() as u64)?;
    }
    Ok(frequency)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;
    use proptest::prelude::*;

    fn embed(texts: &[String], num_threads: usize) -> Result<Vec<f32>> {
        let array = StringArray::from_iter_values(texts);
        let texts = Texts::new(&array)?;
        let progress = Progress::default();
        let options = LexicalOptions { dim: 64, gram: 4, ..Default::default() };
        let mut model = Lexical::new(options)?;
        model.count(&[texts], num_threads, &progress)?;
        let mut out = vec![0f32; texts.len() * 64];
        model.embed(texts, &mut out, num_threads, &progress)?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn any_text_has_a_row_of_length_0_or_1(texts in prop::collection::vec("\\PC*", 0..8)) {
            for row in embed(&texts, 1)?.chunks(64) {
                let length: f32 = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                prop_assert!(length == 0.0 || (length - 1.0).abs() < 1e-5);
            }
        }

        #[test]
        fn threads_do_not_show(texts in prop::collection::vec(".{0,40}", 0..200)) {
            let one = embed(&texts, 1)?;
            prop_assert_eq!(&one, &embed(&texts, 2)?);
            prop_assert_eq!(&one, &embed(&texts, 7)?);
        }
    }

    #[test]
    fn a_huge_text_does_not_change_those_after_it() -> Result<()> {
        let huge: String = (0..20_000).map(|number| format!("w{number} ")).collect();
        let both = embed(&[huge.clone(), "a short text".into()], 1)?;
        let swapped = embed(&["a short text".into(), huge], 1)?;
        assert_eq!(both[64..], swapped[..64]);
        Ok(())
    }

    #[test]
    fn batches_count_in_any_order() -> Result<()> {
        let texts = StringArray::from(vec!["a b", "b c", "c d e"]);
        let (first, rest) = (texts.slice(0, 1), texts.slice(1, 2));
        let progress = Progress::default();
        let mut forth = Lexical::new(LexicalOptions::default())?;
        forth.count(&[Texts::new(&first)?], 1, &progress)?;
        forth.count(&[Texts::new(&rest)?], 1, &progress)?;
        let mut back = Lexical::new(LexicalOptions::default())?;
        back.count(&[Texts::new(&rest)?], 1, &progress)?;
        back.count(&[Texts::new(&first)?], 1, &progress)?;
        assert_eq!(forth.digest(), back.digest());
        Ok(())
    }

    #[test]
    fn stops_when_told_and_refuses_a_wrong_length() -> Result<()> {
        let texts = StringArray::from(vec!["a"; 10]);
        let mut model = Lexical::new(LexicalOptions::default())?;
        let cancelled = Progress::default();
        cancelled.cancel();
        let counted = model.count(&[Texts::new(&texts)?], 1, &cancelled);
        assert!(matches!(counted, Err(Error::Interrupted)));
        let short = model.embed(Texts::new(&texts)?, &mut [0.0; 3], 1, &Progress::default());
        assert!(matches!(short, Err(Error::Data(message)) if message.contains("10 × 256")));
        Ok(())
    }
}
