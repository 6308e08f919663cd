//! Adapter of `lmmixup_core::embed`.

use std::path::PathBuf;

use lmmixup_core::embed::{self, LexicalOptions, StaticOptions, Texts};
use lmmixup_core::{Progress, Result};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::prelude::*;
use pyo3_arrow::PyChunkedArray;
use pyo3_arrow::input::AnyArray;

use crate::error::to_python;
use crate::runtime::detach;

/// `lmmixup_core::embed::Lexical`.
#[pyclass(module = "lmmixup._rust")]
pub struct Lexical {
    inner: embed::Lexical,
}

#[pymethods]
impl Lexical {
    #[new]
    #[pyo3(signature = (dim = 256, **weights))]
    fn new(
        py: Python<'_>,
        dim: usize,
        weights: Option<&Bound<'_, pyo3::types::PyDict>>,
    ) -> PyResult<Self> {
        let mut options = LexicalOptions { dim, ..LexicalOptions::default() };
        for (name, value) in weights.into_iter().flatten() {
            set_weight(&mut options, &name.extract::<String>()?, &value)?;
        }
        let inner = embed::Lexical::new(options).map_err(|error| to_python(py, error))?;
        Ok(Self { inner })
    }

    #[getter]
    fn num_records(&self) -> u64 {
        self.inner.num_records()
    }

    fn digest(&self) -> String {
        self.inner.digest()
    }

    #[pyo3(signature = (texts, num_threads = 0, on_progress = None))]
    fn count(
        &mut self,
        py: Python<'_>,
        texts: AnyArray,
        num_threads: usize,
        on_progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let texts = texts.into_chunked_array()?;
        let inner = &mut self.inner;
        detach(py, on_progress, |progress| {
            progress.start("count words", rows(&texts) as u64);
            let chunks: Result<Vec<_>> =
                texts.chunks().iter().map(|chunk| Texts::new(chunk)).collect();
            inner.count(&chunks?, num_threads, progress)
        })
    }

    #[pyo3(signature = (texts, num_threads = 0, on_progress = None))]
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: AnyArray,
        num_threads: usize,
        on_progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let texts = texts.into_chunked_array()?;
        embed_chunks(py, &texts, self.inner.options().dim, on_progress, |chunk, out, progress| {
            self.inner.embed(chunk, out, num_threads, progress)
        })
    }
}

/// `lmmixup_core::embed::StaticModel`.
#[pyclass(module = "lmmixup._rust", frozen)]
pub struct StaticModel {
    inner: embed::StaticModel,
}

#[pymethods]
impl StaticModel {
    #[new]
    #[pyo3(signature = (tokenizer, weights, max_text_tokens = None, drop_unknown = false))]
    fn new(
        py: Python<'_>,
        tokenizer: PathBuf,
        weights: PathBuf,
        max_text_tokens: Option<usize>,
        drop_unknown: bool,
    ) -> PyResult<Self> {
        let options = StaticOptions { max_text_tokens, drop_unknown };
        let inner = detach(py, None, |_| embed::StaticModel::open(&tokenizer, &weights, options))?;
        Ok(Self { inner })
    }

    #[getter]
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    #[pyo3(signature = (texts, num_threads = 0, on_progress = None))]
    fn embed<'py>(
        &self,
        py: Python<'py>,
        texts: AnyArray,
        num_threads: usize,
        on_progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let texts = texts.into_chunked_array()?;
        embed_chunks(py, &texts, self.inner.dim(), on_progress, |chunk, out, progress| {
            self.inner.embed(chunk, out, num_threads, progress)
        })
    }

    fn tokenize<'py>(&self, py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyArray1<u32>>> {
        let ids = self.inner.tokenize(text).map_err(|error| to_python(py, error))?;
        Ok(PyArray1::from_vec(py, ids))
    }
}

fn set_weight(options: &mut LexicalOptions, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match name {
        "gram" => options.gram = value.extract()?,
        _ => {
            let target = match name {
                "idf_power" => &mut options.idf_power,
                "tf_power" => &mut options.tf_power,
                "word" => &mut options.word,
                "grams" => &mut options.grams,
                "sign" => &mut options.sign,
                "gram_norm" => &mut options.gram_norm,
                _ => {
                    return Err(pyo3::exceptions::PyTypeError::new_err(format!(
                        "unknown weight {name:?}"
                    )));
                }
            };
            *target = value.extract()?;
        }
    }
    Ok(())
}

/// Fills one `(N, dim)` array from all chunks of a column.
fn embed_chunks<'py>(
    py: Python<'py>,
    texts: &PyChunkedArray,
    dim: usize,
    on_progress: Option<&Bound<'py, PyAny>>,
    embed: impl Fn(Texts<'_>, &mut [f32], &Progress) -> Result<()> + Send + Sync,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let num_rows = rows(texts);
    let vectors = detach(py, on_progress, |progress| {
        progress.start("embed", num_rows as u64);
        let mut vectors = vec![0f32; num_rows * dim];
        let mut rest = vectors.as_mut_slice();
        for chunk in texts.chunks() {
            let (here, after) = rest.split_at_mut(chunk.len() * dim);
            embed(Texts::new(chunk)?, here, progress)?;
            rest = after;
        }
        Ok(vectors)
    })?;
    PyArray1::from_vec(py, vectors).reshape([num_rows, dim])
}

fn rows(texts: &PyChunkedArray) -> usize {
    texts.chunks().iter().map(|chunk| chunk.len()).sum()
}
