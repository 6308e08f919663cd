//! Where a long word may be cut without changing its tokens.
//!
//! Text without spaces, such as Chinese, is one word of many characters, and hardly ever the same
//! one twice. A merge across a border of two characters makes a token that holds the end of one
//! and the start of the other side by side. Where no token of the vocabulary does, no merge ever
//! crosses that border, so both sides encode apart. The pieces are short and come again.

/// Bits of the table; a pair of strangers that shares a bit with a joined one stays uncut.
const BITS: usize = 1 << 20;

/// Borders of characters that some token crosses, hashed.
#[derive(Debug)]
pub struct Cuts {
    joined: Vec<u64>,
}

impl Default for Cuts {
    fn default() -> Self {
        Self { joined: vec![0; BITS / 64] }
    }
}

impl Cuts {
    /// Takes the bytes of a token of the vocabulary into account.
    pub fn learn(&mut self, token: &[u8]) {
        for at in 1..token.len() {
            if !is_inside(token[at]) {
                self.join(token, at);
            }
        }
    }

    /// Notes that a token crosses the border before its byte `at`. Of a character that the token
    /// holds in part, the byte at the border stands for it.
    fn join(&mut self, token: &[u8], at: usize) {
        let start = start_before(token, at);
        let end = at + width(token[at]);
        let left = match token[start..at].len() == width(token[start]) {
            true => &token[start..at],
            false => &token[at - 1..at],
        };
        let right = if end <= token.len() { &token[at..end] } else { &token[at..=at] };
        let bit = bit(left, right);
        self.joined[bit / 64] |= 1 << (bit % 64);
    }

    /// Where the piece of `text[start..end]` that begins at `start` ends at the latest.
    ///
    /// Borders are those of characters; `text` is UTF-8.
    pub fn next(&self, text: &[u8], start: usize, end: usize) -> usize {
        let mut left = start;
        let mut at = start + width(text[start]);
        while at < end {
            if self.may_cut(&text[left..at], &text[at..(at + width(text[at])).min(end)]) {
                return at;
            }
            left = at;
            at += width(text[at]);
        }
        end
    }

    fn may_cut(&self, left: &[u8], right: &[u8]) -> bool {
        let (last, first) = (&left[left.len() - 1..], &right[..1]);
        ![(left, right), (left, first), (last, right), (last, first)]
            .into_iter()
            .any(|(left, right)| self.is_joined(left, right))
    }

    fn is_joined(&self, left: &[u8], right: &[u8]) -> bool {
        let bit = bit(left, right);
        self.joined[bit / 64] >> (bit % 64) & 1 != 0
    }
}

/// Whether a byte continues a character.
fn is_inside(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Where the character before `at` begins, or the text if that comes first.
fn start_before(text: &[u8], at: usize) -> usize {
    (0..at).rev().find(|&start| !is_inside(text[start])).unwrap_or(0)
}

/// Bytes of the character that a byte begins; 1 for one that begins none.
fn width(first: u8) -> usize {
    match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
        _ => 1,
    }
}

fn bit(left: &[u8], right: &[u8]) -> usize {
    let pack = |bytes: &[u8]| bytes.iter().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
    let mixed = (pack(left) << 32 | pack(right)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 44) as usize & (BITS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(tokens: &[&[u8]]) -> Cuts {
        let mut cuts = Cuts::default();
        tokens.iter().for_each(|token| cuts.learn(token));
        cuts
    }

    fn pieces<'t>(cuts: &Cuts, text: &'t str) -> Vec<&'t str> {
        let mut start = 0;
        let mut found = Vec::new();
        while start < text.len() {
            let end = cuts.next(text.as_bytes(), start, text.len());
            found.push(&text[start..end]);
            start = end;
        }
        found
    }

    #[test]
    fn cuts_where_no_token_crosses() {
        let tokens = ["的", "我们", "们的x", "éa"].map(str::as_bytes);
        let cuts = learned(&tokens);
        assert_eq!(pieces(&cuts, "我们的x我éa"), ["我们的x", "我", "éa"]);
        assert_eq!(pieces(&cuts, "的的"), ["的", "的"]);
    }

    #[test]
    fn tokens_that_hold_parts_of_characters_join() {
        let (left, right) = ("的".as_bytes(), "我".as_bytes());
        let whole = [left, right].concat();
        for (from, to) in [(0, 4), (1, 4), (2, 6), (2, 5)] {
            let cuts = learned(&[&whole[from..to]]);
            assert_eq!(pieces(&cuts, "的我"), ["的我"], "{from}..{to}");
        }
        let apart = learned(&[&whole[..3], &whole[3..]]);
        assert_eq!(pieces(&apart, "的我"), ["的", "我"]);
    }
}
