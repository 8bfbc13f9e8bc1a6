//! Whole training steps by instruction set, in turns: the same weights, the same text, and the frequency behind each step.

use crate::kernels::Isa;
use crate::measure::clock::Clock;
use crate::measure::session::{self, Arms, Phase, Plan as SessionPlan, WarmUp};
use crate::model::Unobserved;
use crate::parallel::Pool;
use crate::stats::bootstrap::median_interval;
use crate::suites::ceilings::arithmetic::calm_frequency;
use crate::suites::quantity::{GHZ, LOSS_DIFFERENCE, STEP_SECONDS, TOKENS_PER_SECOND};
use crate::suites::steps::failed;
use crate::suites::{Case, Context, Effort, SuiteError, on_threads};
use crate::train::{Batch, Dataset, Plan, Trainer};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) fn measure(context: &mut Context) -> Result<(), SuiteError> {
    let cases = &context.experiment.cases;
    let Some(case) = cases.first() else {
        return Ok(());
    };
    let threads = context.experiment.threads.last().copied().unwrap_or(1);
    let subject = |isa: &Isa| format!("frequency.training.{}.t{threads}", isa.name());
    let full = context.experiment.effort == Effort::Full;
    let (isas, plain): (Vec<Isa>, Vec<Isa>) = context
        .experiment
        .isas
        .iter()
        .partition(|isa| full || isa.lanes() > 1);
    for isa in &plain {
        let reason = "plain code takes seconds for one step: --full measures it";
        context
            .recorder
            .missing(&subject(isa), STEP_SECONDS, reason);
    }
    if isas.is_empty() {
        return Ok(());
    }
    context.say(&format!(
        "frequency: steps of {} by instruction set {}",
        case.name,
        on_threads(threads)
    ));
    let pool = context.pool(threads)?;
    let mut steps = Steps::new(context, case, &isas, pool)?;
    let (budget, effort) = (budget(context), context.experiment.effort);
    let plan = SessionPlan {
        fewest_rounds: 2,
        most_rounds: effort.samples(20),
        budget_seconds: budget,
        warm_up: WarmUp {
            agreement: 0.1,
            most_runs: 2,
        },
    };
    let host = context.host();
    let samples =
        match session::run_interleaved(&mut steps, &plan, context.clock, &|| host.stopped()) {
            Ok(samples) => samples,
            Err(never) => match never {},
        };
    let tokens = (case.cut.batch * case.cut.length) as f64;
    let first_losses: Vec<f64> = steps.arms.iter().map(|arm| arm.first_loss).collect();
    for (index, samples) in samples.into_iter().enumerate() {
        let arm = &steps.arms[index];
        let subject = subject(&isas[index]);
        let recorder = &mut context.recorder;
        let Some(seconds) = median_interval(&samples.seconds, 41) else {
            let reason = "the user stopped before it was measured";
            recorder.missing(&subject, STEP_SECONDS, reason);
            continue;
        };
        let how = format!(
            "{} steps in turns with the other instruction sets",
            samples.seconds.len()
        );
        recorder.measured(&subject, STEP_SECONDS, seconds, how);
        let speeds: Vec<f64> = samples
            .seconds
            .iter()
            .map(|seconds| tokens / seconds)
            .collect();
        if let Some(speed) = median_interval(&speeds, 42) {
            recorder.measured(
                &subject,
                TOKENS_PER_SECOND,
                speed,
                "tokens of a step over its time",
            );
        }
        if let Some(hertz) = median_interval(&arm.hertz, 43) {
            let how = "dependent additions on every thread within 100 us behind each step: the step's own frequency, as a core keeps \
                       its licence for longer";
            recorder.measured(&subject, GHZ, hertz.map(|hertz| hertz / 1e9), how);
        }
        let how = format!(
            "loss of the first step less that under {}: same weights, same text",
            isas[0].name()
        );
        let apart = (first_losses[index] - first_losses[0]).abs();
        recorder.reading(&subject, LOSS_DIFFERENCE, apart, how);
    }
    Ok(())
}

/// Seconds for all rounds.
fn budget(context: &Context) -> f64 {
    let most = match context.experiment.effort {
        Effort::Quick => 8.0,
        Effort::Normal => 40.0,
        Effort::Full => 120.0,
    };
    (context.seconds_left() * 0.5).min(most)
}

/// One instruction set.
struct Arm {
    trainer: Trainer,
    step: usize,
    first_loss: f64,
    hertz: Vec<f64>,
}

/// The same training run in several instruction sets.
struct Steps<'a> {
    clock: &'a Clock,
    pool: Arc<Pool>,
    dataset: Dataset,
    batch: Batch,
    learning_rate: f32,
    arms: Vec<Arm>,
}

impl<'a> Steps<'a> {
    fn new(
        context: &Context<'a>,
        case: &Case,
        isas: &[Isa],
        pool: Arc<Pool>,
    ) -> Result<Self, SuiteError> {
        let data = Dataset::new(Arc::clone(&case.tokens), case.cut);
        let dataset = data.map_err(|source| SuiteError::Data {
            case: case.name.clone(),
            source,
        })?;
        let arm = |isa: &Isa| {
            let plan = Plan {
                isa: *isa,
                ..case.plan
            };
            let trainer = Trainer::new(&plan, Arc::clone(&pool), case.cut.seed);
            Ok(Arm {
                trainer: trainer.map_err(|source| failed(case, source))?,
                step: 0,
                first_loss: f64::NAN,
                hertz: Vec::new(),
            })
        };
        Ok(Self {
            clock: context.clock,
            arms: isas.iter().map(arm).collect::<Result<_, SuiteError>>()?,
            pool,
            dataset,
            batch: Batch::new(case.cut.batch, case.cut.length),
            learning_rate: case.learning_rate,
        })
    }
}

impl Arms for Steps<'_> {
    type Error = Infallible;

    fn count(&self) -> usize {
        self.arms.len()
    }

    fn run(&mut self, arm: usize, _: Phase) -> Result<(), Infallible> {
        let arm = &mut self.arms[arm];
        self.dataset.fill(arm.step, &mut self.batch);
        let report = arm
            .trainer
            .step(&self.batch, self.learning_rate, &mut Unobserved);
        if arm.step == 0 {
            arm.first_loss = report.loss;
        }
        arm.step += 1;
        Ok(())
    }

    fn between(&mut self, arm: usize, phase: Phase) {
        let hertz = Mutex::new(Vec::new());
        let clock = self.clock;
        self.pool.on_each(|_| {
            let seen = calm_frequency(clock);
            hertz
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(seen);
        });
        if let Phase::Round(_) = phase {
            let seen = hertz.into_inner().unwrap_or_else(PoisonError::into_inner);
            self.arms[arm].hertz.extend(seen);
        }
    }
}
