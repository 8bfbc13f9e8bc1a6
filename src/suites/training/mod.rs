//! How fast training goes, where each step's time goes, and why it is not faster.
//!
//! One training run per configuration, whose steps take turns on one thread, two, and so on: the arms of one comparison. Beside
//! each step the multiply-add peak of the same threads is measured, so that MFU compares what happened at the same time.

mod attribution;
mod counting;
mod course;
mod findings;
mod halts;
mod ledger;
mod model_flops;
mod operator_clocks;
mod operator_counts;
mod operator_times;
mod operators;
mod others;
mod posttraining;
mod records;

pub use posttraining::{Course, CourseStep, record as record_course};

use super::{Context, Experiment, Suite, SuiteError, find};

/// The training suite.
#[derive(Debug)]
pub(super) struct Training;

impl Suite for Training {
    fn id(&self) -> &'static str {
        "training"
    }

    fn title(&self) -> &'static str {
        "How fast does training go, and why not faster"
    }

    fn how_to_read(&self) -> &'static str {
        "MFU is the model's arithmetic over what the multiply-add units of the same threads could do in that time; what is missing to one \
         is divided among reasons that add up to it. Speed-up is time on one thread over time on N, both measured in turn."
    }

    fn trains(&self) -> bool {
        true
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        // Rounds of steps; then the ledger of optimizations, of which a quick run has none.
        let (case, ledger) = experiment
            .effort
            .of((45.0, 20.0), (120.0, 150.0), (300.0, 400.0));
        let cases = experiment.cases.len() + experiment.lessons.len();
        super::ceilings(experiment) + case * cases as f64 + ledger
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        if let Some(ceilings) = find("ceilings") {
            ceilings.run(context)?;
        }
        let cases = &context.experiment.cases;
        for (index, case) in cases.iter().enumerate() {
            if context.stopped() {
                break;
            }
            let budget = course::budget(context, cases.len() - index);
            // The ledger takes as long as the rounds and longer; a quick run has none.
            let end = context.experiment.effort.of(0.9, 0.4, 0.4);
            let share =
                |cases_done: usize| 0.05 + (end - 0.05) * cases_done as f64 / cases.len() as f64;
            let part = (share(index), share(index + 1));
            let findings = course::measure(context, case, budget, part)?;
            records::record(&mut context.recorder, &findings);
            operators::record(&mut context.recorder, &findings);
            context.recorder.note(
                "data",
                format!("{}: {}.", case.name, case.source.trim_end_matches('.')),
            );
            context.keep()?;
        }
        let lessons = &context.experiment.lessons;
        for (index, lesson) in lessons.iter().enumerate() {
            if context.stopped() {
                break;
            }
            posttraining::measure(context, lesson, lessons.len() - index)?;
        }
        if let Some(case) = cases.first()
            && !context.stopped()
        {
            ledger::run(context, case)?;
        }
        if !lessons.is_empty() {
            context.recorder.note(
                "method",
                "Post-training runs as it would by itself, on the most threads; its phases are timed by the task.",
            );
        }
        if cases.is_empty() {
            return Ok(());
        }
        context.recorder.note(
            "method",
            "Steps on different thread counts are interleaved in one training run (the losses are the same to the bit whatever the threads); \
             operators are timed by two readings of the clock around each, at the costs that they declare.",
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::testing::{Quiet, tiny};
    use crate::suites::{Effort, Experiment, quantity};

    fn experiment(threads: Vec<usize>) -> Experiment {
        let workers = threads.iter().copied().max().unwrap_or(1);
        let mut case = tiny(4, 2);
        case.plan.workers = workers;
        Experiment {
            effort: Effort::Quick,
            threads,
            isas: vec![Isa::best()],
            counters: true,
            cases: vec![case],
            lessons: Vec::new(),
            seconds: Some(0.5),
        }
    }

    fn run(experiment: &Experiment, host: &Quiet) -> crate::suites::Recorder {
        let (machine, clock) = (Machine::detect(), Clock::best());
        let mut context = Context::new(&machine, experiment, &clock, host);
        // The ceilings have tests of their own: they see that they are there already.
        context
            .recorder
            .reading("frequency.tsc", quantity::GHZ, 1.0, "test");
        Training.run(&mut context).unwrap();
        context.recorder
    }

    #[test]
    fn a_tiny_model_is_measured_from_end_to_end() {
        let threads = (1..=Machine::detect().usable_cpus().len().min(2)).collect::<Vec<_>>();
        let most = threads.len();
        let host = Quiet::default();
        let recorder = run(&experiment(threads), &host);
        assert_eq!(host.kept.get(), 1);
        let value = |name: &str| recorder.value(name).unwrap_or_else(|| panic!("{name}"));
        for quantity in [
            "tokens_per_second",
            "step_seconds",
            "mfu",
            "gflops",
            "loss",
            "validation_loss",
            "unigram_entropy",
            "planned_bytes",
            "peak_rss_bytes",
            "speedup",
        ] {
            assert!(
                value(&format!("training.tiny.t{most}.{quantity}")) > 0.0,
                "{quantity}"
            );
        }
        for operator in [
            "embedding.forward",
            "layernorm.backward",
            "qkv.forward",
            "attention.backward",
            "head.forward",
            "adamw.optimizer",
            "clip.optimizer",
            "pack.forward",
        ] {
            assert!(
                value(&format!("training.tiny.{operator}.t{most}.step_seconds")) > 0.0,
                "{operator}"
            );
        }
        // Both sides of the equation come from the same measurement.
        let suffix = format!(".t{most}.share_of_step");
        let lost = recorder.metrics().iter().filter(|metric| {
            metric.name.starts_with("training.tiny.lost.") && metric.name.ends_with(&suffix)
        });
        let lost: f64 = lost.filter_map(|metric| metric.value).sum();
        let mfu = value(&format!("training.tiny.t{most}.mfu"));
        assert!((lost - (1.0 - mfu)).abs() < 1e-6, "{lost} {mfu}");
        let loss = recorder
            .series()
            .iter()
            .find(|series| series.name == format!("training.tiny.t{most}.loss"))
            .unwrap();
        assert!(
            loss.y.len() >= 4 && loss.y.first() > loss.y.last(),
            "{:?}",
            loss.y
        );
    }

    #[test]
    fn stopping_at_once_leaves_reasons() {
        let host = Quiet {
            stop_after: Some(1),
            ..Quiet::default()
        };
        let recorder = run(&experiment(vec![1]), &host);
        let speed = recorder
            .metrics()
            .iter()
            .find(|metric| metric.name == "training.tiny.t1.tokens_per_second")
            .unwrap();
        assert!(
            speed.value.is_none() && speed.how.contains("stopped"),
            "{}",
            speed.how
        );
    }
}
