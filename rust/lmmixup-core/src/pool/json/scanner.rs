//! The grammar: objects, lists, values and what is nested in them.

use super::marks::Marks;
use super::{Escapes, Fault, Kind, MAX_DEPTH, Value, excerpt};

/// Walks JSON texts from left to right: one, or several that lie behind one another.
#[derive(Debug)]
pub struct Scanner<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// Where `text` begins in what is marked.
    pub(super) start: usize,
    pub(super) marks: Marks<'a>,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, ..Self::over(text.as_bytes()) }
    }

    /// A scanner of texts in `bytes`; [`Scanner::enter`] comes first.
    pub fn over(bytes: &'a [u8]) -> Self {
        Self { text: "", at: 0, start: 0, marks: Marks::new(bytes) }
    }

    /// Goes to `text`, which begins at `start` and behind all texts so far.
    pub fn enter(&mut self, start: usize, text: &'a str) {
        (self.start, self.text, self.at) = (start, text, 0);
    }

    /// Scans an object; `field(name, escapes_of_name, value)` sees each member in order.
    ///
    /// # Errors
    /// The first [`Fault`]; members before it were already handed out.
    pub fn object(
        &mut self,
        mut field: impl FnMut(&'a str, Escapes, Value<'a>),
    ) -> Result<(), Fault> {
        self.space();
        self.expect(b'{', "a JSON object `{…}`")?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            self.expect(b'"', "a field name in double quotes")?;
            let (name, name_escapes) = self.string()?;
            self.space();
            self.expect(b':', "`:` after the field name")?;
            let value = self.value()?;
            field(name, name_escapes, value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("`,` or `}` after a value")),
            }
        }
    }

    /// Scans an array; `element(value)` sees each element in order.
    ///
    /// # Errors
    /// The first [`Fault`]; elements before it were already handed out.
    pub fn array(&mut self, mut element: impl FnMut(Value<'a>)) -> Result<(), Fault> {
        self.space();
        self.expect(b'[', "a JSON list `[…]`")?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let value = self.value()?;
            element(value);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fault("`,` or `]` after an element")),
            }
        }
    }

    /// Checks that only white space is left.
    ///
    /// # Errors
    /// A [`Fault`] at the first other byte.
    pub fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fault("the end of the record")) }
    }

    /// Scans any value.
    ///
    /// # Errors
    /// The first [`Fault`].
    #[inline(always)]
    pub fn value(&mut self) -> Result<Value<'a>, Fault> {
        self.space();
        if self.peek() == Some(b'"') {
            self.at += 1;
            let (text, escapes) = self.string()?;
            return Ok(Value { kind: Kind::String, text, escapes });
        }
        let start = self.at;
        let kind = self.no_string()?;
        let text = self.text.get(start..self.at).unwrap_or_default();
        Ok(Value { kind, text, escapes: Escapes::None })
    }

    #[inline(never)]
    fn no_string(&mut self) -> Result<Kind, Fault> {
        match self.peek() {
            Some(b'{') => self.nested(Kind::Object),
            Some(b'[') => self.nested(Kind::Array),
            Some(b't') => self.word("true", Kind::Bool),
            Some(b'f') => self.word("false", Kind::Bool),
            Some(b'n') => self.word("null", Kind::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(self.fault("a JSON value")),
        }
    }

    /// Skips an object or array without recursion, checking everything inside.
    fn nested(&mut self, kind: Kind) -> Result<Kind, Fault> {
        let mut open: Vec<u8> = Vec::with_capacity(16);
        loop {
            // Here a value is due (or, right after an opening bracket, its closing one).
            self.space();
            match self.peek() {
                Some(b'{') => {
                    self.open(&mut open, b'}')?;
                    self.space();
                    if self.peek() != Some(b'}') {
                        self.name()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    self.open(&mut open, b']')?;
                    self.space();
                    if self.peek() != Some(b']') {
                        continue;
                    }
                }
                _ => {
                    self.value()?;
                }
            }
            if self.close(&mut open)? {
                return Ok(kind);
            }
        }
    }

    fn open(&mut self, open: &mut Vec<u8>, closing: u8) -> Result<(), Fault> {
        if open.len() == MAX_DEPTH {
            return Err(self.fault("at most 512 levels of nesting"));
        }
        self.at += 1;
        open.push(closing);
        Ok(())
    }

    /// After a value: closes brackets and stops where the next value is due. True at the end.
    fn close(&mut self, open: &mut Vec<u8>) -> Result<bool, Fault> {
        loop {
            self.space();
            let Some(&closing) = open.last() else { return Ok(true) };
            match self.peek() {
                Some(byte) if byte == closing => {
                    self.at += 1;
                    open.pop();
                    if open.is_empty() {
                        return Ok(true);
                    }
                }
                Some(b',') => {
                    self.at += 1;
                    if closing == b'}' {
                        self.space();
                        self.name()?;
                    }
                    return Ok(false);
                }
                _ if closing == b'}' => return Err(self.fault("`,` or `}` after a value")),
                _ => return Err(self.fault("`,` or `]` after an element")),
            }
        }
    }

    fn name(&mut self) -> Result<(), Fault> {
        self.expect(b'"', "a field name in double quotes")?;
        self.string()?;
        self.space();
        self.expect(b':', "`:` after the field name")
    }

    fn word(&mut self, word: &'static str, kind: Kind) -> Result<Kind, Fault> {
        if self.text.as_bytes().get(self.at..self.at + word.len()) == Some(word.as_bytes()) {
            self.at += word.len();
            Ok(kind)
        } else {
            Err(self.fault("a JSON value"))
        }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.fault(expected))
        }
    }

    #[cold]
    pub(super) fn fault(&self, expected: &'static str) -> Fault {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let got = if rest.is_empty() {
            "the end of the text".to_owned()
        } else {
            format!("`{}`", excerpt(rest))
        };
        Fault { at: self.at, expected, got }
    }
}
