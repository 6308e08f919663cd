//! Tokens of some records, made on one thread: cut, counted, or dropped with a reason.

use std::sync::Arc;

use super::chat::{Chat, ChatScratch, Drop, TRAINED};
use super::lengths::Lengths;
use crate::embed::rows::Shelf;
use crate::pool::canonical::{Record, Sink};
use crate::template::Said;
use crate::{Error, Result};

/// What records become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most tokens of a record.
    pub max_row_tokens: u32,
    /// Cut a record that has more at its end; else it is dropped.
    pub truncate: bool,
}

/// Tokens of some records, made on one thread.
#[derive(Debug, Default)]
pub struct Encoded {
    pub(super) tokens: Vec<u32>,
    pub(super) records: Vec<std::result::Result<Length, Unused>>,
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

/// A record that became no tokens.
#[derive(Debug)]
pub(super) struct Unused {
    pub(super) drop: Drop,
    /// Its number of tokens, where that is why.
    pub(super) length: Option<u32>,
}

/// Counts over all records that were encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records by their number of tokens before truncation, those dropped for it included.
    pub lengths: Lengths,
    /// Records with more tokens than are kept: cut, or dropped for it.
    pub truncated: u64,
    /// Records of which a content held the text of a special token.
    pub special_in_text: u64,
    /// Tokens that are trained on.
    pub trained: u64,
}

impl Totals {
    pub(super) fn count(&mut self, length: Length) {
        self.lengths.count(length.whole);
        self.truncated += u64::from(length.kept < length.whole);
        self.special_in_text += u64::from(length.has_special);
        self.trained += u64::from(length.trained);
    }

    /// A record that was dropped, with its number of tokens if there were too many.
    pub(super) fn count_dropped(&mut self, length: Option<u32>) {
        if let Some(length) = length {
            self.lengths.count(length);
            self.truncated += 1;
        }
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
                self.records.push(Err(Unused { drop, length: None }));
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
    ) -> std::result::Result<Length, Unused> {
        let whole = u32::try_from(self.tokens.len() - start).unwrap_or(u32::MAX);
        let over = || format!("{whole} tokens, at most {} are kept", limits.max_row_tokens);
        let length = (whole > limits.max_row_tokens).then_some(whole);
        if length.is_some() {
            if !limits.truncate {
                return Err(Unused { drop: Drop { reason: "too-long", detail: over() }, length });
            }
            self.tokens.truncate(start + limits.max_row_tokens as usize);
        }
        let trained = self.tokens[start..].iter().filter(|&token| token & TRAINED != 0).count();
        if trained == 0 {
            let detail = match length.is_some() {
                true => {
                    format!("its answer begins after token {}: {}", limits.max_row_tokens, over())
                }
                false => "the template makes no token of an answer".to_owned(),
            };
            return Err(Unused { drop: Drop { reason: "no-answer", detail }, length });
        }
        let kept = whole.min(limits.max_row_tokens);
        Ok(Length { kept, whole, trained: trained as u32, has_special })
    }
}

/// What comes back after use: fresh memory costs a page fault every 4 KiB.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    pub(super) scratch: Shelf<ChatScratch>,
    pub(super) tokens: Shelf<Vec<u32>>,
}

/// Encodes a chunk of a pool file on the thread that parses it.
pub(super) struct TokenSink {
    chat: Arc<Chat>,
    limits: Limits,
    scratch: ChatScratch,
    shelves: Arc<Shelves>,
    texts: [String; 2],
    made: Encoded,
}

impl TokenSink {
    /// A sink for a chunk of so many bytes.
    pub(super) fn new(
        chat: &Arc<Chat>,
        limits: Limits,
        shelves: &Arc<Shelves>,
        num_bytes: usize,
    ) -> Self {
        let (scratch, mut tokens) = (shelves.scratch.take(), shelves.tokens.take());
        tokens.reserve(num_bytes / 4);
        let (texts, made) = (Default::default(), Encoded { tokens, ..Encoded::default() });
        Self { chat: Arc::clone(chat), limits, scratch, shelves: Arc::clone(shelves), texts, made }
    }
}

impl Sink for TokenSink {
    type Made = Encoded;

    fn push(&mut self, record: &Record<'_>) {
        let Self { chat, limits, scratch, texts, made, .. } = self;
        record.with_turns(texts, |turns| made.take(chat, *limits, turns, scratch));
    }

    fn finish(self) -> Result<Encoded> {
        self.shelves.scratch.give(self.scratch);
        Ok(self.made)
    }
}
