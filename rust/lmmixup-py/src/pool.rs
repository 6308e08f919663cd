//! Adapter of `lmmixup_core::pool`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_schema::Schema;
use lmmixup_core::exact::{ExactPool, Hashed};
use lmmixup_core::pool::canonical::Wanted;
use lmmixup_core::pool::infer::{ColumnSeen, ColumnType};
use lmmixup_core::pool::mapping::{IdRule, Mapping, Need, detect};
use lmmixup_core::pool::parse::{Original, Plan};
use lmmixup_core::pool::source::{Format, sniff};
use lmmixup_core::pool::turns::{self, Turn};
use lmmixup_core::pool::unique::IdKeeper;
use lmmixup_core::pool::{Batch, Reader, Reject, Request, Store, scan_columns, typed};
use lmmixup_core::text::{Numbered, TextPool};
use lmmixup_core::tokenize::{Encoded, TokenPool};
use lmmixup_core::{Error, Progress};
use numpy::{IntoPyArray, PyArray1};
use pyo3::prelude::*;
use pyo3_arrow::{PyArray, PyRecordBatch, PySchema};

use crate::error::to_python;
use crate::runtime::detach;

/// `(line, reason, expected, got, hint, raw)`.
pub type RejectRow = (u64, &'static str, String, String, String, String);

/// `(name, kinds, count)`.
type ColumnRow = (String, u16, u64);

/// Rejects as Python takes them.
pub fn reject_rows(rejects: Vec<Reject>) -> Vec<RejectRow> {
    rejects
        .into_iter()
        .map(|reject| {
            let Reject { line, reason, expected, got, hint, raw } = reject;
            (line, reason, expected, got, hint, raw)
        })
        .collect()
}

fn format_of(name: &str) -> Result<Format, Error> {
    match name {
        "jsonl" => Ok(Format::Jsonl),
        "json" => Ok(Format::JsonArray),
        "csv" => Ok(Format::Csv { separator: b',' }),
        "tsv" => Ok(Format::Csv { separator: b'\t' }),
        _ => Err(Error::Argument(format!("expected jsonl, json, csv or tsv, got `{name}`"))),
    }
}

/// Format and packing of a text file.
#[pyfunction]
pub fn pool_sniff(py: Python<'_>, path: PathBuf) -> PyResult<(&'static str, &'static str)> {
    let (format, packing) = py.detach(|| sniff(&path)).map_err(|error| to_python(py, error))?;
    let name = match format {
        Format::Csv { separator: b'\t' } => "tsv",
        format => format.name(),
    };
    Ok((name, packing.name()))
}

/// Columns of a text file and its number of records.
#[pyfunction]
#[pyo3(signature = (path, format, max_bytes, head_only, num_threads, on_progress=None))]
pub fn pool_columns(
    py: Python<'_>,
    path: PathBuf,
    format: &str,
    max_bytes: usize,
    head_only: bool,
    num_threads: usize,
    on_progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Vec<ColumnRow>, u64)> {
    let format = format_of(format).map_err(|error| to_python(py, error))?;
    let seen = detach(py, on_progress, |progress| {
        scan_columns(&path, format, max_bytes, head_only, num_threads, progress)
    })?;
    let columns = seen.columns.into_iter().map(|seen| (seen.name, seen.kinds, seen.count));
    Ok((columns.collect(), seen.num_records))
}

/// Columns of an Arrow schema, as [`pool_columns`].
#[pyfunction]
pub fn pool_schema_columns(schema: PySchema) -> Vec<ColumnRow> {
    let schema: Arc<Schema> = schema.into_inner();
    let columns = schema.fields().iter().map(|field| {
        let seen = typed::seen_of(field.name(), field.data_type());
        (seen.name, seen.kinds, seen.count)
    });
    columns.collect()
}

/// The column type that holds the kinds.
#[pyfunction]
pub fn pool_column_type(kinds: u16) -> &'static str {
    ColumnType::of(kinds).name()
}

/// Which columns of a pool say what.
#[pyclass(frozen, module = "lmmixup._rust")]
pub struct PoolMapping(Mapping);

#[pymethods]
impl PoolMapping {
    #[new]
    fn new(
        py: Python<'_>,
        columns: Vec<ColumnRow>,
        schema: Option<&str>,
        named: Vec<(String, Vec<String>)>,
        ids: &str,
    ) -> PyResult<Self> {
        let columns: Vec<ColumnSeen> = columns
            .into_iter()
            .map(|(name, kinds, count)| ColumnSeen { name, kinds, count })
            .collect();
        let ids = match ids {
            "column" => IdRule::Column,
            "content" => IdRule::Content,
            _ => IdRule::Auto,
        };
        let mapping =
            detect(&columns, schema, &named, ids).map_err(|error| to_python(py, error))?;
        Ok(Self(mapping))
    }

    /// Name of the schema.
    #[getter]
    fn schema(&self) -> &str {
        &self.0.schema
    }

    /// `(column, need)` of every column that is read.
    #[getter]
    fn roles(&self) -> Vec<(String, &'static str)> {
        let roles = self.0.roles.iter().map(|role| {
            let need = match role.need {
                Need::Text => "text",
                Need::OptionalText => "optional",
                Need::Turns => "turns",
                Need::Any => "any",
            };
            (role.column.clone(), need)
        });
        roles.collect()
    }

    /// `(system, id, source, task_type)`: their positions in `roles`.
    #[getter]
    fn positions(&self) -> (usize, usize, usize, usize) {
        (self.0.system, self.0.id, self.0.source, self.0.task_type)
    }
}

/// Keeps ids unique over all files of a pool.
#[pyclass(frozen, module = "lmmixup._rust")]
#[derive(Default)]
pub struct PoolIds(Arc<Mutex<IdKeeper>>);

#[pymethods]
impl PoolIds {
    #[new]
    fn new() -> Self {
        Self::default()
    }
}

/// What a reader is to make of a file.
#[pyclass(frozen, module = "lmmixup._rust")]
pub struct PoolPlan(Plan);

#[pymethods]
impl PoolPlan {
    #[new]
    fn new(
        py: Python<'_>,
        mapping: &PoolMapping,
        canonical: Vec<String>,
        originals: Vec<(String, String, String)>,
        source: String,
        fixed_source: bool,
        max_bytes: usize,
    ) -> PyResult<Self> {
        let originals: Result<Vec<Original>, Error> = originals
            .into_iter()
            .map(|(name, output, column)| {
                let column = ColumnType::from_name(&column).ok_or_else(|| {
                    Error::Argument(format!("expected a column type, got `{column}`"))
                })?;
                Ok(Original { name, output, column })
            })
            .collect();
        Ok(Self(Plan {
            mapping: mapping.0.clone(),
            wanted: Wanted::of(canonical.iter().map(String::as_str)),
            originals: originals.map_err(|error| to_python(py, error))?,
            source,
            fixed_source,
            max_bytes,
        }))
    }
}

/// Reads a text file: batch by batch, or into a store that takes its records as they are.
#[pyclass(frozen, module = "lmmixup._rust")]
pub struct PoolReader(Mutex<State>);

/// How far a [`PoolReader`] is.
pub enum State {
    Asked(Request),
    Batches(Reader),
    Hashes(Reader<Hashed>),
    Tokens(Reader<Numbered>),
    Chats(Reader<Encoded>),
    Closed,
}

#[pymethods]
impl PoolReader {
    #[new]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        format: &str,
        plan: &PoolPlan,
        ids: &PoolIds,
        num_threads: usize,
    ) -> PyResult<Self> {
        let format = format_of(format).map_err(|error| to_python(py, error))?;
        let (plan, keeper) = (plan.0.clone(), Arc::clone(&ids.0));
        let request = Request { path, format, plan, keeper, num_threads };
        Ok(Self(Mutex::new(State::Asked(request))))
    }

    /// The next batch with its rejects, or `None` at the end.
    fn next_batch(&self, py: Python<'_>) -> PyResult<Option<(PyRecordBatch, Vec<RejectRow>)>> {
        let batch = detach(py, None, |progress| {
            let mut state = self.lock();
            state.open(Reader::open, State::Batches)?;
            match &mut *state {
                State::Batches(reader) => reader.next_batch(progress),
                _ => Ok(None),
            }
        })?;
        Ok(batch.map(wrap))
    }

    /// Stops the threads and closes the file.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(std::mem::replace(&mut *self.lock(), State::Closed)));
    }
}

impl PoolReader {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a store read up to the next rejects, which are returned; `None` at the end.
    pub fn feed<S: Fed>(
        &self,
        py: Python<'_>,
        store: &mut S,
        on_progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Vec<RejectRow>>> {
        let rejects = detach(py, on_progress, move |progress| {
            progress.start(S::PHASE, 0);
            progress.advance(store.num_records() as u64)?;
            let mut state = self.lock();
            state.open(|request| store.open(request), S::opened)?;
            match S::reader(&mut state) {
                Some(reader) => store.read(reader, progress),
                None => Ok(None),
            }
        })?;
        Ok(rejects.map(reject_rows))
    }
}

/// A store that a [`PoolReader`] can feed.
pub trait Fed: Store + Send {
    /// What progress calls it.
    const PHASE: &'static str = "read pool";

    fn opened(reader: Reader<Self::Made>) -> State;
    fn reader(state: &mut State) -> Option<&mut Reader<Self::Made>>;
}

impl Fed for ExactPool {
    fn opened(reader: Reader<Hashed>) -> State {
        State::Hashes(reader)
    }

    fn reader(state: &mut State) -> Option<&mut Reader<Hashed>> {
        if let State::Hashes(reader) = state { Some(reader) } else { None }
    }
}

impl Fed for TextPool {
    fn opened(reader: Reader<Numbered>) -> State {
        State::Tokens(reader)
    }

    fn reader(state: &mut State) -> Option<&mut Reader<Numbered>> {
        if let State::Tokens(reader) = state { Some(reader) } else { None }
    }
}

impl Fed for TokenPool {
    const PHASE: &'static str = "tokenize";

    fn opened(reader: Reader<Encoded>) -> State {
        State::Chats(reader)
    }

    fn reader(state: &mut State) -> Option<&mut Reader<Encoded>> {
        if let State::Chats(reader) = state { Some(reader) } else { None }
    }
}

impl State {
    /// Starts the threads, if nobody has yet.
    fn open<M: Send + 'static>(
        &mut self,
        open: impl FnOnce(Request) -> Result<Reader<M>, Error>,
        opened: impl FnOnce(Reader<M>) -> Self,
    ) -> Result<(), Error> {
        if let Self::Asked(request) = self {
            *self = opened(open(request.clone())?);
        }
        Ok(())
    }
}

fn wrap(batch: Batch) -> (PyRecordBatch, Vec<RejectRow>) {
    (PyRecordBatch::new(batch.batch), reject_rows(batch.rejects))
}

/// Canonical and original columns of an Arrow batch, with its rejects.
#[pyfunction]
pub fn pool_canonicalise(
    py: Python<'_>,
    batch: PyRecordBatch,
    plan: &PoolPlan,
    ids: &PoolIds,
    first_row: u64,
) -> PyResult<(PyRecordBatch, Vec<RejectRow>)> {
    let batch = batch.into_inner();
    let (plan, ids) = (&plan.0, &ids.0);
    let made = detach(py, None, |progress: &Progress| {
        let mut keeper = ids.lock().unwrap_or_else(PoisonError::into_inner);
        typed::canonicalise(&batch, plan, &mut keeper, first_row, progress)
    })?;
    Ok(wrap(made))
}

/// Places of records in a random order that depends on their ids and a seed.
#[pyfunction]
pub fn pool_sample_keys<'py>(
    py: Python<'py>,
    ids: PyArray,
    seed: u64,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let keys = typed::sample_keys(ids.array(), seed).map_err(|error| to_python(py, error))?;
    Ok(keys.into_pyarray(py))
}

/// A hash of prompt and completion of every record.
#[pyfunction]
pub fn pool_text_keys<'py>(
    py: Python<'py>,
    prompt: PyArray,
    completion: PyArray,
) -> PyResult<Bound<'py, PyArray1<u64>>> {
    let keys = typed::text_keys(prompt.array(), completion.array());
    Ok(keys.map_err(|error| to_python(py, error))?.into_pyarray(py))
}

/// Prompt and completion of a conversation; `None` without an assistant turn.
#[pyfunction]
pub fn pool_prompt_completion(turns: Vec<(String, String)>) -> Option<(String, String)> {
    let turns: Vec<Turn<'_>> = turns
        .iter()
        .map(|(role, content)| Turn::new(role.as_str().into(), content.as_str()))
        .collect();
    let (prompt, completion) = turns::prompt_completion(&turns)?;
    Some((prompt.into_owned(), completion.to_owned()))
}
