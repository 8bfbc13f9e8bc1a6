//! How fast are the vector kernels, and how much of the bandwidth do they use.
//!
//! Every kernel goes through a working set that lies in L1, L2, L3 or memory, in each instruction set, on each number of threads. A plain
//! read and a plain copy of the same working set take turns with the kernels: they are what a kernel bound by bandwidth could reach.

mod kernels;
mod record;
mod rounds;
mod sets;

pub use kernels::{KERNELS, Kernel, Rows, fill};
pub use sets::{SETS, WorkingSet};

use super::quantity::ELEMENTS_PER_SECOND;
use super::{Context, Effort, Experiment, Suite, SuiteError};
use record::{Rounds, subject};
use rounds::{Arm, Budget, Memory, measure};

/// The suite of vector kernels.
#[derive(Debug)]
pub(super) struct Simd;

impl Suite for Simd {
    fn id(&self) -> &'static str {
        "simd"
    }

    fn title(&self) -> &'static str {
        "How fast are the vector kernels, from L1 to memory"
    }

    fn how_to_read(&self) -> &'static str {
        "A vector kernel is bound by its arithmetic while its data are in L1, and by bandwidth in memory. Useful GB/s count what it reads and \
         writes; bus GB/s also the lines that are fetched only to be overwritten. The share of bandwidth compares bus traffic with a \
         plain copy, or with a plain read where the kernel writes nothing, of the same working set, threads and round."
    }

    fn trains(&self) -> bool {
        false
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        experiment.effort.of(2.5, 14.0, 35.0) * (SETS.len() * experiment.threads.len()) as f64
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        let counts = context.experiment.threads.clone();
        for (turn, threads) in counts.iter().copied().enumerate() {
            for (place, set) in SETS.into_iter().enumerate() {
                context.reached(turn * SETS.len() + place, counts.len() * SETS.len());
                if context.stopped() {
                    return Ok(());
                }
                one_set(context, set, threads)?;
                context.keep()?;
            }
        }
        Ok(())
    }
}

fn one_set(context: &mut Context, set: WorkingSet, threads: usize) -> Result<(), SuiteError> {
    let on = super::on_threads(threads);
    context.say(&format!("simd: working set {} {on}", set.name));
    let effort = context.experiment.effort;
    let free = context.machine.usable_memory_bytes().unwrap_or(u64::MAX);
    let mut arms = Vec::new();
    for isa in super::isas(context) {
        let refused = set.refused(free, isa.lanes() == 1, effort);
        for kernel in KERNELS {
            match &refused {
                None => arms.push(Arm::new(kernel, isa)),
                Some(reason) => {
                    let subject = subject(kernel, &set, isa.name(), threads);
                    let quantity = ELEMENTS_PER_SECOND;
                    context.recorder.missing(&subject, quantity, reason.clone());
                }
            }
        }
    }
    if arms.is_empty() {
        return Ok(());
    }
    let pool = context.pool(threads)?;
    let memory = Memory::new(&pool, set.of_thread(threads))?;
    let host = context.host();
    let budget = budget(effort, &set);
    measure(&mut arms, &memory, &pool, context.clock, budget, &|| {
        host.stopped()
    });
    let rounds = Rounds {
        set,
        threads,
        in_l1: context
            .machine
            .l1d_bytes()
            .is_some_and(|l1| set.bytes <= l1),
        arms: &arms,
    };
    rounds.record(&mut context.recorder);
    Ok(())
}

fn budget(effort: Effort, set: &WorkingSet) -> Budget {
    let large = set.bytes > 1 << 24;
    let (fewest, seconds) = match effort {
        Effort::Quick if large => (2, 2.0),
        Effort::Quick => (4, 2.0),
        Effort::Normal if large => (3, 8.0),
        Effort::Normal => (6, 8.0),
        Effort::Full => (8, 30.0),
    };
    Budget {
        fewest,
        most: effort.samples(8),
        seconds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::testing::Quiet;

    #[test]
    fn stopping_at_once_measures_nothing() {
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
        let host = Quiet {
            stop_after: Some(0),
            ..Quiet::default()
        };
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        Simd.run(&mut context).unwrap();
        assert!(context.recorder.metrics().is_empty());
    }

    #[test]
    fn one_working_set_gives_every_kernel_its_numbers() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: vec![Isa::best()],
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        };
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        one_set(&mut context, SETS[0], 1).unwrap();
        for kernel in KERNELS {
            let subject = subject(kernel, &SETS[0], Isa::best().name(), 1);
            for quantity in [
                "elements_per_second",
                "gbps",
                "bus_gbps",
                "elements_per_cycle",
            ] {
                let name = format!("{subject}.{quantity}");
                assert!(
                    context
                        .recorder
                        .value(&name)
                        .is_some_and(|value| value > 0.0),
                    "{name}"
                );
            }
        }
    }
}
