//! How often each shingle occurs: one saturating byte per hash cell.

use rayon::prelude::*;

use crate::families::Observer;

const NUM_PARTS: usize = 64;

/// Counts that are never too low (collisions add up), but saturate at 255.
///
/// It orders shingles by rarity and says which occur once; both may be wrong in the safe
/// direction without changing the join's result. Cells are split into parts that one thread
/// counts at a time from sorted-out hashes: atomic counters would wait for memory at each.
pub(crate) struct FrequencySketch {
    cells: Vec<u8>,
}

impl FrequencySketch {
    /// A sketch for about so many shingles, most of them distinct.
    pub(crate) fn for_tokens(num_tokens: usize) -> Self {
        let cells = (num_tokens * 2 / 3).next_power_of_two().clamp(1 << 16, 1 << 32);
        Self { cells: vec![0; cells] }
    }

    #[inline]
    fn cell(&self, shingle: u64) -> usize {
        shingle as usize & (self.cells.len() - 1)
    }

    /// The count of a shingle that was counted: 1 to 255.
    #[inline]
    pub(crate) fn frequency(&self, shingle: u64) -> u8 {
        self.cells[self.cell(shingle)]
    }
}

impl Observer for FrequencySketch {
    type Task = Vec<Vec<u32>>;

    fn task(&self) -> Self::Task {
        vec![Vec::new(); NUM_PARTS]
    }

    fn see(&self, task: &mut Self::Task, items: &[u64]) {
        let cells_a_part = self.cells.len() / NUM_PARTS;
        let shift = cells_a_part.trailing_zeros();
        for &item in items {
            let cell = self.cell(item);
            task[cell >> shift].push((cell & (cells_a_part - 1)) as u32);
        }
    }

    fn absorb(&mut self, tasks: Vec<Self::Task>) {
        let cells_a_part = self.cells.len() / NUM_PARTS;
        self.cells.par_chunks_mut(cells_a_part).enumerate().for_each(|(part, cells)| {
            for &cell in tasks.iter().flat_map(|task| &task[part]) {
                let count = &mut cells[cell as usize];
                *count = count.saturating_add(1);
            }
        });
    }
}
