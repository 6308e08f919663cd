//! What each record is to the clusters of its neighbours: x · S, kept up to date.

use rayon::prelude::*;

use crate::cluster::fill::Neighbours;
use crate::cluster::partition::Partition;
use crate::cluster::vectors::dot;
use crate::{Progress, Result};

/// Stands for "no record" and "no cluster".
pub const NOBODY: u32 = u32::MAX;
/// Records looked at between two looks at [`Progress`].
const CHUNK: usize = 512;

/// Rows of `(cluster, x · S of the cluster)` for each record: the other clusters in which it has
/// neighbours, strongest tie first; ends early with [`NOBODY`].
pub struct Table {
    width: usize,
    clusters: Vec<u32>,
    products: Vec<f32>,
    /// Round in which a row was last brought up to date.
    seen: Vec<u32>,
}

impl Table {
    /// Empty rows for neighbour lists of `width`.
    pub fn new(num_records: usize, width: usize) -> Self {
        Self {
            width,
            clusters: vec![NOBODY; num_records * width],
            products: vec![0.0; num_records * width],
            seen: vec![0; num_records],
        }
    }

    /// The row of a record.
    #[inline]
    pub fn row(&self, record: u32) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = record as usize * self.width..(record as usize + 1) * self.width;
        let products = self.products[range.clone()].iter().copied();
        self.clusters[range].iter().copied().zip(products).take_while(|(c, _)| *c != NOBODY)
    }

    /// Brings rows up to date with clusters that changed: `changed[c]` is the last round in which
    /// cluster c did. O(N · K), and D for each changed entry.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub fn update(
        &mut self,
        partition: &Partition<'_>,
        near: Neighbours<'_>,
        changed: &[u32],
        round: u32,
        progress: &Progress,
    ) -> Result<()> {
        let width = self.width;
        self.clusters
            .par_chunks_mut(CHUNK * width)
            .zip(self.products.par_chunks_mut(CHUNK * width))
            .zip(self.seen.par_chunks_mut(CHUNK))
            .enumerate()
            .try_for_each(|(chunk, ((clusters, products), seen))| {
                progress.advance(seen.len() as u64)?;
                let rows = clusters.chunks_mut(width).zip(products.chunks_mut(width));
                let mut old = Vec::with_capacity(width);
                for (offset, ((clusters, products), seen)) in rows.zip(seen).enumerate() {
                    let record = chunk * CHUNK + offset;
                    if is_stale(partition, near, changed, record, *seen) {
                        old.clear();
                        old.extend(clusters.iter().copied().zip(products.iter().copied()));
                        let known = |cluster: u32| match changed[cluster as usize] < *seen {
                            true => old.iter().find(|(c, _)| *c == cluster).map(|(_, p)| *p),
                            false => None,
                        };
                        fill_row(partition, near, record, known, clusters, products);
                        *seen = round;
                    }
                }
                Ok(())
            })
    }
}

/// Whether the home or a neighbour's cluster changed since the row was made.
fn is_stale(
    partition: &Partition<'_>,
    near: Neighbours<'_>,
    changed: &[u32],
    record: usize,
    seen: u32,
) -> bool {
    let is_new = |label: i32| label >= 0 && changed[label as usize] >= seen;
    let home = partition.labels[record];
    home >= 0
        && (is_new(home)
            || near.of(record).any(|(neighbour, _)| is_new(partition.labels[neighbour as usize])))
}

fn fill_row(
    partition: &Partition<'_>,
    near: Neighbours<'_>,
    record: usize,
    known: impl Fn(u32) -> Option<f32>,
    clusters: &mut [u32],
    products: &mut [f32],
) {
    let home = partition.labels[record];
    let mut length = 0;
    for (neighbour, _) in near.of(record) {
        let label = partition.labels[neighbour as usize];
        if label >= 0 && label != home && !clusters[..length].contains(&(label as u32)) {
            clusters[length] = label as u32;
            length += 1;
        }
    }
    clusters[length..].fill(NOBODY);
    let x = partition.vectors.row(record);
    for (cluster, product) in clusters[..length].iter().zip(products) {
        *product = known(*cluster).unwrap_or_else(|| dot(x, partition.sum(*cluster as usize)));
    }
}
