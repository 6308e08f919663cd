//! The distinct words of one text with their counts, in order of first appearance.

use super::words::Word;

/// An entry: the word where it came first, and how often it came.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The first of its kind in the text.
    pub word: Word,
    /// Occurrences in the text, ≥ 1.
    pub count: u32,
}

/// Slots of a fresh table (1 KiB to clear a text).
const FIRST: usize = 256;
/// Above this many slots clearing costs more than growing again.
const LARGE: usize = 4096;

/// An open-addressing table that is reused from text to text.
#[derive(Debug)]
pub struct Bag {
    entries: Vec<Entry>,
    /// Index into `entries` plus one; 0 is free. A power of two, at least half free.
    slots: Vec<u32>,
}

impl Default for Bag {
    fn default() -> Self {
        Self { entries: Vec::new(), slots: vec![0; FIRST] }
    }
}

impl Bag {
    /// Replaces the content by the distinct words of a list.
    pub fn fill(&mut self, words: &[Word]) {
        self.clear();
        for &word in words {
            self.add(word);
        }
    }

    /// The distinct words, in order of first appearance.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Starts the next text. A table that one huge text blew up goes back to its first size,
    /// so that the many short ones after it do not pay for it.
    fn clear(&mut self) {
        if self.slots.len() > LARGE && self.entries.len() * 8 < self.slots.len() {
            self.slots.truncate(FIRST);
        }
        self.slots.fill(0);
        self.entries.clear();
    }

    fn add(&mut self, word: Word) {
        let mut slot = self.find_held(word.hash);
        match self.slots[slot] {
            0 => {
                if (self.entries.len() + 1) * 2 > self.slots.len() {
                    self.grow();
                    slot = self.find_held(word.hash);
                }
                self.entries.push(Entry { word, count: 1 });
                self.slots[slot] = self.entries.len() as u32;
            }
            held => self.entries[held as usize - 1].count += 1,
        }
    }

    fn find_held(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while self.slots[slot] != 0 && self.entries[self.slots[slot] as usize - 1].word.hash != hash
        {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        self.slots.clear();
        self.slots.resize(size, 0);
        for index in 0..self.entries.len() {
            let slot = self.find_held(self.entries[index].word.hash);
            self.slots[slot] = index as u32 + 1;
        }
    }
}
