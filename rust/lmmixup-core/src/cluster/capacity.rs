//! How many records a cluster may hold: bounds, what they can partition, sizes drawn from them.

use super::random::Random;
use crate::{Error, Result};

/// The smallest and the largest number of records in a cluster, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    min: usize,
    max: usize,
}

impl Bounds {
    /// Bounds `1 <= min <= max`.
    ///
    /// # Errors
    /// [`Error::Argument`] otherwise.
    pub fn new(min: usize, max: usize) -> Result<Self> {
        if min == 0 || min > max || max > u16::MAX as usize {
            return Err(Error::Argument(format!(
                "cluster sizes must be 1 <= min <= max <= 65535, got min {min}, max {max}"
            )));
        }
        Ok(Self { min, max })
    }

    /// Fewest records in a cluster.
    pub fn min(&self) -> usize {
        self.min
    }

    /// Most records in a cluster.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Whether `num_records` can be split into whole clusters, none left over.
    ///
    /// True iff some number of clusters `c` has `c * min <= num_records <= c * max`. O(1).
    pub fn can_partition(&self, num_records: usize) -> bool {
        num_records.div_ceil(self.max) <= num_records / self.min
    }

    /// The most records out of `num_records` that can be split into whole clusters. O(1).
    pub fn most_partitionable(&self, num_records: usize) -> usize {
        if self.can_partition(num_records) {
            return num_records;
        }
        // num_records lies in the gap above what num_records / min clusters can hold
        num_records / self.min * self.max
    }

    /// The number of clusters nearest to `num_records / mean` that can hold all records.
    ///
    /// `num_records` must be partitionable ([`Bounds::can_partition`]).
    pub fn num_clusters(&self, num_records: usize, mean: f64) -> usize {
        let wanted = (num_records as f64 / mean).round() as usize;
        wanted.clamp(num_records.div_ceil(self.max), num_records / self.min)
    }

    /// How many of `num_records` records to cluster: all, or fewer where `allow_leftover`.
    ///
    /// # Errors
    /// [`Error::Infeasible`] where the records cannot be split and no leftover is allowed.
    pub fn plan(&self, num_records: usize, allow_leftover: bool) -> Result<usize> {
        let most = self.most_partitionable(num_records);
        if most == num_records || allow_leftover {
            return Ok(most);
        }
        let Self { min, max } = *self;
        let fewer = num_records / min;
        let records = if num_records == 1 { "record" } else { "records" };
        let but = match fewer {
            0 => String::new(),
            _ => format!("{fewer} hold at most {}, ", fewer * max),
        };
        Err(Error::Infeasible(format!(
            "{num_records} {records} cannot be split into clusters of {min} to {max}: {but}\
             {} need at least {}; hint: widen min and max, or allow a leftover (--allow-leftover; \
             {} of the records)",
            fewer + 1,
            (fewer + 1) * min,
            num_records - most,
        )))
    }

    /// Checks sizes that somebody chose.
    pub(crate) fn check_given(&self, sizes: &[u32], num_records: usize) -> Result<()> {
        if let Some(size) =
            sizes.iter().find(|size| !(self.min..=self.max).contains(&(**size as usize)))
        {
            return Err(Error::Argument(format!(
                "given sizes must be within {} to {}, got {size}",
                self.min, self.max
            )));
        }
        let sum: u64 = sizes.iter().map(|size| u64::from(*size)).sum();
        if sum > num_records as u64 {
            return Err(Error::Argument(format!(
                "given sizes must sum to at most the {num_records} records, got {sum}"
            )));
        }
        Ok(())
    }

    /// Sizes drawn from a normal distribution, in whole records, until they sum to `num_records`.
    ///
    /// Each size is N(`mean`, `std`) rounded and clipped to the bounds, as in the paper; a size
    /// that would leave a rest that no sizes can fill is not drawn, so it always ends.
    /// `num_records` must be partitionable. O(clusters · (max − min)); deterministic for a seed
    /// on every platform.
    pub fn draw(&self, num_records: usize, mean: f64, std: f64, random: &mut Random) -> Vec<u32> {
        let weights: Vec<f64> = (self.min..=self.max).map(|s| self.weight(s, mean, std)).collect();
        let mut rest = num_records;
        let mut sizes = Vec::with_capacity((num_records as f64 / mean.max(1.0)) as usize + 1);
        while rest > 0 {
            let fits = |size: usize| size <= rest && self.can_partition(rest - size);
            let size = self.draw_one(&weights, mean, random, fits);
            sizes.push(size as u32);
            rest -= size;
        }
        sizes
    }

    fn draw_one(
        &self,
        weights: &[f64],
        mean: f64,
        random: &mut Random,
        fits: impl Fn(usize) -> bool,
    ) -> usize {
        let allowed: Vec<(usize, f64)> =
            (self.min..=self.max).zip(weights.iter().copied()).filter(|(s, _)| fits(*s)).collect();
        let mut left = random.unit() * allowed.iter().map(|(_, weight)| weight).sum::<f64>();
        for &(size, weight) in &allowed {
            if left < weight {
                return size;
            }
            left -= weight;
        }
        // all allowed sizes are improbable, or rounding used the weight up: nearest to the mean
        let far = |size: usize| (size as f64 - mean).abs();
        allowed
            .iter()
            .map(|(size, _)| *size)
            .min_by(|a, b| far(*a).total_cmp(&far(*b)))
            .unwrap_or(self.min)
    }

    /// P(clip(round(N(mean, std))) = size), by a `libm` that is the same on every platform.
    fn weight(&self, size: usize, mean: f64, std: f64) -> f64 {
        let below = |x: f64| {
            if std > 0.0 {
                0.5 * (1.0 + libm::erf((x - mean) / (std * std::f64::consts::SQRT_2)))
            } else {
                f64::from(u8::from(mean < x))
            }
        };
        let low = if size == self.min { 0.0 } else { below(size as f64 - 0.5) };
        let high = if size == self.max { 1.0 } else { below(size as f64 + 0.5) };
        (high - low).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which totals are sums of sizes in min..=max, by dynamic programming.
    fn reachable(min: usize, max: usize, up_to: usize) -> Vec<bool> {
        let mut can = vec![false; up_to + 1];
        can[0] = true;
        for n in 1..=up_to {
            can[n] = (min..=max.min(n)).any(|size| can[n - size]);
        }
        can
    }

    #[test]
    fn feasibility_matches_brute_force() {
        for min in 1..=8 {
            for max in min..=8 {
                let bounds = Bounds::new(min, max).unwrap();
                let can = reachable(min, max, 60);
                for n in 0..=60 {
                    assert_eq!(bounds.can_partition(n), can[n], "{n} in {min}..{max}");
                    let most = (0..=n).rev().find(|m| can[*m]).unwrap();
                    assert_eq!(bounds.most_partitionable(n), most, "{n} in {min}..{max}");
                }
            }
        }
    }

    #[test]
    fn every_partitionable_number_is_drawn_exactly() {
        for (min, max, mean, std) in [(2, 5, 3.0, 1.0), (4, 5, 4.2, 0.0), (1, 8, 40.0, 0.1)] {
            let bounds = Bounds::new(min, max).unwrap();
            for n in (0..400).filter(|n| bounds.can_partition(*n)) {
                let sizes = bounds.draw(n, mean, std, &mut Random::new(n as u64, 0));
                assert_eq!(sizes.iter().map(|s| *s as usize).sum::<usize>(), n);
                assert!(sizes.iter().all(|s| (min..=max).contains(&(*s as usize))));
            }
        }
    }

    #[test]
    fn drawn_sizes_follow_the_clipped_normal() {
        let bounds = Bounds::new(2, 5).unwrap();
        let sizes = bounds.draw(300_000, 3.0, 1.0, &mut Random::new(7, 0));
        let share = |s: u32| sizes.iter().filter(|x| **x == s).count() as f64 / sizes.len() as f64;
        // P(N(3, 1) < 2.5) = .3085, P(2.5..3.5) = .3829, P(3.5..4.5) = .2417, P(> 4.5) = .0668
        for (size, expected) in [(2, 0.3085), (3, 0.3829), (4, 0.2417), (5, 0.0668)] {
            assert!((share(size) - expected).abs() < 0.01, "{size}: {}", share(size));
        }
    }

    #[test]
    fn says_why_it_cannot() {
        let message =
            |n, min, max| Bounds::new(min, max).unwrap().plan(n, false).unwrap_err().to_string();
        assert!(
            message(1, 2, 5).contains("1 record cannot be split into clusters of 2 to 5: 1 need")
        );
        assert!(message(7, 4, 5).contains("1 hold at most 5, 2 need at least 8"));
        assert!(message(7, 4, 5).contains("--allow-leftover; 2 of the records"));
        assert_eq!(Bounds::new(4, 5).unwrap().plan(7, true).unwrap(), 5);
        assert!(Bounds::new(5, 4).is_err() && Bounds::new(0, 4).is_err());
    }
}
