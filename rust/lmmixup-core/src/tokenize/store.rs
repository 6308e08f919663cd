//! The tokens of a pool on disk: four bytes a token, read back record by record.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, Int32Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use rayon::prelude::*;

use super::chat::{Chat, ChatScratch, Drop, TRAINED};
use crate::embed::rows::Shelf;
use crate::pack::Rows;
use crate::pool::canonical::{Record, Sink};
use crate::pool::{Reader, Reject, Request};
use crate::template::Said;
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Label of a token that is not trained on, as torch's cross entropy has it.
pub const IGNORED: i32 = -100;
/// Records that one task encodes at a time.
const ROWS_A_TASK: usize = 256;

/// What records become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most tokens of a record.
    pub max_tokens: u32,
    /// Cut a record that has more at its end; else it is dropped.
    pub truncate: bool,
}

/// Tokens of some records, made on one thread.
#[derive(Debug, Default)]
pub struct Encoded {
    tokens: Vec<u32>,
    records: Vec<std::result::Result<Length, Drop>>,
    failed: Option<Error>,
}

#[derive(Clone, Copy, Debug)]
struct Length {
    kept: u32,
    whole: u32,
    trained: u32,
    has_special: bool,
}

/// Counts over all records that were encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records by their number of tokens, before truncation.
    pub lengths: BTreeMap<u32, u64>,
    /// Records that were cut.
    pub truncated: u64,
    /// Records of which a content held the text of a special token.
    pub special_in_text: u64,
    /// Tokens that are trained on.
    pub trained: u64,
}

/// Tokens of a pool's records in the order they came: eight bytes a record in memory, the tokens
/// in a file.
#[derive(Debug)]
pub struct TokenPool {
    chat: Arc<Chat>,
    limits: Limits,
    shelf: Arc<Shelf<ChatScratch>>,
    path: PathBuf,
    file: File,
    /// Where each record's tokens end.
    ends: Vec<u64>,
    dropped: Vec<(String, Drop)>,
    totals: Totals,
    num_pushed: u64,
}

impl TokenPool {
    /// An empty pool whose tokens go to a new file.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be made; [`Error::Argument`] for limits of nothing.
    pub fn new(chat: Arc<Chat>, limits: Limits, path: &Path) -> Result<Self> {
        if limits.max_tokens == 0 || limits.max_tokens > i32::MAX as u32 {
            let got = limits.max_tokens;
            return Err(Error::Argument(format!("max_tokens must be 1 to 2^31 - 1, got {got}")));
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        Ok(Self {
            chat,
            limits,
            shelf: Arc::default(),
            path: path.to_owned(),
            file: file.map_err(|error| Error::io(path, error))?,
            ends: Vec::new(),
            dropped: Vec::new(),
            totals: Totals::default(),
            num_pushed: 0,
        })
    }

    /// Opens a file whose records are encoded on the threads that parse it; the plan must want
    /// ids.
    ///
    /// # Errors
    /// As [`Reader::with_sinks`].
    pub fn open(&self, request: Request) -> Result<Reader<Encoded>> {
        let (chat, limits, shelf) = (Arc::clone(&self.chat), self.limits, Arc::clone(&self.shelf));
        Reader::with_sinks(request, move |bytes| TokenSink {
            chat: Arc::clone(&chat),
            limits,
            scratch: shelf.take(),
            shelf: Arc::clone(&shelf),
            texts: Default::default(),
            made: Encoded { tokens: Vec::with_capacity(bytes / 4), ..Encoded::default() },
        })
    }

    /// Adds records of a file up to the next that was rejected; `None` at the end.
    ///
    /// # Errors
    /// As [`Reader::next_part`]; [`Error::Data`] as [`Chat::encode`]; [`Error::Io`].
    pub fn read(
        &mut self,
        reader: &mut Reader<Encoded>,
        progress: &Progress,
    ) -> Result<Option<Vec<Reject>>> {
        let mut ids: Vec<String> = Vec::new();
        loop {
            ids.clear();
            let Some(part) = reader.next_part(|id| ids.push(id.to_owned()), progress)? else {
                return Ok(None);
            };
            let keep = |at: usize| part.keep.as_ref().is_none_or(|keep| keep[at]);
            self.absorb(part.made, keep, |at| ids.get(at).cloned().unwrap_or_default())?;
            if !part.rejects.is_empty() {
                return Ok(Some(part.rejects));
            }
        }
    }

    /// Adds the records of a batch with `id` and `messages`.
    ///
    /// # Errors
    /// [`Error::Data`] where the batch lacks one or a chat cannot be encoded; [`Error::Io`].
    pub fn push(
        &mut self,
        batch: &RecordBatch,
        num_threads: usize,
        progress: &Progress,
    ) -> Result<()> {
        let columns = ChatColumns::of(batch)?;
        let starts: Vec<usize> = (0..batch.num_rows()).step_by(ROWS_A_TASK).collect();
        let made: Vec<Encoded> = with_threads(num_threads, || {
            let encode = |&start: &usize| {
                let mut scratch = self.shelf.take();
                let mut made = Encoded::default();
                for row in start..batch.num_rows().min(start + ROWS_A_TASK) {
                    made.take(&self.chat, self.limits, &columns.turns(row), &mut scratch);
                }
                self.shelf.give(scratch);
                made
            };
            Ok(starts.par_iter().map(encode).collect())
        })?;
        let mut first = 0;
        for part in made {
            let count = part.records.len();
            self.absorb(part, |_| true, |at| columns.id(first + at).to_owned())?;
            first += count;
            progress.advance(count as u64)?;
        }
        Ok(())
    }

    fn absorb(
        &mut self,
        made: Encoded,
        keep: impl Fn(usize) -> bool,
        id: impl Fn(usize) -> String,
    ) -> Result<()> {
        if let Some(error) = made.failed {
            return Err(error);
        }
        let mut end = self.ends.last().copied().unwrap_or(0);
        let mut at = 0;
        let mut tokens = made.tokens;
        let all_stay = (0..made.records.len()).all(&keep);
        let mut kept: Vec<u32> = Vec::new();
        for (row, record) in made.records.into_iter().enumerate() {
            let count = record.as_ref().map_or(0, |length| length.kept as usize);
            if keep(row) {
                self.num_pushed += 1;
                match record {
                    Ok(length) => {
                        if !all_stay {
                            kept.extend_from_slice(&tokens[at..at + count]);
                        }
                        end += u64::from(length.kept);
                        self.ends.push(end);
                        self.totals.count(length);
                    }
                    Err(drop) => self.dropped.push((id(row), drop)),
                }
            }
            at += count;
        }
        if !all_stay {
            tokens = kept;
        }
        let bytes = Buffer::from_vec(tokens);
        self.file.write_all(&bytes).map_err(|error| Error::io(&self.path, error))
    }

    /// Number of records that have tokens.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no record has tokens.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number of records that came in, those that were dropped included.
    pub fn num_pushed(&self) -> u64 {
        self.num_pushed
    }

    /// Tokens of all records.
    pub fn num_tokens(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Id of each record that became no tokens, and why.
    pub fn dropped(&self) -> &[(String, Drop)] {
        &self.dropped
    }

    /// Counts over all records.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// What encodes the chats.
    pub fn chat(&self) -> &Chat {
        &self.chat
    }

    /// Tokens of each record.
    pub fn lengths(&self) -> Vec<u32> {
        (0..self.len()).map(|record| self.range(record).1 as u32).collect()
    }

    /// Where a record's tokens begin, and how many they are.
    fn range(&self, record: usize) -> (u64, usize) {
        let start = if record == 0 { 0 } else { self.ends[record - 1] };
        (start, (self.ends[record] - start) as usize)
    }

    /// Rows of packed records as a batch: `input_ids`, `labels`, `seq_lengths` and, where asked
    /// for, `position_ids`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] where a batch would hold more than 2³¹ tokens.
    pub fn batch(
        &self,
        rows: &Rows,
        range: std::ops::Range<usize>,
        positions: bool,
        num_threads: usize,
    ) -> Result<RecordBatch> {
        let pieces: Vec<Vec<(u64, usize)>> = range
            .map(|row| rows.row(row).iter().map(|&record| self.range(record as usize)).collect())
            .collect();
        self.read_rows(&pieces, positions, num_threads)
    }

    /// Rows of `capacity` tokens that follow each other through all records, cut where a row is
    /// full.
    ///
    /// # Errors
    /// As [`TokenPool::batch`].
    pub fn wrapped_batch(
        &self,
        capacity: u32,
        range: std::ops::Range<usize>,
        positions: bool,
        num_threads: usize,
    ) -> Result<RecordBatch> {
        let capacity = u64::from(capacity);
        let cut = |row: usize| {
            let (mut at, last) = (row as u64 * capacity, (row as u64 + 1) * capacity);
            let last = last.min(self.num_tokens());
            let mut record = self.ends.partition_point(|&end| end <= at);
            let mut pieces = Vec::new();
            while at < last {
                let end = self.ends[record].min(last);
                if end > at {
                    pieces.push((at, (end - at) as usize));
                }
                (at, record) = (end, record + 1);
            }
            pieces
        };
        let pieces: Vec<Vec<(u64, usize)>> = range.map(cut).collect();
        self.read_rows(&pieces, positions, num_threads)
    }

    fn read_rows(
        &self,
        rows: &[Vec<(u64, usize)>],
        positions: bool,
        num_threads: usize,
    ) -> Result<RecordBatch> {
        let row_lengths: Vec<usize> =
            rows.iter().map(|row| row.iter().map(|&(_, count)| count).sum()).collect();
        let total: usize = row_lengths.iter().sum();
        if i32::try_from(total).is_err() {
            return Err(Error::Data(format!("a batch may have 2^31 tokens, got {total}")));
        }
        let (mut ids, mut labels) = (vec![0i32; total], vec![IGNORED; total]);
        let mut tasks = Vec::with_capacity(rows.len());
        let (mut ids_left, mut labels_left) = (ids.as_mut_slice(), labels.as_mut_slice());
        for (row, &length) in rows.iter().zip(&row_lengths) {
            let (ids, rest) = ids_left.split_at_mut(length);
            ids_left = rest;
            let (labels, rest) = labels_left.split_at_mut(length);
            labels_left = rest;
            tasks.push((row, ids, labels));
        }
        with_threads(num_threads, || {
            tasks.into_par_iter().try_for_each(|(row, ids, labels)| self.read_row(row, ids, labels))
        })?;
        let token_offsets = OffsetBuffer::from_lengths(row_lengths);
        let sequences = rows.iter().flatten().map(|&(_, count)| count as i32).collect();
        let sequence_offsets = OffsetBuffer::from_lengths(rows.iter().map(Vec::len));
        let mut columns = vec![
            ("input_ids", list(token_offsets.clone(), ids)),
            ("labels", list(token_offsets.clone(), labels)),
            ("seq_lengths", list(sequence_offsets, sequences)),
        ];
        if positions {
            let positions = rows.iter().flatten().flat_map(|&(_, count)| 0..count as i32);
            columns.push(("position_ids", list(token_offsets, positions.collect())));
        }
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
            .collect();
        let arrays = columns.into_iter().map(|(_, array)| Arc::new(array) as _).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }

    fn read_row(&self, row: &[(u64, usize)], ids: &mut [i32], labels: &mut [i32]) -> Result<()> {
        let mut at = 0;
        let mut bytes = Vec::new();
        for &(start, count) in row {
            bytes.resize(count * 4, 0);
            let read = self.file.read_exact_at(&mut bytes, start * 4);
            read.map_err(|error| Error::io(&self.path, error))?;
            let values =
                bytes.chunks_exact(4).map(|token| token.try_into().map_or(0, u32::from_ne_bytes));
            for (token, (id, label)) in
                values.zip(ids[at..].iter_mut().zip(labels[at..].iter_mut()))
            {
                *id = (token & !TRAINED) as i32;
                if token & TRAINED != 0 {
                    *label = *id;
                }
            }
            // What comes before the first token of a sequence is another one's.
            labels[at] = IGNORED;
            at += count;
        }
        Ok(())
    }
}

fn list(offsets: OffsetBuffer<i32>, values: Vec<i32>) -> ListArray {
    let values = Int32Array::new(ScalarBuffer::from(values), None);
    let field = Arc::new(Field::new_list_field(DataType::Int32, true));
    ListArray::new(field, offsets, Arc::new(values), None)
}

impl Totals {
    fn count(&mut self, length: Length) {
        *self.lengths.entry(length.whole).or_default() += 1;
        self.truncated += u64::from(length.kept < length.whole);
        self.special_in_text += u64::from(length.has_special);
        self.trained += u64::from(length.trained);
    }
}

impl Encoded {
    /// Encodes one more chat.
    fn take(&mut self, chat: &Chat, limits: Limits, turns: &[Said<'_>], scratch: &mut ChatScratch) {
        if self.failed.is_some() {
            return;
        }
        let start = self.tokens.len();
        match chat.encode(turns, scratch, &mut self.tokens) {
            Err(error) => self.failed = Some(error),
            Ok(Err(drop)) => {
                self.tokens.truncate(start);
                self.records.push(Err(drop));
            }
            Ok(Ok(has_special)) => {
                let length = self.limit(start, limits, has_special);
                if length.is_err() {
                    self.tokens.truncate(start);
                }
                self.records.push(length);
            }
        }
    }

    fn limit(
        &mut self,
        start: usize,
        limits: Limits,
        has_special: bool,
    ) -> std::result::Result<Length, Drop> {
        let whole = u32::try_from(self.tokens.len() - start).unwrap_or(u32::MAX);
        let over = || format!("{whole} tokens, at most {} are kept", limits.max_tokens);
        if whole > limits.max_tokens {
            if !limits.truncate {
                return Err(Drop { reason: "too-long", detail: over() });
            }
            self.tokens.truncate(start + limits.max_tokens as usize);
        }
        let trained = self.tokens[start..].iter().filter(|&token| token & TRAINED != 0).count();
        if trained == 0 {
            let detail = match whole > limits.max_tokens {
                true => format!("no token of an answer is left: {}", over()),
                false => "no token of an answer".to_owned(),
            };
            return Err(Drop { reason: "no-answer", detail });
        }
        let kept = whole.min(limits.max_tokens);
        Ok(Length { kept, whole, trained: trained as u32, has_special })
    }
}

/// Encodes a chunk of a pool file on the thread that parses it.
struct TokenSink {
    chat: Arc<Chat>,
    limits: Limits,
    scratch: ChatScratch,
    shelf: Arc<Shelf<ChatScratch>>,
    texts: [String; 2],
    made: Encoded,
}

impl Sink for TokenSink {
    type Made = Encoded;

    fn push(&mut self, record: &Record<'_>) {
        let [mut prompt, mut completion] = std::mem::take(&mut self.texts);
        {
            let texts = (record.prompt(&mut prompt), record.completion(&mut completion));
            record.with_turns(texts.0, texts.1, |turns| {
                self.made.take(&self.chat, self.limits, turns, &mut self.scratch);
            });
        }
        self.texts = [prompt, completion];
    }

    fn finish(self) -> Result<Encoded> {
        self.shelf.give(self.scratch);
        Ok(self.made)
    }
}

/// `id` and `messages` of a batch of records.
struct ChatColumns {
    id: StringArray,
    ends: ListArray,
    role: StringArray,
    content: StringArray,
}

impl ChatColumns {
    fn of(batch: &RecordBatch) -> Result<Self> {
        let text = |array: &dyn Array| -> Result<StringArray> {
            Ok(cast(array, &DataType::Utf8)?.as_string::<i32>().clone())
        };
        let wrong = || Error::Data("expected columns `id` and `messages`; use open_pool".into());
        let id = batch.column_by_name("id").ok_or_else(wrong)?;
        let messages = batch.column_by_name("messages").ok_or_else(wrong)?;
        let ends = messages.as_list_opt::<i32>().ok_or_else(wrong)?;
        let turns: &StructArray = ends.values().as_struct_opt().ok_or_else(wrong)?;
        let role = turns.column_by_name("role").ok_or_else(wrong)?;
        let content = turns.column_by_name("content").ok_or_else(wrong)?;
        Ok(Self { id: text(id)?, ends: ends.clone(), role: text(role)?, content: text(content)? })
    }

    fn id(&self, row: usize) -> &str {
        self.id.value(row)
    }

    fn turns(&self, row: usize) -> Vec<Said<'_>> {
        let offsets = self.ends.value_offsets();
        let turns = offsets[row] as usize..offsets[row + 1] as usize;
        let said = |turn: usize| Said {
            role: self.role.value(turn),
            content: if self.content.is_null(turn) { "" } else { self.content.value(turn) },
        };
        turns.map(said).collect()
    }
}
