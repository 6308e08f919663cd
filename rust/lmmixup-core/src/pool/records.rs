//! The records of a chunk as pieces of text with their line or row.

use memchr::memchr;

use crate::pool::chunk::{Chunk, Layout};
use crate::pool::reject::Reject;

/// One record of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Line<'c> {
    /// 1-based line or row.
    pub number: u64,
    /// Where it begins in the chunk.
    pub start: usize,
    /// Its bytes.
    pub bytes: &'c [u8],
    text: Option<&'c str>,
}

impl<'c> Line<'c> {
    /// Its text.
    ///
    /// # Errors
    /// A [`Reject`] without line and raw text where it is not UTF-8.
    pub fn text(&self) -> Result<&'c str, Reject> {
        self.text.map_or_else(|| utf8(self.bytes), Ok)
    }
}

/// Lines of a chunk that are not blank, or elements of a list. Blank lines count as lines but
/// are no records.
pub fn lines(chunk: &Chunk) -> Lines<'_> {
    let spans = match &chunk.layout {
        Layout::Spans(spans) => Some(spans.iter()),
        Layout::Lines => None,
        Layout::Fields { .. } => Some([].iter()),
    };
    // One look at all of the text spares a look at each line.
    let text = simdutf8::basic::from_utf8(&chunk.data).ok();
    Lines { data: &chunk.data, text, spans, at: 0, number: chunk.first }
}

/// See [`lines`].
#[derive(Debug)]
pub struct Lines<'c> {
    data: &'c [u8],
    text: Option<&'c str>,
    spans: Option<std::slice::Iter<'c, (usize, usize)>>,
    at: usize,
    number: u64,
}

impl<'c> Iterator for Lines<'c> {
    type Item = Line<'c>;

    fn next(&mut self) -> Option<Line<'c>> {
        loop {
            let (start, end) = match &mut self.spans {
                Some(spans) => *spans.next()?,
                None => self.next_line()?,
            };
            let number = self.number;
            self.number += 1;
            let bytes = &self.data[start..end];
            if self.spans.is_some() || !bytes.iter().all(u8::is_ascii_whitespace) {
                let text = self.text.and_then(|text| text.get(start..end));
                return Some(Line { number, start, bytes, text });
            }
        }
    }
}

impl Lines<'_> {
    fn next_line(&mut self) -> Option<(usize, usize)> {
        let start = self.at;
        if start >= self.data.len() {
            return None;
        }
        let length = memchr(b'\n', &self.data[start..]);
        let end = length.map_or(self.data.len(), |length| start + length);
        self.at = end + 1;
        let has_return = end > start && self.data[end - 1] == b'\r';
        Some((start, if has_return { end - 1 } else { end }))
    }
}

/// Bytes as text.
///
/// # Errors
/// A [`Reject`] without line and raw text where they are not UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str, Reject> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| {
        let at = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
        let byte = bytes.get(at).copied().unwrap_or_default();
        let got = format!("byte 0x{byte:02X} at column {}", at + 1);
        Reject::new("utf8", "UTF-8", got, "convert the file with iconv, or drop the line")
    })
}
