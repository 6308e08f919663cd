//! MergeIT's grouping: topics by k-means, a filter by facility location, groups above a cosine.
//!
//! After arXiv 2503.00034. Within each topic, records are picked by how well they represent it;
//! each picked record then takes the nearest free ones above a cosine into a group.

use rayon::prelude::*;

use super::facility;
use super::kmeans::{centres, gather, nearest};
use super::vectors::{Vectors, dot};
use super::{Clusters, Fate, Limits};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Passes of k-means over the records.
const EPOCHS: usize = 5;

/// Options of [`cluster`].
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Bounds (2 to 5 there) and tokens; `min_similarity` is [`Options::similarity`] here.
    pub limits: Limits<'a>,
    /// Records of a group have a cosine above this to the record that began it (0.8 there).
    pub similarity: f32,
    /// Share of each topic that the filter keeps, in (0, 1]; 1: no filter.
    pub keep: f64,
    /// Number of topics; 0: √(N / 2).
    pub num_topics: usize,
    /// Decides where k-means starts.
    pub seed: u64,
    /// 0: one thread per core.
    pub num_threads: usize,
}

/// Groups records as MergeIT does. Groups form on `vectors`; topics on `reduced` (e.g. by PCA)
/// where given. O(N^1.5 · D) time; deterministic at any number of threads.
///
/// # Errors
/// [`Error::Argument`] for ranges and shapes; [`Error::Interrupted`].
pub fn cluster(
    vectors: Vectors<'_>,
    reduced: Option<Vectors<'_>>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Clusters> {
    let count = vectors.len();
    options.limits.check(count)?;
    if !(options.keep > 0.0 && options.keep <= 1.0) {
        return Err(Error::Argument(format!("keep must be in (0, 1], got {}", options.keep)));
    }
    let reduced = reduced.unwrap_or(vectors);
    if reduced.len() != count {
        return Err(Error::Argument(format!(
            "expected {count} reduced vectors, got {}",
            reduced.len()
        )));
    }
    with_threads(options.num_threads, || {
        let topics = topics(reduced, options, progress)?;
        progress.start("group topics", count as u64);
        let grouped: Vec<Topic> = topics
            .par_iter()
            .map(|records| Topic::group(vectors, records, options, progress))
            .collect::<Result<_>>()?;
        Ok(join(count, &grouped, options))
    })
}

fn topics(
    vectors: Vectors<'_>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<Vec<Vec<u32>>> {
    let count = vectors.len();
    let wanted = match options.num_topics {
        0 => (count as f64 / 2.0).sqrt().round() as usize,
        topics => topics,
    };
    let num_topics = wanted.clamp(1, count.max(1)).min(count);
    let mut topics = vec![Vec::new(); num_topics];
    if count > 0 {
        let centres = centres(vectors, num_topics, EPOCHS, options.seed, progress)?;
        let centres = Vectors::new(&centres, vectors.dim())?;
        let labels = nearest(vectors, centres, 1, progress)?.indices;
        for (record, label) in labels.iter().enumerate() {
            topics[*label as usize].push(record as u32);
        }
    }
    Ok(topics)
}

/// Groups of one topic, and what its filter left out.
struct Topic {
    groups: Vec<Vec<u32>>,
    filtered: Vec<u32>,
}

impl Topic {
    fn group(
        vectors: Vectors<'_>,
        records: &[u32],
        options: &Options<'_>,
        progress: &Progress,
    ) -> Result<Self> {
        let rows = gather(vectors, records);
        let rows = Vectors::new(&rows, vectors.dim())?;
        let limits = &options.limits;
        let order = if options.keep < 1.0 {
            let picks = (options.keep * records.len() as f64).ceil() as usize;
            facility::representatives(rows, picks, progress)?
        } else {
            (0..records.len() as u32).collect()
        };
        let mut free = vec![false; records.len()];
        for &row in &order {
            let alone = limits.tokens_of(records[row as usize]);
            free[row as usize] = limits.allows_tokens(alone);
        }
        let mut groups = Vec::new();
        for &seed in &order {
            progress.advance(1)?;
            if !free[seed as usize] {
                continue;
            }
            let group = take_group(rows, records, &free, seed, options);
            if group.len() >= limits.bounds.min() {
                group.iter().for_each(|row| free[*row as usize] = false);
                groups.push(group.iter().map(|row| records[*row as usize]).collect());
            }
        }
        let mut picked = vec![false; records.len()];
        order.iter().for_each(|row| picked[*row as usize] = true);
        let filtered = records.iter().zip(picked).filter(|(_, picked)| !picked).map(|(r, _)| *r);
        Ok(Self { groups, filtered: filtered.collect() })
    }
}

/// The seed and its nearest free rows above the similarity, within bounds and tokens.
fn take_group(
    rows: Vectors<'_>,
    records: &[u32],
    free: &[bool],
    seed: u32,
    options: &Options<'_>,
) -> Vec<u32> {
    let x = rows.row(seed as usize);
    let mut near: Vec<(f32, u32)> = (0..records.len() as u32)
        .filter(|row| free[*row as usize] && *row != seed)
        .map(|row| (dot(x, rows.row(row as usize)), row))
        .filter(|(cosine, _)| *cosine > options.similarity)
        .collect();
    near.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let limits = &options.limits;
    let mut group = vec![seed];
    let mut tokens = limits.tokens_of(records[seed as usize]);
    for (_, row) in near {
        let more = tokens + limits.tokens_of(records[row as usize]);
        if group.len() < limits.bounds.max() && limits.allows_tokens(more) {
            group.push(row);
            tokens = more;
        }
    }
    group
}

fn join(count: usize, topics: &[Topic], options: &Options<'_>) -> Clusters {
    let mut labels = vec![-1; count];
    let limits = &options.limits;
    let mut fates: Vec<Fate> = (0..count as u32)
        .map(|record| match limits.allows_tokens(limits.tokens_of(record)) {
            true => Fate::NotSimilar,
            false => Fate::TooLong,
        })
        .collect();
    for (label, group) in topics.iter().flat_map(|topic| &topic.groups).enumerate() {
        for record in group {
            labels[*record as usize] = label as i32;
            fates[*record as usize] = Fate::Clustered;
        }
    }
    for record in topics.iter().flat_map(|topic| &topic.filtered) {
        if fates[*record as usize] == Fate::NotSimilar {
            fates[*record as usize] = Fate::Filtered;
        }
    }
    Clusters::numbered(labels, fates)
}
