//! One mapping from the system, cut into regions that never overlap; and, for comparison, regions of the allocator.
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
    /// Values by which each region misses the start of a cache line.
    shift: usize,
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
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(len: usize) -> Result<Arena, ArenaError> {
        Arena::on_pages(len, libc::MADV_HUGEPAGE, 0)
    }

    /// The same, but the system is asked for 4 KB pages: for measuring what they cost.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn on_small_pages(len: usize) -> Result<Arena, ArenaError> {
        Arena::on_pages(len, libc::MADV_NOHUGEPAGE, 0)
    }

    /// The same without its virtues: regions start four bytes after a cache line, on the smallest pages. To measure what they are
    /// worth.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn misaligned(len: usize) -> Result<Arena, ArenaError> {
        Arena::on_pages(len, libc::MADV_NOHUGEPAGE, 1)
    }

    fn on_pages(len: usize, advice: libc::c_int, shift: usize) -> Result<Arena, ArenaError> {
        let wanted = ((len + shift) * size_of::<f32>()).max(1);
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
            let advised = huge_part(wanted);
            // SAFETY: both ranges lie in the mapping; the calls only advise, and a refusal costs nothing but speed.
            unsafe {
                libc::madvise(start.as_ptr(), advised, advice);
                if advised < wanted {
                    let rest = start.byte_add(advised).as_ptr();
                    libc::madvise(rest, HUGE_PAGE, libc::MADV_NOHUGEPAGE);
                }
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
            shift,
        })
    }

    /// Bytes that an arena of so many takes once all are touched: the last huge page is whole, unless most of it would be empty.
    pub fn resident_when_full(bytes: usize) -> usize {
        match bytes >= HUGE_PAGE {
            true => bytes.max(huge_part(bytes)),
            false => bytes.next_multiple_of(PAGE),
        }
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
        // SAFETY: the range lies in the mapping, whose `len` values the shift comes on top of, and no other region has any of it.
        let start = unsafe { self.mapping.start.add(start + self.shift) };
        Region {
            start,
            len,
            _owner: Owner::Mapping(Arc::clone(&self.mapping)),
        }
    }

    /// Another view of the same memory, from which nothing more can be taken.
    pub fn share(&self) -> Arena {
        Arena {
            mapping: Arc::clone(&self.mapping),
            taken: self.mapping.len,
            shift: self.shift,
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

/// Of `wanted` bytes, those that huge pages are worth: a last page that would be mostly empty is memory that nobody asked for.
fn huge_part(wanted: usize) -> usize {
    let rest = wanted % HUGE_PAGE;
    if rest < HUGE_PAGE / 2 {
        wanted - rest
    } else {
        wanted.next_multiple_of(HUGE_PAGE)
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
    _owner: Owner,
}

/// What is given back with the last region.
#[derive(Debug)]
enum Owner {
    #[expect(dead_code, reason = "held until the region goes")]
    Mapping(Arc<Mapping>),
    #[expect(dead_code, reason = "held until the region goes")]
    Allocation(Allocation),
}

/// Zeroed values of the allocator.
#[derive(Debug)]
struct Allocation {
    start: NonNull<[f32]>,
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: leaked by `Region::allocated`, and nothing else owns it.
        drop(unsafe { Box::from_raw(self.start.as_ptr()) });
    }
}

impl Region {
    /// A region of no arena: `len` zeroed values that the allocator gives and takes back. To measure what a plan is worth.
    pub fn allocated(len: usize) -> Region {
        let start = NonNull::from(Box::leak(vec![0.0; len].into_boxed_slice()));
        Region {
            start: start.cast(),
            len,
            _owner: Owner::Allocation(Allocation { start }),
        }
    }
}

// SAFETY: a region owns its values like a `Box<[f32]>`.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Deref for Region {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: inside of what the owner holds, which lives as long as this region, and exclusive to it.
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
    fn a_huge_page_is_asked_for_where_half_of_it_is_used() {
        for (wanted, huge) in [
            (2.0, 2.0),
            (2.9, 2.0),
            (3.0, 4.0),
            (51.7, 52.0),
            (50.7, 50.0),
        ] {
            let bytes = |mib: f64| (mib * (1 << 20) as f64) as usize;
            assert_eq!(huge_part(bytes(wanted)), bytes(huge), "{wanted} MiB");
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
    fn a_full_arena_is_as_large_as_foretold() {
        let full = Arena::resident_when_full;
        assert_eq!(full(1), PAGE);
        assert_eq!(full(HUGE_PAGE), HUGE_PAGE);
        assert_eq!(full(HUGE_PAGE + 10), HUGE_PAGE + 10);
        assert_eq!(full(2 * HUGE_PAGE - 10), 2 * HUGE_PAGE);
    }

    #[test]
    fn misaligned_and_allocated_regions_are_memory_all_the_same() {
        for len in [40, 2 << 20] {
            let mut arena = Arena::misaligned(padded(len) + padded(3)).expect("memory");
            let (mut a, mut b) = (arena.take(len), arena.take(3));
            let mut c = Region::allocated(len);
            assert_eq!((a.as_ptr() as usize % 64, b.as_ptr() as usize % 64), (4, 4));
            assert!(a.iter().chain(&*b).chain(&*c).all(|x| *x == 0.0));
            for region in [&mut a, &mut b, &mut c] {
                region.fill(1.0);
            }
            drop((arena, b));
            assert!(a.iter().chain(&*c).all(|x| *x == 1.0));
        }
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
