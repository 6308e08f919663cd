//! Reading JSONL: what the columns are, Arrow batches, and exact duplicates without Arrow.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lmmixup_core::Progress;
use lmmixup_core::cluster::Random;
use lmmixup_core::exact::ExactPool;
use lmmixup_core::pool::canonical::Wanted;
use lmmixup_core::pool::mapping::{IdRule, detect};
use lmmixup_core::pool::parse::Plan;
use lmmixup_core::pool::source::Format;
use lmmixup_core::pool::{Reader, Request, Store, scan_columns};
use lmmixup_core::text::Normalization;

const COUNT: usize = 20_000;
const MAX_BYTES: usize = 64 << 20;

/// Records with ids, escapes and, in a third of them, other scripts; every tenth comes twice.
fn records() -> String {
    let mut random = Random::new(1, 0);
    let mut data = String::new();
    let words =
        ["the", "answer", "Größe", "数据", "of\\n", "\\\"quoted\\\"", "is", "and", "42,", "so"];
    let mut text = String::new();
    for at in 0..COUNT {
        if at % 10 != 9 {
            text.clear();
            for _ in 0..20 + random.below(120) {
                text.push_str(words[random.below(if at % 3 == 0 { words.len() } else { 2 })]);
                text.push(' ');
            }
        }
        writeln!(
            data,
            r#"{{"id":"r{at}","source":"made","instruction":"Say {}","input":"","output":"{text}"}}"#,
            random.below(1000)
        )
        .unwrap();
    }
    data
}

fn request(path: &Path) -> Request {
    let progress = Progress::default();
    let seen = scan_columns(path, Format::Jsonl, MAX_BYTES, true, 1, &progress).unwrap();
    let plan = Plan {
        mapping: detect(&seen.columns, None, &vec![], IdRule::Auto).unwrap(),
        wanted: Wanted::of(["id", "prompt", "completion"]),
        originals: vec![],
        source: "bench".into(),
        fixed_source: false,
        max_bytes: MAX_BYTES,
    };
    let keeper = Arc::new(Mutex::default());
    Request { path: path.to_owned(), format: Format::Jsonl, plan, keeper, num_threads: 1 }
}

fn pool(criterion: &mut Criterion) {
    let data = records();
    let path = std::env::temp_dir().join(format!("lmmixup-bench-{}.jsonl", std::process::id()));
    std::fs::write(&path, &data).unwrap();
    let progress = Progress::default();
    let mut group = criterion.benchmark_group("pool");
    group.throughput(Throughput::Bytes(data.len() as u64)).sample_size(10);
    group.bench_function("columns", |bencher| {
        bencher.iter(|| scan_columns(&path, Format::Jsonl, MAX_BYTES, false, 1, &progress));
    });
    group.bench_function("batches", |bencher| {
        bencher.iter(|| {
            let mut reader = Reader::open(request(&path)).unwrap();
            while reader.next_batch(&progress).unwrap().is_some() {}
        });
    });
    for (name, normalization) in [
        ("exact raw", Normalization::Raw),
        ("exact lower", Normalization::Lower),
        ("exact nfkc", Normalization::Nfkc),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut pool = ExactPool::new(normalization);
                let mut reader = pool.open(request(&path)).unwrap();
                while pool.read(&mut reader, &progress).unwrap().is_some() {}
                pool.len()
            });
        });
    }
    group.finish();
    std::fs::remove_file(&path).unwrap();
}

criterion_group!(benches, pool);
criterion_main!(benches);
