//! Fill and local search on vectors around random centres, neighbours given.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lmmixup_core::cluster::fill::Neighbours;
use lmmixup_core::cluster::graph::{self, Options, SizeRule};
use lmmixup_core::cluster::vectors::normalise;
use lmmixup_core::cluster::{Bounds, Limits, Random, Vectors};
use lmmixup_core::{Progress, knn};

const COUNT: usize = 4000;
const DIM: usize = 128;
const K: usize = 32;

fn records() -> Vec<f32> {
    let mut random = Random::new(1, 0);
    let centres: Vec<f32> = (0..COUNT / 8 * DIM).map(|_| random.unit() as f32 - 0.5).collect();
    let mut data = Vec::with_capacity(COUNT * DIM);
    for _ in 0..COUNT {
        let centre = random.below(COUNT / 8) * DIM;
        let mut row: Vec<f32> = centres[centre..centre + DIM]
            .iter()
            .map(|x| x + 0.5 * (random.unit() as f32 - 0.5))
            .collect();
        normalise(&mut row);
        data.extend(row);
    }
    data
}

fn cluster(criterion: &mut Criterion) {
    let data = records();
    let vectors = Vectors::new(&data, DIM).unwrap();
    let progress = Progress::default();
    let found = knn::exact(&data, None, DIM, K, 1, &progress).unwrap();
    let near = Neighbours { indices: &found.indices, similarities: &found.similarities, k: K };
    for (min, max, mean, std) in [(2, 5, 3.0, 1.0), (2, 25, 10.0, 3.0)] {
        let bounds = Bounds::new(min, max).unwrap();
        let drawn = bounds.draw(COUNT, mean, std, &mut Random::new(1, 0));
        for (name, sizes) in [("bounds", SizeRule::Mean(mean)), ("drawn", SizeRule::Given(&drawn))]
        {
            let options = Options {
                limits: Limits { bounds, min_similarity: None, max_cluster_tokens: None },
                sizes,
                allow_leftover: false,
                seed: 0,
                max_rounds: 100,
                num_threads: 1,
            };
            criterion.bench_function(&format!("cluster {min}..{max} {name}"), |bencher| {
                bencher.iter(|| graph::cluster(black_box(vectors), near, &options, &progress));
            });
        }
    }
}

criterion_group!(benches, cluster);
criterion_main!(benches);
