//! Numbers: checked digit by digit, never rounded.

use super::{Fault, Kind, Scanner};

impl Scanner<'_> {
    pub(super) fn number(&mut self) -> Result<Kind, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.fault("a digit")),
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            whole = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(number_kind(self.text.get(start..self.at).unwrap_or_default(), whole))
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        let before = self.at;
        self.digits();
        if self.at == before { Err(self.fault("a digit")) } else { Ok(()) }
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
    }
}

fn number_kind(text: &str, whole: bool) -> Kind {
    if whole && text != "-0" {
        match text.parse::<i64>() {
            Ok(_) => Kind::Int,
            Err(_) => Kind::Wide,
        }
    } else {
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Kind::Float,
            _ => Kind::Wide,
        }
    }
}
