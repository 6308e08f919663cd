//! Near-duplicates that the objective has put into different clusters are brought together.
//!
//! Two clusters with the same content become two records with the same content. Among a record's
//! mates one near-duplicate is enough, which no mean says; so this comes last, as a price: the
//! objective may lose a little for each record that gets its near-duplicate.

use rayon::prelude::*;

use super::Sizes;
use super::chain::Chain;
use crate::cluster::fill::Neighbours;
use crate::cluster::partition::Partition;
use crate::cluster::quality::NEAR_DUPLICATE;
use crate::{Progress, Result};

/// Mean cosine to the mates, summed over records, that one more covered record is worth.
const WORTH: f64 = 0.5;
/// Passes over the records at most; later ones find next to nothing.
const PASSES: usize = 3;

/// Moves and swaps records that have a near-duplicate, but not in their own cluster, into the
/// cluster of one, or one to them. In order of the records, so deterministic; those that another
/// one's change uncovered wait for the next pass. O(N · K), and
/// size² · K² for each record that has none.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn cover(
    partition: &mut Partition<'_>,
    near: Neighbours<'_>,
    sizes: Sizes,
    progress: &Progress,
) -> Result<()> {
    for _ in 0..PASSES {
        progress.start("join near-duplicates", partition.labels.len() as u64);
        let mut changes = 0;
        for (turn, record) in uncovered(partition, near, progress)?.into_iter().enumerate() {
            if turn % 1024 == 0 {
                progress.advance(0)?;
            }
            if let Some(chain) = best(partition, near, sizes, record) {
                chain.change(partition);
                changes += 1;
            }
        }
        if changes == 0 {
            break;
        }
    }
    Ok(())
}

/// Records that have a near-duplicate, but none in their cluster, ascending.
fn uncovered(
    partition: &Partition<'_>,
    near: Neighbours<'_>,
    progress: &Progress,
) -> Result<Vec<u32>> {
    let records: Vec<u32> = (0..partition.labels.len() as u32).collect();
    let parts: Vec<Vec<u32>> = records
        .par_chunks(4096)
        .map(|records| {
            progress.advance(records.len() as u64)?;
            let lacks = |record: &u32| lacks_duplicate(partition, near, *record);
            Ok(records.iter().copied().filter(lacks).collect())
        })
        .collect::<Result<_>>()?;
    Ok(parts.concat())
}

/// Whether a clustered record has a near-duplicate, but none among its mates.
fn lacks_duplicate(partition: &Partition<'_>, near: Neighbours<'_>, record: u32) -> bool {
    let home = partition.labels[record as usize];
    let mut labels =
        duplicates(&near, record).map(|other| partition.labels[other as usize]).peekable();
    home >= 0 && labels.peek().is_some() && labels.all(|label| label != home)
}

/// The change that is worth most for a record that has no near-duplicate among its mates: it
/// comes to one, or one comes to it.
fn best(
    partition: &Partition<'_>,
    near: Neighbours<'_>,
    sizes: Sizes,
    record: u32,
) -> Option<Chain> {
    if !lacks_duplicate(partition, near, record) {
        return None;
    }
    let label = |other: u32| partition.labels[other as usize];
    let mut best = None;
    let mut most = 0.0;
    for other in duplicates(&near, record).filter(|other| label(*other) >= 0) {
        let both = [(record, other), (other, record)];
        for chain in both.into_iter().flat_map(|(one, to)| meetings(partition, sizes, one, to)) {
            let worth = chain.judge(partition) + WORTH * covered(partition, near, &chain) as f64;
            if worth > most && chain.may(partition) {
                (most, best) = (worth, Some(chain));
            }
        }
    }
    best
}

/// Chains that take a record into the cluster of another one: moving there, or swapping with one
/// of that one's mates.
fn meetings(
    partition: &Partition<'_>,
    sizes: Sizes,
    record: u32,
    other: u32,
) -> impl Iterator<Item = Chain> {
    let cluster = |record: u32| partition.labels[record as usize] as u32;
    let (home, target) = (cluster(record), cluster(other));
    let size = |cluster: u32| partition.size(cluster as usize);
    let may_move = sizes.allow(partition.limits.bounds, size(home), size(target));
    let mates = partition.members(target as usize).iter().filter(move |mate| **mate != other);
    let swaps = mates.map(move |mate| Chain::of(&[record, *mate], home));
    may_move.then(|| Chain::of(&[record], target)).into_iter().chain(swaps)
}

/// How many more records the chain covers than are covered now.
fn covered(partition: &Partition<'_>, near: Neighbours<'_>, chain: &Chain) -> i64 {
    chain
        .steps(partition)
        .map(|(cluster, leaves, comes)| {
            let now = partition.members(cluster).iter().copied();
            let then = now.clone().filter(|member| Some(*member) != leaves).chain(comes);
            count(near, then) - count(near, now)
        })
        .sum()
}

/// How many of these records have a near-duplicate among them.
fn count(near: Neighbours<'_>, members: impl Iterator<Item = u32> + Clone) -> i64 {
    let has_one =
        |member: &u32| duplicates(&near, *member).any(|o| members.clone().any(|m| m == o));
    members.clone().filter(has_one).count() as i64
}

fn duplicates(near: &Neighbours<'_>, record: u32) -> impl Iterator<Item = u32> {
    let close = near.of(record as usize).take_while(|(_, similarity)| *similarity > NEAR_DUPLICATE);
    close.map(|(other, _)| other)
}
