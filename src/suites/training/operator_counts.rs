//! What the hardware counted in each operator and pass of a step: FLOP, the third number beside what the model needs and what the operator
//! declares, and lines that a cache lacked.
//!
//! The counters run through the whole step and are read at both ends of each operator, a few microseconds each: times of this step are
//! not measured. An operator inside another one is taken out of the outer one's count.

use crate::kernels::Cost;
use crate::measure::counters::{Counting, Missing};
use crate::model::{Observer, Operator, Pass};

/// What was counted in one operator and pass.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counted {
    pub(super) operator: &'static str,
    pub(super) pass: &'static str,
    /// FLOP or lines.
    pub(super) amount: f64,
}

/// Watches one step; `read` gives what was counted so far.
pub(super) struct OperatorCounts<R> {
    read: R,
    /// The count at the beginning of each operator that is open, and what those inside it took.
    open: Vec<(f64, f64)>,
    counted: Vec<Counted>,
    refusal: Option<Missing>,
}

impl<R: FnMut() -> Result<f64, Missing> + Send> OperatorCounts<R> {
    pub(super) fn new(read: R) -> Self {
        Self {
            read,
            open: Vec::new(),
            counted: Vec::new(),
            refusal: None,
        }
    }

    /// What was counted, in the order of first appearance, or why nothing is known.
    pub(super) fn finish(self) -> Result<Vec<Counted>, Missing> {
        self.refusal.map_or(Ok(self.counted), Err)
    }

    /// The count of now; after a refusal, none is asked for any more.
    fn now(&mut self) -> f64 {
        if self.refusal.is_some() {
            return 0.0;
        }
        (self.read)().unwrap_or_else(|missing| {
            self.refusal = Some(missing);
            0.0
        })
    }
}

impl<R: FnMut() -> Result<f64, Missing> + Send> Observer for OperatorCounts<R> {
    fn enter(&mut self, _: Operator, _: Pass) {
        let now = self.now();
        self.open.push((now, 0.0));
    }

    fn leave(&mut self, operator: Operator, pass: Pass, _: Cost) {
        let now = self.now();
        let Some((begin, inside)) = self.open.pop() else {
            return;
        };
        let whole = now - begin;
        if let Some(outer) = self.open.last_mut() {
            outer.1 += whole;
        }
        let (operator, pass, amount) = (operator.name(), pass.name(), whole - inside);
        let known = |counted: &&mut Counted| counted.operator == operator && counted.pass == pass;
        match self.counted.iter_mut().find(known) {
            Some(counted) => counted.amount += amount,
            None => self.counted.push(Counted {
                operator,
                pass,
                amount,
            }),
        }
    }
}

/// The FLOP that a running group has counted since it was started: the sum of its counters, each of one width.
pub(super) fn flops_so_far(counting: &mut Counting) -> Result<f64, Missing> {
    let readings = counting.so_far();
    let flops = readings
        .into_iter()
        .filter(|reading| reading.counter.unit == "FLOP");
    let values = flops.map(|reading| Ok(reading.tally?.value));
    values.sum()
}

/// The count of one counter of a running group since it was started.
pub(super) fn so_far(counting: &mut Counting, name: &str) -> Result<f64, Missing> {
    let readings = counting.so_far();
    let reading = readings
        .into_iter()
        .find(|reading| reading.counter.name == name);
    Ok(reading.ok_or(Missing::NotOffered)?.tally?.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::counters::tables::SOFTWARE;

    #[test]
    fn operators_are_differences_and_the_inner_one_is_taken_out() {
        // Counts at: enter head, enter layer norm, leave layer norm, leave head, enter head again, leave head.
        let mut counts = [0.0, 10.0, 15.0, 100.0, 200.0, 230.0].into_iter();
        let mut watcher = OperatorCounts::new(|| Ok(counts.next().unwrap()));
        let cost = Cost::default();
        watcher.enter(Operator::Head, Pass::Forward);
        watcher.enter(Operator::LayerNorm, Pass::Forward);
        watcher.leave(Operator::LayerNorm, Pass::Forward, cost);
        watcher.leave(Operator::Head, Pass::Forward, cost);
        watcher.enter(Operator::Head, Pass::Forward);
        watcher.leave(Operator::Head, Pass::Forward, cost);
        let counted = watcher.finish().unwrap();
        let flops: Vec<(&str, f64)> = counted
            .iter()
            .map(|counted| (counted.operator, counted.amount))
            .collect();
        assert_eq!(flops, [("layernorm", 5.0), ("head", 95.0 + 30.0)]);
    }

    #[test]
    fn one_refusal_makes_all_unknown() {
        let mut reads = 0;
        let mut watcher = OperatorCounts::new(|| {
            reads += 1;
            if reads == 2 {
                Err(Missing::Busy)
            } else {
                Ok(1.0)
            }
        });
        for _ in 0..3 {
            watcher.enter(Operator::Qkv, Pass::Backward);
            watcher.leave(Operator::Qkv, Pass::Backward, Cost::default());
        }
        assert_eq!(watcher.finish(), Err(Missing::Busy));
        assert_eq!(reads, 2, "no more is asked for");
    }

    #[test]
    fn a_group_without_arithmetic_has_counted_none() {
        let threads = crate::measure::process::threads().unwrap();
        let mut counting = Counting::open(&SOFTWARE, &threads);
        counting.start();
        assert_eq!(flops_so_far(&mut counting), Ok(0.0));
        // The system's own counters are there on every machine; others of its group are not.
        assert!(so_far(&mut counting, "task_clock").is_ok_and(|nanoseconds| nanoseconds > 0.0));
        assert_eq!(so_far(&mut counting, "l2_misses"), Err(Missing::NotOffered));
    }
}
