//! Reads a pool file in order and in bounded memory, as Arrow batches or straight into a sink.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::{Field as ArrowField, Schema};

use crate::pool::canonical::{Canonical, CanonicalBuilder, Sink};
use crate::pool::chunk::{Chunk, Chunks, Layout};
use crate::pool::infer::{Seen, look};
use crate::pool::parse::{Parsed, Plan, csv_text, parse};
use crate::pool::pipeline::Pipeline;
use crate::pool::records::lines;
use crate::pool::reject::Reject;
use crate::pool::source::Format;
use crate::pool::unique::IdKeeper;
use crate::{Progress, Result};

/// A batch of records and what was rejected on the way to it.
#[derive(Debug)]
pub struct Batch {
    /// The columns that were asked for: canonical ones in their order, then originals.
    pub batch: RecordBatch,
    /// What could not be used, by line.
    pub rejects: Vec<Reject>,
}

/// A pool file, chunk by chunk, as what a [`Sink`] makes of it.
#[derive(Debug)]
pub struct Reader<M: Send + 'static = Canonical> {
    pipeline: Pipeline<Parsed<M>>,
    plan: Arc<Plan>,
    keeper: Arc<Mutex<IdKeeper>>,
    /// Bytes of the file, until its first chunk said how many records these will be.
    num_bytes: Option<u64>,
}

/// What a sink made of a chunk, ids settled.
#[derive(Debug)]
pub struct Part<M> {
    /// What the sink made, of all records.
    pub made: M,
    /// Which of them stay; `None` for all.
    pub keep: Option<Vec<bool>>,
    /// What was rejected, by line.
    pub rejects: Vec<Reject>,
    /// Number of records that stay.
    pub num_records: usize,
    originals: Vec<ArrayRef>,
}

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Request {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// What to make of it.
    pub plan: Plan,
    /// All readers of a pool share one, in the order of the pool.
    pub keeper: Arc<Mutex<IdKeeper>>,
    /// 0: one per available core.
    pub num_threads: usize,
}

impl<M: Send + 'static> Reader<M> {
    /// Opens a file; `sink` makes a sink for a chunk of so many bytes.
    ///
    /// # Errors
    /// [`crate::Error::Io`] and [`crate::Error::Data`] where the file cannot be read at all.
    pub fn with_sinks<S: Sink<Made = M>>(
        request: Request,
        sink: impl Fn(usize) -> S + Send + Sync + 'static,
    ) -> Result<Self> {
        let Request { path, format, plan, keeper, num_threads } = request;
        let chunks = Chunks::open(&path, format, plan.max_bytes)?;
        let num_bytes = std::fs::metadata(&path).ok().map(|about| about.len());
        let plan = Arc::new(plan);
        let shared = Arc::clone(&plan);
        let pipeline = Pipeline::start(chunks, num_threads, move |chunk: Chunk| {
            let sink = sink(chunk.data.len());
            parse(&shared, chunk, sink)
        })?;
        Ok(Self { pipeline, plan, keeper, num_bytes })
    }

    /// The next chunk, or `None` at the end; `see` gets the id of each of its records, those
    /// that do not stay included, if the plan wants ids.
    ///
    /// # Errors
    /// As [`Pipeline::next`].
    pub fn next_part(
        &mut self,
        see: impl FnMut(&str),
        progress: &Progress,
    ) -> Result<Option<Part<M>>> {
        let Some(parsed) = self.pipeline.next(progress)? else { return Ok(None) };
        let Parsed { made, ids, originals, rows, mut rejects, chunk } = parsed;
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(num_bytes) = self.num_bytes.take().filter(|_| ids.any_own()) {
            let num_chunks = num_bytes / chunk.data.len().max(1) as u64;
            keeper.expect(rows.len().saturating_mul(num_chunks as usize + 1));
        }
        let keep = ids.settle(self.plan.wanted.id, &rows, &mut keeper, &mut rejects, see);
        rejects.sort_by_key(|reject| reject.line);
        add_raw(&mut rejects, &chunk);
        self.pipeline.recycle(chunk.data);
        let num_records = match &keep {
            Some(keep) => keep.iter().filter(|&&keep| keep).count(),
            None => rows.len(),
        };
        progress.advance(num_records as u64)?;
        Ok(Some(Part { made, keep, rejects, num_records, originals }))
    }
}

impl Reader {
    /// Opens a file to read Arrow batches from it.
    ///
    /// # Errors
    /// As [`Reader::with_sinks`].
    pub fn open(request: Request) -> Result<Self> {
        let wanted = request.plan.wanted;
        Self::with_sinks(request, move |bytes| CanonicalBuilder::new(wanted, bytes))
    }

    /// The next batch, or `None` at the end. Batches may be empty.
    ///
    /// # Errors
    /// As [`Pipeline::next`].
    pub fn next_batch(&mut self, progress: &Progress) -> Result<Option<Batch>> {
        let mut ids = StringBuilder::new();
        let Some(part) = self.next_part(|id| ids.append_value(id), progress)? else {
            return Ok(None);
        };
        let ids = self.plan.wanted.id.then(|| ids.finish());
        let named = self.plan.originals.iter().map(|original| original.output.clone());
        let originals = named.zip(part.originals).collect();
        let batch = assemble(ids, part.made, originals, part.keep)?;
        Ok(Some(Batch { batch, rejects: part.rejects }))
    }
}

/// Joins columns and leaves out the records that do not stay.
///
/// # Errors
/// [`crate::Error::Arrow`] where columns are of different lengths.
pub fn assemble(
    ids: Option<StringArray>,
    canonical: Canonical,
    originals: Vec<(String, ArrayRef)>,
    keep: Option<Vec<bool>>,
) -> Result<RecordBatch> {
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
    let options = RecordBatchOptions::new().with_row_count(Some(canonical.num_records));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
    Ok(match keep {
        Some(keep) => arrow_select::filter::filter_record_batch(&batch, &keep.into())?,
        None => batch,
    })
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
        _ => lines(chunk).map(|line| (line.number, line.bytes.to_vec())).collect(),
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
