//! How cost grows: tokens a second and MFU over the width, the layers, the length and the batch, one of them at a time around a
//! configuration.

mod points;
mod reasons;

use std::sync::Arc;

use super::ceilings::arithmetic::Peak;
use super::quantity::{MFU, MFU_STEP, TOKENS_PER_SECOND};
use super::steps::{Steps, invented};
use super::{Case, Context, Curve, Effort, Experiment, Suite, SuiteError, find};
use crate::measure::session;
use crate::parallel::Pool;
use crate::stats::{Interval, bootstrap};
use points::{Dimension, Point, points};

/// The scaling suite.
#[derive(Debug)]
pub(super) struct Scaling;

/// The least MFU of two neighbours over the other's that is no cliff.
const CLIFF: f64 = 0.8;

impl Suite for Scaling {
    fn id(&self) -> &'static str {
        "scaling"
    }

    fn title(&self) -> &'static str {
        "How speed changes as the model, its text and its batch grow"
    }

    fn how_to_read(&self) -> &'static str {
        "One size changes at a time around the configuration; steps over the same number of tokens where the batch is not what changes. \
         A cliff is a fall of MFU by more than a fifth from one size to the next."
    }

    fn trains(&self) -> bool {
        true
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        let ceilings = if experiment.effort > Effort::Quick {
            super::ceilings(experiment)
        } else {
            0.0
        };
        ceilings + experiment.effort.of(60.0, 150.0, 600.0) * experiment.cases.len() as f64
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        // The bandwidth of memory explains cliffs; a quick run has no time for it.
        if context.experiment.effort > Effort::Quick
            && let Some(ceilings) = find("ceilings")
        {
            ceilings.run(context)?;
        }
        for case in &context.experiment.cases {
            if !context.stopped() {
                measure(context, case)?;
                context.keep()?;
            }
        }
        Ok(())
    }
}

/// Rounds over all points, and seconds after which no step begins.
fn rounds(context: &Context) -> (usize, f64) {
    let (rounds, seconds) = match context.experiment.effort {
        Effort::Quick => (1, 60.0),
        Effort::Normal => (3, 150.0),
        Effort::Full => (6, 600.0),
    };
    (rounds, context.seconds_left().min(seconds))
}

/// One point with what was found.
struct Found {
    point: Point,
    seconds: Vec<f64>,
    /// Model FLOP/s over the peak beside each step.
    mfu: Vec<f64>,
    /// Why nothing was.
    missing: Option<String>,
}

fn measure(context: &mut Context, case: &Case) -> Result<(), SuiteError> {
    let quick = context.experiment.effort == Effort::Quick;
    let pool = context.pool(case.plan.workers)?;
    let mut peak = Peak::new(context.clock, case.plan.isa, Arc::clone(&pool));
    let flops = peak.visit(context.clock);
    let usable = context.machine.usable_memory_bytes();
    let found = |point: Point| Found {
        missing: point.refusal(usable, flops),
        point,
        seconds: Vec::new(),
        mfu: Vec::new(),
    };
    let mut all: Vec<Found> = points(&case.plan, quick).into_iter().map(found).collect();
    let (rounds, seconds) = rounds(context);
    let start = context.clock.now();
    for round in 0..rounds {
        context.say(&format!(
            "scaling: {}, round {} of {rounds}",
            case.name,
            round + 1
        ));
        for place in 0..all.len() {
            if context.stopped() || context.clock.since(start) >= seconds {
                break;
            }
            let at = session::at(all.len(), round, place);
            visit(context, case, &pool, &mut peak, &mut all[at]);
        }
    }
    for dimension in Dimension::ALL {
        let of: Vec<&Found> = all
            .iter()
            .filter(|found| found.point.dimension == dimension)
            .collect();
        record(context, case, dimension, &of, flops);
    }
    Ok(())
}

/// One step at a point, and the peak beside it.
fn visit(context: &Context, case: &Case, pool: &Arc<Pool>, peak: &mut Peak, found: &mut Found) {
    if found.missing.is_some() {
        return;
    }
    let plan = &found.point.plan;
    let batch = invented(plan.batch, plan.length, plan.shape.vocab_size);
    match Steps::new(context.clock, case).time(plan, pool, &batch) {
        Ok(timed) => {
            let rate = plan.flops_per_step() / timed.seconds;
            let flops = peak.visit(context.clock).unwrap_or(f64::NAN);
            found.seconds.push(timed.seconds);
            found.mfu.push(rate / flops);
        }
        Err(error) => found.missing = Some(error.to_string()),
    }
}

fn record(
    context: &mut Context,
    case: &Case,
    dimension: Dimension,
    all: &[&Found],
    peak: Option<f64>,
) {
    let threads = case.plan.workers;
    let recorder = &mut context.recorder;
    let (mut speeds, mut mfus) = (Curve::over(dimension.unit()), Curve::over(dimension.unit()));
    for found in all {
        let subject = format!(
            "scaling.{}.{}_{}.t{threads}",
            case.name,
            dimension.name(),
            found.point.value
        );
        let tokens = (found.point.plan.batch * found.point.plan.length) as f64;
        let speed: Vec<f64> = found.seconds.iter().map(|one| tokens / one).collect();
        let intervals = (
            bootstrap::median_interval(&speed, 41),
            bootstrap::median_interval(&found.mfu, 42),
        );
        let x = found.point.value as f64;
        match intervals {
            (Some(speed), Some(mfu)) => {
                let how = format!(
                    "{}; {} rounds in changing order",
                    found.point.what(),
                    found.seconds.len()
                );
                recorder.measured(&subject, TOKENS_PER_SECOND, speed, how.clone());
                let how = format!("model arithmetic over the multiply-add peak beside it; {how}");
                recorder.derived(&subject, MFU, mfu, how);
                speeds.push(x, speed);
                mfus.push(x, mfu);
            }
            _ => {
                let reason = found.missing.as_deref();
                let reason = reason.unwrap_or("the time was over before it was measured");
                recorder.missing(&subject, TOKENS_PER_SECOND, reason);
                recorder.missing(&subject, MFU, reason);
                let none = Interval::exactly(f64::NAN);
                speeds.push(x, none);
                mfus.push(x, none);
            }
        }
    }
    let subject = format!("scaling.{}.t{threads}.{}", case.name, dimension.name());
    let how = format!(
        "training steps with {} changed and all else as configured",
        dimension.words()
    );
    recorder.curve(&subject, TOKENS_PER_SECOND, speeds, how.clone());
    recorder.curve(&subject, MFU, mfus, how);
    cliffs(context, case, dimension, all, peak);
}

/// Names each fall between neighbours, and why it is there.
fn cliffs(
    context: &mut Context,
    case: &Case,
    dimension: Dimension,
    all: &[&Found],
    peak: Option<f64>,
) {
    let threads = case.plan.workers;
    let dram = format!("ceiling.bandwidth.dram.t{threads}.gbps");
    let bandwidth = context.recorder.value(&dram).map(|gbps| gbps * 1e9);
    for pair in all.windows(2) {
        let of = |found: &Found| crate::stats::summary::median(&found.mfu);
        let (Some(small), Some(large)) = (of(pair[0]), of(pair[1])) else {
            continue;
        };
        if small.min(large) >= CLIFF * small.max(large) {
            continue;
        }
        let (low, high) = match small < large {
            true => (pair[0], pair[1]),
            false => (pair[1], pair[0]),
        };
        let reason = reasons::of(&low.point.plan, &high.point.plan, bandwidth.zip(peak));
        let subject = format!(
            "scaling.{}.cliff.{}_{}_to_{}.t{threads}",
            case.name,
            dimension.name(),
            high.point.value,
            low.point.value
        );
        let ratio = small.min(large) / small.max(large);
        let how = format!(
            "MFU at {} {} over that at {}: {reason}",
            dimension.words(),
            low.point.value,
            high.point.value
        );
        context.recorder.computed(&subject, MFU_STEP, ratio, how);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::testing::{Quiet, tiny};

    fn found(value: usize, mfu: f64) -> Found {
        let mut point = points(&tiny(4, 2).plan, false).swap_remove(0);
        point.value = value;
        Found {
            point,
            seconds: vec![1.0],
            mfu: vec![mfu],
            missing: None,
        }
    }

    #[test]
    fn falls_are_named_and_small_ones_are_not() {
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
        let all = [found(1, 0.2), found(2, 0.6), found(4, 0.55), found(8, 0.3)];
        let all: Vec<&Found> = all.iter().collect();
        record(&mut context, &tiny(4, 2), Dimension::Batch, &all, None);
        let recorder = &context.recorder;
        let names: Vec<&str> = recorder
            .metrics()
            .iter()
            .map(|metric| metric.name.as_str())
            .filter(|name| name.contains("cliff"))
            .collect();
        assert_eq!(
            names,
            [
                "scaling.tiny.cliff.batch_2_to_1.t1.mfu_step",
                "scaling.tiny.cliff.batch_4_to_8.t1.mfu_step"
            ]
        );
        assert_eq!(recorder.value("scaling.tiny.batch_4.t1.mfu"), Some(0.55));
    }

    #[test]
    fn a_point_is_measured_and_one_that_does_not_fit_has_its_reason() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let case = tiny(4, 2);
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
        let pool = context.pool(1).unwrap();
        let mut peak = Peak::new(&clock, case.plan.isa, Arc::clone(&pool));
        let mut small = found(4, 0.0);
        (small.seconds, small.mfu) = (Vec::new(), Vec::new());
        small.point.plan = case.plan;
        visit(&context, &case, &pool, &mut peak, &mut small);
        assert!(small.seconds[0] > 0.0 && small.mfu[0] > 0.0);
        let refused = small.point.refusal(Some(1000), Some(1e12)).unwrap();
        assert!(refused.contains("memory"), "{refused}");
        let slow = small.point.refusal(None, Some(1.0)).unwrap();
        assert!(slow.contains("seconds"), "{slow}");
        assert_eq!(small.point.refusal(None, None), None);
    }
}
