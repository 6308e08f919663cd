//! Words of a byte-level BPE to tokens: from a table where they were met before, else by merging.

use tokenizers::pipeline::Span;

use super::bpe::{Bpe, MergeScratch};
use super::cuts::Cuts;
use super::words::{Key, LONG, MAX_WORD, ROOM, Words, key};

/// Words that are looked up together, so that the table's memory comes while others are done.
const TOGETHER: usize = 128;

/// A byte-level BPE and what its words need.
pub struct ByteLevel {
    /// The model.
    pub bpe: Bpe,
    /// Where long words may be cut, if that is known to change no id.
    pub cuts: Option<Cuts>,
    /// The first of the ids that stand for bytes which the vocabulary lacks.
    pub missing: Option<u32>,
}

/// What a thread keeps from text to text.
#[derive(Default)]
pub struct WordScratch {
    words: Words,
    merges: MergeScratch,
    places: Vec<(Key, usize)>,
    ids: Vec<u32>,
}

impl ByteLevel {
    /// Appends the tokens of words to `out`.
    pub fn encode(
        &self,
        text: &str,
        spans: &[Span],
        scratch: &mut WordScratch,
        out: &mut Vec<u32>,
    ) {
        let bytes = text.as_bytes();
        let first = out.len();
        let mut places = std::mem::take(&mut scratch.places);
        for part in spans.chunks(TOGETHER) {
            places.clear();
            places.extend(part.iter().map(|span| {
                let key = key(bytes, span.start as usize, span.end as usize);
                (key, scratch.words.home(key))
            }));
            out.reserve(TOGETHER * ROOM);
            for (span, &(key, home)) in part.iter().zip(&places) {
                if !scratch.words.write(key, home, out) {
                    self.encode_new(bytes, (span.start as usize, span.end as usize), scratch, out);
                    out.reserve(TOGETHER * ROOM);
                }
            }
        }
        scratch.places = places;
        self.drop_missing(first, out);
    }

    /// A word that is not in the table, or too long for it.
    #[inline(never)]
    fn encode_new(
        &self,
        text: &[u8],
        (mut start, end): (usize, usize),
        scratch: &mut WordScratch,
        out: &mut Vec<u32>,
    ) {
        while start < end {
            let next = match &self.cuts {
                Some(cuts) if end - start > MAX_WORD => cuts.next(text, start, end),
                _ => end,
            };
            self.encode_piece(text, (start, next), scratch, out);
            start = next;
        }
    }

    fn encode_piece(
        &self,
        text: &[u8],
        (start, end): (usize, usize),
        scratch: &mut WordScratch,
        out: &mut Vec<u32>,
    ) {
        let WordScratch { words, merges, ids, .. } = scratch;
        let key = key(text, start, end);
        let home = words.home(key);
        out.reserve(ROOM);
        if words.write(key, home, out) || words.write_long(key, home, out) {
            return;
        }
        ids.clear();
        self.bpe.encode(&text[start..end], merges, ids);
        out.extend_from_slice(ids);
        if key != LONG {
            words.keep(key, home, ids);
        }
    }

    /// A byte that the vocabulary lacks has no token, as in Hugging Face `tokenizers` 0.23.
    fn drop_missing(&self, start: usize, out: &mut Vec<u32>) {
        let Some(first) = self.missing else { return };
        let mut kept = start;
        for at in start..out.len() {
            if out[at] < first {
                out[kept] = out[at];
                kept += 1;
            }
        }
        out.truncate(kept);
    }
}
