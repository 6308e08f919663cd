//! AVX2 with FMA.

use std::arch::x86_64::*;

use half::f16;

use super::super::{Band, Encoded, GROUP, PANEL, TILE_ROWS, Tile, portable};
use super::hadamard::{self, Register};

/// Widens to 16 bits and multiplies there: `maddubs` would saturate with codes of 8 bits.
///
/// # Safety
/// AVX2; `rows` point to `depth` codes each, `panel` to `depth × PANEL`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn tile(
    rows: [*const i8; TILE_ROWS],
    panel: *const u8,
    depth: usize,
    out: &mut Tile,
) {
    const HALF: usize = TILE_ROWS / 2;
    for (half, quarter) in (0..8).map(|part| (part / 4, part % 4)) {
        // Two lanes of a sum belong to one column: its codes 0 and 1, and 2 and 3.
        let mut sums = [[_mm256_setzero_si256(); 4]; HALF];
        for group in (0..depth).step_by(GROUP) {
            // SAFETY: 16 columns of a group are 64 bytes; `group` stays below `depth`.
            unsafe {
                let at = panel.add(group * PANEL + quarter * 64).cast::<__m128i>();
                let columns: [__m256i; 4] =
                    std::array::from_fn(|part| _mm256_cvtepu8_epi16(_mm_loadu_si128(at.add(part))));
                for row in 0..HALF {
                    let from = rows[half * HALF + row].add(group).cast::<i32>();
                    let codes = _mm256_cvtepi8_epi16(_mm_set1_epi32(from.read_unaligned()));
                    for part in 0..4 {
                        let product = _mm256_madd_epi16(columns[part], codes);
                        sums[row][part] = _mm256_add_epi32(sums[row][part], product);
                    }
                }
            }
        }
        for row in 0..HALF {
            for pair in 0..2 {
                let sum = _mm256_hadd_epi32(sums[row][pair * 2], sums[row][pair * 2 + 1]);
                let sum = _mm256_permute4x64_epi64::<0b11_01_10_00>(sum);
                let to = &mut out[half * HALF + row][quarter * 16 + pair * 8..][..8];
                // SAFETY: `to` has 8 products.
                unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), sum) };
            }
        }
    }
}

/// # Safety
/// AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn filter(
    products: &[i32; PANEL],
    band: &Band<'_>,
    similarities: &mut [f32; PANEL],
) -> (u64, u64) {
    let (offset, step) = (_mm256_set1_epi32(band.offset), _mm256_set1_ps(band.step));
    let (floor, stretch) = (_mm256_set1_ps(band.floor), _mm256_set1_ps(band.stretch));
    let (mut row, mut column) = (0, 0);
    for at in (0..PANEL).step_by(8) {
        // SAFETY: `at + 8` stays within PANEL, the length of all five arrays.
        unsafe {
            let product = _mm256_loadu_si256(products.as_ptr().add(at).cast());
            let product = _mm256_cvtepi32_ps(_mm256_sub_epi32(product, offset));
            let steps = _mm256_mul_ps(step, _mm256_loadu_ps(band.steps.as_ptr().add(at)));
            let error = _mm256_mul_ps(stretch, _mm256_loadu_ps(band.errors.as_ptr().add(at)));
            // Not fused, so that every instruction set gives the same bits.
            let similarity = _mm256_add_ps(_mm256_mul_ps(product, steps), error);
            _mm256_storeu_ps(similarities.as_mut_ptr().add(at), similarity);
            let floors = _mm256_loadu_ps(band.floors.as_ptr().add(at));
            let passes = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(similarity, floor));
            row |= u64::from(passes as u8) << at;
            let passes = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(similarity, floors));
            column |= u64::from(passes as u8) << at;
        }
    }
    (row, column)
}

/// # Safety
/// AVX2 and FMA; both slices have the same length.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 4];
    let whole = left.len() / 8;
    for at in 0..whole {
        // SAFETY: `8 at + 8 ≤ length`.
        unsafe {
            let a = _mm256_loadu_ps(left.as_ptr().add(at * 8));
            let b = _mm256_loadu_ps(right.as_ptr().add(at * 8));
            sums[at % 4] = _mm256_fmadd_ps(a, b, sums[at % 4]);
        }
    }
    let (low, high) = (_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
    let mut lanes = [0.0_f32; 8];
    // SAFETY: 8 lanes.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(low, high)) };
    let rest = left[whole * 8..].iter().zip(&right[whole * 8..]).map(|(a, b)| a * b);
    lanes.iter().sum::<f32>() + rest.sum::<f32>()
}

/// # Safety
/// AVX2. The compiler vectorises the plain loop for it.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn dot_i8(left: &[i8], right: &[i8]) -> i32 {
    // SAFETY: nothing is needed.
    unsafe { portable::dot_i8(left, right) }
}

/// # Safety
/// AVX2, FMA and F16C; both slices have the same length.
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) unsafe fn dot_f16(left: &[f16], right: &[f16]) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 2];
    let whole = left.len() / 8;
    for at in 0..whole {
        // SAFETY: `8 at + 8 ≤ length`; 8 halves are 16 bytes.
        unsafe {
            let a = _mm256_cvtph_ps(_mm_loadu_si128(left.as_ptr().add(at * 8).cast()));
            let b = _mm256_cvtph_ps(_mm_loadu_si128(right.as_ptr().add(at * 8).cast()));
            sums[at % 2] = _mm256_fmadd_ps(a, b, sums[at % 2]);
        }
    }
    let mut lanes = [0.0_f32; 8];
    // SAFETY: 8 lanes; the rest needs nothing.
    let rest = unsafe {
        _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(sums[0], sums[1]));
        portable::dot_f16(&left[whole * 8..], &right[whole * 8..])
    };
    lanes.iter().sum::<f32>() + rest
}

/// # Safety
/// AVX2. The compiler vectorises the plain loop for it.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn dots_i8(left: &[i8], right: &[i8]) -> [i32; 3] {
    // SAFETY: nothing is needed.
    unsafe { portable::dots_i8(left, right) }
}

/// # Safety
/// AVX2 and FMA. The compiler vectorises the plain loop for them.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn square_length(row: &[f32]) -> f64 {
    // SAFETY: nothing is needed.
    unsafe { portable::square_length(row) }
}

/// # Safety
/// AVX2 and FMA. The compiler vectorises the plain loops for them.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn encode(row: &[f32], codes: &mut [i8]) -> Encoded {
    // SAFETY: nothing is needed.
    unsafe { portable::encode(row, codes) }
}

/// # Safety
/// AVX2 and FMA; the length is a power of two.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn hadamard(values: &mut [f32]) {
    // SAFETY: instruction set and length as above; the rest of nothing.
    unsafe {
        if values.len() < 4 * __m256::LANES {
            portable::hadamard(values);
        } else {
            hadamard::transform::<__m256>(values);
        }
    }
}
