//! Tokens of a text and which of them are trained on, exact where the mask begins and ends.

use std::ops::Range;

use super::text::Text;
use super::{ChatScratch, TRAINED};
use crate::Result;
use crate::tokenize::encoder::Encoder;

/// The noncharacter that stands for a character until special tokens are found, and that one.
pub(super) type Guard = Option<(char, char)>;

impl Encoder {
    /// Encodes text between special tokens piece by piece, and marks what is trained on.
    pub(super) fn encode_text(
        &self,
        text: &Text,
        guard: Guard,
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let Text { text, trained } = text;
        let mut start = 0;
        while start < text.len() {
            let found = self.find_special(text, start);
            let (at, end, id) = found.unwrap_or((text.len(), text.len(), 0));
            if at > start {
                self.encode_piece(text, start..at, trained, guard, scratch, out)?;
            }
            if found.is_some() {
                let is_trained = trained.iter().any(|range| range.contains(&at));
                out.push(if is_trained { id | TRAINED } else { id });
            }
            start = end;
        }
        Ok(())
    }

    fn encode_piece(
        &self,
        text: &str,
        piece: Range<usize>,
        trained: &[Range<usize>],
        guard: Guard,
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let ChatScratch { encoder: inner, piece: ids, opening, .. } = scratch;
        let mut encode = |range: Range<usize>, ids: &mut Vec<u32>| {
            ids.clear();
            match guard {
                None => self.encode(&text[range], piece.start, false, inner, ids),
                Some((guard, first)) => {
                    let shown = text[range].replace(guard, first.encode_utf8(&mut [0; 4]));
                    self.encode(&shown, piece.start, false, inner, ids)
                }
            }
        };
        encode(piece.clone(), ids)?;
        for range in
            trained.iter().filter(|range| range.start < piece.end && range.end > piece.start)
        {
            let mut place = |at: usize, last: usize| -> Result<usize> {
                if at <= piece.start || at >= piece.end {
                    return Ok(if at <= piece.start { 0 } else { last });
                }
                encode(piece.start..at, opening)?;
                Ok(parting(opening, ids))
            };
            let (from, to) = (place(range.start, ids.len())?, place(range.end, ids.len())?);
            ids[from.min(to)..to].iter_mut().for_each(|id| *id |= TRAINED);
        }
        out.extend_from_slice(ids);
        Ok(())
    }
}

/// Where the ids of a text part from those of its beginning. From there on tokens are trained on:
/// TRL's rule, which an answer that merges with the newline before it needs.
pub(super) fn parting(beginning: &[u32], ids: &[u32]) -> usize {
    let pairs = beginning.iter().zip(ids);
    pairs.take_while(|(a, b)| **a == **b & !TRAINED).count()
}
