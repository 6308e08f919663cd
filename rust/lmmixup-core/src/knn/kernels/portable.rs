//! Plain Rust, for every processor; the compiler vectorises what it can.

use half::f16;

mod hadamard;

pub(super) use hadamard::hadamard;

use super::{Band, Encoded, GROUP, Kernels, PANEL, TILE_ROWS, Tile};

/// Sums that are kept side by side, so that the processor need not wait for one addition before the
/// next.
const LANES: usize = 16;

/// Added to a value below 2²², it leaves no room for a fraction: the sum is rounded to a whole
/// number, ties to even, which then stands in its lowest bits.
const WHOLE: f32 = 12_582_912.0;

pub(super) static KERNELS: Kernels = Kernels {
    name: "portable",
    tile,
    filter,
    dot,
    dot_i8,
    dot_f16,
    dots_i8,
    square_length,
    hadamard,
    encode,
};

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

/// # Safety
/// None needed; unsafe to have the type of the table.
#[inline(always)]
pub(super) unsafe fn square_length(row: &[f32]) -> f64 {
    let mut sums = [0.0_f64; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for values in chunks {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum += f64::from(value) * f64::from(value);
        }
    }
    for (sum, &value) in sums.iter_mut().zip(rest) {
        *sum += f64::from(value) * f64::from(value);
    }
    sums.iter().sum()
}

/// # Safety
/// None needed; unsafe to have the type of the table.
#[inline(always)]
pub(super) unsafe fn encode(row: &[f32], codes: &mut [i8]) -> Encoded {
    let largest = largest(row);
    if largest == 0.0 {
        codes.fill(0);
        return Encoded { largest, sum: 0, square_error: 0.0 };
    }
    let scale = 127.0 / largest;
    let (mut sums, mut errors) = ([0_i32; LANES], [0.0_f32; LANES]);
    let mut round = |at: usize, value: f32| {
        let value = value * scale;
        let whole = value + WHOLE;
        let code = whole.to_bits().wrapping_sub(WHOLE.to_bits()) as i32;
        // Both have no bits below the value's last: exact.
        let wrong = value - (whole - WHOLE);
        sums[at] += code;
        errors[at] += wrong * wrong;
        code as i8
    };
    let ((chunks, rest), (code_chunks, code_rest)) = (row.as_chunks(), codes.as_chunks_mut());
    for (values, codes) in chunks.iter().zip(code_chunks) {
        let values: &[f32; LANES] = values;
        let codes: &mut [i8; LANES] = codes;
        for at in 0..LANES {
            codes[at] = round(at, values[at]);
        }
    }
    for (at, (code, &value)) in code_rest.iter_mut().zip(rest).enumerate() {
        *code = round(at, value);
    }
    Encoded { largest, sum: sums.iter().sum(), square_error: errors.iter().sum() }
}

/// The largest value, whatever its sign.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut largest = [0.0_f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for values in chunks {
        for (largest, value) in largest.iter_mut().zip(values) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
    largest.into_iter().chain(rest.iter().map(|value| value.abs())).fold(0.0, f32::max)
}
