//! All pairs of a block of rows with panels of columns, into the candidates of both.

use super::codes::{Codes, Panels};
use super::kernels::{Band, Kernels, PANEL, TILE_ROWS, Tile};
use super::topk::{Entry, Nearest};

/// Rows of a block; a multiple of a panel, small enough that its candidates stay in cache.
pub(super) const BLOCK: usize = 512;

/// Rows and columns, multiplied tile after tile.
#[derive(Clone, Copy)]
pub(super) struct Tiles<'a> {
    pub(super) codes: &'a Codes,
    pub(super) panels: &'a Panels,
}

impl<'a> Tiles<'a> {
    /// Calls `work(row, products)` for rows `first..first + len` and the columns of a panel.
    #[inline(always)]
    pub(super) fn multiply(
        self,
        first: usize,
        len: usize,
        panel: usize,
        mut work: impl FnMut(usize, &[i32; PANEL]),
    ) {
        let mut tile: Tile = [[0; PANEL]; TILE_ROWS];
        for row in (first..first + len).step_by(TILE_ROWS) {
            Kernels::best().tile(self.codes.tile_rows(row), self.panels.bytes(panel), &mut tile);
            for (at, products) in tile.iter().enumerate().take(first + len - row) {
                work(row + at, products);
            }
        }
    }

    /// What a filter needs to know to tell a row and the columns of a panel.
    #[inline(always)]
    pub(super) fn band(
        self,
        row: usize,
        panel: usize,
        floor: f32,
        floors: &'a [f32; PANEL],
    ) -> Band<'a> {
        Band {
            offset: self.codes.offsets[row],
            step: self.codes.steps[row],
            steps: self.panels.steps(panel),
            errors: self.panels.errors(panel),
            stretch: 0.0,
            floor,
            floors,
        }
    }
}

/// Rows, columns, and how exactly the rows want to know.
///
/// A row is told of a column whose approximate similarity passes as `judge(row, column,
/// approximate, least)` says: with the similarity in single precision, or the approximate one where
/// that is good enough; not at all where it is below `least` for certain. `margins` are the most by
/// which the approximate similarities of each row can be off from that.
pub(super) struct Pairs<'a, F> {
    pub(super) tiles: Tiles<'a>,
    pub(super) margins: &'a [f32],
    pub(super) judge: F,
}

/// A block: the candidates of consecutive rows, and the number of the first.
pub(super) struct Block {
    pub(super) first: usize,
    pub(super) nearest: Nearest,
}

impl Block {
    /// No candidates yet for rows `first..first + len`; zero rows are closed.
    pub(super) fn new(first: usize, len: usize, k: usize, codes: &Codes) -> Self {
        let mut nearest = Nearest::new(len, k);
        for row in 0..nearest.len() {
            if codes.steps[first + row] == 0.0 {
                nearest.raise(row, f32::INFINITY);
            }
        }
        Self { first, nearest }
    }

    /// The panels that its rows are when they stand as columns.
    pub(super) fn panels(&self) -> std::ops::Range<usize> {
        let first = self.first / PANEL;
        first..first + self.nearest.len().div_ceil(PANEL)
    }
}

/// Floors of columns that want to hear of no row.
pub(super) const NOBODY: [f32; PANEL] = [f32::INFINITY; PANEL];

impl<F: Fn(usize, usize, f32, f32) -> Option<Entry>> Pairs<'_, F> {
    /// Every row of the block with every column of one panel; tells the rows only.
    /// With `not_itself` rows and columns are one pool, and a row is not its own neighbour.
    pub(super) fn one_side(&self, block: &mut Block, panel: usize, not_itself: bool) {
        let mut similarities = [0.0; PANEL];
        self.tiles.multiply(block.first, block.nearest.len(), panel, |row, products| {
            let here = row - block.first;
            let band = self.tiles.band(row, panel, block.nearest.floor(here), &NOBODY);
            let (mut passed, _) = Kernels::best().filter(products, &band, &mut similarities);
            if not_itself && row / PANEL == panel {
                passed &= !(1 << (row % PANEL));
            }
            self.tell_row(block, row, panel, passed, &similarities);
        });
    }

    /// Every row of `block` with every row of `other`, another block of the same pool; tells both.
    pub(super) fn both_sides(&self, block: &mut Block, other: &mut Block) {
        let mut similarities = [0.0; PANEL];
        for panel in other.panels() {
            let panel_here = panel - other.first / PANEL;
            self.tiles.multiply(block.first, block.nearest.len(), panel, |row, products| {
                let floor = block.nearest.floor(row - block.first);
                let band = self.tiles.band(row, panel, floor, other.nearest.floors(panel_here));
                let (passed, mut told) = Kernels::best().filter(products, &band, &mut similarities);
                self.tell_row(block, row, panel, passed, &similarities);
                while told != 0 {
                    let at = told.trailing_zeros() as usize;
                    told &= told - 1;
                    let column = panel * PANEL + at;
                    self.tell(other, column, row, similarities[at]);
                }
            });
        }
    }

    #[inline(always)]
    fn tell_row(
        &self,
        block: &mut Block,
        row: usize,
        panel: usize,
        mut passed: u64,
        similarities: &[f32; PANEL],
    ) {
        while passed != 0 {
            let at = passed.trailing_zeros() as usize;
            passed &= passed - 1;
            self.tell(block, row, panel * PANEL + at, similarities[at]);
        }
    }

    #[inline(always)]
    fn tell(&self, block: &mut Block, row: usize, column: usize, approximate: f32) {
        let (here, margin) = (row - block.first, self.margins[row]);
        let least = block.nearest.floor(here) + margin;
        if let Some(entry) = (self.judge)(row, column, approximate, least) {
            block.nearest.push(here, entry, margin);
        }
    }
}

/// The pairs of `num` blocks in rounds in which no block occurs twice (the circle method).
pub(super) fn rounds(num: usize) -> impl Iterator<Item = Vec<(usize, usize)>> {
    let even = num.next_multiple_of(2).max(2);
    let others = even - 1;
    (0..others).map(move |round| {
        let last = (round, others);
        let rest = (1..even / 2).map(|at| ((round + at) % others, (round + others - at) % others));
        std::iter::once(last)
            .chain(rest)
            .map(|(a, b)| (a.min(b), a.max(b)))
            .filter(|&(_, high)| high < num)
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_have_every_pair_once_and_no_block_twice() {
        for num in 0..12_usize {
            let mut pairs = Vec::new();
            for round in rounds(num) {
                let mut blocks: Vec<usize> = round.iter().flat_map(|&(a, b)| [a, b]).collect();
                blocks.sort_unstable();
                assert!(blocks.windows(2).all(|two| two[0] != two[1]));
                pairs.extend(round);
            }
            pairs.sort_unstable();
            pairs.dedup();
            assert_eq!(pairs.len(), num * num.saturating_sub(1) / 2);
            assert!(pairs.iter().all(|(low, high)| low < high));
        }
    }
}
