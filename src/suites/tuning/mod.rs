//! Which sizes and how many threads train fastest here: candidates in interleaved rounds, the slow ones dropped on the way.
//!
//! Threads first, then the micro-batch on the best number of threads, then what threads share, then the batch. All but the last leave the
//! mathematics as it is; another batch is another training run, so that the batch is advice.

mod heats;

use super::quantity::{BATCH, MICRO_BATCH, SHARES, SPEEDUP, THREADS, TOKENS_PER_SECOND};
use super::{Case, Context, Curve, Effort, Experiment, Suite, SuiteError, caches};
use crate::stats::{Interval, bootstrap, compare};
use crate::train::Plan;
use heats::{Candidate, Heats};

/// The tuning suite.
#[derive(Debug)]
pub(super) struct Tuning;

/// Batches that are tried.
const BATCHES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// Micro-batches that are tried, the nearest to the automatic one.
const MICRO_BATCHES: usize = 7;

/// Speeds as near as this to the highest are as good.
const AS_GOOD: f64 = 0.01;

/// The batch that is advised is the smallest that comes as near as this to the highest speed.
const NEAR: f64 = 0.05;

/// The part of the memory of this process that a candidate may plan for.
const MEMORY: f64 = 0.8;

impl Suite for Tuning {
    fn id(&self) -> &'static str {
        "tuning"
    }

    fn title(&self) -> &'static str {
        "Which batch, micro-batch and threads train fastest here"
    }

    fn how_to_read(&self) -> &'static str {
        "Candidates take turns, and those that are behind drop out after two rounds. Threads, micro-batch and what threads share change nothing but speed and memory; \
         another batch is another training run."
    }

    fn trains(&self) -> bool {
        true
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        5.0 * experiment.effort.of(14.0, 30.0, 90.0) * experiment.cases.len() as f64
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        for case in &context.experiment.cases {
            if !context.stopped() {
                tune(context, case)?;
                context.keep()?;
            }
        }
        Ok(())
    }
}

/// Seconds of one sweep.
fn budget(context: &Context) -> f64 {
    let seconds = match context.experiment.effort {
        Effort::Quick => 14.0,
        Effort::Normal => 30.0,
        Effort::Full => 90.0,
    };
    (context.seconds_left() / 5.0).min(seconds)
}

fn tune(context: &mut Context, case: &Case) -> Result<(), SuiteError> {
    let name = &case.name;
    let mut heats = Heats::new(context, case);
    context.say(&format!("tuning: {name}, threads"));
    let candidates = threads(context, case);
    let threads = sweep(context, &mut heats, candidates, None)?;
    let subject = format!("tuning.{name}");
    record(context, &subject, "threads", "threads", &threads);
    let Some(best) = best(&threads) else {
        context
            .recorder
            .missing(&format!("{subject}.chosen"), THREADS, "stopped before");
        return Ok(());
    };
    let plan = threads[best].plan;
    let count = plan.workers;
    context.say(&format!("tuning: {name}, micro-batch on {count} threads"));
    let micro = sweep(
        context,
        &mut heats,
        micro_batches(context, &plan),
        Some(plan.micro_batch),
    )?;
    let on = format!("{subject}.t{count}");
    record(context, &on, "micro_batch", "sequences", &micro);
    let chosen = frugal(&micro).map_or(plan, |best| micro[best].plan);
    choose(context, case, &chosen, &micro, plan.micro_batch);
    let chosen = match count {
        0..=1 => chosen,
        _ => share(context, &mut heats, name, &chosen)?,
    };
    context.say(&format!("tuning: {name}, batch on {count} threads"));
    let batches = sweep(context, &mut heats, batches(context, &chosen), None)?;
    record(context, &on, "batch", "sequences", &batches);
    advise(context, name, &batches, count);
    Ok(())
}

/// Measures the candidates in rounds; `keep` is the value of one that never drops out.
fn sweep(
    context: &mut Context,
    heats: &mut Heats<'_>,
    candidates: Vec<(usize, Plan)>,
    keep: Option<usize>,
) -> Result<Vec<Candidate>, SuiteError> {
    let mut all = Vec::new();
    for (value, plan) in candidates {
        let pool = context.pool(plan.workers)?;
        all.push(Candidate::new(value, plan, pool, keep == Some(value)));
    }
    let seconds = budget(context);
    let host = context.host();
    heats.run(&mut all, seconds, &|| host.stopped())?;
    Ok(all)
}

/// The program as configured on each number of threads.
fn threads(context: &Context, case: &Case) -> Vec<(usize, Plan)> {
    let plan = |workers: &usize| {
        let plan = Plan {
            workers: *workers,
            caches: caches(context.machine, *workers),
            ..case.plan
        };
        (*workers, plan)
    };
    context.experiment.threads.iter().map(plan).collect()
}

fn fits(context: &Context, plan: &Plan) -> bool {
    let usable = context.machine.usable_memory_bytes();
    usable.is_none_or(|usable| plan.memory().total() as f64 <= usable as f64 * MEMORY)
}

/// The divisors of the batch nearest to the micro-batch of `plan` that fit into memory.
fn micro_batches(context: &Context, plan: &Plan) -> Vec<(usize, Plan)> {
    let mut sizes: Vec<usize> = (1..=plan.batch)
        .filter(|size| plan.batch.is_multiple_of(*size))
        .collect();
    let far = |size: &usize| (*size as f64 / plan.micro_batch as f64).ln().abs();
    sizes.sort_by(|one, other| far(one).total_cmp(&far(other)));
    sizes.truncate(MICRO_BATCHES);
    sizes.sort_unstable();
    let with = |micro_batch: usize| {
        let plan = Plan {
            micro_batch,
            ..*plan
        };
        (micro_batch, plan)
    };
    let plans = sizes.into_iter().map(with);
    plans.filter(|(_, plan)| fits(context, plan)).collect()
}

/// Batches that the text fills and the memory holds, in micro-batches no larger than the chosen one.
fn batches(context: &Context, plan: &Plan) -> Vec<(usize, Plan)> {
    let with = |batch: usize| {
        let micro_batch = (1..=plan.micro_batch.min(batch))
            .rev()
            .find(|size| batch.is_multiple_of(*size))
            .unwrap_or(1);
        let plan = Plan {
            batch,
            micro_batch,
            ..*plan
        };
        (batch, plan)
    };
    let plans = BATCHES.into_iter().map(with);
    plans.filter(|(_, plan)| fits(context, plan)).collect()
}

/// The place of the fastest candidate.
fn best(candidates: &[Candidate]) -> Option<usize> {
    let speeds = candidates.iter().map(Candidate::tokens_per_second);
    let known = speeds
        .enumerate()
        .filter_map(|(place, speed)| Some((place, speed?)));
    known
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .map(|(place, _)| place)
}

/// The place of the first candidate, hence the smallest, that is as good as the fastest.
fn frugal(candidates: &[Candidate]) -> Option<usize> {
    nearly(candidates, AS_GOOD)
}

/// The place of the first candidate that comes within `share` of the fastest.
fn nearly(candidates: &[Candidate], share: f64) -> Option<usize> {
    let highest = candidates[best(candidates)?].tokens_per_second()?;
    candidates.iter().position(|candidate| {
        candidate
            .tokens_per_second()
            .is_some_and(|speed| speed >= highest * (1.0 - share))
    })
}

/// A sweep as a curve.
fn record(context: &mut Context, subject: &str, of: &str, unit: &'static str, all: &[Candidate]) {
    let mut curve = Curve::over(unit);
    for candidate in all {
        if let Some(interval) = bootstrap::median_interval(&candidate.speeds(), 31) {
            curve.push(candidate.value as f64, interval);
        }
    }
    let rounds: Vec<String> = all
        .iter()
        .map(|candidate| format!("{} at {}", candidate.seconds.len(), candidate.value))
        .collect();
    let how = format!(
        "median over interleaved rounds of a step ({}); those that are behind drop out",
        rounds.join(", ")
    );
    context
        .recorder
        .curve(&format!("{subject}.{of}"), TOKENS_PER_SECOND, curve, how);
}

/// The chosen threads and micro-batch, and what they gain over the automatic micro-batch.
fn choose(
    context: &mut Context,
    case: &Case,
    chosen: &Plan,
    micro: &[Candidate],
    automatic: usize,
) {
    let subject = format!("tuning.{}.chosen", case.name);
    let recorder = &mut context.recorder;
    let how = "the fastest of the sweep";
    recorder.computed(&subject, THREADS, chosen.workers as f64, how);
    let how = "the smallest within 1 % of the fastest of the sweep: as fast, with less memory";
    recorder.computed(&subject, MICRO_BATCH, chosen.micro_batch as f64, how);
    let of = |value: usize| micro.iter().find(|candidate| candidate.value == value);
    let (Some(before), Some(after)) = (of(automatic), of(chosen.micro_batch)) else {
        return;
    };
    let subject = format!("{subject}.t{}", chosen.workers);
    if let Some(interval) = bootstrap::median_interval(&after.speeds(), 32) {
        let how = format!(
            "steps of {} x {} tokens, {} sequences at a time",
            chosen.batch, chosen.length, chosen.micro_batch
        );
        recorder.measured(&subject, TOKENS_PER_SECOND, interval, how);
    }
    let speedup = match automatic == chosen.micro_batch {
        true => Some(Interval::exactly(1.0)),
        false => compare::paired(&before.seconds, &after.seconds, 33)
            .map(|comparison| comparison.speedup),
    };
    if let Some(speedup) = speedup {
        let how = format!(
            "over {automatic} sequences at a time, which is chosen without a profile, round by round"
        );
        recorder.derived(&subject, SPEEDUP, speedup, how);
    }
}

/// Whether threads share operators or sequences: the plan with what is faster.
fn share(
    context: &mut Context,
    heats: &mut Heats<'_>,
    name: &str,
    plan: &Plan,
) -> Result<Plan, SuiteError> {
    let count = plan.workers;
    context.say(&format!(
        "tuning: {name}, sequences or operators on {count} threads"
    ));
    let with = |shares: usize| {
        let by_sequences = shares > 1;
        (
            shares,
            Plan {
                by_sequences,
                ..*plan
            },
        )
    };
    let plans = [with(1), with(count)].into_iter();
    let candidates = plans.filter(|(_, plan)| fits(context, plan)).collect();
    let all = sweep(context, heats, candidates, Some(1))?;
    record(
        context,
        &format!("tuning.{name}.t{count}"),
        "shares",
        "parts",
        &all,
    );
    let Some(best) = frugal(&all) else {
        return Ok(*plan);
    };
    let (operators, chosen) = (&all[0], &all[best]);
    let (subject, recorder) = (format!("tuning.{name}.chosen"), &mut context.recorder);
    let how = "1: threads share operators, else each takes sequences of its own, where that is faster by more than 1 %";
    recorder.computed(&subject, SHARES, chosen.value as f64, how);
    if chosen.value > 1 {
        let subject = format!("{subject}.t{count}.shares");
        if let Some(interval) = bootstrap::median_interval(&chosen.speeds(), 34) {
            let how = "steps in which each thread takes sequences of its own";
            recorder.measured(&subject, TOKENS_PER_SECOND, interval, how);
        }
        if let Some(found) = compare::paired(&operators.seconds, &chosen.seconds, 35) {
            let how = "over threads that share operators, round by round";
            recorder.derived(&subject, SPEEDUP, found.speedup, how);
        }
    }
    Ok(chosen.plan)
}

/// The batch from which speed hardly rises, beside the seed's guideline.
fn advise(context: &mut Context, case: &str, batches: &[Candidate], threads: usize) {
    let subject = format!("tuning.{case}.advised");
    let Some(place) = nearly(batches, NEAR) else {
        return context.recorder.missing(&subject, BATCH, "stopped before");
    };
    let batch = batches[place].value;
    let how = "the smallest within 5 % of the highest speed; advice only, since another batch is another training run";
    context
        .recorder
        .computed(&subject, BATCH, batch as f64, how);
    let guideline = match threads {
        0..=1 => "names none for fewer than 4 threads",
        2..=4 => "says 16 to 24 for 4 threads",
        5..=8 => "says 32 for 8 threads",
        _ => "says 64 to 128 for 16 threads and more",
    };
    let text = format!(
        "A batch of {batch} sequences comes within 5 % of the highest speed {}; the original's guideline {guideline}. Choose the batch \
         by how the loss falls: it is never changed for speed.",
        super::on_threads(threads)
    );
    context.recorder.note("advice", text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::testing::{Quiet, tiny};
    use std::sync::Arc;

    #[test]
    fn a_tiny_model_is_tuned_from_end_to_end() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: vec![Isa::best()],
            counters: false,
            cases: vec![tiny(12, 4)],
            lessons: Vec::new(),
            seconds: Some(1.0),
        };
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        Tuning.run(&mut context).unwrap();
        let recorder = &context.recorder;
        let value = |name: &str| recorder.value(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(value("tuning.tiny.chosen.threads"), 1.0);
        let micro = value("tuning.tiny.chosen.micro_batch");
        assert!(12.0 % micro == 0.0, "{micro}");
        assert!(BATCHES.contains(&(value("tuning.tiny.advised.batch") as usize)));
        assert!(value("tuning.tiny.chosen.t1.tokens_per_second") > 0.0);
        let names: Vec<&str> = recorder
            .series()
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "tuning.tiny.threads.tokens_per_second",
                "tuning.tiny.t1.micro_batch.tokens_per_second",
                "tuning.tiny.t1.batch.tokens_per_second"
            ]
        );
        // 1, 2, 3, 4, 6, 12 divide the batch.
        assert_eq!(recorder.series()[1].x, [1.0, 2.0, 3.0, 4.0, 6.0, 12.0]);
        assert!(recorder.notes().iter().any(|note| note.topic == "advice"));
    }

    #[test]
    fn what_threads_share_is_measured_where_there_are_several() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = Experiment {
            effort: Effort::Quick,
            threads: vec![2],
            isas: vec![Isa::best()],
            counters: false,
            cases: vec![tiny(12, 4)],
            lessons: Vec::new(),
            seconds: Some(0.5),
        };
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        if context.pool(2).is_err() {
            return;
        }
        Tuning.run(&mut context).unwrap();
        let recorder = &context.recorder;
        let shares = recorder.value("tuning.tiny.chosen.shares").unwrap();
        let gain = recorder.value("tuning.tiny.chosen.t2.shares.speedup");
        assert!([1.0, 2.0].contains(&shares));
        assert_eq!(gain.is_some(), shares > 1.0);
        let all = recorder.series();
        let sweep = all.iter().find(|one| one.name.contains(".t2.shares."));
        assert_eq!(sweep.unwrap().x, [1.0, 2.0]);
    }

    #[test]
    fn the_smallest_that_is_as_good_is_chosen() {
        let pool = Arc::new(crate::parallel::Pool::new(&[0]).unwrap());
        let plan = tiny(12, 4).plan;
        let timed = |value: usize, seconds: f64| {
            let mut candidate = Candidate::new(value, plan, Arc::clone(&pool), false);
            candidate.seconds = vec![seconds; 3];
            candidate
        };
        let all = [timed(1, 2.0), timed(2, 1.005), timed(4, 1.0), timed(8, 1.2)];
        assert_eq!((best(&all), frugal(&all)), (Some(2), Some(1)));
        assert_eq!(best(&[]), None);
    }
}
