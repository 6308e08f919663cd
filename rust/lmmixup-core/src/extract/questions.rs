//! Which records ask the same.

use super::words::in_order;
use crate::text::HashedMap;

/// Words from which an answer that comes twice answers one question that was asked in two ways.
const SAME_ANSWER_WORDS: usize = 8;

/// Places of records that ask the same, by their first; no prompt goes with the first one.
///
/// The same is the same words in the same order, or a long answer that is the same: prompts that
/// share nine tenths of their words often ask for another number, another star, or another thing
/// about the same text.
pub fn groups(asked: &[&str], told: &[&str]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let (mut by_prompt, mut by_answer) = (HashedMap::default(), HashedMap::default());
    let mut lower = String::new();
    for (place, (prompt, answer)) in asked.iter().zip(told).enumerate() {
        let (of_prompt, num_asked) = in_order(prompt, &mut lower);
        let (of_answer, num_told) = in_order(answer, &mut lower);
        let is_long = num_told >= SAME_ANSWER_WORDS;
        let known = by_prompt.get(&of_prompt).copied();
        let known = known.or_else(|| by_answer.get(&of_answer).copied().filter(|_| is_long));
        let known = known.or_else(|| (num_asked == 0 && !groups.is_empty()).then_some(0));
        let group = known.unwrap_or_else(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(place);
        by_prompt.entry(of_prompt).or_insert(group);
        by_answer.entry(of_answer).or_insert(group);
    }
    groups
}
