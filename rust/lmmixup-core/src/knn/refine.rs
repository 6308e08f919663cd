//! Neighbours of neighbours: what the cells parted is found along the graph.
//!
//! A pass of NN-descent (Dong, Moses, Li: Efficient k-nearest neighbor graph construction for
//! generic similarity measures, WWW 2011) that reads the graph as it was before, so that its result
//! depends on no order.

use rayon::prelude::*;

use super::codes::Codes;
use super::pairs::BLOCK;
use super::topk::{Entry, merge};
use crate::{Progress, Result};

/// So many of a row's nearest are asked, and each names so many of its own.
const ASKED: usize = 24;

/// Offers each row the neighbours of its neighbours; keeps the best of all. `parts` has the
/// neighbours of [`BLOCK`] rows each, `k` a row, best first.
///
/// O(N · [`ASKED`]² · D) in 8-bit products, 4 · [`ASKED`] bytes a row.
pub(super) fn refine(
    parts: &mut [Vec<Entry>],
    k: usize,
    codes: &Codes,
    progress: &Progress,
) -> Result<()> {
    let width = ASKED.min(k);
    let named: Vec<u32> = parts
        .par_iter()
        .flat_map_iter(|part| part.chunks_exact(k).flat_map(|row| &row[..width]))
        .map(|entry| entry.index())
        .collect();
    let of = |row: u32| {
        let nearest = named[row as usize * width..][..width].iter().copied();
        nearest.take_while(|&other| other != Entry::LEAST.index())
    };
    progress.start("neighbours of neighbours", codes.len() as u64);
    parts.par_iter_mut().enumerate().try_for_each(|(at, part)| {
        let mut seen = Seen::new(1 + k + width * width);
        let (mut found, mut room) = (Vec::new(), Vec::new());
        for (here, best) in part.chunks_exact_mut(k).enumerate() {
            let row = (at * BLOCK + here) as u32;
            seen.clear();
            seen.insert(row);
            let known = best.iter().take_while(|&&entry| entry != Entry::LEAST);
            known.for_each(|entry| {
                seen.insert(entry.index());
            });
            found.clear();
            let floor = best[k - 1];
            for other in of(row) {
                for next in of(other) {
                    if seen.insert(next) {
                        let entry = Entry::new(codes.similarity(row, next), next);
                        if entry > floor {
                            found.push(entry);
                        }
                    }
                }
            }
            if !found.is_empty() {
                merge(best, &mut found, &mut room);
            }
        }
        progress.advance((part.len() / k) as u64)
    })
}

/// A small set of rows that is emptied often.
struct Seen {
    /// The turn in which a row was inserted, and the row.
    slots: Vec<(u32, u32)>,
    turn: u32,
}

impl Seen {
    fn new(most: usize) -> Self {
        Self { slots: vec![(0, 0); (2 * most).next_power_of_two()], turn: 1 }
    }

    fn clear(&mut self) {
        self.turn += 1;
    }

    /// Whether the row was not in the set.
    fn insert(&mut self, row: u32) -> bool {
        let mask = self.slots.len() - 1;
        let mut at = row.wrapping_mul(0x9E37_79B1) as usize >> 7 & mask;
        loop {
            match self.slots[at] {
                (turn, _) if turn != self.turn => {
                    self.slots[at] = (self.turn, row);
                    return true;
                }
                (_, other) if other == row => return false,
                _ => at = (at + 1) & mask,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knn::vectors::Vectors;

    #[test]
    fn a_set_knows_what_it_has_seen_since_it_was_cleared() {
        let mut seen = Seen::new(8);
        assert!((0..8).all(|row| seen.insert(row * 1024)));
        assert!((0..8).all(|row| !seen.insert(row * 1024)));
        seen.clear();
        assert!(seen.insert(0));
    }

    #[test]
    fn finds_the_neighbour_of_a_neighbour() -> Result<()> {
        let data = [1.0, 0.0, 1.0, 0.1, 1.0, 0.2, 0.0, 1.0];
        let codes = Codes::new(&Vectors::new(&data, 2)?);
        let entry = |row, other| Entry::new(codes.similarity(row, other), other);
        // 0 knows 1 and 3, 1 knows 2: then 2 takes the place of 3
        let none = Entry::LEAST;
        let known = [entry(0, 1), entry(0, 3), entry(1, 2), none, none, none, none, none];
        let mut parts = [known.to_vec()];
        refine(&mut parts, 2, &codes, &Progress::default())?;
        let found: Vec<u32> = parts[0].iter().map(|entry| entry.index()).collect();
        assert_eq!(found[..4], [1, 2, 2, u32::MAX]);
        Ok(())
    }
}
