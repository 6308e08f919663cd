//! Which records share a row: best-fit decreasing in linear time.
//!
//! Records go from the longest to the shortest into the fullest row that has room. Rows are kept
//! by the room they have, and a two-level set of bits finds the least room that is enough, so a
//! record costs a few operations whatever their number.
//!
//! Source: best-fit decreasing as in Ding et al., arXiv 2404.10830; bit sets and counting sort ours.

use std::ops::Range;

use crate::{Error, Result};

/// Records by row: those of row `r` are `records[starts[r]..starts[r + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Record numbers.
    pub records: Vec<u32>,
    /// One more than there are rows.
    pub starts: Vec<u32>,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The records of a row.
    pub fn row(&self, row: usize) -> &[u32] {
        &self.records[self.starts[row] as usize..self.starts[row + 1] as usize]
    }

    /// One record a row, in their order.
    pub fn single(count: usize) -> Self {
        Self { records: (0..count as u32).collect(), starts: (0..=count as u32).collect() }
    }

    /// Adds rows whose records are numbered from `first` on.
    fn extend(&mut self, more: &Self, first: u32) {
        let base = self.records.len() as u32;
        if self.starts.is_empty() {
            self.starts.push(0);
        }
        self.records.extend(more.records.iter().map(|record| record + first));
        self.starts.extend(more.starts.iter().skip(1).map(|start| start + base));
    }
}

/// Packs records of these lengths into rows of at most `capacity`, `window` records at a time
/// (0: all at once).
///
/// Rows stand in the order they were opened, records in a row from the longest on; equal lengths
/// in the order of the records. O(N + capacity) for each window.
///
/// # Errors
/// [`Error::Argument`] where a length is over the capacity; [`Error::Infeasible`] beyond 2³²
/// records.
pub fn best_fit(lengths: &[u32], capacity: u32, window: usize) -> Result<Rows> {
    if u32::try_from(lengths.len()).is_err() {
        return Err(Error::Infeasible("expected at most 2^32 records".into()));
    }
    if let Some(at) = lengths.iter().position(|&length| length > capacity) {
        return Err(Error::Argument(format!(
            "lengths must be at most {capacity}, got {} for record {at}",
            lengths[at]
        )));
    }
    let window = if window == 0 { lengths.len().max(1) } else { window };
    let mut rows = Rows { records: Vec::with_capacity(lengths.len()), starts: vec![0] };
    for (number, part) in lengths.chunks(window).enumerate() {
        rows.extend(&best_fit_once(part, capacity), (number * window) as u32);
    }
    Ok(rows)
}

fn best_fit_once(lengths: &[u32], capacity: u32) -> Rows {
    const NONE: u32 = u32::MAX;
    let mut room = Room::new(capacity as usize);
    // Rows with the same room are a chain; the records of a row are one too.
    let mut newest = vec![NONE; capacity as usize + 1];
    let mut next_row: Vec<u32> = Vec::new();
    let mut counts: Vec<u32> = Vec::new();
    let mut row_of = vec![0u32; lengths.len()];
    for record in longest_first(lengths, capacity) {
        let length = lengths[record as usize] as usize;
        let (row, left) = match room.least(length) {
            Some(space) => {
                let row = newest[space];
                newest[space] = next_row[row as usize];
                if newest[space] == NONE {
                    room.remove(space);
                }
                (row, space - length)
            }
            None => {
                next_row.push(NONE);
                counts.push(0);
                (counts.len() as u32 - 1, capacity as usize - length)
            }
        };
        row_of[record as usize] = row;
        counts[row as usize] += 1;
        next_row[row as usize] = newest[left];
        newest[left] = row;
        room.insert(left);
    }
    by_row(lengths, capacity, &row_of, &counts)
}

/// Records by row, each row's from the longest on.
fn by_row(lengths: &[u32], capacity: u32, row_of: &[u32], counts: &[u32]) -> Rows {
    let mut starts = vec![0u32; counts.len() + 1];
    for (row, count) in counts.iter().enumerate() {
        starts[row + 1] = starts[row] + count;
    }
    let mut next = starts.clone();
    let mut records = vec![0u32; lengths.len()];
    for record in longest_first(lengths, capacity) {
        let place = &mut next[row_of[record as usize] as usize];
        records[*place as usize] = record;
        *place += 1;
    }
    Rows { records, starts }
}

/// Record numbers from the longest to the shortest, by counting.
fn longest_first(lengths: &[u32], capacity: u32) -> Vec<u32> {
    let mut ends = vec![0u32; capacity as usize + 2];
    lengths.iter().for_each(|&length| ends[(capacity - length) as usize + 1] += 1);
    for length in 1..ends.len() {
        ends[length] += ends[length - 1];
    }
    let mut order = vec![0u32; lengths.len()];
    for (record, &length) in lengths.iter().enumerate() {
        let place = &mut ends[(capacity - length) as usize];
        order[*place as usize] = record as u32;
        *place += 1;
    }
    order
}

/// A set of numbers that finds its least member at or above one.
struct Room {
    words: Vec<u64>,
    blocks: Vec<u64>,
}

impl Room {
    fn new(largest: usize) -> Self {
        let num_words = largest / 64 + 1;
        Self { words: vec![0; num_words], blocks: vec![0; num_words / 64 + 1] }
    }

    fn insert(&mut self, number: usize) {
        self.words[number / 64] |= 1 << (number % 64);
        self.blocks[number / 4096] |= 1 << (number / 64 % 64);
    }

    fn remove(&mut self, number: usize) {
        self.words[number / 64] &= !(1 << (number % 64));
        if self.words[number / 64] == 0 {
            self.blocks[number / 4096] &= !(1 << (number / 64 % 64));
        }
    }

    fn least(&self, number: usize) -> Option<usize> {
        let word = number / 64;
        let here = *self.words.get(word)? & (!0 << (number % 64));
        if here != 0 {
            return Some(word * 64 + here.trailing_zeros() as usize);
        }
        let word = first_bit(&self.blocks, word + 1)?;
        Some(word * 64 + self.words[word].trailing_zeros() as usize)
    }
}

fn first_bit(words: &[u64], from: usize) -> Option<usize> {
    let here = *words.get(from / 64)? & (!0 << (from % 64));
    if here != 0 {
        return Some(from / 64 * 64 + here.trailing_zeros() as usize);
    }
    let rest: Range<usize> = from / 64 + 1..words.len();
    rest.into_iter()
        .find(|&word| words[word] != 0)
        .map(|word| word * 64 + words[word].trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule as it is said: the fullest row with room, the newest of those.
    fn plain(lengths: &[u32], capacity: u32) -> Vec<Vec<u32>> {
        let mut order: Vec<u32> = (0..lengths.len() as u32).collect();
        order.sort_by_key(|&record| std::cmp::Reverse(lengths[record as usize]));
        let mut rows: Vec<(u32, u64, Vec<u32>)> = Vec::new();
        for (step, record) in order.into_iter().enumerate() {
            let length = lengths[record as usize];
            let fits = rows.iter_mut().filter(|row| row.0 >= length);
            match fits.min_by_key(|row| (row.0, std::cmp::Reverse(row.1))) {
                Some(row) => {
                    row.0 -= length;
                    row.1 = step as u64;
                    row.2.push(record);
                }
                None => rows.push((capacity - length, step as u64, vec![record])),
            }
        }
        rows.into_iter().map(|row| row.2).collect()
    }

    proptest! {
        #[test]
        fn is_the_plain_rule(lengths in prop::collection::vec(0u32..=300, 0..200)) {
            let rows = best_fit(&lengths, 300, 0).map_err(|error| {
                TestCaseError::fail(error.to_string())
            })?;
            let found: Vec<Vec<u32>> = (0..rows.len()).map(|row| rows.row(row).to_vec()).collect();
            prop_assert_eq!(found, plain(&lengths, 300));
        }
    }

    #[test]
    fn windows_do_not_mix() -> Result<()> {
        let rows = best_fit(&[1, 9, 1, 9, 5], 10, 2)?;
        assert_eq!(rows.records, [1, 0, 3, 2, 4]);
        assert_eq!(rows.starts, [0, 2, 4, 5]);
        Ok(())
    }

    #[test]
    fn refuses_what_fits_nowhere() {
        assert!(matches!(best_fit(&[11], 10, 0), Err(Error::Argument(_))));
        assert!(best_fit(&[], 10, 0).is_ok_and(|rows| rows.is_empty()));
    }
}
