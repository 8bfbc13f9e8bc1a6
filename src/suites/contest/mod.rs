//! One task, several ways to do it: checked against each other, then timed in turns, then compared.
//!
//! What all suites that compare with other libraries share. A suite brings its task and its contenders; order, rounds, the peak
//! between the windows and the names of the results are the same for all.

mod record;
mod turns;

pub(super) use record::{Rounds, subject};
pub(super) use turns::{Arm, Budget, Turns, Visited};

use super::ceilings::arithmetic::Peak;
use super::peers::Hands;
use crate::kernels::Isa;
use crate::measure::clock::Clock;
use crate::parallel::Pool;
use std::sync::Arc;

/// A way to do the task.
pub(super) trait Contender: Sync {
    /// Its part of a metric's name.
    fn variant(&self) -> String;
    /// Its instruction set; `None` for a peer, which chooses itself.
    fn isa(&self) -> Option<Isa>;
    /// The peer that does it, on its threads.
    fn hands(&self) -> Option<&Hands<'_>>;
    /// What it does and with what, for people.
    fn what(&self) -> String;
    /// Whether it is ours under the conditions that peers have.
    fn is_fair(&self) -> bool;
}

/// What is done.
pub(super) trait Task: Send {
    /// The ways to do it.
    type Who: Contender;
    /// Floating-point operations of the task.
    fn flops(&self) -> f64;
    /// Does it so many times; the caller is where the contender belongs. What a caller prepares once is not repeated.
    fn work(&mut self, who: &Self::Who, times: usize) -> Result<(), String>;
    /// Holds the result to the definition, and takes it as what others are compared with.
    fn accept(&mut self) -> Result<(), String>;
    /// Compares the result with the accepted one.
    fn compare(&mut self) -> Result<(), String>;
}

/// Largest difference between two results that only differ in the order of their sums: eight units in the last place for each of `depth`
/// products of values below one. Roundings of a random walk stay below a third of one; a wrong element is off by tens of thousands.
pub(super) fn bound(depth: usize) -> f64 {
    8.0 * depth as f64 * f64::from(f32::EPSILON) / 2.0
}

/// Whether `got` and `wanted` differ by no more than [`bound`]; written so that NaN fails.
pub(super) fn agree(got: f32, wanted: f64, depth: usize) -> bool {
    (f64::from(got) - wanted).abs() <= bound(depth)
}

/// The peaks of `isas`, and of the widest of the machine, which a peer may choose.
pub(super) fn peaks(isas: &[Isa], pool: &Arc<Pool>, clock: &Clock) -> Vec<(Isa, Peak)> {
    let mut all = isas.to_vec();
    if !all.contains(&Isa::best()) {
        all.push(Isa::best());
    }
    all.into_iter()
        .map(|isa| (isa, Peak::new(clock, isa, Arc::clone(pool))))
        .collect()
}

/// Those of `peaks` that a contest of `isas` visits.
pub(super) fn visited<'p>(peaks: &'p mut [(Isa, Peak)], isas: &[Isa]) -> Vec<Visited<'p>> {
    peaks
        .iter_mut()
        .filter(|(isa, _)| isas.contains(isa) || *isa == Isa::best())
        .map(|(isa, peak)| Visited {
            isa: *isa,
            peak,
            flops: Vec::new(),
        })
        .collect()
}

/// Where operands of so many bytes are when they are used again, for people.
pub(super) fn whereabouts(bytes: f64, l2: Option<u64>) -> &'static str {
    match l2 {
        Some(l2) if bytes <= l2 as f64 => "operands hot in L2",
        Some(_) => "the same operands again and again, too large for L2",
        None => "the same operands again and again",
    }
}
