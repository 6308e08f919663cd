//! What a made record keeps of its sources, and what it says that none of them does.
//!
//! Content is stems of words and values of numbers. The coverage of a source is the share of its
//! content that the record has, where what several sources say weighs one through their number.
//! Unfounded are numbers, names and negations of the record that no source has.
//!
//! Stems and values are compared by 64-bit XXH3. Names and negations are looked for only in
//! records that have a new stem or a negation that was not copied: most have neither.

pub(crate) mod characters;
mod compare;
mod names;
mod negations;
mod numbers;
mod spelled;
mod values;
pub(crate) mod words;

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use crate::embed::{Texts, check_indptr};
use crate::text::HashedMap;
use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use compare::{Scratch, check_one};

/// Records that one task checks at a time.
const ROWS_A_TASK: usize = 32;

/// What is known of the language that records are written in.
#[derive(Debug, Default)]
pub struct Language {
    /// Words that carry structure and no content of their own.
    pub function_words: HashSet<String>,
    /// Words that begin a sentence with a capital and are no names.
    pub no_names: HashSet<String>,
    /// Endings of such words.
    pub common_endings: Vec<String>,
    /// Words between a name and the verb that it is the subject of.
    pub before_verbs: HashSet<String>,
    /// Verbs whose subject may be a name.
    pub subject_verbs: HashSet<String>,
    /// Number words below a hundred.
    pub units: HashMap<String, u64>,
    /// Number words that multiply what is before them: powers of ten, and the dozen.
    pub scales: HashMap<String, u64>,
    /// Number words that mostly are something else.
    pub weak_numbers: HashSet<String>,
}

/// A language with its number words by their letters, for looking up without a copy.
#[derive(Debug)]
pub(crate) struct Lexicon {
    language: Language,
    number_words: HashedMap<Vec<char>>,
}

impl Lexicon {
    fn new(language: Language) -> Self {
        let words = language.units.keys().chain(language.scales.keys());
        let by_letters = |word: &String| (letters_hash(word.chars()), word.chars().collect());
        let number_words = words.map(by_letters).collect();
        Self { language, number_words }
    }

    fn is_number_word(&self, word: impl Iterator<Item = char> + Clone) -> bool {
        let found = self.number_words.get(&letters_hash(word.clone()));
        found.is_some_and(|letters| letters.iter().copied().eq(word))
    }
}

impl Deref for Lexicon {
    type Target = Language;

    fn deref(&self) -> &Language {
        &self.language
    }
}

/// FNV-1a of the letters, mixed for a map that takes it as it is.
fn letters_hash(letters: impl Iterator<Item = char>) -> u64 {
    letters.fold(0xcbf2_9ce4_8422_2325, |hash, letter| {
        (hash ^ u64::from(letter)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What is unfounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A number that no source has, by its value.
    Number,
    /// A name that no source has in any form.
    Name,
    /// A negation of what no source negates.
    Negation,
}

/// How records stand to their sources.
#[derive(Debug, Default)]
pub struct Checked {
    /// For each source, the share of its content that the record has; 1 without content.
    pub coverage: Vec<f64>,
    /// Where the findings of each record begin, and one end more.
    pub indptr: Vec<i64>,
    /// Kind of each finding.
    pub kinds: Vec<u8>,
    /// Words of each finding, as in the record.
    pub texts: Vec<String>,
}

/// Compares records with their sources; remembers stems from call to call.
#[derive(Debug)]
pub struct Checker {
    language: Lexicon,
    scratches: Mutex<Vec<Scratch>>,
}

impl Checker {
    /// A checker for records of a language.
    ///
    /// # Errors
    /// [`Error::Argument`] where a scale is neither a power of ten nor twelve.
    pub fn new(language: Language) -> Result<Self> {
        let is_scale =
            |&scale: &u64| scale == 12 || scale > 1 && 10_u64.pow(scale.ilog10()) == scale;
        if let Some((word, scale)) = language.scales.iter().find(|(_, scale)| !is_scale(scale)) {
            return Err(Error::Argument(format!(
                "scales must be powers of ten or 12, got {scale} for {word:?}"
            )));
        }
        Ok(Self { language: Lexicon::new(language), scratches: Mutex::default() })
    }

    /// Checks records; linear in the texts, the same at any number of threads.
    ///
    /// The sources of record `i` are `sources[indptr[i]..indptr[i + 1]]`.
    ///
    /// # Errors
    /// [`Error::Argument`] where `indptr` does not cut `sources` into one run a record.
    pub fn check(
        &self,
        made: Texts<'_>,
        sources: Texts<'_>,
        indptr: &[i64],
        num_threads: usize,
        progress: &Progress,
    ) -> Result<Checked> {
        check_indptr(indptr, made.len(), sources.len())?;
        progress.start("check", made.len() as u64);
        let rows: Vec<usize> = (0..made.len()).collect();
        let parts: Vec<Checked> = with_threads(num_threads, || {
            rows.par_chunks(ROWS_A_TASK)
                .map(|rows| {
                    progress.advance(rows.len() as u64)?;
                    Ok(self.check_rows(made, sources, indptr, rows))
                })
                .collect()
        })?;
        let mut checked = Checked { indptr: vec![0], ..Checked::default() };
        for part in parts {
            let before = checked.texts.len() as i64;
            checked.coverage.extend(part.coverage);
            checked.indptr.extend(part.indptr.iter().map(|end| before + end));
            checked.kinds.extend(part.kinds);
            checked.texts.extend(part.texts);
        }
        Ok(checked)
    }

    /// Some records; `indptr` of the result has their ends only.
    fn check_rows(
        &self,
        made: Texts<'_>,
        sources: Texts<'_>,
        indptr: &[i64],
        rows: &[usize],
    ) -> Checked {
        let mut scratch = self.lock().pop().unwrap_or_default();
        let mut checked = Checked::default();
        for &row in rows {
            let theirs: Vec<&str> =
                (indptr[row]..indptr[row + 1]).map(|at| sources.get(at as usize)).collect();
            check_one(&self.language, &mut scratch, made.get(row), &theirs, &mut checked);
            checked.indptr.push(checked.texts.len() as i64);
        }
        self.lock().push(scratch);
        checked
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Scratch>> {
        self.scratches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
