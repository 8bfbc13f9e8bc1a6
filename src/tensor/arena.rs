//! One mapping from the system, cut into regions that never overlap.
#![allow(
    unsafe_code,
    reason = "memory is mapped from the system and cut into exclusive slices"
)]

use std::{
    ops::{Deref, DerefMut},
    ptr::NonNull,
    sync::Arc,
};

use super::padded;

/// Why memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The system has no room.
    #[error(
        "the system refused {bytes} bytes of memory: {source}; choose a smaller batch or model"
    )]
    Refused {
        /// Bytes asked for.
        bytes: usize,
        /// The system's words.
        source: std::io::Error,
    },
}

/// Zeroed f32 memory of a planned size. Regions are taken from the front; the mapping goes with the last of them.
#[derive(Debug)]
pub struct Arena {
    mapping: Arc<Mapping>,
    taken: usize,
}

#[derive(Debug)]
struct Mapping {
    start: NonNull<f32>,
    len: usize,
    mapped: NonNull<libc::c_void>,
    bytes: usize,
}

// SAFETY: the mapping is plain memory; access goes through regions, each of which is exclusive.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

const HUGE_PAGE: usize = 2 << 20;
/// The smallest page of x86-64.
const PAGE: usize = 4096;

impl Arena {
    /// Maps room for `len` values. Pages come into being, zeroed, when first touched; huge pages are asked for where the
    /// arena fills at least one.
    pub fn new(len: usize) -> Result<Arena, ArenaError> {
        Arena::mapped(len, libc::MADV_HUGEPAGE)
    }

    /// The same, but the system is asked for 4 KB pages: for measuring what they cost.
    pub fn on_small_pages(len: usize) -> Result<Arena, ArenaError> {
        Arena::mapped(len, libc::MADV_NOHUGEPAGE)
    }

    fn mapped(len: usize, pages: libc::c_int) -> Result<Arena, ArenaError> {
        let wanted = (len * size_of::<f32>()).max(1);
        let huge = wanted >= HUGE_PAGE;
        let bytes = if huge {
            wanted.next_multiple_of(HUGE_PAGE) + HUGE_PAGE
        } else {
            wanted
        };
        // SAFETY: a fresh anonymous mapping touches no memory of anyone.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        let refused = |source| ArenaError::Refused { bytes, source };
        if mapped == libc::MAP_FAILED {
            return Err(refused(std::io::Error::last_os_error()));
        }
        let mapped =
            NonNull::new(mapped).ok_or_else(|| refused(std::io::ErrorKind::OutOfMemory.into()))?;
        let skip = if huge {
            mapped.as_ptr().align_offset(HUGE_PAGE)
        } else {
            0
        };
        // SAFETY: `skip` is below the extra huge page that was mapped.
        let start = unsafe { mapped.byte_add(skip) };
        if huge {
            // SAFETY: the range lies in the mapping; the call only advises, and a refusal costs nothing but speed.
            unsafe {
                libc::madvise(start.as_ptr(), wanted.next_multiple_of(HUGE_PAGE), pages);
            }
        }
        let mapping = Mapping {
            start: start.cast(),
            len,
            mapped,
            bytes,
        };
        Ok(Arena {
            mapping: Arc::new(mapping),
            taken: 0,
        })
    }

    /// The next `len` values, aligned to a cache line.
    ///
    /// # Panics
    /// When the arena was planned too small: the plan and what is taken must agree.
    pub fn take(&mut self, len: usize) -> Region {
        let start = self.taken;
        self.taken += padded(len);
        assert!(
            self.taken <= self.mapping.len,
            "arena of {} values cannot give {} more",
            self.mapping.len,
            self.taken - start
        );
        // SAFETY: the range lies in the mapping, and no other region has any of it.
        let start = unsafe { self.mapping.start.add(start) };
        Region {
            start,
            len,
            _mapping: Arc::clone(&self.mapping),
        }
    }

    /// Another view of the same memory, from which nothing more can be taken.
    pub fn share(&self) -> Arena {
        Arena {
            mapping: Arc::clone(&self.mapping),
            taken: self.mapping.len,
        }
    }

    /// Values that are left.
    pub fn left(&self) -> usize {
        self.mapping.len - self.taken
    }

    /// Bytes of it that are in memory now: pages that were touched, and were not swapped out since. `None` where the system does not
    /// tell. One system call for each 16 MiB.
    pub fn resident_bytes(&self) -> Option<usize> {
        let bytes = self.mapping.len * size_of::<f32>();
        let mut pages = [0_u8; 4096];
        let mut resident = 0;
        for start in (0..bytes).step_by(pages.len() * PAGE) {
            let len = (bytes - start).min(pages.len() * PAGE);
            // SAFETY: the range lies in the mapping and begins on a page, as the mapping does; `pages` has a place for each page.
            let failed = unsafe {
                let at = self.mapping.start.as_ptr().byte_add(start);
                libc::mincore(at.cast(), len, pages.as_mut_ptr())
            };
            if failed != 0 {
                return None;
            }
            let touched = pages[..len.div_ceil(PAGE)].iter();
            resident += touched.filter(|page| **page & 1 == 1).count() * PAGE;
        }
        Some(resident.min(bytes))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by us with this size; no region is left, since each holds a share of the mapping.
        unsafe {
            libc::munmap(self.mapped.as_ptr(), self.bytes);
        }
    }
}

/// An exclusive piece of an arena, used as a slice.
#[derive(Debug)]
pub struct Region {
    start: NonNull<f32>,
    len: usize,
    _mapping: Arc<Mapping>,
}

// SAFETY: a region owns its values like a `Box<[f32]>`.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Deref for Region {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: inside the mapping, which lives as long as this region, and exclusive to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Region {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as for reading; `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_zeroed_aligned_and_apart() {
        for len in [40, 2 << 20] {
            let mut arena = Arena::new(padded(len) + padded(3)).expect("memory");
            let (mut a, mut b) = (arena.take(len), arena.take(3));
            assert_eq!(arena.left(), 0);
            drop(arena);
            assert!(a.iter().all(|x| *x == 0.0));
            assert_eq!((a.as_ptr() as usize % 64, b.as_ptr() as usize % 64), (0, 0));
            a.fill(1.0);
            b.fill(2.0);
            assert!(a.iter().all(|x| *x == 1.0) && *b == [2.0; 3]);
        }
    }

    #[test]
    fn only_pages_that_were_touched_are_resident() {
        let len = 100 * PAGE / size_of::<f32>();
        let mut arena = Arena::new(len).expect("memory");
        assert_eq!(arena.resident_bytes(), Some(0));
        let mut region = arena.take(len);
        region[0] = 1.0;
        region[len - 1] = 1.0;
        assert_eq!(arena.resident_bytes(), Some(2 * PAGE));
        region.fill(1.0);
        assert_eq!(arena.resident_bytes(), Some(100 * PAGE));
    }

    #[test]
    #[should_panic(expected = "cannot give")]
    fn taking_more_than_planned_is_a_bug() {
        Arena::new(16).expect("memory").take(17);
    }

    #[test]
    fn too_much_is_an_error() {
        let error = Arena::new(usize::MAX / 16).unwrap_err().to_string();
        assert!(error.contains("smaller batch"), "{error}");
    }
}
