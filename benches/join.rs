//! Near-duplicate families by the exact join and by MinHash, one thread.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{RecordBatch, StringArray};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lmmixup_core::Progress;
use lmmixup_core::cluster::Random;
use lmmixup_core::families::KeepRule;
use lmmixup_core::join::{Earlier, near_families};
use lmmixup_core::minhash::{MinHashOptions, minhash_families};
use lmmixup_core::pool::Store;
use lmmixup_core::text::{ShingleOptions, TextPool};

const COUNT: usize = 5_000;
const WORDS: usize = 80;

/// Texts of few frequent and many rare words; each third is one before it with some words
/// changed.
fn texts() -> Vec<String> {
    let mut random = Random::new(1, 0);
    let mut texts: Vec<Vec<u32>> = Vec::with_capacity(COUNT);
    for at in 0..COUNT {
        let mut text = match at % 3 {
            2 => texts[random.below(at)].clone(),
            _ => vec![0; WORDS],
        };
        for word in &mut text {
            if at % 3 != 2 || random.below(50) == 0 {
                *word = (random.unit().powi(3) * 30_000.0) as u32;
            }
        }
        texts.push(text);
    }
    let join = |text: &Vec<u32>| text.iter().map(|word| format!("w{word} ")).collect();
    texts.iter().map(join).collect()
}

fn join(criterion: &mut Criterion) {
    let texts = texts();
    let batch = RecordBatch::try_from_iter([
        ("prompt", Arc::new(StringArray::from(texts)) as _),
        ("completion", Arc::new(StringArray::from(vec![""; COUNT])) as _),
    ])
    .unwrap();
    let progress = Progress::default();
    let read = || {
        let mut pool = TextPool::new(ShingleOptions::default()).unwrap();
        pool.push(black_box(&batch), 1, &progress).unwrap();
        pool.seal();
        pool
    };
    let pool = read();
    let rule = KeepRule { priority: None, longest: true, one: false, num_frozen: 0 };
    let earlier = Earlier::default();
    let mut group = criterion.benchmark_group("join");
    group.throughput(Throughput::Elements(COUNT as u64)).sample_size(10);
    group.bench_function("tokens", |bencher| bencher.iter(read));
    for threshold in [0.5, 0.7, 0.9] {
        group.bench_function(format!("families at {threshold}"), |bencher| {
            bencher.iter(|| near_families(&pool, threshold, &rule, &earlier, 1, &progress));
        });
    }
    let options = MinHashOptions { num_perm: 128, bands_and_rows: None, verify: true, seed: 1 };
    group.bench_function("minhash at 0.7", |bencher| {
        bencher.iter(|| minhash_families(&pool, 0.7, &options, &rule, &earlier, 1, &progress));
    });
    group.finish();
}

criterion_group!(benches, join);
criterion_main!(benches);
