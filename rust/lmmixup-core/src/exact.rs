//! Exact duplicates: equal prompts and equal completions, raw or normalised.
//!
//! Equality is that of 128-bit XXH3 hashes. Normalised texts are NFKC where asked for,
//! lower-case, and have one space for each run of white space and none at the ends.

use arrow_array::RecordBatch;
use rayon::prelude::*;
use unicode_normalization::UnicodeNormalization;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

use crate::families::{Families, KeepRule};
use crate::text::{Normalization, TextColumns, is_white_space};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

const ROWS_A_TASK: usize = 512;
const ROWS_A_BEAT: usize = 64 * ROWS_A_TASK;

/// Hashes of a pool's records in the order they came, 32 bytes a record.
#[derive(Debug)]
pub struct ExactPool {
    normalization: Normalization,
    records: Vec<Record>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    content: [u64; 2],
    id: u64,
    length: u32,
}

impl ExactPool {
    /// An empty pool; `Raw` compares bytes, the others normalised texts.
    pub fn new(normalization: Normalization) -> Self {
        Self { normalization, records: Vec::new() }
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What a [`KeepRule`] orders a record by.
    pub(crate) fn length_and_tie_break(&self, record: u32) -> (u32, (u64, u64)) {
        let Record { content, id, length } = self.records[record as usize];
        (length, (content[0], id))
    }

    /// Whether two records are equal.
    pub(crate) fn same_text(&self, a: u32, b: u32) -> bool {
        self.records[a as usize].content == self.records[b as usize].content
    }

    /// Adds the records of a batch (columns `prompt`, `completion`, optionally `id`).
    ///
    /// # Errors
    /// [`Error::Data`] for a batch without these columns; [`Error::Infeasible`] beyond 2³¹
    /// records; [`Error::Interrupted`].
    pub fn push(
        &mut self,
        batch: &RecordBatch,
        num_threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let columns = TextColumns::of(batch)?;
        if self.records.len() + columns.len() > i32::MAX as usize {
            return Err(Error::Infeasible("a pool may have at most 2^31 records".into()));
        }
        with_threads(num_threads, || {
            for start in (0..columns.len()).step_by(ROWS_A_BEAT) {
                let rows = start..columns.len().min(start + ROWS_A_BEAT);
                progress.advance(rows.len() as u64)?;
                let hash = |text: &mut String, row| record(&columns, row, self.normalization, text);
                let rows = rows.into_par_iter().with_min_len(ROWS_A_TASK);
                self.records.par_extend(rows.map_init(String::new, hash));
            }
            Ok(())
        })
    }

    /// Families of equal records; the first of each in the rule's order stays.
    ///
    /// O(N log N); the same at any number of threads.
    ///
    /// # Errors
    /// [`Error::Argument`] where the rule's priorities are not one a record.
    pub fn families(&self, rule: &KeepRule<'_>, num_threads: usize) -> Result<Families> {
        rule.check(self.len())?;
        with_threads(num_threads, || {
            let content = |record: u32| self.records[record as usize].content;
            let mut order: Vec<u32> = (0..self.len() as u32).collect();
            order.par_sort_unstable_by_key(|&record| (content(record), record));
            let mut families = Families::all_kept(vec![0; self.len()], 0);
            for same in order.chunk_by(|&a, &b| content(a) == content(b)) {
                self.settle(same, rule, &mut families);
            }
            number_by_first_record(&mut families);
            Ok(families)
        })
    }

    /// Keeps the best of records with one content; `family` becomes their first record.
    fn settle(&self, same: &[u32], rule: &KeepRule<'_>, families: &mut Families) {
        let key = |&record: &u32| {
            let (length, tie_break) = self.length_and_tie_break(record);
            rule.key(record, length, tie_break)
        };
        let best = same.iter().copied().min_by_key(key).unwrap_or_default();
        for &record in same {
            let at = record as usize;
            families.family[at] = same[0];
            if record != best && at >= rule.num_frozen {
                families.drop(record, best, 1.0, true);
            }
        }
    }
}

/// Replaces first records by dense numbers in their order.
fn number_by_first_record(families: &mut Families) {
    let mut next = 0;
    for record in 0..families.family.len() {
        let first = families.family[record] as usize;
        families.family[record] = if first == record {
            next += 1;
            next - 1
        } else {
            families.family[first]
        };
    }
    families.num_families = next as usize;
}

fn record(
    columns: &TextColumns,
    row: usize,
    normalization: Normalization,
    buffer: &mut String,
) -> Record {
    let [prompt, completion] = columns.texts(row);
    let first = xxh3_128(normalized(prompt, normalization, buffer).as_bytes());
    let second =
        xxh3_128_with_seed(normalized(completion, normalization, buffer).as_bytes(), first as u64);
    let content = first.rotate_left(64) ^ second;
    Record {
        content: [(content >> 64) as u64, content as u64],
        id: xxh3_64(columns.id(row).as_bytes()),
        length: u32::try_from(prompt.len() + completion.len()).unwrap_or(u32::MAX),
    }
}

/// The text that is compared, in `buffer` unless it is the text itself.
fn normalized<'a>(text: &'a str, normalization: Normalization, buffer: &'a mut String) -> &'a str {
    if normalization == Normalization::Raw {
        return text;
    }
    buffer.clear();
    if text.is_ascii() {
        let words = text.split(|char: char| is_white_space(char)).filter(|word| !word.is_empty());
        push_words(words, buffer);
        buffer.make_ascii_lowercase();
        return buffer;
    }
    let composed: String;
    let text = if normalization == Normalization::Nfkc {
        composed = text.nfkc().collect();
        &composed
    } else {
        text
    };
    let lowered = text.to_lowercase();
    push_words(lowered.split(is_white_space).filter(|word| !word.is_empty()), buffer);
    buffer
}

fn push_words<'a>(words: impl Iterator<Item = &'a str>, buffer: &mut String) {
    for word in words {
        if !buffer.is_empty() {
            buffer.push(' ');
        }
        buffer.push_str(word);
    }
}
