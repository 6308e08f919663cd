//! AVX-512 with VNNI.

use std::arch::x86_64::*;

use half::f16;

use super::super::{Band, Encoded, GROUP, PANEL, TILE_ROWS, Tile, portable};
use super::hadamard::{self, Register};

/// # Safety
/// AVX-512 F and VNNI; `rows` point to `depth` codes each, `panel` to `depth × PANEL`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[allow(clippy::needless_range_loop)] // as the registers are numbered
pub(super) unsafe fn tile(
    rows: [*const i8; TILE_ROWS],
    panel: *const u8,
    depth: usize,
    out: &mut Tile,
) {
    let mut sums = [[_mm512_setzero_si512(); 4]; TILE_ROWS];
    for group in (0..depth).step_by(GROUP) {
        // SAFETY: `group` stays below `depth`, a multiple of GROUP.
        unsafe {
            let at = panel.add(group * PANEL).cast::<__m512i>();
            let columns: [__m512i; 4] =
                std::array::from_fn(|quarter| _mm512_loadu_si512(at.add(quarter)));
            for row in 0..TILE_ROWS {
                let codes = rows[row].add(group).cast::<i32>().read_unaligned();
                let codes = _mm512_set1_epi32(codes);
                for quarter in 0..4 {
                    sums[row][quarter] =
                        _mm512_dpbusd_epi32(sums[row][quarter], columns[quarter], codes);
                }
            }
        }
    }
    for row in 0..TILE_ROWS {
        for quarter in 0..4 {
            // SAFETY: a row of a tile has 4 × 16 products.
            unsafe {
                let to = out[row].as_mut_ptr().add(quarter * 16);
                _mm512_storeu_si512(to.cast(), sums[row][quarter]);
            }
        }
    }
}

/// # Safety
/// AVX-512 F.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn filter(
    products: &[i32; PANEL],
    band: &Band<'_>,
    similarities: &mut [f32; PANEL],
) -> (u64, u64) {
    let (offset, step) = (_mm512_set1_epi32(band.offset), _mm512_set1_ps(band.step));
    let (floor, stretch) = (_mm512_set1_ps(band.floor), _mm512_set1_ps(band.stretch));
    let (mut row, mut column) = (0, 0);
    for at in (0..PANEL).step_by(16) {
        // SAFETY: `at + 16` stays within PANEL, the length of all five arrays.
        unsafe {
            let product = _mm512_loadu_si512(products.as_ptr().add(at).cast());
            let product = _mm512_cvtepi32_ps(_mm512_sub_epi32(product, offset));
            let steps = _mm512_mul_ps(step, _mm512_loadu_ps(band.steps.as_ptr().add(at)));
            let error = _mm512_mul_ps(stretch, _mm512_loadu_ps(band.errors.as_ptr().add(at)));
            // Not fused, so that every instruction set gives the same bits.
            let similarity = _mm512_add_ps(_mm512_mul_ps(product, steps), error);
            _mm512_storeu_ps(similarities.as_mut_ptr().add(at), similarity);
            let floors = _mm512_loadu_ps(band.floors.as_ptr().add(at));
            row |= u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(similarity, floor)) << at;
            column |= u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(similarity, floors)) << at;
        }
    }
    (row, column)
}

/// # Safety
/// AVX-512 F; both slices have the same length.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [_mm512_setzero_ps(); 4];
    let mut at = 0;
    let length = left.len();
    while at < length {
        // The last load is masked: lanes beyond the end are zero.
        let lanes = (length - at).min(16);
        let mask = if lanes == 16 { !0 } else { (1_u16 << lanes) - 1 };
        // SAFETY: masked lanes are not read; `at + lanes ≤ length`.
        unsafe {
            let a = _mm512_maskz_loadu_ps(mask, left.as_ptr().add(at));
            let b = _mm512_maskz_loadu_ps(mask, right.as_ptr().add(at));
            let sum = &mut sums[at / 16 % 4];
            *sum = _mm512_fmadd_ps(a, b, *sum);
        }
        at += 16;
    }
    let (low, high) = (_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
    _mm512_reduce_add_ps(_mm512_add_ps(low, high))
}

/// # Safety
/// AVX-512 F, BW and VNNI; both slices have the same length.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn dot_i8(left: &[i8], right: &[i8]) -> i32 {
    // 128 makes the left codes unsigned; what that adds is taken off again.
    let (offset, ones) = (_mm512_set1_epi8(-128), _mm512_set1_epi8(1));
    let (mut sums, mut rights) = ([_mm512_setzero_si512(); 2], [_mm512_setzero_si512(); 2]);
    let whole = left.len() / 64;
    for at in 0..whole {
        // SAFETY: `64 at + 64 ≤ length`.
        unsafe {
            let a = _mm512_loadu_si512(left.as_ptr().add(at * 64).cast());
            let b = _mm512_loadu_si512(right.as_ptr().add(at * 64).cast());
            let half = at % 2;
            sums[half] = _mm512_dpbusd_epi32(sums[half], _mm512_xor_si512(a, offset), b);
            rights[half] = _mm512_dpbusd_epi32(rights[half], ones, b);
        }
    }
    // SAFETY: nothing is needed.
    let rest = unsafe { portable::dot_i8(&left[whole * 64..], &right[whole * 64..]) };
    let sum = _mm512_add_epi32(sums[0], sums[1]);
    let added = _mm512_slli_epi32::<7>(_mm512_add_epi32(rights[0], rights[1]));
    _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, added)) + rest
}

/// # Safety
/// AVX-512 F; both slices have the same length.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn dot_f16(left: &[f16], right: &[f16]) -> f32 {
    let mut sums = [_mm512_setzero_ps(); 2];
    let whole = left.len() / 16;
    for at in 0..whole {
        // SAFETY: `16 at + 16 ≤ length`; 16 halves are 32 bytes.
        unsafe {
            let a = _mm512_cvtph_ps(_mm256_loadu_si256(left.as_ptr().add(at * 16).cast()));
            let b = _mm512_cvtph_ps(_mm256_loadu_si256(right.as_ptr().add(at * 16).cast()));
            sums[at % 2] = _mm512_fmadd_ps(a, b, sums[at % 2]);
        }
    }
    // SAFETY: nothing is needed.
    let rest = unsafe { portable::dot_f16(&left[whole * 16..], &right[whole * 16..]) };
    _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1])) + rest
}

/// # Safety
/// AVX-512 F and BW. The compiler vectorises the plain loop for them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) unsafe fn dots_i8(left: &[i8], right: &[i8]) -> [i32; 3] {
    // SAFETY: nothing is needed.
    unsafe { portable::dots_i8(left, right) }
}

/// # Safety
/// AVX-512 F, BW and VL. The compiler vectorises the plain loop for them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) unsafe fn square_length(row: &[f32]) -> f64 {
    // SAFETY: nothing is needed.
    unsafe { portable::square_length(row) }
}

/// # Safety
/// AVX-512 F, BW and VL. The compiler vectorises the plain loops for them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) unsafe fn encode(row: &[f32], codes: &mut [i8]) -> Encoded {
    // SAFETY: nothing is needed.
    unsafe { portable::encode(row, codes) }
}

/// # Safety
/// AVX-512 F, BW and VL; the length is a power of two.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,fma")]
pub(super) unsafe fn hadamard(values: &mut [f32]) {
    // SAFETY: instruction set and length as above; the rest of nothing.
    unsafe {
        if values.len() < 4 * __m512::LANES {
            portable::hadamard(values);
        } else {
            hadamard::transform::<__m512>(values);
        }
    }
}
