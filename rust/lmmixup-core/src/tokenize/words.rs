//! What words encode to: a table in front of the model, as words come again and again.
//!
//! A word of up to 15 bytes is its own key, so a hit is always right; longer ones rarely repeat
//! and are merged anew. The table has a fixed size: a full neighbourhood gives up its first slot.

/// Longest word that is kept, in bytes.
pub const MAX_WORD: usize = 15;
/// Ids of a word that stand in its slot.
const INLINE: usize = 3;
/// Slots; 32 bytes each.
const SLOTS: usize = 1 << 18;
/// Slots that a word may be in.
const NEAR: usize = 4;
/// Ids that are kept beside the slots; beyond them words of more ids are merged anew.
const MAX_SPILLED: usize = 1 << 20;

/// A word of up to [`MAX_WORD`] bytes with its length; zero for a free slot.
pub type Key = [u64; 2];

/// The key of all words that have none, which no slot has.
pub const LONG: Key = [0, u64::MAX];

/// Ids that [`Words::write`] writes at once, needed or not.
pub const ROOM: usize = INLINE + 1;

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
struct Slot {
    key: Key,
    /// The ids, or where they begin among the spilled ones; then their number.
    ids: [u32; ROOM],
}

/// Ids of words seen before.
#[derive(Debug)]
pub struct Words {
    slots: Vec<Slot>,
    spilled: Vec<u32>,
}

impl Default for Words {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); SLOTS + NEAR], spilled: Vec::new() }
    }
}

impl Words {
    /// Where the word of a key would be first; the processor begins to load it.
    #[inline(always)]
    pub fn home(&self, key: Key) -> usize {
        let product = u128::from(key[0] ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from((key[1] ^ 0xd6e8_feb8_6659_fd93) | 1);
        let home = ((product as u64) ^ ((product >> 64) as u64)) as usize & (SLOTS - 1);
        prefetch(&self.slots[home]);
        home
    }

    /// Appends the ids of a word to `out`, which has spare room for [`ROOM`]; false where it is
    /// not known, or has more ids.
    #[inline(always)]
    pub fn write(&self, key: Key, home: usize, out: &mut Vec<u32>) -> bool {
        let slot = match self.slots[home].key == key {
            true => &self.slots[home],
            false => match self.slots[home + 1..home + NEAR].iter().find(|slot| slot.key == key) {
                Some(slot) => slot,
                None => return false,
            },
        };
        let count = slot.ids[INLINE] as usize;
        if count > INLINE {
            return false;
        }
        // One store of known length and a length are faster than a copy of unknown length.
        out.extend_from_slice(&slot.ids);
        out.truncate(out.len() - ROOM + count);
        true
    }

    /// The same for a word of more ids.
    pub fn write_long(&self, key: Key, home: usize, out: &mut Vec<u32>) -> bool {
        let slot = self.slots[home..home + NEAR].iter().find(|slot| slot.key == key);
        let Some(&Slot { ids: [start, .., count], .. }) = slot else { return false };
        out.extend_from_slice(&self.spilled[start as usize..][..count as usize]);
        true
    }

    /// Keeps the ids of a word.
    pub fn keep(&mut self, key: Key, home: usize, ids: &[u32]) {
        let mut slot = Slot { key, ids: [0; ROOM] };
        slot.ids[INLINE] = ids.len() as u32;
        if ids.len() <= INLINE {
            slot.ids[..ids.len()].copy_from_slice(ids);
        } else if self.spilled.len() + ids.len() <= MAX_SPILLED {
            slot.ids[0] = self.spilled.len() as u32;
            self.spilled.extend_from_slice(ids);
        } else {
            return;
        }
        let near = &mut self.slots[home..home + NEAR];
        let place = near.iter().position(|slot| slot.key == [0; 2]).unwrap_or(0);
        near[place] = slot;
    }
}

/// The key of `text[start..end]`, which is not empty; [`LONG`] where it is longer than a key.
#[inline(always)]
pub fn key(text: &[u8], start: usize, end: usize) -> Key {
    let length = end - start;
    if length > MAX_WORD {
        return LONG;
    }
    let mut bytes = [0; 16];
    match text.get(start..start + 16) {
        Some(sixteen) => bytes.copy_from_slice(sixteen),
        None => bytes[..length].copy_from_slice(&text[start..end]),
    }
    let low = u128::from_le_bytes(bytes) & ((1 << (8 * length)) - 1);
    let whole = low | ((length as u128) << 120);
    [whole as u64, (whole >> 64) as u64]
}

#[inline]
fn prefetch(slot: &Slot) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint on an address that is valid; it reads nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch(std::ptr::from_ref(slot).cast::<i8>(), _MM_HINT_T0);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = slot;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_words_apart() {
        let text = b"the cat\0 and another one";
        assert_eq!(key(text, 0, 3), key(b"the", 0, 3));
        assert_ne!(key(text, 4, 7), key(text, 4, 8));
        assert_eq!(key(text, 0, 16), LONG);
    }

    #[test]
    fn gives_back_what_it_keeps() {
        let mut words = Words::default();
        for (word, ids) in [("a", vec![1]), ("bcd", vec![1, 2, 3]), ("efgh", vec![9, 8, 7, 6])] {
            let key = key(word.as_bytes(), 0, word.len());
            let home = words.home(key);
            let mut out = Vec::with_capacity(ROOM);
            assert!(!words.write(key, home, &mut out) && !words.write_long(key, home, &mut out));
            words.keep(key, home, &ids);
            assert_eq!(words.write(key, home, &mut out), ids.len() <= INLINE);
            assert!(ids.len() <= INLINE || words.write_long(key, home, &mut out));
            assert_eq!(out, ids);
        }
    }
}
