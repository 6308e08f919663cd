//! Families: which records belong together, and which of a family stay.
//!
//! A family is a connected component of the graph that joins two records where their
//! similarity reaches a threshold. Within a family records are taken in the order of a
//! [`KeepRule`]; one is kept unless a kept one before it is that similar.

mod components;
mod keep;
mod profile;
mod signatures;
mod texts;

pub use components::Components;
pub use keep::{KeepRule, Likeness, decide};
pub use profile::{Observer, Profile};
pub use signatures::Signatures;
pub use texts::SetLikeness;

/// What became of each record of a pool, in the pool's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Families {
    /// Number of the record's family; families are numbered by their first record.
    pub family: Vec<u32>,
    /// Whether the record stays.
    pub kept: Vec<bool>,
    /// For a dropped record the kept record it lost against, −1 for a kept one.
    pub partner: Vec<i32>,
    /// Similarity of record and partner, NaN for a kept one.
    pub similarity: Vec<f64>,
    /// Whether record and partner have the same normalised text.
    pub same_text: Vec<bool>,
    /// Number of families, singletons included.
    pub num_families: usize,
}

impl Families {
    /// Nothing dropped yet.
    pub(crate) fn all_kept(family: Vec<u32>, num_families: usize) -> Self {
        let num_records = family.len();
        Self {
            family,
            kept: vec![true; num_records],
            partner: vec![-1; num_records],
            similarity: vec![f64::NAN; num_records],
            same_text: vec![false; num_records],
            num_families,
        }
    }

    /// Drops a record in favour of a kept one.
    pub(crate) fn drop(&mut self, record: u32, partner: u32, similarity: f64, same_text: bool) {
        let at = record as usize;
        self.kept[at] = false;
        self.partner[at] = partner as i32;
        self.similarity[at] = similarity;
        self.same_text[at] = same_text;
    }
}
