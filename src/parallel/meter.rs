//! How long the threads of a crew worked, while somebody wants to know: two readings of the clock for each job and thread.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
};
use std::time::Instant;

/// What a pool did while it was watched.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worked {
    /// Seconds in which tasks were shared out among the threads: from each job's begin to the end of its last task.
    pub shared: f64,
    /// Seconds that all threads together were in such tasks. The rest of `shared`, once for each thread, they stood by.
    pub busy: f64,
}

/// Sums of nanoseconds since the watch began.
#[derive(Debug)]
pub(super) struct Meter {
    on: AtomicBool,
    shared: AtomicU64,
    busy: AtomicU64,
}

impl Meter {
    /// One that is switched off.
    pub(super) fn new() -> Self {
        Self {
            on: AtomicBool::new(false),
            shared: AtomicU64::new(0),
            busy: AtomicU64::new(0),
        }
    }

    /// Begins from zero.
    pub(super) fn switch_on(&self) {
        self.shared.store(0, Relaxed);
        self.busy.store(0, Relaxed);
        self.on.store(true, SeqCst);
    }

    /// Ends, and tells.
    pub(super) fn switch_off(&self) -> Worked {
        self.on.store(false, SeqCst);
        let seconds = |sum: &AtomicU64| sum.load(Relaxed) as f64 / 1e9;
        Worked {
            shared: seconds(&self.shared),
            busy: seconds(&self.busy),
        }
    }

    /// Now, if somebody wants to know.
    pub(super) fn begin(&self) -> Option<Instant> {
        self.on.load(Relaxed).then(Instant::now)
    }

    /// A job began then and has ended.
    pub(super) fn shared(&self, begin: Option<Instant>) {
        add(&self.shared, begin);
    }

    /// A thread began on its tasks of a job then and has no more.
    pub(super) fn busy(&self, begin: Option<Instant>) {
        add(&self.busy, begin);
    }
}

fn add(sum: &AtomicU64, begin: Option<Instant>) {
    if let Some(begin) = begin {
        sum.fetch_add(begin.elapsed().as_nanos() as u64, Relaxed);
    }
}
