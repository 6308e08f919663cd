//! What digits are worth: exact, of any length, the same however they are written.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::characters::digit;

/// Spaces between groups of three digits.
pub const GROUP_SPACES: [char; 3] = [' ', '\u{a0}', '\u{202f}'];
/// Tells values from stems.
const VALUE_SEED: u64 = 1;

/// Digits before and after the decimal mark, in ASCII.
pub struct Plain {
    whole: Vec<u8>,
    part: Vec<u8>,
}

impl Plain {
    /// Of digits of any script; other characters are left out.
    pub fn new(whole: &[char], part: &[char]) -> Self {
        let of = |text: &[char]| text.iter().filter_map(|&one| digit(one)).collect();
        Self { whole: of(whole), part: of(part) }
    }

    /// Hash of the value times `by` and a power of ten: the same for `1.50` and `1.5`.
    pub fn hash(&self, power: u32, by: u64) -> u64 {
        let mut digits = [self.whole.as_slice(), self.part.as_slice()].concat();
        let mut exponent = i64::from(power) - self.part.len() as i64;
        if by != 1 {
            multiply(&mut digits, by);
        }
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        let first = digits.iter().position(|&one| one != 0).unwrap_or(digits.len());
        let mut bytes = digits.split_off(first);
        if !bytes.is_empty() {
            bytes.extend_from_slice(&exponent.to_le_bytes());
        }
        xxh3_64_with_seed(&bytes, VALUE_SEED).max(1)
    }
}

/// Multiplies a number in decimal digits, the first the highest.
fn multiply(digits: &mut Vec<u8>, by: u64) {
    let mut carry = 0;
    for one in digits.iter_mut().rev() {
        let product = u64::from(*one) * by + carry;
        *one = (product % 10) as u8;
        carry = product / 10;
    }
    while carry > 0 {
        digits.insert(0, (carry % 10) as u8);
        carry /= 10;
    }
}

/// Values of one number in digits; of several where the digits are no plain number.
pub fn plain_values(digits: &[char]) -> Vec<Vec<Plain>> {
    let is_digits = |text: &[char]| !text.is_empty() && text.iter().all(|&c| digit(c).is_some());
    if is_digits(digits) {
        return vec![vec![Plain::new(digits, &[])]];
    }
    let mut values = Vec::new();
    let marks: Vec<usize> = (0..digits.len()).filter(|&at| digit(digits[at]).is_none()).collect();
    let dot = digits.iter().position(|&one| one == '.');
    let (whole, part) = dot.map_or((digits, None), |at| (&digits[..at], Some(&digits[at + 1..])));
    let is_whole = is_digits(whole) || is_grouped(whole, &[',']);
    if is_whole && part.is_none_or(is_digits) {
        values.push(Plain::new(whole, part.unwrap_or_default()));
    } else if let [at] = marks[..]
        && matches!(digits[at], '.' | ',')
        && is_digits(&digits[..at])
        && is_digits(&digits[at + 1..])
    {
        values.push(Plain::new(&digits[..at], &digits[at + 1..]));
    }
    if is_grouped(digits, &['.', ',', ' ', '\u{a0}', '\u{202f}']) {
        values.push(Plain::new(digits, &[]));
    }
    if !values.is_empty() {
        return vec![values];
    }
    let parts = digits.split(|&one| digit(one).is_none()).filter(|part| !part.is_empty());
    parts.map(|part| vec![Plain::new(part, &[])]).collect()
}

/// Up to three digits, then groups of three behind marks.
fn is_grouped(text: &[char], marks: &[char]) -> bool {
    let mut groups = text.split(|one| marks.contains(one));
    let is_digits = |group: &[char]| group.iter().all(|&one| digit(one).is_some());
    let first = groups.next().unwrap_or_default();
    let mut num_more = 0;
    let are_three = groups.all(|group| {
        num_more += 1;
        group.len() == 3 && is_digits(group)
    });
    (1..=3).contains(&first.len()) && is_digits(first) && are_three && num_more > 0
}
