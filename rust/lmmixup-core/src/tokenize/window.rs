//! Records whose rows are made together, with their tokens: in memory, or all of them in a file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_buffer::ToByteSlice;

use super::encoded::Shelves;
use crate::{Error, Result};

/// Tokens that a buffer which is used again may have room for.
const MAX_SPARE: usize = 1 << 20;

/// Records from one note of where their tokens begin to the next.
const NOTED_EVERY: usize = 64;

/// Records that are packed together.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Tokens of each record.
    pub(super) lengths: Vec<u32>,
    tokens: Tokens,
}

#[derive(Debug)]
enum Tokens {
    /// Buffers of many records each, and where in which one a record begins.
    Memory { parts: Vec<Arc<Vec<u32>>>, places: Vec<(u32, u32)> },
    /// A file, and where in it the tokens of every [`NOTED_EVERY`]th record begin.
    Disk { file: BufWriter<File>, path: PathBuf, starts: Vec<u64>, end: u64 },
}

impl Default for Tokens {
    fn default() -> Self {
        Self::Memory { parts: Vec::new(), places: Vec::new() }
    }
}

impl Window {
    /// An empty window whose tokens go to a new file.
    pub(super) fn on_disk(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path);
        let file = BufWriter::new(file.map_err(|error| Error::io(path, error))?);
        let tokens = Tokens::Disk { file, path: path.to_owned(), starts: Vec::new(), end: 0 };
        Ok(Self { lengths: Vec::new(), tokens })
    }

    /// Adds a record: `length` tokens of `part` from `start` on.
    pub(super) fn add(&mut self, part: &Arc<Vec<u32>>, start: usize, length: u32) -> Result<()> {
        match &mut self.tokens {
            Tokens::Memory { parts, places } => {
                if parts.last().is_none_or(|last| !Arc::ptr_eq(last, part)) {
                    parts.push(Arc::clone(part));
                }
                places.push((parts.len() as u32 - 1, start as u32));
            }
            Tokens::Disk { file, path, starts, end } => {
                if self.lengths.len().is_multiple_of(NOTED_EVERY) {
                    starts.push(*end);
                }
                let bytes = part[start..start + length as usize].to_byte_slice();
                file.write_all(bytes).map_err(|error| Error::io(&*path, error))?;
                *end += u64::from(length);
            }
        }
        self.lengths.push(length);
        Ok(())
    }

    /// Puts records in front of the others; their tokens follow one another in `tokens`.
    pub(super) fn add_before(&mut self, tokens: Vec<u32>, lengths: Vec<u32>) {
        let Tokens::Memory { parts, places } = &mut self.tokens else { return };
        let (part, mut start) = (parts.len() as u32, 0);
        let place = |&length: &u32| {
            start += length;
            (part, start - length)
        };
        places.splice(0..0, lengths.iter().map(place));
        parts.push(Arc::new(tokens));
        self.lengths.splice(0..0, lengths);
    }

    /// Writes to the file what is still in a buffer.
    pub(super) fn close(&mut self) -> Result<()> {
        match &mut self.tokens {
            Tokens::Memory { .. } => Ok(()),
            Tokens::Disk { file, path, .. } => {
                file.flush().map_err(|error| Error::io(&*path, error))
            }
        }
    }

    /// Tokens `from..from + count` of a record, in `scratch` where they come from the file.
    pub(super) fn tokens<'s>(
        &'s self,
        record: usize,
        (from, count): (usize, usize),
        scratch: &'s mut Vec<u32>,
    ) -> Result<&'s [u32]> {
        let (file, path, start) = match &self.tokens {
            Tokens::Memory { parts, places } => {
                let (part, start) = places[record];
                let start = start as usize + from;
                return Ok(&parts[part as usize][start..start + count]);
            }
            Tokens::Disk { file, path, starts, .. } => {
                let noted = record / NOTED_EVERY;
                let between = &self.lengths[noted * NOTED_EVERY..record];
                let start = between.iter().map(|&length| u64::from(length)).sum::<u64>();
                (file.get_ref(), path, starts[noted] + start + from as u64)
            }
        };
        let mut bytes = vec![0; count * 4];
        file.read_exact_at(&mut bytes, start * 4).map_err(|error| Error::io(path, error))?;
        scratch.clear();
        let (tokens, _) = bytes.as_chunks::<4>();
        scratch.extend(tokens.iter().map(|token| u32::from_ne_bytes(*token)));
        Ok(scratch)
    }

    /// Gives buffers that no other window needs back.
    pub(super) fn recycle(self, shelves: &Shelves) {
        let Tokens::Memory { parts, .. } = self.tokens else { return };
        for mut tokens in parts.into_iter().filter_map(Arc::into_inner) {
            // Grown for one long record, memory would be held for good.
            if tokens.capacity() <= MAX_SPARE {
                tokens.clear();
                shelves.tokens.give(tokens);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(window: &Window) -> Result<Vec<Vec<u32>>> {
        let mut scratch = Vec::new();
        let whole = |record| {
            let count = window.lengths[record] as usize;
            window.tokens(record, (0, count), &mut scratch).map(<[u32]>::to_vec)
        };
        (0..window.lengths.len()).map(whole).collect()
    }

    #[test]
    fn memory_and_disk_say_the_same() -> Result<()> {
        let path = std::env::temp_dir().join(format!("lmmixup-window-{}", std::process::id()));
        let part = Arc::new((0..1000).collect::<Vec<u32>>());
        let (mut memory, mut disk) = (Window::default(), Window::on_disk(&path)?);
        for start in 0..200 {
            memory.add(&part, start * 3, start as u32 % 7)?;
            disk.add(&part, start * 3, start as u32 % 7)?;
        }
        disk.close()?;
        let (memory, disk) = (told(&memory)?, told(&disk)?);
        std::fs::remove_file(&path).map_err(|error| Error::io(&path, error))?;
        assert_eq!(memory, disk);
        assert_eq!(memory[5], [15, 16, 17, 18, 19]);
        Ok(())
    }

    #[test]
    fn records_can_come_before_others() -> Result<()> {
        let mut window = Window::default();
        window.add(&Arc::new(vec![7, 8]), 1, 1)?;
        window.add_before(vec![1, 2, 3], vec![2, 1]);
        assert_eq!(told(&window)?, [vec![1, 2], vec![3], vec![8]]);
        Ok(())
    }
}
