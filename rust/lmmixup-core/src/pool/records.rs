//! The records of a chunk as pieces of text with their line or row.

use memchr::memchr;

use crate::pool::chunk::{Chunk, Layout};

/// Lines of a chunk that are not blank, or elements of a list, each with its number. Blank
/// lines count as lines but are no records.
pub fn lines(chunk: &Chunk) -> Vec<(u64, &[u8])> {
    match &chunk.layout {
        Layout::Spans(spans) => {
            let texts = spans.iter().map(|&(start, end)| &chunk.data[start..end]);
            (chunk.first..).zip(texts).collect()
        }
        Layout::Lines => split_lines(&chunk.data, chunk.first),
        Layout::Fields { .. } => Vec::new(),
    }
}

fn split_lines(mut data: &[u8], mut number: u64) -> Vec<(u64, &[u8])> {
    let mut lines = Vec::with_capacity(data.len() / 256);
    while !data.is_empty() {
        let (line, rest) = match memchr(b'\n', data) {
            Some(at) => (&data[..at], &data[at + 1..]),
            None => (data, &data[data.len()..]),
        };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.iter().all(u8::is_ascii_whitespace) {
            lines.push((number, line));
        }
        number += 1;
        data = rest;
    }
    lines
}
