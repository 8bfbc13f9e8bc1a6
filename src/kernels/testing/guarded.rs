//! Slices between pages that may not be touched: a kernel that reads or writes outside of one ends the process.
#![allow(unsafe_code, reason = "pages are mapped and protected by system calls")]

use std::{
    ops::{Deref, DerefMut},
    ptr,
};

/// Bytes of a page on x86-64.
const PAGE: usize = 4096;

/// Where the slice lies between the two forbidden pages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum At {
    /// Its first value follows the page before it.
    Start,
    /// Its last value is followed by the page after it.
    End,
}

/// f32 values between two pages that may not be touched.
#[derive(Debug)]
pub(crate) struct Guarded {
    map: *mut libc::c_void,
    bytes: usize,
    data: *mut f32,
    len: usize,
}

impl Guarded {
    pub(crate) fn new(values: &[f32], at: At) -> Guarded {
        let len = values.len();
        let room = size_of_val(values).next_multiple_of(PAGE).max(PAGE);
        let bytes = room + 2 * PAGE;
        // SAFETY: a fresh private map of three parts, of which the first and the last stay forbidden; `data` and the `len`
        // values behind it lie in the middle one.
        unsafe {
            let (forbidden, private) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let map = libc::mmap(ptr::null_mut(), bytes, forbidden, private, -1, 0);
            assert_ne!(map, libc::MAP_FAILED, "mmap");
            let middle = map.byte_add(PAGE);
            let allowed = libc::PROT_READ | libc::PROT_WRITE;
            assert_eq!(libc::mprotect(middle, room, allowed), 0, "mprotect");
            let before = match at {
                At::Start => 0,
                At::End => room - size_of_val(values),
            };
            let data: *mut f32 = middle.byte_add(before).cast();
            ptr::copy_nonoverlapping(values.as_ptr(), data, len);
            Guarded {
                map,
                bytes,
                data,
                len,
            }
        }
    }
}

impl Deref for Guarded {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `len` initialised values, borrowed as long as `self`.
        unsafe { std::slice::from_raw_parts(self.data, self.len) }
    }
}

impl DerefMut for Guarded {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: `len` initialised values, borrowed exclusively as long as `self`.
        unsafe { std::slice::from_raw_parts_mut(self.data, self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the map that `new` made, of this size.
        unsafe { libc::munmap(self.map, self.bytes) };
    }
}
