//! Tokens of some records, made on one thread: cut, counted, or dropped with a reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::chat::{Chat, ChatScratch, Drop, TRAINED};
use crate::embed::rows::Shelf;
use crate::pool::canonical::{Record, Sink};
use crate::template::Said;
use crate::{Error, Result};

/// What records become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most tokens of a record.
    pub max_tokens: u32,
    /// Cut a record that has more at its end; else it is dropped.
    pub truncate: bool,
}

/// Tokens of some records, made on one thread.
#[derive(Debug, Default)]
pub struct Encoded {
    pub(super) tokens: Vec<u32>,
    pub(super) records: Vec<std::result::Result<Length, Drop>>,
    pub(super) failed: Option<Error>,
}

/// How many tokens a record has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub(super) kept: u32,
    whole: u32,
    trained: u32,
    has_special: bool,
}

/// Counts over all records that were encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records by their number of tokens, before truncation.
    pub lengths: BTreeMap<u32, u64>,
    /// Records that were cut.
    pub truncated: u64,
    /// Records of which a content held the text of a special token.
    pub special_in_text: u64,
    /// Tokens that are trained on.
    pub trained: u64,
}

impl Totals {
    pub(super) fn count(&mut self, length: Length) {
        *self.lengths.entry(length.whole).or_default() += 1;
        self.truncated += u64::from(length.kept < length.whole);
        self.special_in_text += u64::from(length.has_special);
        self.trained += u64::from(length.trained);
    }
}

impl Encoded {
    /// Encodes one more chat.
    pub(super) fn take(
        &mut self,
        chat: &Chat,
        limits: Limits,
        turns: &[Said<'_>],
        scratch: &mut ChatScratch,
    ) {
        if self.failed.is_some() {
            return;
        }
        let start = self.tokens.len();
        match chat.encode(turns, scratch, &mut self.tokens) {
            Err(error) => self.failed = Some(error),
            Ok(Err(drop)) => {
                self.tokens.truncate(start);
                self.records.push(Err(drop));
            }
            Ok(Ok(has_special)) => {
                let length = self.limit(start, limits, has_special);
                if length.is_err() {
                    self.tokens.truncate(start);
                }
                self.records.push(length);
            }
        }
    }

    fn limit(
        &mut self,
        start: usize,
        limits: Limits,
        has_special: bool,
    ) -> std::result::Result<Length, Drop> {
        let whole = u32::try_from(self.tokens.len() - start).unwrap_or(u32::MAX);
        let over = || format!("{whole} tokens, at most {} are kept", limits.max_tokens);
        if whole > limits.max_tokens {
            if !limits.truncate {
                return Err(Drop { reason: "too-long", detail: over() });
            }
            self.tokens.truncate(start + limits.max_tokens as usize);
        }
        let trained = self.tokens[start..].iter().filter(|&token| token & TRAINED != 0).count();
        if trained == 0 {
            let detail = match whole > limits.max_tokens {
                true => format!("its answer begins after token {}: {}", limits.max_tokens, over()),
                false => "the template makes no token of an answer".to_owned(),
            };
            return Err(Drop { reason: "no-answer", detail });
        }
        let kept = whole.min(limits.max_tokens);
        Ok(Length { kept, whole, trained: trained as u32, has_special })
    }
}

/// Encodes a chunk of a pool file on the thread that parses it.
pub(super) struct TokenSink {
    chat: Arc<Chat>,
    limits: Limits,
    scratch: ChatScratch,
    shelf: Arc<Shelf<ChatScratch>>,
    texts: [String; 2],
    made: Encoded,
}

impl TokenSink {
    /// A sink for a chunk of so many bytes.
    pub(super) fn new(
        chat: &Arc<Chat>,
        limits: Limits,
        shelf: &Arc<Shelf<ChatScratch>>,
        num_bytes: usize,
    ) -> Self {
        let (scratch, texts) = (shelf.take(), Default::default());
        let made = Encoded { tokens: Vec::with_capacity(num_bytes / 4), ..Encoded::default() };
        Self { chat: Arc::clone(chat), limits, scratch, shelf: Arc::clone(shelf), texts, made }
    }
}

impl Sink for TokenSink {
    type Made = Encoded;

    fn push(&mut self, record: &Record<'_>) {
        let [mut prompt, mut completion] = std::mem::take(&mut self.texts);
        {
            let texts = (record.prompt(&mut prompt), record.completion(&mut completion));
            record.with_turns(texts.0, texts.1, |turns| {
                self.made.take(&self.chat, self.limits, turns, &mut self.scratch);
            });
        }
        self.texts = [prompt, completion];
    }

    fn finish(self) -> Result<Encoded> {
        self.shelf.give(self.scratch);
        Ok(self.made)
    }
}
