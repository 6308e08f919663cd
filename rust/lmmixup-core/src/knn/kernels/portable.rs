//! Plain Rust, for every processor; the compiler vectorises what it can.

use half::f16;

use super::{Band, GROUP, Kernels, PANEL, TILE_ROWS, Tile};

pub(super) static KERNELS: Kernels =
    Kernels { name: "portable", tile, filter, dot, dot_i8, dot_f16, dots_i8 };

/// # Safety
/// `rows` point to `depth` codes each, `panel` to `depth × PANEL`.
#[inline(always)]
unsafe fn tile(rows: [*const i8; TILE_ROWS], panel: *const u8, depth: usize, out: &mut Tile) {
    for (row, products) in rows.iter().zip(out) {
        products.fill(0);
        for group in (0..depth).step_by(GROUP) {
            // SAFETY: `group` stays below `depth`; a group of a panel has GROUP × PANEL codes.
            let (codes, columns) = unsafe {
                (
                    &*row.add(group).cast::<[i8; GROUP]>(),
                    &*panel.add(group * PANEL).cast::<[[u8; GROUP]; PANEL]>(),
                )
            };
            for (product, column) in products.iter_mut().zip(columns) {
                for (code, other) in codes.iter().zip(column) {
                    *product += i32::from(*code) * i32::from(*other);
                }
            }
        }
    }
}

/// # Safety
/// None needed; unsafe to have the type of the table.
#[inline(always)]
unsafe fn filter(
    products: &[i32; PANEL],
    band: &Band<'_>,
    similarities: &mut [f32; PANEL],
) -> (u64, u64) {
    let (mut row, mut column) = (0, 0);
    for at in 0..PANEL {
        let similarity = (products[at] - band.offset) as f32 * (band.step * band.steps[at])
            + band.stretch * band.errors[at];
        similarities[at] = similarity;
        row |= u64::from(similarity >= band.floor) << at;
        column |= u64::from(similarity >= band.floors[at]) << at;
    }
    (row, column)
}

/// # Safety
/// None needed; unsafe to have the type of the table.
#[inline(always)]
unsafe fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 16];
    let (lefts, rights) = (left.chunks_exact(16), right.chunks_exact(16));
    let rest: f32 = lefts.remainder().iter().zip(rights.remainder()).map(|(a, b)| a * b).sum();
    for (left, right) in lefts.zip(rights) {
        for at in 0..16 {
            sums[at] += left[at] * right[at];
        }
    }
    for half in [8, 4, 2, 1] {
        for at in 0..half {
            sums[at] += sums[at + half];
        }
    }
    sums[0] + rest
}

/// # Safety
/// None needed; unsafe to have the type of the table.
#[inline(always)]
pub(super) unsafe fn dot_i8(left: &[i8], right: &[i8]) -> i32 {
    left.iter().zip(right).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// # Safety
/// None needed; unsafe to have the type of the table.
#[inline(always)]
pub(super) unsafe fn dot_f16(left: &[f16], right: &[f16]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a.to_f32() * b.to_f32()).sum()
}

/// # Safety
/// None needed; unsafe to have the type of the table.
#[inline(always)]
pub(super) unsafe fn dots_i8(left: &[i8], right: &[i8]) -> [i32; 3] {
    let mut sums = [0; 3];
    for (&a, &b) in left.iter().zip(right) {
        let (a, b) = (i32::from(a), i32::from(b));
        sums[0] += a * b;
        sums[1] += a * a;
        sums[2] += b * b;
    }
    sums
}
