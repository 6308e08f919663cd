//! Properties of all cluster methods over random vectors, sizes and bounds.
#![allow(clippy::unwrap_used, missing_docs)]

use lmmixup_core::cluster::fill::Neighbours;
use lmmixup_core::cluster::graph::{self, Options, SizeRule};
use lmmixup_core::cluster::vectors::normalise;
use lmmixup_core::cluster::{
    Bounds, Clusters, Fate, Limits, Random, Vectors, mergeit, paper, quality,
};
use lmmixup_core::{Error, Progress, knn};
use proptest::prelude::*;

const DIM: usize = 8;

/// Unit vectors around a few directions; every seventh is zero and every fifth a copy.
fn records(count: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed, 9);
    let mut data: Vec<f32> = Vec::with_capacity(count * DIM);
    for record in 0..count {
        if record % 5 == 4 {
            let copy: Vec<f32> = data[(record - 1) * DIM..].to_vec();
            data.extend(copy);
            continue;
        }
        let mut row: Vec<f32> = (0..DIM).map(|_| random.unit() as f32 - 0.5).collect();
        row[random.below(DIM)] += 1.5;
        normalise(&mut row);
        if record % 7 == 6 {
            row.fill(0.0);
        }
        data.extend(row);
    }
    data
}

struct Graph {
    data: Vec<f32>,
    indices: Vec<i32>,
    similarities: Vec<f32>,
    k: usize,
}

impl Graph {
    fn new(data: Vec<f32>, k: usize) -> Self {
        let found = knn::exact(&data, None, DIM, k, 1, &Progress::default()).unwrap();
        Self { data, indices: found.indices, similarities: found.similarities, k }
    }

    fn vectors(&self) -> Vectors<'_> {
        Vectors::new(&self.data, DIM).unwrap()
    }

    fn cluster(&self, options: &Options<'_>) -> lmmixup_core::Result<Clusters> {
        let near =
            Neighbours { indices: &self.indices, similarities: &self.similarities, k: self.k };
        graph::cluster(self.vectors(), near, options, &Progress::default())
    }
}

fn options(min: usize, max: usize, mean: f64) -> Options<'static> {
    let bounds = Bounds::new(min, max).unwrap();
    Options {
        limits: Limits { bounds, min_similarity: None, max_cluster_tokens: None },
        sizes: SizeRule::Mean(mean),
        allow_leftover: false,
        seed: 3,
        max_rounds: 100,
        num_threads: 1,
    }
}

fn sizes_of(clusters: &Clusters) -> Vec<usize> {
    let mut sizes = vec![0; clusters.num_clusters];
    clusters.labels.iter().filter(|l| **l >= 0).for_each(|l| sizes[*l as usize] += 1);
    sizes
}

fn sorted(mut sizes: Vec<usize>) -> Vec<usize> {
    sizes.sort_unstable();
    sizes
}

/// Labels count up by first record and agree with the fates.
fn assert_well_formed(clusters: &Clusters) {
    let mut highest = -1;
    for (label, fate) in clusters.labels.iter().zip(&clusters.fates) {
        assert_eq!(*label >= 0, *fate == Fate::Clustered);
        assert!(*label >= -1 && *label <= highest + 1, "label {label} after {highest}");
        highest = highest.max(*label);
    }
    assert_eq!(highest + 1, clusters.num_clusters as i32);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn bounds_hold_exactly(
        count in 1_usize..180, min in 1_usize..7, more in 0_usize..8, k in 1_usize..20,
        seed in 0_u64..1000,
    ) {
        let (max, mean) = (min + more, min as f64 + more as f64 / 2.0);
        let graph = Graph::new(records(count, seed), k);
        let mut options = Options { seed, ..options(min, max, mean) };
        let bounds = options.limits.bounds;
        if !bounds.can_partition(count) {
            prop_assert!(matches!(graph.cluster(&options), Err(Error::Infeasible(_))));
            options.allow_leftover = true;
        }
        let clusters = graph.cluster(&options).unwrap();
        assert_well_formed(&clusters);
        let sizes = sizes_of(&clusters);
        prop_assert!(sizes.iter().all(|size| (min..=max).contains(size)), "{sizes:?}");
        let most = bounds.most_partitionable(count);
        prop_assert_eq!(sizes.iter().sum::<usize>(), most);
        prop_assert_eq!(sizes.len(), bounds.num_clusters(most, mean));
    }

    #[test]
    fn drawn_sizes_are_made_exactly(
        count in 2_usize..180, k in 1_usize..12, seed in 0_u64..1000,
    ) {
        let mut options = options(2, 6, 3.5);
        let given = options.limits.bounds.draw(count, 3.5, 1.2, &mut Random::new(seed, 0));
        options.sizes = SizeRule::Given(&given);
        let made = sizes_of(&Graph::new(records(count, seed), k).cluster(&options).unwrap());
        let given = given.iter().map(|size| *size as usize).collect();
        prop_assert_eq!(sorted(made), sorted(given));
    }

    #[test]
    fn limits_hold_exactly(
        count in 2_usize..150, least in 0.0_f32..0.9, most in 5_u64..60, seed in 0_u64..1000,
    ) {
        let mut random = Random::new(seed, 4);
        let tokens: Vec<u32> = (0..count).map(|_| 1 + random.below(20) as u32).collect();
        let graph = Graph::new(records(count, seed), 10);
        let mut options = options(2, 5, 3.0);
        options.limits.min_similarity = Some(least);
        options.limits.max_cluster_tokens = Some((&tokens, most));
        let clusters = graph.cluster(&options).unwrap();
        assert_well_formed(&clusters);
        prop_assert!(sizes_of(&clusters).iter().all(|size| (2..=5).contains(size)));
        let mut sums = vec![0; clusters.num_clusters];
        for (record, label) in clusters.labels.iter().enumerate() {
            let alone = u64::from(tokens[record]);
            prop_assert_eq!(clusters.fates[record] == Fate::TooLong, alone > most);
            if *label >= 0 {
                sums[*label as usize] += alone;
            }
        }
        prop_assert!(sums.iter().all(|sum| *sum <= most));
        let measured = quality::measure(
            graph.vectors(), &clusters.labels, None, 1, &Progress::default(),
        ).unwrap();
        for mates in measured.to_mates.iter().filter(|mates| !mates.is_nan()) {
            prop_assert!(*mates >= least - 1e-4, "{mates} < {least}");
        }
    }

    #[test]
    fn threads_change_nothing(
        count in 4_usize..180, seed in 0_u64..1000, restricted in any::<bool>(),
    ) {
        let graph = Graph::new(records(count, seed), 8);
        let mut options = options(2, 5, 3.0);
        options.limits.min_similarity = restricted.then_some(0.3);
        let one = graph.cluster(&options).unwrap();
        for num_threads in [2, 7] {
            options.num_threads = num_threads;
            prop_assert_eq!(&graph.cluster(&options).unwrap(), &one);
        }
    }

    #[test]
    fn the_other_methods_keep_bounds_too(
        count in 2_usize..150, seed in 0_u64..1000, num_threads in 2_usize..5,
    ) {
        let data = records(count, seed);
        let vectors = Vectors::new(&data, DIM).unwrap();
        let progress = Progress::default();
        let limits = options(2, 5, 3.0).limits;
        let sizes = limits.bounds.draw(count, 3.0, 1.0, &mut Random::new(seed, 0));
        let many = paper::Options { limits, sizes: &sizes, epochs: 2, seed, num_threads };
        let clusters = paper::cluster(vectors, &many, &progress).unwrap();
        assert_well_formed(&clusters);
        let expected = sizes.iter().map(|size| *size as usize).collect();
        prop_assert_eq!(sorted(sizes_of(&clusters)), sorted(expected));
        let one = paper::Options { num_threads: 1, ..many };
        prop_assert_eq!(paper::cluster(vectors, &one, &progress).unwrap(), clusters);

        let many = mergeit::Options {
            limits, similarity: 0.8, keep: 0.7, num_topics: 0, seed, num_threads,
        };
        let groups = mergeit::cluster(vectors, None, &many, &progress).unwrap();
        assert_well_formed(&groups);
        prop_assert!(sizes_of(&groups).iter().all(|size| (2..=5).contains(size)));
        let one = mergeit::Options { num_threads: 1, ..many };
        prop_assert_eq!(mergeit::cluster(vectors, None, &one, &progress).unwrap(), groups);
    }
}

#[test]
fn equal_zero_and_few_records() {
    for data in [vec![0.0; 2 * DIM], vec![1.0; 2 * DIM]] {
        let graph = Graph::new(data, 1);
        assert_eq!(graph.cluster(&options(2, 5, 3.0)).unwrap().labels, [0, 0]);
    }
    let mut same = vec![0.0; 1000 * DIM];
    same.iter_mut().step_by(DIM).for_each(|x| *x = 1.0);
    let clusters = Graph::new(same, 8).cluster(&options(2, 5, 3.0)).unwrap();
    assert_eq!(clusters.num_clusters, 333);
    assert_eq!(sizes_of(&clusters).iter().sum::<usize>(), 1000);
    let empty = Graph::new(Vec::new(), 4).cluster(&options(2, 5, 3.0)).unwrap();
    assert_eq!((empty.labels.len(), empty.num_clusters), (0, 0));
}

#[test]
fn wrong_neighbours_are_refused() {
    let mut graph = Graph::new(records(10, 1), 3);
    graph.indices[4] = 10;
    assert!(matches!(graph.cluster(&options(2, 5, 3.0)), Err(Error::Data(_))));
    graph.indices.pop();
    assert!(matches!(graph.cluster(&options(2, 5, 3.0)), Err(Error::Argument(_))));
}

/// Near-duplicates end together even where the means would rather have them apart.
#[test]
fn near_duplicates_meet() {
    let data = records(600, 3);
    let graph = Graph::new(data, 16);
    let near =
        Neighbours { indices: &graph.indices, similarities: &graph.similarities, k: graph.k };
    let labels = graph.cluster(&options(2, 5, 3.0)).unwrap().labels;
    let measured =
        quality::measure(graph.vectors(), &labels, Some(near), 1, &Progress::default()).unwrap();
    assert!(measured.duplicates_together > 0.97, "{}", measured.duplicates_together);
}
