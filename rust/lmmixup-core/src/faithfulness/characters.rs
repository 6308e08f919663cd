//! Classes of characters, as Python's `re` and `str` have them: the reference is written there.

use unicode_normalization::char::is_combining_mark;

/// First of each ten decimal digits.
const ZEROS: [u32; 66] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
    0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0,
    0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

/// Value of a decimal digit of any script.
#[inline]
pub fn digit(character: char) -> Option<u8> {
    if character.is_ascii() {
        return character.is_ascii_digit().then(|| character as u8 - b'0');
    }
    let code = u32::from(character);
    let zero = ZEROS[..ZEROS.partition_point(|&zero| zero <= code)].last()?;
    u8::try_from(code - zero).ok().filter(|&value| value < 10)
}

/// Letters and numbers: `\w` without the underscore.
#[inline]
pub fn is_letter(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric();
    }
    character.is_alphanumeric() && !is_combining_mark(character) && !is_enclosed(character)
}

/// What `\b` stands at.
#[inline]
pub fn is_word(character: char) -> bool {
    character == '_' || is_letter(character)
}

/// Letters in circles and squares are alphabetic, yet symbols.
fn is_enclosed(character: char) -> bool {
    matches!(u32::from(character),
        0x24B6..=0x24E9 | 0x1F130..=0x1F149 | 0x1F150..=0x1F169 | 0x1F170..=0x1F189)
}

/// Thai, Lao, kana and Han have no spaces: a character counts as a word.
#[inline]
pub fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0x0E00..=0x0EFF | 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xF900..=0xFAFF)
}

/// Whether a letter is `lower` or its capital, the way `re.IGNORECASE` sees it.
fn is_same_letter(character: char, lower: char) -> bool {
    character.to_ascii_lowercase() == lower
        || match lower {
            'i' => matches!(character, '\u{130}' | '\u{131}'),
            'k' => character == '\u{212a}',
            's' => character == '\u{17f}',
            _ => false,
        }
}

/// Whether a word is `lower`, a word in lower case, without looking at case.
pub fn is_same_word(word: &str, lower: &str) -> bool {
    let mut letters = lower.chars();
    word.chars().all(|one| letters.next().is_some_and(|other| is_same_letter(one, other)))
        && letters.next().is_none()
}

/// The run of `\w` that a text begins with.
pub fn leading_run(text: &str) -> &str {
    &text[..text.find(|character| !is_word(character)).unwrap_or(text.len())]
}

/// The first `number` characters of a text, or all.
pub fn first_chars(text: &str, number: usize) -> &str {
    text.char_indices().nth(number).map_or(text, |(end, _)| &text[..end])
}
