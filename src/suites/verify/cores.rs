//! How long a cache line takes from one CPU to another, and whether that fits the caches that they are claimed to share.
//!
//! Two threads hand a number back and forth in one cache line; half of a round trip is the way of the line.

use super::finding::in_words;
use crate::measure::clock::Clock;
use crate::parallel::Pool;
use crate::probe::{Fact, Machine};
use crate::record::{Check, Verdict};
use crate::stats::summary;
use crate::suites::ceilings::arithmetic::calm_frequency;
use crate::suites::quantity::NANOSECONDS;
use crate::suites::{Context, Curve, SuiteError};
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Barrier, Mutex, PoisonError};

/// Round trips of a sample, and samples of a pair.
const TRIPS: u32 = 200;
const SAMPLES: usize = 60;

/// CPUs that a check compares at most, each with each.
const MOST_CPUS: usize = 12;

/// Looks at the line before the thread lets others run: its partner may have lost its CPU.
const LOOKS: u32 = 20_000;

/// The ways within one cache may differ by so much, and the ways across are longer than all of them.
const APART: f64 = 1.15;

const KEY: [&str; 2] = ["verify.core_to_core", "CPU to CPU"];

/// The way between two CPUs.
#[derive(Clone, Copy, Debug)]
struct Way {
    cpus: [usize; 2],
    nanoseconds: f64,
    /// They are claimed to share their last cache.
    shared: bool,
}

/// Alone in its pair of cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Ball(AtomicU32);

pub(super) fn checks(context: &mut Context) -> Result<Vec<Check>, SuiteError> {
    let claim = claim(context.machine);
    if context.machine.usable_cpus().len() < 2 {
        let why = "it takes two CPUs, and this process may use one";
        return Ok(vec![in_words(KEY, &claim, "", Verdict::NotMeasurable, why)]);
    }
    context.say("verify: ways from CPU to CPU");
    let ways = measure(context, "verify", MOST_CPUS)?;
    let memory = memory_nanoseconds(context)?;
    Ok(vec![judge(&claim, &ways, memory)])
}

/// How long a load from memory takes, by the end of the staircase of this run; `None` where there is none.
fn memory_nanoseconds(context: &mut Context) -> Result<Option<f64>, SuiteError> {
    let staircase = context
        .recorder
        .series()
        .iter()
        .find(|series| series.name.starts_with("verify.latency"));
    let Some(cycles) = staircase.and_then(|series| series.y.last().copied().flatten()) else {
        return Ok(None);
    };
    let clock = context.clock;
    let hertz = context.pool(1)?.install(|| calm_frequency(clock));
    Ok(Some(cycles / hertz * 1e9))
}

/// Measures the ways among the first `most` usable CPUs, and records them as `SUITE.core_to_core.cpuN`.
///
/// # Errors
/// The system refuses threads.
fn measure(context: &mut Context, suite: &str, most: usize) -> Result<Vec<Way>, SuiteError> {
    let mut cpus = context.machine.usable_cpus();
    cpus.truncate(most);
    let mut ways = Vec::new();
    for (place, one) in cpus.iter().enumerate() {
        for other in &cpus[place + 1..] {
            if context.stopped() {
                break;
            }
            let samples = exchange(context.clock, &Pool::new(&[*one, *other])?);
            let nanoseconds = summary::quantile(&samples, 0.25).map(|seconds| seconds * 1e9);
            ways.extend(nanoseconds.map(|nanoseconds| Way {
                cpus: [*one, *other],
                nanoseconds,
                shared: share_last_cache(context.machine, *one, *other),
            }));
        }
    }
    matrix(context, suite, &cpus, &ways);
    Ok(ways)
}

/// The map of a suite: the ways among the first `most` usable CPUs, recorded under the suite's name.
///
/// # Errors
/// The system refuses threads.
pub(in crate::suites) fn map(
    context: &mut Context,
    suite: &str,
    most: usize,
) -> Result<(), SuiteError> {
    measure(context, suite, most).map(drop)
}

/// Seconds that the line takes one way, of each sample.
fn exchange(clock: &Clock, pool: &Pool) -> Vec<f64> {
    let (ball, line) = (Ball::default(), Barrier::new(2));
    let samples = Mutex::new(Vec::with_capacity(SAMPLES));
    pool.on_each(|thread| {
        for _ in 0..SAMPLES {
            line.wait();
            let start = clock.now();
            for trip in 0..TRIPS {
                if thread == 0 {
                    ball.0.store(2 * trip + 1, Release);
                    catch(&ball, 2 * trip + 2);
                } else {
                    catch(&ball, 2 * trip + 1);
                    ball.0.store(2 * trip + 2, Release);
                }
            }
            let seconds = clock.since(start);
            line.wait();
            if thread == 0 {
                ball.0.store(0, Relaxed);
                let way = seconds / f64::from(2 * TRIPS);
                samples
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(way);
            }
        }
    });
    samples.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until the line holds `number`. No pause in between: it would be longer than the way.
fn catch(ball: &Ball, number: u32) {
    let mut looks = 0;
    while ball.0.load(Acquire) != number {
        looks += 1;
        if looks == LOOKS {
            looks = 0;
            std::thread::yield_now();
        }
    }
}

fn last_cache(machine: &Machine, cpu: usize) -> Option<&crate::probe::Cache> {
    let caches = machine.caches.value()?.iter();
    caches
        .filter(|cache| cache.shared_by.contains(&(cpu as u32)))
        .max_by_key(|cache| cache.level)
}

fn share_last_cache(machine: &Machine, one: usize, other: usize) -> bool {
    last_cache(machine, one).is_some_and(|cache| cache.shared_by.contains(&(other as u32)))
}

fn claim(machine: &Machine) -> Fact<String> {
    match &machine.caches {
        Fact::Unknown { reason } => Fact::unknown(reason.clone()),
        Fact::Known { value, source } => {
            let level = value.iter().map(|cache| cache.level).max().unwrap_or(0);
            let groups: Vec<String> = value
                .iter()
                .filter(|cache| cache.level == level)
                .map(|cache| crate::probe::format_cpu_list(&cache.shared_by))
                .collect();
            Fact::known(
                format!("L{level} shared by {}", groups.join(" | ")),
                source.clone(),
            )
        }
    }
}

/// The matrix as one curve a CPU: nanoseconds to each other CPU.
fn matrix(context: &mut Context, suite: &str, cpus: &[usize], ways: &[Way]) {
    for one in cpus {
        let to = ways.iter().filter_map(|way| match way.cpus {
            [from, to] | [to, from] if from == *one => Some((to as f64, way.nanoseconds)),
            _ => None,
        });
        let name = format!("{suite}.core_to_core.cpu{one}");
        let how = "half of a round trip of a cache line, lower quartile of the samples";
        context
            .recorder
            .curve(&name, NANOSECONDS, Curve::through("cpu", to), how);
    }
}

/// `memory` is how long a load from memory takes: a line within a cache never takes longer.
fn judge(claim: &Fact<String>, ways: &[Way], memory: Option<f64>) -> Check {
    let ends = |shared: bool| {
        let of: Vec<f64> = ways
            .iter()
            .filter(|way| way.shared == shared)
            .map(|way| way.nanoseconds)
            .collect();
        Some((summary::quantile(&of, 0.0)?, summary::quantile(&of, 1.0)?))
    };
    let told = |(low, high): (f64, f64)| match high / low < 1.05 {
        true => format!("{low:.0} ns"),
        false => format!("{low:.0} to {high:.0} ns"),
    };
    let how = "half of a round trip of one cache line, lower quartile";
    match (ends(true), ends(false)) {
        (None, None) => in_words(
            KEY,
            claim,
            "",
            Verdict::NotMeasurable,
            "the measurement was stopped",
        ),
        (Some(all), None) if memory.is_some_and(|memory| all.1 > memory) => {
            let memory = memory.unwrap_or(f64::NAN);
            let why = format!(
                "{how}; longer than a load from memory, {memory:.0} ns, which no way within a cache is: they share none at this moment. \
                 Hosts move virtual CPUs, so that the next minute may tell something else"
            );
            in_words(KEY, claim, told(all), Verdict::Disagree, why)
        }
        (Some(all), None) | (None, Some(all)) => {
            let why = format!(
                "{how}; every pair is claimed to share alike, so that there is nothing to tell apart"
            );
            in_words(KEY, claim, told(all), Verdict::NoClaim, why)
        }
        (Some(inside), Some(across)) => {
            let measured = format!("{} within a cache, {} across", told(inside), told(across));
            let (verdict, more) = match across.0 >= inside.1 * APART {
                true => (Verdict::Agree, ""),
                false => (
                    Verdict::Disagree,
                    "; the ways do not fall into the claimed groups: the sharing is another, or the CPUs are not where they seem",
                ),
            };
            in_words(KEY, claim, measured, verdict, format!("{how}{more}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(nanoseconds: f64, shared: bool) -> Way {
        Way {
            cpus: [0, 1],
            nanoseconds,
            shared,
        }
    }

    #[test]
    fn groups_show_in_the_ways() {
        let claim = Fact::known("L3 shared by 0-3 | 4-7".to_string(), "sysfs");
        let verdict = |ways: &[Way]| judge(&claim, ways, Some(110.0)).verdict;
        let inside = [way(25.0, true), way(28.0, true)];
        assert_eq!(verdict(&inside), Verdict::NoClaim);
        assert_eq!(
            verdict(&[inside[0], inside[1], way(95.0, false)]),
            Verdict::Agree
        );
        assert_eq!(
            verdict(&[inside[0], way(90.0, true), way(95.0, false)]),
            Verdict::Disagree
        );
        assert_eq!(verdict(&[]), Verdict::NotMeasurable);
        // Neighbours that need longer than memory does are none.
        let far = [way(30.0, true), way(180.0, true)];
        assert_eq!(verdict(&far), Verdict::Disagree);
        assert_eq!(judge(&claim, &far, None).verdict, Verdict::NoClaim);
        let check = judge(&claim, &[inside[0], inside[1], way(95.0, false)], None);
        assert_eq!(
            check.measured_text,
            "25 to 28 ns within a cache, 95 ns across"
        );
    }

    #[test]
    fn a_line_goes_both_ways() {
        // Two threads on one CPU give their turns away, so that it ends even there.
        let samples = exchange(&Clock::best(), &Pool::new(&[0, 1]).unwrap());
        assert_eq!(samples.len(), SAMPLES);
        assert!(samples.iter().all(|seconds| *seconds > 0.0));
    }
}
