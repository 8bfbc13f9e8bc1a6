//! The multiply-add ceiling of each instruction set on each number of threads, and the frequency at which it was reached.
//!
//! Between two windows of arithmetic each thread samples its frequency: three times 30 us are short against the 680 us for which a core
//! keeps the power licence of wide instructions, so that the sample sees the frequency of that instruction set.

use super::windows::{Window, repeats_for, together, total_rate};
use crate::kernels::{Isa, vec};
use crate::measure::clock::{Clock, Ticks};
use crate::measure::{frequency, session};
use crate::parallel::Pool;
use crate::stats::{Interval, bootstrap, summary};
use crate::suites::quantity::{FLOPS_PER_CYCLE, GFLOPS, GHZ};
use crate::suites::{Context, Curve, SuiteError};
use crate::units::Seconds;
use std::sync::Arc;

/// Length of a window of arithmetic.
const WINDOW: f64 = 1e-3;

/// Windows of one visit, the first of which wake the wide units and are left out.
const WINDOWS: usize = 10;
const WAKING: usize = 2;

/// The multiply-add ceiling of one instruction set on one number of threads, visited as often as wanted: suites that compare
/// with the peak visit it between their own windows.
#[derive(Debug)]
pub(in crate::suites) struct Peak {
    isa: Isa,
    pool: Arc<Pool>,
    turns: usize,
    /// Windows of each thread, over all rounds.
    windows: Vec<Vec<Window>>,
}

impl Peak {
    /// Finds the length of a window; measures nothing yet.
    pub(in crate::suites) fn new(clock: &Clock, isa: Isa, pool: Arc<Pool>) -> Self {
        let run = |turns| std::hint::black_box(vec::fma_chain(isa, turns));
        let turns = pool.install(|| {
            repeats_for(clock, WINDOW, |turns| {
                run(turns);
            })
        });
        let windows = vec![Vec::new(); pool.cpus().len()];
        Self {
            isa,
            pool,
            turns,
            windows,
        }
    }

    /// Runs some windows more, about 10 ms: the FLOP/s of these.
    pub(in crate::suites) fn visit(&mut self, clock: &Clock) -> Option<f64> {
        let (isa, turns) = (self.isa, self.turns);
        let work = |_| {
            std::hint::black_box(vec::fma_chain(isa, turns));
        };
        let visit = together(&self.pool, clock, WINDOWS, &work, &|_| {
            calm_frequency(clock)
        });
        let mut rates = 0.0;
        for (all, new) in self.windows.iter_mut().zip(visit) {
            let awake = &new[WAKING.min(new.len().saturating_sub(1))..];
            let seconds: Vec<f64> = awake
                .iter()
                .map(|window| clock.seconds(window.start, window.end))
                .collect();
            rates += 1.0 / summary::median(&seconds)?;
            all.extend_from_slice(awake);
        }
        Some(rates * vec::fma_chain_flops(isa, turns))
    }

    /// FLOP/s of all threads together, over all visits so far.
    pub(in crate::suites) fn flops(&self, clock: &Clock) -> Option<Interval> {
        total_rate(
            clock,
            &self.windows,
            vec::fma_chain_flops(self.isa, self.turns),
        )
    }

    /// Records the ceiling and its frequency from all visits since `begin`, unless this run has measured them already.
    pub(in crate::suites) fn record_missing(&self, context: &mut Context, begin: Ticks) {
        let name = format!(
            "ceiling.fma.{}.t{}.gflops",
            self.isa.name(),
            self.pool.cpus().len()
        );
        if context.recorder.value(&name).is_none() {
            record(context, self, begin);
        }
    }

    /// FLOP of the first thread in each of its cycles, one number a window.
    pub(in crate::suites) fn flops_per_cycle(&self, clock: &Clock) -> Vec<f64> {
        let flops = vec::fma_chain_flops(self.isa, self.turns);
        let rate = |window: &Window| {
            let cycles = clock.seconds(window.start, window.end) * window.note;
            (cycles > 0.0).then(|| flops / cycles)
        };
        self.windows[0].iter().filter_map(rate).collect()
    }

    /// Frequencies that the threads saw, in hertz.
    pub(in crate::suites) fn frequencies(&self) -> Vec<f64> {
        self.windows
            .iter()
            .flatten()
            .map(|window| window.note)
            .collect()
    }
}

/// The median of three windows: one that was interrupted does not show.
pub(in crate::suites) fn calm_frequency(clock: &Clock) -> f64 {
    let [mut one, mut other, last] = [(); 3].map(|()| frequency::window(clock).0);
    if one > other {
        (one, other) = (other, one);
    }
    last.clamp(one, other)
}

/// Measures every instruction set on every number of threads, interleaved.
pub(super) fn measure(context: &mut Context) -> Result<(), SuiteError> {
    context.say("ceilings: multiply-adds and frequency");
    let clock = context.clock;
    let mut arms = Vec::new();
    for isa in &context.experiment.isas {
        for threads in &context.experiment.threads {
            arms.push(Peak::new(clock, *isa, context.pool(*threads)?));
        }
    }
    let rounds = context.experiment.effort.samples(5);
    let begin = clock.now();
    'rounds: for round in 0..rounds {
        for place in 0..arms.len() {
            if context.stopped() {
                break 'rounds;
            }
            let arm = session::at(arms.len(), round, place);
            arms[arm].visit(clock);
        }
    }
    for arm in &arms {
        record(context, arm, begin);
    }
    Ok(())
}

fn record(context: &mut Context, arm: &Peak, begin: Ticks) {
    let clock = context.clock;
    let threads = arm.pool.cpus().len();
    let variant = format!("{}.t{threads}", arm.isa.name());
    let (ceiling, frequency) = (
        format!("ceiling.fma.{variant}"),
        format!("frequency.{variant}"),
    );
    let hertz = arm.frequencies();
    let (Some(flops), Some(clocked)) = (arm.flops(clock), bootstrap::median_interval(&hertz, 2))
    else {
        let reason = "the user stopped before it was measured";
        context.recorder.missing(&ceiling, GFLOPS, reason);
        context.recorder.missing(&frequency, GHZ, reason);
        return;
    };
    let windows: usize = arm.windows.iter().map(Vec::len).sum();
    let at_once = if threads == 1 {
        String::new()
    } else {
        format!(" on {threads} threads at once")
    };
    context.recorder.measured(
        &ceiling,
        GFLOPS,
        flops.map(|flops| flops / 1e9),
        format!(
            "chains of {} multiply-adds in registers, {windows} windows of {}{at_once}; sum over threads of the median",
            arm.isa.name(),
            Seconds(WINDOW)
        ),
    );
    let fast = summary::quantile(&hertz, 0.9).unwrap_or(clocked.estimate) / 1e9;
    context.recorder.measured(
        &frequency,
        GHZ,
        clocked.map(|hertz| hertz / 1e9),
        format!("dependent additions in windows of 30 us between those of arithmetic, median of {windows} medians of three; nine of ten below {fast:.2} GHz"),
    );
    context.recorder.computed(
        &ceiling,
        FLOPS_PER_CYCLE,
        flops.estimate / clocked.estimate / threads as f64,
        "multiply-add ceiling over frequency and threads: tells how many vector units work",
    );
    let mut timeline = Curve::over("seconds");
    for window in &arm.windows[0] {
        timeline.x.push(clock.seconds(begin, window.start));
        timeline.y.push(window.note / 1e9);
    }
    context.recorder.curve(
        &format!("{frequency}.timeline"),
        GHZ,
        timeline,
        "frequency of the first thread between windows of arithmetic, since the first of all",
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Machine;
    use crate::suites::testing::Quiet;
    use crate::suites::{Effort, Experiment};

    fn experiment() -> Experiment {
        let isas = Isa::available();
        Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas,
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        }
    }

    #[test]
    fn every_instruction_set_gets_its_numbers() {
        let (machine, clock, host, experiment) = (
            Machine::detect(),
            Clock::best(),
            Quiet::default(),
            experiment(),
        );
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        measure(&mut context).unwrap();
        for isa in &experiment.isas {
            for name in [
                format!("ceiling.fma.{}.t1.gflops", isa.name()),
                format!("frequency.{}.t1.ghz", isa.name()),
            ] {
                assert!(
                    context
                        .recorder
                        .value(&name)
                        .is_some_and(|value| value > 0.0),
                    "{name}"
                );
            }
            // Not by the clock: both sides slow down together. No core has more than four vector multiply-adds a cycle.
            let per_cycle = context
                .recorder
                .value(&format!("ceiling.fma.{}.t1.flops_per_cycle", isa.name()))
                .unwrap();
            assert!(
                per_cycle < (4 * 2 * isa.lanes().max(4)) as f64 * 4.0,
                "{}: {per_cycle}",
                isa.name()
            );
        }
        assert_eq!(context.recorder.series().len(), experiment.isas.len());
    }

    #[test]
    fn stopping_leaves_reasons() {
        let (machine, clock, experiment) = (Machine::detect(), Clock::best(), experiment());
        let host = Quiet {
            stop_after: Some(0),
            ..Quiet::default()
        };
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        measure(&mut context).unwrap();
        let metrics = context.recorder.metrics();
        assert_eq!(metrics.len(), 2 * experiment.isas.len());
        assert!(
            metrics
                .iter()
                .all(|metric| metric.value.is_none() && metric.how.contains("stopped"))
        );
    }
}
