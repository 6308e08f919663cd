//! AVX-512 with VNNI, and AVX2 with FMA.

use std::arch::x86_64::*;

use half::f16;

use super::{Band, GROUP, Kernels, PANEL, TILE_ROWS, Tile, portable};

static AVX512: Kernels = Kernels {
    name: "avx512-vnni",
    tile: tile_avx512,
    filter: filter_avx512,
    dot: dot_avx512,
    dot_i8: dot_i8_avx512,
    dot_f16: dot_f16_avx512,
    dots_i8: dots_i8_avx512,
};
static AVX2: Kernels = Kernels {
    name: "avx2",
    tile: tile_avx2,
    filter: filter_avx2,
    dot: dot_avx2,
    dot_i8: dot_i8_avx2,
    dot_f16: dot_f16_avx2,
    dots_i8: dots_i8_avx2,
};

fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("fma")
}

fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c")
}

pub(super) fn best() -> Option<&'static Kernels> {
    if has_avx512() {
        Some(&AVX512)
    } else if has_avx2() {
        Some(&AVX2)
    } else {
        None
    }
}

#[cfg(test)]
pub(super) fn all() -> Vec<&'static Kernels> {
    let both = [(has_avx512(), &AVX512), (has_avx2(), &AVX2)];
    both.into_iter().filter_map(|(there, kernels)| there.then_some(kernels)).collect()
}

/// # Safety
/// AVX-512 F and VNNI; `rows` point to `depth` codes each, `panel` to `depth × PANEL`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[allow(clippy::needless_range_loop)] // as the registers are numbered
unsafe fn tile_avx512(
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
unsafe fn filter_avx512(
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
unsafe fn dot_avx512(left: &[f32], right: &[f32]) -> f32 {
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

/// Widens to 16 bits and multiplies there: `maddubs` would saturate with codes of 8 bits.
///
/// # Safety
/// AVX2; `rows` point to `depth` codes each, `panel` to `depth × PANEL`.
#[target_feature(enable = "avx2")]
unsafe fn tile_avx2(rows: [*const i8; TILE_ROWS], panel: *const u8, depth: usize, out: &mut Tile) {
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
unsafe fn filter_avx2(
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
unsafe fn dot_avx2(left: &[f32], right: &[f32]) -> f32 {
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
/// AVX-512 F, BW and VNNI; both slices have the same length.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn dot_i8_avx512(left: &[i8], right: &[i8]) -> i32 {
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
/// AVX2. The compiler vectorises the plain loop for it.
#[target_feature(enable = "avx2")]
unsafe fn dot_i8_avx2(left: &[i8], right: &[i8]) -> i32 {
    // SAFETY: nothing is needed.
    unsafe { portable::dot_i8(left, right) }
}

/// # Safety
/// AVX-512 F; both slices have the same length.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn dot_f16_avx512(left: &[f16], right: &[f16]) -> f32 {
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
/// AVX2, FMA and F16C; both slices have the same length.
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn dot_f16_avx2(left: &[f16], right: &[f16]) -> f32 {
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
/// AVX-512 F and BW. The compiler vectorises the plain loop for them.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn dots_i8_avx512(left: &[i8], right: &[i8]) -> [i32; 3] {
    // SAFETY: nothing is needed.
    unsafe { portable::dots_i8(left, right) }
}

/// # Safety
/// AVX2. The compiler vectorises the plain loop for it.
#[target_feature(enable = "avx2")]
unsafe fn dots_i8_avx2(left: &[i8], right: &[i8]) -> [i32; 3] {
    // SAFETY: nothing is needed.
    unsafe { portable::dots_i8(left, right) }
}
