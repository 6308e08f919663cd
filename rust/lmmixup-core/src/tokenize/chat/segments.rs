//! The literals of a shape as tokens, made once: what is left to encode are the contents.
//!
//! Special tokens cut a text into pieces that are encoded apart. Of a literal, all between its
//! first and its last special token is the same in each chat; what stands before and behind is
//! encoded together with the contents that it touches.

use std::ops::Range;

use super::mask::parting;
use super::text::Text;
use super::{ChatScratch, TRAINED};
use crate::Result;
use crate::template::{Said, Shape, Span};
use crate::tokenize::encoder::Encoder;

/// A shape between whose contents special tokens stand.
#[derive(Debug)]
pub(super) struct Segments {
    /// What comes before the first content.
    opening: Vec<u32>,
    /// One for each turn.
    turns: Vec<Segment>,
}

/// A content with what touches it, and the tokens behind it.
#[derive(Debug)]
struct Segment {
    /// Where the piece begins in the whole; only whether that is 0 matters to a tokenizer.
    offset: usize,
    before: String,
    after: String,
    /// Of an answer: the ids of what belongs to the prompt, encoded alone.
    prompt: Option<Vec<u32>>,
    behind: Vec<u32>,
}

impl Segments {
    /// Encodes the literals of a shape; `None` where two contents touch or a mask ends inside
    /// what touches them.
    pub(super) fn of(
        encoder: &Encoder,
        shape: &Shape,
        scratch: &mut ChatScratch,
    ) -> Result<Option<Self>> {
        let literals = &shape.literals;
        let ends: Vec<Option<Range<usize>>> =
            literals.iter().map(|literal| special_part(encoder, literal)).collect();
        if !encoder.keeps_specials_apart() || ends[1..ends.len() - 1].contains(&None) {
            return Ok(None);
        }
        let last = literals.len() - 1;
        // Before the first content and behind the last one, nothing else is touched.
        let fixed = |at: usize| match &ends[at] {
            Some(part) if at == 0 => 0..part.end,
            Some(part) if at == last => part.start..literals[at].len(),
            Some(part) => part.clone(),
            None if at == 0 => 0..0,
            None => literals[at].len()..literals[at].len(),
        };
        let mut opening = Vec::new();
        let text = Text { text: literals[0][fixed(0)].to_owned(), trained: Vec::new() };
        encoder.encode_text(&text, None, scratch, &mut opening)?;
        let mut turns = Vec::with_capacity(last);
        for turn in 0..last {
            let answer = shape.answers.iter().find(|span| span.turn == turn);
            let borders = (fixed(turn).end, fixed(turn + 1));
            if answer.is_some_and(|span| !is_simple(span, &borders)) {
                return Ok(None);
            }
            let around = [&literals[turn], &literals[turn + 1]].map(String::as_str);
            turns.push(Segment::of(encoder, turn, around, borders, answer, scratch)?);
        }
        Ok(Some(Self { opening, turns }))
    }

    /// Appends the tokens of a chat; false, with `out` as it was, where a piece holds the text of a
    /// special token.
    pub(super) fn encode(
        &self,
        encoder: &Encoder,
        shape: &Shape,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<bool> {
        let first = out.len();
        out.extend_from_slice(&self.opening);
        for (at, segment) in self.turns.iter().enumerate() {
            let content = shape.trims[at].of(turns[at].content);
            let piece = match segment.before.is_empty() && segment.after.is_empty() {
                true => content,
                false => {
                    scratch.text.clear();
                    scratch.text.push_str(&segment.before);
                    scratch.text.push_str(content);
                    scratch.text.push_str(&segment.after);
                    &scratch.text
                }
            };
            if encoder.find_special(piece, 0).is_some() {
                out.truncate(first);
                return Ok(false);
            }
            let start = out.len();
            encoder.encode(piece, segment.offset, false, &mut scratch.encoder, out)?;
            if let Some(prompt) = &segment.prompt {
                let from = start + parting(prompt, &out[start..]);
                out[from..].iter_mut().for_each(|id| *id |= TRAINED);
            }
            out.extend_from_slice(&segment.behind);
        }
        Ok(true)
    }
}

impl Segment {
    fn of(
        encoder: &Encoder,
        turn: usize,
        [before, after]: [&str; 2],
        borders: (usize, Range<usize>),
        answer: Option<&Span>,
        scratch: &mut ChatScratch,
    ) -> Result<Self> {
        let (start, fixed) = borders;
        let offset = if turn == 0 { start } else { 1 };
        let mut prompt = Vec::new();
        if let Some(span) = answer {
            let belongs = &before[start..span.before];
            encoder.encode(belongs, offset, false, &mut scratch.encoder, &mut prompt)?;
        }
        let trained = answer.map(|span| 0..span.after.saturating_sub(fixed.start));
        let text = Text {
            text: after[fixed.clone()].to_owned(),
            trained: trained.into_iter().filter(|range| !range.is_empty()).collect(),
        };
        let mut behind = Vec::new();
        encoder.encode_text(&text, None, scratch, &mut behind)?;
        Ok(Self {
            offset,
            before: before[start..].to_owned(),
            after: after[..fixed.start].to_owned(),
            prompt: answer.map(|_| prompt),
            behind,
        })
    }
}

/// Whether an answer begins with or behind what touches its content, and goes on to the end of
/// what touches it there.
fn is_simple(span: &Span, (start, fixed): &(usize, Range<usize>)) -> bool {
    span.before >= *start && span.after >= fixed.start
}

/// From the first special token of a literal to its last.
fn special_part(encoder: &Encoder, literal: &str) -> Option<Range<usize>> {
    let (first, mut end, _) = encoder.find_special(literal, 0)?;
    while let Some((_, next, _)) = encoder.find_special(literal, end) {
        end = next;
    }
    Some(first..end)
}
