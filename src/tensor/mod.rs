//! Memory for tensors: planned arenas, aligned to cache lines and backed by 2 MB pages where the system gives them.

mod arena;

pub use arena::{Arena, ArenaError, Region};

/// Values of one cache line: every region starts on one.
pub const LINE: usize = 16;

/// Values that a region of `len` values takes in an arena.
pub fn padded(len: usize) -> usize {
    len.next_multiple_of(LINE)
}
