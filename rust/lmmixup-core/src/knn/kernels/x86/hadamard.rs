//! The Hadamard transform, in the steps of the portable one and so with its bits.

use std::arch::x86_64::*;

/// Values that are added side by side.
///
/// # Safety
/// Callers have the instruction set of the register, and places for [`Register::LANES`] values.
pub(super) trait Register: Copy {
    const LANES: usize;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn plus(self, other: Self) -> Self;
    unsafe fn minus(self, other: Self) -> Self;
    unsafe fn times(self, scale: f32) -> Self;
    /// All steps among its own values, as `±value + partner`: a product with ±1 is exact.
    unsafe fn steps(self) -> Self;
}

/// Both steps of four parts.
///
/// # Safety
/// As [`Register`] says.
#[inline(always)]
unsafe fn two_steps<R: Register>([a, b, c, d]: [R; 4]) -> [R; 4] {
    // SAFETY: the caller has the instruction set.
    unsafe {
        let (p, q, r, s) = (a.plus(c), b.plus(d), a.minus(c), b.minus(d));
        [p.plus(q), p.minus(q), r.plus(s), r.minus(s)]
    }
}

/// Transforms a power of two of values, at least four registers full, and keeps their length.
///
/// # Safety
/// As [`Register`] says.
#[inline(always)]
pub(super) unsafe fn transform<R: Register>(values: &mut [f32]) {
    let (first, num) = (values.as_mut_ptr(), values.len());
    let scale = 1.0 / (num as f32).sqrt();
    let mut len = num;
    while len > 4 * R::LANES {
        // Two steps in a pass over the values, but one where two would leave too few.
        let parts = if len >= 16 * R::LANES { 4 } else { 2 };
        let part = len / parts;
        for start in (0..num).step_by(len) {
            for at in (start..start + part).step_by(R::LANES) {
                // SAFETY: `at + (parts − 1) · part + LANES ≤ num`.
                unsafe {
                    let place = |number: usize| first.add(at + number * part);
                    if parts == 4 {
                        let four = std::array::from_fn(|number| R::load(place(number)));
                        for (number, sums) in two_steps(four).into_iter().enumerate() {
                            sums.store(place(number));
                        }
                    } else {
                        let (left, right) = (R::load(place(0)), R::load(place(1)));
                        left.plus(right).store(place(0));
                        left.minus(right).store(place(1));
                    }
                }
            }
        }
        len = part;
    }
    for at in (0..num).step_by(4 * R::LANES) {
        // SAFETY: `at + 4 · LANES ≤ num`.
        unsafe {
            let place = |number: usize| first.add(at + number * R::LANES);
            let four = std::array::from_fn(|number| R::load(place(number)));
            for (number, sums) in two_steps(four).into_iter().enumerate() {
                sums.steps().times(scale).store(place(number));
            }
        }
    }
}

/// −1 for the second of two partners that are `distance` apart.
const fn signs<const LANES: usize>(distance: usize) -> [f32; LANES] {
    let mut signs = [1.0; LANES];
    let mut at = 0;
    while at < LANES {
        if at & distance != 0 {
            signs[at] = -1.0;
        }
        at += 1;
    }
    signs
}

impl Register for __m512 {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as the trait says; so below.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn minus(self, other: Self) -> Self {
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn times(self, scale: f32) -> Self {
        unsafe { _mm512_mul_ps(self, _mm512_set1_ps(scale)) }
    }

    #[inline(always)]
    unsafe fn steps(self) -> Self {
        const SIGNS: [[f32; 16]; 4] = [signs(8), signs(4), signs(2), signs(1)];
        unsafe {
            let [eight, four, two, one] = SIGNS.map(|signs| _mm512_loadu_ps(signs.as_ptr()));
            let it = self;
            let it = _mm512_fmadd_ps(it, eight, _mm512_shuffle_f32x4::<0b01_00_11_10>(it, it));
            let it = _mm512_fmadd_ps(it, four, _mm512_shuffle_f32x4::<0b10_11_00_01>(it, it));
            let it = _mm512_fmadd_ps(it, two, _mm512_permute_ps::<0b01_00_11_10>(it));
            _mm512_fmadd_ps(it, one, _mm512_permute_ps::<0b10_11_00_01>(it))
        }
    }
}

impl Register for __m256 {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn minus(self, other: Self) -> Self {
        unsafe { _mm256_sub_ps(self, other) }
    }

    #[inline(always)]
    unsafe fn times(self, scale: f32) -> Self {
        unsafe { _mm256_mul_ps(self, _mm256_set1_ps(scale)) }
    }

    #[inline(always)]
    unsafe fn steps(self) -> Self {
        const SIGNS: [[f32; 8]; 3] = [signs(4), signs(2), signs(1)];
        unsafe {
            let [four, two, one] = SIGNS.map(|signs| _mm256_loadu_ps(signs.as_ptr()));
            let it = self;
            let it = _mm256_fmadd_ps(it, four, _mm256_permute2f128_ps::<1>(it, it));
            let it = _mm256_fmadd_ps(it, two, _mm256_permute_ps::<0b01_00_11_10>(it));
            _mm256_fmadd_ps(it, one, _mm256_permute_ps::<0b10_11_00_01>(it))
        }
    }
}
