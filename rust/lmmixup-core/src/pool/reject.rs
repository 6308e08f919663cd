//! What could not be used, and why.

use crate::pool::json::Fault;

/// Raw text of a reject is cut at this many bytes; file and line lead to the rest.
pub const MAX_RAW: usize = 64 * 1024;

/// One line or row that is no record.
#[derive(Clone, Debug)]
pub struct Reject {
    /// 1-based line of the file, or 1-based row where the format has no lines.
    pub line: u64,
    /// Short name of the reason (`json`, `field`, `type`, `utf8`, `long`, `id`, `truncated`).
    pub reason: &'static str,
    /// What would have been right.
    pub expected: String,
    /// What was there.
    pub got: String,
    /// What to do about it; may be empty.
    pub hint: String,
    /// The raw text, invalid UTF-8 replaced, cut at [`MAX_RAW`] bytes.
    pub raw: String,
}

impl Reject {
    /// A reject without its raw text.
    pub fn new(
        reason: &'static str,
        expected: impl Into<String>,
        got: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            line: 0,
            reason,
            expected: expected.into(),
            got: got.into(),
            hint: hint.into(),
            raw: String::new(),
        }
    }

    /// Says where it was and what stood there.
    #[must_use]
    pub fn at(mut self, line: u64, raw: &[u8]) -> Self {
        self.line = line;
        self.raw = String::from_utf8_lossy(&raw[..raw.len().min(MAX_RAW)]).into_owned();
        self
    }

    /// The reject of a line that is not valid JSON.
    pub fn from_fault(fault: &Fault, raw: &[u8]) -> Self {
        let got = format!("{} at column {}", fault.got, fault.at + 1);
        let first = raw.iter().find(|byte| !byte.is_ascii_whitespace());
        let hint = match (fault.expected, first) {
            ("a pair of surrogates", _) => {
                "half a surrogate pair is no character; write the file again from its source"
            }
            ("a JSON value", _) if fault.got.starts_with("`NaN") || fault.got.contains("Inf") => {
                "NaN and Infinity are not JSON; write null"
            }
            ("a JSON object `{…}`", Some(b'[')) => "write one object a line",
            (_, Some(b'{')) if raw.len() <= 2 => {
                "is the file indented JSON? write one object a line, or one JSON list"
            }
            _ if fault.got == "the end of the text" => "the line ends too early",
            _ => "",
        };
        Self::new("json", fault.expected, got, hint)
    }
}
