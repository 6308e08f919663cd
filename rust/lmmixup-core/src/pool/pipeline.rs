//! Threads that cut, parse and hand over chunks in order, for as long as a reader lives.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::pool::chunk::{CHUNK_BYTES, Chunk, Chunks};
use crate::{Error, Progress, Result};

/// Chunks that may be parsed ahead of the consumer, per thread and beyond.
const AHEAD: u64 = 2;

/// What `parse` made of each chunk of a file, in the order of the file.
///
/// Threads live from construction to drop; a forked child has none of them and is told so.
pub struct Pipeline<T: Send + 'static> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
    process: u32,
}

struct Shared<T> {
    chunks: Mutex<(Chunks, u64)>,
    state: Mutex<State<T>>,
    parsed: Condvar,
    room: Condvar,
    ahead: u64,
    /// Buffers of chunks that are done with.
    spare: Mutex<Vec<Vec<u8>>>,
}

struct State<T> {
    next: u64,
    done: BTreeMap<u64, Result<T>>,
    total: Option<u64>,
    stopped: bool,
    panic: Option<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + 'static> Pipeline<T> {
    /// Starts `num_threads` threads (0: one per available core) over the chunks of a file.
    ///
    /// # Errors
    /// [`Error::Argument`] where the operating system refuses the threads.
    pub fn start(
        chunks: Chunks,
        num_threads: usize,
        parse: impl Fn(Chunk) -> Result<T> + Send + Sync + 'static,
    ) -> Result<Self> {
        let num_threads = match num_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        };
        let state =
            State { next: 0, done: BTreeMap::new(), total: None, stopped: false, panic: None };
        let shared = Arc::new(Shared {
            chunks: Mutex::new((chunks, 0)),
            state: Mutex::new(state),
            parsed: Condvar::new(),
            room: Condvar::new(),
            ahead: num_threads as u64 + AHEAD,
            spare: Mutex::new(Vec::new()),
        });
        let parse = Arc::new(parse);
        let mut pipeline = Self { shared, threads: Vec::new(), process: std::process::id() };
        for index in 0..num_threads {
            let (shared, parse) = (Arc::clone(&pipeline.shared), Arc::clone(&parse));
            let thread = std::thread::Builder::new()
                .name(format!("lmmixup-pool-{index}"))
                .spawn(move || work(&shared, parse.as_ref()))
                .map_err(|error| Error::Argument(format!("cannot start a thread: {error}")))?;
            pipeline.threads.push(thread);
        }
        Ok(pipeline)
    }

    /// Takes back the text of a chunk, for the memory's sake.
    pub fn recycle(&self, buffer: Vec<u8>) {
        // Grown for one long line, a buffer would keep its size for good.
        if buffer.capacity() <= 2 * CHUNK_BYTES {
            lock(&self.shared.spare).push(buffer);
        }
    }

    /// What was made of the next chunk, or `None` at the end.
    ///
    /// # Errors
    /// What reading or parsing returned; [`Error::Interrupted`] after [`Progress::cancel`];
    /// [`Error::Argument`] in a forked child.
    pub fn next(&mut self, progress: &Progress) -> Result<Option<T>> {
        if self.process != std::process::id() {
            return Err(Error::Argument(
                "expected the process that opened this reader, got a forked child; \
                 iterate over the pool anew in the child"
                    .to_owned(),
            ));
        }
        let mut state = lock(&self.shared.state);
        loop {
            if let Some(panic) = state.panic.take() {
                return Err(Error::Data(format!(
                    "a bug in lmmixup: a reader thread died: {panic}"
                )));
            }
            let next = state.next;
            if let Some(outcome) = state.done.remove(&next) {
                state.next += 1;
                self.shared.room.notify_all();
                return outcome.map(Some);
            }
            if state.total.is_some_and(|total| next >= total) {
                return Ok(None);
            }
            progress.advance(0)?;
            let wait = self.shared.parsed.wait_timeout(state, Duration::from_millis(50));
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T: Send + 'static> Drop for Pipeline<T> {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            // The threads stayed in the parent: nothing to join here.
            self.threads.drain(..).for_each(std::mem::forget);
            return;
        }
        lock(&self.shared.state).stopped = true;
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // A panic was stored already and is reported by `next`.
            let _ = thread.join();
        }
    }
}

impl<T: Send + 'static> std::fmt::Debug for Pipeline<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pipeline").field("threads", &self.threads.len()).finish()
    }
}

fn work<T: Send>(shared: &Shared<T>, parse: &(impl Fn(Chunk) -> Result<T> + Sync)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| while step(shared, parse) {}));
    if let Err(panic) = outcome {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
        lock(&shared.state).panic = Some(message.unwrap_or_default());
        shared.parsed.notify_all();
    }
}

/// Cuts one chunk and parses it; false when there is nothing left to do.
fn step<T: Send>(shared: &Shared<T>, parse: &(impl Fn(Chunk) -> Result<T> + Sync)) -> bool {
    let (chunk, sequence) = {
        let mut chunks = lock(&shared.chunks);
        let sequence = chunks.1;
        if !wait_for_room(shared, sequence) {
            return false;
        }
        let buffer = lock(&shared.spare).pop().unwrap_or_default();
        match chunks.0.next_chunk(buffer) {
            Ok(Some(chunk)) => {
                chunks.1 += 1;
                (chunk, sequence)
            }
            Ok(None) => {
                finish(shared, sequence, None);
                return false;
            }
            Err(error) => {
                chunks.1 += 1;
                finish(shared, sequence + 1, Some(error));
                return false;
            }
        }
    };
    let outcome = parse(chunk);
    lock(&shared.state).done.insert(sequence, outcome);
    shared.parsed.notify_all();
    true
}

/// Waits until the consumer is near enough; false when there will be no more to do.
fn wait_for_room<T>(shared: &Shared<T>, sequence: u64) -> bool {
    let mut state = lock(&shared.state);
    loop {
        if state.stopped || state.total.is_some() || state.panic.is_some() {
            return false;
        }
        if sequence < state.next + shared.ahead {
            return true;
        }
        state = shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

fn finish<T>(shared: &Shared<T>, total: u64, error: Option<Error>) {
    let mut state = lock(&shared.state);
    state.total = Some(total);
    if let Some(error) = error {
        state.done.insert(total - 1, Err(error));
    }
    shared.parsed.notify_all();
}
