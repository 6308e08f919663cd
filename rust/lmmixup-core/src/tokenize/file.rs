//! A `tokenizer.json` as tokenizers 1.0 reads it: checked, in that version's form, bytes filled in.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokenizers::pipeline::{PipelineModel, PipelineTokenizer};

use super::added::Added;
use super::bpe::{Bpe, MAX_ID};
use super::byte_level::ByteLevel;
use super::cuts::Cuts;
use super::tables::{Alphabet, Vocabulary, byte_characters, read_vocabulary};

/// Rules for digits that the crate reads wrongly, see [`check_digits`].
const DIGITS: [&str; 2] = [r"\p{N}+", r"\p{N}{1,2}"];

/// What a file says, ready to be used.
pub struct TokenizerFile {
    /// The tokenizer; without most of its vocabulary where `bytes` has it.
    pub inner: PipelineTokenizer,
    /// Tokens that are looked for before the text is cut into words.
    pub added: Added,
    /// Its model, if that is a byte-level BPE.
    pub bytes: Option<ByteLevel>,
}

/// The large parts of a BPE model as they stand in the file.
pub struct Tables<'j> {
    /// An object.
    pub vocabulary: &'j str,
    /// A list.
    pub merges: &'j str,
}

impl TokenizerFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(json: &str) -> Result<Self, String> {
        let (value, tables) = split(json)?;
        check_kind(&value)?;
        check_digits(&value["pre_tokenizer"])?;
        if let Some(tables) = &tables
            && value["pre_tokenizer"].to_string().contains("\"ByteLevel\"")
            && is_plain(&value["model"])
            && let Some(file) = Self::of_bytes(&value, tables)?
        {
            return Ok(file);
        }
        // Merges of the older form, two words in one text, are the crate's to convert.
        let are_pairs =
            |tables: &&Tables<'_>| tables.merges[1..].trim_start().starts_with(['[', ']']);
        let canonical = match tables.as_ref().filter(are_pairs) {
            Some(tables) => join(&value, tables.vocabulary, tables.merges)?,
            None => canonical(json)?,
        };
        Self::open(&canonical, &value, None)
    }

    /// A byte-level BPE, of whose vocabulary the crate gets what it needs to open; `None` where it
    /// is none after all, or has too many ids.
    fn of_bytes(value: &Value, tables: &Tables<'_>) -> Result<Option<Self>, String> {
        let known = read_vocabulary(tables.vocabulary)?;
        let added = value["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let ids = added.iter().filter_map(|token| token["id"].as_u64());
        let last = known.values().map(|&id| u64::from(id)).chain(ids).max().unwrap_or(0);
        if last + 256 > u64::from(MAX_ID) {
            return Ok(None);
        }
        let (bytes, missing) = byte_tokens(&known, last as u32 + 1);
        let needed = needed_tokens(&bytes, added, &known);
        let canonical = join(value, &Value::Object(needed).to_string(), "[]")?;
        let whole = value["model"]["ignore_merges"] == true;
        let bpe = Bpe::new(bytes, &known, tables.merges, whole)?;
        let cuts = (!whole).then(|| token_cuts(&known));
        let file = Self::open(&canonical, value, Some(ByteLevel { bpe, cuts, missing }))?;
        let is_right =
            |model: &PipelineModel| matches!(model, PipelineModel::BPE(bpe) if bpe.is_byte_level());
        Ok(is_right(file.inner.get_model()).then_some(file))
    }

    fn open(canonical: &str, value: &Value, bytes: Option<ByteLevel>) -> Result<Self, String> {
        let inner = tokenizers::from_json(canonical).map_err(|error| error.to_string())?;
        let added = value["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let added = Added::new(added, &inner);
        Ok(Self { inner, added, bytes })
    }
}

fn canonical(json: &str) -> Result<String, String> {
    tokenizers::canonicalize_str(json).map_err(|error| error.to_string())
}

/// The file as a value, a BPE model's vocabulary and merges left out.
///
/// # Errors
/// Why it is no JSON.
pub fn split(json: &str) -> Result<(Value, Option<Tables<'_>>), String> {
    let whole = || serde_json::from_str(json).map_err(|error| error.to_string());
    let parts: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_str(json);
    let Ok(mut parts) = parts else { return Ok((whole()?, None)) };
    let model = parts.remove("model").map(|model| serde_json::from_str(model.get()));
    let Some(Ok(model)) = model else { return Ok((whole()?, None)) };
    let mut model: BTreeMap<String, &RawValue> = model;
    let is_bpe = model.get("type").is_some_and(|kind| kind.get() == "\"BPE\"");
    let (vocabulary, merges) = (model.remove("vocab"), model.remove("merges"));
    let (Some(vocabulary), Some(merges)) = (vocabulary, merges) else {
        return Ok((whole()?, None));
    };
    let (vocabulary, merges) = (vocabulary.get(), merges.get());
    if !is_bpe || !vocabulary.starts_with('{') || !merges.starts_with('[') {
        return Ok((whole()?, None));
    }
    let read = |parts: BTreeMap<String, &RawValue>| -> Result<Value, String> {
        let read = parts.into_iter().map(|(name, part)| {
            Ok((name, serde_json::from_str(part.get()).map_err(|error| error.to_string())?))
        });
        Ok(Value::Object(read.collect::<Result<_, String>>()?))
    };
    let mut value = read(parts)?;
    value["model"] = read(model)?;
    Ok((value, Some(Tables { vocabulary, merges })))
}

/// The canonical form with a vocabulary and merges put in.
fn join(value: &Value, vocabulary: &str, merges: &str) -> Result<String, String> {
    let mut head = value.clone();
    head["model"]["vocab"] = Value::Object(Map::new());
    head["model"]["merges"] = Value::Array(Vec::new());
    let mut out = canonical(&head.to_string())?;
    let places = [("\"vocab\": {}", vocabulary), ("\"merges\": []", merges)];
    for (place, filled) in places {
        let Some(at) = out.find(place) else {
            return Err(format!("a model without {place} in its canonical form"));
        };
        let name = place.split_once(": ").map_or(place, |(name, _)| name);
        out.replace_range(at..at + place.len(), &format!("{name}: {filled}"));
    }
    Ok(out)
}

/// Says what is wrong with a file that parses as JSON but is no tokenizer.
fn check_kind(value: &Value) -> Result<(), String> {
    if value["model"].is_null() {
        return Err("JSON without `model`; convert a slow tokenizer with transformers first".into());
    }
    match value["version"].as_str() {
        None | Some("1.0") => Ok(()),
        Some(other) => Err(format!("version {other}; only 1.0 is known")),
    }
}

/// tokenizers 1.0.0-rc.3 takes a GPT pattern with `\p{N}+` or `\p{N}{1,2}` for the one with
/// `\p{N}{1,3}`, and its ids would be wrong.
fn check_digits(pre_tokenizer: &Value) -> Result<(), String> {
    let text = pre_tokenizer.to_string();
    let found = DIGITS
        .iter()
        .find(|digits| text.contains(&format!(r"\\p{{L}}+|{}|", digits.replace('\\', r"\\"))));
    match found {
        Some(digits) => Err(format!("a split pattern with `{digits}`, which it cuts wrongly")),
        None => Ok(()),
    }
}

/// Whether tokens come of bytes and merges alone, with nothing put before or behind a word.
fn is_plain(model: &Value) -> bool {
    let is_blank = |name: &str| matches!(model[name].as_str(), None | Some(""));
    let affixes = ["continuing_subword_prefix", "end_of_word_suffix"];
    model["dropout"].as_f64().unwrap_or(0.0) == 0.0 && affixes.into_iter().all(is_blank)
}

/// The token of each byte. Bytes that a vocabulary lacks, as SmolLM2's does, get ids from
/// `free` on, which are left out of what is encoded; the first of these comes back too.
fn byte_tokens(known: &Vocabulary<'_>, free: u32) -> ([u32; 256], Option<u32>) {
    let mut ids = [0; 256];
    let mut next = free;
    for (byte, shown) in byte_characters() {
        ids[byte as usize] =
            known.get(shown.encode_utf8(&mut [0; 4]) as &str).copied().unwrap_or_else(|| {
                next += 1;
                next - 1
            });
    }
    (ids, (next > free).then_some(free))
}

/// What the crate wants to find in a vocabulary: all bytes, and added tokens with their ids.
fn needed_tokens(
    bytes: &[u32; 256],
    added: &[Value],
    known: &Vocabulary<'_>,
) -> Map<String, Value> {
    let mut needed: Map<String, Value> = byte_characters()
        .map(|(byte, shown)| (shown.to_string(), bytes[byte as usize].into()))
        .collect();
    for token in added {
        if let Some(content) = token["content"].as_str() {
            let id = known.get(content).map_or_else(|| token["id"].clone(), |&id| id.into());
            needed.insert(content.to_owned(), id);
        }
    }
    needed
}

fn token_cuts(known: &Vocabulary<'_>) -> Cuts {
    let alphabet = Alphabet::default();
    let mut cuts = Cuts::default();
    let mut bytes = Vec::new();
    for token in known.keys() {
        if alphabet.spell(token, &mut bytes) {
            cuts.learn(&bytes);
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lacking_bytes_come_after_all_ids() {
        let names: Vec<String> =
            byte_characters().skip(1).map(|(_, shown)| shown.to_string()).collect();
        let known: Vocabulary<'_> = names.into_iter().map(String::into).zip(10..).collect();
        let (bytes, missing) = byte_tokens(&known, 300);
        assert_eq!(missing, Some(300));
        assert_eq!([bytes[b'!' as usize], bytes[b'"' as usize]], [300, 10]);
        let all: Vocabulary<'_> =
            byte_characters().map(|(_, shown)| shown.to_string().into()).zip(0..).collect();
        assert_eq!(byte_tokens(&all, 300).1, None);
    }

    #[test]
    fn large_tables_are_left_unparsed() {
        let pairs = r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "a"]]}}"#;
        assert!(split(pairs).is_ok_and(|(_, tables)| tables.is_some()));
        let other = pairs.replace("BPE", "WordPiece");
        assert!(split(&other).is_ok_and(|(_, tables)| tables.is_none()));
        assert!(split("{").is_err());
    }
}
