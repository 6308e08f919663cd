//! Tokens that are looked for in a text before it is cut into words: special tokens and others.

use std::collections::BTreeSet;

use memchr::memmem::Finder;
use serde_json::Value;
use tokenizers::pipeline::{PipelinePatternMatcher, PipelineTokenizer, normalize_all};

/// Looks for added tokens; where one may be is found much faster than which one it is.
pub struct Added {
    /// Special tokens with their ids, in the order of the file.
    pub specials: Vec<(String, u32)>,
    /// Ids of the special tokens, ascending.
    special_ids: Vec<u32>,
    /// Whether no two of those that are looked for in the text as it is can overlap or begin
    /// alike, and none has space at its ends or takes what is around it into account.
    pub are_apart: bool,
    /// Of tokens that are looked for before and after normalisation: all, and those not special.
    beginnings: [[Beginning; 2]; 2],
}

/// What all tokens of a set begin with.
enum Beginning {
    /// There is no token.
    Empty,
    /// Their longest common beginning; it may be nothing. In a box: a finder wants an alignment
    /// that objects of Python, which may hold an encoder, do not have.
    Common(Box<Finder<'static>>),
}

/// A place in a text where a token is, and its id.
pub type Found = ((usize, usize), u32);

impl Added {
    /// From `added_tokens` of a file.
    pub fn new(tokens: &[Value], inner: &PipelineTokenizer) -> Self {
        let specials: Vec<(String, u32)> = tokens.iter().filter_map(special).collect();
        let special_ids: BTreeSet<u32> = specials.iter().map(|(_, id)| *id).collect();
        let beginning = |normalized: bool, with_specials: bool| {
            let chosen = tokens.iter().filter(|token| {
                // Where a flag is left out, either may be meant.
                token["normalized"].as_bool().is_none_or(|is| is == normalized)
                    && (with_specials || token["special"] != true)
            });
            let contents: Vec<String> =
                chosen.filter_map(|token| form(token, normalized, inner)).collect();
            Beginning::of(&contents)
        };
        let beginnings = [false, true]
            .map(|normalized| [true, false].map(|specials| beginning(normalized, specials)));
        let are_apart = are_apart(tokens);
        Self { specials, special_ids: special_ids.into_iter().collect(), are_apart, beginnings }
    }

    /// The first added token in `text` from `start` on; `specials`: special ones too.
    pub fn next(
        &self,
        inner: &PipelineTokenizer,
        text: &str,
        start: usize,
        normalized: bool,
        specials: bool,
    ) -> Option<Found> {
        let beginning = &self.beginnings[usize::from(normalized)][usize::from(!specials)];
        if !beginning.is_in(&text.as_bytes()[start..]) {
            return None;
        }
        let vocabulary = inner.get_added_vocabulary();
        vocabulary.extract_next(text.as_bytes(), start, normalized, !specials)
    }

    /// The first special token in `text` from `start` on: where it is, where it ends, its id.
    pub fn next_special(
        &self,
        inner: &PipelineTokenizer,
        text: &str,
        mut start: usize,
    ) -> Option<(usize, usize, u32)> {
        if self.specials.is_empty() {
            return None;
        }
        loop {
            let ((at, end), id) = self.next(inner, text, start, false, true)?;
            if self.special_ids.binary_search(&id).is_ok() {
                return Some((at, end, id));
            }
            start = end;
        }
    }
}

impl Beginning {
    fn of(contents: &[String]) -> Self {
        let Some(first) = contents.first() else { return Self::Empty };
        let common = contents.iter().fold(first.len(), |most, content| {
            let pairs = first.bytes().zip(content.bytes()).take(most);
            pairs.take_while(|(a, b)| a == b).count()
        });
        Self::Common(Box::new(Finder::new(&first.as_bytes()[..common]).into_owned()))
    }

    fn is_in(&self, text: &[u8]) -> bool {
        match self {
            Self::Empty => false,
            Self::Common(common) => common.find(text).is_some(),
        }
    }
}

fn are_apart(tokens: &[Value]) -> bool {
    let raw = tokens.iter().filter(|token| token["normalized"] != true);
    let contents: Vec<&str> = raw.filter_map(|token| token["content"].as_str()).collect();
    let firsts: BTreeSet<u8> =
        contents.iter().filter_map(|content| content.bytes().next()).collect();
    let begins_inside = |content: &&str| content.bytes().skip(1).any(|byte| firsts.contains(&byte));
    let takes_more =
        |token: &Value| ["lstrip", "rstrip", "single_word"].iter().any(|flag| token[flag] == true);
    let mut sorted = contents.clone();
    sorted.sort_unstable();
    let begin_alike = sorted.windows(2).any(|pair| pair[1].starts_with(pair[0]));
    !begin_alike
        && !contents.iter().any(begins_inside)
        && contents.iter().all(|content| content.trim() == *content)
        && !tokens.iter().any(takes_more)
}

fn special(token: &Value) -> Option<(String, u32)> {
    let id = u32::try_from(token["id"].as_u64()?).ok()?;
    let content = token["content"].as_str().filter(|content| !content.is_empty())?;
    (token["special"] == true).then(|| (content.to_owned(), id))
}

/// What is looked for.
fn form(token: &Value, normalized: bool, inner: &PipelineTokenizer) -> Option<String> {
    let content = token["content"].as_str().filter(|content| !content.is_empty())?;
    if !normalized {
        return Some(content.to_owned());
    }
    // As the crate does it: as if it never opened the text. What it refuses, it has refused.
    let form = normalize_all(inner.get_normalizers(), content, 1);
    Some(form.map_or_else(|_| String::new(), std::borrow::Cow::into_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_tokens_that_may_overlap() {
        let tokens = |contents: &[&str]| -> Vec<Value> {
            contents.iter().map(|content| serde_json::json!({"content": content})).collect()
        };
        assert!(are_apart(&tokens(&["<|a|>", "<|b|>", "</s>"])));
        for joined in [&["<a>", "<a>b"][..], &["<a>", "b<"], &["<a>", "<a>"], &["<a> "]] {
            assert!(!are_apart(&tokens(joined)), "{joined:?}");
        }
        let strips = [serde_json::json!({"content": "<a>", "lstrip": true})];
        assert!(!are_apart(&strips));
    }

    #[test]
    fn knows_where_no_token_is() {
        let two = ["<|a|>", "<|b|>"].map(str::to_owned);
        assert!(Beginning::of(&two).is_in(b"x <| y"));
        assert!(!Beginning::of(&two).is_in(b"x < | y"));
        let strangers = ["<a>", "[b]"].map(str::to_owned);
        assert!(Beginning::of(&strangers).is_in(b"anything"));
        assert!(!Beginning::of(&[]).is_in(b"anything"));
    }
}
