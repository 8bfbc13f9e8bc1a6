//! What tests of suites share: a host that keeps quiet.

use super::{Host, Recorder};
use std::cell::{Cell, RefCell};

/// Remembers what it was told; stops the suite after a number of questions, if asked to.
#[derive(Debug, Default)]
pub(super) struct Quiet {
    pub(super) said: RefCell<Vec<String>>,
    pub(super) kept: Cell<usize>,
    pub(super) stop_after: Option<usize>,
    pub(super) asked: Cell<usize>,
}

impl Host for Quiet {
    fn say(&self, text: &str) {
        self.said.borrow_mut().push(text.into());
    }

    fn stopped(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.stop_after.is_some_and(|most| self.asked.get() > most)
    }

    fn keep(&self, _: &Recorder) -> Result<(), String> {
        self.kept.set(self.kept.get() + 1);
        Ok(())
    }
}
