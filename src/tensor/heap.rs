//! The allocator's leftovers.
#![allow(
    unsafe_code,
    reason = "the allocator is asked by a call of the C library"
)]

/// Gives memory that was freed back to the system, where the allocator can (glibc's keeps what threads freed): after reading a
/// text, before the memory of training is taken. Some milliseconds.
pub fn return_freed_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches free memory of the allocator alone, under its own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}
