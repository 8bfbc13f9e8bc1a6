//! Memory for tensors: planned arenas, aligned to cache lines and backed by 2 MB pages where the system gives them.

mod arena;
mod heap;

pub use arena::{Arena, ArenaError, Region};
pub use heap::return_freed_memory;

/// Values of one cache line: every region starts on one.
pub const LINE: usize = 16;

/// Values that a region of `len` values takes in an arena.
pub fn padded(len: usize) -> usize {
    len.next_multiple_of(LINE)
}
