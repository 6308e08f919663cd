//! Where a text may be cut so that byte-pair encoding of the parts is that of the whole.
//!
//! A merge never makes a string that is not in the vocabulary. So between two characters
//! that no token has side by side no merge ever happens, and a cut there changes nothing.
//! Parts are short and come again and again: their tokens are worth keeping.

use std::collections::HashSet;

/// What stands for a space in SentencePiece-like vocabularies.
pub const SPACE: char = '▁';

/// ASCII and the space sign: the characters that most pairs are made of.
const COMMON: usize = 129;

/// Pairs of characters that some token has side by side.
#[derive(Debug)]
pub struct Joins {
    common: Box<[[bool; COMMON]; COMMON]>,
    others: HashSet<(char, char)>,
}

impl Joins {
    /// Collects the pairs of all tokens of a vocabulary.
    pub fn of<'a>(vocabulary: impl Iterator<Item = &'a str>) -> Self {
        let common = Box::new([[false; COMMON]; COMMON]);
        let mut joins = Self { common, others: HashSet::new() };
        for token in vocabulary {
            for (left, right) in token.chars().zip(token.chars().skip(1)) {
                match (common_index(left), common_index(right)) {
                    (Some(left), Some(right)) => joins.common[left][right] = true,
                    _ => _ = joins.others.insert((left, right)),
                }
            }
        }
        joins
    }

    /// Whether a token has `left` directly before `right`.
    #[inline]
    fn has(&self, left: char, right: char) -> bool {
        match (common_index(left), common_index(right)) {
            (Some(left), Some(right)) => self.common[left][right],
            _ => self.others.contains(&(left, right)),
        }
    }

    /// Calls `piece` with the parts of a (normalised) text, in order.
    pub fn cut<'t, E>(
        &self,
        text: &'t str,
        mut piece: impl FnMut(&'t str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut start = 0;
        let mut before: Option<char> = None;
        for (at, character) in text.char_indices() {
            if before.is_some_and(|before| !self.has(before, character)) {
                piece(&text[start..at])?;
                start = at;
            }
            before = Some(character);
        }
        if start < text.len() { piece(&text[start..]) } else { Ok(()) }
    }
}

#[inline]
fn common_index(character: char) -> Option<usize> {
    match character {
        SPACE => Some(COMMON - 1),
        ascii if ascii.is_ascii() => Some(ascii as usize),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(joins: &Joins, text: &str) -> Vec<String> {
        let mut parts = Vec::new();
        let done: Result<(), ()> = joins.cut(text, |part| {
            parts.push(part.to_owned());
            Ok(())
        });
        assert!(done.is_ok());
        parts
    }

    #[test]
    fn cuts_only_where_no_token_joins() {
        let joins = Joins::of(["▁a", "ab", "b", "▁", "né", ","].into_iter());
        assert_eq!(cut(&joins, "▁ab▁ab,né"), ["▁ab", "▁ab", ",", "né"]);
        assert_eq!(cut(&joins, "éé"), ["é", "é"]);
        assert_eq!(cut(&joins, ""), Vec::<String>::new());
    }
}
