//! Nearest neighbours of vectors around random centres, exact and by blocks, one thread.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lmmixup_core::Progress;
use lmmixup_core::cluster::Random;
use lmmixup_core::cluster::vectors::normalise;
use lmmixup_core::knn::{self, BlocksOptions};

const COUNT: usize = 4_000;
const DIM: usize = 256;
const K: usize = 32;

fn records() -> Vec<f32> {
    let mut random = Random::new(1, 0);
    let centres: Vec<f32> = (0..COUNT / 16 * DIM).map(|_| random.unit() as f32 - 0.5).collect();
    let mut data = Vec::with_capacity(COUNT * DIM);
    for _ in 0..COUNT {
        let centre = random.below(COUNT / 16) * DIM;
        let mut row: Vec<f32> = centres[centre..centre + DIM]
            .iter()
            .map(|x| x + 0.5 * (random.unit() as f32 - 0.5))
            .collect();
        normalise(&mut row);
        data.extend(row);
    }
    data
}

fn neighbours(criterion: &mut Criterion) {
    let data = records();
    let progress = Progress::default();
    let mut group = criterion.benchmark_group(format!("knn, {}", knn::instruction_set()));
    group.throughput(Throughput::Elements(COUNT as u64)).sample_size(10);
    group.bench_function("exact", |bencher| {
        bencher.iter(|| knn::exact(black_box(&data), None, DIM, K, 1, &progress).unwrap());
    });
    group.bench_function("exact, 100 queries", |bencher| {
        let queries = &data[..100 * DIM];
        bencher.iter(|| knn::exact(black_box(&data), Some(queries), DIM, K, 1, &progress).unwrap());
    });
    group.bench_function("blocks", |bencher| {
        let options = BlocksOptions::default();
        bencher.iter(|| knn::blocks(black_box(&data), DIM, K, options, 1, &progress).unwrap());
    });
    group.finish();
}

criterion_group!(benches, neighbours);
criterion_main!(benches);
