//! Which records of a family stay.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::{Families, Profile};
use crate::text::{Shingler, TextPool, jaccard, overlap_needed};
use crate::{Error, Progress, Result};

/// Families whose undecided sets are at least so many are compared by several threads.
const PARALLEL_FROM: usize = 4096;

/// The order in which a family's records are taken, and how many may stay.
///
/// Records are ordered by priority, then by length or input position, then by a hash of
/// their content and one of their id: but for `longest: false`, the same at any input order.
#[derive(Debug, Clone, Copy)]
pub struct KeepRule<'a> {
    /// Lower comes first; one a record.
    pub priority: Option<&'a [i64]>,
    /// Longer texts (bytes) come first; otherwise earlier records do.
    pub longest: bool,
    /// Keep the first of a family only, however unlike it the others are.
    pub one: bool,
    /// So many records at the start of the pool are kept whatever they are.
    pub num_frozen: usize,
}

impl KeepRule<'_> {
    /// What a record is ordered by: its length in bytes and `tie_break`, hashes of its content
    /// and id, matter where the priority does not decide.
    pub fn key(&self, record: u32, length: u32, tie_break: (u64, u64)) -> impl Ord + use<> {
        let at = record as usize;
        let priority = self.priority.map_or(0, |priority| priority[at]);
        let longest = if self.longest { length } else { u32::MAX - record };
        (at >= self.num_frozen, priority, Reverse(longest), tie_break, record)
    }

    /// Checks that there is one priority a record.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is not.
    pub fn check(&self, num_records: usize) -> Result<()> {
        match self.priority {
            Some(priority) if priority.len() != num_records => Err(Error::Argument(format!(
                "expected {num_records} priorities, one a record, got {}",
                priority.len()
            ))),
            _ => Ok(()),
        }
    }
}

/// Records with the same set, the best first, and what became of them.
struct Class {
    members: Vec<u32>,
    outcome: Option<(u32, f64)>,
}

/// What became of one dropped record: record, partner, similarity.
type Loss = (u32, u32, f64);

/// Decides for every record whether it stays, given its component and all sets.
///
/// Runs in the caller's thread pool. Takes O(kept × dropped) comparisons in each family,
/// most of them by bitmap only.
///
/// # Errors
/// [`Error::Argument`] where the priorities are not one a record; [`Error::Interrupted`].
pub fn decide(
    pool: &TextPool,
    profile: &Profile,
    (family, num_families): (Vec<u32>, usize),
    threshold: f64,
    rule: &KeepRule<'_>,
    progress: &Progress,
) -> Result<Families> {
    let num_records = pool.len();
    rule.check(num_records)?;
    let (starts, members) = group(&family, num_families);
    progress.start("choose what stays", num_families as u64);
    let several: Vec<&[u32]> = starts
        .windows(2)
        .map(|ends| &members[ends[0] as usize..ends[1] as usize])
        .filter(|members| members.len() > 1)
        .collect();
    let judge = Judge { pool, profile, threshold, rule, progress };
    let shingler = || Shingler::new(pool.options().num_tokens);
    let losses: Vec<Vec<Loss>> = several
        .par_iter()
        .with_min_len(16)
        .map_init(shingler, |shingler, members| judge.family(members, shingler))
        .collect::<Result<_>>()?;
    let mut families = Families {
        family,
        kept: vec![true; num_records],
        partner: vec![-1; num_records],
        similarity: vec![f64::NAN; num_records],
        same_text: vec![false; num_records],
        num_families,
    };
    for (record, partner, similarity) in losses.into_iter().flatten() {
        let at = record as usize;
        families.kept[at] = false;
        families.partner[at] = partner as i32;
        families.similarity[at] = similarity;
        families.same_text[at] = pool.content(at) == pool.content(partner as usize);
    }
    Ok(families)
}

/// Records by family, as CSR.
fn group(family: &[u32], num_families: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; num_families + 1];
    for &number in family {
        starts[number as usize + 1] += 1;
    }
    for number in 0..num_families {
        starts[number + 1] += starts[number];
    }
    let mut next = starts.clone();
    let mut members = vec![0; family.len()];
    for (record, &number) in family.iter().enumerate() {
        let slot = &mut next[number as usize];
        members[*slot as usize] = record as u32;
        *slot += 1;
    }
    (starts, members)
}

struct Judge<'a> {
    pool: &'a TextPool,
    profile: &'a Profile,
    threshold: f64,
    rule: &'a KeepRule<'a>,
    progress: &'a Progress,
}

impl Judge<'_> {
    fn family(&self, members: &[u32], shingler: &mut Shingler) -> Result<Vec<Loss>> {
        self.progress.advance(1)?;
        let mut classes = self.classes(members);
        let mut open: Vec<usize> = (1..classes.len()).collect();
        let mut keeper = 0;
        loop {
            let best = classes[keeper].members[0];
            shingler.load(self.pool.units(best as usize));
            let similarities = self.compare(best, &classes, &open, shingler)?;
            for (&class, similarity) in open.iter().zip(&similarities) {
                classes[class].outcome = similarity.map(|similarity| (best, similarity));
            }
            open.retain(|&class| classes[class].outcome.is_none());
            if open.is_empty() {
                break;
            }
            keeper = open.remove(0);
        }
        Ok(self.losses(&classes))
    }

    fn key(&self, record: u32) -> impl Ord + use<> {
        let at = record as usize;
        self.rule.key(record, self.pool.length(at), self.pool.tie_break(at))
    }

    fn classes(&self, members: &[u32]) -> Vec<Class> {
        let representative = |record: u32| self.profile.representative[record as usize];
        let mut ordered = members.to_vec();
        ordered.sort_by_cached_key(|&record| (representative(record), self.key(record)));
        let mut classes: Vec<Class> = ordered
            .chunk_by(|&a, &b| representative(a) == representative(b))
            .map(|same| Class { members: same.to_vec(), outcome: None })
            .collect();
        classes.sort_by_cached_key(|class| self.key(class.members[0]));
        classes
    }

    /// Similarity of the loaded record to the best of each open class, where it drops it.
    fn compare(
        &self,
        best: u32,
        classes: &[Class],
        open: &[usize],
        shingler: &mut Shingler,
    ) -> Result<Vec<Option<f64>>> {
        self.progress.advance(0)?;
        let against = |shingler: &mut Shingler, class: &usize| {
            self.similarity(best, classes[*class].members[0], shingler)
        };
        if open.len() < PARALLEL_FROM {
            return Ok(open.iter().map(|class| against(shingler, class)).collect());
        }
        let load = || {
            let mut own = Shingler::new(self.pool.options().num_tokens);
            own.load(self.pool.units(best as usize));
            own
        };
        Ok(open.par_iter().with_min_len(1024).map_init(load, against).collect())
    }

    fn similarity(&self, best: u32, other: u32, shingler: &mut Shingler) -> Option<f64> {
        let (best, other) = (best as usize, other as usize);
        if other < self.rule.num_frozen {
            return None;
        }
        let (size_a, size_b) = (self.profile.size[best], self.profile.size[other]);
        let needed = if self.rule.one {
            0
        } else {
            overlap_needed(size_a as usize, size_b as usize, self.threshold)
        };
        if needed > size_a.min(size_b) as usize
            || self.profile.signatures.max_overlap(best, other, size_a, size_b) < needed
        {
            return None;
        }
        let overlap = shingler.overlap(self.pool.units(other), needed)?;
        Some(jaccard(overlap, size_a as usize, size_b as usize))
    }

    fn losses(&self, classes: &[Class]) -> Vec<Loss> {
        let mut losses = Vec::new();
        for class in classes {
            let (partner, similarity) = class.outcome.unwrap_or((class.members[0], 1.0));
            for &record in &class.members {
                if record != partner && record as usize >= self.rule.num_frozen {
                    losses.push((record, partner, similarity));
                }
            }
        }
        losses
    }
}
