//! NFKC of texts most of which is composed already.

use unicode_normalization::UnicodeNormalization;

/// Bytes of ASCII that are looked at in one go.
const BLOCK: usize = 32;

/// Whether NFKC leaves a text as it is because all of its characters are inert.
pub(super) fn is_inert_text(text: &str) -> bool {
    inert_run(text, 0) == text.len()
}

/// Writes a text in NFKC. Runs of inert characters are copied and full-width ASCII between them
/// is folded here; other characters go to the `unicode-normalization` crate, with the inert one
/// before, which may compose with what follows.
pub(super) fn compose(text: &str, out: &mut String) {
    let (mut copied, mut at) = (0, 0);
    while at < text.len() {
        let run = inert_run(text, at);
        let Some(char) = char_at(text, run) else { break };
        if let Some(ascii) = full_width(char)
            && is_border(text, run + char.len_utf8())
        {
            out.push_str(&text[copied..run]);
            out.push(ascii);
            at = run + char.len_utf8();
        } else {
            let before = text[at..run].chars().next_back().map_or(0, char::len_utf8);
            let start = run - before;
            at = run;
            while let Some(char) = char_at(text, at).filter(|&char| !is_inert(char)) {
                at += char.len_utf8();
            }
            out.push_str(&text[copied..start]);
            out.extend(text[start..at].nfkc());
        }
        copied = at;
    }
    out.push_str(&text[copied..]);
}

/// Where the inert characters from a place on end.
fn inert_run(text: &str, from: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = from;
    loop {
        while let Some(block) = bytes[at..].first_chunk::<BLOCK>()
            && block.is_ascii()
        {
            at += BLOCK;
        }
        // What is not ASCII rarely stands alone.
        for _ in 0..BLOCK {
            match bytes.get(at..).and_then(<[u8]>::first_chunk) {
                // U+5000 to U+9FFF, most of Han.
                Some(&[0xE5..=0xE9, _, _]) => at += 3,
                _ => match char_at(text, at) {
                    Some(char) if is_inert(char) => at += char.len_utf8(),
                    _ => return at,
                },
            }
        }
    }
}

/// Whether what stands before a place is not changed by what follows.
fn is_border(text: &str, at: usize) -> bool {
    char_at(text, at).is_none_or(|char| is_inert(char) || full_width(char).is_some())
}

#[inline]
fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// Characters that NFKC leaves alone and that never compose with one before: ASCII, letters of
/// Latin-1, Cyrillic, dashes and quotes, kana, Han, Hangul.
#[inline]
fn is_inert(char: char) -> bool {
    char.is_ascii()
        || matches!(char,
            '\u{4e00}'..='\u{9fff}'
            | '\u{c0}'..='\u{ff}'
            | '\u{400}'..='\u{47f}'
            | '\u{2013}'..='\u{2014}'
            | '\u{2018}'..='\u{201e}'
            | '\u{2020}'..='\u{2022}'
            | '\u{3001}'..='\u{3007}'
            | '\u{3008}'..='\u{3011}'
            | '\u{3041}'..='\u{3096}'
            | '\u{30a1}'..='\u{30fe}'
            | '\u{ac00}'..='\u{d7a3}'
        )
}

/// The ASCII character of a full-width one.
#[inline]
fn full_width(char: char) -> Option<char> {
    match char {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(char) - 0xFEE0),
        '\u{3000}' => Some(' '),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use unicode_normalization::char::canonical_combining_class;
    use unicode_normalization::{IsNormalized, is_nfkc_quick};

    use super::*;

    #[test]
    fn inert_characters_are_borders_of_normalisation() {
        for char in ('\0'..=char::MAX).filter(|&char| is_inert(char)) {
            let quick = is_nfkc_quick(std::iter::once(char));
            assert!(quick == IsNormalized::Yes, "{char:?}");
            assert_eq!(canonical_combining_class(char), 0, "{char:?}");
        }
    }
}
