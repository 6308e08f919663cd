//! Stores: what Rust keeps of a pool's records, without Arrow in between where it reads the file.

use arrow_array::RecordBatch;
use xxhash_rust::xxh3::xxh3_64;

use crate::pool::reader::{Reader, Request};
use crate::pool::reject::Reject;
use crate::{Error, Progress, Result};

/// Takes the records of a pool in its order: from batches, or from the threads that parse a file.
pub trait Store {
    /// What a thread makes of a chunk.
    type Made: Send + 'static;

    /// What it keeps of an id.
    type Id;

    /// What it keeps of this id.
    fn note(id: &str) -> Self::Id;

    /// Number of records so far.
    fn num_records(&self) -> usize;

    /// Adds the records of a batch, of which it needs some columns.
    ///
    /// # Errors
    /// [`Error::Data`] for a batch without them; [`Error::Infeasible`] beyond 2³¹ records or
    /// distinct tokens; [`Error::Interrupted`]; what a store may raise beside.
    fn push(&mut self, batch: &RecordBatch, num_threads: usize, progress: &Progress) -> Result<()>;

    /// Opens a file whose records are made ready on the threads that parse it; the plan must want
    /// ids.
    ///
    /// # Errors
    /// As [`Reader::with_sinks`].
    fn open(&self, request: Request) -> Result<Reader<Self::Made>>;

    /// Adds the records of a chunk that stay; `ids` has what it keeps of each id.
    ///
    /// # Errors
    /// [`Error::Infeasible`] beyond 2³¹ distinct tokens; what a store may raise beside.
    fn absorb(
        &mut self,
        made: Self::Made,
        ids: &[Self::Id],
        stays: impl Fn(usize) -> bool,
    ) -> Result<()>;

    /// Adds records of a file up to the next that was rejected; `None` at the end.
    ///
    /// # Errors
    /// As [`Reader::next_part`], [`Store::absorb`] and [`check_room`].
    fn read(
        &mut self,
        reader: &mut Reader<Self::Made>,
        progress: &Progress,
    ) -> Result<Option<Vec<Reject>>> {
        let mut ids = Vec::new();
        while let Some(part) = reader.next_part(|id| ids.push(Self::note(id)), progress)? {
            check_room(self.num_records() + part.num_records)?;
            let stays = |at: usize| part.keep.as_ref().is_none_or(|keep| keep[at]);
            self.absorb(part.made, &ids, stays)?;
            ids.clear();
            if !part.rejects.is_empty() {
                return Ok(Some(part.rejects));
            }
        }
        Ok(None)
    }
}

/// What stores keep of an id: it breaks ties.
pub fn id_hash(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

/// Whether so many records can be numbered.
///
/// # Errors
/// [`Error::Infeasible`] beyond 2³¹.
pub fn check_room(num_records: usize) -> Result<()> {
    if num_records > i32::MAX as usize {
        return Err(Error::Infeasible("a pool may have at most 2^31 records".into()));
    }
    Ok(())
}
