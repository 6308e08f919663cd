//! Token hashes to small numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Takes the key as its own hash: keys are hashes already.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        // Only reached for keys that are not u64.
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// A map whose keys are hashes.
pub(crate) type HashedMap<V> = HashMap<u64, V, BuildHasherDefault<Identity>>;

/// Distinct token hashes, numbered by first appearance.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    numbers: HashedMap<u32>,
}

impl Vocabulary {
    /// The number of a token, if it was seen.
    pub(crate) fn get(&self, hash: u64) -> Option<u32> {
        self.numbers.get(&hash).copied()
    }

    /// The number of a token, a new one if it was not seen.
    pub(crate) fn number(&mut self, hash: u64) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(hash).or_insert(next)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }
}

/// Token numbers below this take one code unit, others two.
const ONE_UNIT: u32 = 0x8000;
/// One past the largest token number.
pub(crate) const MAX_TOKENS: usize = 0x7fff_ffff;

/// Appends a token number in one or two 16-bit units.
pub(crate) fn encode(number: u32, out: &mut Vec<u16>) {
    if number < ONE_UNIT {
        out.push(number as u16);
    } else {
        out.push((number >> 16) as u16 | ONE_UNIT as u16);
        out.push(number as u16);
    }
}

/// Reads token numbers back.
pub(crate) fn decode(units: &[u16]) -> impl Iterator<Item = u32> + '_ {
    let mut rest = units.iter();
    std::iter::from_fn(move || {
        let first = u32::from(*rest.next()?);
        if first < ONE_UNIT {
            return Some(first);
        }
        let low = u32::from(*rest.next()?);
        Some((first & (ONE_UNIT - 1)) << 16 | low)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_encoding() {
        let numbers = [0, 1, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_fffe];
        let mut units = Vec::new();
        numbers.iter().for_each(|&number| encode(number, &mut units));
        assert_eq!(decode(&units).collect::<Vec<_>>(), numbers);
    }
}
