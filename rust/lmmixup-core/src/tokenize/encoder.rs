//! From a text to token ids, as Hugging Face `tokenizers` makes them.
//!
//! The `tokenizers` crate reads the file, normalises and cuts. Words of byte-level BPE come from a
//! table or are merged here; every other tokenizer takes the crate's own way to the end.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use rayon::prelude::*;
use tokenizers::pipeline::{
    Model, PipelineModelScratch, PipelineToken, PreTokenizer, PreTokenizerScratch, Span,
    normalize_all,
};

use super::added::Found;
use super::byte_level::WordScratch;
use super::file::TokenizerFile;
use super::nfc::{is_nfc, only_composes};
use crate::embed::Texts;
use crate::embed::rows::Shelf;
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Texts that one task encodes.
const ROWS_A_TASK: usize = 256;

/// A `tokenizer.json` that is ready to encode; shared by threads.
pub struct Encoder {
    file: TokenizerFile,
    /// Whether normalisation is NFC, or nothing.
    only_composes: bool,
}

/// What a thread keeps from text to text.
#[derive(Default)]
pub struct Scratch {
    words: Option<WordScratch>,
    model: Option<PipelineModelScratch>,
    pre: PreTokenizerScratch,
    spans: Vec<Span>,
    raw: Vec<PipelineToken>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Encoder").field("path", &self.path_name()).finish_non_exhaustive()
    }
}

impl Encoder {
    /// Reads a `tokenizer.json` of any version.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be read; [`Error::Data`] where it is none or has a component
    /// that is not known.
    pub fn open(path: &Path) -> Result<Self> {
        let json = fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        let wrong = |error: String| {
            Error::Data(format!(
                "{}: expected a tokenizer.json that tokenizers 1.0 reads, got: {error}",
                path.display()
            ))
        };
        let file = TokenizerFile::read(&json).map_err(wrong)?;
        let only_composes = only_composes(file.inner.get_normalizers());
        let encoder = Self { file, only_composes };
        // A pattern that the crate has no program for shows only when it is used.
        let mut ids = Vec::new();
        let probed = encoder.encode("a 1", 0, false, &mut Scratch::default(), &mut ids);
        probed.map_err(|error| wrong(error.to_string()))?;
        Ok(encoder)
    }

    /// Which way texts take: `words` (a table, and merging) or `tokenizers` (the crate's own).
    pub fn path_name(&self) -> &'static str {
        if self.file.bytes.is_some() { "words" } else { "tokenizers" }
    }

    /// Special tokens with their ids, in the order of the file.
    pub fn specials(&self) -> &[(String, u32)] {
        &self.file.added.specials
    }

    /// The first special token in `text` from `start` on: where it is, where it ends, its id.
    pub fn find_special(&self, text: &str, start: usize) -> Option<(usize, usize, u32)> {
        self.file.added.next_special(&self.file.inner, text, start)
    }

    /// Whether special tokens are found at the same places however a text is put together, as long
    /// as no part that holds one is cut inside it.
    pub fn keeps_specials_apart(&self) -> bool {
        self.file.added.are_apart
    }

    /// Appends the ids of a text to `out`, without special tokens around it.
    ///
    /// `specials`: text that is a special token becomes that token. `offset`: where the text
    /// starts in the whole that it is a part of, in bytes.
    ///
    /// # Errors
    /// [`Error::Data`] where the tokenizer refuses the text.
    pub fn encode(
        &self,
        text: &str,
        offset: usize,
        specials: bool,
        scratch: &mut Scratch,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let mut start = 0;
        while start < text.len() {
            let found = self.next_added(text, start, false, specials);
            let ((at, end), id) = found.unwrap_or(((text.len(), text.len()), 0));
            if at > start {
                let piece = &text[start..at];
                self.encode_between(piece, offset + start, specials, scratch, out)?;
            }
            if found.is_some() {
                out.push(id);
            }
            start = end;
        }
        Ok(())
    }

    /// The ids of many texts, one after another, and where each text's begin: `N + 1` offsets.
    ///
    /// # Errors
    /// As [`Encoder::encode`]; [`Error::Interrupted`].
    pub fn encode_batch(
        &self,
        texts: Texts<'_>,
        specials: bool,
        num_threads: usize,
        progress: &Progress,
    ) -> Result<(Vec<i32>, Vec<i64>)> {
        let shelf = Shelf::<Scratch>::default();
        let starts: Vec<usize> = (0..texts.len()).step_by(ROWS_A_TASK).collect();
        let encode = |&start: &usize| {
            let rows = start..texts.len().min(start + ROWS_A_TASK);
            progress.advance(rows.len() as u64)?;
            let mut scratch = shelf.take();
            let (mut ids, mut ends) = (Vec::new(), Vec::with_capacity(rows.len()));
            for row in rows {
                self.encode(texts.get(row), 0, specials, &mut scratch, &mut ids)?;
                ends.push(ids.len());
            }
            shelf.give(scratch);
            Ok((ids, ends))
        };
        let parts: Vec<(Vec<u32>, Vec<usize>)> =
            with_threads(num_threads, || starts.par_iter().map(encode).collect())?;
        let mut ids = Vec::with_capacity(parts.iter().map(|(ids, _)| ids.len()).sum());
        let mut offsets = Vec::with_capacity(texts.len() + 1);
        offsets.push(0);
        for (part, ends) in parts {
            let first = ids.len();
            offsets.extend(ends.iter().map(|end| (first + end) as i64));
            ids.extend(part.iter().map(|&id| id as i32));
        }
        Ok((ids, offsets))
    }

    fn next_added(
        &self,
        text: &str,
        start: usize,
        normalized: bool,
        specials: bool,
    ) -> Option<Found> {
        self.file.added.next(&self.file.inner, text, start, normalized, specials)
    }

    /// Text without added tokens that are looked for before normalisation.
    fn encode_between(
        &self,
        text: &str,
        offset: usize,
        specials: bool,
        scratch: &mut Scratch,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let text: Cow<'_, str> = match self.only_composes && is_nfc(text) {
            true => Cow::Borrowed(text),
            false => {
                normalize_all(self.file.inner.get_normalizers(), text, offset).map_err(refused)?
            }
        };
        let mut start = 0;
        while start < text.len() {
            let found = self.next_added(&text, start, true, specials);
            let ((at, end), id) = found.unwrap_or(((text.len(), text.len()), 0));
            if at > start {
                self.encode_plain(&text[start..at], scratch, out)?;
            }
            if found.is_some() {
                out.push(id);
            }
            start = end;
        }
        Ok(())
    }

    fn encode_plain(&self, text: &str, scratch: &mut Scratch, out: &mut Vec<u32>) -> Result<()> {
        if u32::try_from(text.len()).is_err() {
            return Err(Error::Data("expected at most 4 GiB of text in a record".into()));
        }
        let pre_tokenizer = self.file.inner.get_pre_tokenizer();
        scratch.spans.clear();
        pre_tokenizer.pre_tokenize(text, &mut scratch.pre, &mut scratch.spans).map_err(refused)?;
        let Scratch { words, model: held, spans, raw, .. } = scratch;
        if let Some(bytes) = &self.file.bytes {
            bytes.encode(text, spans, words.get_or_insert_default(), out);
            return Ok(());
        }
        let model = self.file.inner.get_model();
        raw.clear();
        let held = held.get_or_insert_with(|| model.init_scratch());
        model.tokenize_spans(text, spans, held, raw).map_err(refused)?;
        out.extend_from_slice(PipelineToken::cast_slice(raw));
        Ok(())
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Data(format!("the tokenizer refused a text: {error}"))
}
