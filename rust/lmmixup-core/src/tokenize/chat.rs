//! From a chat to token ids, each with a bit that says whether it is trained on.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::encoder::{Encoder, Scratch};
use crate::template::shape::common;
use crate::template::{Said, Shape, Template, is_python_space};
use crate::{Error, Result};

/// Set in a token that is trained on.
pub const TRAINED: u32 = 1 << 31;

/// Shapes that are kept; chats of still other shapes are rendered.
const MAX_SHAPES: usize = 4096;
/// Some one of so many chats that a shape filled is rendered too.
const PROOF_EVERY: usize = 64;
/// Noncharacters that stand for the first character of a special token's text in a content.
const GUARDS: Range<u32> = 0xfdd2..0xfdf0;

/// What becomes of text in a content that is a special token of the tokenizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialInText {
    /// It is text.
    Text,
    /// It becomes the token, as in transformers.
    Control,
    /// The record is dropped.
    Reject,
}

/// Why a chat became no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// Short reason.
    pub reason: &'static str,
    /// A sentence.
    pub detail: String,
}

/// How chats were made into text.
#[derive(Debug, Default)]
pub struct Paths {
    /// Filled into a shape.
    pub filled: AtomicU64,
    /// Rendered.
    pub rendered: AtomicU64,
    /// Filled ones of the sample that is rendered too, and were the same.
    pub proved: AtomicU64,
}

/// Encodes chats; shared by threads.
#[derive(Debug)]
pub struct Chat {
    encoder: Encoder,
    template: Template,
    policy: SpecialInText,
    specialises: bool,
    shapes: RwLock<HashMap<Vec<u8>, Option<Arc<Shape>>>>,
    paths: Paths,
}

/// What a thread keeps from chat to chat.
#[derive(Debug, Default)]
pub struct ChatScratch {
    encoder: Scratch,
    key: Vec<u8>,
    piece: Vec<u32>,
    opening: Vec<u32>,
}

/// A chat as text, and the bytes of it that are trained on.
struct Text {
    text: String,
    trained: Vec<Range<usize>>,
}

impl Chat {
    /// Puts a tokenizer and a template together; `specialises` allows shapes.
    pub fn new(
        encoder: Encoder,
        template: Template,
        policy: SpecialInText,
        specialises: bool,
    ) -> Self {
        let (shapes, paths) = (RwLock::default(), Paths::default());
        Self { encoder, template, policy, specialises, shapes, paths }
    }

    /// The tokenizer.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// How many chats went which way.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Appends the tokens of a chat to `out`, trained ones with [`TRAINED`]; says whether a
    /// content held the text of a special token.
    ///
    /// # Errors
    /// [`Error::Data`] where a shape and the template disagree or the tokenizer refuses a text;
    /// inside, why this chat alone became nothing.
    pub fn encode(
        &self,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<std::result::Result<bool, Drop>> {
        if turns.is_empty() {
            return Ok(Err(dropped("template", "expected at least one turn, got none")));
        }
        let has_special = turns.iter().any(|turn| self.holds_special(turn.content));
        if has_special && self.policy == SpecialInText::Reject {
            let detail = "a content holds the text of a special token of the tokenizer";
            return Ok(Err(dropped("special-in-text", detail)));
        }
        let text = if has_special && self.policy == SpecialInText::Text {
            return self.encode_guarded(turns, scratch, out);
        } else {
            self.text(turns, scratch)?
        };
        match text {
            Ok(text) => {
                self.encode_text(&text, None, scratch, out)?;
                Ok(Ok(has_special))
            }
            Err(drop) => Ok(Err(drop)),
        }
    }

    /// A chat that holds texts of special tokens: a noncharacter takes the place of their first
    /// character until the special tokens of the template are found.
    fn encode_guarded(
        &self,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<std::result::Result<bool, Drop>> {
        let mut guards = GUARDS.filter_map(char::from_u32);
        let guard = guards.find(|&guard| turns.iter().all(|turn| !turn.content.contains(guard)));
        let (Some(guard), Some(first)) = (guard, self.first_of_specials()) else {
            let detail = "special tokens of several first characters, or all noncharacters used";
            return Ok(Err(dropped("special-in-text", detail)));
        };
        let contents: Vec<String> = turns
            .iter()
            .map(|turn| {
                let mut content = turn.content.to_owned();
                for (special, _) in self.encoder.specials() {
                    let hidden = format!("{guard}{}", &special[first.len_utf8()..]);
                    content = content.replace(special.as_str(), &hidden);
                }
                content
            })
            .collect();
        let turns: Vec<Said<'_>> = turns
            .iter()
            .zip(&contents)
            .map(|(turn, content)| Said { role: turn.role, content })
            .collect();
        match self.text(&turns, scratch)? {
            Ok(text) => {
                self.encode_text(&text, Some((guard, first)), scratch, out)?;
                Ok(Ok(true))
            }
            Err(drop) => Ok(Err(drop)),
        }
    }

    /// The character that all special tokens begin with.
    fn first_of_specials(&self) -> Option<char> {
        let mut firsts = self.encoder.specials().iter().filter_map(|(text, _)| text.chars().next());
        let first = firsts.next()?;
        firsts.all(|other| other == first).then_some(first)
    }

    fn holds_special(&self, content: &str) -> bool {
        self.encoder.find_special(content, 0).is_some()
    }

    fn text(
        &self,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
    ) -> Result<std::result::Result<Text, Drop>> {
        let Some(shape) = self.shape(turns, scratch)? else {
            self.paths.rendered.fetch_add(1, Ordering::Relaxed);
            return Ok(self.render(turns));
        };
        self.paths.filled.fetch_add(1, Ordering::Relaxed);
        let mut text =
            String::with_capacity(turns.iter().map(|turn| turn.content.len() + 64).sum());
        let mut trained = Vec::with_capacity(shape.answers.len());
        let mut answers = shape.answers.iter().peekable();
        for (turn, said) in turns.iter().enumerate() {
            let start = text.len();
            text.push_str(&shape.literals[turn]);
            text.push_str(shape.trims[turn].of(said.content));
            if let Some(span) = answers.next_if(|span| span.turn == turn) {
                trained.push(start + span.before..text.len() + span.after);
            }
        }
        text.push_str(&shape.literals[turns.len()]);
        // By its length, so that the same ones are proved at any number of threads.
        if text.len().is_multiple_of(PROOF_EVERY) {
            self.paths.proved.fetch_add(1, Ordering::Relaxed);
            self.prove(turns, &text)?;
        }
        Ok(Ok(Text { text, trained }))
    }

    /// The shape of a chat, where there is one that says all.
    fn shape(&self, turns: &[Said<'_>], scratch: &mut ChatScratch) -> Result<Option<Arc<Shape>>> {
        let blank = |turn: &Said<'_>| turn.content.chars().all(is_python_space);
        if !self.specialises
            || turns.iter().any(|turn| blank(turn) || self.template.looks_for(turn.content))
        {
            return Ok(None);
        }
        scratch.key.clear();
        for turn in turns {
            scratch.key.extend_from_slice(turn.role.as_bytes());
            scratch.key.push(0);
        }
        let shapes = self.shapes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(shape) = shapes.get(&scratch.key) {
            return Ok(shape.clone());
        }
        let is_full = shapes.len() >= MAX_SHAPES;
        drop(shapes);
        if is_full {
            return Ok(None);
        }
        let roles: Vec<&str> = turns.iter().map(|turn| turn.role).collect();
        let shape = Shape::of(&self.template, &roles).ok();
        if let Some(shape) = &shape {
            self.prove(turns, &shape.fill(turns))?;
        }
        let shape = shape.map(Arc::new);
        let mut shapes = self.shapes.write().unwrap_or_else(PoisonError::into_inner);
        Ok(shapes.entry(scratch.key.clone()).or_insert(shape).clone())
    }

    fn prove(&self, turns: &[Said<'_>], filled: &str) -> Result<()> {
        if self.template.render(turns, false).is_ok_and(|text| text == filled) {
            return Ok(());
        }
        let roles: Vec<&str> = turns.iter().map(|turn| turn.role).collect();
        Err(Error::Data(format!(
            "the chat template treats some contents of turns {} in another way than the rest; \
             pass --template-path render, which renders each record",
            roles.join(", ")
        )))
    }

    /// A chat as the template renders it, and where its answers are.
    fn render(&self, turns: &[Said<'_>]) -> std::result::Result<Text, Drop> {
        let raised =
            |text: String| dropped("template", format!("the chat template raised: {text}"));
        let text = self.template.render(turns, false).map_err(raised)?;
        let mut trained = Vec::new();
        for (turn, _) in turns.iter().enumerate().filter(|(_, turn)| turn.role == "assistant") {
            let opening = self.template.render(&turns[..turn], true).map_err(raised)?;
            let closing = match turn + 1 == turns.len() {
                true => text.len(),
                false => {
                    let closing = self.template.render(&turns[..=turn], false).map_err(raised)?;
                    if !text.starts_with(&closing) {
                        let detail = format!(
                            "turn {} is rendered differently where others follow, so its tokens \
                             cannot be told from theirs",
                            turn + 1
                        );
                        return Err(dropped("mask", detail));
                    }
                    closing.len()
                }
            };
            trained.push(common(&opening, &text)..closing);
        }
        Ok(Text { text, trained })
    }

    /// Encodes text between special tokens piece by piece, and marks what is trained on.
    fn encode_text(
        &self,
        text: &Text,
        guard: Option<(char, char)>,
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let Text { text, trained } = text;
        let mut start = 0;
        while start < text.len() {
            let found = self.encoder.find_special(text, start);
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
        guard: Option<(char, char)>,
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let ChatScratch { encoder: inner, piece: ids, opening, .. } = scratch;
        let mut encode = |range: Range<usize>, ids: &mut Vec<u32>| {
            ids.clear();
            match guard {
                None => self.encoder.encode(&text[range], piece.start, false, inner, ids),
                Some((guard, first)) => {
                    let shown = text[range].replace(guard, first.encode_utf8(&mut [0; 4]));
                    self.encoder.encode(&shown, piece.start, false, inner, ids)
                }
            }
        };
        encode(piece.clone(), ids)?;
        for range in
            trained.iter().filter(|range| range.start < piece.end && range.end > piece.start)
        {
            // Tokens are trained on from where they part from those of the text up to there:
            // TRL's rule, which an answer that merges with the newline before it needs.
            let mut place = |at: usize, last: usize| -> Result<usize> {
                if at <= piece.start || at >= piece.end {
                    return Ok(if at <= piece.start { 0 } else { last });
                }
                encode(piece.start..at, opening)?;
                Ok(opening
                    .iter()
                    .zip(ids.iter())
                    .take_while(|(a, b)| **a == **b & !TRAINED)
                    .count())
            };
            let (from, to) = (place(range.start, ids.len())?, place(range.end, ids.len())?);
            ids[from.min(to)..to].iter_mut().for_each(|id| *id |= TRAINED);
        }
        out.extend_from_slice(ids);
        Ok(())
    }
}

fn dropped(reason: &'static str, detail: impl Into<String>) -> Drop {
    Drop { reason, detail: detail.into() }
}
