//! The threads a kernel may use, handed in by the caller, and safe ways to share one buffer among them.
#![allow(
    unsafe_code,
    reason = "disjoint parts of one buffer are handed to several threads"
)]

use std::{marker::PhantomData, ops::Range};

/// A team of threads that runs numbered tasks.
///
/// # Safety
/// - `run` calls `f` exactly once for each task in `0..tasks` and returns after the last one ended.
/// - Two calls that overlap in time never get the same worker number, and every worker number is below `workers()`.
pub unsafe trait Team: Sync {
    /// How many tasks may run at once.
    fn workers(&self) -> usize;
    /// Calls `f(task, worker)` for every task in `0..tasks`, in any order, and waits for all.
    fn run(&self, tasks: usize, f: &(dyn Fn(usize, usize) + Sync));
}

/// The calling thread alone.
#[derive(Clone, Copy, Debug)]
pub struct Solo;

// SAFETY: tasks run one after the other on the calling thread, as worker 0.
unsafe impl Team for Solo {
    fn workers(&self) -> usize {
        1
    }
    fn run(&self, tasks: usize, f: &(dyn Fn(usize, usize) + Sync)) {
        for task in 0..tasks {
            f(task, 0);
        }
    }
}

/// A mutable slice of which tasks take disjoint parts.
pub(crate) struct Shared<'a, T> {
    data: *mut T,
    len: usize,
    owner: PhantomData<&'a mut [T]>,
}

// SAFETY: parts are only handed out under the promise of `part`, and `T` may be sent to the thread that takes one.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(data: &'a mut [T]) -> Shared<'a, T> {
        Shared {
            data: data.as_mut_ptr(),
            len: data.len(),
            owner: PhantomData,
        }
    }

    /// The elements `range`.
    ///
    /// # Safety
    /// - No two parts that live at the same time overlap.
    #[allow(clippy::mut_from_ref, reason = "disjointness is the caller's promise")]
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &'a mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "part outside of the slice"
        );
        // SAFETY: inside the slice by the assertion, exclusive by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(range.start), range.len()) }
    }
}

/// A slice whose parts of equal length are handed out to tasks; the last part may be shorter.
pub struct Parts<'a, T> {
    shared: Shared<'a, T>,
    each: usize,
}

impl<'a, T> Parts<'a, T> {
    /// `data` in parts of `each` values.
    ///
    /// # Panics
    /// When `each` is 0.
    pub fn new(data: &'a mut [T], each: usize) -> Parts<'a, T> {
        assert!(each > 0, "parts of no values");
        Parts {
            shared: Shared::new(data),
            each,
        }
    }

    fn count(&self) -> usize {
        self.shared.len.div_ceil(self.each)
    }
}

/// Calls `f(index, parts)` for every index, where `parts[i]` is that part of `data[i]`.
///
/// # Panics
/// When the slices have different numbers of parts.
pub fn for_parts<T: Send, const N: usize>(
    team: &dyn Team,
    data: [Parts<'_, T>; N],
    f: impl Fn(usize, [&mut [T]; N]) + Sync,
) {
    let count = data.first().map_or(0, Parts::count);
    assert!(
        data.iter().all(|parts| parts.count() == count),
        "slices have different numbers of parts"
    );
    team.run(count, &|index, _| {
        let parts = data.each_ref().map(|parts| {
            let end = ((index + 1) * parts.each).min(parts.shared.len);
            // SAFETY: each index is one task, and parts of different indices are disjoint.
            unsafe { parts.shared.part(index * parts.each..end) }
        });
        f(index, parts);
    });
}

/// A row-major matrix whose rows are handed out to tasks.
pub struct Rows<'a> {
    data: &'a mut [f32],
    width: usize,
}

impl<'a> Rows<'a> {
    /// `data` as rows of `width` values.
    pub fn new(data: &'a mut [f32], width: usize) -> Rows<'a> {
        Rows { data, width }
    }
}

/// Splits `0..rows` into ranges of `grain` rows and calls `f(range, parts)` for each, where `parts[i]` holds these rows of
/// `data[i]`. The ranges do not depend on the number of threads.
///
/// # Panics
/// When a matrix has fewer than `rows` rows.
pub fn for_rows<const N: usize>(
    team: &dyn Team,
    rows: usize,
    grain: usize,
    data: [Rows<'_>; N],
    f: impl Fn(Range<usize>, [&mut [f32]; N]) + Sync,
) {
    let grain = grain.max(1);
    let parts = data.map(|m| Parts::new(&mut m.data[..rows * m.width], grain * m.width));
    for_parts(team, parts, |index, parts| {
        f(index * grain..((index + 1) * grain).min(rows), parts);
    });
}

/// Calls `f(task, scratch)` for every task, where `scratch` is the worker's own part of `scratch`, of whole cache lines.
pub fn for_tasks_with_scratch(
    team: &dyn Team,
    tasks: usize,
    scratch: &mut [f32],
    f: impl Fn(usize, &mut [f32]) + Sync,
) {
    let share = match team.workers() {
        1 => scratch.len(),
        workers => scratch.len() / workers / 16 * 16,
    };
    let shared = Shared::new(scratch);
    team.run(tasks, &|task, worker| {
        // SAFETY: overlapping calls have different worker numbers, so their parts are disjoint.
        f(task, unsafe {
            shared.part(worker * share..(worker + 1) * share)
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_handed_out_once() {
        let (mut a, mut b) = (vec![0.0; 21], vec![0.0; 7]);
        for_rows(
            &Solo,
            7,
            2,
            [Rows::new(&mut a, 3), Rows::new(&mut b, 1)],
            |range, [a, b]| {
                assert_eq!((a.len(), b.len()), (3 * range.len(), range.len()));
                a.iter_mut().for_each(|x| *x += 1.0);
                b.iter_mut().for_each(|x| *x += range.start as f32);
            },
        );
        assert!(a.iter().all(|x| *x == 1.0));
        assert_eq!(b, [0.0, 0.0, 2.0, 2.0, 4.0, 4.0, 6.0]);
    }
}
