//! 64 bytes of a text, compared all at once.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m128i, __m512i};

use super::marks::AT_ONCE;

/// Bytes of a block: as many as a `u64` has bits.
pub(super) const BLOCK: usize = 64;

/// A block in registers. Answers have one bit a byte, the lowest for the first.
pub(super) trait Lanes: Copy {
    /// Takes a block.
    fn load(block: &[u8; BLOCK]) -> Self;
    /// Which bytes equal `byte`.
    fn equal(self, byte: u8) -> u64;
    /// Which bytes are below a space.
    fn control(self) -> u64;

    /// Twice the places of the first marks, counted from `start`, and 1 more where `escaped` has
    /// them too; what stands behind the last means nothing. Returns the marks that are left.
    #[inline(always)]
    fn places(mut marks: u64, escaped: u64, start: u32, places: &mut [u32; AT_ONCE]) -> u64 {
        for place in places {
            let at = marks.trailing_zeros();
            *place = (start + at) << 1 | (escaped >> (at % BLOCK as u32)) as u32 & 1;
            marks &= marks.wrapping_sub(1);
        }
        marks
    }
}

/// What this machine has for certain.
#[cfg(target_arch = "x86_64")]
pub(super) type Base = Sse2;
/// What this machine has for certain.
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Base = Words;

/// One instruction a question. May be used only where AVX-512 BW and VBMI2, and BMI2, were found.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Avx512(__m512i);

#[cfg(target_arch = "x86_64")]
impl Lanes for Avx512 {
    #[inline(always)]
    fn load(block: &[u8; BLOCK]) -> Self {
        use std::arch::x86_64::_mm512_loadu_epi8;
        // SAFETY: the block has 64 bytes; the instruction set was found by whoever uses this type.
        Self(unsafe { _mm512_loadu_epi8(block.as_ptr().cast()) })
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        use std::arch::x86_64::{_mm512_cmpeq_epi8_mask, _mm512_set1_epi8};
        // SAFETY: as above.
        unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte as i8)) }
    }

    #[inline(always)]
    fn control(self) -> u64 {
        use std::arch::x86_64::{_mm512_cmplt_epu8_mask, _mm512_set1_epi8};
        // SAFETY: as above.
        unsafe { _mm512_cmplt_epu8_mask(self.0, _mm512_set1_epi8(0x20)) }
    }

    #[inline(always)]
    fn places(marks: u64, escaped: u64, start: u32, places: &mut [u32; AT_ONCE]) -> u64 {
        use std::arch::x86_64::{
            _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cvtepu8_epi32, _mm512_loadu_epi8,
            _mm512_mask_add_epi32, _mm512_maskz_compress_epi8, _mm512_set1_epi32,
            _mm512_storeu_epi32, _pdep_u64, _pext_u64,
        };
        const TWICE: [u8; BLOCK] = {
            let mut twice = [0; BLOCK];
            let mut at = 0;
            while at < BLOCK {
                twice[at] = 2 * at as u8;
                at += 1;
            }
            twice
        };
        // SAFETY: as above; the places have 64 bytes.
        unsafe {
            let first = _mm512_maskz_compress_epi8(marks, _mm512_loadu_epi8(TWICE.as_ptr().cast()));
            let first = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(first));
            let first = _mm512_add_epi32(first, _mm512_set1_epi32((2 * start).cast_signed()));
            let odd = _pext_u64(escaped, marks) as u16;
            let first = _mm512_mask_add_epi32(first, odd, first, _mm512_set1_epi32(1));
            _mm512_storeu_epi32(places.as_mut_ptr().cast(), first);
            marks & !_pdep_u64(u64::from(u16::MAX), marks)
        }
    }
}

/// What every x86-64 has.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Sse2([__m128i; 4]);

#[cfg(target_arch = "x86_64")]
impl Sse2 {
    #[inline(always)]
    fn bits(self, hits: impl Fn(__m128i) -> __m128i) -> u64 {
        use std::arch::x86_64::_mm_movemask_epi8;
        // SAFETY: SSE2 is part of every x86-64.
        let bits = |part| unsafe { _mm_movemask_epi8(hits(part)) } as u64;
        self.0.into_iter().rev().fold(0, |all, part| all << 16 | bits(part))
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for Sse2 {
    #[inline(always)]
    fn load(block: &[u8; BLOCK]) -> Self {
        use std::arch::x86_64::_mm_loadu_si128;
        // SAFETY: the block has four times 16 bytes.
        Self([0, 16, 32, 48].map(|at| unsafe { _mm_loadu_si128(block[at..].as_ptr().cast()) }))
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_set1_epi8};
        // SAFETY: SSE2 is part of every x86-64.
        self.bits(|part| unsafe { _mm_cmpeq_epi8(part, _mm_set1_epi8(byte as i8)) })
    }

    #[inline(always)]
    fn control(self) -> u64 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_min_epu8, _mm_set1_epi8};
        // SAFETY: SSE2 is part of every x86-64.
        self.bits(|part| unsafe { _mm_cmpeq_epi8(_mm_min_epu8(part, _mm_set1_epi8(0x1F)), part) })
    }
}

/// Eight bytes at a time, anywhere.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[derive(Clone, Copy)]
pub(super) struct Words([u64; 8]);

#[cfg(any(test, not(target_arch = "x86_64")))]
const ONES: u64 = 0x0101_0101_0101_0101;

#[cfg(any(test, not(target_arch = "x86_64")))]
impl Words {
    /// Which bytes are zero once `change` was applied to the words.
    #[inline(always)]
    fn zeros(self, change: impl Fn(u64) -> u64) -> u64 {
        const LOW: u64 = ONES * 0x7F;
        self.0.into_iter().rev().fold(0, |bits, word| {
            let word = change(word);
            let found = !(((word & LOW) + LOW) | word | LOW);
            // Gathers the eight high bits in the highest byte.
            bits << 8 | (found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
        })
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
impl Lanes for Words {
    #[inline(always)]
    fn load(block: &[u8; BLOCK]) -> Self {
        let mut words = [0; 8];
        let (parts, _) = block.as_chunks::<8>();
        for (word, part) in words.iter_mut().zip(parts) {
            *word = u64::from_le_bytes(*part);
        }
        Self(words)
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        self.zeros(|word| word ^ (ONES * u64::from(byte)))
    }

    #[inline(always)]
    fn control(self) -> u64 {
        self.zeros(|word| word & (ONES * 0xE0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<L: Lanes>() {
        for byte in 0..=255 {
            for at in 0..BLOCK {
                for around in [b'a', 0xFF, b'"'] {
                    let mut block = [around; BLOCK];
                    block[at] = byte;
                    let bits = |hit: &dyn Fn(u8) -> bool| {
                        block.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(hit(byte)))
                    };
                    let lanes = L::load(&block);
                    assert_eq!(lanes.control(), bits(&|byte| byte < 0x20));
                    for asked in [b'"', b'\\', b'a', byte] {
                        assert_eq!(lanes.equal(asked), bits(&|byte| byte == asked));
                    }
                }
            }
        }
    }

    #[test]
    fn every_byte_at_every_place() {
        check::<Base>();
        check::<Words>();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bw") {
            check::<Avx512>();
        }
    }
}
