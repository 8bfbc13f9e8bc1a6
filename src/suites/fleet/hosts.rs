//! What each host can do by itself, all measured at the same time, and which of them is behind the others.

use super::super::quantity::{GBPS, GFLOPS, NANOSECONDS, Quantity};
use super::super::{Context, Curve, SuiteError, find};
use super::sums::by_rank;
use super::{Companions, Names};
use crate::stats::outliers::stragglers;

/// What hosts are compared by: its name, that of the ceiling, and how a host that is behind is told of.
struct Trait {
    what: &'static str,
    ceiling: String,
    quantity: Quantity,
    behind: &'static str,
}

/// Measures the ceilings of every rank, and compares them.
///
/// # Errors
/// When the ceilings cannot be measured.
pub(super) fn measure(context: &mut Context, companions: &Companions) -> Result<(), SuiteError> {
    // All begin together: hosts that are parts of one machine then share what they share in the same moments.
    companions.fleet.any(false);
    if let Some(ceilings) = find("ceilings") {
        ceilings.run(context)?;
    }
    let threads = context.experiment.threads.last().copied().unwrap_or(1);
    let isa = context.experiment.isas.first().map_or("", |isa| isa.name());
    let traits = [
        Trait {
            what: "compute",
            ceiling: format!("ceiling.fma.{isa}.t{threads}.gflops"),
            quantity: GFLOPS,
            behind: "multiplies and adds",
        },
        Trait {
            what: "memory",
            ceiling: format!("ceiling.bandwidth.dram.t{threads}.gbps"),
            quantity: GBPS,
            behind: "reads its memory",
        },
        Trait {
            what: "latency",
            ceiling: "ceiling.latency.dram.t1.nanoseconds".to_owned(),
            quantity: NANOSECONDS,
            behind: "waits for its memory",
        },
    ];
    for of in &traits {
        compare(context, companions, of, threads);
    }
    Ok(())
}

/// Records one of them by rank, and names who is behind.
fn compare(context: &mut Context, companions: &Companions, of: &Trait, threads: usize) {
    let names = Names {
        ranks: companions.fleet.size(),
    };
    let own = context.recorder.value(&of.ceiling).unwrap_or(f64::NAN);
    let all: Vec<f64> = by_rank(companions, &[own]).into_iter().flatten().collect();
    let threads = if of.ceiling.contains(".t1.") {
        1
    } else {
        threads
    };
    let subject = format!("{}.t{threads}.by_rank", names.host(of.what));
    let points = all.iter().enumerate();
    let points = points.map(|(rank, value)| (rank as f64, *value));
    let how = format!("{} of each rank, all at the same time", of.ceiling);
    let curve = Curve::through("rank", points);
    context.recorder.curve(&subject, of.quantity, curve, how);
    let seconds = match of.quantity == NANOSECONDS {
        true => all,
        false => all.iter().map(|rate| 1.0 / rate).collect(),
    };
    for (rank, ratio) in stragglers(&seconds) {
        let name = companions.names.get(rank).map_or("", String::as_str);
        context.recorder.note(
            "advice",
            format!(
                "Rank {rank} ({name}) {} {ratio:.2} times as slowly as the faster half of the ranks.",
                of.behind
            ),
        );
    }
}
