//! Where strings may end: one look at a whole text, without a branch for each find.

use super::bodies::padded;
#[cfg(target_arch = "x86_64")]
use super::lanes::Avx512;
use super::lanes::{BLOCK, Base, Lanes};

/// Bytes that are looked at in one go.
const WINDOW: usize = 128 * BLOCK;
/// Places that are written at once, needed or not.
pub(super) const AT_ONCE: usize = 16;

/// A byte that a string cannot simply go on over: a quote without a backslash before it, a
/// control character, or what follows a backslash if it is none of `"\bfnrt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Where it is.
    pub(super) at: usize,
    /// Whether a backslash is between it and the mark before it.
    pub(super) escaped: bool,
}

/// Finds the marks of a text from left to right, a window at a time.
///
/// What ends a string is hard to guess for a processor, byte by byte; so all ends are found by
/// arithmetic on 64 bytes at a time, and the scanner goes from one to the next.
#[derive(Clone, Debug)]
pub(super) struct Marks<'a> {
    bytes: &'a [u8],
    /// Where the window begins, and where the next one will.
    window: (usize, usize),
    /// Twice the place of each mark in the window, and 1 more if a backslash is before it.
    found: Vec<u32>,
    num_found: usize,
    next: usize,
    carry: Carry,
}

/// What a block has to know of those before it.
#[derive(Clone, Copy, Debug, Default)]
struct Carry {
    /// Its first byte follows a backslash that counts.
    is_escaped: bool,
    /// A backslash has come since the last mark.
    any_backslash: bool,
}

impl<'a> Marks<'a> {
    /// Nothing was looked at yet.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let room = bytes.len().min(WINDOW).next_multiple_of(BLOCK) + AT_ONCE;
        Self {
            bytes,
            window: (0, 0),
            found: vec![0; room],
            num_found: 0,
            next: 0,
            carry: Carry::default(),
        }
    }

    /// Takes the first mark at or behind `at`, and all before it.
    #[inline(always)]
    pub(super) fn take(&mut self, at: usize) -> Option<Mark> {
        loop {
            while self.next < self.num_found {
                let mark = self.found[self.next];
                self.next += 1;
                let place = self.window.0 + (mark >> 1) as usize;
                if place >= at {
                    return Some(Mark { at: place, escaped: mark & 1 != 0 });
                }
            }
            if !self.look() {
                return None;
            }
        }
    }

    /// Puts back the mark that was taken last.
    pub(super) fn put_back(&mut self) {
        self.next -= 1;
    }

    /// Moves the window; false at the end.
    #[inline(never)]
    fn look(&mut self) -> bool {
        let start = self.window.1;
        let window = &self.bytes[start..self.bytes.len().min(start + WINDOW)];
        self.window = (start, start + window.len());
        self.next = 0;
        self.num_found = 0;
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt")
        {
            // SAFETY: the instruction sets were just found.
            self.num_found = unsafe { look_avx512(window, &mut self.found, &mut self.carry) };
            return !window.is_empty();
        }
        self.num_found = look_with::<Base>(window, &mut self.found, &mut self.carry);
        !window.is_empty()
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,popcnt")]
fn look_avx512(window: &[u8], found: &mut [u32], carry: &mut Carry) -> usize {
    look_with::<Avx512>(window, found, carry)
}

/// Writes the marks of a window to `found`; returns how many they are.
#[inline(always)]
fn look_with<L: Lanes>(window: &[u8], found: &mut [u32], carry: &mut Carry) -> usize {
    let (whole, rest) = window.as_chunks::<BLOCK>();
    let mut num_found = 0;
    for (number, block) in whole.iter().enumerate() {
        let marks = carry.marks(L::load(block));
        num_found += write::<L>(number, marks, &mut found[num_found..]);
    }
    if !rest.is_empty() {
        let (marks, escaped) = carry.marks(L::load(&padded(rest)));
        // A backslash at the end would mark the first space behind the text.
        let within = u64::MAX >> (BLOCK - rest.len());
        num_found += write::<L>(whole.len(), (marks & within, escaped), &mut found[num_found..]);
    }
    num_found
}

impl Carry {
    /// The marks of a block, and those with a backslash before them.
    #[inline(always)]
    fn marks<L: Lanes>(&mut self, block: L) -> (u64, u64) {
        let (quotes, backslashes) = (block.equal(b'"'), block.equal(b'\\'));
        let mut marks = quotes | block.control();
        if backslashes != 0 || self.is_escaped {
            let escaped = self.escaped(backslashes);
            let plain =
                b"nrtbf".iter().fold(quotes | backslashes, |bits, &byte| bits | block.equal(byte));
            marks = marks & !escaped | escaped & !plain;
        }
        // A backslash added to a run of bytes without a mark carries into the mark behind it.
        let (sum, first) = (!marks).overflowing_add(backslashes);
        let (sum, second) = sum.overflowing_add(u64::from(self.any_backslash));
        self.any_backslash = first | second;
        (marks, sum & marks)
    }

    /// What follows a backslash that is not itself behind one that counts.
    ///
    /// In a run of backslashes every other one counts. Adding the starts at odd places to the
    /// backslashes runs through those runs and marks their ends, so that both kinds of runs can be
    /// told apart (Langdale and Lemire, "Parsing gigabytes of JSON per second", 2019).
    #[inline(always)]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        let before = u64::from(self.is_escaped);
        let backslashes = backslashes & !before;
        let behind = backslashes << 1 | before;
        let odd_starts = backslashes & !EVEN & !behind;
        let (even_runs, overflow) = odd_starts.overflowing_add(backslashes);
        self.is_escaped = overflow;
        (EVEN ^ even_runs << 1) & behind
    }
}

/// Writes the places of the marks of a block; returns how many they are.
#[inline(always)]
fn write<L: Lanes>(number: usize, (mut marks, escaped): (u64, u64), found: &mut [u32]) -> usize {
    let count = marks.count_ones() as usize;
    let start = (number * BLOCK) as u32;
    let (places, _) = found.as_chunks_mut::<AT_ONCE>();
    // A loop that ends where the marks do would be guessed wrong at most blocks.
    for places in &mut places[..count.div_ceil(AT_ONCE).max(1)] {
        marks = L::places(marks, escaped, start, places);
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The marks byte by byte.
    fn plain(bytes: &[u8]) -> Vec<Mark> {
        let (mut marks, mut is_escaped, mut any) = (Vec::new(), false, false);
        for (at, &byte) in bytes.iter().enumerate() {
            let is_mark = match is_escaped {
                true => !b"\"\\bfnrt".contains(&byte),
                false => byte < 0x20 || byte == b'"',
            };
            if is_mark {
                marks.push(Mark { at, escaped: any });
                any = false;
            }
            any |= byte == b'\\';
            is_escaped = byte == b'\\' && !is_escaped;
        }
        marks
    }

    fn all(bytes: &[u8]) -> Vec<Mark> {
        let mut marks = Marks::new(bytes);
        std::iter::from_fn(|| marks.take(0)).collect()
    }

    #[test]
    fn takes_all_up_to_a_place() {
        let bytes: Vec<u8> =
            (0..3 * WINDOW).map(|at| if at % 137 == 5 { b'"' } else { b'x' }).collect();
        for length in [0, 1, 63, 64, 65, WINDOW - 1, WINDOW, WINDOW + 1, bytes.len()] {
            let mut marks = Marks::new(&bytes[..length]);
            for at in (0..=length).step_by(200) {
                let expected = (at..length).find(|&at| at % 137 == 5);
                assert_eq!(marks.take(at).map(|mark| mark.at), expected, "{length} {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn as_byte_by_byte(text in "[\"\\\\nu/\n x]{0,300}", fill in 0..400_usize) {
            // Behind a filling, so that texts lie across windows.
            let text = [vec![b'x'; WINDOW - fill], text.into_bytes()].concat();
            prop_assert_eq!(all(&text), plain(&text));
        }

        #[test]
        fn every_instruction_set_looks_alike(text in "[\"\\\\nu/\n x]{0,400}") {
            let text = text.as_bytes();
            let mut expected = vec![0; text.len() + BLOCK + AT_ONCE];
            let count = look_with::<super::super::lanes::Words>(text, &mut expected, &mut Carry::default());
            let mut found = vec![0; expected.len()];
            let same = look_with::<Base>(text, &mut found, &mut Carry::default());
            prop_assert_eq!(&found[..same], &expected[..count]);
            let marks: Vec<usize> = all(text).into_iter().map(|mark| mark.at).collect();
            let places: Vec<usize> = expected[..count].iter().map(|&at| at as usize / 2).collect();
            prop_assert_eq!(marks, places);
        }
    }
}
