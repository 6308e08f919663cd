//! Near-duplicate families by MinHash and banding: finds most pairs, verifies each exactly.
//!
//! A set's signature is the minimum of each of `num_perm` hash functions over its shingles;
//! two sets agree in one with probability J (Broder 1997). Signatures are cut into bands of
//! `rows`; sets that agree in a whole band are candidates (Indyk and Motwani 1998).

use rayon::prelude::*;

use crate::families::{Components, Families, KeepRule, Observer, Profile, SetLikeness, decide};
use crate::join::{Earlier, check_threshold, connect_earlier};
use crate::text::{Shingler, TextPool, overlap_needed};
use crate::threads::with_threads;
use crate::{Error, Progress, Result};

/// Share of the pairs exactly at the threshold that banding should find where it chooses.
const WANTED_RECALL: f64 = 0.95;

/// How sets are hashed and banded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinHashOptions {
    /// Number of hash functions, 1 to 4096.
    pub num_perm: usize,
    /// Bands and rows a band, bands × rows ≤ `num_perm`; `None` chooses from the threshold.
    pub bands_and_rows: Option<(usize, usize)>,
    /// Whether candidates are compared exactly. Where not, one record of each family stays.
    pub verify: bool,
    /// Chooses the hash functions.
    pub seed: u64,
}

impl MinHashOptions {
    /// Bands and rows for a threshold: the most rows that still find 95 % of the pairs
    /// exactly at the threshold.
    ///
    /// # Errors
    /// [`Error::Argument`] where the numbers are out of range or do not fit together.
    pub fn bands_and_rows(&self, threshold: f64) -> Result<(usize, usize)> {
        if !(1..=4096).contains(&self.num_perm) {
            return Err(Error::Argument(format!(
                "num_perm must be 1 to 4096, got {}; 128 is usual",
                self.num_perm
            )));
        }
        if let Some((bands, rows)) = self.bands_and_rows {
            let fits = bands > 0 && rows > 0 && bands.saturating_mul(rows) <= self.num_perm;
            return if fits {
                Ok((bands, rows))
            } else {
                Err(Error::Argument(format!(
                    "expected bands × rows from 1 to num_perm = {}, got {bands} × {rows}",
                    self.num_perm
                )))
            };
        }
        let recall = |rows: usize| {
            let missed = 1.0 - threshold.powi(rows as i32);
            1.0 - missed.powi((self.num_perm / rows) as i32)
        };
        let rows = (1..=self.num_perm).rev().find(|&rows| recall(rows) >= WANTED_RECALL);
        let rows = rows.unwrap_or(1);
        Ok((self.num_perm / rows, rows))
    }
}

/// Families of records that MinHash finds, and which stay.
///
/// With `verify` no record is dropped without a kept partner at the threshold. O(tokens × `num_perm`)
/// and the candidates; the same at any number of threads.
///
/// # Errors
/// [`Error::Argument`] where threshold or options are out of range; [`Error::Interrupted`].
pub fn minhash_families(
    pool: &TextPool,
    threshold: f64,
    options: &MinHashOptions,
    rule: &KeepRule<'_>,
    earlier: &Earlier<'_>,
    num_threads: usize,
    progress: &Progress,
) -> Result<Families> {
    check_threshold(threshold)?;
    let (bands, rows) = options.bands_and_rows(threshold)?;
    with_threads(num_threads, || {
        let mut bander = Bander::new(bands, rows, options.seed);
        let profile = Profile::of(pool, threshold, &mut bander, progress)?;
        let components = Components::new(pool.len());
        let node = |record: usize| profile.representative[record];
        connect_earlier(earlier, &components, node, pool.len())?;
        progress.start("compare candidates", bands as u64);
        let linker = Linker { pool, profile: &profile, threshold, components: &components };
        bander.keys.into_par_iter().try_for_each(|keys| {
            linker.band(&keys, options.verify, earlier.num_frozen, progress)?;
            progress.advance(1)
        })?;
        let labels = components.labels(pool.len(), node);
        let rule = KeepRule { one: rule.one || !options.verify, ..*rule };
        decide(&SetLikeness { pool, profile: &profile }, labels, threshold, &rule, progress)
    })
}

/// Makes signatures and keeps of each band a 32-bit key.
struct Bander {
    rows: usize,
    factors: Vec<u32>,
    offsets: Vec<u32>,
    /// Keys of each band, a record after the other.
    keys: Vec<Vec<u32>>,
}

impl Bander {
    fn new(bands: usize, rows: usize, seed: u64) -> Self {
        let mut state = seed;
        let mut draw = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mix64(state) as u32
        };
        let count = bands * rows;
        Self {
            rows,
            factors: (0..count).map(|_| draw() | 1).collect(),
            offsets: (0..count).map(|_| draw()).collect(),
            keys: vec![Vec::new(); bands],
        }
    }
}

impl Observer for Bander {
    type Task = (Vec<u32>, Vec<u32>);

    fn task(&self) -> Self::Task {
        (vec![0; self.factors.len()], Vec::new())
    }

    fn see(&self, (minima, keys): &mut Self::Task, items: &[u64]) {
        minima.fill(u32::MAX);
        fold_minima(items, &self.factors, &self.offsets, minima);
        keys.extend(minima.chunks_exact(self.rows).map(|band| {
            let join = |key: u64, &min: &u32| mix64(key ^ u64::from(min));
            band.iter().fold(0x9e37_79b9_7f4a_7c15, join) as u32
        }));
    }

    fn absorb(&mut self, tasks: Vec<Self::Task>) {
        let bands = self.keys.len();
        self.keys.par_iter_mut().enumerate().for_each(|(band, own)| {
            for (_, keys) in &tasks {
                own.extend(keys[band..].iter().step_by(bands));
            }
        });
    }
}

/// Lowers each minimum to the smallest value of its hash function over the items.
fn fold_minima(items: &[u64], factors: &[u32], offsets: &[u32], minima: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions.
        return unsafe { fold_minima_avx2(items, factors, offsets, minima) };
    }
    fold_minima_plain(items, factors, offsets, minima);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fold_minima_avx2(items: &[u64], factors: &[u32], offsets: &[u32], minima: &mut [u32]) {
    fold_minima_plain(items, factors, offsets, minima);
}

#[inline(always)]
fn fold_minima_plain(items: &[u64], factors: &[u32], offsets: &[u32], minima: &mut [u32]) {
    for &item in items {
        let (low, high) = (item as u32, (item >> 32) as u32);
        for ((min, &factor), &offset) in minima.iter_mut().zip(factors).zip(offsets) {
            // Two rounds: one multiplication alone is not min-wise independent enough.
            let mut value = (low ^ offset).wrapping_mul(factor) ^ high;
            value = (value ^ value >> 15).wrapping_mul(0x2c1b_3c6d);
            value ^= value >> 13;
            *min = (*min).min(value);
        }
    }
}

fn mix64(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

struct Linker<'a> {
    pool: &'a TextPool,
    profile: &'a Profile,
    threshold: f64,
    components: &'a Components,
}

impl Linker<'_> {
    /// Connects the records that agree in a band and, where it verifies, reach the threshold.
    fn band(
        &self,
        keys: &[u32],
        verify: bool,
        num_frozen: usize,
        progress: &Progress,
    ) -> Result<()> {
        let wanted = |record: &usize| {
            self.profile.is_representative(*record) && self.profile.size[*record] > 0
        };
        let mut order: Vec<u64> = (0..keys.len())
            .filter(wanted)
            .map(|record| u64::from(keys[record]) << 32 | record as u64)
            .collect();
        order.sort_unstable();
        let mut shingler = Shingler::new(self.pool.options().num_tokens);
        for group in order.chunk_by(|a, b| a >> 32 == b >> 32).filter(|group| group.len() > 1) {
            for (at, &new) in group.iter().enumerate() {
                let new = new as u32;
                let mut loaded = false;
                progress.advance(0)?;
                for &old in &group[..at] {
                    let old = old as u32;
                    if self.components.same(old, new) || (new as usize) < num_frozen {
                        continue;
                    }
                    if !verify || self.reaches(old, new, &mut loaded, &mut shingler) {
                        self.components.unite(old, new);
                    }
                }
            }
        }
        Ok(())
    }

    fn reaches(&self, old: u32, new: u32, loaded: &mut bool, shingler: &mut Shingler) -> bool {
        let (old, new) = (old as usize, new as usize);
        let (size_a, size_b) = (self.profile.size[old], self.profile.size[new]);
        let needed = overlap_needed(size_a as usize, size_b as usize, self.threshold);
        if needed > size_a.min(size_b) as usize
            || self.profile.signatures.max_overlap(old, new, size_a, size_b) < needed
        {
            return false;
        }
        if !*loaded {
            shingler.load(self.pool.units(new));
            *loaded = true;
        }
        shingler.overlap(self.pool.units(old), needed).is_some()
    }
}
