//! Rows of packed records, read back from the file of tokens as Arrow batches.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use arrow_array::{Array, Int32Array, ListArray, RecordBatch};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Schema};
use rayon::prelude::*;

use super::chat::TRAINED;
use super::store::TokenPool;
use crate::pack::Rows;
use crate::threads::with_threads;
use crate::{Error, Result};

/// Label of a token that is not trained on, as torch's cross entropy has it.
pub const IGNORED: i32 = -100;

/// Where tokens of one record stand in the file, and how many of them.
type Piece = (u64, usize);

impl TokenPool {
    /// Rows of packed records as a batch: `input_ids`, `labels`, `seq_lengths` and, where asked
    /// for, `position_ids`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] where a batch would hold more than 2³¹ tokens.
    pub fn batch(
        &self,
        rows: &Rows,
        range: Range<usize>,
        positions: bool,
        num_threads: usize,
    ) -> Result<RecordBatch> {
        let pieces: Vec<Vec<Piece>> = range
            .map(|row| rows.row(row).iter().map(|&record| self.place(record as usize)).collect())
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
        range: Range<usize>,
        positions: bool,
        num_threads: usize,
    ) -> Result<RecordBatch> {
        let capacity = u64::from(capacity);
        let cut = |row: usize| {
            let (mut at, last) = (row as u64 * capacity, (row as u64 + 1) * capacity);
            let last = last.min(self.num_tokens());
            let mut record = self.record_at(at);
            let mut pieces = Vec::new();
            while at < last {
                let (start, count) = self.place(record);
                let end = (start + count as u64).min(last);
                if end > at {
                    pieces.push((at, (end - at) as usize));
                    at = end;
                }
                record += 1;
            }
            pieces
        };
        let pieces: Vec<Vec<Piece>> = range.map(cut).collect();
        self.read_rows(&pieces, positions, num_threads)
    }

    fn read_rows(
        &self,
        rows: &[Vec<Piece>],
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

    fn read_row(&self, row: &[Piece], ids: &mut [i32], labels: &mut [i32]) -> Result<()> {
        let mut at = 0;
        let mut bytes = Vec::new();
        for &(start, count) in row {
            bytes.resize(count * 4, 0);
            let (file, path) = self.file();
            let read = file.read_exact_at(&mut bytes, start * 4);
            read.map_err(|error| Error::io(path, error))?;
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
