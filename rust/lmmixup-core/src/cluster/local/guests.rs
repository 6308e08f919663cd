//! Who is drawn to a cluster: records elsewhere that have a neighbour in it.

use super::table::Table;
use crate::cluster::fill::Neighbours;
use crate::cluster::partition::Partition;

/// For each record, who lists it as a neighbour.
pub struct Reverse {
    starts: Vec<usize>,
    records: Vec<u32>,
}

impl Reverse {
    /// Turns neighbour lists around. O(N · K).
    pub fn new(near: Neighbours<'_>, num_records: usize) -> Self {
        let mut starts = vec![0_usize; num_records + 1];
        for record in 0..num_records {
            near.of(record).for_each(|(neighbour, _)| starts[neighbour as usize + 1] += 1);
        }
        for record in 0..num_records {
            starts[record + 1] += starts[record];
        }
        let mut next = starts.clone();
        let mut records = vec![0_u32; starts[num_records]];
        for record in 0..num_records {
            for (neighbour, _) in near.of(record) {
                records[next[neighbour as usize]] = record as u32;
                next[neighbour as usize] += 1;
            }
        }
        Self { starts, records }
    }

    fn of(&self, record: u32) -> &[u32] {
        &self.records[self.starts[record as usize]..self.starts[record as usize + 1]]
    }
}

/// A record that has a neighbour in the cluster it is a guest of.
#[derive(Debug, Clone, Copy)]
pub struct Guest {
    /// Its own cluster.
    pub cluster: u32,
    /// The record.
    pub record: u32,
    /// Its x · S with the cluster it is a guest of.
    pub product: f32,
}

/// All guests of a cluster, ordered by their own cluster. O(size · K · log).
pub fn guests(
    partition: &Partition<'_>,
    reverse: &Reverse,
    table: &Table,
    cluster: u32,
) -> Vec<Guest> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for &member in partition.members(cluster as usize) {
        for &record in reverse.of(member) {
            let label = partition.labels[record as usize];
            if label >= 0 && label as u32 != cluster {
                found.push((label as u32, record));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    let product = |record| table.product(record, cluster);
    found
        .into_iter()
        .filter_map(|(cluster, record)| {
            product(record).map(|product| Guest { cluster, record, product })
        })
        .collect()
}

/// Those of one cluster among guests in order.
pub fn of_cluster(guests: &[Guest], cluster: u32) -> &[Guest] {
    let start = guests.partition_point(|guest| guest.cluster < cluster);
    let length = guests[start..].partition_point(|guest| guest.cluster == cluster);
    &guests[start..start + length]
}
