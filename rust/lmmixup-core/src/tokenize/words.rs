//! What words encode to: a table in front of the model, as words come again and again.
//!
//! A word of up to 15 bytes is its own key, so a hit is always right; longer ones rarely repeat
//! and go to the model. The table has a fixed size: a full neighbourhood gives up its first slot.

/// Longest word that is kept, in bytes.
pub const MAX_WORD: usize = 15;
/// Ids of a word that stand in its slot.
pub const INLINE: usize = 3;
/// Slots; 32 bytes each.
const SLOTS: usize = 1 << 18;
/// Slots that a word may be in.
const NEAR: usize = 4;
/// Ids that are kept beside the slots; beyond them longer lists go to the model.
const MAX_SPILLED: usize = 1 << 20;

/// A word of up to [`MAX_WORD`] bytes with its length; zero for none.
pub type Key = [u64; 2];

#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
struct Slot {
    key: Key,
    /// The ids, or where they begin among the spilled ones.
    ids: [u32; INLINE],
    count: u32,
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
    #[inline]
    pub fn home(&self, key: Key) -> usize {
        let product = u128::from(key[0] ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from((key[1] ^ 0xd6e8_feb8_6659_fd93) | 1);
        let home = ((product as u64) ^ ((product >> 64) as u64)) as usize & (SLOTS - 1);
        prefetch(&self.slots[home]);
        home
    }

    /// Appends the ids of a word to `out` at `at`, which has room for [`INLINE`] ids; gives
    /// their number, or `None` where the word is not known.
    #[inline]
    pub fn write(&self, key: Key, home: usize, out: &mut Vec<u32>, at: usize) -> Option<usize> {
        let slot = self.slots[home..home + NEAR].iter().find(|slot| slot.key == key)?;
        let count = slot.count as usize;
        if count <= INLINE {
            out[at..at + INLINE].copy_from_slice(&slot.ids);
        } else {
            let start = slot.ids[0] as usize;
            make_room(out, at, count + INLINE);
            out[at..at + count].copy_from_slice(&self.spilled[start..start + count]);
        }
        Some(count)
    }

    /// Keeps the ids of a word.
    pub fn keep(&mut self, key: Key, home: usize, ids: &[u32]) {
        let mut slot = Slot { key, ids: [0; INLINE], count: ids.len() as u32 };
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

/// Makes `out` long enough for `more` values from `at` on.
#[inline]
pub fn make_room(out: &mut Vec<u32>, at: usize, more: usize) {
    if out.len() < at + more {
        out.resize((at + more) * 2, 0);
    }
}

/// The key of `text[start..end]`, which is not empty; zero where it is longer than a key.
#[inline]
pub fn key(text: &[u8], start: usize, end: usize) -> Key {
    let length = end - start;
    if length > MAX_WORD {
        return [0; 2];
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
        assert_eq!(key(text, 0, 16), [0; 2]);
    }

    #[test]
    fn gives_back_what_it_keeps() {
        let mut words = Words::default();
        for (word, ids) in [("a", vec![1]), ("bcd", vec![1, 2, 3]), ("efgh", vec![9, 8, 7, 6])] {
            let key = key(word.as_bytes(), 0, word.len());
            let home = words.home(key);
            let mut out = vec![0; INLINE];
            assert_eq!(words.write(key, home, &mut out, 0), None);
            words.keep(key, home, &ids);
            assert_eq!(words.write(key, home, &mut out, 0), Some(ids.len()));
            assert_eq!(out[..ids.len()], ids);
        }
    }
}
