//! Near-duplicate families by an exact set-similarity join: recall 1, no false drop.
//!
//! Every pair of records with Jaccard ≥ t is found, as far as it decides which records are
//! connected. The steps:
//!
//! 1. identical sets collapse into one; a frequency sketch counts all shingles ([`sketch`]);
//! 2. each set, ordered rarest shingle first, gives its prefix to an inverted index: two sets
//!    at J ≥ t share a shingle of their prefixes (Chaudhuri, Ganti and Kaushik 2006; Bayardo,
//!    Ma and Srikant 2007). A shingle with frequency 1 matches nothing and is left out ([`prefix`]);
//! 3. pairs that meet in the index are connected already, or fail the length, the positional
//!    or the bitmap filter, or are compared exactly; those that reach t are connected
//!    ([`candidates`]).

mod candidates;
mod prefix;
mod sketch;

use crate::families::{Components, Families, KeepRule, Profile, SetLikeness, decide};
use crate::text::TextPool;
use crate::threads::with_threads;
use crate::{Error, Progress, Result};
use sketch::FrequencySketch;

/// What an earlier run already decided, for adding records to a pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct Earlier<'a> {
    /// Records with the same non-negative number start in one family; negative: alone.
    pub family: Option<&'a [i64]>,
    /// So many records at the start of the pool are known to be pairwise under the threshold.
    pub num_frozen: usize,
}

/// How much work a join was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JoinCounts {
    /// Distinct sets.
    pub num_sets: usize,
    /// Entries of the inverted index.
    pub num_entries: usize,
    /// Exact comparisons; depends on the threads, unlike the result.
    pub num_compared: usize,
}

/// The sets of the join, numbered by size: `rank` r is the r-th smallest distinct set.
struct Ranked<'a> {
    pool: &'a TextPool,
    profile: &'a Profile,
    threshold: f64,
    /// Record of each rank.
    record: Vec<u32>,
    /// Size of each rank, ascending.
    size: Vec<u32>,
    num_frozen: usize,
}

/// Families at Jaccard ≥ `threshold`, exactly, and which records stay.
///
/// The result does not depend on `num_threads`. Time is near linear in the tokens as long as
/// no rare shingle is shared by very many sets of unlike content.
///
/// # Errors
/// [`Error::Argument`] where the threshold is not in (0, 1] or an array has another length than
/// the pool; [`Error::Interrupted`].
pub fn near_families(
    pool: &TextPool,
    threshold: f64,
    rule: &KeepRule<'_>,
    earlier: &Earlier<'_>,
    num_threads: usize,
    progress: &Progress,
) -> Result<(Families, JoinCounts)> {
    check_threshold(threshold)?;
    with_threads(num_threads, || {
        let mut sketch = FrequencySketch::for_tokens(pool.num_units());
        let profile = Profile::of(pool, threshold, &mut sketch, progress)?;
        let (ranked, rank_of) = rank(pool, &profile, threshold, earlier.num_frozen);
        let mut counts = JoinCounts { num_sets: ranked.record.len(), ..JoinCounts::default() };
        let components = Components::new(ranked.record.len());
        connect_earlier(earlier, &components, |record| rank_of[record], pool.len())?;
        if threshold < 1.0 {
            let index = prefix::index(&ranked, &rank_of, sketch, progress)?;
            counts.num_entries = index.iter().map(Vec::len).sum();
            counts.num_compared = candidates::connect(&ranked, index, &components, progress)?;
        }
        let labels = components.labels(pool.len(), |record| rank_of[record]);
        drop((components, rank_of, ranked));
        let likeness = SetLikeness { pool, profile: &profile };
        Ok((decide(&likeness, labels, threshold, rule, progress)?, counts))
    })
}

/// Checks a similarity threshold.
pub(crate) fn check_threshold(threshold: f64) -> Result<()> {
    if threshold > 0.0 && threshold <= 1.0 {
        return Ok(());
    }
    Err(Error::Argument(format!(
        "the threshold must be above 0 and at most 1, got {threshold}; 0.7 is usual"
    )))
}

/// Orders the distinct sets by size. Returns them and the rank of every record's set.
fn rank<'a>(
    pool: &'a TextPool,
    profile: &'a Profile,
    threshold: f64,
    num_frozen: usize,
) -> (Ranked<'a>, Vec<u32>) {
    let records = (0..pool.len()).filter(|&record| profile.is_representative(record));
    let mut order: Vec<u64> =
        records.map(|record| u64::from(profile.size[record]) << 32 | record as u64).collect();
    order.sort_unstable();
    let record: Vec<u32> = order.iter().map(|&key| key as u32).collect();
    let size = order.iter().map(|&key| (key >> 32) as u32).collect();
    let mut own_rank = vec![0; pool.len()];
    for (rank, &record) in record.iter().enumerate() {
        own_rank[record as usize] = rank as u32;
    }
    let rank_of = profile.representative.iter().map(|&first| own_rank[first as usize]).collect();
    (Ranked { pool, profile, threshold, record, size, num_frozen }, rank_of)
}

/// Connects the records that were one family in an earlier run.
pub(crate) fn connect_earlier(
    earlier: &Earlier<'_>,
    components: &Components,
    node: impl Fn(usize) -> u32,
    num_records: usize,
) -> Result<()> {
    let Some(family) = earlier.family else { return Ok(()) };
    if family.len() != num_records {
        return Err(Error::Argument(format!(
            "expected {num_records} earlier families, one a record, got {}",
            family.len()
        )));
    }
    let mut first = std::collections::HashMap::new();
    for (record, &number) in family.iter().enumerate().filter(|(_, number)| **number >= 0) {
        let with = *first.entry(number).or_insert(record);
        components.unite(node(record), node(with));
    }
    Ok(())
}
