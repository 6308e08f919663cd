//! From a chat to token ids, each with a bit that says whether it is trained on.

mod guarded;
mod mask;
mod segments;
mod text;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use super::encoder::{Encoder, Scratch};
use crate::Result;
use crate::template::{Said, Template};
use text::Known;

/// Set in a token that is trained on.
pub const TRAINED: u32 = 1 << 31;

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
    shapes: RwLock<HashMap<Vec<u8>, Option<Arc<Known>>>>,
    paths: Paths,
}

/// What a thread keeps from chat to chat.
#[derive(Debug, Default)]
pub struct ChatScratch {
    encoder: Scratch,
    key: Vec<u8>,
    /// The shape of the chat before, by its key.
    last: Option<(Vec<u8>, Option<Arc<Known>>)>,
    text: String,
    piece: Vec<u32>,
    opening: Vec<u32>,
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
    /// [`Error::Data`](crate::Error::Data) where a shape and the template disagree or the tokenizer
    /// refuses a text; inside, why this chat alone became nothing.
    pub fn encode(
        &self,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<std::result::Result<bool, Drop>> {
        if turns.is_empty() {
            return Ok(Err(dropped("template", "expected at least one turn, got none")));
        }
        let known = self.shape(turns, scratch)?;
        if let Some(known) = &known
            && self.encode_segments(known, turns, scratch, out)?
        {
            return Ok(Ok(false));
        }
        let has_special = turns.iter().any(|turn| self.holds_special(turn.content));
        if has_special && self.policy == SpecialInText::Reject {
            let detail = "a content holds the text of a special token of the tokenizer";
            return Ok(Err(dropped("special-in-text", detail)));
        }
        if has_special && self.policy == SpecialInText::Text {
            return self.encode_guarded(turns, scratch, out);
        }
        match self.text(known.as_deref(), turns)? {
            Ok(text) => {
                self.encoder.encode_text(&text, None, scratch, out)?;
                Ok(Ok(has_special))
            }
            Err(drop) => Ok(Err(drop)),
        }
    }

    /// Encodes the contents of a chat between the literals of its shape, whose tokens are known;
    /// false where there is more to do.
    fn encode_segments(
        &self,
        known: &Known,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
        out: &mut Vec<u32>,
    ) -> Result<bool> {
        let Some(segments) = &known.segments else { return Ok(false) };
        if !segments.encode(&self.encoder, &known.shape, turns, scratch, out)? {
            return Ok(false);
        }
        if self.is_proved(known.shape.length(turns)) {
            self.prove(turns, &known.shape.fill(turns))?;
        }
        self.paths.filled.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    fn holds_special(&self, content: &str) -> bool {
        self.encoder.find_special(content, 0).is_some()
    }
}

fn dropped(reason: &'static str, detail: impl Into<String>) -> Drop {
    Drop { reason, detail: detail.into() }
}
