//! The working sets: how much memory a kernel goes through again and again, and what of it is one thread's.

use crate::suites::Effort;
use crate::units::Bytes;

/// One working set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WorkingSet {
    /// Its part of a metric's name.
    pub name: &'static str,
    /// Bytes of all arrays of a kernel together.
    pub bytes: u64,
    /// Whether each thread has so much, or all threads together.
    pub each: bool,
}

/// From L1 to memory. Caches of a core are filled by each thread for itself, what is behind them by all together.
pub const SETS: [WorkingSet; 4] = [
    WorkingSet {
        name: "16k",
        bytes: 16 << 10,
        each: true,
    },
    WorkingSet {
        name: "256k",
        bytes: 256 << 10,
        each: true,
    },
    WorkingSet {
        name: "8m",
        bytes: 8 << 20,
        each: false,
    },
    WorkingSet {
        name: "512m",
        bytes: 512 << 20,
        each: false,
    },
];

impl WorkingSet {
    /// Bytes of one of `threads`, in whole cache lines.
    pub fn of_thread(&self, threads: usize) -> u64 {
        let bytes = if self.each {
            self.bytes
        } else {
            self.bytes / threads as u64
        };
        bytes / 64 * 64
    }

    /// Why it is not measured in plain code (`scalar`) or with `free` bytes of memory; `None` where it is.
    pub(super) fn refused(&self, free: u64, scalar: bool, effort: Effort) -> Option<String> {
        if self.bytes > free / 2 {
            return Some(format!(
                "{} are more than half of the memory that is free",
                Bytes(self.bytes as f64)
            ));
        }
        let slow = scalar && self.bytes > 1 << 24 && effort < Effort::Full;
        slow.then(|| "plain code takes seconds for one pass: --full measures it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_sets_are_shared_out_and_need_memory() {
        let [l1, .., dram] = SETS;
        assert_eq!((l1.of_thread(4), dram.of_thread(4)), (16 << 10, 128 << 20));
        assert_eq!(dram.of_thread(3) % 64, 0);
        assert_eq!(l1.refused(1 << 20, true, Effort::Quick), None);
        let refused = |free, scalar, effort| dram.refused(free, scalar, effort);
        assert!(refused(1 << 29, false, Effort::Full).is_some_and(|why| why.contains("half")));
        assert!(refused(1 << 40, true, Effort::Normal).is_some_and(|why| why.contains("--full")));
        assert_eq!(refused(1 << 40, true, Effort::Full), None);
        assert_eq!(refused(1 << 40, false, Effort::Quick), None);
    }
}
