//! A `tokenizer.json` as tokenizers 1.0 reads it: checked, in that version's form, bytes filled in.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use serde_json::value::RawValue;
use tokenizers::pipeline::{PipelineModel, PipelineTokenizer};

use super::cuts::Cuts;

/// Rules for digits that the crate reads wrongly, see [`check_digits`].
const DIGITS: [&str; 2] = [r"\p{N}+", r"\p{N}{1,2}"];

/// What a file says, ready to be used.
pub struct TokenizerFile {
    /// The tokenizer.
    pub inner: PipelineTokenizer,
    /// Special tokens with their ids, in the order of the file.
    pub specials: Vec<(String, u32)>,
    /// Whether there are tokens that are looked for before the text is cut into words.
    pub has_added: bool,
    /// Whether its words are those of a byte-level BPE.
    pub has_words: bool,
    /// Where long words may be cut, if that is known to change no id.
    pub cuts: Option<Cuts>,
    /// The first of the ids that stand for bytes which the vocabulary lacks.
    pub missing: Option<u32>,
}

/// The large parts of a BPE model as they stand in the file, which nobody but the crate parses.
struct Tables<'j> {
    vocabulary: &'j str,
    merges: &'j str,
}

impl TokenizerFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(json: &str) -> Result<Self, String> {
        let (mut value, tables) = split(json)?;
        check_kind(&value)?;
        check_digits(&value["pre_tokenizer"])?;
        let is_bytes = value["pre_tokenizer"].to_string().contains("\"ByteLevel\"");
        let added = value["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let (specials, has_added) = (specials(added), !added.is_empty());
        let first_free = added.iter().map(|token| after(token["id"].as_u64())).max().unwrap_or(0);
        let vocabulary = match (&tables, is_bytes) {
            (Some(tables), true) => Some(read_vocabulary(tables.vocabulary)?),
            _ => None,
        };
        let lacking = vocabulary.as_ref().and_then(|known| lacking_bytes(known, first_free));
        let cuts = vocabulary.as_ref().filter(|_| may_be_cut(&value["model"])).map(token_cuts);
        let canonical = match &tables {
            Some(tables) => join(&value, tables, lacking.as_ref().map(|(_, text)| text.as_str()))?,
            None => canonical(&std::mem::take(&mut value).to_string())?,
        };
        let inner = tokenizers::from_json(&canonical).map_err(|error| error.to_string())?;
        let has_words = matches!(inner.get_model(), PipelineModel::BPE(bpe) if bpe.is_byte_level());
        let missing = lacking.map(|(first, _)| first);
        Ok(Self { inner, specials, has_added, has_words, cuts, missing })
    }
}

fn canonical(json: &str) -> Result<String, String> {
    tokenizers::canonicalize_str(json).map_err(|error| error.to_string())
}

/// The file as a value, a BPE model's vocabulary and merges left out: parsing them three times
/// would take half the time of opening.
fn split(json: &str) -> Result<(Value, Option<Tables<'_>>), String> {
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
    // Merges of the older form, two words in one text, are the crate's to convert.
    let are_pairs = merges[1..].trim_start().starts_with(['[', ']']);
    if !is_bpe || !vocabulary.starts_with('{') || !are_pairs {
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

/// The canonical form with vocabulary and merges put back, and `more` entries in the vocabulary.
fn join(value: &Value, tables: &Tables<'_>, more: Option<&str>) -> Result<String, String> {
    const PLACES: [&str; 2] = ["\"vocab\": {}", "\"merges\": []"];
    let mut head = value.clone();
    head["model"]["vocab"] = Value::Object(serde_json::Map::new());
    head["model"]["merges"] = Value::Array(Vec::new());
    let head = canonical(&head.to_string())?;
    let mut vocabulary = tables.vocabulary.to_owned();
    if let Some(more) = more {
        vocabulary.truncate(vocabulary.len() - 1);
        vocabulary.push_str(more);
        vocabulary.push('}');
    }
    let filled = [format!("\"vocab\": {vocabulary}"), format!("\"merges\": {}", tables.merges)];
    let mut out = head;
    for (place, filled) in PLACES.iter().zip(filled) {
        let Some(at) = out.find(place) else {
            return Err(format!("a model without {place} in its canonical form"));
        };
        out.replace_range(at..at + place.len(), &filled);
    }
    Ok(out)
}

fn after(id: Option<u64>) -> u64 {
    id.map_or(0, |id| id + 1)
}

fn specials(added: &[Value]) -> Vec<(String, u32)> {
    let specials = added.iter().filter(|token| token["special"] == true).filter_map(|token| {
        let id = u32::try_from(token["id"].as_u64()?).ok()?;
        Some((token["content"].as_str()?.to_owned(), id))
    });
    specials.filter(|(content, _)| !content.is_empty()).collect()
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

fn read_vocabulary(json: &str) -> Result<HashMap<String, u64>, String> {
    serde_json::from_str(json).map_err(|error| format!("a vocabulary with {error}"))
}

/// Tokens for the bytes that a byte-level vocabulary lacks, as SmolLM2's does and which
/// tokenizers 1.0 refuses; their ids come after all others and are left out again.
fn lacking_bytes(known: &HashMap<String, u64>, first_free: u64) -> Option<(u32, String)> {
    let first = known.values().map(|&id| id + 1).max().unwrap_or(0).max(first_free);
    let lacking = byte_characters().map(String::from).filter(|byte| !known.contains_key(byte));
    let entries: Vec<String> =
        (first..).zip(lacking).map(|(id, byte)| format!("{}: {id}", Value::String(byte))).collect();
    let comma = if known.is_empty() { "" } else { "," };
    let first = u32::try_from(first).ok()?;
    (!entries.is_empty()).then(|| (first, format!("{comma}{}", entries.join(","))))
}

/// Whether tokens come of merges alone: not of a whole word's being in the vocabulary, and with
/// nothing put before or behind a word.
fn may_be_cut(model: &Value) -> bool {
    let is_blank = |name: &str| matches!(model[name].as_str(), None | Some(""));
    let affixes = ["continuing_subword_prefix", "end_of_word_suffix"];
    model["ignore_merges"] != true
        && model["dropout"].is_null()
        && affixes.into_iter().all(is_blank)
}

fn token_cuts(vocabulary: &HashMap<String, u64>) -> Cuts {
    let bytes: HashMap<char, u8> = byte_characters().zip(byte_order()).collect();
    let tokens: Vec<Vec<u8>> = vocabulary
        .keys()
        .filter_map(|token| token.chars().map(|shown| bytes.get(&shown).copied()).collect())
        .collect();
    Cuts::new(tokens.iter().map(Vec::as_slice))
}

fn is_shown(byte: u8) -> bool {
    matches!(byte, 33..=126 | 161..=172 | 174..=255)
}

/// The 256 bytes, those that are shown as they are before the others.
fn byte_order() -> impl Iterator<Item = u8> {
    let hidden = (0..=255).filter(|&byte| !is_shown(byte));
    (0..=255).filter(|&byte| is_shown(byte)).chain(hidden)
}

/// The characters that stand for them in byte-level vocabularies.
fn byte_characters() -> impl Iterator<Item = char> {
    let shown = (0..=255).filter(|&byte| is_shown(byte)).map(char::from);
    let hidden = (0..=255).filter(|&byte| !is_shown(byte)).count() as u32;
    shown.chain((256..256 + hidden).filter_map(char::from_u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_characters_of_gpt2() {
        let shown: HashMap<u8, char> = byte_order().zip(byte_characters()).collect();
        assert_eq!(shown.len(), 256);
        assert_eq!([shown[&b'a'], shown[&b' '], shown[&b'\n'], shown[&0xad]], ['a', 'Ġ', 'Ċ', 'Ń']);
    }

    #[test]
    fn lacking_bytes_come_after_all_ids() {
        let known = byte_characters().skip(1).map(String::from).zip(10..).collect();
        let found = lacking_bytes(&known, 300);
        assert_eq!(found, Some((300, ",\"!\": 300".to_owned())));
        assert_eq!(lacking_bytes(&known, 0).map(|(first, _)| first), Some(265));
        let all = byte_characters().map(String::from).zip(0..).collect();
        assert_eq!(lacking_bytes(&all, 0), None);
    }

    #[test]
    fn older_merges_are_left_to_the_crate() {
        let pairs = r#"{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "a"]]}}"#;
        assert!(split(pairs).is_ok_and(|(_, tables)| tables.is_some()));
        let words = pairs.replace(r#"["a", "a"]"#, r#""a a""#);
        assert!(split(&words).is_ok_and(|(_, tables)| tables.is_none()));
        assert!(split("{").is_err());
    }
}
