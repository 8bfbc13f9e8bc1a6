//! Bandwidth of every operation: in each level of memory for each instruction set and number of threads, and over working sets.

use super::streams::{ALL, Arm, Memory, visit};
use super::{PAGES, ends};
use crate::kernels::Isa;
use crate::measure::process;
use crate::suites::ceilings::bandwidth::{Level, caches, levels as all_levels, sizes};
use crate::suites::ceilings::latency::Pages;
use crate::suites::quantity::{BUS_GBPS, GBPS};
use crate::suites::{Context, Curve, SuiteError, on_threads};
use crate::units::Bytes;

/// Rounds of a quick run.
const ROUNDS: usize = 2;

/// The wide instruction sets: plain code, four bytes at a time, measures the core and not the memory.
fn isas(context: &Context) -> Vec<Isa> {
    let all = crate::suites::isas(context);
    let wide: Vec<Isa> = all.iter().copied().filter(|isa| isa.lanes() > 1).collect();
    if wide.is_empty() { all } else { wide }
}

/// Every operation on half of each cache, and on four times the last, on 2 MB pages.
pub(super) fn levels(context: &mut Context) -> Result<(), SuiteError> {
    let isas = isas(context);
    for threads in context.experiment.threads.clone() {
        let caches = caches(context, threads);
        for level in all_levels(&caches, threads) {
            if context.stopped() {
                return Ok(());
            }
            let on = on_threads(threads);
            context.say(&format!("memory: bandwidth of {} {on}", level.name));
            one_level(context, &isas, threads, &level)?;
        }
    }
    Ok(())
}

fn one_level(
    context: &mut Context,
    isas: &[Isa],
    threads: usize,
    level: &Level,
) -> Result<(), SuiteError> {
    let arms = isas
        .iter()
        .flat_map(|isa| ALL.iter().map(|traffic| Arm::new(traffic, *isa)));
    let mut arms: Vec<Arm> = arms.collect();
    let subject = |arm: &Arm| {
        let (name, isa) = (arm.traffic.name, arm.isa.name());
        format!("memory.{name}.{}.{isa}.t{threads}", level.name)
    };
    // What threads could share when they only read, they share out when they write.
    let share = if level.shared { threads as u64 } else { 1 };
    let bytes = match &level.bytes {
        Ok(bytes) => (bytes / share / 64).max(64) * 64,
        Err(reason) => {
            for arm in &arms {
                context
                    .recorder
                    .missing(&subject(arm), GBPS, reason.clone());
            }
            return Ok(());
        }
    };
    let pool = context.pool(threads)?;
    let memory = Memory::new(&pool, bytes, Pages::Large)?;
    let (clock, host) = (context.clock, context.host());
    let rounds = context.experiment.effort.samples(ROUNDS);
    visit(&mut arms, &memory, (&pool, clock), bytes, rounds, &|| {
        host.stopped()
    });
    for arm in &arms {
        record(context, arm, &subject(arm), bytes, level.name == "l1");
    }
    Ok(())
}

fn record(context: &mut Context, arm: &Arm, subject: &str, bytes: u64, in_l1: bool) {
    let Some(rate) = arm.rate(context.clock, bytes) else {
        let reason = "the user stopped before it was measured";
        context.recorder.missing(subject, GBPS, reason);
        return;
    };
    let how = format!(
        "all arrays together {} a thread, in turns with the other operations; sum over threads of the median of windows, by the bytes \
         that are read and written",
        Bytes(bytes as f64)
    );
    let useful = arm.traffic.useful_bytes();
    let gbps = rate.map(|rate| rate * useful / 1e9);
    context.recorder.measured(subject, GBPS, gbps, how);
    let bus = arm.traffic.bus_bytes(in_l1);
    let how = if bus > useful {
        format!(
            "the same by {bus:.0} bytes an element instead of {useful:.0}: a store fetches the line that it overwrites"
        )
    } else {
        "the same: nothing is fetched only to be overwritten".to_owned()
    };
    let gbps = rate.map(|rate| rate * bus / 1e9);
    context.recorder.derived(subject, BUS_GBPS, gbps, how);
}

/// Every operation over working sets, on both kinds of pages, on the fewest and the most threads, in the widest instruction set.
pub(super) fn staircases(context: &mut Context) -> Result<(), SuiteError> {
    for threads in ends(context) {
        for (pages, name) in PAGES {
            if context.stopped() {
                return Ok(());
            }
            staircase(context, threads, pages, name)?;
        }
    }
    Ok(())
}

fn staircase(
    context: &mut Context,
    threads: usize,
    pages: Pages,
    name: &str,
) -> Result<(), SuiteError> {
    let on = on_threads(threads);
    context.say(&format!(
        "memory: bandwidth over working sets, {name} pages, {on}"
    ));
    let caches = caches(context, threads);
    let largest = (4 * caches.l3_total).min(caches.memory) / threads as u64 / 64 * 64;
    let pool = context.pool(threads)?;
    let before = process::huge_pages().map_or(0.0, |pages| pages.0);
    let memory = Memory::new(&pool, largest, pages)?;
    let granted = process::huge_pages().map_or(f64::INFINITY, |pages| pages.0) - before;
    let (clock, host, effort) = (context.clock, context.host(), context.experiment.effort);
    let isa = isas(context)[0];
    let subject = |traffic: &str| format!("memory.{traffic}.{name}.t{threads}.staircase");
    if pages == Pages::Large && granted < (largest * threads as u64) as f64 / 2.0 {
        let reason = "the system gave no 2 MB pages (transparent huge pages are off or used up)";
        for traffic in &ALL {
            context
                .recorder
                .missing(&subject(traffic.name), GBPS, reason);
        }
        return Ok(());
    }
    let mut curves: Vec<Curve> = ALL.iter().map(|_| Curve::over("bytes")).collect();
    for bytes in sizes(largest, effort) {
        let arms = ALL.iter().map(|traffic| Arm::new(traffic, isa));
        let mut arms: Vec<Arm> = arms.collect();
        let rounds = effort.samples(ROUNDS) / 2;
        visit(&mut arms, &memory, (&pool, clock), bytes, rounds, &|| {
            host.stopped()
        });
        for (arm, curve) in arms.iter().zip(&mut curves) {
            if let Some(rate) = arm.rate(clock, bytes) {
                let useful = arm.traffic.useful_bytes();
                curve.push(bytes as f64, rate.map(|rate| rate * useful / 1e9));
            }
        }
    }
    for (traffic, curve) in ALL.iter().zip(curves) {
        let how = format!(
            "{} {}, {} pages, all arrays of a thread together of this size, {on}; useful bytes",
            isa.name(),
            traffic.name.replace("_nt", " with non-temporal stores"),
            if pages == Pages::Large {
                "2 MB"
            } else {
                "4 KB"
            }
        );
        context
            .recorder
            .curve(&subject(traffic.name), GBPS, curve, how);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::testing::Quiet;
    use crate::suites::{Effort, Experiment};

    fn experiment() -> Experiment {
        Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: vec![Isa::best()],
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        }
    }

    #[test]
    fn a_level_gives_every_operation_useful_and_bus_bytes() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment();
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        let level = Level {
            name: "l2",
            bytes: Ok(1 << 17),
            shared: false,
        };
        one_level(&mut context, &experiment.isas, 1, &level).unwrap();
        let isa = Isa::best().name();
        for (name, ratio) in [
            ("read", 1.0),
            ("copy", 1.5),
            ("copy_nt", 1.0),
            ("triad", 4.0 / 3.0),
        ] {
            let of = |quantity: &str| {
                let name = format!("memory.{name}.l2.{isa}.t1.{quantity}");
                context.recorder.value(&name).unwrap()
            };
            assert!((of("bus_gbps") / of("gbps") - ratio).abs() < 1e-9, "{name}");
        }
    }

    #[test]
    fn a_level_that_is_not_there_says_why_for_every_operation() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment();
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        let level = Level {
            name: "l3",
            bytes: Err("no third-level cache".into()),
            shared: true,
        };
        one_level(&mut context, &experiment.isas, 1, &level).unwrap();
        let metrics = context.recorder.metrics();
        assert_eq!(metrics.len(), ALL.len());
        assert!(metrics.iter().all(|metric| metric.how.contains("third")));
    }
}
