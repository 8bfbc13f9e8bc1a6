//! The heaviest load on all threads for seconds on end: how much of nominal turbo is left, and which reason took the rest.

use super::lost::{Falls, Measured, REASONS, shares};
use super::{WINDOW, passes_for, window};
use crate::kernels::vec::{CLOCKED_CYCLES, PowerLoad};
use crate::measure::clock::{Clock, Ticks};
use crate::measure::taken::{Reading, Taken};
use crate::parallel::Pool;
use crate::probe::{Fact, Machine};
use crate::stats::summary;
use crate::suites::quantity::{GHZ, SHARE_OF_NOMINAL};
use crate::suites::{Context, Curve, Effort, SuiteError, on_threads};
use crate::units::Hertz;
use std::sync::{Barrier, Mutex, PoisonError};

/// Seconds that count as the first moments: longer than a switch of licence, shorter than a power limit's patience.
const FIRST: f64 = 0.05;
const SWITCHED: f64 = 0.002;

/// Seconds between two chances to stop.
const STRETCH: f64 = 0.5;

/// Points of the curve that is kept.
const POINTS: usize = 400;

/// One window: when it ended, in seconds since the start, and its frequency.
type Sample = (f64, f64);

pub(super) fn measure(context: &mut Context) -> Result<(), SuiteError> {
    let threads = context.experiment.threads.last().copied().unwrap_or(1);
    let Some(load) = PowerLoad::available().last().copied() else {
        return Ok(());
    };
    let sustained = |load: &str, threads: usize| {
        let name = format!("frequency.sustained.{load}.t{threads}.ghz");
        context.recorder.value(&name).map(|ghz| ghz * 1e9)
    };
    let fewest = context.experiment.threads.first().copied().unwrap_or(1);
    let (alone, together) = (sustained("scalar", fewest), sustained("scalar", threads));
    let (Some(alone), Some(together)) = (alone, together) else {
        let reason = "the frequency of scalar code, with which it is compared, was not measured";
        context
            .recorder
            .missing(&format!("frequency.lost.t{threads}"), GHZ, reason);
        return Ok(());
    };
    context.say(&format!(
        "frequency: {} for seconds {}",
        load.name(),
        on_threads(threads)
    ));
    let (nominal, source) = nominal(context);
    let run = run(context, threads, load)?;
    let at_first = |sample: &&Sample| (SWITCHED..FIRST).contains(&sample.0);
    let hertz = |samples: Vec<&Sample>| {
        let all: Vec<f64> = samples.into_iter().map(|sample| sample.1).collect();
        summary::median(&all)
    };
    let (Some(load_at_first), Some(over_all)) = (
        hertz(run.samples.iter().filter(at_first).collect()),
        hertz(run.samples.iter().collect()),
    ) else {
        let reason = "other work had the CPUs: no window of the load was whole";
        let subject = format!("frequency.lost.t{threads}");
        context.recorder.missing(&subject, GHZ, reason);
        return Ok(());
    };
    let measured = Measured {
        nominal,
        scalar_alone: alone,
        scalar_together: together,
        load_at_first,
        load: over_all,
        attained: run.attained,
        stolen: run.share(|taken| taken.stolen.as_ref().ok()),
        displaced: run.share(|taken| taken.displaced.as_ref().ok()),
        falls: falls(context.machine),
    };
    record(context, (threads, load), &measured, &source, &run);
    Ok(())
}

/// What one core should reach: the claimed highest frequency, or, where none is claimed, the highest that this run has seen.
fn nominal(context: &Context) -> (f64, String) {
    if let Fact::Known { value, source } = &context.machine.clocks.max_hertz
        && let Some(highest) = value.values().copied().max_by(f64::total_cmp)
    {
        return (highest, format!("claimed by {source}"));
    }
    let seen = context.recorder.metrics().iter().filter(|metric| {
        metric.name.starts_with("frequency.sustained.") && metric.name.ends_with(".ghz")
    });
    let seen = seen.filter_map(|metric| metric.value.map(|ghz| (ghz, metric.name.as_str())));
    let highest = seen.max_by(|one, other| one.0.total_cmp(&other.0));
    let (ghz, name) = highest.unwrap_or((f64::NAN, "nothing"));
    let source = format!(
        "the highest of this run ({name}): this machine claims no turbo ({})",
        context
            .machine
            .clocks
            .max_hertz
            .reason()
            .unwrap_or_default()
    );
    (ghz * 1e9, source)
}

/// The load on all threads.
struct Run {
    /// Windows of all threads, in the order of time.
    samples: Vec<Sample>,
    /// Cycles of all threads over the time and the threads.
    attained: f64,
    seconds: f64,
    threads: usize,
    taken: Taken,
}

impl Run {
    /// Share of the threads' time.
    fn share(&self, of: impl Fn(&Taken) -> Option<&f64>) -> Option<f64> {
        Some(of(&self.taken)? / (self.seconds * self.threads as f64))
    }
}

/// Runs it in stretches, between which the user may stop it; they follow each other within microseconds.
fn run(context: &mut Context, threads: usize, load: PowerLoad) -> Result<Run, SuiteError> {
    let wanted = match context.experiment.effort {
        Effort::Quick => 1.0,
        Effort::Normal => 6.0,
        Effort::Full => 60.0,
    };
    let length = context.seconds_left().min(wanted);
    let pool = context.pool(threads)?;
    let clock = context.clock;
    let stretch = Stretch {
        clock,
        load,
        passes: passes_for(clock, WINDOW),
        begin: clock.now(),
    };
    let (mut samples, mut cycles) = (Vec::new(), 0.0);
    let before = Reading::now();
    while clock.since(stretch.begin) < length && !context.stopped() {
        let (new, done) = stretch.run(&pool, STRETCH.min(length));
        samples.extend(new);
        cycles += done;
    }
    let seconds = clock.since(stretch.begin);
    let taken = Reading::now().since(&before, pool.cpus());
    samples.sort_by(|one, other| one.0.total_cmp(&other.0));
    Ok(Run {
        samples,
        attained: cycles / seconds / threads as f64,
        seconds,
        threads,
        taken,
    })
}

/// A stretch of the load.
struct Stretch<'a> {
    clock: &'a Clock,
    load: PowerLoad,
    passes: u64,
    /// Of the first stretch.
    begin: Ticks,
}

impl Stretch<'_> {
    /// Windows of every thread for `length` seconds, and the cycles of all of them.
    fn run(&self, pool: &Pool, length: f64) -> (Vec<Sample>, f64) {
        let line = Barrier::new(pool.cpus().len());
        let all = Mutex::new(Vec::new());
        pool.on_each(|_| {
            let mut samples = Vec::with_capacity((length / WINDOW) as usize + 1);
            line.wait();
            let start = self.clock.now();
            while self.clock.since(start) < length {
                let hertz = window(self.clock, self.load, self.passes);
                samples.push((self.clock.since(self.begin), hertz));
            }
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(samples);
        });
        let samples: Vec<Sample> = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        let cycles = samples.len() as f64 * (self.passes * CLOCKED_CYCLES) as f64;
        (samples, cycles)
    }
}

/// What the system says about heat since the machine was looked at, and about power.
fn falls(machine: &Machine) -> Falls {
    let before = machine.thermal.throttled.value().copied();
    let after = Machine::detect().thermal.throttled.value().copied();
    let powered = machine
        .clocks
        .power_limits
        .value()
        .is_some_and(|limits| !limits.is_empty());
    match (before, after) {
        (Some(before), Some(after)) if after > before => Falls::Heat,
        _ if powered => Falls::Power,
        _ => Falls::Untold,
    }
}

fn record(
    context: &mut Context,
    (threads, load): (usize, PowerLoad),
    measured: &Measured,
    source: &str,
    run: &Run,
) {
    let recorder = &mut context.recorder;
    let subject = |what: &str| format!("frequency.lost.{what}.t{threads}");
    let ghz = measured.nominal / 1e9;
    recorder.computed(&subject("nominal"), GHZ, ghz, source);
    let how = format!(
        "cycles of {} on {threads} threads over {:.1} s and the threads, whatever interrupted them",
        load.name(),
        run.seconds
    );
    recorder.reading(&subject("attained"), GHZ, measured.attained / 1e9, how);
    let left = measured.attained / measured.nominal;
    let how = "what is left of nominal turbo";
    recorder.computed(&subject("attained"), SHARE_OF_NOMINAL, left, how);
    for (reason, share) in REASONS.into_iter().zip(shares(measured)) {
        let evidence = evidence(reason, measured, run);
        recorder.computed(&subject(reason), SHARE_OF_NOMINAL, share, evidence);
    }
    let step = run.samples.len().div_ceil(POINTS).max(1);
    let points = run.samples.chunks(step).filter_map(|windows| {
        let hertz: Vec<f64> = windows.iter().map(|sample| sample.1).collect();
        Some((windows[0].0, summary::median(&hertz)? / 1e9))
    });
    let curve = Curve::through("seconds", points);
    let how = format!(
        "{} on {threads} threads without a pause, medians of {step} windows of 30 us",
        load.name()
    );
    recorder.curve(
        &format!("frequency.lost.t{threads}.course"),
        GHZ,
        curve,
        how,
    );
}

/// What a share is the difference of.
fn evidence(reason: &str, measured: &Measured, run: &Run) -> String {
    let untold = |taken: &Result<f64, crate::measure::process::Unreadable>| {
        let reason = taken.as_ref().err().map(ToString::to_string);
        reason.map_or(String::new(), |reason| {
            format!("; not told here, so it is part of unknown: {reason}")
        })
    };
    let (at_first, over_all) = (Hertz(measured.load_at_first), Hertz(measured.load));
    match reason {
        "active_cores" => format!(
            "scalar code on the fewest threads {} less on all {}",
            Hertz(measured.scalar_alone),
            Hertz(measured.scalar_together)
        ),
        "licence" => format!(
            "scalar code on all threads {} less the load in its first 50 ms {at_first}",
            Hertz(measured.scalar_together)
        ),
        "power_limit" => format!(
            "the load at first {at_first} less over all {over_all}, where power limits are set and heat held nothing back"
        ),
        "thermal" => format!(
            "the load at first {at_first} less over all {over_all}, where the system counted that heat held cores back"
        ),
        "steal" => format!(
            "the hypervisor's share of the time of these CPUs{}",
            untold(&run.taken.stolen)
        ),
        "other_programs" => format!(
            "the share of the time in which threads were ready and had no CPU{}",
            untold(&run.taken.displaced)
        ),
        _ => format!(
            "nominal less scalar code on the fewest threads, a fall that nothing explains ({at_first} to {over_all}), and time lost \
             to neither steal nor other programs"
        ),
    }
}
