//! Where the next byte is that means something inside a string.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::__m128i;

/// Bytes of a block: as many as a `u64` has bits.
pub(super) const BLOCK: usize = 64;
/// Blocks that are looked at in one go.
const BLOCKS: usize = 8;

/// Finds quotes, backslashes and control characters, half a KiB at a time.
///
/// The window around the last find is kept, so that short strings and texts with many escapes do
/// not pay for a look each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Specials {
    /// Number of the first block of the window.
    first: usize,
    /// What is special in each block of the window.
    bits: [u64; BLOCKS],
}

impl Specials {
    /// Nothing was looked at yet.
    pub(super) fn new() -> Self {
        Self { first: usize::MAX - BLOCKS, bits: [0; BLOCKS] }
    }

    /// The first special byte at or behind `at`; calls are for the same `bytes`, from left to right.
    #[inline(always)]
    pub(super) fn next(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let block = at / BLOCK;
        if let Some(bits) = self.bits.get(block.wrapping_sub(self.first)) {
            let bits = bits & u64::MAX << (at % BLOCK);
            if bits != 0 {
                return Some(block * BLOCK + bits.trailing_zeros() as usize);
            }
            return self.search(bytes, block + 1);
        }
        self.look(bytes, block);
        self.bits[0] &= u64::MAX << (at % BLOCK);
        self.search(bytes, block)
    }

    /// The first special byte in or behind a block.
    fn search(&mut self, bytes: &[u8], mut block: usize) -> Option<usize> {
        loop {
            let rest = self.bits.get(block - self.first..).unwrap_or_default();
            if let Some(more) = rest.iter().position(|&bits| bits != 0) {
                return Some((block + more) * BLOCK + rest[more].trailing_zeros() as usize);
            }
            block += rest.len();
            if block * BLOCK >= bytes.len() {
                return None;
            }
            self.look(bytes, block);
        }
    }

    /// Moves the window.
    fn look(&mut self, bytes: &[u8], block: usize) {
        self.first = block;
        let rest = bytes.get(block * BLOCK..).unwrap_or_default();
        let window = &rest[..rest.len().min(BLOCKS * BLOCK)];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bw") {
            // SAFETY: the instruction set was just found.
            unsafe { look_avx512(window, &mut self.bits) };
            return;
        }
        look_by_blocks(window, &mut self.bits);
    }
}

/// Looks at a window of any length; bits of others become 0.
fn look_by_blocks(window: &[u8], bits: &mut [u64; BLOCKS]) {
    *bits = [0; BLOCKS];
    let (whole, rest) = window.as_chunks::<BLOCK>();
    for (bits, block) in bits.iter_mut().zip(whole) {
        *bits = special_bits(block);
    }
    if let Some(bits) = bits.get_mut(whole.len()) {
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        *bits = special_bits(&last);
    }
}

/// The same, a block an instruction.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn look_avx512(window: &[u8], bits: &mut [u64; BLOCKS]) {
    use std::arch::x86_64::{
        _mm512_cmpeq_epi8_mask, _mm512_cmplt_epu8_mask, _mm512_maskz_loadu_epi8, _mm512_set1_epi8,
    };
    for (at, bits) in bits.iter_mut().enumerate() {
        let len = window.len().saturating_sub(at * BLOCK).min(BLOCK) as u32;
        let lanes = u64::MAX.checked_shr(BLOCK as u32 - len).unwrap_or(0);
        let from = window.as_ptr().wrapping_add(at * BLOCK).cast();
        // SAFETY: only the lanes within the window are read.
        let block = unsafe { _mm512_maskz_loadu_epi8(lanes, from) };
        let quote = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(b'"' as i8));
        let backslash = _mm512_cmpeq_epi8_mask(block, _mm512_set1_epi8(b'\\' as i8));
        let control = _mm512_cmplt_epu8_mask(block, _mm512_set1_epi8(0x20));
        *bits = (quote | backslash | control) & lanes;
    }
}

/// One bit a byte, the lowest for the first: set where it is special.
#[cfg(target_arch = "x86_64")]
#[inline]
fn special_bits(block: &[u8; BLOCK]) -> u64 {
    // SAFETY: SSE2 is part of every x86-64, so nothing has to be asked at run time.
    unsafe { special_bits_sse2(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn special_bits_sse2(block: &[u8; BLOCK]) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_min_epu8, _mm_or_si128, _mm_set1_epi8};
    bits_sse2(block, |part| {
        let quote = _mm_cmpeq_epi8(part, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(part, _mm_set1_epi8(b'\\' as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(part, _mm_set1_epi8(0x1F)), part);
        _mm_or_si128(_mm_or_si128(quote, backslash), control)
    })
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn bits_sse2(block: &[u8; BLOCK], hits: impl Fn(__m128i) -> __m128i) -> u64 {
    use std::arch::x86_64::{_mm_movemask_epi8, _mm_set_epi64x};
    let (parts, _) = block.as_chunks::<16>();
    parts.iter().rev().fold(0, |bits, part| {
        let part = u128::from_le_bytes(*part);
        let part = _mm_set_epi64x((part >> 64) as i64, part as i64);
        bits << 16 | _mm_movemask_epi8(hits(part)) as u64
    })
}

/// One bit a byte: set where it is a backslash.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn backslash_bits(block: &[u8; BLOCK]) -> u64 {
    #[target_feature(enable = "sse2")]
    #[inline]
    fn sse2(block: &[u8; BLOCK]) -> u64 {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_set1_epi8};
        bits_sse2(block, |part| _mm_cmpeq_epi8(part, _mm_set1_epi8(b'\\' as i8)))
    }
    // SAFETY: SSE2 is part of every x86-64.
    unsafe { sse2(block) }
}

/// The same a byte at a time.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn backslash_bits(block: &[u8; BLOCK]) -> u64 {
    block.iter().rev().fold(0, |bits, &byte| bits << 1 | u64::from(byte == b'\\'))
}

/// The same eight bytes at a time.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn special_bits(block: &[u8; BLOCK]) -> u64 {
    special_bits_portable(block)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn special_bits_portable(block: &[u8; BLOCK]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOW: u64 = ONES * 0x7F;
    // The high bit of each byte that is zero.
    let zero = |word: u64| !(((word & LOW) + LOW) | word | LOW);
    let (words, _) = block.as_chunks::<8>();
    words.iter().rev().fold(0, |bits, word| {
        let word = u64::from_le_bytes(*word);
        let found = zero(word ^ (ONES * u64::from(b'"')))
            | zero(word ^ (ONES * u64::from(b'\\')))
            | zero(word & (ONES * 0xE0));
        // Gathers the eight high bits in the highest byte.
        bits << 8 | (found >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(byte: u8) -> bool {
        byte < 0x20 || byte == b'"' || byte == b'\\'
    }

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255 {
            for at in 0..BLOCK {
                for around in [b'a', 0xFF, b'"'] {
                    let mut block = [around; BLOCK];
                    block[at] = byte;
                    let expected = block
                        .iter()
                        .rev()
                        .fold(0, |bits, &byte| bits << 1 | u64::from(plain(byte)));
                    assert_eq!(special_bits(&block), expected);
                    assert_eq!(special_bits_portable(&block), expected);
                }
            }
        }
    }

    #[test]
    fn finds_all_in_order_and_from_anywhere() {
        let bytes: Vec<u8> = (0..1100).map(|at| if at % 137 == 5 { b'"' } else { b'x' }).collect();
        for length in [0, 1, 63, 64, 65, 128, 511, 512, 513, 1100] {
            let mut specials = Specials::new();
            for at in 0..=length {
                let expected = (at..length).find(|&at| at % 137 == 5);
                assert_eq!(specials.next(&bytes[..length], at), expected, "{length} {at}");
            }
        }
    }

    #[test]
    fn every_instruction_set_looks_alike() {
        let bytes: Vec<u8> = (0..BLOCKS * BLOCK).map(|at| (at * 7919 % 251) as u8).collect();
        for length in 0..=bytes.len() {
            let (mut specials, mut expected) = (Specials::new(), [7; BLOCKS]);
            specials.look(&bytes[..length], 0);
            look_by_blocks(&bytes[..length], &mut expected);
            assert_eq!(specials.bits, expected, "{length}");
        }
    }
}
