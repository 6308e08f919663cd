//! The character n-grams of words as places of a vector, remembered for words that come
//! again.

use super::LexicalOptions;
use super::vector::{GRAM_SALT, NONZEROS, code, mix};
use super::words::{FNV_START, Kind, Word, Words, fnv};

/// Words that are remembered at a time; 64 bytes each.
const SLOTS: usize = 1 << 12;
/// Places that a slot has room for.
const MAX_CODES: usize = 27;
/// Bytes of a word that have n-grams. A longer one is no word of a language; its first
/// bytes stand for it.
const MAX_BYTES: usize = 64;

#[derive(Clone)]
struct Slot {
    hash: u64,
    codes: [u16; MAX_CODES],
    len: u8,
}

/// Direct-mapped: a word takes the slot of whichever was there before. What it answers
/// depends on the word alone.
pub struct Parts {
    slots: Vec<Slot>,
    codes: Vec<u16>,
}

impl Default for Parts {
    fn default() -> Self {
        let empty = Slot { hash: 0, codes: [0; MAX_CODES], len: 0 };
        Self { slots: vec![empty; SLOTS], codes: Vec::new() }
    }
}

impl Parts {
    /// The places of all n-grams of a word, [`NONZEROS`] each, with their sign.
    #[inline]
    pub fn of(&mut self, words: &Words, word: &Word, options: &LexicalOptions) -> &[u16] {
        let index = (word.hash ^ (word.hash >> 32)) as usize & (SLOTS - 1);
        if self.slots[index].hash != word.hash || self.slots[index].len == 0 {
            self.codes.clear();
            let bytes = &words.bytes[word.start as usize..word.end as usize];
            push_codes(bytes, word.kind, options, &mut self.codes);
            if self.codes.len() > MAX_CODES || self.codes.is_empty() {
                return &self.codes;
            }
            let slot = &mut self.slots[index];
            slot.hash = word.hash;
            slot.len = self.codes.len() as u8;
            slot.codes[..self.codes.len()].copy_from_slice(&self.codes);
        }
        let slot = &self.slots[index];
        &slot.codes[..usize::from(slot.len)]
    }
}

/// The n-grams of `<word>`, n in characters.
fn push_codes(bytes: &[u8], kind: Kind, options: &LexicalOptions, codes: &mut Vec<u16>) {
    let mut padded = [0u8; MAX_BYTES + 2];
    let kept = bytes.len().min(MAX_BYTES);
    padded[0] = b'<';
    padded[1..=kept].copy_from_slice(&bytes[..kept]);
    padded[kept + 1] = b'>';
    let padded = &padded[..kept + 2];
    let starts = |at: usize| kind == Kind::Letters || starts_char(padded[at]);
    for start in (0..padded.len()).filter(|&at| starts(at)) {
        let (mut hash, mut n) = (FNV_START, 0);
        for at in start..padded.len() {
            hash = fnv(hash, padded[at]);
            if at + 1 < padded.len() && !starts(at + 1) {
                continue;
            }
            n += 1;
            if n >= options.min_gram {
                let mixed = mix(hash ^ GRAM_SALT);
                codes.extend((0..NONZEROS).map(|part| code(mixed, part, options.dim)));
            }
            if n == options.max_gram {
                break;
            }
        }
    }
}

/// Whether a byte of UTF-8 begins a character.
fn starts_char(byte: u8) -> bool {
    byte & 0xC0 != 0x80
}
