//! Graphs against exact search, and files that are refused.

use super::*;
use crate::knn::exact;

const DIM: usize = 20;

fn random(num: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..num * DIM).map(|_| next()).collect()
}

fn options(storage: Storage, reproducible: bool) -> IndexOptions {
    IndexOptions { storage, connectivity: 16, expansion: 64, reproducible }
}

fn search(index: &Index, queries: &[f32], k: usize, own: Option<&[f32]>) -> Result<Neighbours> {
    index.search(queries, DIM, k, 64, own, false, 2, &Progress::default())
}

fn file(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("lmmixup-{}-{name}", std::process::id()))
}

#[test]
fn finds_most_with_the_cosines_of_exact_search() -> Result<()> {
    let (data, queries, progress) = (random(2000, 1), random(100, 2), Progress::default());
    let truth = exact(&data, Some(&queries), DIM, 10, 1, &progress)?;
    for storage in [Storage::F32, Storage::F16, Storage::I8] {
        let index = Index::build(&data, DIM, options(storage, true), 1, &progress)?;
        let found = search(&index, &queries, 10, Some(&data))?;
        let (mut hits, all) = (0, truth.indices.len());
        for (row, near) in truth.similarities.chunks_exact(10).enumerate() {
            for (&at, &own) in
                found.indices[row * 10..][..10].iter().zip(&found.similarities[row * 10..])
            {
                hits += usize::from(own >= near[9]);
                let same = truth.indices[row * 10..][..10].iter().position(|&i| i == at);
                assert!(same.is_none_or(|same| near[same].to_bits() == own.to_bits()));
            }
        }
        assert!(hits as f64 > 0.97 * all as f64, "{storage:?}: {hits} of {all}");
        let stored = search(&index, &queries, 10, None)?;
        let near = |a: &f32, b: &f32| (a - b).abs() < 0.03;
        assert!(stored.similarities.iter().zip(&found.similarities).all(|(a, b)| near(a, b)));
    }
    Ok(())
}

#[test]
fn one_thread_builds_the_same_file_and_a_view_answers_as_it_did() -> Result<()> {
    let (data, queries, progress) = (random(700, 3), random(20, 4), Progress::default());
    let mut files = Vec::new();
    for (at, threads) in [1, 2, 7].into_iter().enumerate() {
        let built = Index::build(&data, DIM, options(Storage::F16, true), threads, &progress)?;
        let path = file(&format!("same-{at}"));
        built.save(&path)?;
        let opened = Index::view(&path, 700, DIM, Storage::F16)?;
        for own in [None, Some(&data[..])] {
            let expected = search(&built, &queries, 5, own)?;
            for threads in [1, 7] {
                let found = opened.search(&queries, DIM, 5, 64, own, false, threads, &progress)?;
                assert_eq!(found, expected);
            }
        }
        files.push(std::fs::read(&path).map_err(|error| Error::io(&path, error))?);
        drop(opened);
        let _ = std::fs::remove_file(&path);
    }
    assert!(files.iter().all(|file| *file == files[0]));
    Ok(())
}

#[test]
fn zero_rows_and_more_than_there_are() -> Result<()> {
    let progress = Progress::default();
    let mut data = random(30, 5);
    data[..DIM].fill(0.0);
    data[4 * DIM..5 * DIM].fill(0.0);
    let mut queries = random(2, 6);
    queries[..DIM].fill(0.0);
    for storage in [Storage::F32, Storage::I8] {
        let index = Index::build(&data, DIM, options(storage, true), 1, &progress)?;
        let found = search(&index, &queries, 40, Some(&data))?;
        let truth = exact(&data, Some(&queries), DIM, 40, 1, &progress)?;
        assert_eq!(found, truth);
        let itself = index.search(&data, DIM, 40, 64, Some(&data), true, 1, &progress)?;
        assert_eq!(itself, exact(&data, None, DIM, 40, 1, &progress)?);
        let path = file(&format!("zeros-{storage:?}"));
        index.save(&path)?;
        let opened = Index::view(&path, 30, DIM, storage)?;
        assert_eq!(search(&opened, &queries, 40, Some(&data))?, truth);
        drop(opened);
        let _ = std::fs::remove_file(&path);
    }
    let empty = Index::build(&[], DIM, options(Storage::F32, true), 1, &progress)?;
    assert_eq!(search(&empty, &queries, 3, None)?, Neighbours::none(2, 3));
    Ok(())
}

#[test]
fn several_threads_build_where_asked() -> Result<()> {
    let (data, progress) = (random(3000, 7), Progress::default());
    let index = Index::build(&data, DIM, options(Storage::F32, false), 7, &progress)?;
    let found = index.search(&data, DIM, 1, 64, None, false, 7, &progress)?;
    let itself = found.indices.iter().enumerate().filter(|&(at, &row)| at == row as usize);
    assert!(itself.count() > 2900);
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> Result<()> {
    let (data, progress) = (random(50, 8), Progress::default());
    let index = Index::build(&data, DIM, options(Storage::F32, true), 1, &progress)?;
    let other = random(50, 9);
    let bad = |found: Result<Neighbours>| found.is_err_and(|e| matches!(e, Error::Data(_)));
    assert!(bad(search(&index, &data, 3, Some(&other))));
    assert!(bad(index.search(&data, DIM / 2, 3, 64, None, false, 1, &progress)));
    assert!(bad(search(&index, &[f32::NAN; DIM], 3, None)));
    let few = search(&index, &data, 3, Some(&data[..DIM]));
    assert!(few.is_err_and(|error| matches!(error, Error::Argument(_))));
    let path = file("refused");
    index.save(&path)?;
    for (num_rows, dim, storage) in
        [(49, DIM, Storage::F32), (50, DIM + 1, Storage::F32), (50, DIM, Storage::F16)]
    {
        let opened = Index::view(&path, num_rows, dim, storage);
        assert!(opened.is_err_and(|error| matches!(error, Error::Data(_))));
    }
    std::fs::write(&path, b"no index").map_err(|error| Error::io(&path, error))?;
    assert!(Index::view(&path, 50, DIM, Storage::F32).is_err());
    let _ = std::fs::remove_file(&path);
    assert!(Index::view(&path, 50, DIM, Storage::F32).is_err());
    Ok(())
}
