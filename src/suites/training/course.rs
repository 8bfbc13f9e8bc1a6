//! The course of one case: data, trainer, warm-up, interleaved rounds, then counters and validation.

use super::counting;
use super::findings::{Arm, Findings, Memory};
use super::halts;
use super::model_flops::Sizes;
use super::operator_times::OperatorTimes;
use crate::kernels::Isa;
use crate::measure::clock::{Clock, Ticks};
use crate::measure::neighbours::{Load, Neighbours};
use crate::measure::session::{self, Arms, Phase, Plan as SessionPlan, WarmUp};
use crate::measure::{frequency, process, taken};
use crate::model::Observer;
use crate::parallel::{Pool, Worked};
use crate::suites::ceilings::arithmetic::Peak;
use crate::suites::{Case, Context, Effort, Host, SuiteError};
use crate::train::{Batch, Dataset, Trainer};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

/// Rounds of a quick run at most: more would narrow the intervals of small models below what matters.
const MOST_ROUNDS: usize = 30;

/// Steps over which the learning rate rises.
const RISING: usize = 10;

/// Windows of frequency on each thread after a step.
const CLOCK_WINDOWS: usize = 12;

/// Share of what is left that a case may take for its rounds; the rest is for warming up, counting and validating.
const SHARE: f64 = 0.6;

/// Seconds for the rounds of the next case, `cases` being left.
pub(super) fn budget(context: &Context, cases: usize) -> f64 {
    let most = match context.experiment.effort {
        Effort::Quick => 45.0,
        Effort::Normal => 120.0,
        Effort::Full => 300.0,
    };
    (context.seconds_left() * SHARE / cases as f64).min(most)
}

/// What part of the suite's work the rounds of a case are: from one share of it to another.
pub(super) type Part = (f64, f64);

/// Measures one case; its rounds of steps take about `budget` seconds.
pub(super) fn measure(
    context: &mut Context,
    case: &Case,
    budget: f64,
    part: Part,
) -> Result<Findings, SuiteError> {
    context.say(&format!(
        "training: {}, {} tokens of text",
        case.name,
        case.tokens.len()
    ));
    let dataset =
        Dataset::new(Arc::clone(&case.tokens), case.cut).map_err(|source| SuiteError::Data {
            case: case.name.clone(),
            source,
        })?;
    let unigram_entropy = dataset.unigram_entropy(case.plan.shape.vocab_size);
    let (peak_is_own, before) = (process::reset_peak().is_ok(), resident());
    let mut steps = Steps::new(context, case, dataset)?;
    let mut validation: Vec<(usize, f64)> = Vec::new();
    validation.extend(steps.validate(context));
    steps.progress = Some(Progress {
        host: context.host(),
        part,
        begin: context.clock.now(),
        rounds: context.experiment.effort.samples(MOST_ROUNDS),
        seconds: budget,
    });
    let (disturbance, neighbours) = rounds(context, case, &mut steps, budget);
    let counters = counting::count(context, |observer| steps.plain_step(observer));
    validation.extend(steps.validate(context));
    Ok(Findings {
        case: case.name.clone(),
        sizes: sizes(case),
        batch: (case.cut.batch, case.cut.length),
        isas: (case.plan.isa.name(), steps.peak_isa.name()),
        arms: steps.arms.into_iter().map(|arm| arm.found).collect(),
        losses: steps.losses,
        validation,
        unigram_entropy,
        memory: Memory {
            planned: planned(case),
            peak: process::memory()
                .map(|memory| memory.peak.0)
                .map_err(|error| error.to_string()),
            peak_is_own,
            before,
            resident: steps.resident,
        },
        counters,
        disturbance,
        neighbours,
        bandwidth: bandwidth(context),
    })
}

/// Warms up and measures rounds of steps; says what disturbed them, and who.
fn rounds(
    context: &mut Context,
    case: &Case,
    steps: &mut Steps,
    budget: f64,
) -> (Option<process::Disturbance>, Option<Vec<Load>>) {
    let experiment = context.experiment;
    let (effort, threads) = (experiment.effort, &experiment.threads);
    let plan = SessionPlan {
        fewest_rounds: 3,
        most_rounds: effort.samples(MOST_ROUNDS),
        budget_seconds: budget,
        warm_up: WarmUp {
            agreement: 0.05,
            most_runs: effort.samples(4),
        },
    };
    context.say(&format!(
        "training: {}, steps on {threads:?} threads in turn",
        case.name
    ));
    let present = Neighbours::now();
    let before = (process::system(), process::usage());
    steps.before = taken::Reading::now();
    let host = context.host();
    let samples = match session::run_interleaved(steps, &plan, context.clock, &|| host.stopped()) {
        Ok(samples) => samples,
        Err(never) => match never {},
    };
    for (arm, samples) in steps.arms.iter_mut().zip(samples) {
        arm.complete(samples);
    }
    let mut arms: Vec<&mut Arm> = steps.arms.iter_mut().map(|team| &mut team.found).collect();
    let halts = halts::leave_out(&mut arms);
    let disturbance = disturbance(&before);
    let used = |earlier: &Neighbours| Some(Neighbours::now()?.since(earlier));
    if let Some(text) = halts {
        let text = format!("Training, {}: {text}", case.name);
        context.recorder.note("limits", &text);
    }
    (disturbance, present.as_ref().and_then(used))
}

fn sizes(case: &Case) -> Sizes {
    let shape = &case.plan.shape;
    Sizes {
        length: case.cut.length,
        vocab_size: shape.vocab_size,
        d_model: shape.d_model,
        d_ff: shape.d_ff,
        layers: shape.layers,
    }
}

/// Bytes by role under the names of run.json.
fn planned(case: &Case) -> Vec<(&'static str, usize)> {
    let plan = case.plan.memory();
    vec![
        ("parameters", plan.parameters),
        ("gradients", plan.gradients),
        ("moments", plan.moments),
        ("activations", plan.activations),
        ("workspace", plan.panels + plan.scratch),
        ("tokens", case.tokens.as_bytes().len()),
    ]
}

fn resident() -> Option<f64> {
    process::memory().ok().map(|memory| memory.resident.0)
}

type Before = (
    Result<process::System, process::Unreadable>,
    Result<process::Usage, process::Unreadable>,
);

fn disturbance((system, usage): &Before) -> Option<process::Disturbance> {
    let (system, usage) = (system.as_ref().ok()?, usage.as_ref().ok()?);
    process::disturbance(
        system,
        &process::system().ok()?,
        &process::usage().ok()?.since(usage),
    )
}

/// Bytes a second from memory as the ceilings found them.
fn bandwidth(context: &Context) -> Vec<(usize, f64)> {
    let of = |threads: &usize| {
        let gbps = context
            .recorder
            .value(&format!("ceiling.bandwidth.dram.t{threads}.gbps"))?;
        Some((*threads, gbps * 1e9))
    };
    context.experiment.threads.iter().filter_map(of).collect()
}

/// The instruction set with the highest multiply-add ceiling on that many threads; the one that trains where none was measured.
fn best_isa(context: &Context, threads: usize, trains: Isa) -> Isa {
    let gflops = |isa: &Isa| {
        context
            .recorder
            .value(&format!("ceiling.fma.{}.t{threads}.gflops", isa.name()))
    };
    let known = context
        .experiment
        .isas
        .iter()
        .filter_map(|isa| Some((*isa, gflops(isa)?)));
    known
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .map_or(trains, |(isa, _)| isa)
}

/// The steps of one training run, taken in turn by teams of different size.
struct Steps<'a> {
    clock: &'a Clock,
    begin: Ticks,
    trainer: Trainer,
    dataset: Dataset,
    batch: Batch,
    learning_rate: f32,
    observer: OperatorTimes<'a>,
    /// What others had taken when the next step began.
    before: taken::Reading,
    arms: Vec<Team>,
    peak_isa: Isa,
    losses: Vec<f64>,
    resident: Vec<(usize, f64)>,
    progress: Option<Progress<'a>>,
}

/// How far the rounds are: they end with the last round, or when their time is over.
struct Progress<'a> {
    host: &'a dyn Host,
    part: Part,
    begin: Ticks,
    rounds: usize,
    seconds: f64,
}

impl Progress<'_> {
    /// That round is done.
    fn tell(&self, clock: &Clock, round: usize) {
        let by_rounds = (round + 1) as f64 / self.rounds as f64;
        let share = by_rounds
            .max(clock.since(self.begin) / self.seconds)
            .min(1.0);
        let (from, to) = self.part;
        self.host.reached(from + (to - from) * share);
    }
}

/// One number of threads with its peak.
struct Team {
    pool: Arc<Pool>,
    peak: Peak,
    found: Arm,
    /// How long its threads worked in the newest step.
    worked: Worked,
}

impl<'a> Steps<'a> {
    fn new(context: &mut Context<'a>, case: &Case, dataset: Dataset) -> Result<Self, SuiteError> {
        let clock = context.clock;
        let threads = context.experiment.threads.clone();
        let most = threads.iter().copied().max().unwrap_or(1);
        let peak_isa = best_isa(context, most, case.plan.isa);
        let mut arms = Vec::new();
        for threads in threads {
            let pool = context.pool(threads)?;
            let peak = Peak::new(clock, peak_isa, Arc::clone(&pool));
            arms.push(Team {
                pool,
                peak,
                found: Arm {
                    threads,
                    ..Arm::default()
                },
                worked: Worked::default(),
            });
        }
        let trainer =
            Trainer::new(&case.plan, context.pool(most)?, case.cut.seed).map_err(|source| {
                SuiteError::Trainer {
                    case: case.name.clone(),
                    source,
                }
            })?;
        Ok(Self {
            clock,
            begin: clock.now(),
            trainer,
            dataset,
            batch: Batch::new(case.cut.batch, case.cut.length),
            learning_rate: case.learning_rate,
            observer: OperatorTimes::new(clock),
            before: taken::Reading::now(),
            arms,
            peak_isa,
            losses: Vec::new(),
            resident: Vec::new(),
            progress: None,
        })
    }

    /// The next step of the run on whatever team the trainer has.
    fn step(&mut self) {
        let rate = self.prepare();
        let report = self.trainer.step(&self.batch, rate, &mut self.observer);
        self.losses.push(report.loss);
    }

    /// A step on the largest team, for counters.
    fn plain_step(&mut self, observer: &mut dyn Observer) {
        if let Some(team) = self.arms.last() {
            self.trainer.use_pool(Arc::clone(&team.pool));
        }
        let rate = self.prepare();
        let report = self.trainer.step(&self.batch, rate, observer);
        self.losses.push(report.loss);
    }

    /// Fills the batch of the next step: the learning rate that it takes.
    fn prepare(&mut self) -> f32 {
        let step = self.losses.len();
        self.dataset.fill(step, &mut self.batch);
        self.learning_rate * ((step + 1) as f32 / RISING as f32).min(1.0)
    }

    /// The step reached and the mean loss of a few validation batches; `None` without a validation part or if the user stopped.
    fn validate(&mut self, context: &Context) -> Option<(usize, f64)> {
        let (mut sum, mut counted) = (0.0, 0usize);
        if let Some(team) = self.arms.last() {
            self.trainer.use_pool(Arc::clone(&team.pool));
        }
        for index in self
            .dataset
            .validation_sample(context.experiment.effort.samples(2))
        {
            if context.stopped() {
                break;
            }
            self.dataset.fill_validation(index, &mut self.batch);
            let targets = self.batch.counted();
            sum += self.trainer.evaluate(&self.batch) * targets as f64;
            counted += targets;
        }
        (counted > 0).then(|| (self.losses.len(), sum / counted as f64))
    }
}

impl Arms for Steps<'_> {
    type Error = Infallible;

    fn count(&self) -> usize {
        self.arms.len()
    }

    fn run(&mut self, arm: usize, _: Phase) -> Result<(), Infallible> {
        let pool = Arc::clone(&self.arms[arm].pool);
        self.trainer.use_pool(Arc::clone(&pool));
        let ((), worked) = pool.watched(|| self.step());
        self.arms[arm].worked = worked;
        Ok(())
    }

    fn between(&mut self, arm: usize, phase: Phase) {
        let after = taken::Reading::now();
        let operators = self.observer.take();
        let (clock, step) = (self.clock, self.losses.len());
        let team = &mut self.arms[arm];
        let hertz = frequencies(&team.pool, clock);
        let peak = team.peak.visit(clock);
        if let (Phase::Round(round), Some(progress)) = (phase, &self.progress) {
            progress.tell(clock, round);
        }
        if let Phase::Round(_) = phase {
            let since = clock.since(self.begin);
            team.found.steps.push(step);
            team.found.operators.push(operators);
            team.found
                .taken
                .push(after.since(&self.before, team.pool.cpus()));
            team.found.worked.push(team.worked);
            team.found.peaks.extend(peak);
            team.found
                .clocks
                .extend(crate::stats::summary::median(&hertz).map(|hertz| (since, hertz)));
        }
        self.resident.extend(resident().map(|bytes| (step, bytes)));
        self.before = taken::Reading::now();
    }
}

impl Team {
    /// Takes the times of complete rounds, and drops what belongs to a round that was not completed.
    fn complete(&mut self, samples: session::Samples) {
        let rounds = samples.seconds.len();
        self.found.warm_up = (samples.warm_up_runs, samples.settled);
        self.found.seconds = samples.seconds;
        self.found.steps.truncate(rounds);
        self.found.operators.truncate(rounds);
        self.found.taken.truncate(rounds);
        self.found.worked.truncate(rounds);
        self.found.peaks.truncate(rounds);
        self.found.clocks.truncate(rounds);
    }
}

/// What every thread of the team sees, right now and at once.
fn frequencies(pool: &Pool, clock: &Clock) -> Vec<f64> {
    let all = Mutex::new(Vec::new());
    pool.on_each(|_| {
        let windows = frequency::windows(clock, CLOCK_WINDOWS);
        all.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(windows);
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}
