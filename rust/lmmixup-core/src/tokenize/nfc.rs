//! Whether a text is in Unicode's normal form C, told fast for text that plainly is.

use std::sync::LazyLock;

use tokenizers::pipeline::PipelineNormalizer;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, is_nfc_quick};

/// Characters of the first two planes that stand alone: a text of them is in form C.
static ALONE: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut bits = vec![0; 1 << 11];
    for character in (0..=0x1_ffff).filter_map(char::from_u32) {
        let is_alone = is_nfc_quick(std::iter::once(character)) == IsNormalized::Yes
            && canonical_combining_class(character) == 0;
        bits[character as usize / 64] |= u64::from(is_alone) << (character as usize % 64);
    }
    bits
});

/// The first byte of U+0300, before which all characters stand alone.
const FIRST: u8 = 0xcc;

/// Whether these do nothing but bring a text to form C.
pub fn only_composes(normalizers: &[PipelineNormalizer]) -> bool {
    normalizers.iter().all(|one| matches!(one, PipelineNormalizer::NFC(_)))
}

/// Whether a text is plainly in form C; false may still be right.
pub fn is_nfc(text: &str) -> bool {
    // Without a branch for each byte, so that many are looked at together.
    let is_low = |part: &[u8]| !part.iter().fold(false, |any, &byte| any | (byte >= FIRST));
    if text.as_bytes().chunks(256).all(is_low) {
        return true;
    }
    let alone = &*ALONE;
    text.chars().all(|character| {
        alone
            .get(character as usize / 64)
            .is_some_and(|bits| bits >> (character as usize % 64) & 1 != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    #[test]
    fn low_characters_stand_alone() {
        let low: String = ('\0'..'\u{300}').collect();
        assert!(is_nfc(&low) && low.nfc().eq(low.chars()));
        assert!(!is_nfc("e\u{301}") && !is_nfc("\u{1100}\u{1161}") && !is_nfc("\u{2126}"));
        assert!(is_nfc("中文，「ひらがな」 “a” — é 한"));
    }

    proptest! {
        #[test]
        fn what_is_plain_is_normal(text in any::<String>(), more in "[e中\u{301}\u{3099}か\u{1161}가]{0,8}") {
            let text = text + &more;
            prop_assert!(!is_nfc(&text) || text.nfc().eq(text.chars()));
        }
    }
}
