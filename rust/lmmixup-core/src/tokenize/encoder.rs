//! From a text to token ids, as Hugging Face `tokenizers` makes them.
//!
//! The `tokenizers` crate reads the file, normalises, cuts and merges. For byte-level BPE a table
//! of words stands in front of its model; every other tokenizer takes the crate's own way.

use std::borrow::Cow;
use std::fs;
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use tokenizers::pipeline::{
    Model, PipelineModelScratch, PipelinePatternMatcher, PipelineToken, PreTokenizer,
    PreTokenizerScratch, Span, normalize_all,
};

use super::file::TokenizerFile;
use super::words::{INLINE, Key, MAX_WORD, Words, key, make_room};
use crate::embed::Texts;
use crate::embed::rows::Shelf;
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Words that are looked up together, so that the table's memory comes while others are done.
const TOGETHER: usize = 128;
/// Texts that one task encodes.
const ROWS_A_TASK: usize = 256;

/// A `tokenizer.json` that is ready to encode; shared by threads.
pub struct Encoder {
    file: TokenizerFile,
    /// Ids of the special tokens, ascending.
    special_ids: Vec<u32>,
}

/// What a thread keeps from text to text.
#[derive(Default)]
pub struct Scratch {
    words: Option<Words>,
    model: Option<PipelineModelScratch>,
    pre: PreTokenizerScratch,
    spans: Vec<Span>,
    raw: Vec<PipelineToken>,
    keys: Vec<(Key, usize)>,
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
        let mut special_ids: Vec<u32> = file.specials.iter().map(|(_, id)| *id).collect();
        special_ids.sort_unstable();
        let encoder = Self { file, special_ids };
        // A pattern that the crate has no program for shows only when it is used.
        let mut ids = Vec::new();
        let probed = encoder.encode("a 1", 0, false, &mut Scratch::default(), &mut ids);
        probed.map_err(|error| wrong(error.to_string()))?;
        Ok(encoder)
    }

    /// Which way texts take: `words` (a table before the model) or `tokenizers` (the crate's own).
    pub fn path_name(&self) -> &'static str {
        if self.file.has_words { "words" } else { "tokenizers" }
    }

    /// Special tokens with their ids, in the order of the file.
    pub fn specials(&self) -> &[(String, u32)] {
        &self.file.specials
    }

    /// The first special token in `text` from `start` on: where it is, where it ends, its id.
    pub fn find_special(&self, text: &str, mut start: usize) -> Option<(usize, usize, u32)> {
        if self.file.specials.is_empty() {
            return None;
        }
        loop {
            let ((at, end), id) = self.next_added(text, start, false, true)?;
            if self.special_ids.binary_search(&id).is_ok() {
                return Some((at, end, id));
            }
            start = end;
        }
    }

    /// The text of some ids, special tokens included.
    ///
    /// # Errors
    /// [`Error::Data`] where an id is not known.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.file.inner.decode(ids, false).map_err(refused)
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
        if !self.file.has_added {
            return self.encode_between(text, offset, specials, scratch, out);
        }
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
    ) -> Option<((usize, usize), u32)> {
        let added = self.file.inner.get_added_vocabulary();
        added.extract_next(text.as_bytes(), start, normalized, !specials)
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
        let text: Cow<'_, str> =
            normalize_all(self.file.inner.get_normalizers(), text, offset).map_err(refused)?;
        if !self.file.has_added {
            return self.encode_plain(&text, scratch, out);
        }
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
        if self.file.has_words {
            let start = out.len();
            self.encode_words(text, scratch, out)?;
            self.drop_missing(start, out);
            return Ok(());
        }
        let Scratch { model: held, spans, raw, .. } = scratch;
        let model = self.file.inner.get_model();
        raw.clear();
        let held = held.get_or_insert_with(|| model.init_scratch());
        model.tokenize_spans(text, spans, held, raw).map_err(refused)?;
        out.extend_from_slice(PipelineToken::cast_slice(raw));
        Ok(())
    }

    /// A byte that the vocabulary lacks has no token, as in Hugging Face `tokenizers` 0.23.
    fn drop_missing(&self, start: usize, out: &mut Vec<u32>) {
        let Some(first) = self.file.missing else { return };
        let mut kept = start;
        for at in start..out.len() {
            if out[at] < first {
                out[kept] = out[at];
                kept += 1;
            }
        }
        out.truncate(kept);
    }

    fn encode_words(&self, text: &str, scratch: &mut Scratch, out: &mut Vec<u32>) -> Result<()> {
        let Scratch { words, model: held, spans, raw, keys, .. } = scratch;
        let model = self.file.inner.get_model();
        let held = held.get_or_insert_with(|| model.init_scratch());
        let words = words.get_or_insert_default();
        let bytes = text.as_bytes();
        let mut at = out.len();
        let mut write =
            |words: &mut Words, range: Range<usize>, (key, home): (Key, usize)| -> Result<()> {
                make_room(out, at, INLINE);
                let is_short = key != [0; 2];
                if let (true, Some(count)) = (is_short, words.write(key, home, out, at)) {
                    at += count;
                    return Ok(());
                }
                raw.clear();
                model.tokenize_pipeline(&text[range], held, raw).map_err(refused)?;
                let ids = PipelineToken::cast_slice(raw);
                make_room(out, at, ids.len());
                out[at..at + ids.len()].copy_from_slice(ids);
                at += ids.len();
                if is_short {
                    words.keep(key, home, ids);
                }
                Ok(())
            };
        for part in spans.chunks(TOGETHER) {
            keys.clear();
            keys.extend(part.iter().map(|span| {
                let key = key(bytes, span.start as usize, span.end as usize);
                (key, words.home(key))
            }));
            for (span, &found) in part.iter().zip(keys.iter()) {
                let (mut start, end) = (span.start as usize, span.end as usize);
                match &self.file.cuts {
                    Some(cuts) if end - start > MAX_WORD => {
                        while start < end {
                            let next = cuts.next(bytes, start, end);
                            let key = key(bytes, start, next);
                            write(words, start..next, (key, words.home(key)))?;
                            start = next;
                        }
                    }
                    _ => write(words, start..end, found)?,
                }
            }
        }
        out.truncate(at);
        Ok(())
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Data(format!("the tokenizer refused a text: {error}"))
}
