//! How fast are dense products, on how many threads, and who is faster.
//!
//! For each product and number of threads, ours (each instruction set, B packed within the call or before) and every peer take turns,
//! and so does the multiply-add peak of each instruction set: a share of the peak is of the same round. A peer is timed only when its
//! result agrees with ours and it works on the threads it was given.

mod cases;
mod contenders;
mod table;

pub use cases::{Case, cases};
pub use table::Table;

use super::ceilings::arithmetic::Peak;
use super::contest::{self, Arm, Budget, Rounds, Task, Turns, subject};
use super::peers::{self, Crew};
use super::quantity::GFLOPS;
use super::{Context, Effort, Experiment, Suite, SuiteError};
use crate::kernels::Isa;
use crate::units::Bytes;
use contenders::{Product, Who};

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

    fn seconds(&self, experiment: &Experiment) -> f64 {
        let parts = cases(experiment.effort).len() * experiment.threads.len();
        experiment.effort.of(1.5, 5.0, 15.0) * parts as f64
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        let found = peers::find();
        found.note(&mut context.recorder);
        let isas = super::isas(context);
        let counts = context.experiment.threads.clone();
        for (turn, threads) in counts.iter().copied().enumerate() {
            if context.stopped() {
                break;
            }
            let pool = context.pool(threads)?;
            let mut peaks = contest::peaks(&isas, &pool, context.clock);
            let crew = Crew::new(&found.peers, &pool, context.clock);
            let begin = context.clock.now();
            let cases = cases(context.experiment.effort);
            for (place, case) in cases.iter().enumerate() {
                context.reached(turn * cases.len() + place, counts.len() * cases.len());
                if context.stopped() {
                    break;
                }
                one_case(context, &isas, &crew, threads, *case, &mut peaks)?;
                context.keep()?;
            }
            for (_, peak) in &peaks {
                peak.record_missing(context, begin);
            }
        }
        Ok(())
    }
}

fn one_case(
    context: &mut Context,
    isas: &[Isa],
    crew: &Crew<'_>,
    threads: usize,
    case: Case,
    peaks: &mut [(Isa, Peak)],
) -> Result<(), SuiteError> {
    let (on, effort) = (super::on_threads(threads), context.experiment.effort);
    context.say(&format!("matmul: {} {on}", case.name()));
    let name = format!("gemm.{}", case.name());
    let missing = |context: &mut Context, variant: &str, reason: String| {
        let subject = subject(&name, variant, threads);
        context.recorder.missing(&subject, GFLOPS, reason);
    };
    let free = context.machine.usable_memory_bytes().unwrap_or(u64::MAX);
    let needed = Table::bytes(&case, isas);
    let mut used = Vec::new();
    for isa in isas {
        if needed > free / 2 {
            let bytes = Bytes(needed as f64);
            let reason = format!("it takes {bytes}, more than half of the memory that is free");
            missing(context, isa.name(), reason);
        } else if isa.lanes() == 1 && effort < Effort::Full && case.flops() > LONG_FOR_SCALAR {
            let reason = "plain code takes seconds for one such product: --full measures it";
            missing(context, isa.name(), reason.to_owned());
        } else {
            used.push(*isa);
        }
    }
    if used.is_empty() {
        return Ok(());
    }
    let pool = context.pool(threads)?;
    let caches = super::caches(context.machine, threads);
    let mut product = Product::new(Table::new(case, &used)?, &pool, caches);
    let turns = Turns {
        clock: context.clock,
        pool: &pool,
    };
    let mut arms = ours(&used, case.m == 1);
    arms.extend(crew.ready.iter().map(|hands| Arm::new(Who::Peer(hands))));
    let (mut arms, incorrect) = turns.check(&mut product, arms);
    for (variant, reason) in crew.refused.iter().cloned().chain(incorrect) {
        missing(context, &variant, reason);
    }
    let mut visited = contest::visited(peaks, &used);
    let host = context.host();
    let stop = || host.stopped();
    turns.measure(&mut product, &mut arms, &mut visited, budget(effort), &stop);
    let rounds = Rounds {
        case: name.clone(),
        threads,
        flops: product.flops(),
        arms: &arms,
        peaks: &visited,
        whereabouts: contest::whereabouts(case.bytes(), context.machine.l2_bytes()),
    };
    rounds.record(&mut context.recorder);
    Ok(())
}

/// Ours: each instruction set, packing within the call and before.
fn ours<'a>(isas: &[Isa], row: bool) -> Vec<Arm<Who<'a>>> {
    let both = |isa: &Isa| {
        [false, true].map(|packed| {
            Arm::new(Who::Ours {
                isa: *isa,
                packed,
                row,
            })
        })
    };
    isas.iter().flat_map(both).collect()
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
