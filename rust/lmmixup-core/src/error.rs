//! One enum of everything that can go wrong.

use std::path::PathBuf;

/// Result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong. Messages say what was expected, what came and, where there is one, a hint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is outside its range or two arguments contradict each other.
    #[error("{0}")]
    Argument(String),
    /// Input data is not what the function needs (shape, type, non-finite values).
    #[error("{0}")]
    Data(String),
    /// What was asked for cannot be done with these inputs, whatever the algorithm.
    #[error("{0}")]
    Infeasible(String),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// An Arrow kernel refused its input.
    #[error(transparent)]
    Arrow(#[from] arrow_schema::ArrowError),
    /// The caller cancelled through [`crate::Progress`].
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An [`Error::Io`] with its path.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
