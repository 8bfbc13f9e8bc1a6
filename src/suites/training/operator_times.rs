//! Time and declared cost of each operator and pass, taken around the operators of a step with the suite's clock.
//!
//! Two readings of the clock an operator: tens of nanoseconds beside operators of tens of microseconds and more. An operator
//! inside another one is taken out of the outer one's time, so that the times of a step add up.

use crate::kernels::Cost;
use crate::measure::clock::{Clock, Ticks};
use crate::model::{Observer, Operator, Pass};

/// What one operator took in one pass of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) operator: &'static str,
    pub(super) pass: &'static str,
    pub(super) seconds: f64,
    pub(super) cost: Cost,
    pub(super) calls: u32,
}

/// The operators of the steps since the last [`OperatorTimes::take`].
#[derive(Debug)]
pub(super) struct OperatorTimes<'a> {
    clock: &'a Clock,
    open: Vec<Open>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Open {
    start: Ticks,
    /// Seconds of the operators inside.
    inside: f64,
}

impl<'a> OperatorTimes<'a> {
    pub(super) fn new(clock: &'a Clock) -> Self {
        Self { clock, open: Vec::with_capacity(4), entries: Vec::with_capacity(32) }
    }

    /// An operator begins.
    fn begin(&mut self) {
        self.open.push(Open { start: self.clock.now(), inside: 0.0 });
    }

    /// The operator begun last ends. Without one nothing happens.
    fn end(&mut self, operator: &'static str, pass: &'static str, cost: Cost) {
        let now = self.clock.now();
        let Some(open) = self.open.pop() else { return };
        let whole = self.clock.seconds(open.start, now);
        if let Some(outer) = self.open.last_mut() {
            outer.inside += whole;
        }
        let seconds = (whole - open.inside).max(0.0);
        match self.entries.iter_mut().find(|entry| entry.operator == operator && entry.pass == pass) {
            Some(entry) => {
                entry.seconds += seconds;
                entry.cost += cost;
                entry.calls += 1;
            }
            None => self.entries.push(Entry { operator, pass, seconds, cost, calls: 1 }),
        }
    }

    /// What was collected, in the order of first appearance; begins anew.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        self.open.clear();
        self.entries.drain(..).collect()
    }
}

impl Observer for OperatorTimes<'_> {
    fn enter(&mut self, _: Operator, _: Pass) {
        self.begin();
    }

    fn leave(&mut self, operator: Operator, pass: Pass, cost: Cost) {
        self.end(operator.name(), pass.name(), cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_one_operator_add_up() {
        let clock = Clock::best();
        let mut times = OperatorTimes::new(&clock);
        let cost = Cost { flops: 10.0, bytes_read: 4.0, bytes_written: 2.0 };
        for pass in ["forward", "backward"] {
            for _ in 0..3 {
                times.begin();
                times.end("qkv", pass, cost);
            }
        }
        let entries = times.take();
        assert_eq!(entries.iter().map(|entry| (entry.pass, entry.calls)).collect::<Vec<_>>(), [("forward", 3), ("backward", 3)]);
        assert_eq!((entries[0].cost.flops, entries[0].cost.bytes()), (30.0, 18.0));
        assert!(times.take().is_empty());
    }

    #[test]
    fn inner_operators_are_not_counted_twice() {
        let clock = Clock::best();
        let mut times = OperatorTimes::new(&clock);
        let start = clock.now();
        times.begin();
        times.begin();
        std::thread::sleep(std::time::Duration::from_millis(3));
        times.end("pack", "forward", Cost::default());
        times.end("qkv", "forward", Cost::default());
        let whole = clock.since(start);
        let [pack, qkv] = times.take()[..] else { panic!("two operators") };
        assert!(pack.seconds >= 0.003 && qkv.seconds + pack.seconds <= whole);
        assert!(qkv.seconds < pack.seconds);
        times.end("stray", "forward", Cost::default());
        assert!(times.take().is_empty());
    }
}
