//! Is what the machine claims true? Each claim of the probe beside a measurement, with a verdict.
//!
//! | claim | measured by |
//! |---|---|
//! | rate of the time stamp counter, frequencies | `clocks`: the system's clock; dependent additions |
//! | vector units | `ports`: independent multiply-adds in a cycle |
//! | cache sizes | `caches`: knees of a latency staircase on 2 MB pages |
//! | entries of the TLBs | `tlb`: the same over pages of 4 KB against 2 MB |
//! | which CPUs share a core | `siblings`: how much two threads slow each other down |
//! | which CPUs share a cache | `cores`: how long a cache line travels between two of them |
//!
//! A verdict says no more than the evidence: where a virtual machine has less than it claims, sharing with other machines and a
//! wrong claim look the same, and both are named. To add a check: one file with `checks`, its row in `MEASURES`.

mod caches;
mod clocks;
pub(super) mod cores;
mod finding;
mod ports;
mod siblings;
mod tlb;

use super::{Context, SuiteError};
use crate::record::Check;

/// What measures a few claims.
type Measure = fn(&mut Context) -> Result<Vec<Check>, SuiteError>;

/// Every measure, in reading order.
const MEASURES: &[Measure] = &[
    clocks::checks,
    ports::checks,
    caches::checks,
    tlb::checks,
    siblings::checks,
    cores::checks,
];

/// Measures what the machine claims, half a minute on two CPUs. The curves behind the verdicts are in the context's recorder. A
/// stop of the user ends it early: what was measured until then is the result.
///
/// # Errors
/// The system refuses memory or threads.
pub fn verify(context: &mut Context) -> Result<Vec<Check>, SuiteError> {
    let mut checks = Vec::new();
    for measure in MEASURES {
        if context.stopped() {
            break;
        }
        checks.extend(measure(context)?);
    }
    Ok(checks)
}

/// Whether the machine is a guest, for explanations.
fn is_guest(context: &Context) -> bool {
    matches!(context.machine.processor.hypervisor.value(), Some(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::record::Verdict;
    use crate::suites::testing::Quiet;
    use crate::suites::{Effort, Experiment};

    #[test]
    fn a_stop_keeps_what_was_measured_and_invents_nothing() {
        let (machine, clock) = (Machine::detect(), Clock::best());
        let experiment = Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: Isa::available(),
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        };
        // Asked once before each measure: the clocks run, the units find themselves stopped, the rest never begins.
        let host = Quiet {
            stop_after: Some(2),
            ..Quiet::default()
        };
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        let checks = verify(&mut context).unwrap();
        assert!(checks.iter().any(|check| check.key == "verify.base.hertz"));
        for check in &checks {
            assert!(!check.why.is_empty(), "{check:?}");
            let measured = check.measured.is_some() || !check.measured_text.is_empty();
            assert_eq!(
                measured,
                check.verdict != Verdict::NotMeasurable,
                "{check:?}"
            );
        }
        assert!(
            checks
                .iter()
                .all(|check| !check.key.starts_with("verify.l"))
        );
        let units = |check: &&Check| check.key.starts_with("verify.fma_units");
        assert!(
            checks
                .iter()
                .filter(units)
                .all(|check| check.measured.is_none())
        );
    }
}
