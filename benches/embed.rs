//! Lexical and static embedding, one thread.

use std::hint::black_box;
use std::path::Path;

use arrow_array::StringArray;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lmmixup_core::Progress;
use lmmixup_core::embed::{Lexical, LexicalOptions, StaticModel, StaticOptions, Texts};

const NUM_TEXTS: usize = 2_000;

/// Texts of some 800 bytes from a vocabulary with few frequent and many rare words, as
/// records have.
fn texts() -> StringArray {
    let mut state = 1u64;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    let words = |next: &mut dyn FnMut() -> f64| {
        let rank = (next().powi(3) * 30_000.0) as u64;
        let mut word = String::new();
        let mut rest = rank + 27;
        while rest > 0 {
            word.push(char::from(b'a' + (rest % 26) as u8));
            word.push(char::from(b"aeiou"[(rest % 5) as usize]));
            rest /= 26;
        }
        word
    };
    let text =
        |next: &mut dyn FnMut() -> f64| (0..130).map(|_| words(next)).collect::<Vec<_>>().join(" ");
    StringArray::from_iter_values((0..NUM_TEXTS).map(|_| text(&mut next)))
}

fn lexical(criterion: &mut Criterion) {
    let array = texts();
    let mut out = vec![0f32; NUM_TEXTS * 256];
    let mut group = criterion.benchmark_group("embed");
    group.throughput(Throughput::Elements(NUM_TEXTS as u64));
    group.sample_size(10);
    group.bench_function("lexical", |bencher| {
        bencher.iter(|| -> lmmixup_core::Result<()> {
            let texts = Texts::new(&array)?;
            let mut model = Lexical::new(LexicalOptions::default())?;
            model.count(&[texts], 1, &Progress::default())?;
            model.embed(black_box(texts), &mut out, 1, &Progress::default())
        });
    });
    group.finish();
}

/// Runs where `LMMIXUP_STATIC_MODEL` names a folder with `tokenizer.json` and
/// `model.safetensors`.
fn static_model(criterion: &mut Criterion) {
    let Ok(folder) = std::env::var("LMMIXUP_STATIC_MODEL") else { return };
    let folder = Path::new(&folder);
    let files = (folder.join("tokenizer.json"), folder.join("model.safetensors"));
    let Ok(model) = StaticModel::open(&files.0, &files.1, StaticOptions::default()) else { return };
    let array = texts();
    let mut out = vec![0f32; NUM_TEXTS * model.dim()];
    let mut group = criterion.benchmark_group("embed");
    group.throughput(Throughput::Elements(NUM_TEXTS as u64));
    group.sample_size(10);
    group.bench_function("static", |bencher| {
        bencher.iter(|| -> lmmixup_core::Result<()> {
            let texts = Texts::new(&array)?;
            model.embed(black_box(texts), &mut out, 1, &Progress::default())
        });
    });
    group.finish();
}

criterion_group!(benches, lexical, static_model);
criterion_main!(benches);
