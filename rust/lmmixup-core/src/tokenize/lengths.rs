//! How many records have how many tokens.

use std::collections::BTreeMap;

/// Lengths that are counted in a list; longer ones are rare and take a tree.
const LISTED: usize = 1 << 14;

/// Numbers of records by their length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    listed: Vec<u64>,
    others: BTreeMap<u32, u64>,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { listed: vec![0; LISTED], others: BTreeMap::new() }
    }
}

impl Lengths {
    /// Counts one more record of a length.
    #[inline]
    pub fn count(&mut self, length: u32) {
        match self.listed.get_mut(length as usize) {
            Some(records) => *records += 1,
            None => *self.others.entry(length).or_default() += 1,
        }
    }

    /// Lengths that there are, ascending, with their number of records.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let listed = (0..).zip(self.listed.iter().copied()).filter(|&(_, records)| records > 0);
        listed.chain(self.others.iter().map(|(&length, &records)| (length, records)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_short_and_long_ones() {
        let mut lengths = Lengths::default();
        [7, 1 << 20, 7, 0, 1 << 14].into_iter().for_each(|length| lengths.count(length));
        let found: Vec<(u32, u64)> = lengths.iter().collect();
        assert_eq!(found, [(0, 1), (7, 2), (1 << 14, 1), (1 << 20, 1)]);
    }
}
