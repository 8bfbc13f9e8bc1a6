//! A run whose third step is traced, while its progress is shown as ever.

use std::path::Path;

use crate::cli::progress::Progress;
use crate::model::Observer;
use crate::train::metrics_log::{StepRecord, ValidationRecord};
use crate::train::run::Events;
use crate::train::trace::Trace;

/// Progress, and the trace where one is wanted.
pub(super) struct Traced<'a> {
    progress: &'a mut Progress,
    trace: Option<Trace>,
}

impl<'a> Traced<'a> {
    /// Traces where `wanted`.
    pub(super) fn new(progress: &'a mut Progress, wanted: bool) -> Self {
        Self {
            progress,
            trace: wanted.then(Trace::new),
        }
    }

    /// The trace, where one was wanted.
    pub(super) fn take(self) -> Option<Trace> {
        self.trace
    }
}

impl Events for Traced<'_> {
    fn step(&mut self, record: &StepRecord) {
        self.progress.step(record);
    }

    fn validated(&mut self, record: &ValidationRecord) {
        self.progress.validated(record);
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.progress.saved(step, path);
    }

    fn watcher(&mut self, step: u64) -> Option<&mut dyn Observer> {
        let trace = self.trace.as_mut()?;
        trace.begin(step).then_some(trace as &mut dyn Observer)
    }
}
