//! Vectors as a graph stores them, and the distances between such.

use half::f16;
use usearch::{Index as Graph, IndexOptions, MetricKind, ScalarKind, VectorType};

use crate::knn::kernels::Kernels;
use crate::{Error, Result};

/// How an index stores a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// 8 bits, with a step of its own for each row.
    I8,
}

impl Storage {
    pub(super) fn kind(self) -> ScalarKind {
        match self {
            Self::F32 => ScalarKind::F32,
            Self::F16 => ScalarKind::F16,
            Self::I8 => ScalarKind::I8,
        }
    }
}

/// One vector as an index stores it.
pub(super) enum Stored {
    F32(Vec<f32>),
    F16(Vec<f16>),
    I8(Vec<i8>),
}

impl Stored {
    /// A row times the inverse of its length.
    pub(super) fn new(row: &[f32], inverse: f32, storage: Storage) -> Self {
        match storage {
            Storage::F32 => Self::F32(row.iter().map(|value| value * inverse).collect()),
            Storage::F16 => {
                Self::F16(row.iter().map(|value| f16::from_f32(value * inverse)).collect())
            }
            Storage::I8 => {
                let mut codes = vec![0; row.len()];
                if inverse > 0.0 {
                    Kernels::best().encode(row, &mut codes);
                }
                Self::I8(codes)
            }
        }
    }

    /// Adds it to a graph.
    pub(super) fn add(&self, graph: &Graph, key: u64) -> std::result::Result<(), cxx::Exception> {
        match self {
            Self::F32(values) => graph.add(key, values),
            Self::F16(values) => graph.add(key, halves(values)),
            Self::I8(values) => graph.add(key, values),
        }
    }

    /// The nearest `wanted` by the graph, or by comparing everything.
    pub(super) fn search(
        &self,
        graph: &Graph,
        wanted: usize,
        exact: bool,
    ) -> std::result::Result<usearch::ffi::Matches, cxx::Exception> {
        match (self, exact) {
            (Self::F32(values), false) => graph.search(values, wanted),
            (Self::F32(values), true) => graph.exact_search(values, wanted),
            (Self::F16(values), false) => graph.search(halves(values), wanted),
            (Self::F16(values), true) => graph.exact_search(halves(values), wanted),
            (Self::I8(values), false) => graph.search(values, wanted),
            (Self::I8(values), true) => graph.exact_search(values, wanted),
        }
    }
}

/// The same bits under usearch's name.
fn halves(values: &[f16]) -> &[usearch::f16] {
    // SAFETY: both are transparent or plain wrappers of 16 bits.
    let bits = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<i16>(), values.len()) };
    usearch::f16::from_i16s(bits)
}

/// An empty graph; 0 takes usearch's defaults.
pub(super) fn new_graph(
    dim: usize,
    storage: Storage,
    connectivity: usize,
    expansion: usize,
) -> Result<Graph> {
    let mut graph = Graph::new(&IndexOptions {
        dimensions: dim,
        metric: MetricKind::Cos,
        quantization: storage.kind(),
        connectivity,
        expansion_add: expansion,
        expansion_search: expansion,
        multi: false,
    })
    .map_err(no_room)?;
    set_metric(&mut graph, storage, dim)?;
    Ok(graph)
}

/// Lets our kernels compute the distances: 1 − cosine.
pub(super) fn set_metric(graph: &mut Graph, storage: Storage, dim: usize) -> Result<()> {
    /// The `dim` values at a pointer.
    ///
    /// # Safety
    /// There are so many, and they outlive what is done with them.
    unsafe fn values<'a, T>(from: *const T, dim: usize) -> &'a [T] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(from, dim) }
    }
    // SAFETY, of all three: usearch calls a metric with two of its vectors, `dim` values each.
    let set = match storage {
        Storage::F32 => f32::change_metric(
            graph,
            Box::new(move |a, b| {
                1.0 - unsafe { Kernels::best().dot(values(a, dim), values(b, dim)) }
            }),
        ),
        Storage::F16 => usearch::f16::change_metric(
            graph,
            Box::new(move |a, b| {
                let (a, b) = (a.cast::<f16>(), b.cast::<f16>());
                1.0 - unsafe { Kernels::best().dot_f16(values(a, dim), values(b, dim)) }
            }),
        ),
        Storage::I8 => i8::change_metric(
            graph,
            Box::new(move |a, b| {
                let [ab, aa, bb] =
                    unsafe { Kernels::best().dots_i8(values(a, dim), values(b, dim)) };
                1.0 - ab as f32 / (aa as f32 * bb as f32).sqrt()
            }),
        ),
    };
    set.map_err(no_room)
}

/// What usearch refuses here it refuses for want of memory.
pub(super) fn no_room(error: cxx::Exception) -> Error {
    Error::Infeasible(format!("usearch: {}", error.what()))
}
