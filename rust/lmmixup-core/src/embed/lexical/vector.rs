//! Weights of words and the directions of their features.

use super::bag::Bag;
use super::frequency::Frequency;
use super::parts::Parts;
use super::words::{Kind, Word, Words};
use super::{LexicalOptions, Scratch};

/// Keeps the features of a word, its parts and its pairs apart.
const WORD_SALT: u64 = 0x9e37_79b9_7f4a_7c15;
pub const GRAM_SALT: u64 = 0xd1b5_4a32_d192_ed03;
const PAIR_SALT: u64 = 0x8cb9_2ba7_2f3d_8dd7;
/// Non-zero entries of a feature's direction: two halve the noise of one where features of
/// the same text meet; more were not better.
pub const NONZEROS: usize = 2;
/// Occurrences up to which a count's weight is looked up.
const COUNTS: usize = 64;
/// Numbers of n-grams up to which their share is looked up.
const SHARES: usize = 64;
/// Record counts up to which an idf is looked up.
const IDFS: u32 = 1 << 12;

/// The finaliser of MurmurHash3: every bit of the input moves every bit of the output.
#[inline]
pub fn mix(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// Turns the words of a text into an unnormalised vector.
pub struct Weigher<'a> {
    options: &'a LexicalOptions,
    frequency: &'a Frequency,
    log_records: f32,
    idf: Vec<f32>,
    tf: [f32; COUNTS],
    gram_shares: Vec<f32>,
}

impl<'a> Weigher<'a> {
    /// Weights for a pool of `num_records` with these counts.
    pub fn new(options: &'a LexicalOptions, frequency: &'a Frequency, num_records: u64) -> Self {
        let log_records = (num_records.max(1) as f64 + 1.0).ln() as f32;
        let idf = (0..IDFS).map(|count| idf(log_records, count, options.idf_power)).collect();
        let tf = std::array::from_fn(|count| (count as f32).powf(options.tf_power));
        let gram_shares = (0..SHARES).map(|num| gram_share(num, options.gram_norm)).collect();
        Self { options, frequency, log_records, idf, tf, gram_shares }
    }

    /// Adds all features of a text to `vector`.
    pub fn add_text(&self, scratch: &mut Scratch, vector: &mut [f32]) {
        let Scratch { words, bag, weights, parts } = scratch;
        weights.clear();
        weights.extend(bag.entries().iter().map(|entry| self.idf(&entry.word)));
        for (entry, idf) in bag.entries().iter().zip(weights.iter()) {
            self.add_word(words, &entry.word, self.tf(entry.count) * idf, parts, vector);
        }
        if self.options.pair > 0.0 {
            weights.iter_mut().for_each(|idf| *idf = idf.sqrt());
            self.add_pairs(words, bag, weights, vector);
        }
    }

    fn gram_share(&self, num: usize) -> f32 {
        let looked_up = self.gram_shares.get(num).copied();
        looked_up.unwrap_or_else(|| gram_share(num, self.options.gram_norm))
    }

    fn tf(&self, count: u32) -> f32 {
        let count = count as usize;
        self.tf.get(count).copied().unwrap_or_else(|| (count as f32).powf(self.options.tf_power))
    }

    fn idf(&self, word: &Word) -> f32 {
        let records = self.frequency.get(mix(word.hash));
        let idf = match self.idf.get(records as usize) {
            Some(&idf) => idf,
            None => idf(self.log_records, records, self.options.idf_power),
        };
        if word.kind == Kind::Sign { idf * self.options.sign } else { idf }
    }

    fn add_word(
        &self,
        words: &Words,
        word: &Word,
        weight: f32,
        parts: &mut Parts,
        vector: &mut [f32],
    ) {
        let hash = mix(word.hash ^ WORD_SALT);
        if !matches!(word.kind, Kind::Letters | Kind::Wide) || self.options.grams <= 0.0 {
            return add_feature(vector, hash, weight);
        }
        add_feature(vector, hash, weight * self.options.word);
        let codes = parts.of(words, word, self.options);
        let share = weight * self.options.grams * self.gram_share(codes.len() / NONZEROS);
        for &code in codes {
            add_code(vector, code, share);
        }
    }

    /// Each two words that follow one another, signs left out; `roots` are the square roots
    /// of the idf of the bag's entries.
    fn add_pairs(&self, words: &Words, bag: &Bag, roots: &[f32], vector: &mut [f32]) {
        let mut before: Option<(u64, f32)> = None;
        for (word, &entry) in words.list.iter().zip(bag.places()) {
            if !matches!(word.kind, Kind::Letters | Kind::Wide) {
                continue;
            }
            let root = roots[entry as usize];
            if let Some((hash, root_before)) = before {
                let weight = root * root_before * self.options.pair;
                add_feature(vector, mix(mix(hash ^ PAIR_SALT) ^ word.hash), weight);
            }
            before = Some((word.hash, root));
        }
    }
}

/// Place number `part` of a feature: its index in the vector, and the top bit for a minus.
#[inline]
pub fn code(hash: u64, part: usize, dim: usize) -> u16 {
    let bits = (hash >> (16 * part)) & 0xFFFF;
    let place = ((bits & 0x7FFF) * dim as u64) >> 15;
    place as u16 | (bits & 0x8000) as u16
}

/// Adds `weight` at a place. The sign goes in by its bit: a branch on it would be guessed
/// wrong half the time.
#[inline]
fn add_code(vector: &mut [f32], code: u16, weight: f32) {
    let signed = f32::from_bits(weight.to_bits() ^ (u32::from(code & 0x8000) << 16));
    if let Some(value) = vector.get_mut(usize::from(code & 0x7FFF)) {
        *value += signed;
    }
}

#[inline]
fn add_feature(vector: &mut [f32], hash: u64, weight: f32) {
    for part in 0..NONZEROS {
        add_code(vector, code(hash, part, vector.len()), weight);
    }
}

/// What each of `num` n-grams gets of their common weight.
fn gram_share(num: usize, norm: f32) -> f32 {
    (num.max(1) as f32).powf(-norm)
}

/// ln((1 + records of the pool) / records with the word) ^ power.
fn idf(log_records: f32, records: u32, power: f32) -> f32 {
    (log_records - (records.max(1) as f32).ln()).max(1e-3).powf(power)
}
