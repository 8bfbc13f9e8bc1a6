//! The tasks of a job, shared out among workers before it begins: each takes its own first, and then what others have left.
//!
//! Neighbouring tasks read and write neighbouring data, and job after job cuts the same data alike: a worker that begins with the same part
//! of it every time finds it in its own caches. Where two threads have no L3 in common, a step of training is 5 % shorter for it than with
//! tasks from a common counter (two cores of a Zen 5).

use std::{
    ops::Range,
    sync::atomic::{
        AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed},
    },
};

/// What is left of each worker's share.
#[derive(Debug)]
pub(super) struct Shares(Box<[Share]>);

/// The first unit that is left and the one after the last, below the number of the job that they are of. Alone in its pair of cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Share(AtomicU64);

const BITS: u32 = 12;

impl Shares {
    /// Units of a job at most.
    pub(super) const MOST: usize = (1 << BITS) - 1;
    /// The last job: at a hundred thousand a second, after four months.
    pub(super) const LAST: u64 = u64::MAX >> (2 * BITS);

    /// For so many workers, before the first job.
    pub(super) fn new(workers: usize) -> Shares {
        Shares((0..workers).map(|_| Share(AtomicU64::new(0))).collect())
    }

    /// Before the first job again; nobody may be taking.
    pub(super) fn reset(&self) {
        for share in &self.0 {
            share.0.store(0, Relaxed);
        }
    }

    /// A unit of `job`, which has `units`, for `worker`: the next of its own share, or else the last of somebody else's. Nobody else gets it.
    /// Nothing if none is left, or if a later job has begun.
    ///
    /// Nobody has to say that a job begins: of a job later than the one in the word, nothing is taken yet.
    pub(super) fn take(&self, job: u64, units: usize, worker: usize) -> Option<usize> {
        let workers = self.0.len();
        (0..workers)
            .find_map(|step| self.take_from((worker + step) % workers, job, units, step == 0))
    }

    fn take_from(&self, owner: usize, job: u64, units: usize, front: bool) -> Option<usize> {
        let word = &self.0[owner].0;
        let mut seen = word.load(Acquire);
        loop {
            let of = seen >> (2 * BITS);
            let left = if of < job {
                self.all_of(owner, units)
            } else if of == job {
                let bits = |shift: u32| (seen >> shift) as usize & Self::MOST;
                bits(0)..bits(BITS)
            } else {
                return None;
            };
            if left.is_empty() {
                return None;
            }
            let (unit, left) = if front {
                (left.start, left.start + 1..left.end)
            } else {
                (left.end - 1, left.start..left.end - 1)
            };
            let new = job << (2 * BITS) | (left.end as u64) << BITS | left.start as u64;
            match word.compare_exchange_weak(seen, new, AcqRel, Acquire) {
                Ok(_) => return Some(unit),
                Err(now) => seen = now,
            }
        }
    }

    /// The share of a worker: as many units as everyone's, or one more.
    fn all_of(&self, owner: usize, units: usize) -> Range<usize> {
        let (each, more) = (units / self.0.len(), units % self.0.len());
        let start = owner * each + owner.min(more);
        start..start + each + usize::from(owner < more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_lie_side_by_side_and_differ_by_one_at_most() {
        for workers in 1..9 {
            let shares = Shares::new(workers);
            for units in 0..40 {
                let mut end = 0;
                for owner in 0..workers {
                    let share = shares.all_of(owner, units);
                    assert_eq!(share.start, end);
                    assert!(share.len() == units / workers || share.len() == units / workers + 1);
                    end = share.end;
                }
                assert_eq!(end, units);
            }
        }
    }

    #[test]
    fn own_units_come_first_in_order_and_then_the_last_of_others() {
        let shares = Shares::new(2);
        let taken: Vec<_> = std::iter::from_fn(|| shares.take(1, 6, 1)).collect();
        assert_eq!(taken, [3, 4, 5, 2, 1, 0]);
        assert_eq!(shares.take(1, 6, 0), None);
        // The next job is whole.
        assert_eq!(shares.take(2, 6, 0), Some(0));
        assert_eq!(shares.take(2, 6, 1), Some(3));
    }

    #[test]
    fn nothing_is_left_of_a_job_after_which_another_began() {
        let shares = Shares::new(2);
        assert_eq!(shares.take(7, 2, 0), Some(0));
        assert_eq!(shares.take(7, 2, 0), Some(1));
        // The share of worker 1 has not been touched by job 8, which has one unit.
        assert_eq!(shares.take(8, 1, 0), Some(0));
        assert_eq!(shares.take(7, 2, 1), None);
        assert_eq!(shares.take(8, 1, 1), None);
    }

    #[test]
    fn the_largest_job_fits() {
        let shares = Shares::new(1);
        for unit in 0..Shares::MOST {
            assert_eq!(shares.take(Shares::LAST, Shares::MOST, 0), Some(unit));
        }
        assert_eq!(shares.take(Shares::LAST, Shares::MOST, 0), None);
    }
}
