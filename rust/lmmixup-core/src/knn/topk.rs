//! The nearest so far of a block of rows, behind floors that rise as better ones come.

use super::kernels::PANEL;

/// One neighbour as a number that sorts: similarity first, then lower index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry(u64);

impl Entry {
    /// Less than every neighbour.
    pub(super) const LEAST: Self = Self(0);

    pub(super) fn new(similarity: f32, index: u32) -> Self {
        let bits = (similarity + 0.0).to_bits(); // +0 and −0 are one similarity
        let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        Self(u64::from(ordered) << 32 | u64::from(!index))
    }

    pub(super) fn similarity(self) -> f32 {
        let ordered = (self.0 >> 32) as u32;
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    }

    pub(super) fn index(self) -> u32 {
        !(self.0 as u32)
    }

    /// The same similarity with another index.
    pub(super) fn renamed(self, index: u32) -> Self {
        Self(self.0 & !u64::from(u32::MAX) | u64::from(!index))
    }
}

/// The candidates of consecutive rows.
///
/// Each row has room for [`Nearest::room`] candidates. When it is full, all but the best k go,
/// and those that the error bound cannot tell from them; what may come later must pass the floor.
/// What survives does not depend on the order in which candidates came.
pub(super) struct Nearest {
    k: usize,
    room: usize,
    floors: Vec<[f32; PANEL]>,
    fill: Vec<u32>,
    entries: Vec<Entry>,
}

impl Nearest {
    /// Nothing yet, for `len` rows that want `k` neighbours each.
    pub(super) fn new(len: usize, k: usize) -> Self {
        let room = (4 * k).max(64);
        let mut floors = vec![[f32::NEG_INFINITY; PANEL]; len.div_ceil(PANEL)];
        if let Some(last) = floors.last_mut() {
            last[len - (len - 1) / PANEL * PANEL..].fill(f32::INFINITY);
        }
        Self { k, room, floors, fill: vec![0; len], entries: vec![Entry(0); len * room] }
    }

    pub(super) fn len(&self) -> usize {
        self.fill.len()
    }

    /// The similarity from which on a row wants to hear of others.
    pub(super) fn floor(&self, row: usize) -> f32 {
        self.floors[row / PANEL][row % PANEL]
    }

    /// The floors of the rows of a panel; infinite beyond the last row.
    pub(super) fn floors(&self, panel: usize) -> &[f32; PANEL] {
        &self.floors[panel]
    }

    /// Raises a floor to what is known from elsewhere, or closes a row with infinity.
    pub(super) fn raise(&mut self, row: usize, floor: f32) {
        let old = &mut self.floors[row / PANEL][row % PANEL];
        *old = old.max(floor);
    }

    /// The candidates of a row, in no order.
    pub(super) fn row(&self, row: usize) -> &[Entry] {
        &self.entries[row * self.room..][..self.fill[row] as usize]
    }

    /// Adds a candidate. `slack` is twice the bound on the row's errors; `exact` computes the
    /// row's similarity with another and is only asked where too many stand within the slack.
    #[inline]
    pub(super) fn push(
        &mut self,
        row: usize,
        entry: Entry,
        slack: f32,
        exact: impl Fn(u32) -> f32,
    ) {
        let fill = self.fill[row] as usize;
        self.entries[row * self.room + fill] = entry;
        self.fill[row] += 1;
        if fill + 1 == self.room {
            self.compact(row, slack, exact);
        }
    }

    #[cold]
    fn compact(&mut self, row: usize, slack: f32, exact: impl Fn(u32) -> f32) {
        let entries = &mut self.entries[row * self.room..(row + 1) * self.room];
        let mut kept = retain(entries, self.k, slack);
        if kept > self.room / 2 && slack > 0.0 {
            for entry in &mut entries[..kept] {
                *entry = Entry::new(exact(entry.index()), entry.index());
            }
            retain(&mut entries[..kept], self.k, 0.0);
            kept = self.k;
        }
        let floor = entries[self.k - 1].similarity() - slack;
        self.fill[row] = kept as u32;
        self.raise(row, floor);
    }
}

/// Moves the best `k` to the front, the k-th at its place, then those within `slack` below it;
/// returns how many that are.
pub(super) fn retain(entries: &mut [Entry], k: usize, slack: f32) -> usize {
    if entries.len() <= k {
        entries.sort_unstable_by(|a, b| b.cmp(a));
        return entries.len();
    }
    entries.select_nth_unstable_by(k - 1, |a, b| b.cmp(a));
    let mut kept = k;
    if slack > 0.0 {
        let floor = entries[k - 1].similarity() - slack;
        for at in k..entries.len() {
            if entries[at].similarity() >= floor {
                entries.swap(kept, at);
                kept += 1;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_sort_by_similarity_then_index() {
        let entries = [(0.5, 3), (0.5, 4), (0.25, 0), (0.0, 9), (-0.1, 1), (-0.9, 2)]
            .map(|(similarity, index)| Entry::new(similarity, index));
        assert!(entries.windows(2).all(|pair| pair[0] > pair[1]));
        assert_eq!(entries[4].similarity(), -0.1);
        assert_eq!(entries[4].index(), 1);
    }

    #[test]
    fn keeps_the_best_and_those_within_the_slack() {
        let mut nearest = Nearest::new(1, 2);
        for index in 0..1000_u32 {
            let similarity = (index * 7919 % 1009) as f32 / 1009.0;
            if similarity >= nearest.floor(0) {
                nearest.push(0, Entry::new(similarity, index), 0.01, |_| similarity);
            }
        }
        let mut best: Vec<Entry> = nearest.row(0).to_vec();
        best.sort_by(|a, b| b.cmp(a));
        let mut all: Vec<Entry> =
            (0..1000).map(|i| Entry::new((i * 7919 % 1009) as f32 / 1009.0, i)).collect();
        all.sort_by(|a, b| b.cmp(a));
        assert!(best.starts_with(&all[..5]));
    }

    #[test]
    fn ties_beyond_the_room_keep_the_lowest_indices() {
        let mut nearest = Nearest::new(1, 3);
        for index in (0..500_u32).rev() {
            nearest.push(0, Entry::new(0.5, index), 0.1, |_| 0.5);
        }
        let mut best: Vec<u32> = nearest.row(0).iter().map(|entry| entry.index()).collect();
        best.sort_unstable();
        assert_eq!(best[..3], [0, 1, 2]);
    }
}
