//! The frequency of the core directly after each operator and pass: a short window of dependent additions, before the core has changed
//! its mind. It takes a step of its own, since the windows would be in the operators' times.

use crate::measure::clock::Clock;
use crate::measure::frequency;
use crate::model::{Observer, Operator, Pass};
use crate::stats::{Interval, bootstrap};

/// Windows after each operator and pass at most: a step has hundreds of calls of some.
const WINDOWS: usize = 24;

/// What was seen after one operator and pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OperatorHertz {
    pub(super) operator: &'static str,
    pub(super) pass: &'static str,
    pub(super) hertz: Interval,
    pub(super) windows: usize,
}

/// Watches one step.
pub(super) struct OperatorClocks<'a> {
    clock: &'a Clock,
    seen: Vec<(Operator, Pass, Vec<f64>)>,
}

impl<'a> OperatorClocks<'a> {
    pub(super) fn new(clock: &'a Clock) -> Self {
        Self {
            clock,
            seen: Vec::new(),
        }
    }

    /// The medians, in the order of first appearance.
    pub(super) fn finish(self) -> Vec<OperatorHertz> {
        let median = |(operator, pass, all): (Operator, Pass, Vec<f64>)| {
            Some(OperatorHertz {
                operator: operator.name(),
                pass: pass.name(),
                hertz: bootstrap::median_interval(&all, 21)?,
                windows: all.len(),
            })
        };
        self.seen.into_iter().filter_map(median).collect()
    }
}

impl Observer for OperatorClocks<'_> {
    fn enter(&mut self, _: Operator, _: Pass) {}

    fn leave(&mut self, operator: Operator, pass: Pass, _: crate::kernels::Cost) {
        let known = |seen: &(Operator, Pass, Vec<f64>)| seen.0 == operator && seen.1 == pass;
        let place = self.seen.iter().position(known).unwrap_or_else(|| {
            self.seen.push((operator, pass, Vec::new()));
            self.seen.len() - 1
        });
        let windows = &mut self.seen[place].2;
        if windows.len() < WINDOWS {
            windows.push(frequency::window(self.clock).0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Cost;

    #[test]
    fn each_operator_and_pass_has_its_own_windows_and_not_too_many() {
        let clock = Clock::best();
        let mut clocks = OperatorClocks::new(&clock);
        for _ in 0..WINDOWS + 3 {
            clocks.leave(Operator::Qkv, Pass::Forward, Cost::default());
        }
        clocks.leave(Operator::Qkv, Pass::Backward, Cost::default());
        let found = clocks.finish();
        let of = |found: &OperatorHertz| (found.operator, found.pass, found.windows);
        assert_eq!(
            found.iter().map(of).collect::<Vec<_>>(),
            [("qkv", "forward", WINDOWS), ("qkv", "backward", 1)]
        );
        assert!(found.iter().all(|found| found.hertz.estimate > 1e6));
    }
}
