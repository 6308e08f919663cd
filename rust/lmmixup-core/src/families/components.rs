//! Connected components that many threads build at once.

use std::sync::atomic::{AtomicU32, Ordering};

/// A union-find forest over 0 … n − 1 without locks.
///
/// The components after a set of unions do not depend on their order or on threads.
#[derive(Debug)]
pub struct Components {
    parent: Vec<AtomicU32>,
}

impl Components {
    /// `size` nodes, each alone.
    pub fn new(size: usize) -> Self {
        Self { parent: (0..size as u32).map(AtomicU32::new).collect() }
    }

    /// The root of a node's component at this moment; shortens the path to it.
    #[inline]
    pub fn find(&self, mut node: u32) -> u32 {
        loop {
            let parent = self.parent[node as usize].load(Ordering::Relaxed);
            if parent == node {
                return node;
            }
            let grandparent = self.parent[parent as usize].load(Ordering::Relaxed);
            // Any value on the way to the root is right, so a lost race does no harm.
            if parent != grandparent {
                self.parent[node as usize].store(grandparent, Ordering::Relaxed);
            }
            node = grandparent;
        }
    }

    /// Whether two nodes are known to be connected; may be late, never wrong when true.
    #[inline]
    pub fn same(&self, a: u32, b: u32) -> bool {
        self.find(a) == self.find(b)
    }

    /// Connects two nodes.
    pub fn unite(&self, a: u32, b: u32) {
        let (mut a, mut b) = (self.find(a), self.find(b));
        while a != b {
            let (low, high) = (a.min(b), a.max(b));
            // Links go from a root to a lower node only, so there are no cycles.
            let link = self.parent[high as usize].compare_exchange(
                high,
                low,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if link.is_ok() {
                return;
            }
            (a, b) = (self.find(low), self.find(high));
        }
    }

    /// Numbers the components by their first record, where record r is node `node(r)`.
    /// Returns the number of each record's component and how many there are.
    pub fn labels(&self, num_records: usize, node: impl Fn(usize) -> u32) -> (Vec<u32>, usize) {
        let mut number = vec![u32::MAX; self.parent.len()];
        let mut next = 0;
        let labels = (0..num_records)
            .map(|record| {
                let slot = &mut number[self.find(node(record)) as usize];
                if *slot == u32::MAX {
                    *slot = next;
                    next += 1;
                }
                *slot
            })
            .collect();
        (labels, next as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn many_threads_make_the_same_components() {
        let components = Components::new(10_000);
        (0..9_990u32).into_par_iter().for_each(|node| components.unite(node, node + 10));
        let (labels, count) = components.labels(10_000, |record| record as u32);
        assert_eq!(count, 10);
        assert!(labels.iter().enumerate().all(|(node, &label)| label as usize == node % 10));
    }
}
