//! Rows of packed records, as Arrow batches.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, Int32Array, ListArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Schema};

use super::chat::TRAINED;
use super::store::{Handed, Windows};
use super::window::Window;
use crate::pack::{Rows, best_fit};
use crate::{Error, Result};

/// Label of a token that is not trained on, as torch's cross entropy has it.
pub const IGNORED: i32 = -100;

/// How records come into rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Whole records, best-fit decreasing.
    BestFit,
    /// One after another, cut where a row is full.
    Wrapped,
    /// One a row.
    Single,
}

/// A record, and the part of its tokens that a row has.
type Piece = (usize, Range<usize>);

/// Some rows that stand one after another.
#[derive(Debug)]
pub struct Made {
    /// How many.
    pub num_rows: usize,
    /// Their tokens.
    pub num_tokens: usize,
    /// Them, where they were asked for.
    pub batch: Option<RecordBatch>,
}

/// Packs window by window, and makes the rows of each.
#[derive(Debug)]
pub struct PackedRows {
    windows: Windows,
    packing: Packing,
    capacity: u32,
    positions: bool,
    rows_per_batch: usize,
    window: Window,
    plan: Plan,
    /// Rows of the plan that were made.
    done: usize,
    is_over: bool,
    is_broken: bool,
}

/// Which records the rows of a window have.
#[derive(Debug)]
enum Plan {
    Whole(Rows),
    /// All tokens in rows of this many, the last with fewer.
    Cut {
        starts: Vec<u64>,
        capacity: u64,
        num_rows: usize,
    },
}

impl PackedRows {
    /// Of these windows, rows of at most `capacity` tokens.
    pub fn new(
        windows: Windows,
        packing: Packing,
        capacity: u32,
        positions: bool,
        rows_per_batch: usize,
    ) -> Self {
        let plan = Plan::Whole(Rows::default());
        let (window, rows_per_batch) = (Window::default(), rows_per_batch.max(1));
        Self {
            windows,
            packing,
            capacity,
            positions,
            rows_per_batch,
            window,
            plan,
            done: 0,
            is_over: false,
            is_broken: false,
        }
    }

    /// The next rows, `None` at the end or where the windows were broken off: `input_ids`, `labels`,
    /// `seq_lengths` and, where asked for, `position_ids`. Without `make` they are only counted.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] where a batch would hold more than 2³¹ tokens; as [`best_fit`].
    pub fn next_batch(&mut self, make: bool) -> Result<Option<Made>> {
        while self.done == self.plan.len() {
            if self.is_over || self.is_broken || !self.next_window()? {
                return Ok(None);
            }
        }
        let range = self.done..self.plan.len().min(self.done + self.rows_per_batch);
        self.done = range.end;
        let rows: Vec<Vec<Piece>> =
            range.map(|row| self.plan.row(row, &self.window.lengths)).collect();
        let num_tokens = rows.iter().flatten().map(|(_, part)| part.len()).sum();
        let batch = if make { Some(self.make(&rows)?) } else { None };
        Ok(Some(Made { num_rows: rows.len(), num_tokens, batch }))
    }

    /// Whether the end that came is none: the windows were broken off.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Packs the next window; false where they were broken off.
    fn next_window(&mut self) -> Result<bool> {
        let rest = self.rest()?;
        let window = match self.windows.handed.recv() {
            Ok(Handed::Window(window)) => window,
            Ok(Handed::End) => {
                self.is_over = true;
                Window::default()
            }
            Err(_) => {
                self.is_broken = true;
                return Ok(false);
            }
        };
        std::mem::replace(&mut self.window, window).recycle(&self.windows.shelves);
        if let Some((tokens, lengths)) = rest {
            self.window.add_before(tokens, lengths);
        }
        self.done = 0;
        let lengths = &self.window.lengths;
        self.plan = match self.packing {
            Packing::BestFit => Plan::Whole(best_fit(lengths, self.capacity, 0)?),
            Packing::Single => Plan::Whole(Rows::single(lengths.len())),
            Packing::Wrapped => Plan::cut(lengths, self.capacity, self.is_over),
        };
        Ok(true)
    }

    /// Tokens behind the last whole row, and of which records they are: of each the number.
    fn rest(&self) -> Result<Option<(Vec<u32>, Vec<u32>)>> {
        let Plan::Cut { num_rows, .. } = &self.plan else { return Ok(None) };
        let (mut tokens, mut lengths) = (Vec::new(), Vec::new());
        let mut scratch = Vec::new();
        for (record, part) in self.plan.row(*num_rows, &self.window.lengths) {
            lengths.push(part.len() as u32);
            let part = (part.start, part.len());
            tokens.extend_from_slice(self.window.tokens(record, part, &mut scratch)?);
        }
        Ok(Some((tokens, lengths)))
    }

    fn make(&self, rows: &[Vec<Piece>]) -> Result<RecordBatch> {
        let row_lengths: Vec<usize> =
            rows.iter().map(|row| row.iter().map(|(_, part)| part.len()).sum()).collect();
        let total: usize = row_lengths.iter().sum();
        if i32::try_from(total).is_err() {
            return Err(Error::Data(format!("a batch may have 2^31 tokens, got {total}")));
        }
        let (mut ids, mut labels) = (Vec::with_capacity(total), Vec::with_capacity(total));
        let mut scratch = Vec::new();
        for (record, part) in rows.iter().flatten() {
            let part = (part.start, part.len());
            push_piece(self.window.tokens(*record, part, &mut scratch)?, &mut ids, &mut labels);
        }
        let sequences = rows.iter().flatten().map(|(_, part)| part.len() as i32).collect();
        let sequence_offsets = OffsetBuffer::from_lengths(rows.iter().map(Vec::len));
        let token_offsets = OffsetBuffer::from_lengths(row_lengths);
        let mut columns = vec![
            ("input_ids", list(token_offsets.clone(), ids)),
            ("labels", list(token_offsets.clone(), labels)),
            ("seq_lengths", list(sequence_offsets, sequences)),
        ];
        if self.positions {
            let positions = rows.iter().flatten().flat_map(|(_, part)| 0..part.len() as i32);
            columns.push(("position_ids", list(token_offsets, positions.collect())));
        }
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
            .collect();
        let arrays = columns.into_iter().map(|(_, array)| Arc::new(array) as _).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }
}

impl Plan {
    /// Rows of `capacity` tokens, and at the end of all windows one with the rest.
    fn cut(lengths: &[u32], capacity: u32, is_last: bool) -> Self {
        let capacity = u64::from(capacity);
        let mut starts = vec![0];
        starts.extend(lengths.iter().scan(0, |end, &length| {
            *end += u64::from(length);
            Some(*end)
        }));
        let num_tokens = starts[lengths.len()];
        let num_rows = match is_last {
            true => num_tokens.div_ceil(capacity),
            false => num_tokens / capacity,
        };
        Self::Cut { starts, capacity, num_rows: num_rows as usize }
    }

    fn len(&self) -> usize {
        match self {
            Self::Whole(rows) => rows.len(),
            Self::Cut { num_rows, .. } => *num_rows,
        }
    }

    /// What a row has; for a row behind the last one, what is left over.
    fn row(&self, row: usize, lengths: &[u32]) -> Vec<Piece> {
        let (starts, capacity) = match self {
            Self::Whole(rows) => {
                let records = rows.row(row).iter().map(|&record| record as usize);
                return records.map(|record| (record, 0..lengths[record] as usize)).collect();
            }
            Self::Cut { starts, capacity, .. } => (starts, capacity),
        };
        let mut at = row as u64 * capacity;
        let last = (at + capacity).min(starts[lengths.len()]);
        let mut record = starts.partition_point(|&start| start <= at).saturating_sub(1);
        let mut pieces = Vec::new();
        while at < last {
            let end = starts[record + 1].min(last);
            if end > at {
                let start = starts[record];
                pieces.push((record, (at - start) as usize..(end - start) as usize));
                at = end;
            }
            record += 1;
        }
        pieces
    }
}

/// Appends ids and labels of a sequence.
fn push_piece(tokens: &[u32], ids: &mut Vec<i32>, labels: &mut Vec<i32>) {
    let first = labels.len();
    ids.extend(tokens.iter().map(|token| (token & !TRAINED) as i32));
    labels.extend(tokens.iter().map(|&token| {
        // All ones where it is trained on: without a branch, many tokens are done at a time.
        let is_trained = token as i32 >> 31;
        ((token & !TRAINED) as i32 & is_trained) | (IGNORED & !is_trained)
    }));
    // What comes before the first token of a sequence is another one's.
    if let Some(label) = labels.get_mut(first) {
        *label = IGNORED;
    }
}

fn list(offsets: OffsetBuffer<i32>, values: Vec<i32>) -> ListArray {
    let values = Int32Array::new(ScalarBuffer::from(values), None);
    let field = Arc::new(Field::new_list_field(DataType::Int32, true));
    ListArray::new(field, offsets, Arc::new(values), None)
}
