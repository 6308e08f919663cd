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

/// Keeps the best of two lists, each once, in the first: best first, like all of `best`. `more` may be in
/// any order; `room` is for what this takes.
pub(super) fn merge(best: &mut [Entry], more: &mut [Entry], room: &mut Vec<Entry>) {
    more.sort_unstable_by(|a, b| b.cmp(a));
    room.clear();
    let (mut old, mut new) = (best.iter().copied().peekable(), more.iter().copied().peekable());
    while room.len() < best.len() {
        let next = match (old.peek(), new.peek()) {
            (Some(one), Some(other)) if other > one => new.next(),
            _ => old.next(),
        };
        // What stands in both, or twice in one, comes up in succession.
        room.extend(next.filter(|entry| room.last() != Some(entry)));
        if next.is_none() {
            room.resize(best.len(), Entry::LEAST);
        }
    }
    best.copy_from_slice(room);
}

/// The candidates of consecutive rows.
///
/// Each row has room for [`Nearest::room`] candidates. When it is full, all but the best k go, and
/// what comes later must pass the floor. Which k are the best does not depend on the order in which
/// candidates came.
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
        let room = (2 * k).max(64);
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

    /// Adds a candidate. What is more than `margin` below the row's k-th best cannot be one, by
    /// the similarity that is compared with the floor.
    #[inline]
    pub(super) fn push(&mut self, row: usize, entry: Entry, margin: f32) {
        let fill = self.fill[row] as usize;
        self.entries[row * self.room + fill] = entry;
        self.fill[row] += 1;
        if fill + 1 == self.room {
            self.compact(row, margin);
        }
    }

    #[cold]
    fn compact(&mut self, row: usize, margin: f32) {
        let entries = &mut self.entries[row * self.room..(row + 1) * self.room];
        entries.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
        let floor = entries[self.k - 1].similarity() - margin;
        self.fill[row] = self.k as u32;
        self.raise(row, floor);
    }
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
    fn merges_as_sorting_does() {
        let entry = |index: u32| Entry::new((index % 13) as f32, index);
        for (num_old, num_new, k) in [(0, 0, 3), (3, 5, 8), (8, 0, 8), (2, 30, 8), (0, 2, 8)] {
            let mut best: Vec<Entry> = (0..num_old).map(|at| entry(at * 5)).collect();
            best.sort_unstable_by(|a, b| b.cmp(a));
            best.resize(k, Entry::LEAST);
            let mut more: Vec<Entry> = (0..num_new).map(|at| entry(at * 3)).collect();
            let mut all = [best.clone(), more.clone()].concat();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.dedup();
            all.resize(k.max(all.len()), Entry::LEAST);
            merge(&mut best, &mut more, &mut Vec::new());
            assert!(best == all[..k], "{num_old} {num_new} {k}");
        }
    }

    #[test]
    fn keeps_the_best_behind_a_floor() {
        let similarity = |index: u32| (index * 7919 % 1009) as f32 / 1009.0;
        let mut nearest = Nearest::new(1, 2);
        let mut told = 0;
        for index in 0..1000 {
            if similarity(index) >= nearest.floor(0) {
                nearest.push(0, Entry::new(similarity(index), index), 0.01);
                told += 1;
            }
        }
        let sorted = |mut entries: Vec<Entry>| {
            entries.sort_by(|a, b| b.cmp(a));
            entries
        };
        let best = sorted(nearest.row(0).to_vec());
        let all = sorted((0..1000).map(|i| Entry::new(similarity(i), i)).collect());
        assert!(best.starts_with(&all[..2]) && told < 300, "{told}");
    }

    #[test]
    fn ties_beyond_the_room_keep_the_lowest_indices() {
        let mut nearest = Nearest::new(1, 3);
        for index in (0..500_u32).rev() {
            nearest.push(0, Entry::new(0.5, index), 0.1);
        }
        let mut best = nearest.row(0).to_vec();
        best.sort_unstable_by(|a, b| b.cmp(a));
        let best: Vec<u32> = best.iter().take(3).map(|entry| entry.index()).collect();
        assert_eq!(best, [0, 1, 2]);
    }
}
