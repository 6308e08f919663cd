//! Texts as sets of shingles: normalisation, tokens, n-grams, and a compact store of records.
//!
//! A record's text is its prompt followed by its completion, as two lines. Three steps make
//! a set of it, and each is exactly defined so that another program can rebuild it:
//!
//! 1. **Normalisation** ([`Normalization`]): nothing, Unicode lower-case (the same as
//!    Python's `str.lower`), or Unicode NFKC and then lower-case.
//! 2. **Tokens** ([`ShingleUnit`]): words are maximal runs of characters that are not white
//!    space (Unicode `White_Space` and U+001C to U+001F, as in Python's `str.split`).
//! 3. **Shingles**: every run of `n` consecutive tokens; a text of 1 to n − 1 tokens is one
//!    shingle, a text without tokens is the empty set. Two empty sets have J = 1.
//!
//! Tokens are told apart by 64-bit XXH3, shingles by a 64-bit rolling combination of their
//! tokens: a collision of 64-bit hashes is the only thing that can make a similarity wrong.

mod columns;
mod compose;
mod normalize;
mod numbered;
mod pool;
mod sets;
mod tokens;
mod vocabulary;

pub use columns::TextColumns;
pub use normalize::Normalizer;
pub use numbered::Numbered;
pub use pool::TextPool;
pub use sets::{Shingler, jaccard, overlap_needed, reaches};
pub use tokens::{Tokenizer, is_unspaced, is_white_space};
pub(crate) use vocabulary::{HashedMap, Identity};

use crate::{Error, Result};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShingleUnit {
    /// Maximal runs of characters that are not white space.
    Word,
    /// Characters (code points); a run of white space counts as one space, none at the ends.
    Char,
    /// Words, but every character of a script that is written without spaces (Han, kana,
    /// Thai, Lao, Khmer, Myanmar, …) is a token of its own. Equal to `Word` where there is none.
    Auto,
}

/// What is done to a text before it is cut into tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalization {
    /// Nothing.
    Raw,
    /// Unicode lower-case.
    Lower,
    /// Unicode compatibility composition (NFKC), then lower-case.
    Nfkc,
}

/// How texts become sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShingleOptions {
    /// What a token is.
    pub unit: ShingleUnit,
    /// Number of consecutive tokens in a shingle, 1 to 64.
    pub num_tokens: usize,
    /// What happens to the text before.
    pub normalization: Normalization,
}

impl ShingleOptions {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Argument`] where `num_tokens` is not in 1 to 64.
    pub fn check(self) -> Result<Self> {
        if (1..=64).contains(&self.num_tokens) {
            return Ok(self);
        }
        Err(Error::Argument(format!(
            "a shingle must have 1 to 64 tokens, got {}; 5 is usual",
            self.num_tokens
        )))
    }
}

impl Default for ShingleOptions {
    fn default() -> Self {
        Self { unit: ShingleUnit::Auto, num_tokens: 5, normalization: Normalization::Lower }
    }
}
