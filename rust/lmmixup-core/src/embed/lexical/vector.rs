//! Weights of words and the directions of their features.

use super::LexicalOptions;
use super::bag::Bag;
use super::frequency::Frequency;
use super::words::{FNV_START, Kind, Word, Words, fnv};

/// Keeps the features of a word, its parts and its pairs apart.
const WORD_SALT: u64 = 0x9e37_79b9_7f4a_7c15;
const GRAM_SALT: u64 = 0xd1b5_4a32_d192_ed03;
const PAIR_SALT: u64 = 0x8cb9_2ba7_2f3d_8dd7;
/// Occurrences up to which a count's weight is looked up.
const COUNTS: usize = 64;
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
}

impl<'a> Weigher<'a> {
    /// Weights for a pool of `num_records` with these counts.
    pub fn new(options: &'a LexicalOptions, frequency: &'a Frequency, num_records: u64) -> Self {
        let log_records = (num_records.max(1) as f64 + 1.0).ln() as f32;
        let idf = (0..IDFS).map(|count| idf(log_records, count, options.idf_power)).collect();
        let tf = std::array::from_fn(|count| (count as f32).powf(options.tf_power));
        Self { options, frequency, log_records, idf, tf }
    }

    /// Adds all features of a text to `vector`. `weights` is room for one weight a word.
    pub fn add_text(&self, words: &Words, bag: &Bag, weights: &mut Vec<f32>, vector: &mut [f32]) {
        weights.clear();
        weights.extend(bag.entries().iter().map(|entry| self.idf(&entry.word)));
        for (entry, idf) in bag.entries().iter().zip(weights.iter()) {
            self.add_word(words, &entry.word, self.tf(entry.count) * idf, vector);
        }
        if self.options.pair > 0.0 {
            weights.iter_mut().for_each(|idf| *idf = idf.sqrt());
            self.add_pairs(words, bag, weights, vector);
        }
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

    fn add_word(&self, words: &Words, word: &Word, weight: f32, vector: &mut [f32]) {
        match word.kind {
            Kind::Letters | Kind::Wide if self.options.grams > 0.0 => {
                self.add_feature(vector, mix(word.hash ^ WORD_SALT), weight * self.options.word);
                let bytes = &words.bytes[word.start as usize..word.end as usize];
                self.add_grams(bytes, word.kind, weight * self.options.grams, vector);
            }
            _ => self.add_feature(vector, mix(word.hash ^ WORD_SALT), weight),
        }
    }

    /// The n-grams of `<word>`, each with an equal share of `weight`.
    fn add_grams(&self, bytes: &[u8], kind: Kind, weight: f32, vector: &mut [f32]) {
        let (min, max) = (self.options.min_gram, self.options.max_gram);
        let mut padded = [0u8; 66];
        // A word beyond this is no word of a language; its first bytes stand for it.
        let kept = bytes.len().min(64);
        padded[0] = b'<';
        padded[1..=kept].copy_from_slice(&bytes[..kept]);
        padded[kept + 1] = b'>';
        let padded = &padded[..kept + 2];
        let is_start = |at: usize| kind == Kind::Letters || (padded[at] & 0xC0) != 0x80;
        let length = if kind == Kind::Letters {
            padded.len()
        } else {
            (0..padded.len()).filter(|&at| is_start(at)).count()
        };
        let num: usize = (min..=max).map(|n| (length + 1).saturating_sub(n)).sum();
        if num == 0 {
            return;
        }
        let share = weight / (num as f32).powf(self.options.gram_norm);
        for start in (0..padded.len()).filter(|&at| is_start(at)) {
            let (mut hash, mut n) = (FNV_START, 0);
            for at in start..padded.len() {
                hash = fnv(hash, padded[at]);
                if at + 1 == padded.len() || is_start(at + 1) {
                    n += 1;
                    if n >= min {
                        self.add_feature(vector, mix(hash ^ GRAM_SALT), share);
                    }
                    if n == max {
                        break;
                    }
                }
            }
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
                self.add_feature(vector, mix(mix(hash ^ PAIR_SALT) ^ word.hash), weight);
            }
            before = Some((word.hash, root));
        }
    }

    /// Adds `weight` at `nonzeros` places, each with a sign, all from the bits of `hash`.
    #[inline]
    fn add_feature(&self, vector: &mut [f32], hash: u64, weight: f32) {
        let dim = vector.len() as u64;
        for part in 0..self.options.nonzeros {
            let bits = hash >> (16 * part);
            let place = (((bits & 0x7FFF) * dim) >> 15) as usize;
            vector[place] += if bits & 0x8000 == 0 { weight } else { -weight };
        }
    }
}

/// ln((1 + records of the pool) / records with the word) ^ power.
fn idf(log_records: f32, records: u32, power: f32) -> f32 {
    (log_records - (records.max(1) as f32).ln()).max(1e-3).powf(power)
}
