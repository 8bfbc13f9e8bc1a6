//! How fast are dense products, on how many threads, and who is faster.
//!
//! For each product and number of threads, ours (each instruction set, B packed within the call or before) and every peer take turns,
//! and so does the multiply-add peak of each instruction set: a share of the peak is of the same round. A peer is timed only when its
//! result agrees with ours and it works on the threads it was given.

mod cases;
mod record;
mod rounds;
mod table;

pub use cases::{Case, cases};
pub use table::Table;

use super::ceilings::arithmetic::Peak;
use super::peers::{self, Crew, Peer};
use super::quantity::GFLOPS;
use super::{Context, Effort, Suite, SuiteError};
use crate::kernels::Isa;
use crate::units::Bytes;
use record::{Rounds, subject};
use rounds::{Arm, Budget, Means, Visited, Who, whereabouts};

/// Products of more arithmetic than this are left to vector units, but for a full run: plain code takes seconds for one.
const LONG_FOR_SCALAR: f64 = 5e8;

/// The suite of dense products.
#[derive(Debug)]
pub(super) struct Matmul;

impl Suite for Matmul {
    fn id(&self) -> &'static str {
        "matmul"
    }

    fn title(&self) -> &'static str {
        "How fast are matrix products, and who is faster"
    }

    fn how_to_read(&self) -> &'static str {
        "A product of m x k x n is compared on the same operands, threads and minute with other libraries. The share of the peak is of the \
         multiply-adds that the same threads reached in the same round: ours of the peak of its instruction set, a peer's of the highest, \
         because peers choose their instruction set themselves. Small products are hot in the caches."
    }

    fn trains(&self) -> bool {
        false
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        let found = peers::find();
        note_peers(context, &found);
        for threads in context.experiment.threads.clone() {
            if context.stopped() {
                break;
            }
            on_threads(context, &found.peers, threads)?;
        }
        Ok(())
    }
}

/// Who is compared with, and who is not and why.
pub(super) fn note_peers(context: &mut Context, found: &peers::Found) {
    for peer in &found.peers {
        let text = format!("Compared with {}: {}.", peer.name(), peer.about());
        context.recorder.note("method", text);
    }
    for (name, reason) in &found.absent {
        let text = format!("Not compared with {name}: {reason}.");
        context.recorder.note("method", text);
    }
}

fn on_threads(
    context: &mut Context,
    peers: &[Box<dyn Peer>],
    threads: usize,
) -> Result<(), SuiteError> {
    let pool = context.pool(threads)?;
    let isas = isas(context);
    let mut peaks: Vec<(Isa, Peak)> = Vec::new();
    for isa in peak_isas(&isas) {
        let peak = Peak::new(context.clock, isa, pool.clone());
        peaks.push((isa, peak));
    }
    let crew = Crew::new(peers, &pool, context.clock);
    let begin = context.clock.now();
    for case in cases(context.experiment.effort) {
        if context.stopped() {
            break;
        }
        one_case(context, &isas, &crew, threads, case, &mut peaks)?;
        context.keep()?;
    }
    for (_, peak) in &peaks {
        peak.record_missing(context, begin);
    }
    Ok(())
}

/// The instruction sets of the experiment; a quick run takes the widest and AVX2 only.
fn isas(context: &Context) -> Vec<Isa> {
    let all = &context.experiment.isas;
    let kept = |(place, isa): &(usize, &Isa)| {
        context.experiment.effort > Effort::Quick || *place == 0 || isa.name() == "avx2"
    };
    all.iter()
        .enumerate()
        .filter(kept)
        .map(|(_, isa)| *isa)
        .collect()
}

/// Those, and the widest of the machine, that a peer may choose.
fn peak_isas(isas: &[Isa]) -> Vec<Isa> {
    let mut all = isas.to_vec();
    if !all.contains(&Isa::best()) {
        all.push(Isa::best());
    }
    all
}

fn one_case(
    context: &mut Context,
    isas: &[Isa],
    crew: &Crew<'_>,
    threads: usize,
    case: Case,
    peaks: &mut [(Isa, Peak)],
) -> Result<(), SuiteError> {
    let on = super::on_threads(threads);
    context.say(&format!("matmul: {} {on}", case.name()));
    let effort = context.experiment.effort;
    let fits =
        |isa: &Isa| isa.lanes() > 1 || effort == Effort::Full || case.flops() <= LONG_FOR_SCALAR;
    let (used, skipped): (Vec<Isa>, Vec<Isa>) = isas.iter().copied().partition(fits);
    for isa in skipped {
        let reason = "plain code takes seconds for one such product: --full measures it";
        let subject = subject(&case, isa.name(), threads);
        context.recorder.missing(&subject, GFLOPS, reason);
    }
    let needed = Table::bytes(&case, &used);
    let usable = context.machine.usable_memory_bytes().unwrap_or(u64::MAX);
    if needed > usable / 2 {
        let reason = format!(
            "it takes {}, more than half of the memory that is free",
            Bytes(needed as f64)
        );
        for isa in used {
            let subject = subject(&case, isa.name(), threads);
            context.recorder.missing(&subject, GFLOPS, reason.clone());
        }
        return Ok(());
    }
    let mut table = Table::new(case, &used)?;
    let pool = context.pool(threads)?;
    let means = Means {
        clock: context.clock,
        pool: &pool,
        caches: super::caches(context.machine, threads),
    };
    let mut arms = ours(&used);
    arms.extend(crew.ready.iter().map(|hands| Arm {
        who: Who::Peer(hands),
        seconds: Vec::new(),
    }));
    let (mut arms, incorrect) = means.check(&mut table, arms);
    for (variant, reason) in crew.refused.iter().cloned().chain(incorrect) {
        let subject = subject(&case, &variant, threads);
        context.recorder.missing(&subject, GFLOPS, reason);
    }
    let mut visited: Vec<Visited<'_>> = peaks
        .iter_mut()
        .filter(|(isa, _)| used.contains(isa) || *isa == Isa::best())
        .map(|(isa, peak)| Visited {
            isa: *isa,
            peak,
            flops: Vec::new(),
        })
        .collect();
    let host = context.host();
    means.measure(&mut table, &mut arms, &mut visited, budget(effort), &|| {
        host.stopped()
    });
    let rounds = Rounds {
        case,
        threads,
        arms: &arms,
        peaks: &visited,
        whereabouts: whereabouts(&case, context.machine.l2_bytes()),
    };
    rounds.record(&mut context.recorder);
    Ok(())
}

/// Ours: each instruction set, packing within the call and before.
fn ours<'a>(isas: &[Isa]) -> Vec<Arm<'a>> {
    let arm = |isa: &Isa, packed: bool| Arm {
        who: Who::Ours { isa: *isa, packed },
        seconds: Vec::new(),
    };
    isas.iter()
        .flat_map(|isa| [arm(isa, false), arm(isa, true)])
        .collect()
}

fn budget(effort: Effort) -> Budget {
    let (fewest, seconds) = match effort {
        Effort::Quick => (4, 1.5),
        Effort::Normal => (5, 5.0),
        Effort::Full => (10, 15.0),
    };
    Budget {
        fewest,
        most: effort.samples(8),
        seconds,
    }
}
