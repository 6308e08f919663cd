//! Exact duplicates: equal prompts and equal completions, raw or normalised.
//!
//! Equality is that of 128-bit XXH3 hashes: among N different records one pair or more is taken for
//! equal with probability N² / 2¹²⁹ at most, 1.5 · 10⁻²⁷ for a million and 1.5 · 10⁻²¹ for a thousand
//! million (if nobody made texts to collide: XXH3 is no cryptographic hash). Normalised texts are NFKC where asked for,
//! lower-case, and have one space for each run of white space and none at the ends.

use arrow_array::RecordBatch;
use rayon::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use crate::families::{Families, KeepRule};
use crate::pool::canonical::{Form, Sink};
use crate::pool::json::body_of;
use crate::pool::store::{check_room, id_hash};
use crate::pool::{self, Reader, Request, Store};
use crate::text::{Normalization, Normalizer, TextColumns};
use crate::threads::with_threads;
use crate::{Progress, Result};

const ROWS_A_TASK: usize = 512;
const ROWS_A_BEAT: usize = 64 * ROWS_A_TASK;

/// Hashes of a pool's records in the order they came, 32 bytes a record.
#[derive(Debug)]
pub struct ExactPool {
    normalization: Normalization,
    form: Form,
    records: Vec<Record>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    content: [u64; 2],
    id: u64,
    /// In bytes; 0 where texts are compared as bodies, because equal ones are equally long.
    length: u32,
}

impl ExactPool {
    /// An empty pool; `Raw` compares bytes, the others normalised texts.
    pub fn new(normalization: Normalization) -> Self {
        let form = match normalization {
            Normalization::Raw => Form::Body,
            _ => Form::Text,
        };
        Self { normalization, form, records: Vec::new() }
    }

    /// The same, for families in which texts that are not equal meet: knows how long each is.
    pub fn with_lengths(normalization: Normalization) -> Self {
        Self { form: Form::Text, ..Self::new(normalization) }
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

    /// Families of equal records; the first of each in the rule's order stays.
    ///
    /// O(N log N); the same at any number of threads.
    ///
    /// # Errors
    /// [`crate::Error::Argument`] where the rule's priorities are not one a record.
    pub fn families(&self, rule: &KeepRule<'_>, num_threads: usize) -> Result<Families> {
        rule.check(self.len())?;
        with_threads(num_threads, || {
            let first = (0..self.len() as u32).collect();
            let mut families = Families::all_kept(first, 0);
            for same in self.repeated() {
                self.settle(&same, rule, &mut families);
            }
            number_by_first_record(&mut families);
            Ok(families)
        })
    }

    /// Records of one content, in their order, for each content that several have.
    fn repeated(&self) -> Vec<Vec<u32>> {
        // A quarter of the hash and the record's number in one word sort faster than a look
        // into the pool at each comparison would.
        const NUMBER: u64 = u32::MAX as u64;
        let seen = SeenTwice::of(&self.records);
        let mut order: Vec<u64> = self
            .records
            .par_iter()
            .zip(0..self.len() as u32)
            .filter(|(record, _)| seen.may_have(record))
            .map(|(record, number)| record.content[0] & !NUMBER | u64::from(number))
            .collect();
        order.par_sort_unstable();
        let mut found = Vec::new();
        let like = |a: &u64, b: &u64| a & !NUMBER == b & !NUMBER;
        for near in order.chunk_by(like).filter(|near| near.len() > 1) {
            let mut same: Vec<u32> = near.iter().map(|&word| (word & NUMBER) as u32).collect();
            let content = |&record: &u32| self.records[record as usize].content;
            same.sort_by_key(content);
            let several =
                same.chunk_by(|a, b| content(a) == content(b)).filter(|same| same.len() > 1);
            found.extend(several.map(<[u32]>::to_vec));
        }
        found
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

impl Store for ExactPool {
    type Made = Hashed;
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
            for start in (0..columns.len()).step_by(ROWS_A_BEAT) {
                let rows = start..columns.len().min(start + ROWS_A_BEAT);
                progress.advance(rows.len() as u64)?;
                let hash = |hasher: &mut Hasher, row| {
                    let mut scratch = [const { String::new() }; 2];
                    let [first, second] = &mut scratch;
                    let [prompt, completion] = columns.texts(row);
                    let texts = match hasher.form {
                        Form::Text => [prompt, completion],
                        Form::Body => [body_of(prompt, first), body_of(completion, second)],
                    };
                    Record { id: id_hash(columns.id(row)), ..hasher.hash(texts) }
                };
                let rows = rows.into_par_iter().with_min_len(ROWS_A_TASK);
                let hasher = || Hasher::new(self.normalization, self.form);
                self.records.par_extend(rows.map_init(hasher, hash));
            }
            Ok(())
        })
    }

    fn open(&self, request: Request) -> Result<Reader<Hashed>> {
        let (normalization, form) = (self.normalization, self.form);
        Reader::with_sinks(request, move |bytes| HashSink {
            hasher: Hasher::new(normalization, form),
            records: Vec::with_capacity(bytes / 512),
            scratch: Default::default(),
        })
    }

    fn absorb(&mut self, made: Hashed, ids: &[u64], stays: impl Fn(usize) -> bool) -> Result<()> {
        let records = made.0.into_iter().zip(ids).enumerate().filter(|(at, _)| stays(*at));
        self.records.extend(records.map(|(_, (record, &id))| Record { id, ..record }));
        Ok(())
    }
}

/// Bits for the hashes of records: most of those that no other has are told at a glance.
struct SeenTwice {
    bits: Vec<u64>,
    mask: u64,
}

impl SeenTwice {
    /// Sixteen bits a record, so that one in sixteen shares its bit with a stranger.
    fn of(records: &[Record]) -> Self {
        let num_words = (records.len() / 4).next_power_of_two();
        let mut once = vec![0_u64; num_words];
        let mut seen = Self { bits: vec![0; num_words], mask: num_words as u64 - 1 };
        for record in records {
            let (word, bit) = seen.place(record);
            seen.bits[word] |= once[word] & bit;
            once[word] |= bit;
        }
        seen
    }

    /// Where a record's bit is.
    #[inline]
    fn place(&self, record: &Record) -> (usize, u64) {
        let hash = record.content[1];
        ((hash >> 6 & self.mask) as usize, 1 << (hash & 63))
    }

    /// Whether another record may have the same content.
    #[inline]
    fn may_have(&self, record: &Record) -> bool {
        let (word, bit) = self.place(record);
        self.bits[word] & bit != 0
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

/// Hashes records; owns the buffers that this takes.
#[derive(Debug)]
struct Hasher {
    normalization: Normalization,
    /// The form in which texts are asked for: raw ones are equal where their bodies are.
    form: Form,
    normalizer: Normalizer,
}

impl Hasher {
    fn new(normalization: Normalization, form: Form) -> Self {
        Self { normalization, form, normalizer: Normalizer::default() }
    }

    /// Of two texts in the form that it asks for.
    fn hash(&mut self, texts: [&str; 2]) -> Record {
        let [first, second] =
            texts.map(|text| xxh3_128(self.normalizer.normalize(text, self.normalization)));
        // An odd factor keeps the two apart.
        let content = first.wrapping_mul(MIXER).rotate_left(64) ^ second;
        let length = match self.form {
            Form::Text => texts[0].len() + texts[1].len(),
            Form::Body => 0,
        };
        Record {
            content: [(content >> 64) as u64, content as u64],
            id: 0,
            length: u32::try_from(length).unwrap_or(u32::MAX),
        }
    }
}

const MIXER: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;

/// Hashes a chunk of a pool file on the thread that parses it.
#[derive(Debug)]
struct HashSink {
    hasher: Hasher,
    records: Vec<Record>,
    scratch: [String; 2],
}

impl Sink for HashSink {
    type Made = Hashed;

    fn push(&mut self, record: &pool::canonical::Record<'_>) {
        let ([prompt, completion], form) = (&mut self.scratch, self.hasher.form);
        let texts = [record.prompt_as(form, prompt), record.completion_as(form, completion)];
        self.records.push(self.hasher.hash(texts));
    }

    fn finish(self) -> Result<Hashed> {
        Ok(Hashed(self.records))
    }
}

/// Hashes of the records of a chunk.
#[derive(Debug)]
pub struct Hashed(Vec<Record>);
