//! One pass over all sets: sizes, bitmaps, and which sets are identical.

use rayon::prelude::*;

use super::Signatures;
use crate::text::{Shingler, TextPool};
use crate::{Progress, Result};

/// Records of one task.
const RECORDS_A_TASK: usize = 512;
/// Tasks of one block; their results are held together.
const TASKS_A_BLOCK: usize = 32;

/// Sees every set during [`Profile::of`].
pub trait Observer: Sync {
    /// What one task collects.
    type Task: Send;
    /// An empty collection.
    fn task(&self) -> Self::Task;
    /// Collects one record's set; records come in order within a task.
    fn see(&self, task: &mut Self::Task, items: &[u64]);
    /// Takes the collections of consecutive tasks.
    fn absorb(&mut self, tasks: Vec<Self::Task>);
}

/// What is known of every record's set.
#[derive(Debug)]
pub struct Profile {
    /// Number of distinct shingles of each record.
    pub size: Vec<u32>,
    /// The first record with the same set.
    pub representative: Vec<u32>,
    /// Bitmaps of all records.
    pub signatures: Signatures,
}

struct Part<T> {
    size: Vec<u32>,
    print: Vec<[u64; 2]>,
    words: Vec<u64>,
    observed: T,
}

impl Profile {
    /// Makes every set once. O(tokens); runs in the caller's thread pool.
    ///
    /// # Errors
    /// [`crate::Error::Interrupted`].
    pub fn of(
        pool: &TextPool,
        threshold: f64,
        observer: &mut impl Observer,
        progress: &Progress,
    ) -> Result<Self> {
        let num_records = pool.len();
        progress.start("count shingles", num_records as u64);
        let mut size = Vec::with_capacity(num_records);
        let mut prints = Vec::with_capacity(num_records);
        let mut signatures = Signatures::default();
        for start in (0..num_records).step_by(RECORDS_A_TASK * TASKS_A_BLOCK) {
            let block = start..num_records.min(start + RECORDS_A_TASK * TASKS_A_BLOCK);
            let mut tasks = Vec::with_capacity(TASKS_A_BLOCK);
            for part in parts(pool, block.clone(), threshold, &*observer) {
                signatures.extend(&part.words, &part.size, threshold);
                size.extend(part.size);
                prints.extend(part.print);
                tasks.push(part.observed);
            }
            observer.absorb(tasks);
            progress.advance(block.len() as u64)?;
        }
        Ok(Self { size, representative: representatives(prints), signatures })
    }

    /// Whether the record stands for all records with its set.
    pub fn is_representative(&self, record: usize) -> bool {
        self.representative[record] as usize == record
    }
}

fn parts<O: Observer>(
    pool: &TextPool,
    block: std::ops::Range<usize>,
    threshold: f64,
    observer: &O,
) -> Vec<Part<O::Task>> {
    let starts: Vec<usize> = block.clone().step_by(RECORDS_A_TASK).collect();
    let make = |shingler: &mut Shingler, start: usize| {
        let mut part =
            Part { size: vec![], print: vec![], words: vec![], observed: observer.task() };
        for record in start..block.end.min(start + RECORDS_A_TASK) {
            shingler.load(pool.units(record));
            let items = shingler.items();
            part.size.push(items.len() as u32);
            part.print.push(fingerprint(items));
            Signatures::append(items, threshold, &mut part.words);
            observer.see(&mut part.observed, items);
        }
        part
    };
    let shingler = || Shingler::new(pool.options().num_tokens);
    starts.into_par_iter().map_init(shingler, make).collect()
}

/// 128 bits that do not depend on the order of the items.
fn fingerprint(items: &[u64]) -> [u64; 2] {
    items.iter().fold([0, 0], |[sum, mixed], &item| {
        let other = (item ^ (item >> 29)).wrapping_mul(0x9fb2_1c65_1e98_df25);
        [sum.wrapping_add(item), mixed.wrapping_add(other ^ (other >> 32))]
    })
}

fn representatives(prints: Vec<[u64; 2]>) -> Vec<u32> {
    let mut order: Vec<([u64; 2], u32)> = prints.into_iter().zip(0..).collect();
    order.par_sort_unstable();
    let mut representative = vec![0; order.len()];
    for same in order.chunk_by(|a, b| a.0 == b.0) {
        for &(_, record) in same {
            representative[record as usize] = same[0].1;
        }
    }
    representative
}
