//! What a `tokenizer.json` says, in one form however it was written, to take a digest of.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use super::file::split;
use super::tables::{Vocabulary, read_merges, read_vocabulary};
use crate::{Error, Result};

/// No part of how a text becomes ids, and changed by `save_pretrained` of transformers.
const ASIDE: [&str; 2] = ["padding", "truncation"];

/// The text of a tokenizer: objects in the order of their keys, without [`ASIDE`].
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Data`] where it is no JSON object.
pub fn identity(path: &Path) -> Result<Vec<u8>> {
    let json = fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    of_json(&json).map_err(|error| {
        let path = path.display();
        Error::Data(format!("{path}: expected a JSON object, got: {error}"))
    })
}

fn of_json(json: &str) -> std::result::Result<Vec<u8>, String> {
    let (mut value, tables) = split(json)?;
    let Value::Object(parts) = &mut value else { return Err("another value".to_owned()) };
    parts.retain(|name, _| !ASIDE.contains(&name.as_str()));
    let mut out = Vec::with_capacity(json.len());
    out.extend_from_slice(sorted(value).to_string().as_bytes());
    if let Some(tables) = tables {
        write_vocabulary(&read_vocabulary(tables.vocabulary)?, &mut out);
        read_merges(tables.merges, |left, right| {
            for part in ["\n", left, "\0", right] {
                out.extend_from_slice(part.as_bytes());
            }
            Ok(())
        })?;
    }
    Ok(out)
}

/// Whether keys come sorted depends on what another crate asks of `serde_json`.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(parts) => {
            let mut parts: Vec<(String, Value)> =
                parts.into_iter().map(|(name, part)| (name, sorted(part))).collect();
            parts.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(parts.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(parts) => Value::Array(parts.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn write_vocabulary(known: &Vocabulary<'_>, out: &mut Vec<u8>) {
    // Ids come first: numbers are sorted faster than texts.
    let mut entries: Vec<(u32, &str)> = known.iter().map(|(token, &id)| (id, &**token)).collect();
    entries.sort_unstable();
    for (id, token) in entries {
        out.push(b'\n');
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(token.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_and_order_do_not_matter() {
        let one = r#"{"model": {"type": "BPE", "vocab": {"a": 0, "Ġ": 1}, "merges": [["a", "Ġ"]]},
            "padding": {}, "version": "1.0"}"#;
        let other = r#"{"version":"1.0","truncation":null,"model":{"merges":[["a","\u0120"]],
            "vocab":{"\u0120":1,"a":0},"type":"BPE"}}"#;
        let changed = other.replace("1,", "2,");
        assert_eq!(of_json(one), of_json(other));
        assert_ne!(of_json(one), of_json(&changed));
        assert!(of_json("[]").is_err() && of_json("{").is_err());
    }
}
