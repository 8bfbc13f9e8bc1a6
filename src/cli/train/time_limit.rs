//! A run that ends, saved, once its time is over.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::model::Observer;
use crate::train::metrics_log::{StepRecord, ValidationRecord};
use crate::train::run::Events;

/// Passes on what happens, and raises the flag that stops the run after the step at which the time is over.
pub(super) struct TimeLimit<'a, E> {
    events: &'a mut E,
    end: Option<Instant>,
    stop: &'a AtomicBool,
}

impl<'a, E: Events> TimeLimit<'a, E> {
    /// The time, where there is a limit, begins now.
    pub(super) fn new(events: &'a mut E, limit: Option<Duration>, stop: &'a AtomicBool) -> Self {
        // A time too long to be counted has no end.
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        Self { events, end, stop }
    }
}

impl<E: Events> Events for TimeLimit<'_, E> {
    fn step(&mut self, record: &StepRecord) {
        self.events.step(record);
        if self.end.is_some_and(|end| Instant::now() >= end) {
            self.stop.store(true, Ordering::Relaxed);
        }
    }

    fn validated(&mut self, record: &ValidationRecord) {
        self.events.validated(record);
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.events.saved(step, path);
    }

    fn watcher(&mut self, step: u64) -> Option<&mut dyn Observer> {
        self.events.watcher(step)
    }
}
