//! Where the next byte is that means something inside a string.

/// Bytes that are looked at in one go: as many as a `u64` has bits.
const BLOCK: usize = 64;

/// Finds quotes, backslashes and control characters, 64 bytes at a time.
///
/// The block around the last find is kept, so that short strings and texts with many escapes do
/// not pay for a look each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Specials {
    block: usize,
    bits: u64,
}

impl Specials {
    /// Nothing was looked at yet.
    pub(super) fn new() -> Self {
        Self { block: usize::MAX, bits: 0 }
    }

    /// The first special byte at or behind `at`; calls are for the same `bytes`, from left to right.
    #[inline(always)]
    pub(super) fn next(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let here = u64::MAX << (at % BLOCK);
        if at - at % BLOCK == self.block && self.bits & here != 0 {
            return Some(self.block + (self.bits & here).trailing_zeros() as usize);
        }
        self.search(bytes, at)
    }

    fn search(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        self.load(bytes, at - at % BLOCK);
        self.bits &= u64::MAX << (at % BLOCK);
        while self.bits == 0 {
            if self.block + BLOCK >= bytes.len() {
                return None;
            }
            self.load(bytes, self.block + BLOCK);
        }
        Some(self.block + self.bits.trailing_zeros() as usize)
    }

    #[inline]
    fn load(&mut self, bytes: &[u8], block: usize) {
        let rest = bytes.get(block..).unwrap_or_default();
        self.block = block;
        self.bits = match rest.first_chunk() {
            Some(whole) => special_bits(whole),
            None => {
                let mut last = [b' '; BLOCK];
                last[..rest.len()].copy_from_slice(rest);
                special_bits(&last)
            }
        };
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
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x,
        _mm_set1_epi8,
    };
    let mut bits = 0;
    let (parts, _) = block.as_chunks::<16>();
    for part in parts.iter().rev() {
        let part = u128::from_le_bytes(*part);
        let part = _mm_set_epi64x((part >> 64) as i64, part as i64);
        let quote = _mm_cmpeq_epi8(part, _mm_set1_epi8(b'"' as i8));
        let backslash = _mm_cmpeq_epi8(part, _mm_set1_epi8(b'\\' as i8));
        let control = _mm_cmpeq_epi8(_mm_min_epu8(part, _mm_set1_epi8(0x1F)), part);
        let special = _mm_or_si128(_mm_or_si128(quote, backslash), control);
        bits = bits << 16 | _mm_movemask_epi8(special) as u64;
    }
    bits
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
        let bytes: Vec<u8> = (0..300).map(|at| if at % 37 == 5 { b'"' } else { b'x' }).collect();
        for length in [0, 1, 63, 64, 65, 128, 300] {
            let mut specials = Specials::new();
            for at in 0..=length {
                let expected = (at..length).find(|&at| at % 37 == 5);
                assert_eq!(specials.next(&bytes[..length], at), expected, "{length} {at}");
            }
        }
    }
}
