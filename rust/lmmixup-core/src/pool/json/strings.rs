//! Strings: where they end, and whether their escapes are right.

use super::marks::Mark;
use super::{Escapes, Fault, Scanner};

impl<'a> Scanner<'a> {
    /// The body of a string whose opening quote was read, and what it has of escapes.
    // What a call gives back through memory is waited for; so this is no call, and the rare case
    // gives back little.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<(&'a str, Escapes), Fault> {
        let start = self.at;
        let escapes = match self.marks.take(self.start + start) {
            Some(mark) if self.text.as_bytes().get(mark.at - self.start) == Some(&b'"') => {
                self.at = mark.at - self.start + 1;
                if mark.escaped { Escapes::Short } else { Escapes::None }
            }
            mark => self.skip_to_end(mark)?,
        };
        Ok((self.text.get(start..self.at - 1).unwrap_or_default(), escapes))
    }

    /// Goes behind the end of a string from its first mark on.
    #[inline(never)]
    fn skip_to_end(&mut self, mut mark: Option<Mark>) -> Result<Escapes, Fault> {
        let (bytes, start) = (self.text.as_bytes(), self.at);
        let mut escapes = Escapes::None;
        loop {
            let Some(found) = mark.filter(|mark| mark.at < self.start + bytes.len()) else {
                return Err(self.unterminated(mark.is_some()));
            };
            if found.escaped && escapes == Escapes::None {
                escapes = Escapes::Short;
            }
            let at = found.at - self.start;
            match bytes[at] {
                b'"' => {
                    self.at = at + 1;
                    return Ok(escapes);
                }
                b'\0'..=0x1F if num_backslashes(&bytes[start..at]).is_multiple_of(2) => {
                    self.at = at;
                    let expected = "control characters written as \\uXXXX inside a string";
                    return Err(self.fault(expected));
                }
                _ => {
                    escapes = Escapes::Any;
                    self.at = at - 1;
                    self.escape()?;
                }
            }
            mark = self.marks.take(self.start + self.at);
        }
    }

    #[cold]
    fn unterminated(&mut self, went_on: bool) -> Fault {
        if went_on {
            // The next text begins before this mark.
            self.marks.put_back();
        }
        self.at = self.text.len();
        self.fault("`\"` to close the string")
    }

    /// Checks the escape at the current backslash and steps over it.
    fn escape(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        match bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => self.unicode_escape(),
            _ => Err(self.fault("one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")),
        }
    }

    fn unicode_escape(&mut self) -> Result<(), Fault> {
        let bytes = self.text.as_bytes();
        let Some(unit) = hex4(bytes, self.at + 2) else {
            return Err(self.fault("four hexadecimal digits after \\u"));
        };
        match unit {
            0xD800..=0xDBFF => {
                let low = match (bytes.get(self.at + 6), bytes.get(self.at + 7)) {
                    (Some(b'\\'), Some(b'u')) => hex4(bytes, self.at + 8),
                    _ => None,
                };
                if !matches!(low, Some(0xDC00..=0xDFFF)) {
                    return Err(self.fault("a pair of surrogates"));
                }
                self.at += 12;
            }
            0xDC00..=0xDFFF => return Err(self.fault("a pair of surrogates")),
            _ => self.at += 6,
        }
        Ok(())
    }
}

/// Backslashes at the end of a text.
fn num_backslashes(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|&&byte| byte == b'\\').count()
}

/// The unit that four hexadecimal digits stand for.
pub(super) fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .iter()
        .try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
}
