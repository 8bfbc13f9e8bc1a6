//! At which frequency does the work really run: by instruction set and active cores, over time, and where the rest of turbo went.
//!
//! Every frequency comes from a chain of dependent additions that runs beside the load itself, in short windows against the time
//! stamp counter: no rights are needed, and a stolen moment costs one window.

mod losses;
mod lost;
mod sustained;
mod switches;
mod training;

use super::{Context, Experiment, Suite, SuiteError};
use crate::kernels::vec::{CLOCKED_CYCLES, PowerLoad, clocked};
use crate::measure::clock::Clock;

/// The suite of frequencies.
#[derive(Debug)]
pub(super) struct Frequency;

impl Suite for Frequency {
    fn id(&self) -> &'static str {
        "frequency"
    }

    fn title(&self) -> &'static str {
        "At which frequency does each instruction set run, and where did turbo go"
    }

    fn how_to_read(&self) -> &'static str {
        "Light instructions are integer logic, heavy ones floating point. A row that falls with the number of threads is the turbo that \
         many active cores share; a lower row is the licence that wide instructions need. The loss from nominal turbo is divided among \
         reasons that add up with what is left to 100 %; what nothing explains is called unknown."
    }

    fn trains(&self) -> bool {
        true
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        // Every load on each number of threads, switches, the heaviest load for a while, whole steps of training.
        let sustained = experiment.effort.of(2.0, 5.0, 15.0) * experiment.threads.len() as f64;
        sustained + experiment.effort.of(15.0, 60.0, 220.0)
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        let parts = [
            sustained::measure,
            switches::measure,
            losses::measure,
            training::measure,
        ];
        for part in parts {
            if context.stopped() {
                break;
            }
            part(context)?;
            context.keep()?;
        }
        Ok(())
    }
}

/// Seconds that a window should take.
const WINDOW: f64 = 30e-6;

/// Passes that a window of `seconds` needs at about the frequency of now; at least one.
fn passes_for(clock: &Clock, seconds: f64) -> u64 {
    let hertz = crate::measure::frequency::window(clock).0;
    ((seconds * hertz) as u64 / CLOCKED_CYCLES).max(1)
}

/// Hertz of one window under `load` on the calling thread.
fn window(clock: &Clock, load: PowerLoad, passes: u64) -> f64 {
    let start = clock.now();
    let cycles = clocked(load, passes);
    let seconds = (clock.since(start) - clock.overhead().0).max(clock.precision().0);
    cycles as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::Effort;
    use crate::suites::testing::{Quiet, tiny};

    fn experiment() -> Experiment {
        Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: Isa::available(),
            counters: false,
            cases: vec![tiny(2, 1)],
            lessons: Vec::new(),
            seconds: Some(5.0),
        }
    }

    #[test]
    fn a_short_run_has_a_matrix_switches_losses_and_steps() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment();
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        Frequency.run(&mut context).unwrap();
        let value = |name: &str| context.recorder.value(name);
        for load in PowerLoad::available() {
            let name = format!("frequency.sustained.{}.t1.ghz", load.name());
            let found = context.recorder.metrics().iter();
            let found = found.clone().find(|metric| metric.name == name).unwrap();
            // Where others have the CPU all the time no window is whole, and the reason stands instead.
            match found.value {
                Some(ghz) => assert!(ghz > 0.0 && ghz < 10.0, "{name}: {ghz}"),
                None => assert!(!found.how.is_empty(), "{name}"),
            }
        }
        // Shares and what is left are the whole.
        let shares = context.recorder.metrics().iter().filter(|metric| {
            metric.name.starts_with("frequency.lost.") && metric.name.ends_with("share_of_nominal")
        });
        let shares: Vec<f64> = shares.filter_map(|metric| metric.value).collect();
        let whole: f64 = shares.iter().sum();
        let missing = context.recorder.metrics().iter();
        let mut missing = missing.filter(|metric| metric.name == "frequency.lost.t1.ghz");
        match shares.is_empty() {
            true => assert!(missing.any(|metric| metric.how.contains("other work"))),
            false => assert!((whole - 1.0).abs() < 1e-9, "{whole}"),
        }
        let isa = Isa::best().name();
        let step = value(&format!("frequency.training.{isa}.t1.step_seconds"));
        assert!(step.is_some_and(|seconds| seconds > 0.0));
    }

    #[test]
    fn stopping_at_once_measures_nothing() {
        let (machine, clock) = (Machine::detect(), Clock::best());
        let host = Quiet {
            stop_after: Some(0),
            ..Quiet::default()
        };
        let experiment = experiment();
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        Frequency.run(&mut context).unwrap();
        assert!(context.recorder.metrics().is_empty());
    }
}
