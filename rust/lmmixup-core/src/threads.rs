//! Threads are an argument: each call has a pool of its own.

use crate::{Error, Result};

/// Runs `work` inside a fresh rayon pool of `num_threads` threads (0: one per available core).
///
/// The pool dies with the call, so nothing is inherited by a forked process and two callers
/// with different numbers do not meet. Starting a pool costs some 50 µs.
///
/// # Errors
/// [`Error::Argument`] where the operating system refuses the threads; else what `work` returns.
pub fn with_threads<T: Send>(
    num_threads: usize,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(num_threads)
        .thread_name(|index| format!("lmmixup-{index}"))
        .build()
        .map_err(|error| Error::Argument(format!("cannot start {num_threads} threads: {error}")))?
        .install(work)
}
