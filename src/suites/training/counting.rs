//! Counters over single training steps: one group of counters per step, so that nothing is multiplexed.

use super::findings::Counters;
use super::operator_clocks::OperatorClocks;
use super::operator_counts::{Counted, OperatorCounts, flops_so_far, so_far};
use crate::measure::counters::tables::{self, FIXED, MSR, SOFTWARE};
use crate::measure::counters::{
    Controllers, Counter, Counting, Group, Missing, Processor, Reading,
};
use crate::measure::process;
use crate::model::{Observer, Unobserved};
use crate::suites::{Context, known_work};

/// Quantities that a reader looks for on every machine.
const EXPECTED: [&str; 5] = [
    "cycles",
    "instructions",
    "l1d_misses",
    "l2_misses",
    "l3_misses",
];

/// Misses that are counted in each operator.
const MISSES: [&str; 3] = ["l1d_misses", "l2_misses", "l3_misses"];

const SWITCHED_OFF: &str = "hardware counters are switched off by --counters off";

/// Counts one step per group of counters that this machine has; `step` does one training step under an observer.
pub(super) fn count(context: &Context, mut step: impl FnMut(&mut dyn Observer)) -> Counters {
    let mut counters = Counters::default();
    let threads = match process::threads() {
        Ok(threads) => threads,
        Err(error) => {
            counters.missing = EXPECTED
                .iter()
                .map(|name| (*name, error.to_string()))
                .collect();
            return counters;
        }
    };
    if context.stopped() {
        counters.missing = EXPECTED
            .iter()
            .map(|name| (*name, "the user stopped before it was counted".to_string()))
            .collect();
        return counters;
    }
    context.say("training: counters, one group a step");
    let mut clocks = OperatorClocks::new(context.clock);
    step(&mut clocks);
    counters.hertz = clocks.finish();
    let mut pass = |group: &'static Group| {
        let mut counting = Counting::open(group, &threads);
        counting.start();
        step(&mut Unobserved);
        counting.stop()
    };
    counters.readings = pass(&SOFTWARE);
    if !context.experiment.counters {
        counters.missing = EXPECTED
            .iter()
            .map(|name| (*name, SWITCHED_OFF.to_string()))
            .collect();
        counters.operators = Err(SWITCHED_OFF.into());
        counters.misses = MISSES.map(|name| (name, Err(SWITCHED_OFF.into()))).into();
        return counters;
    }
    let processor = Processor::here();
    let groups = groups(&processor);
    let doubts = threads
        .first()
        .map(|own| known_work::doubts(context.machine, &groups, *own))
        .unwrap_or_default();
    for group in groups {
        if context.stopped() {
            break;
        }
        // Opening shows whether anything would be counted: no step is spent on a group that is not there.
        let readings = if offered(group, &threads) {
            pass(group)
        } else {
            Counting::open(group, &threads).stop()
        };
        counters.readings.extend(
            readings
                .into_iter()
                .map(|reading| doubted(reading, &doubts)),
        );
    }
    counters.readings.extend(traffic(context, &mut step));
    counters.missing = unknown(&counters.readings, &processor);
    let readings = &counters.readings;
    counters.misses = MISSES
        .map(|name| {
            (
                name,
                misses(name, readings, &processor, &threads, &mut step),
            )
        })
        .into();
    counters.operators = operators(readings, &processor, &threads, step);
    counters
}

/// What the memory controllers moved in one more step, where they can be asked.
fn traffic(context: &Context, step: &mut impl FnMut(&mut dyn Observer)) -> Vec<Reading> {
    if context.stopped() {
        return Vec::new();
    }
    let mut controllers = Controllers::open();
    let doubts = known_work::doubts_of_traffic(context.machine, &mut controllers);
    controllers.start();
    if controllers.any() {
        step(&mut Unobserved);
    }
    let readings = controllers.stop().into_iter();
    readings.map(|reading| doubted(reading, &doubts)).collect()
}

/// The arithmetic of each operator in one more step, where the counters of arithmetic are believed.
fn operators(
    readings: &[Reading],
    processor: &Processor,
    threads: &[u32],
    mut step: impl FnMut(&mut dyn Observer),
) -> Result<Vec<Counted>, String> {
    let arithmetic = |group: &&'static Group| {
        let mut counters = group.counters.iter();
        counters.all(|counter| counter.unit == "FLOP")
    };
    let group = groups(processor).into_iter().find(arithmetic);
    let Some(group) = group else {
        let processor = processor.to_string();
        return Err(Missing::NoTable { processor }.to_string());
    };
    for counter in group.counters {
        let reading = readings
            .iter()
            .find(|reading| reading.counter.name == counter.name);
        let tally = reading.map_or(Err(Missing::NotOffered), |reading| reading.tally.clone());
        tally.map_err(|missing| missing.to_string())?;
    }
    let mut counting = Counting::open(group, threads);
    counting.start();
    let mut watcher = OperatorCounts::new(|| flops_so_far(&mut counting));
    step(&mut watcher);
    watcher.finish().map_err(|missing| missing.to_string())
}

/// The misses of each operator in one more step, where that counter is believed.
fn misses(
    name: &'static str,
    readings: &[Reading],
    processor: &Processor,
    threads: &[u32],
    mut step: impl FnMut(&mut dyn Observer),
) -> Result<Vec<Counted>, String> {
    let mut all = groups(processor).into_iter();
    let group = all.find(|group| group.counters.iter().any(|counter| counter.name == name));
    let group = group.ok_or_else(|| {
        let processor = processor.to_string();
        Missing::NoTable { processor }.to_string()
    })?;
    let mut counted = readings.iter();
    let reading = counted.find(|reading| reading.counter.name == name);
    let tally = reading.map_or(Err(Missing::NotOffered), |reading| reading.tally.clone());
    tally.map_err(|missing| missing.to_string())?;
    let mut counting = Counting::open(group, threads);
    counting.start();
    let mut watcher = OperatorCounts::new(|| so_far(&mut counting, name));
    step(&mut watcher);
    watcher.finish().map_err(|missing| missing.to_string())
}

/// The groups of this CPU: cycles and instructions, the performance registers, and those of its table.
fn groups(processor: &Processor) -> Vec<&'static Group> {
    let table = tables::of(processor).map_or(&[][..], |table| table.groups);
    [&FIXED, &MSR].into_iter().chain(table).collect()
}

/// Whether any counter of the group can be had.
fn offered(group: &'static Group, threads: &[u32]) -> bool {
    let mut counting = Counting::open(group, threads);
    counting.start();
    counting
        .stop()
        .iter()
        .any(|reading| reading.tally.is_ok() || reading.tally == Err(Missing::Busy))
}

/// The reading, unless the self-test contradicts its counter.
fn doubted(reading: Reading, doubts: &[(&'static Counter, Missing)]) -> Reading {
    let doubt = doubts
        .iter()
        .find(|(counter, _)| counter.name == reading.counter.name)
        .map(|(_, missing)| missing.clone());
    match (reading.tally, doubt) {
        (Ok(_), Some(missing)) => Reading {
            counter: reading.counter,
            tally: Err(missing),
        },
        (tally, _) => Reading {
            counter: reading.counter,
            tally,
        },
    }
}

/// Expected quantities that no table of this CPU has.
fn unknown(readings: &[Reading], processor: &Processor) -> Vec<(&'static str, String)> {
    let absent = EXPECTED
        .into_iter()
        .filter(|name| readings.iter().all(|reading| reading.counter.name != *name));
    absent
        .map(|name| {
            (
                name,
                Missing::NoTable {
                    processor: processor.to_string(),
                }
                .to_string(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::clock::Clock;
    use crate::measure::counters::{Scope, Tally};
    use crate::probe::Machine;
    use crate::suites::testing::Quiet;
    use crate::suites::{Effort, Experiment};

    fn experiment(counters: bool) -> Experiment {
        Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: Vec::new(),
            counters,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        }
    }

    #[test]
    fn every_expected_quantity_is_there_or_has_a_reason() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        for tried in [true, false] {
            let experiment = experiment(tried);
            let context = Context::new(&machine, &experiment, &clock, &host);
            let mut steps = 0;
            let counters = count(&context, |_| {
                steps += 1;
                std::hint::black_box(vec![1u8; 1 << 20]);
            });
            assert!(steps >= 1);
            for name in EXPECTED {
                let read = counters
                    .readings
                    .iter()
                    .any(|reading| reading.counter.name == name);
                let missing = counters
                    .missing
                    .iter()
                    .any(|(other, reason)| *other == name && !reason.is_empty());
                assert!(read != missing, "{name}: read {read}, missing {missing}");
            }
            assert!(
                counters
                    .readings
                    .iter()
                    .any(|reading| reading.counter.name == "page_faults")
            );
        }
    }

    #[test]
    fn a_doubted_counter_is_not_shown() {
        let counter = &FIXED.counters[0];
        let reading = Reading {
            counter,
            tally: Ok(Tally {
                value: 0.0,
                scope: Scope::User,
                share: 1.0,
            }),
        };
        let missing = Missing::Unbelievable {
            counted: 0,
            happened: 9,
        };
        assert_eq!(
            doubted(reading.clone(), &[(counter, missing.clone())]).tally,
            Err(missing)
        );
        assert!(doubted(reading, &[]).tally.is_ok());
    }
}
