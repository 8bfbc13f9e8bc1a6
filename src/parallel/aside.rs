//! Threads that wait for something beside the computation: for messages, for signs of life.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts one, which may run wherever its caller may.
///
/// # Errors
/// When the system has no more threads to give.
pub fn aside<R: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> R + Send + 'static,
) -> io::Result<JoinHandle<R>> {
    Builder::new().name(name.to_owned()).spawn(f)
}
