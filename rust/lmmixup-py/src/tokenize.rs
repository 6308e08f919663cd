//! Adapter of `lmmixup_core::tokenize`, `template` and `pack`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lmmixup_core::embed::Texts;
use lmmixup_core::pack::{Rows, best_fit};
use lmmixup_core::pool::Store;
use lmmixup_core::template::Template;
use lmmixup_core::tokenize::{
    Chat, Encoder as CoreEncoder, Limits, SpecialInText, TokenPool as CorePool, identity,
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

/// The chats of a pool as tokens on disk, and as rows of packed ones.
#[pyclass(module = "lmmixup._rust")]
pub struct ChatPool {
    inner: CorePool,
    rows: Packed,
}

enum Packed {
    Rows(Rows),
    Wrapped(u32),
}

#[pymethods]
impl ChatPool {
    #[new]
    fn new(
        py: Python<'_>,
        encoder: &ChatEncoder,
        max_row_tokens: u32,
        truncate: bool,
        path: PathBuf,
    ) -> PyResult<Self> {
        let limits = Limits { max_row_tokens, truncate };
        let inner = CorePool::new(Arc::clone(&encoder.0), limits, &path);
        let inner = inner.map_err(|error| to_python(py, error))?;
        Ok(Self { inner, rows: Packed::Rows(Rows::default()) })
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
        self.inner.lengths().iter().copied().max().unwrap_or(0)
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

    /// `(id, reason, detail)` of each record that became no tokens.
    fn dropped(&self) -> Vec<(String, &'static str, String)> {
        let rows = self.inner.dropped().iter();
        rows.map(|(id, drop)| (id.clone(), drop.reason, drop.detail.clone())).collect()
    }

    /// Packs the records; gives the number of rows.
    fn pack(
        &mut self,
        py: Python<'_>,
        strategy: &str,
        capacity: u32,
        window: usize,
    ) -> PyResult<usize> {
        let inner = &self.inner;
        let packed = py.detach(|| match strategy {
            "best-fit" => best_fit(inner.lengths(), capacity, window).map(Packed::Rows),
            "none" => Ok(Packed::Rows(Rows::single(inner.len()))),
            "wrapped" => Ok(Packed::Wrapped(capacity)),
            other => Err(unknown("packing", other, "best-fit, wrapped or none")),
        });
        self.rows = packed.map_err(|error| to_python(py, error))?;
        Ok(match &self.rows {
            Packed::Rows(rows) => rows.len(),
            Packed::Wrapped(capacity) => {
                self.inner.num_tokens().div_ceil(u64::from(*capacity)) as usize
            }
        })
    }

    /// Packed rows `start..end`.
    fn batch(
        &self,
        py: Python<'_>,
        start: usize,
        end: usize,
        positions: bool,
        num_threads: usize,
    ) -> PyResult<PyRecordBatch> {
        let batch = detach(py, None, |_| match &self.rows {
            Packed::Rows(rows) => self.inner.batch(rows, start..end, positions, num_threads),
            Packed::Wrapped(capacity) => {
                self.inner.wrapped_batch(*capacity, start..end, positions, num_threads)
            }
        })?;
        Ok(PyRecordBatch::new(batch))
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
