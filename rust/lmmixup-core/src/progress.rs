//! How a running function is watched and stopped from outside.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::{Error, Result};

/// Shared between a running function and whoever shows its progress or wants it to stop.
///
/// All methods take `&self`; put it behind a reference or an `Arc`.
#[derive(Debug, Default)]
pub struct Progress {
    cancelled: AtomicBool,
    done: AtomicU64,
    total: AtomicU64,
    phase: Mutex<&'static str>,
}

impl Progress {
    /// Starts a phase of `total` units (records, rows, sweeps, …) under a name that people read.
    pub fn start(&self, phase: &'static str, total: u64) {
        *self.lock_phase() = phase;
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Counts `units` as done.
    ///
    /// # Errors
    /// [`Error::Interrupted`] once [`Progress::cancel`] was called. Call it at least every
    /// 100 ms of work, so that Ctrl-C is felt at once.
    pub fn advance(&self, units: u64) -> Result<()> {
        self.done.fetch_add(units, Ordering::Relaxed);
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Asks the running function to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The running phase, the units done in it and its total (0 where unknown).
    pub fn snapshot(&self) -> (&'static str, u64, u64) {
        let phase = *self.lock_phase();
        (phase, self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    fn lock_phase(&self) -> std::sync::MutexGuard<'_, &'static str> {
        self.phase.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_cancels() {
        let progress = Progress::default();
        progress.start("hash", 10);
        assert!(progress.advance(4).is_ok());
        assert_eq!(progress.snapshot(), ("hash", 4, 10));
        progress.cancel();
        assert!(matches!(progress.advance(1), Err(Error::Interrupted)));
    }
}
