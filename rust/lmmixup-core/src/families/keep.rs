//! Which records of a family stay.

use std::cmp::Reverse;

use rayon::prelude::*;

use super::Families;
use crate::{Error, Progress, Result};

/// Families whose undecided classes are at least so many are compared by several threads.
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

/// How alike records are, as far as [`decide`] asks.
pub trait Likeness: Sync {
    /// One record made ready to be compared with many.
    type Loaded;

    /// Number of records.
    fn num_records(&self) -> usize;
    /// The first record that is the same to this measure.
    fn representative(&self, record: u32) -> u32;
    /// Length in bytes, and hashes of content and id, for [`KeepRule::key`].
    fn length_and_tie_break(&self, record: u32) -> (u32, (u64, u64));
    /// Whether two records have the same normalised text.
    fn same_text(&self, a: u32, b: u32) -> bool;
    /// Nothing loaded yet.
    fn unloaded(&self) -> Self::Loaded;
    /// Loads a record.
    fn load(&self, loaded: &mut Self::Loaded, record: u32);
    /// Similarity of `best`, which is loaded, and another; `None` where it is under `least`.
    fn similarity(
        &self,
        loaded: &mut Self::Loaded,
        best: u32,
        other: u32,
        least: Option<f64>,
    ) -> Option<f64>;
}

/// Records that are the same, the best first, and what became of them.
struct Class {
    members: Vec<u32>,
    outcome: Option<(u32, f64)>,
}

/// What became of one dropped record: record, partner, similarity.
type Loss = (u32, u32, f64);

/// Decides for every record whether it stays, given its component and how alike they are.
///
/// Runs in the caller's thread pool. Takes O(kept × dropped) comparisons in each family.
///
/// # Errors
/// [`Error::Argument`] where the priorities are not one a record; [`Error::Interrupted`].
pub fn decide<L: Likeness>(
    likeness: &L,
    (family, num_families): (Vec<u32>, usize),
    threshold: f64,
    rule: &KeepRule<'_>,
    progress: &Progress,
) -> Result<Families> {
    let num_records = likeness.num_records();
    rule.check(num_records)?;
    let (starts, members) = group(&family, num_families);
    progress.start("choose what stays", num_families as u64);
    let several: Vec<&[u32]> = starts
        .windows(2)
        .map(|ends| &members[ends[0] as usize..ends[1] as usize])
        .filter(|members| members.len() > 1)
        .collect();
    let least = (!rule.one).then_some(threshold);
    let judge = Judge { likeness, least, rule, progress };
    let losses: Vec<Vec<Loss>> = several
        .par_iter()
        .with_min_len(16)
        .map_init(|| likeness.unloaded(), |loaded, members| judge.family(members, loaded))
        .collect::<Result<_>>()?;
    let mut families = Families::all_kept(family, num_families);
    for (record, partner, similarity) in losses.into_iter().flatten() {
        let same_text = likeness.same_text(record, partner);
        families.drop(record, partner, similarity, same_text);
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

struct Judge<'a, L> {
    likeness: &'a L,
    least: Option<f64>,
    rule: &'a KeepRule<'a>,
    progress: &'a Progress,
}

impl<L: Likeness> Judge<'_, L> {
    fn family(&self, members: &[u32], loaded: &mut L::Loaded) -> Result<Vec<Loss>> {
        self.progress.advance(1)?;
        let mut classes = self.classes(members);
        let mut open: Vec<usize> = (1..classes.len()).collect();
        let mut keeper = 0;
        loop {
            let best = classes[keeper].members[0];
            self.likeness.load(loaded, best);
            let similarities = self.compare(best, &classes, &open, loaded)?;
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

    fn key(&self, record: u32) -> impl Ord + use<L> {
        let (length, tie_break) = self.likeness.length_and_tie_break(record);
        self.rule.key(record, length, tie_break)
    }

    fn classes(&self, members: &[u32]) -> Vec<Class> {
        let representative = |record: u32| self.likeness.representative(record);
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
        loaded: &mut L::Loaded,
    ) -> Result<Vec<Option<f64>>> {
        self.progress.advance(0)?;
        let against = |loaded: &mut L::Loaded, class: &usize| {
            let other = classes[*class].members[0];
            if (other as usize) < self.rule.num_frozen {
                return None;
            }
            self.likeness.similarity(loaded, best, other, self.least)
        };
        if open.len() < PARALLEL_FROM {
            return Ok(open.iter().map(|class| against(loaded, class)).collect());
        }
        let load = || {
            let mut own = self.likeness.unloaded();
            self.likeness.load(&mut own, best);
            own
        };
        Ok(open.par_iter().with_min_len(1024).map_init(load, against).collect())
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
