//! How many vector units multiply and add in one cycle: CPUID does not tell, and tables of models are wrong for some.

use super::finding::Claim;
use crate::kernels::Isa;
use crate::probe::Fact;
use crate::record::Check;
use crate::stats::{Interval, summary};
use crate::suites::ceilings::arithmetic::Peak;
use crate::suites::{Context, SuiteError};

/// Visits of the multiply-add ceiling, of about 10 ms each.
const VISITS: usize = 12;

/// A number of units this near to a whole one is that.
const WHOLE: f64 = 0.1;

pub(super) fn checks(context: &mut Context) -> Result<Vec<Check>, SuiteError> {
    context.say("verify: vector units");
    let (pool, clock) = (context.pool(1)?, context.clock);
    let isas = Isa::available().into_iter().filter(|isa| isa.lanes() > 1);
    let mut arms: Vec<(Isa, Peak)> = isas
        .map(|isa| (isa, Peak::new(clock, isa, pool.clone())))
        .collect();
    for _ in 0..VISITS {
        for (_, peak) in &mut arms {
            if !context.stopped() {
                peak.visit(clock);
            }
        }
    }
    let check = |(isa, peak): &(Isa, Peak)| {
        let lanes = isa.lanes() as f64;
        let units = peak
            .flops_per_cycle(clock)
            .iter()
            .map(|flops| flops / (2.0 * lanes))
            .collect();
        judge(*isa, units)
    };
    Ok(arms.iter().map(check).collect())
}

/// Whoever shares the core only takes units away, so that the best tenth of the windows counts.
fn judge(isa: Isa, units: Vec<f64>) -> Check {
    let bits = 32 * isa.lanes();
    let claim = Claim {
        fact: Fact::unknown("CPUID does not tell"),
        key: format!("verify.fma_units.{}.count", isa.name()),
        label: format!("{bits}-bit FMA units ({})", isa.name()),
        show: |units| format!("{units:.2}"),
    };
    let quantile = |p| summary::quantile(&units, p);
    let (Some(estimate), Some(low), Some(high)) = (quantile(0.9), quantile(0.5), quantile(0.95))
    else {
        return claim.unmeasured("the measurement was stopped");
    };
    let measured = Interval {
        estimate,
        low,
        high,
    };
    let mut check = claim.against(measured, |_, _| true, |_| explain(measured, units.len()));
    if (estimate - estimate.round()).abs() <= WHOLE {
        check.measured_text = format!("{:.0}", estimate.round());
    }
    check
}

fn explain(units: Interval, windows: usize) -> String {
    let how = format!(
        "independent chains of multiply-adds, {:.2} a cycle in the best tenth of {windows} windows, {:.2} in the middle one; CPUID does not tell",
        units.estimate, units.low
    );
    if units.low < 0.8 * units.estimate {
        format!("{how}; the middle is lower because another thread uses the same core at times")
    } else {
        how
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Verdict;

    #[test]
    fn the_best_windows_count() {
        let isa = Isa::best();
        let shared: Vec<f64> = (0..100)
            .map(|place| if place < 70 { 1.02 } else { 1.99 })
            .collect();
        let check = judge(isa, shared);
        assert_eq!(
            (check.measured_text.as_str(), check.verdict),
            ("2", Verdict::NoClaim)
        );
        assert!(check.why.contains("another thread"), "{}", check.why);
        let check = judge(isa, vec![1.6; 20]);
        assert_eq!(check.measured_text, "1.60", "not rounded to a lie");
        assert!(!check.why.contains("another thread"));
        assert_eq!(judge(isa, Vec::new()).verdict, Verdict::NotMeasurable);
    }
}
