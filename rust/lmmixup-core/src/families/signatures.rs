//! Bitmaps that bound the overlap of two sets from above (Sandes, Teodoro and Melo 2020).

/// One bitmap a set: bit b is the parity of the elements whose hash ends in b.
///
/// Bits that differ between two bitmaps come from elements of the symmetric difference, so
/// |A ∩ B| ≤ (|A| + |B| − differing bits) / 2. Widths are powers of two near twice the set's size;
/// a wide bitmap folds onto a narrow one.
#[derive(Debug, Default)]
pub struct Signatures {
    words: Vec<u64>,
    starts: Vec<u32>,
}

const MAX_WORDS: usize = 64;

impl Signatures {
    /// Words of a bitmap for a set of this size.
    fn num_words(size: usize, threshold: f64) -> usize {
        // Under 0.5 similar sets differ so much that only a wider bitmap tells them apart.
        let bits = if threshold < 0.5 { 4 * size } else { 3 * size / 2 };
        bits.div_ceil(64).next_power_of_two().min(MAX_WORDS)
    }

    /// Appends the bitmap of a set to `words`.
    pub fn append(items: &[u64], threshold: f64, words: &mut Vec<u64>) {
        let start = words.len();
        words.resize(start + Self::num_words(items.len(), threshold), 0);
        let bitmap = &mut words[start..];
        let mask = bitmap.len() as u64 * 64 - 1;
        for item in items {
            let bit = item & mask;
            bitmap[(bit / 64) as usize] ^= 1 << (bit % 64);
        }
    }

    /// Adds bitmaps made by [`Signatures::append`] for sets of these sizes.
    pub(crate) fn extend(&mut self, words: &[u64], sizes: &[u32], threshold: f64) {
        let mut start = self.words.len();
        self.words.extend_from_slice(words);
        for &size in sizes {
            self.starts.push(start as u32);
            start += Self::num_words(size as usize, threshold);
        }
    }

    fn bitmap(&self, set: usize) -> &[u64] {
        let end = self.starts.get(set + 1).map_or(self.words.len(), |&end| end as usize);
        &self.words[self.starts[set] as usize..end]
    }

    /// An upper bound of the overlap of two sets of these sizes.
    #[inline]
    pub fn max_overlap(&self, a: usize, b: usize, size_a: u32, size_b: u32) -> usize {
        let differing = differing_bits(self.bitmap(a), self.bitmap(b));
        ((size_a + size_b).saturating_sub(differing) / 2) as usize
    }
}

fn differing_bits(a: &[u64], b: &[u64]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the instruction.
        return unsafe { differing_bits_popcnt(a, b) };
    }
    count_differing(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn differing_bits_popcnt(a: &[u64], b: &[u64]) -> u32 {
    count_differing(a, b)
}

#[inline(always)]
fn count_differing(a: &[u64], b: &[u64]) -> u32 {
    if a.len() == b.len() {
        return a.iter().zip(b).map(|(x, y)| (x ^ y).count_ones()).sum();
    }
    let (narrow, wide) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let fold = |at: usize| wide.iter().skip(at).step_by(narrow.len()).fold(0, |x, y| x ^ y);
    narrow.iter().enumerate().map(|(at, word)| (word ^ fold(at)).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        #[test]
        fn bound_is_never_under_the_overlap(
            a in prop::collection::hash_set(0u64..3000, 0..300),
            b in prop::collection::hash_set(0u64..3000, 0..300),
            threshold in 0.1f64..1.0,
        ) {
            let spread = |set: &HashSet<u64>| -> Vec<u64> {
                set.iter().map(|x| x.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20).collect()
            };
            let (mut words, sizes) = (Vec::new(), [a.len() as u32, b.len() as u32]);
            Signatures::append(&spread(&a), threshold, &mut words);
            Signatures::append(&spread(&b), threshold, &mut words);
            let mut signatures = Signatures::default();
            signatures.extend(&words, &sizes, threshold);
            let common = a.intersection(&b).count();
            prop_assert!(signatures.max_overlap(0, 1, sizes[0], sizes[1]) >= common);
        }
    }
}
