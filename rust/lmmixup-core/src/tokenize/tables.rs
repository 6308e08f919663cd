//! The tables of a BPE model: its vocabulary and merges, read from the text of a `tokenizer.json`.
//!
//! They are 95 % of the file. Another parser has checked the text, so a look for the quotes is all
//! that is left to do.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use memchr::memchr2;
use xxhash_rust::xxh3::xxh3_64;

/// Ids of tokens as the file spells them.
pub type Vocabulary<'j> = HashMap<Cow<'j, str>, u32, BuildHasherDefault<Hashed>>;

/// A hash for keys that are hashed as a whole.
#[derive(Default)]
pub struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= xxh3_64(bytes);
    }

    /// A text ends with this.
    fn write_u8(&mut self, _: u8) {}

    /// Bytes begin with their length.
    fn write_usize(&mut self, length: usize) {
        self.0 ^= length as u64;
    }
}

/// The string that begins at the next quote: what stands before it, itself, what comes after.
fn next_string(json: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (before, rest) = json.split_once('"')?;
    let mut end = memchr2(b'"', b'\\', rest.as_bytes())?;
    if rest.as_bytes()[end] == b'"' {
        return Some((before, Cow::Borrowed(&rest[..end]), &rest[end + 1..]));
    }
    while rest.as_bytes()[end] == b'\\' {
        end += 2 + memchr2(b'"', b'\\', rest.as_bytes().get(end + 2..)?)?;
    }
    let quoted = &json[before.len()..before.len() + end + 2];
    Some((before, Cow::Owned(serde_json::from_str(quoted).ok()?), &rest[end + 1..]))
}

/// Reads the object of a vocabulary.
///
/// # Errors
/// What is wrong with it.
pub fn read_vocabulary(json: &str) -> Result<Vocabulary<'_>, String> {
    let mut known = Vocabulary::with_capacity_and_hasher(json.len() / 20, Default::default());
    let mut rest = json;
    while let Some((_, token, after)) = next_string(rest) {
        let value = after.trim_start_matches([':', ' ', '\t', '\r', '\n']);
        let length = value.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
        let Ok(id) = value[..length].parse() else {
            return Err(format!("a vocabulary with another id than a number for {token:?}"));
        };
        known.insert(token, id);
        rest = &value[length..];
    }
    Ok(known)
}

/// Calls `see` for each pair of a list of merges, `[["a", "b"], …]` or `["a b", …]`.
///
/// # Errors
/// What is wrong with it, and what `see` says.
pub fn read_merges(
    json: &str,
    mut see: impl FnMut(&str, &str) -> Result<(), String>,
) -> Result<(), String> {
    let wrong = || "merges that are not pairs of tokens".to_owned();
    let opens = |before: &str| before.bytes().filter(|&byte| byte == b'[').count();
    let mut rest = &json[1..];
    while let Some((before, left, after)) = next_string(rest) {
        let (right, after) = match (opens(before), left.split_once(' ')) {
            (0, Some((left, right))) if !right.contains(' ') => {
                see(left, right)?;
                rest = after;
                continue;
            }
            (1, _) => match next_string(after) {
                Some((between, right, after)) if opens(between) == 0 => (right, after),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        see(&left, &right)?;
        rest = after;
    }
    Ok(())
}

fn is_shown(byte: u8) -> bool {
    matches!(byte, 33..=126 | 161..=172 | 174..=255)
}

/// The 256 bytes, those that are shown as they are before the others.
fn byte_order() -> impl Iterator<Item = u8> {
    let hidden = (0..=255).filter(|&byte| !is_shown(byte));
    (0..=255).filter(|&byte| is_shown(byte)).chain(hidden)
}

/// The 256 bytes with the characters that stand for them in byte-level vocabularies.
pub fn byte_characters() -> impl Iterator<Item = (u8, char)> {
    let shown = (0..=255).filter(|&byte| is_shown(byte)).map(char::from);
    let hidden = (0..=255).filter(|&byte| !is_shown(byte)).count() as u32;
    byte_order().zip(shown.chain((256..256 + hidden).filter_map(char::from_u32)))
}

/// Bytes by the character that stands for them.
pub struct Alphabet([Option<u8>; 324]);

impl Default for Alphabet {
    fn default() -> Self {
        let mut bytes = [None; 324];
        byte_characters().for_each(|(byte, shown)| bytes[shown as usize] = Some(byte));
        Self(bytes)
    }
}

impl Alphabet {
    /// Writes the bytes that a token stands for to `out`; false where it is no token of bytes.
    pub fn spell(&self, token: &str, out: &mut Vec<u8>) -> bool {
        out.clear();
        token.chars().all(|shown| {
            let byte = self.0.get(shown as usize).copied().flatten();
            out.extend(byte);
            byte.is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_characters_of_gpt2() {
        let shown: HashMap<u8, char> = byte_characters().collect();
        assert_eq!(shown.len(), 256);
        assert_eq!([shown[&b'a'], shown[&b' '], shown[&b'\n'], shown[&0xad]], ['a', 'Ġ', 'Ċ', 'Ń']);
        let mut bytes = Vec::new();
        assert!(Alphabet::default().spell("ĠaŃ", &mut bytes));
        assert_eq!(bytes, b" a\xad");
        assert!(!Alphabet::default().spell("我", &mut bytes));
    }

    #[test]
    fn reads_vocabularies() -> Result<(), String> {
        let known = read_vocabulary(r#"{"a\"b": 1, "\\":2,"\u0120c" : 30}"#)?;
        let expected = [("a\"b", 1), ("\\", 2), ("Ġc", 30)];
        assert_eq!(known.len(), 3);
        assert!(expected.iter().all(|(token, id)| known.get(*token) == Some(id)));
        assert!(read_vocabulary("{}")?.is_empty());
        assert!(read_vocabulary(r#"{"a": "b"}"#).is_err());
        Ok(())
    }

    #[test]
    fn reads_merges_of_both_forms() {
        let read = |json| {
            let mut found = Vec::new();
            read_merges(json, |left, right| {
                found.push(format!("{left}+{right}"));
                Ok(())
            })
            .map(|()| found)
        };
        assert_eq!(read(r#"[["a", "b c"], [ "\"","d"]]"#), Ok(vec!["a+b c".into(), "\"+d".into()]));
        assert_eq!(read(r#"["a b","c d"]"#), Ok(vec!["a+b".into(), "c+d".into()]));
        assert_eq!(read("[]"), Ok(vec![]));
        for wrong in [r#"[["a"], ["b", "c"]]"#, r#"["ab"]"#, r#"["a b c"]"#, r#"[[["a", "b"]]]"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
