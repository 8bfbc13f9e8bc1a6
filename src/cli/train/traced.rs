//! A run whose third step is traced, while its progress is shown as ever.

use std::path::Path;

use crate::model::Observer;
use crate::train::metrics_log::{StepRecord, ValidationRecord};
use crate::train::run::Events;
use crate::train::trace::Trace;

/// Who is told what happens, and the trace where one is wanted.
pub(super) struct Traced<'a, E> {
    events: &'a mut E,
    trace: Option<Trace>,
}

impl<'a, E: Events> Traced<'a, E> {
    /// Traces where `wanted`.
    pub(super) fn new(events: &'a mut E, wanted: bool) -> Self {
        Self {
            events,
            trace: wanted.then(Trace::new),
        }
    }

    /// The trace, where one was wanted.
    pub(super) fn take(self) -> Option<Trace> {
        self.trace
    }
}

impl<E: Events> Events for Traced<'_, E> {
    fn step(&mut self, record: &StepRecord) {
        self.events.step(record);
    }

    fn validated(&mut self, record: &ValidationRecord) {
        self.events.validated(record);
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.events.saved(step, path);
    }

    fn watcher(&mut self, step: u64) -> Option<&mut dyn Observer> {
        let trace = self.trace.as_mut()?;
        trace.begin(step).then_some(trace as &mut dyn Observer)
    }
}
