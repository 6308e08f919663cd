//! Which bytes of 64 are letters and which are visible, eight at a time in a register.

/// Bytes that are looked at together.
pub const WINDOW: usize = 64;

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x80 * ONES;

/// A bit for each of 64 bytes, the lowest for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// `a`..`z` and `0`..`9`.
    pub letters: u64,
    /// Letters, signs and bytes beyond ASCII; not spaces and controls.
    pub visible: u64,
}

impl Window {
    /// Looks at 64 bytes, ASCII in lower case.
    #[inline]
    pub fn new(bytes: &[u8; WINDOW]) -> Self {
        let (mut letters, mut visible) = (0, 0);
        for (at, &eight) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let eight = u64::from_le_bytes(eight);
            let ascii = eight & !TOPS;
            let letter = from(ascii, b'a') & !from(ascii, b'z' + 1);
            let digit = from(ascii, b'0') & !from(ascii, b'9' + 1);
            let seen = from(ascii, b'!') & !from(ascii, 0x7F);
            letters |= gather((letter | digit) & !eight) << (8 * at);
            visible |= gather(seen | eight) << (8 * at);
        }
        Self { letters, visible }
    }
}

/// The top bit of each byte (< 128) is set where it is at least `least`.
#[inline]
fn from(ascii: u64, least: u8) -> u64 {
    ascii + u64::from(0x80 - least) * ONES
}

/// The top bits of eight bytes side by side.
#[inline]
fn gather(bytes: u64) -> u64 {
    ((bytes & TOPS) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255u8 {
            for at in 0..WINDOW {
                let mut bytes = [b' '; WINDOW];
                bytes[at] = byte;
                let bit = |is: bool| u64::from(is) << at;
                let letters = bit(byte.is_ascii_lowercase() || byte.is_ascii_digit());
                let visible = bit(byte.is_ascii_graphic() || !byte.is_ascii());
                assert_eq!(Window::new(&bytes), Window { letters, visible });
            }
        }
    }
}
