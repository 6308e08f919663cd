//! One answer out of several.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Left;
use super::sentences::{sentences, without_marker};
use super::words::{Set, different, strip};
use crate::text::{HashedMap, is_white_space};

/// Different words of a sentence that may stand by itself; fewer are a fragment.
const FEWEST_WORDS: usize = 4;

/// The answers of a group of records, and what was not taken of them.
pub struct Taking<'a> {
    texts: Vec<&'a str>,
    /// Of each record.
    pub left: Vec<Left>,
    pub num_redundant: i64,
    pub num_fragments: i64,
    pub num_over: i64,
}

impl<'a> Taking<'a> {
    /// Of texts without white space at their ends.
    pub fn new(texts: Vec<&'a str>) -> Self {
        let left = texts.iter().map(|text| match text.is_empty() {
            true => Left::NoCompletion,
            false => Left::Not,
        });
        Self { left: left.collect(), texts, num_redundant: 0, num_fragments: 0, num_over: 0 }
    }

    /// One answer within `room` bytes of the texts at some places, if there is one.
    pub fn answer(&mut self, places: &[usize], room: i64) -> Option<Cow<'a, str>> {
        let has_text = |&place: &usize| !self.texts[place].is_empty();
        let answering: Vec<usize> = places.iter().copied().filter(has_text).collect();
        let base = match answering[..] {
            [] => return None,
            [place] => place,
            _ => self.fullest(&answering),
        };
        let answer = self.beginning(base, room);
        if answer.is_empty() {
            answering.iter().for_each(|&place| self.left[place] = Left::OverLength);
            return None;
        }
        if answering.len() == 1 {
            return Some(Cow::Borrowed(answer));
        }
        let others = answering.into_iter().filter(|&place| place != base);
        let offered: Vec<&str> = others
            .flat_map(|place| sentences(self.texts[place]))
            .map(|sentence| without_marker(strip(sentence)))
            .collect();
        let gap = if answer.contains('\n') { "\n\n" } else { " " };
        let left = room - (answer.len() + gap.len()) as i64;
        let more = self.news(&offered, different(answer), left);
        if more.is_empty() {
            return Some(Cow::Borrowed(answer));
        }
        Some(Cow::Owned([answer, gap, &more.join(" ")].concat()))
    }

    /// The place with most of what all answers say: a word weighs as many as have it.
    fn fullest(&self, places: &[usize]) -> usize {
        let known: Vec<Set> = places.iter().map(|&place| different(self.texts[place])).collect();
        let mut shared = HashedMap::<u64>::default();
        known.iter().flatten().for_each(|&word| *shared.entry(word).or_default() += 1);
        let weight = |words: &Set| words.iter().map(|word| shared[word]).sum::<u64>();
        let best = (0..places.len()).max_by_key(|&at| (weight(&known[at]), Reverse(at)));
        places[best.unwrap_or_default()]
    }

    /// The text at a place, or its first sentences where there is no room for all.
    fn beginning(&mut self, place: usize, room: i64) -> &'a str {
        let text = self.texts[place];
        if text.len() as i64 <= room {
            return text;
        }
        let parts = sentences(text);
        let mut end = 0;
        let mut num_kept = 0;
        for part in &parts {
            if (end + part.len()) as i64 > room {
                break;
            }
            end += part.len();
            num_kept += 1;
        }
        self.num_over += (parts.len() - num_kept) as i64;
        text[..end].trim_end_matches(is_white_space)
    }

    /// Sentences that say something new, most new words first, in the order of the records.
    fn news<'t>(&mut self, offered: &[&'t str], mut known: Set, mut room: i64) -> Vec<&'t str> {
        let has: Vec<Set> = offered.iter().map(|sentence| different(sentence)).collect();
        let num_new = |at: usize, known: &Set| has[at].difference(known).count();
        // New words only become fewer, so a number that is out of date is never too small.
        let mut queue: BinaryHeap<(usize, Reverse<usize>)> =
            (0..has.len()).map(|at| (num_new(at, &known), Reverse(at))).collect();
        let mut kept: Vec<usize> = Vec::new();
        while let Some((claimed, Reverse(at))) = queue.pop() {
            let number = num_new(at, &known);
            let size = offered[at].len() as i64 + 1;
            if number == 0 || 2 * number < has[at].len() {
                self.num_redundant += 1;
            } else if claimed > number {
                queue.push((number, Reverse(at)));
            } else if has[at].len() < FEWEST_WORDS {
                self.num_fragments += 1;
            } else if size > room {
                self.num_over += 1;
            } else {
                kept.push(at);
                known.extend(&has[at]);
                room -= size;
            }
        }
        kept.sort_unstable();
        kept.into_iter().map(|at| offered[at]).collect()
    }
}
