//! Cuts one JSON list of records into its elements without holding the list.

use std::io;

use crate::pool::chunk::{CHUNK_BYTES, Chunk, Layout, Stream, too_long};
use crate::pool::reject::Reject;

/// Finds element borders by brackets and quotes alone; each element is checked later, in
/// parallel, by the scanner.
#[derive(Debug)]
pub struct ArrayCutter {
    stream: Stream,
    data: Vec<u8>,
    row: u64,
    max_bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the opening bracket.
    Start,
    /// Between elements or inside one.
    Inside,
    /// Behind the closing bracket or a fault that cannot be recovered from.
    Ended,
}

/// Where the cutter stands inside the element it is reading.
#[derive(Debug, Default)]
struct Cursor {
    at: usize,
    start: Option<usize>,
    depth: usize,
    in_string: bool,
}

enum Found {
    Element(usize, usize),
    Close,
    NeedMore,
}

impl ArrayCutter {
    /// A cutter over the unpacked bytes of a file.
    pub fn new(stream: Stream, max_bytes: usize) -> Self {
        Self { stream, data: Vec::new(), row: 1, max_bytes, state: State::Start }
    }

    /// The next chunk of whole elements, or `None` at the end.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        if self.state == State::Ended {
            return Ok(None);
        }
        let mut chunk = Chunk { first: self.row, ..Chunk::default() };
        let mut spans = Vec::new();
        let mut cursor = Cursor::default();
        loop {
            let came = self.stream.fill(&mut self.data, CHUNK_BYTES)?;
            self.open_list(&mut cursor);
            if self.collect(&mut cursor, &mut spans) {
                self.end_list(&mut cursor, &mut chunk)?;
                break;
            }
            let pending = self.data.len() - cursor.start.unwrap_or(cursor.at);
            if came == 0 || (spans.is_empty() && pending > self.max_bytes) {
                self.give_up(came == 0, &cursor, spans.len(), &mut chunk);
                break;
            }
            if !spans.is_empty() {
                break;
            }
        }
        self.row += spans.len() as u64;
        let consumed = spans.last().map_or(0, |&(_, end)| end);
        let rest = self.data.split_off(consumed);
        chunk.data = std::mem::replace(&mut self.data, rest);
        chunk.layout = Layout::Spans(spans);
        Ok(Some(chunk))
    }

    fn open_list(&mut self, cursor: &mut Cursor) {
        if self.state == State::Start
            && let Some(at) = self.data.iter().position(|&byte| byte == b'[')
        {
            cursor.at = at + 1;
            self.state = State::Inside;
        }
    }

    /// Collects whole elements; true when the closing bracket came.
    fn collect(&self, cursor: &mut Cursor, spans: &mut Vec<(usize, usize)>) -> bool {
        loop {
            match find_element(&self.data, cursor) {
                Found::Element(start, end) => spans.push((start, end)),
                Found::Close => return true,
                Found::NeedMore => return false,
            }
        }
    }

    fn end_list(&mut self, cursor: &mut Cursor, chunk: &mut Chunk) -> io::Result<()> {
        self.state = State::Ended;
        let mut rest = self.data.split_off(cursor.at);
        while rest.iter().all(u8::is_ascii_whitespace) {
            rest.clear();
            if self.stream.fill(&mut rest, CHUNK_BYTES)? == 0 {
                return Ok(());
            }
        }
        let hint = "put all records into one list, or write one object a line (.jsonl)";
        let got = "more text";
        let reject = Reject::new("json", "nothing after the closing `]`", got, hint);
        chunk.rejects.push(reject.at(0, &rest));
        Ok(())
    }

    fn give_up(&mut self, at_end: bool, cursor: &Cursor, found: usize, chunk: &mut Chunk) {
        self.state = State::Ended;
        let row = self.row + found as u64;
        let raw = self.data.get(cursor.start.unwrap_or(cursor.at)..).unwrap_or_default();
        let reject = if !at_end {
            too_long(row, raw, self.max_bytes)
        } else if let Some(fault) = self.stream.take_fault(row, raw) {
            fault
        } else {
            let hint = "the file is cut off, or a bracket or quote before this row is not closed";
            Reject::new("json", "`]` at the end of the list", "the end of the file", hint)
                .at(row, raw)
        };
        chunk.rejects.push(reject);
    }
}

fn find_element(data: &[u8], cursor: &mut Cursor) -> Found {
    while cursor.at < data.len() {
        if cursor.in_string {
            match memchr::memchr2(b'"', b'\\', &data[cursor.at..]) {
                None => {
                    cursor.at = data.len();
                    return Found::NeedMore;
                }
                Some(offset) if data[cursor.at + offset] == b'"' => {
                    cursor.at += offset + 1;
                    cursor.in_string = false;
                }
                Some(offset) if cursor.at + offset + 1 < data.len() => cursor.at += offset + 2,
                Some(offset) => {
                    // A backslash ends what was read so far: look at it again with the next.
                    cursor.at += offset;
                    return Found::NeedMore;
                }
            }
            continue;
        }
        let at = cursor.at;
        match data[at] {
            b' ' | b'\t' | b'\r' | b'\n' if cursor.start.is_none() => {}
            b',' if cursor.depth == 0 => {
                cursor.at += 1;
                // A comma without an element before it is an empty element: a fault, but a
                // comma after an element has just ended it.
                if let Some(start) = cursor.start.take() {
                    return Found::Element(start, at);
                }
                continue;
            }
            b']' if cursor.depth == 0 => {
                if let Some(start) = cursor.start.take() {
                    return Found::Element(start, at);
                }
                cursor.at += 1;
                return Found::Close;
            }
            byte => {
                cursor.start.get_or_insert(at);
                match byte {
                    b'"' => cursor.in_string = true,
                    b'{' | b'[' => cursor.depth += 1,
                    b'}' | b']' => cursor.depth = cursor.depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
        cursor.at += 1;
    }
    Found::NeedMore
}
