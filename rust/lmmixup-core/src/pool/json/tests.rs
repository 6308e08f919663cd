//! The scanner against texts that are, and nearly are, JSON.

use proptest::prelude::*;

use super::*;

fn whole(text: &str) -> Result<Vec<(String, Kind, String)>, Fault> {
    let mut members = Vec::new();
    let mut scanner = Scanner::new(text);
    scanner.object(|name, escapes, value| {
        let name = unescape(&Value { kind: Kind::String, text: name, escapes });
        let text = match value.kind {
            Kind::String => unescape(&value),
            _ => value.text.to_owned(),
        };
        members.push((name, value.kind, text));
    })?;
    scanner.end().map(|()| members)
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[test]
fn kinds() {
    let text = r#" {"a": null, "b":true,"c":-1,"d":1e2,"e":99999999999999999999,"f":[{}],"g":{"x":[]},"h":-0} "#;
    let kinds: Vec<Kind> = whole(text).into_iter().flatten().map(|(_, kind, _)| kind).collect();
    let float = Kind::Float;
    assert_eq!(
        kinds,
        [Kind::Null, Kind::Bool, Kind::Int, float, Kind::Wide, Kind::Array, Kind::Object, float]
    );
}

proptest! {
    #[test]
    fn strings_come_back(name in any::<String>(), text in any::<String>()) {
        let record = format!("{{{}:{}}}", quoted(&name), quoted(&text));
        prop_assert_eq!(whole(&record), Ok(vec![(name, Kind::String, text)]));
    }

    #[test]
    fn every_character_escaped(text in any::<String>()) {
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let record = format!("{{\"a\":\"{units}\"}}");
        prop_assert_eq!(whole(&record), Ok(vec![("a".to_owned(), Kind::String, text)]));
    }

    /// Judges as a parser that many use does, on texts that are nearly JSON.
    #[test]
    fn agrees_with_serde(text in "\\{(\"[ab\\\\nu0d]{0,6}\"|[\\[\\]{}:, ]|-?[0-9.eE+]{1,5}|null|true|fals|\n){0,14}\\}") {
        let theirs = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text);
        let ours = whole(&text);
        // Numbers outside f64 are text to us and an error to serde_json.
        if theirs.is_ok() || !text.contains(['e', 'E']) {
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        }
    }

    #[test]
    fn never_panics(text in any::<String>()) {
        let _ = whole(&format!("{{{text}"));
        let _ = Scanner::new(&text).value();
    }
}
