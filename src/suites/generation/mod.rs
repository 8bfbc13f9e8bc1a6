//! How fast a model writes: one text and several at once, and the reading of a prompt.
//!
//! A token of one text needs every weight once, so writing is bound by the reading of the weights; several texts share each reading.
//! Beside each window of tokens the same threads read as many bytes as the weights have, and nothing else.

mod arms;
mod record;

use super::{Case, Context, Effort, Experiment, Suite, SuiteError};
use crate::measure::session::{self, Plan as SessionPlan, WarmUp};
use arms::{Arm, Arms, Model};

/// The suite of generation.
#[derive(Debug)]
pub(super) struct Generation;

impl Suite for Generation {
    fn id(&self) -> &'static str {
        "generation"
    }

    fn title(&self) -> &'static str {
        "How fast does a model write"
    }

    fn how_to_read(&self) -> &'static str {
        "A token of one text needs every weight once: its speed is compared with reading as many bytes. Texts that are written at once share \
         each reading, so their tokens cost less until arithmetic takes longer than reading."
    }

    fn trains(&self) -> bool {
        true
    }

    fn seconds(&self, experiment: &Experiment) -> f64 {
        experiment.effort.of(20.0, 60.0, 180.0) * experiment.cases.len() as f64
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        for case in &context.experiment.cases {
            if context.stopped() {
                break;
            }
            measure(context, case)?;
            context.keep()?;
        }
        context.recorder.note(
            "method",
            "Generation: the model has random weights, which take as long as trained ones. Texts start at a quarter of the context and go \
             on for half of it, always from the same place, and each token is chosen as `loopos generate` does by default.",
        );
        Ok(())
    }
}

/// Texts at once.
fn batches(effort: Effort) -> &'static [usize] {
    match effort {
        Effort::Quick => &[1, 4, 16],
        Effort::Normal => &[1, 2, 4, 8, 16],
        Effort::Full => &[1, 2, 4, 8, 16, 32, 64],
    }
}

fn measure(context: &mut Context, case: &Case) -> Result<(), SuiteError> {
    context.say(&format!("generation: {}", case.name));
    let effort = context.experiment.effort;
    let isa = case.plan.isa;
    let model = Model::new(isa, &case.plan.shape, case.cut.seed)?;
    let mut list = Vec::new();
    for threads in context.experiment.threads.clone() {
        let pool = context.pool(threads)?;
        let caches = super::caches(context.machine, threads);
        let arm = |work| Arm::new(&model, &pool, caches, work);
        list.push(arm(arms::Work::Read)?);
        list.push(arm(arms::Work::Prompt)?);
        for texts in batches(effort) {
            list.push(arm(arms::Work::Texts(*texts))?);
        }
    }
    let plan = SessionPlan {
        fewest_rounds: 3,
        most_rounds: effort.samples(12),
        budget_seconds: match effort {
            Effort::Quick => 20.0,
            Effort::Normal => 60.0,
            Effort::Full => 180.0,
        },
        warm_up: WarmUp {
            agreement: 0.1,
            most_runs: 3,
        },
    };
    let host = context.host();
    let mut arms = Arms { list };
    let samples =
        match session::run_interleaved(&mut arms, &plan, context.clock, &|| host.stopped()) {
            Ok(samples) => samples,
            Err(never) => match never {},
        };
    record::record(
        &mut context.recorder,
        &case.name,
        &model,
        &arms.list,
        &samples,
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::testing::{Quiet, tiny};

    fn experiment() -> Experiment {
        Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: vec![Isa::best()],
            counters: false,
            cases: vec![tiny(1, 1)],
            lessons: Vec::new(),
            seconds: None,
        }
    }

    #[test]
    fn every_batch_has_a_speed_and_its_share_of_the_reading() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment();
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        Generation.run(&mut context).unwrap();
        let value = |name: &str| context.recorder.value(&format!("generation.tiny.{name}"));
        for texts in [1, 4, 16] {
            assert!(value(&format!("b{texts}.t1.tokens_per_second")).unwrap() > 0.0);
            assert!(value(&format!("b{texts}.t1.share_of_bandwidth")).unwrap() > 0.0);
        }
        assert!(value("b16.t1.batch_gain").unwrap() > 0.0);
        assert!(value("prompt.t1.tokens_per_second").unwrap() > 0.0);
        assert!(value("weights.t1.gbps").unwrap() > 0.0);
        assert_eq!(host.kept.get(), 1);
    }

    #[test]
    fn a_stop_before_the_first_round_leaves_no_number() {
        let (machine, clock) = (Machine::detect(), Clock::best());
        let host = Quiet {
            stop_after: Some(1),
            ..Quiet::default()
        };
        let experiment = experiment();
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        Generation.run(&mut context).unwrap();
        assert!(
            context
                .recorder
                .value("generation.tiny.b1.t1.tokens_per_second")
                .is_none()
        );
    }
}
