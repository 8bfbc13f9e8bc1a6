//! Why speed falls from one size to the next, as far as the plans tell.

use crate::train::Plan;

/// A part of the step's time that explains a fall when it grows by as much.
const MATTERS: f64 = 0.1;

/// Bytes that a step moves for each byte of parameters whatever the batch: packing reads the weights and writes two copies, clipping
/// reads the gradients, AdamW reads and writes weights, gradients and both moments.
const TRAFFIC: f64 = 12.0;

/// The reason for which `low` has less MFU than its neighbour `high`; `speeds` are the
/// bandwidth of memory in bytes and the peak in FLOPs, a second.
pub(super) fn of(low: &Plan, high: &Plan, speeds: Option<(f64, f64)>) -> String {
    let (slow, fast) = (fixed_share(low, speeds), fixed_share(high, speeds));
    if let (Some(slow), Some(fast)) = (slow, fast)
        && slow > fast + MATTERS
    {
        return format!(
            "packing weights and the optimizer cost the same for any number of tokens, at least {:.0} % of the step here against {:.0} % \
             there (estimated from their traffic)",
            slow * 100.0,
            fast * 100.0
        );
    }
    let edge = |plan: &Plan| {
        let (_, width) = plan.isa.gemm_tile();
        let used = plan.shape.d_model as f64 / plan.shape.d_model.next_multiple_of(width) as f64;
        1.0 - used
    };
    if edge(low) > edge(high) + MATTERS {
        return format!(
            "{:.0} % of the register tiles' columns are beyond d_model {}",
            edge(low) * 100.0,
            low.shape.d_model
        );
    }
    let rows = |plan: &Plan| plan.micro_batch * plan.length;
    if 2 * rows(low) <= rows(high) {
        return format!(
            "micro-batches of {} tokens read each weight for fewer products than those of {}",
            rows(low),
            rows(high)
        );
    }
    "not explained".to_owned()
}

/// The part that what a step does once, at the bandwidth of memory, has in its time with arithmetic at the peak.
fn fixed_share(plan: &Plan, speeds: Option<(f64, f64)>) -> Option<f64> {
    let (bandwidth, peak) = speeds?;
    let seconds = plan.memory().parameters as f64 * TRAFFIC / bandwidth;
    let arithmetic = plan.flops_per_step() / peak;
    Some(seconds / (seconds + arithmetic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::testing::tiny;

    #[test]
    fn reasons_come_from_the_plans() {
        let plan = tiny(8, 4).plan;
        let one = Plan {
            batch: 1,
            micro_batch: 1,
            ..plan
        };
        let speeds = Some((
            plan.memory().parameters as f64 * 100.0,
            plan.flops_per_step(),
        ));
        assert!(of(&one, &plan, speeds).contains("optimizer"));
        assert!(of(&one, &plan, None).contains("micro-batches of 16 tokens"));
        assert_eq!(of(&plan, &plan, speeds), "not explained");
        let mut odd = plan;
        odd.shape.d_model = 33;
        let width = plan.isa.gemm_tile().1;
        if width > 1 {
            assert!(of(&odd, &plan, None).contains("beyond d_model 33"));
        }
    }
}
