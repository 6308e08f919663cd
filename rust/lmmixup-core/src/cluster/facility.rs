//! Facility location by lazy greedy: records that represent all others best.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::vectors::{Vectors, dot};
use crate::{Progress, Result};

/// Rows in the order in which greedy picks them: each adds the most to Σ_i max over picked j of
/// cos(i, j), with 0 for what nothing represents. At most `count` of them; ties by lower row.
///
/// Lazy: gains only fall, so a row is looked at again only when it tops the queue. At worst
/// O(count · N² · D), in practice a few looks a pick; O(N) memory.
///
/// # Errors
/// [`crate::Error::Interrupted`].
pub fn representatives(
    vectors: Vectors<'_>,
    count: usize,
    progress: &Progress,
) -> Result<Vec<u32>> {
    let mut covered = vec![0.0_f32; vectors.len()];
    let mut queue = BinaryHeap::with_capacity(vectors.len());
    for row in 0..vectors.len() as u32 {
        progress.advance(0)?;
        queue.push(Candidate { gain: gain(vectors, &covered, row), row, picks: 0 });
    }
    let mut picked = Vec::with_capacity(count.min(vectors.len()));
    while picked.len() < count {
        progress.advance(0)?;
        let Some(top) = queue.pop() else { break };
        if top.picks == picked.len() {
            let x = vectors.row(top.row as usize);
            for (other, covered) in covered.iter_mut().enumerate() {
                *covered = covered.max(dot(x, vectors.row(other)));
            }
            picked.push(top.row);
        } else {
            let gain = gain(vectors, &covered, top.row);
            queue.push(Candidate { gain, picks: picked.len(), ..top });
        }
    }
    Ok(picked)
}

fn gain(vectors: Vectors<'_>, covered: &[f32], row: u32) -> f64 {
    let x = vectors.row(row as usize);
    let more = |(other, covered): (usize, &f32)| {
        f64::from((dot(x, vectors.row(other)) - covered).max(0.0))
    };
    covered.iter().enumerate().map(more).sum()
}

struct Candidate {
    gain: f64,
    row: u32,
    /// How many were picked when the gain was computed.
    picks: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use super::super::vectors::normalise;
    use super::*;

    #[test]
    fn lazy_picks_what_plain_greedy_picks() {
        let (count, dim) = (40, 6);
        let mut data: Vec<f32> = (0..count * dim).map(|i| (i as f32 * 1.7).sin()).collect();
        data.chunks_exact_mut(dim).for_each(normalise);
        let vectors = Vectors::new(&data, dim).unwrap();
        let mut covered = vec![0.0_f32; count];
        let mut plain = Vec::new();
        for _ in 0..12 {
            let best = (0..count as u32)
                .filter(|row| !plain.contains(row))
                .max_by(|a, b| {
                    let of = |row: u32| gain(vectors, &covered, row);
                    of(*a).total_cmp(&of(*b)).then(b.cmp(a))
                })
                .unwrap();
            for (other, covered) in covered.iter_mut().enumerate() {
                *covered = covered.max(dot(vectors.row(best as usize), vectors.row(other)));
            }
            plain.push(best);
        }
        assert_eq!(representatives(vectors, 12, &Progress::default()).unwrap(), plain);
        assert_eq!(representatives(vectors, 99, &Progress::default()).unwrap().len(), count);
    }
}
