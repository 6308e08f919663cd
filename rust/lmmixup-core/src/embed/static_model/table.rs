//! The vectors of the tokens, from a safetensors file.

use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Error, Result};

/// Names under which the vectors are found: model2vec's, wordllama's, sentence-transformers'.
const NAMES: [&str; 3] = ["embeddings", "embedding.weight", "embeddings.weight"];

/// `(num_rows, dim)` vectors, with an optional row and weight for each token id.
#[derive(Debug)]
pub struct Table {
    vectors: Vec<f32>,
    dim: usize,
    mapping: Option<Vec<u32>>,
    weights: Option<Vec<f32>>,
}

impl Table {
    /// Reads the file whole; half precision and int8 become float32.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        let wrong = |what: String| Error::Data(format!("{}: {what}", path.display()));
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|error| wrong(format!("expected a safetensors file: {error}")))?;
        let name = NAMES.into_iter().find(|name| file.tensor(name).is_ok()).ok_or_else(|| {
            wrong(format!("expected a tensor named {}, got {:?}", NAMES.join(" or "), file.names()))
        })?;
        let tensor = file.tensor(name).map_err(|error| wrong(error.to_string()))?;
        let &[num_rows, dim] = tensor.shape() else {
            return Err(wrong(format!("`{name}` must be 2-D, got shape {:?}", tensor.shape())));
        };
        if num_rows == 0 || dim == 0 {
            return Err(wrong(format!(
                "`{name}` has shape {:?}, nothing to embed with",
                tensor.shape()
            )));
        }
        let optional =
            |name: &str| file.tensor(name).ok().map(|tensor| floats(&tensor)).transpose();
        let vectors = floats(&tensor).map_err(&wrong)?;
        if let Some(at) = vectors.iter().position(|value| !value.is_finite()) {
            return Err(wrong(format!("`{name}` has NaN or infinity in row {}", at / dim)));
        }
        let mapping = optional("mapping").map_err(&wrong)?;
        let mapping =
            mapping.map(|rows| rows.into_iter().map(|row| row as u32).collect::<Vec<_>>());
        if let Some(row) = mapping.iter().flatten().find(|&&row| row as usize >= num_rows) {
            return Err(wrong(format!("`mapping` names row {row} of {num_rows}")));
        }
        Ok(Self { vectors, dim, mapping, weights: optional("weights").map_err(&wrong)? })
    }

    /// Dimensions of a vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Sets `out` to the sum of the vectors of `ids`, in their order. An id beyond the table
    /// counts as its last row, as in wordllama.
    pub fn sum(&self, ids: &[u32], out: &mut [f32]) {
        out.fill(0.0);
        for &id in ids {
            let row = match &self.mapping {
                Some(mapping) => mapping.get(id as usize).copied().unwrap_or(u32::MAX),
                None => id,
            };
            let last = self.vectors.len() / self.dim - 1;
            let start = (row as usize).min(last) * self.dim;
            let vector = &self.vectors[start..start + self.dim];
            match self.weights.as_ref().and_then(|weights| weights.get(id as usize)) {
                Some(&weight) => out.iter_mut().zip(vector).for_each(|(sum, x)| *sum += weight * x),
                None => out.iter_mut().zip(vector).for_each(|(sum, x)| *sum += x),
            }
        }
    }
}

fn floats(tensor: &TensorView<'_>) -> std::result::Result<Vec<f32>, String> {
    let data = tensor.data();
    Ok(match tensor.dtype() {
        Dtype::F64 => each(data, |b| f64::from_le_bytes(b) as f32),
        Dtype::F32 => each(data, f32::from_le_bytes),
        Dtype::F16 => each(data, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => each(data, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::I8 => each(data, |b| f32::from(i8::from_le_bytes(b))),
        Dtype::I32 => each(data, |b| i32::from_le_bytes(b) as f32),
        Dtype::I64 => each(data, |b| i64::from_le_bytes(b) as f32),
        other => return Err(format!("tensors must be f64, f32, f16, bf16 or i8, got {other:?}")),
    })
}

fn each<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let mut value = [0; N];
    let values = data.chunks_exact(N).map(|bytes| {
        value.copy_from_slice(bytes);
        read(value)
    });
    values.collect()
}
