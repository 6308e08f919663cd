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
///
/// Open addressing with linear probing: one look into memory finds most tokens, and a slot is
/// 12 bytes, which is less than a general map takes.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    slots: Vec<Slot>,
    len: usize,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
struct Slot {
    hash: u64,
    number: u32,
}

const FREE: Slot = Slot { hash: 0, number: u32::MAX };

impl Vocabulary {
    /// The number of a token, if it was seen.
    #[inline]
    pub(crate) fn get(&self, hash: u64) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slots[self.find(hash)];
        (slot.number != FREE.number).then_some(slot.number)
    }

    /// The number of a token, a new one if it was not seen.
    pub(crate) fn number(&mut self, hash: u64) -> u32 {
        if self.len * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let at = self.find(hash);
        if self.slots[at].number == FREE.number {
            self.slots[at] = Slot { hash, number: self.len as u32 };
            self.len += 1;
        }
        self.slots[at].number
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The slot of a hash, or the free one where it belongs.
    #[inline]
    fn find(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> 16) as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.number == FREE.number || slot.hash == hash {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (2 * self.slots.len()).max(1 << 12);
        let old = std::mem::replace(&mut self.slots, vec![FREE; size]);
        for slot in old.into_iter().filter(|slot| slot.number != FREE.number) {
            let at = self.find(slot.hash);
            self.slots[at] = slot;
        }
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
