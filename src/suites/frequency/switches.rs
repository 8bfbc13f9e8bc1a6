//! What a change of instructions costs: the frequency just before, during and after a stretch of each load, on one thread.
//!
//! Scalar code runs until the core has forgotten any licence, then the load, then scalar code again. Windows of 6 us are shorter than
//! the switch that they show; the median over many repetitions at the same distance from the switch drops what interrupted one.

use super::{passes_for, window};
use crate::kernels::vec::PowerLoad;
use crate::measure::clock::Clock;
use crate::stats::summary;
use crate::suites::quantity::{GHZ, SECONDS};
use crate::suites::{Context, Curve, SuiteError};

/// Length of a window.
const WINDOW: f64 = 6e-6;

/// Windows of scalar code before (twice the 680 us for which Skylake keeps a licence), of the load, and of scalar code after.
const BEFORE: usize = 250;
const DURING: usize = 250;
const AFTER: usize = 250;

/// Of the scalar code before, those that are drawn.
const DRAWN: usize = 20;

/// Repetitions of a quick run.
const REPETITIONS: usize = 12;

/// How far from its level a window may lie that has settled.
const SETTLED: f64 = 0.01;

/// Levels that differ by less are one.
const SAME: f64 = 0.004;

pub(super) fn measure(context: &mut Context) -> Result<(), SuiteError> {
    let pool = context.pool(1)?;
    let clock = context.clock;
    let repetitions = context.experiment.effort.samples(REPETITIONS);
    for load in PowerLoad::available().into_iter().skip(1) {
        if context.stopped() {
            return Ok(());
        }
        context.say(&format!("frequency: switching to {}", load.name()));
        let runs = pool.install(|| {
            let passes = passes_for(clock, WINDOW);
            let runs = (0..repetitions).map(|_| one_run(clock, load, passes));
            runs.collect()
        });
        record(context, load, &medians(runs));
    }
    Ok(())
}

/// Hertz of every window, in the order of time.
fn one_run(clock: &Clock, load: PowerLoad, passes: u64) -> Vec<f64> {
    let phases = [
        (PowerLoad::Scalar, BEFORE),
        (load, DURING),
        (PowerLoad::Scalar, AFTER),
    ];
    let mut hertz = Vec::with_capacity(BEFORE + DURING + AFTER);
    for (load, count) in phases {
        hertz.extend((0..count).map(|_| window(clock, load, passes)));
    }
    hertz
}

/// The median of each place over the runs; empty without a run.
fn medians(runs: Vec<Vec<f64>>) -> Vec<f64> {
    let places = 0..runs.first().map_or(0, Vec::len);
    let at = |place: usize| runs.iter().map(|run| run[place]).collect::<Vec<f64>>();
    places
        .filter_map(|place| summary::median(&at(place)))
        .collect()
}

/// What follows a switch.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Switch {
    /// Hertz that it ends at.
    level: f64,
    /// Windows until it stays there.
    windows: usize,
    /// Windows' worth of work that was lost until then, against work at the level.
    lost: f64,
}

/// How the frequency after a switch comes to rest: its level is the median of the last half, and it has settled where the window and
/// three of the four behind it lie near.
fn settle(hertz: &[f64]) -> Option<Switch> {
    let level = summary::median(hertz.get(hertz.len() / 2..)?)?;
    let near = |hertz: &f64| (hertz / level - 1.0).abs() <= SETTLED;
    let rest = |place: usize| {
        let five = &hertz[place..(place + 5).min(hertz.len())];
        near(&five[0]) && five.iter().filter(|hertz| near(hertz)).count() * 5 >= five.len() * 4
    };
    let windows = (0..hertz.len()).find(|place| rest(*place))?;
    let lost = hertz[..windows].iter().map(|hertz| 1.0 - hertz / level);
    Some(Switch {
        level,
        windows,
        lost: lost.sum(),
    })
}

fn record(context: &mut Context, load: PowerLoad, hertz: &[f64]) {
    let subject = format!("frequency.switch.{}", load.name());
    if hertz.len() < BEFORE + DURING + AFTER {
        let reason = "the user stopped before it was measured";
        context
            .recorder
            .missing(&format!("{subject}.t1"), GHZ, reason);
        return;
    }
    let (before, rest) = hertz.split_at(BEFORE);
    let (during, after) = rest.split_at(DURING);
    let base = summary::median(&before[BEFORE / 2..]).unwrap_or(f64::NAN);
    let recorder = &mut context.recorder;
    let switches = [
        ("onset", "to the load", during),
        ("return", "back to scalar code", after),
    ];
    for (name, what, windows) in switches {
        let subject = |what: &str| format!("{subject}.{name}.{what}.t1");
        let Some(switch) = settle(windows) else {
            let reason =
                "the frequency did not come to rest within 1.5 ms: something else changes it";
            recorder.missing(&subject("settled"), SECONDS, reason);
            continue;
        };
        let how = format!(
            "median of the last windows of 6 us after the switch {what}, over the repetitions"
        );
        recorder.reading(&subject("level"), GHZ, switch.level / 1e9, how);
        let change = switch.level / base - 1.0;
        let seen = match change.abs() < SAME {
            true => "no other frequency than before".to_owned(),
            false => format!("{:+.1} % against scalar code before", change * 100.0),
        };
        let how = format!(
            "from the switch {what} until the frequency stays within 1 % of its level; {seen}"
        );
        let seconds = switch.windows as f64 * WINDOW;
        recorder.reading(&subject("settled"), SECONDS, seconds, how);
        let how = format!(
            "work that was lost after the switch {what}, against work at the level that follows"
        );
        let seconds = switch.lost * WINDOW;
        recorder.computed(&subject("lost"), SECONDS, seconds, how);
    }
    let drawn = hertz[BEFORE - DRAWN..].iter().zip(0..);
    let points = drawn.map(|(hertz, place)| {
        let seconds = (f64::from(place) - DRAWN as f64) * WINDOW;
        (seconds * 1e6, hertz / 1e9)
    });
    let how = "additions beside the load in windows of 6 us; scalar code before 0 and after 1,500 us, the load between; median of the \
               repetitions";
    let curve = Curve::through("microseconds", points);
    recorder.curve(&format!("{subject}.t1.course"), GHZ, curve, how);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_that_throttles_and_falls_is_timed_and_priced() {
        // Three windows at a quarter, one halfway, then the level.
        let mut hertz = vec![0.7e9, 0.7e9, 0.7e9, 1.75e9];
        hertz.extend([2.8e9; 60]);
        let switch = settle(&hertz).unwrap();
        assert_eq!((switch.windows, switch.level), (4, 2.8e9));
        assert!((switch.lost - (3.0 * 0.75 + 0.375)).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_settle_is_no_time_and_an_outlier_does_not_matter() {
        let mut hertz = vec![3.0e9; 50];
        assert_eq!(settle(&hertz).map(|switch| switch.windows), Some(0));
        hertz[2] = 1.0e9;
        assert_eq!(settle(&hertz).map(|switch| switch.windows), Some(0));
        assert_eq!(settle(&[]), None);
    }

    #[test]
    fn what_never_rests_has_no_time() {
        let hertz: Vec<f64> = (0..60)
            .map(|place| 1e9 * f64::from(1 + place % 3))
            .collect();
        assert_eq!(settle(&hertz), None);
    }

    #[test]
    fn places_keep_their_medians() {
        let runs = vec![vec![1.0, 9.0], vec![2.0, 8.0], vec![50.0, 7.0]];
        assert_eq!(medians(runs), [2.0, 8.0]);
        assert!(medians(Vec::new()).is_empty());
    }
}
