//! Reads a pool file as canonical record batches, in order and in bounded memory.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::{Array, builder::StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{Field as ArrowField, Schema};

use crate::pool::canonical::Canonical;
use crate::pool::chunk::{Chunk, Chunks, Layout};
use crate::pool::ids::IdKeeper;
use crate::pool::infer::{Seen, look};
use crate::pool::parse::{Parsed, Plan, csv_text, parse};
use crate::pool::pipeline::Pipeline;
use crate::pool::records::lines;
use crate::pool::reject::Reject;
use crate::pool::source::Format;
use crate::{Progress, Result};

/// A batch of records and what was rejected on the way to it.
#[derive(Debug)]
pub struct Batch {
    /// The columns that were asked for: canonical ones in their order, then originals.
    pub batch: RecordBatch,
    /// What could not be used, by line.
    pub rejects: Vec<Reject>,
}

/// A pool file as batches.
#[derive(Debug)]
pub struct Reader {
    pipeline: Pipeline<Parsed>,
    plan: Arc<Plan>,
    keeper: Arc<Mutex<IdKeeper>>,
}

impl Reader {
    /// Opens a file. All readers of a pool share one `keeper`, in the order of the pool.
    ///
    /// # Errors
    /// [`crate::Error::Io`] and [`crate::Error::Data`] where the file cannot be read at all.
    pub fn open(
        path: &Path,
        format: Format,
        plan: Plan,
        keeper: Arc<Mutex<IdKeeper>>,
        num_threads: usize,
    ) -> Result<Self> {
        let chunks = Chunks::open(path, format, plan.max_bytes)?;
        let plan = Arc::new(plan);
        let shared = Arc::clone(&plan);
        let pipeline = Pipeline::start(chunks, num_threads, move |chunk| parse(&shared, chunk))?;
        Ok(Self { pipeline, plan, keeper })
    }

    /// The next batch, or `None` at the end. Batches may be empty.
    ///
    /// # Errors
    /// As [`Pipeline::next`].
    pub fn next_batch(&mut self, progress: &Progress) -> Result<Option<Batch>> {
        let Some(parsed) = self.pipeline.next(progress)? else { return Ok(None) };
        let Parsed { canonical, originals, rows, rejects, chunk } = parsed;
        let named = self.plan.originals.iter().map(|original| original.output.clone());
        let originals = named.zip(originals).collect();
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let wants_id = self.plan.wanted.id;
        let mut batch = assemble(canonical, originals, &rows, wants_id, &mut keeper, rejects)?;
        add_raw(&mut batch.rejects, &chunk);
        self.pipeline.recycle(chunk.data);
        progress.advance(batch.batch.num_rows() as u64)?;
        Ok(Some(batch))
    }
}

/// Makes ids unique, drops records whose own id was there already, and joins the columns.
///
/// # Errors
/// [`crate::Error::Arrow`] where columns are of different lengths.
pub fn assemble(
    canonical: Canonical,
    originals: Vec<(String, ArrayRef)>,
    rows: &[u64],
    wants_id: bool,
    keeper: &mut IdKeeper,
    mut rejects: Vec<Reject>,
) -> Result<Batch> {
    let (ids, keep) = make_ids(&canonical, rows, wants_id, keeper, &mut rejects);
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    if let Some(ids) = ids {
        columns.push(("id".to_owned(), Arc::new(ids)));
    }
    columns.extend(canonical.columns.into_iter().map(|(name, array)| (name.to_owned(), array)));
    columns.extend(originals);
    let fields: Vec<ArrowField> = columns
        .iter()
        .map(|(name, array)| ArrowField::new(name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
    let batch = match keep {
        Some(keep) => arrow_select::filter::filter_record_batch(&batch, &keep)?,
        None => batch,
    };
    rejects.sort_by_key(|reject| reject.line);
    Ok(Batch { batch, rejects })
}

fn make_ids(
    canonical: &Canonical,
    rows: &[u64],
    wants_id: bool,
    keeper: &mut IdKeeper,
    rejects: &mut Vec<Reject>,
) -> (Option<StringArray>, Option<BooleanArray>) {
    let own = &canonical.own_ids;
    if !wants_id && own.null_count() == own.len() {
        return (None, None);
    }
    let mut ids = StringBuilder::with_capacity(rows.len(), rows.len() * 16);
    let mut keep = vec![true; rows.len()];
    for (at, &row) in rows.iter().enumerate() {
        if own.is_valid(at) {
            let id = own.value(at);
            keep[at] = keeper.give(id);
            if !keep[at] {
                let got = format!("`{id}` again");
                let hint = "make ids from the content with --ids content";
                let mut reject = Reject::new("id", "an id that is new in the pool", got, hint);
                reject.line = row;
                rejects.push(reject);
            }
            ids.append_value(id);
        } else if wants_id {
            ids.append_value(keeper.make(canonical.hashes[at]));
        }
    }
    let keep = if keep.iter().all(|&keep| keep) { None } else { Some(BooleanArray::from(keep)) };
    (wants_id.then(|| ids.finish()), keep)
}

/// Adds the raw text to rejects that were found after parsing.
fn add_raw(rejects: &mut [Reject], chunk: &Chunk) {
    if rejects.iter().all(|reject| reject.reason != "id" || !reject.raw.is_empty()) {
        return;
    }
    let texts: Vec<(u64, Vec<u8>)> = match &chunk.layout {
        Layout::Fields { records, .. } => {
            records.iter().map(|(line, record)| (*line, csv_text(record))).collect()
        }
        _ => lines(chunk).into_iter().map(|(line, text)| (line, text.to_vec())).collect(),
    };
    for reject in rejects.iter_mut().filter(|reject| reject.raw.is_empty()) {
        if let Ok(at) = texts.binary_search_by_key(&reject.line, |(line, _)| *line) {
            let filled = reject.clone().at(reject.line, &texts[at].1);
            *reject = filled;
        }
    }
}

/// Looks at the columns of a file: all of it, or (`head_only`) its first chunk.
///
/// # Errors
/// As [`Reader::open`] and [`Pipeline::next`].
pub fn scan_columns(
    path: &Path,
    format: Format,
    max_bytes: usize,
    head_only: bool,
    num_threads: usize,
    progress: &Progress,
) -> Result<Seen> {
    let mut chunks = Chunks::open(path, format, max_bytes)?;
    if head_only {
        let mut seen = Seen::default();
        // A first chunk may hold nothing but broken lines.
        while seen.num_records == 0 {
            let Some(chunk) = chunks.next_chunk(Vec::new())? else { break };
            progress.advance(0)?;
            seen.extend(&look(&chunk));
        }
        return Ok(seen);
    }
    let look_and_return = |chunk: Chunk| {
        let seen = look(&chunk);
        Ok((seen, chunk.data))
    };
    let mut pipeline = Pipeline::start(chunks, num_threads, look_and_return)?;
    let mut seen = Seen::default();
    while let Some((part, data)) = pipeline.next(progress)? {
        pipeline.recycle(data);
        seen.extend(&part);
        progress.advance(part.num_records)?;
    }
    Ok(seen)
}
