//! Weights of words and the directions of their features.

use super::bag::Entry;
use super::frequency::Frequency;
use super::grams::fill_grams;
use super::hash::mix;
use super::words::Kind;
use super::{LexicalOptions, Scratch};

/// Non-zero entries of a feature's direction: two halve the noise of one where features of
/// the same text meet; more were not better.
const NONZEROS: usize = 2;
/// Occurrences up to which a count's weight is looked up.
const COUNTS: usize = 64;
/// Numbers of n-grams up to which their share is looked up.
const SHARES: usize = 64;
/// Record counts up to which an idf is looked up.
const IDFS: u32 = 1 << 12;

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
        let Scratch { words, bag, weights, grams } = scratch;
        weights.clear();
        weights.extend(bag.entries().iter().map(|entry| self.tf(entry.count) * self.idf(entry)));
        for (entry, &weight) in bag.entries().iter().zip(weights.iter()) {
            let hash = mix(entry.word.hash);
            if !matches!(entry.word.kind, Kind::Letters | Kind::Wide) {
                add_feature(vector, hash, weight);
                continue;
            }
            add_feature(vector, hash, weight * self.options.word);
            fill_grams(grams, &words.bytes, &entry.word, self.options.gram);
            let share = weight * self.options.grams * self.gram_share(grams.len());
            for &gram in grams.iter() {
                add_feature(vector, gram, share);
            }
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

    fn idf(&self, entry: &Entry) -> f32 {
        let records = self.frequency.get(mix(entry.word.hash));
        let idf = match self.idf.get(records as usize) {
            Some(&idf) => idf,
            None => idf(self.log_records, records, self.options.idf_power),
        };
        if entry.word.kind == Kind::Sign { idf * self.options.sign } else { idf }
    }
}

/// Adds `weight` at the places of a feature: 15 bits of its hash for each, and one for its
/// sign. The sign goes in by its bit: a branch on it would be guessed wrong half the time.
#[inline]
fn add_feature(vector: &mut [f32], hash: u64, weight: f32) {
    for part in 0..NONZEROS {
        let bits = (hash >> (16 * part)) as u32;
        let place = ((bits & 0x7FFF) as usize * vector.len()) >> 15;
        if let Some(value) = vector.get_mut(place) {
            *value += f32::from_bits(weight.to_bits() ^ ((bits & 0x8000) << 16));
        }
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
