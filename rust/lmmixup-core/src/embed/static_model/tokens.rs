//! From a text to token ids: the `tokenizers` crate, with a memory for parts seen before
//! where the tokenizer is a byte-pair encoding over whole texts.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;

use serde_json::Value;
use tokenizers::pipeline::{
    EncodeOptions, Model, Override, PipelineModelScratch, PipelineToken, PipelineTokenizer,
};

use super::pieces::{Joins, SPACE};
use crate::{Error, Result};

/// Longest part that is remembered, in bytes.
const MAX_PIECE: usize = 32;
/// Parts that one thread remembers.
const MAX_PIECES: usize = 1 << 17;

/// What a thread keeps from text to text; `ids` is the answer for the last one.
#[derive(Default)]
pub struct Tokens {
    /// Token ids of the text that was encoded last.
    pub ids: Vec<u32>,
    raw: Vec<PipelineToken>,
    normalized: String,
    known: HashMap<Box<str>, Box<[u32]>, BuildHasherDefault<PieceHasher>>,
    scratch: Option<PipelineModelScratch>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokens").field("ids", &self.ids).finish_non_exhaustive()
    }
}

/// A `tokenizer.json`.
pub struct Tokenizer {
    inner: PipelineTokenizer,
    options: EncodeOptions,
    /// Where whole texts may be cut; `None` where the tokenizer has cuts of its own.
    joins: Option<Joins>,
    added: Vec<String>,
    unknown: Option<u32>,
    median_token_chars: usize,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("joins", &self.joins.is_some())
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json` of any version.
    pub fn open(path: &Path) -> Result<Self> {
        let wrong = |error: String| {
            Error::Data(format!("{}: expected a tokenizer.json: {error}", path.display()))
        };
        let json = fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
        let value: Value = serde_json::from_str(&json).map_err(|error| wrong(error.to_string()))?;
        let canonical =
            tokenizers::canonicalize_str(&json).map_err(|error| wrong(error.to_string()))?;
        let inner = tokenizers::from_json(&canonical).map_err(|error| wrong(error.to_string()))?;
        let options = EncodeOptions {
            truncation: Override::Off,
            padding: Override::Off,
            ..EncodeOptions::no_specials()
        };
        let vocabulary = vocabulary(&value["model"]["vocab"]);
        let added = added_tokens(&value);
        let joins =
            is_plain_bpe(&value, &vocabulary).then(|| Joins::of(vocabulary.iter().copied()));
        Ok(Self {
            inner,
            options,
            joins,
            unknown: unknown(&value["model"]),
            median_token_chars: median_chars(&vocabulary, &added),
            added,
        })
    }

    /// Id of the unknown token, where the model has one.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// Median length of a token of the vocabulary, in characters, rounded down.
    pub fn median_token_chars(&self) -> usize {
        self.median_token_chars
    }

    /// Writes the ids of `text`, without special tokens around it, to `tokens.ids`.
    pub fn encode(&self, text: &str, tokens: &mut Tokens) -> Result<()> {
        tokens.ids.clear();
        match &self.joins {
            Some(joins) if !self.added.iter().any(|added| text.contains(added.as_str())) => {
                self.encode_pieces(joins, text, tokens)
            }
            _ => self.encode_whole(text, tokens),
        }
    }

    fn encode_whole(&self, text: &str, tokens: &mut Tokens) -> Result<()> {
        tokens.raw.clear();
        self.inner.encode_into(text, &self.options, &mut tokens.raw).map_err(refused)?;
        tokens.ids.extend(tokens.raw.iter().map(|&token| u32::from(token)));
        Ok(())
    }

    fn encode_pieces(&self, joins: &Joins, text: &str, tokens: &mut Tokens) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let Tokens { ids, raw, normalized, known, scratch } = tokens;
        normalized.clear();
        normalized.push(SPACE);
        for (index, part) in text.split(' ').enumerate() {
            if index > 0 {
                normalized.push(SPACE);
            }
            normalized.push_str(part);
        }
        let model = self.inner.get_model();
        let scratch = scratch.get_or_insert_with(|| model.init_scratch());
        joins.cut(normalized, |piece| {
            if let Some(held) = known.get(piece) {
                ids.extend_from_slice(held);
                return Ok(());
            }
            raw.clear();
            model.tokenize_pipeline(piece, scratch, raw).map_err(refused)?;
            let start = ids.len();
            ids.extend(raw.iter().map(|&token| u32::from(token)));
            if piece.len() <= MAX_PIECE && known.len() < MAX_PIECES {
                known.insert(piece.into(), ids[start..].into());
            }
            Ok(())
        })
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Data(format!("the tokenizer refused a text: {error}"))
}

/// Tokens of a vocabulary, as the map of BPE or the list of pairs of Unigram.
fn vocabulary(vocab: &Value) -> Vec<&str> {
    match vocab {
        Value::Object(map) => map.keys().map(String::as_str).collect(),
        Value::Array(list) => list.iter().filter_map(|entry| entry[0].as_str()).collect(),
        _ => Vec::new(),
    }
}

fn added_tokens(tokenizer: &Value) -> Vec<String> {
    let list = tokenizer["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|token| token["content"].as_str().map(str::to_owned)).collect()
}

fn unknown(model: &Value) -> Option<u32> {
    let id = match model["unk_token"].as_str() {
        Some(token) => model["vocab"][token].as_u64(),
        None => model["unk_id"].as_u64(),
    };
    id.and_then(|id| u32::try_from(id).ok())
}

fn median_chars(vocabulary: &[&str], added: &[String]) -> usize {
    let mut lengths: Vec<usize> = vocabulary.iter().map(|token| token.chars().count()).collect();
    let extra = added.iter().filter(|token| !vocabulary.contains(&token.as_str()));
    lengths.extend(extra.map(|token| token.chars().count()));
    lengths.sort_unstable();
    match lengths.len() {
        0 => 1,
        odd if odd % 2 == 1 => lengths[odd / 2],
        even => (lengths[even / 2 - 1] + lengths[even / 2]) / 2,
    }
}

/// Whether a tokenizer is a byte-pair encoding over whole texts, spaces written as `▁` with
/// one more in front, and every byte in its vocabulary: the form of Llama 2. Only then do
/// the cuts of [`Joins`] hold.
fn is_plain_bpe(tokenizer: &Value, vocabulary: &[&str]) -> bool {
    let model = &tokenizer["model"];
    let steps = tokenizer["normalizer"]["normalizers"].as_array().map_or(&[][..], Vec::as_slice);
    let normalizes = matches!(steps, [prepend, replace]
        if prepend["type"] == "Prepend" && prepend["prepend"] == "▁"
            && replace["type"] == "Replace" && replace["pattern"]["String"] == " "
            && replace["content"] == "▁");
    let empty = |name: &str| model[name].as_str().is_none_or(str::is_empty);
    let plain = model["type"] == "BPE"
        && model["byte_fallback"] == true
        && model["ignore_merges"] != true
        && model["dropout"].is_null()
        && empty("continuing_subword_prefix")
        && empty("end_of_word_suffix");
    let bytes = (0..=255u32).all(|byte| !model["vocab"][format!("<0x{byte:02X}>")].is_null());
    normalizes && plain && bytes && tokenizer["pre_tokenizer"].is_null() && !vocabulary.is_empty()
}

/// XXH3 of the piece: keys come from texts, but a collision costs time only.
#[derive(Default)]
struct PieceHasher(u64);

impl Hasher for PieceHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxhash_rust::xxh3::xxh3_64(bytes);
    }

    // The end mark that `str` adds; pieces are hashed one at a time and need none.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
