//! A file as memory. The one place of this room where `unsafe` is needed.
#![allow(
    unsafe_code,
    reason = "a memory map is unsafe to create: another process could shrink the file under it"
)]

use std::fs::File;
use std::io;

use memmap2::{Mmap, UncheckedAdvice};

/// Maps a whole file for reading.
pub(super) fn read_only(file: &File) -> io::Result<Mmap> {
    // SAFETY: the map is only read, as bytes, any value of which is valid. This program never changes a cache file in place: a
    // new one is renamed over it, which leaves this one's pages alone. Its content is checked against its checksum once mapped.
    // Somebody else truncating the file during training would end the program by SIGBUS; it cannot read foreign memory.
    unsafe { Mmap::map(file) }
}

/// Lets go of a map's pages: what is read again comes from the system's file cache. Without it, a file read once from end to end counts
/// as memory of this program from then on.
pub(super) fn let_go(map: &Mmap) {
    // SAFETY: these are pages of a file, mapped for reading only; dropped ones are filled again from the same file.
    let _advice_only = unsafe { map.unchecked_advise(UncheckedAdvice::DontNeed) };
}
