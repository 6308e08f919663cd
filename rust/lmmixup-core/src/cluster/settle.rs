//! Last places for records that `min_similarity` or `max_cluster_tokens` kept out of the fill.

use super::fill::Neighbours;
use super::partition::{FREE, Partition};
use crate::{Progress, Result};

/// Free records join, in order, the nearest neighbour's cluster that has room and that the limits
/// allow; where there is none they take a member from a cluster above the smallest size to make a
/// new pair (only where two records are enough). Repeats until nothing more fits; the partition
/// is refreshed afterwards. O(free · K · size · D) a pass.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn settle(
    partition: &mut Partition<'_>,
    near: Neighbours<'_>,
    progress: &Progress,
) -> Result<()> {
    if !partition.limits.restrict() {
        return Ok(());
    }
    loop {
        let free: Vec<u32> = (0..partition.labels.len() as u32)
            .filter(|record| partition.labels[*record as usize] == FREE)
            .collect();
        progress.start("settle leftovers", free.len() as u64);
        let mut placed = 0;
        for record in free {
            progress.advance(1)?;
            if partition.labels[record as usize] == FREE {
                placed += usize::from(place(partition, near, record));
            }
        }
        if placed == 0 {
            return Ok(());
        }
    }
}

fn place(partition: &mut Partition<'_>, near: Neighbours<'_>, record: u32) -> bool {
    let bounds = partition.limits.bounds;
    for (neighbour, _) in near.of(record as usize) {
        let label = partition.labels[neighbour as usize];
        if label >= 0
            && partition.size(label as usize) < bounds.max()
            && partition.may_join(record, label as usize)
        {
            partition.insert(label as usize, record);
            partition.refresh(label as usize);
            return true;
        }
    }
    if bounds.min() > 2 || bounds.max() < 2 {
        return false;
    }
    for (neighbour, similarity) in near.of(record as usize) {
        let label = partition.labels[neighbour as usize];
        if label == super::partition::BARRED || !partition.may_pair(record, neighbour, similarity) {
            continue;
        }
        if label >= 0 {
            if partition.size(label as usize) <= bounds.min() || !partition.may_leave(neighbour) {
                continue;
            }
            partition.remove(neighbour);
            partition.refresh(label as usize);
        }
        let cluster = partition.push(&[record, neighbour]);
        partition.refresh(cluster);
        return true;
    }
    false
}
