//! How fast are many independent products at once.
//!
//! The same batch is computed by one call of ours, by our single product once for each, and by the peers: their single product once for
//! each, and their function for batches where they have one. A peer that works in our threads has its products shared out among them,
//! as a user would do.

mod bench;
mod cases;

pub use bench::Batch;
pub use cases::{Case, cases};

use super::ceilings::arithmetic::Peak;
use super::contest::{self, Arm, Budget, Rounds, Task, Turns, subject};
use super::peers::{self, Crew};
use super::quantity::{GFLOPS, SPEEDUP_OVER_LOOP};
use super::{Context, Effort, Experiment, Suite, SuiteError};
use crate::kernels::Isa;
use bench::Who;

/// The suite of batches.
#[derive(Debug)]
pub(super) struct Batched;

impl Suite for Batched {
    fn id(&self) -> &'static str {
        "batched"
    }

    fn title(&self) -> &'static str {
        "How fast are many small products at once"
    }

    fn how_to_read(&self) -> &'static str {
        "A batch of independent products is computed by one call, by one call for each product, and by other libraries, on the same operands, \
         threads and minute. What one call gains over many is the cost of starting threads and of splitting what is small."
    }

    fn trains(&self) -> bool {
        false
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        experiment.effort.of(1.0, 5.0, 12.0) * (cases().len() * experiment.threads.len()) as f64
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
            let crew = Crew::for_batches(&found.peers, &pool, context.clock);
            let begin = context.clock.now();
            let cases = cases();
            for (place, case) in cases.iter().enumerate() {
                context.reached(turn * cases.len() + place, counts.len() * cases.len());
                if context.stopped() {
                    break;
                }
                one_case(context, &isas, &crew, threads, case, &mut peaks)?;
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
    case: &Case,
    peaks: &mut [(Isa, Peak)],
) -> Result<(), SuiteError> {
    let on = super::on_threads(threads);
    context.say(&format!("batched: {} {on}", case.name));
    let name = format!("batched.{}", case.name);
    let pool = context.pool(threads)?;
    let caches = super::caches(context.machine, threads);
    let mut batch = Batch::new(case, isas, &pool, caches)?;
    let turns = Turns {
        clock: context.clock,
        pool: &pool,
    };
    let (mut arms, incorrect) = turns.check(&mut batch, contenders(isas, crew));
    for (variant, reason) in crew.refused.iter().cloned().chain(incorrect) {
        let subject = subject(&name, &variant, threads);
        context.recorder.missing(&subject, GFLOPS, reason);
    }
    let mut visited = contest::visited(peaks, isas);
    let (host, effort) = (context.host(), context.experiment.effort);
    let stop = || host.stopped();
    turns.measure(&mut batch, &mut arms, &mut visited, budget(effort), &stop);
    let rounds = Rounds {
        case: name,
        threads,
        flops: batch.flops(),
        arms: &arms,
        peaks: &visited,
        whereabouts: contest::whereabouts(case.bytes(), context.machine.l2_bytes()),
    };
    rounds.record(&mut context.recorder);
    for arm in &arms {
        let Who::Batched(isa) = arm.who else { continue };
        let same = |other: &&Arm<Who<'_>>| matches!(other.who, Who::Loop(of) if of == isa);
        if let Some(single) = arms.iter().find(same) {
            let how = "time of one call for each product over one call for all";
            let recorder = &mut context.recorder;
            rounds.against(recorder, SPEEDUP_OVER_LOOP, arm, single, how);
        }
    }
    Ok(())
}

/// Ours in each instruction set, and every peer in each way that it has.
fn contenders<'a>(isas: &[Isa], crew: &'a Crew<'a>) -> Vec<Arm<Who<'a>>> {
    let mut arms = Vec::new();
    for isa in isas {
        arms.push(Arm::new(Who::Batched(*isa)));
        arms.push(Arm::new(Who::Loop(*isa)));
    }
    for hands in &crew.ready {
        let peer = |batch: bool| Arm::new(Who::Peer { hands, batch });
        arms.push(peer(false));
        if hands.peer().has_batch() {
            arms.push(peer(true));
        }
    }
    arms
}

fn budget(effort: Effort) -> Budget {
    let (fewest, seconds) = match effort {
        Effort::Quick => (5, 2.0),
        Effort::Normal => (8, 8.0),
        Effort::Full => (16, 20.0),
    };
    Budget {
        fewest,
        most: effort.samples(10),
        seconds,
    }
}
