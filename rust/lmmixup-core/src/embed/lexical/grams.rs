//! The character n-grams of a word.

use super::hash::{BLOCK, block_within, hash_block, hash_within};
use super::words::{Kind, Word};

/// Start of the hashes of n-grams, so that `<a>` and the word itself differ.
const SEED: u64 = 0xd1b5_4a32_d192_ed03;
/// Bytes of a word that have n-grams. A longer one is no word of a language; its first
/// bytes stand for it.
const MAX_BYTES: usize = 64;
/// Longest n-gram, in characters; of ASCII it must fit 8 bytes.
pub const MAX_GRAM: usize = 8;

/// Replaces `grams` by the hashes of the n-grams of `<word>`, n in characters, in order.
///
/// `bytes` are those the word lies in.
#[inline]
pub fn fill_grams(grams: &mut Vec<u64>, bytes: &[u8], word: &Word, n: usize) {
    grams.clear();
    let (start, end) = (word.start as usize, word.end as usize);
    let len = end - start;
    match block_within(bytes, start, end) {
        Some(block) if word.kind == Kind::Letters && len + 2 <= BLOCK => {
            let padded = (block << 8) | u128::from(b'<') | (u128::from(b'>') << (8 * (len + 1)));
            let kept = u64::MAX >> (64 - 8 * n);
            let gram = |at: usize| u128::from((padded >> (8 * at)) as u64 & kept);
            grams.extend((0..(len + 3).saturating_sub(n)).map(|at| hash_block(SEED, gram(at))));
        }
        _ => fill_slowly(grams, &bytes[start..end], word.kind, n),
    }
}

/// For words beyond ASCII, and those too long for a register.
#[cold]
fn fill_slowly(grams: &mut Vec<u64>, word: &[u8], kind: Kind, n: usize) {
    let word = &word[..word.len().min(MAX_BYTES)];
    let padded = [b"<", word, b">"].concat();
    let starts = |&at: &usize| {
        kind == Kind::Letters || padded.get(at).is_none_or(|byte| byte & 0xC0 != 0x80)
    };
    let borders: Vec<usize> = (0..=padded.len()).filter(starts).collect();
    grams.extend(borders.windows(n + 1).map(|ends| hash_within(SEED, &padded, ends[0], ends[n])));
}

#[cfg(test)]
mod tests {
    use super::super::hash::hash;
    use super::super::words::Words;
    use super::*;

    fn grams(text: &str, n: usize) -> Vec<u64> {
        let (mut words, mut grams) = (Words::default(), Vec::new());
        words.split(text);
        fill_grams(&mut grams, &words.bytes, &words.list[0], n);
        grams
    }

    fn hashes(expected: &[&str]) -> Vec<u64> {
        expected.iter().map(|gram| hash(SEED, gram.as_bytes())).collect()
    }

    #[test]
    fn with_borders_in_characters() {
        assert_eq!(grams("Word", 3), hashes(&["<wo", "wor", "ord", "rd>"]));
        assert_eq!(grams("né", 3), hashes(&["<né", "né>"]));
        assert_eq!(grams("a", 2), hashes(&["<a", "a>"]));
        assert!(grams("a", 4).is_empty());
    }

    #[test]
    fn short_and_long_words_agree() {
        let long = "abcdefghijklmnopqrstuvwxyz";
        for n in [1, 3, MAX_GRAM] {
            for len in 1..long.len() {
                let mut slow = Vec::new();
                fill_slowly(&mut slow, &long.as_bytes()[..len], Kind::Letters, n);
                assert_eq!(grams(&long[..len], n), slow);
            }
        }
    }
}
