//! The most informative, least redundant content of some records, as it stands.
//!
//! Records that ask the same share one answer: the one that holds most of what all of them say
//! stays whole, and the others add the sentences that say something new. Different questions
//! become a numbered list. Nothing is rephrased.
//!
//! Words are compared by 64-bit XXH3 of their letters in lower case.

mod answer;
mod questions;
mod sentences;
mod words;

use std::borrow::Cow;

use rayon::prelude::*;

use crate::embed::{Texts, check_indptr};
use crate::threads::with_threads;
use crate::{Progress, Result};
use answer::Taking;

/// Bytes of UTF-8 that count as one token.
const BYTES_PER_TOKEN: i64 = 4;
/// Groups of records that one task takes from at a time.
const ROWS_A_TASK: usize = 32;

/// Why a record did not go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Left {
    /// It did go in.
    Not,
    /// It has no completion.
    NoCompletion,
    /// Not one sentence of it found room.
    OverLength,
}

/// What was taken of N groups of records, S records together.
#[derive(Debug, Default)]
pub struct Extracts {
    /// Questions of each group.
    pub prompts: Vec<String>,
    /// Answers of each group; empty where no record has one that fits.
    pub completions: Vec<String>,
    /// How many questions stand in each.
    pub num_questions: Vec<i64>,
    /// [`Left`] of each record.
    pub left: Vec<u8>,
    /// Sentences of each group that said nothing new.
    pub num_redundant: Vec<i64>,
    /// New ones too short to stand by themselves.
    pub num_fragments: Vec<i64>,
    /// Sentences that found no room.
    pub num_over: Vec<i64>,
}

/// Takes the best of groups of records within `max_output_tokens` a completion.
///
/// Group `i` has the records `indptr[i]..indptr[i + 1]`, the most central first. Linear in the
/// texts but for the choice among sentences, which is O(S log S); the same at any number of
/// threads.
///
/// # Errors
/// [`crate::Error::Argument`] where `indptr` does not cut the records into groups.
pub fn extract(
    prompts: Texts<'_>,
    completions: Texts<'_>,
    indptr: &[i64],
    max_output_tokens: i64,
    num_threads: usize,
    progress: &Progress,
) -> Result<Extracts> {
    let num_groups = indptr.len().saturating_sub(1);
    for texts in [prompts, completions] {
        check_indptr(indptr, num_groups, texts.len())?;
    }
    progress.start("extract", num_groups as u64);
    let rows: Vec<usize> = (0..num_groups).collect();
    let parts: Vec<Extracts> = with_threads(num_threads, || {
        rows.par_chunks(ROWS_A_TASK)
            .map(|rows| {
                progress.advance(rows.len() as u64)?;
                let mut part = Extracts::default();
                for &row in rows {
                    let records = indptr[row] as usize..indptr[row + 1] as usize;
                    let asked: Vec<&str> = records.clone().map(|at| prompts.get(at)).collect();
                    let told = records.map(|at| words::strip(completions.get(at))).collect();
                    part.add(&asked, told, max_output_tokens.saturating_mul(BYTES_PER_TOKEN));
                }
                Ok(part)
            })
            .collect()
    })?;
    let mut all = Extracts::default();
    for part in parts {
        all.prompts.extend(part.prompts);
        all.completions.extend(part.completions);
        all.num_questions.extend(part.num_questions);
        all.left.extend(part.left);
        all.num_redundant.extend(part.num_redundant);
        all.num_fragments.extend(part.num_fragments);
        all.num_over.extend(part.num_over);
    }
    Ok(all)
}

impl Extracts {
    /// Takes the best of one group within `room` bytes.
    fn add(&mut self, asked: &[&str], told: Vec<&str>, mut room: i64) {
        let groups = questions::groups(asked, &told);
        let frame = if groups.len() > 1 { numbered(groups.len(), "").len() as i64 + 2 } else { 0 };
        let mut taking = Taking::new(told);
        let mut answers: Vec<(&str, Cow<'_, str>)> = Vec::new();
        for places in groups {
            let Some(answer) = taking.answer(&places, room - frame) else { continue };
            room -= answer.len() as i64 + frame;
            let mut prompts = places.iter().map(|&place| words::strip(asked[place]));
            answers.push((prompts.find(|prompt| !prompt.is_empty()).unwrap_or(""), answer));
        }
        let (prompts, completions): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        self.num_questions.push(prompts.len() as i64);
        self.prompts.push(listed(&prompts));
        self.completions.push(listed(&completions));
        self.left.extend(taking.left.iter().map(|&left| left as u8));
        self.num_redundant.push(taking.num_redundant);
        self.num_fragments.push(taking.num_fragments);
        self.num_over.push(taking.num_over);
    }
}

/// One text as it is, several as a list; numbers in brackets, since texts hold lists too.
fn listed<T: AsRef<str>>(texts: &[T]) -> String {
    if let [text] = texts {
        return text.as_ref().to_owned();
    }
    let gap = if texts.iter().any(|text| text.as_ref().contains('\n')) { "\n\n" } else { "\n" };
    let items = (1..).zip(texts).map(|(number, text)| numbered(number, text.as_ref()));
    items.collect::<Vec<_>>().join(gap)
}

fn numbered(number: usize, text: &str) -> String {
    format!("({number}) {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::StringArray;

    fn of(records: &[(&str, &str)], max_output_tokens: i64) -> Result<Extracts> {
        let (asked, told): (Vec<&str>, Vec<&str>) = records.iter().copied().unzip();
        let (asked, told) = (StringArray::from(asked), StringArray::from(told));
        let (asked, told) = (Texts::Utf8(&asked), Texts::Utf8(&told));
        extract(asked, told, &[0, records.len() as i64], max_output_tokens, 1, &Progress::default())
    }

    #[test]
    fn one_question_keeps_the_fullest_answer_and_adds_news() -> Result<()> {
        let taken = of(
            &[
                ("Why is the sky blue?", "Because of the air."),
                ("why is the sky blue", "The air scatters blue light more than red.\nBecause!"),
                ("Why is the sky blue??", "Sunsets look orange near dust. Air scatters light."),
            ],
            200,
        )?;
        assert_eq!(taken.prompts, ["Why is the sky blue?"]);
        assert_eq!(
            taken.completions,
            [
                "The air scatters blue light more than red.\nBecause!\n\nSunsets look orange near dust."
            ]
        );
        assert_eq!(taken.num_redundant, [2]);
        Ok(())
    }

    #[test]
    fn says_why_a_record_did_not_go_in() -> Result<()> {
        let long = "w ".repeat(400);
        let taken = of(&[("A?", "x y z"), ("B?", "  "), ("C?", &long)], 20)?;
        assert_eq!(taken.completions, ["x y z"]);
        assert_eq!(taken.left, [0, 1, 2]);
        assert_eq!(taken.num_over, [1]);
        Ok(())
    }

    #[test]
    fn different_questions_are_numbered() -> Result<()> {
        let taken = of(&[("Capital of France?", "Paris."), ("Capital of Italy?", "Rome.")], 100)?;
        assert_eq!(taken.prompts, ["(1) Capital of France?\n(2) Capital of Italy?"]);
        assert_eq!(taken.completions, ["(1) Paris.\n(2) Rome."]);
        Ok(())
    }
}
