//! Static embedding models: one vector a token, a text is the mean of its tokens.
//!
//! Reads what model2vec writes (`tokenizer.json` and a safetensors file with `embeddings`,
//! maybe `weights` and `mapping`) and what wordllama ships (`embedding.weight`).

mod pieces;
mod table;
mod tokens;

use std::path::Path;

use super::rows::{Shelf, fill_rows, normalize};
use super::texts::Texts;
use crate::{Error, Progress, Result};
use table::Table;
use tokens::{Tokenizer, Tokens};

/// How texts are cut before their tokens are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaticOptions {
    /// Tokens of a text that count; `None` takes all. With a limit the text is first cut to
    /// `max_text_tokens` × (median length of a token) characters, as model2vec does.
    pub max_text_tokens: Option<usize>,
    /// Leave out the unknown token, as model2vec does.
    pub drop_unknown: bool,
}

/// A table of token vectors and the tokenizer that goes with it.
#[derive(Debug)]
pub struct StaticModel {
    tokenizer: Tokenizer,
    table: Table,
    options: StaticOptions,
    shelf: Shelf<Tokens>,
}

impl StaticModel {
    /// Reads a model from its two files.
    ///
    /// # Errors
    /// [`Error::Io`] where a file cannot be read; [`Error::Data`] where one is not what it
    /// should be or holds a component that is not supported.
    pub fn open(tokenizer: &Path, weights: &Path, options: StaticOptions) -> Result<Self> {
        if options.max_text_tokens == Some(0) {
            return Err(Error::Argument("max_text_tokens must be at least 1, got 0".into()));
        }
        Ok(Self {
            tokenizer: Tokenizer::open(tokenizer)?,
            table: Table::open(weights)?,
            options,
            shelf: Shelf::default(),
        })
    }

    /// Dimensions of a vector.
    pub fn dim(&self) -> usize {
        self.table.dim()
    }

    /// One vector of length 1 for each text, row-major `(N, dim)`; zero where a text has no
    /// token. Linear in the bytes of the texts.
    ///
    /// # Errors
    /// [`Error::Data`] where `out` has not `N * dim` values or the tokenizer refuses a text;
    /// [`Error::Interrupted`].
    pub fn embed(
        &self,
        texts: Texts<'_>,
        out: &mut [f32],
        num_threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let dim = self.dim();
        if out.len() != texts.len() * dim {
            return Err(Error::Data(format!(
                "out must have {} × {dim} values, got {}",
                texts.len(),
                out.len()
            )));
        }
        fill_rows(out, dim, num_threads, progress, &self.shelf, |tokens, row, vector| {
            let ids = self.ids(texts.get(row), tokens)?;
            self.table.sum(ids, vector);
            normalize(vector);
            Ok(())
        })
    }

    /// The token ids of one text that its vector is made of.
    ///
    /// # Errors
    /// [`Error::Data`] where the tokenizer refuses the text.
    pub fn tokenize(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = Tokens::default();
        Ok(self.ids(text, &mut tokens)?.to_vec())
    }

    fn ids<'t>(&self, text: &str, tokens: &'t mut Tokens) -> Result<&'t [u32]> {
        let text = match self.options.max_text_tokens {
            Some(max) => first_chars(text, max.saturating_mul(self.tokenizer.median_token_chars())),
            None => text,
        };
        self.tokenizer.encode(text, tokens)?;
        tokens.ids.truncate(self.options.max_text_tokens.unwrap_or(usize::MAX));
        if let (true, Some(unknown)) = (self.options.drop_unknown, self.tokenizer.unknown()) {
            tokens.ids.retain(|&id| id != unknown);
        }
        Ok(&tokens.ids)
    }
}

fn first_chars(text: &str, count: usize) -> &str {
    // No text has more characters than bytes.
    if text.len() <= count {
        return text;
    }
    text.char_indices().nth(count).map_or(text, |(end, _)| &text[..end])
}
