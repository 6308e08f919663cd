//! Adapter of `lmmixup_core::tokenize`, `template` and `pack`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use lmmixup_core::embed::Texts;
use lmmixup_core::pack::{Rows, best_fit};
use lmmixup_core::pool::Store;
use lmmixup_core::template::Template;
use lmmixup_core::tokenize::{
    Chat, Encoder as CoreEncoder, Limits, PackedRows as CoreRows, Packing, SpecialInText,
    TokenPool as CorePool, Windows, identity,
};
use lmmixup_core::{Error, Result};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_arrow::{PyArray, PyRecordBatch};

use crate::error::to_python;
use crate::pool::{PoolReader, RejectRow};
use crate::runtime::detach;

/// Flat values and where each row of them begins.
type Csr<'py, V, O> = (Bound<'py, PyArray1<V>>, Bound<'py, PyArray1<O>>);

/// A `tokenizer.json` that encodes.
#[pyclass(frozen, module = "lmmixup._rust")]
pub struct Encoder(CoreEncoder);

#[pymethods]
impl Encoder {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let opened = py.detach(|| CoreEncoder::open(&path));
        Ok(Self(opened.map_err(|error| to_python(py, error))?))
    }

    /// Which way texts take.
    #[getter]
    fn path(&self) -> &'static str {
        self.0.path_name()
    }

    /// `(ids, offsets)` of texts.
    #[pyo3(signature = (texts, specials, num_threads, on_progress=None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: PyArray,
        specials: bool,
        num_threads: usize,
        on_progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Csr<'py, i32, i64>> {
        let array = texts.array();
        let (ids, offsets) = detach(py, on_progress, |progress| {
            progress.start("tokenize", array.len() as u64);
            self.0.encode_batch(Texts::new(array)?, specials, num_threads, progress)
        })?;
        Ok((ids.into_pyarray(py), offsets.into_pyarray(py)))
    }
}

/// What a `tokenizer.json` says, in one form however it was written.
#[pyfunction]
pub fn tokenizer_identity<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyBytes>> {
    let text = py.detach(|| identity(&path)).map_err(|error| to_python(py, error))?;
    Ok(PyBytes::new(py, &text))
}

/// Which records share a row, as `(records, starts)`.
#[pyfunction]
pub fn pack_best_fit<'py>(
    py: Python<'py>,
    lengths: PyReadonlyArray1<'py, u32>,
    capacity: u32,
    window: usize,
) -> PyResult<Csr<'py, u32, u32>> {
    let lengths = lengths.as_slice()?;
    let rows = py.detach(|| best_fit(lengths, capacity, window));
    let Rows { records, starts } = rows.map_err(|error| to_python(py, error))?;
    Ok((records.into_pyarray(py), starts.into_pyarray(py)))
}

/// A tokenizer and a chat template.
#[pyclass(frozen, module = "lmmixup._rust")]
pub struct ChatEncoder(Arc<Chat>);

#[pymethods]
impl ChatEncoder {
    #[new]
    fn new(
        py: Python<'_>,
        tokenizer: PathBuf,
        template: &str,
        variables: BTreeMap<String, String>,
        special_in_text: &str,
        specialises: bool,
    ) -> PyResult<Self> {
        let make = || {
            let policy = policy(special_in_text)?;
            let template = Template::new(template, variables)?;
            let encoder = CoreEncoder::open(&tokenizer)?;
            Ok(Arc::new(Chat::new(encoder, template, policy, specialises)))
        };
        Ok(Self(py.detach(make).map_err(|error| to_python(py, error))?))
    }
}

/// The chats of a pool, encoded; [`ChatPool::rows`] gives the rows that they are packed into.
#[pyclass(module = "lmmixup._rust")]
pub struct ChatPool {
    inner: CorePool,
    /// Until they are taken; in a mutex as threads share objects of Python.
    windows: Mutex<Option<Windows>>,
}

#[pymethods]
impl ChatPool {
    #[new]
    fn new(
        py: Python<'_>,
        encoder: &ChatEncoder,
        max_row_tokens: u32,
        truncate: bool,
        window: usize,
        path: PathBuf,
    ) -> PyResult<Self> {
        let limits = Limits { max_row_tokens, truncate };
        let made = CorePool::new(Arc::clone(&encoder.0), limits, window, &path);
        let (inner, windows) = made.map_err(|error| to_python(py, error))?;
        Ok(Self { inner, windows: Mutex::new(Some(windows)) })
    }

    /// The rows that records are packed into, to be taken on another thread while records come;
    /// once.
    fn rows(
        &mut self,
        py: Python<'_>,
        packing: &str,
        capacity: u32,
        positions: bool,
        rows_per_batch: usize,
    ) -> PyResult<PackedRows> {
        let packing = match packing {
            "best-fit" => Packing::BestFit,
            "wrapped" => Packing::Wrapped,
            "none" => Packing::Single,
            other => {
                let error = unknown("packing", other, "best-fit, wrapped or none");
                return Err(to_python(py, error));
            }
        };
        let once = || Error::Argument("expected the first call of `rows`, got another".into());
        let windows = self.windows.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let windows = windows.ok_or_else(|| to_python(py, once()))?;
        let rows = CoreRows::new(windows, packing, capacity, positions, rows_per_batch);
        Ok(PackedRows(Mutex::new(Some(rows))))
    }

    /// Says that all records came.
    fn finish(&mut self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.inner.finish()).map_err(|error| to_python(py, error))
    }

    /// Says that no more records come, though they are not all.
    fn stop(&mut self) {
        self.inner.stop();
    }

    fn push(&mut self, py: Python<'_>, batch: PyRecordBatch, num_threads: usize) -> PyResult<()> {
        let (pool, batch) = (&mut self.inner, batch.into_inner());
        detach(py, None, move |progress| pool.push(&batch, num_threads, progress))
    }

    /// Encodes records of a file up to the next rejects, which are returned; `None` at the end.
    #[pyo3(signature = (reader, on_progress=None))]
    fn read(
        &mut self,
        py: Python<'_>,
        reader: &PoolReader,
        on_progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Vec<RejectRow>>> {
        reader.feed(py, &mut self.inner, on_progress)
    }

    /// Number of records that came in.
    fn __len__(&self) -> usize {
        self.inner.num_records()
    }

    /// Number of records that have tokens.
    #[getter]
    fn num_kept(&self) -> usize {
        self.inner.len()
    }

    /// Tokens of all records.
    #[getter]
    fn num_tokens(&self) -> u64 {
        self.inner.num_tokens()
    }

    /// Most tokens of a record, those that are cut off left out.
    #[getter]
    fn longest(&self) -> u32 {
        self.inner.longest()
    }

    /// Name of the way that texts took.
    #[getter]
    fn path(&self) -> &'static str {
        self.inner.chat().encoder().path_name()
    }

    /// Numbers of chats that were filled, rendered, and proved.
    #[getter]
    fn paths(&self) -> (u64, u64, u64) {
        let paths = self.inner.chat().paths();
        let [filled, rendered, proved] = [&paths.filled, &paths.rendered, &paths.proved]
            .map(|count| count.load(Ordering::Relaxed));
        (filled, rendered, proved)
    }

    /// Numbers of records that were cut, and that held a special token; trained tokens.
    #[getter]
    fn totals(&self) -> (u64, u64, u64) {
        let totals = self.inner.totals();
        (totals.truncated, totals.special_in_text, totals.trained)
    }

    /// `(tokens, records)`: how many records have so many tokens before they are cut.
    fn histogram<'py>(&self, py: Python<'py>) -> Csr<'py, u32, u64> {
        let (tokens, records): (Vec<u32>, Vec<u64>) = self.inner.totals().lengths.iter().unzip();
        (tokens.into_pyarray(py), records.into_pyarray(py))
    }

    /// `(reason, rows)` for each reason why records became no tokens; rows of `id` and `detail`.
    fn dropped(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, PyRecordBatch)>> {
        let mut by_reason: BTreeMap<&'static str, [Vec<&str>; 2]> = BTreeMap::new();
        for (id, drop) in self.inner.dropped() {
            let [ids, details] = by_reason.entry(drop.reason).or_default();
            ids.push(id);
            details.push(&drop.detail);
        }
        let batch = |(reason, columns): (&'static str, [Vec<&str>; 2])| {
            let texts =
                columns.map(|texts| -> ArrayRef { Arc::new(StringArray::from_iter_values(texts)) });
            let batch = RecordBatch::try_from_iter(["id", "detail"].into_iter().zip(texts));
            let batch = batch.map_err(|error| to_python(py, error.into()))?;
            Ok((reason, PyRecordBatch::new(batch)))
        };
        by_reason.into_iter().map(batch).collect()
    }
}

/// Rows of packed chats, made as the chats come.
#[pyclass(frozen, module = "lmmixup._rust")]
pub struct PackedRows(Mutex<Option<CoreRows>>);

#[pymethods]
impl PackedRows {
    /// `(number of rows, their tokens, rows)` that come next, or `None`; without `make` no rows.
    fn next_batch(
        &self,
        py: Python<'_>,
        make: bool,
    ) -> PyResult<Option<(usize, usize, Option<PyRecordBatch>)>> {
        let next = || self.lock().as_mut().map_or(Ok(None), |rows| rows.next_batch(make));
        let made = py.detach(next).map_err(|error| to_python(py, error))?;
        Ok(made.map(|made| (made.num_rows, made.num_tokens, made.batch.map(PyRecordBatch::new))))
    }

    /// Whether the end that came is none: not all records did.
    #[getter]
    fn is_broken(&self) -> bool {
        self.lock().as_ref().is_none_or(CoreRows::is_broken)
    }

    /// Takes no more rows; whoever gives records is told.
    fn close(&self) {
        *self.lock() = None;
    }
}

impl PackedRows {
    fn lock(&self) -> MutexGuard<'_, Option<CoreRows>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn policy(name: &str) -> Result<SpecialInText> {
    match name {
        "text" => Ok(SpecialInText::Text),
        "control" => Ok(SpecialInText::Control),
        "reject" => Ok(SpecialInText::Reject),
        _ => Err(unknown("special_in_text", name, "text, control or reject")),
    }
}

fn unknown(what: &str, got: &str, expected: &str) -> Error {
    Error::Argument(format!("expected {expected} as {what}, got `{got}`"))
}
