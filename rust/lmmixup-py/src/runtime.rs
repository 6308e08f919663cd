//! How every long call leaves the GIL, shows progress and obeys Ctrl-C.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use lmmixup_core::{Progress, Result};
use pyo3::prelude::*;

use crate::error::to_python;

/// How often a running call looks for Ctrl-C and reports its progress.
const BEAT: Duration = Duration::from_millis(100);

/// Runs `work` on a thread of its own without the GIL and returns what it returns.
///
/// Every [`BEAT`] the calling thread takes the GIL, lets Python handle signals and calls
/// `on_progress(phase: str, done: int, total: int)` where given. An exception from either
/// cancels the work, waits for it to notice, and is then raised.
pub fn detach<T: Send>(
    py: Python<'_>,
    on_progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Progress) -> Result<T> + Send,
) -> PyResult<T> {
    let progress = Progress::default();
    let on_progress = on_progress.map(|callback| callback.clone().unbind());
    let (outcome, raised) = py.detach(|| watch(&progress, on_progress.as_ref(), work));
    match raised {
        Some(exception) => Err(exception),
        None => outcome.map_err(|error| to_python(py, error)),
    }
}

fn watch<T: Send>(
    progress: &Progress,
    on_progress: Option<&Py<PyAny>>,
    work: impl FnOnce(&Progress) -> Result<T> + Send,
) -> (Result<T>, Option<PyErr>) {
    thread::scope(|scope| {
        let (finished, wait) = channel::<()>();
        let worker = scope.spawn(move || {
            let outcome = work(progress);
            drop(finished);
            outcome
        });
        let mut raised = None;
        while wait.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
            if raised.is_none() {
                raised = Python::attach(|py| beat(py, progress, on_progress)).err();
                if raised.is_some() {
                    progress.cancel();
                }
            }
        }
        match worker.join() {
            Ok(outcome) => (outcome, raised),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn beat(py: Python<'_>, progress: &Progress, on_progress: Option<&Py<PyAny>>) -> PyResult<()> {
    py.check_signals()?;
    if let Some(callback) = on_progress {
        callback.call1(py, progress.snapshot())?;
    }
    Ok(())
}
