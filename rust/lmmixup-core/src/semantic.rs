//! Families of records whose vectors are alike: components of the graph of cosines ≥ t.

use crate::exact::ExactPool;
use crate::families::{Components, Families, KeepRule, Likeness, decide};
use crate::join::{Earlier, check_threshold, connect_earlier};
use crate::knn::{Above, BlocksOptions, PairRecall, Vectors};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Which pairs are looked at.
#[derive(Debug, Clone, Copy)]
pub struct SemanticOptions {
    /// Cosine from which on two records are connected, in (0, 1].
    pub threshold: f64,
    /// Only pairs that share one of these cells; all pairs where there is none.
    pub blocks: Option<BlocksOptions>,
    /// Distinct vectors on which the recall of cells is measured.
    pub recall_sample: usize,
}

/// Families at cosine ≥ threshold and which records stay; `vectors` has one row a record.
///
/// All pairs are compared unless cells are asked for; then some may be missed, and how many is
/// measured. A record is only ever dropped for a kept one whose cosine, in double precision,
/// reaches the threshold. Zero rows are alike to nothing. The result does not depend on
/// `num_threads`. Time O(N² · D / 2) in 8-bit products, or as [`crate::knn::blocks`]; memory beside
/// the vectors N · (2 D + 40) bytes.
///
/// # Errors
/// [`Error::Argument`] where the threshold is not in (0, 1], or an array has another length than the
/// pool; [`Error::Data`] as [`Vectors::new`] says; [`Error::Interrupted`].
#[expect(clippy::too_many_arguments)]
pub fn semantic_families(
    pool: &ExactPool,
    vectors: &[f32],
    dim: usize,
    options: SemanticOptions,
    rule: &KeepRule<'_>,
    earlier: &Earlier<'_>,
    num_threads: usize,
    progress: &Progress,
) -> Result<(Families, Option<PairRecall>)> {
    check_threshold(options.threshold)?;
    with_threads(num_threads, || {
        let vectors = Vectors::new(vectors, dim)?;
        check_length(pool, &vectors)?;
        let above = Above::new(&vectors, options.threshold);
        let representative = above.representatives();
        let components = Components::new(pool.len());
        connect_earlier(earlier, &components, |record| representative[record], pool.len())?;
        let rows: Vec<u32> = (0..pool.len())
            .filter(|&row| representative[row] as usize == row && vectors.inverse_length(row) > 0.0)
            .map(|row| row as u32)
            .collect();
        let recall = connect(&above, &rows, options, earlier.num_frozen, &components, progress)?;
        let labels = components.labels(pool.len(), |record| representative[record]);
        let likeness = VectorLikeness { pool, above: &above, representative: &representative };
        Ok((decide(&likeness, labels, options.threshold, rule, progress)?, recall))
    })
}

fn check_length(pool: &ExactPool, vectors: &Vectors<'_>) -> Result<()> {
    if pool.len() == vectors.len() {
        return Ok(());
    }
    Err(Error::Argument(format!(
        "expected {} vectors, one a record, got {}",
        pool.len(),
        vectors.len()
    )))
}

/// Connects what is alike among distinct `rows`; with cells, also measures what that missed.
fn connect(
    above: &Above<'_>,
    rows: &[u32],
    options: SemanticOptions,
    num_frozen: usize,
    components: &Components,
    progress: &Progress,
) -> Result<Option<PairRecall>> {
    let Some(blocks) = options.blocks else {
        above.connect_all(rows, num_frozen, components, progress)?;
        return Ok(None);
    };
    above.connect_cells(rows, blocks, num_frozen, components, progress)?;
    above.recall(rows, options.recall_sample, blocks.seed, components, progress).map(Some)
}

/// Likeness of vectors: their cosine.
struct VectorLikeness<'a> {
    pool: &'a ExactPool,
    above: &'a Above<'a>,
    representative: &'a [u32],
}

impl Likeness for VectorLikeness<'_> {
    type Loaded = ();

    fn num_records(&self) -> usize {
        self.pool.len()
    }

    fn representative(&self, record: u32) -> u32 {
        self.representative[record as usize]
    }

    fn length_and_tie_break(&self, record: u32) -> (u32, (u64, u64)) {
        self.pool.length_and_tie_break(record)
    }

    fn same_text(&self, a: u32, b: u32) -> bool {
        self.pool.same_text(a, b)
    }

    fn unloaded(&self) {}

    fn load(&self, (): &mut (), _record: u32) {}

    fn similarity(&self, (): &mut (), best: u32, other: u32, least: Option<f64>) -> Option<f64> {
        let (best, other) = (best as usize, other as usize);
        match least {
            Some(least) => self.above.at_least(best, other, least),
            None => Some(self.above.cosine(best, other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Store;
    use crate::text::Normalization;
    use arrow_array::{RecordBatch, StringArray};
    use std::sync::Arc;

    const DIM: usize = 12;

    /// Bunches of near vectors and strangers, some equal, some zero.
    fn vectors(num: usize) -> Vec<f32> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut data: Vec<f32> = (0..num * DIM).map(|_| next()).collect();
        for row in 0..num {
            let copied = data[row % 37 * DIM..][..DIM].to_vec();
            let spread = [0.0, 0.05, 0.2, 9.0][row / 37 % 4];
            for (at, value) in copied.into_iter().enumerate() {
                let own = &mut data[row * DIM + at];
                *own = if row % 101 == 100 { 0.0 } else { value + spread * *own };
            }
        }
        data
    }

    fn pool(num: usize) -> Result<ExactPool> {
        let texts = |start: &str| -> StringArray {
            (0..num).map(|row| Some(format!("{start}{}", row * 7919 % 31))).collect()
        };
        let ids: StringArray = (0..num).map(|row| Some(row.to_string())).collect();
        let batch = RecordBatch::try_from_iter([
            ("id", Arc::new(ids) as _),
            ("prompt", Arc::new(texts("p")) as _),
            ("completion", Arc::new(texts("c")) as _),
        ])?;
        let mut pool = ExactPool::with_lengths(Normalization::Raw);
        pool.push(&batch, 1, &Progress::default())?;
        Ok(pool)
    }

    fn families(
        data: &[f32],
        options: SemanticOptions,
        num_threads: usize,
    ) -> Result<(Families, Option<PairRecall>)> {
        let rule = KeepRule { priority: None, longest: false, one: false, num_frozen: 0 };
        let pool = pool(data.len() / DIM)?;
        let (earlier, progress) = (Earlier::default(), Progress::default());
        semantic_families(&pool, data, DIM, options, &rule, &earlier, num_threads, &progress)
    }

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let scale = (dot(a, a) * dot(b, b)).sqrt();
        if scale == 0.0 { 0.0 } else { dot(a, b) / scale }
    }

    #[test]
    fn families_are_those_of_brute_force() -> Result<()> {
        let data = vectors(1300);
        for threshold in [0.5, 0.9, 0.99, 1.0] {
            let options = SemanticOptions { threshold, blocks: None, recall_sample: 0 };
            let (found, recall) = families(&data, options, 2)?;
            assert_eq!(recall, None);
            let rows: Vec<&[f32]> = data.chunks_exact(DIM).collect();
            let mut first: Vec<usize> = (0..rows.len()).collect();
            let mut kept: Vec<usize> = Vec::new();
            for a in 0..rows.len() {
                for b in 0..a {
                    let alike = cosine(rows[a], rows[b]) >= threshold - 1e-12;
                    if alike && first[a] != first[b] {
                        let (low, high) = (first[a].min(first[b]), first[a].max(first[b]));
                        first.iter_mut().filter(|f| **f == high).for_each(|f| *f = low);
                    }
                }
                let partner = kept.iter().find(|&&k| cosine(rows[a], rows[k]) >= threshold - 1e-12);
                assert_eq!(found.kept[a], partner.is_none(), "{a} at {threshold}");
                match partner {
                    None => kept.push(a),
                    Some(&partner) => {
                        assert_eq!(found.partner[a] as usize, partner);
                        let wrong = found.similarity[a] - cosine(rows[a], rows[partner]);
                        assert!(wrong.abs() < 1e-12);
                    }
                }
            }
            for (family, &first) in found.family.iter().zip(&first) {
                assert_eq!(*family, found.family[first]);
            }
            assert_eq!(found.num_families, (0..rows.len()).filter(|&a| first[a] == a).count());
            for threads in [1, 7] {
                let other = families(&data, options, threads)?.0;
                // Kept records have NaN.
                assert_eq!(format!("{found:?}"), format!("{other:?}"));
            }
        }
        Ok(())
    }

    #[test]
    fn cells_drop_nothing_wrongly_and_measure_what_they_miss() -> Result<()> {
        let data = vectors(3000);
        let blocks = BlocksOptions { cell_size: 300, overlap: 2, seed: 1 };
        let options = SemanticOptions { threshold: 0.9, blocks: Some(blocks), recall_sample: 500 };
        let (found, recall) = families(&data, options, 1)?;
        let recall = recall.ok_or(Error::Interrupted)?;
        assert!(recall.num_sampled == 500 && recall.num_pairs > 500);
        assert!(recall.num_connected <= recall.num_pairs);
        assert!(recall.num_connected as f64 > 0.9 * recall.num_pairs as f64, "{recall:?}");
        for at in (0..3000).filter(|&at| !found.kept[at]) {
            assert!(found.similarity[at] >= 0.9 && found.kept[found.partner[at] as usize]);
        }
        for threads in [2, 7] {
            let other = families(&data, options, threads)?;
            assert_eq!(format!("{found:?}"), format!("{:?}", other.0));
            assert_eq!(other.1, Some(recall));
        }
        Ok(())
    }

    #[test]
    fn zero_rows_are_alone_and_bad_input_is_named() -> Result<()> {
        let options = SemanticOptions { threshold: 0.1, blocks: None, recall_sample: 0 };
        let (found, _) = families(&[0.0; 5 * DIM], options, 1)?;
        assert_eq!((found.num_families, found.kept), (5, vec![true; 5]));
        assert_eq!(families(&[], options, 1)?.0.num_families, 0);
        let mut data = vectors(9);
        data[4 * DIM + 2] = f32::NAN;
        let error = families(&data, options, 1).map_err(|error| error.to_string());
        assert!(error.is_err_and(|text| text.contains("row 4, column 2")));
        let options = SemanticOptions { threshold: 1.1, ..options };
        assert!(matches!(families(&[], options, 1), Err(Error::Argument(_))));
        Ok(())
    }
}
