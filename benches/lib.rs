//! Criterion benchmarks of `lmmixup-core` live in `*.rs` beside this file.
