//! The course of a configuration of post-training: as many of its steps as there is time for, with the share of each phase and what
//! the task found on the way. The same record is made of the log of a whole run.

use super::course;
use crate::measure::process;
use crate::model::Unobserved;
use crate::stats::bootstrap::median_interval;
use crate::suites::quantity::{self, Quantity};
use crate::suites::{Begun, Context, Curve, Lesson, Recorder, SuiteError};
use crate::train::schedule::Progress;
use crate::train::task::Turn;

/// Steps before the measured ones, where there are more than [`FEWEST`]: they meet cold caches and untouched memory.
const WARM_UP: usize = 1;

/// More steps than this, and the first ones are left out.
const FEWEST: usize = 2;

/// Figures that are drawn over steps, as a task calls them.
const CURVES: [Quantity; 12] = [
    quantity::REWARD,
    quantity::RULE_REWARD,
    quantity::KL,
    quantity::KL_COEFFICIENT,
    quantity::ENTROPY,
    quantity::CLIP_FRACTION,
    quantity::POLICY_LOSS,
    quantity::VALUE_LOSS,
    quantity::RESPONSE_TOKENS,
    quantity::ENDED,
    quantity::ACCURACY,
    quantity::MARGIN,
];

/// The phases of a step of reinforcement: seconds as the task calls them, the share of the step, and what is done.
const PHASES: [(Quantity, Quantity, &str); 3] = [
    (
        quantity::ROLLOUT_SECONDS,
        quantity::ROLLOUT_SHARE,
        "writing responses",
    ),
    (
        quantity::JUDGE_SECONDS,
        quantity::JUDGE_SHARE,
        "asking policy, reference and judge about them",
    ),
    (
        quantity::UPDATE_SECONDS,
        quantity::UPDATE_SHARE,
        "learning from them",
    ),
];

/// A step of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CourseStep {
    /// Steps done, this one included.
    pub step: u64,
    /// Its loss.
    pub loss: f64,
    /// Its time.
    pub seconds: f64,
    /// Tokens learnt from in a second.
    pub tokens_per_second: f64,
    /// What the task found beside its loss, by name.
    pub figures: Vec<(String, f64)>,
}

/// A run, or as much of it as there is.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Its name in the metrics.
    pub case: String,
    /// Threads it ran on.
    pub threads: usize,
    /// Its steps in their order.
    pub steps: Vec<CourseStep>,
    /// After how many steps it was validated, the loss, and the share that was right where that can be said.
    pub validations: Vec<(u64, f64, Option<f64>)>,
    /// How it was obtained.
    pub how: String,
}

/// Measures a lesson for about its share of the time that is left, `lessons` being left.
pub(super) fn measure(
    context: &mut Context,
    lesson: &Lesson,
    lessons: usize,
) -> Result<(), SuiteError> {
    context.say(&format!("training: {}, made ready", lesson.name));
    let own_peak = process::reset_peak().is_ok();
    let failed = |reason| SuiteError::Lesson {
        case: lesson.name.clone(),
        reason,
    };
    let Begun {
        mut trainer,
        mut task,
        schedule,
        steps,
    } = (lesson.begin.0)().map_err(failed)?;
    context.say(&format!("training: {}, {}", lesson.name, task.describe()));
    let (clock, budget) = (context.clock, course::budget(context, lessons));
    let begin = clock.now();
    let mut course = Course {
        case: lesson.name.clone(),
        threads: lesson.plan.workers,
        ..Course::default()
    };
    while (course.steps.len() as u64) < steps
        && (course.steps.is_empty() || clock.since(begin) < budget)
        && !context.stopped()
    {
        let step = course.steps.len() as u64;
        let start = clock.now();
        let turn = Turn {
            step,
            learning_rate: schedule.rate(step, &Progress::default()),
            limit: f64::INFINITY,
        };
        let report = task.step(&mut trainer, turn, &mut Unobserved);
        let seconds = clock.since(start);
        let figures = task.figures().iter();
        course.steps.push(CourseStep {
            step: step + 1,
            loss: report.loss,
            seconds,
            tokens_per_second: report.tokens as f64 / seconds,
            figures: figures
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect(),
        });
    }
    course.how = format!(
        "the first {} steps of the run, of {steps}",
        course.steps.len()
    );
    record(&mut context.recorder, &course);
    memory(&mut context.recorder, lesson, own_peak);
    if let Some(limits) = &lesson.limits {
        let note = format!("{}: {limits}", lesson.name);
        context.recorder.note("limits", note);
    }
    context.keep()
}

/// Records a course under `training.CASE.tN`: speeds, phases, and what was found over its steps.
pub fn record(recorder: &mut Recorder, course: &Course) {
    let subject = format!("training.{}.t{}", course.case, course.threads);
    let warm = if course.steps.len() > FEWEST {
        WARM_UP
    } else {
        0
    };
    let measured = &course.steps[warm..];
    if measured.is_empty() {
        for quantity in [quantity::TOKENS_PER_SECOND, quantity::STEP_SECONDS] {
            recorder.missing(&subject, quantity, "stopped before a step was complete");
        }
        return;
    }
    let how = format!("median of {} steps; {}", measured.len(), course.how);
    let mut median = |quantity: Quantity, samples: Vec<f64>, how: &str| {
        if let Some(interval) = median_interval(&samples, 1) {
            recorder.measured(&subject, quantity, interval, how);
        }
    };
    let of = |value: fn(&CourseStep) -> f64| measured.iter().map(value).collect::<Vec<_>>();
    median(
        quantity::TOKENS_PER_SECOND,
        of(|step| step.tokens_per_second),
        &format!(
            "tokens learnt from, each as often as it was gone over, over the whole step: {how}"
        ),
    );
    median(quantity::STEP_SECONDS, of(|step| step.seconds), &how);
    for (seconds, share, what) in PHASES {
        let pairs: Vec<(f64, f64)> = measured
            .iter()
            .filter_map(|step| Some((step.figure(seconds.name)?, step.seconds)))
            .collect();
        let how = format!("{what}: {how}");
        median(seconds, pairs.iter().map(|pair| pair.0).collect(), &how);
        let shares = pairs.iter().map(|(part, whole)| part / whole);
        median(share, shares.collect(), &how);
    }
    for speed in [
        quantity::ROLLOUT_TOKENS_PER_SECOND,
        quantity::UPDATE_TOKENS_PER_SECOND,
    ] {
        let samples = measured.iter().filter_map(|step| step.figure(speed.name));
        median(speed, samples.collect(), &how);
    }
    curves(recorder, &subject, course);
}

fn curves(recorder: &mut Recorder, subject: &str, course: &Course) {
    let through = |value: &dyn Fn(&CourseStep) -> Option<f64>| {
        let points = course.steps.iter();
        let points = points.filter_map(|step| Some((step.step as f64, value(step)?)));
        Curve::through("step", points)
    };
    let loss = through(&|step| Some(step.loss));
    recorder.curve(subject, quantity::LOSS, loss, course.how.clone());
    if let Some(last) = course.steps.last() {
        recorder.reading(subject, quantity::LOSS, last.loss, "the last step");
    }
    let seconds = through(&|step| Some(step.seconds));
    recorder.curve(subject, quantity::STEP_SECONDS, seconds, course.how.clone());
    for quantity in CURVES {
        let curve = through(&|step| step.figure(quantity.name));
        if !curve.x.is_empty() {
            recorder.curve(subject, quantity, curve, course.how.clone());
        }
    }
    let Some((_, loss, _)) = course.validations.last() else {
        return;
    };
    let how = "what was held out";
    let points = course.validations.iter();
    let losses = points.clone().map(|(step, loss, _)| (*step as f64, *loss));
    let curve = Curve::through("step", losses);
    recorder.curve(subject, quantity::VALIDATION_LOSS, curve, how);
    recorder.reading(subject, quantity::VALIDATION_LOSS, *loss, how);
    let right = points.filter_map(|(step, _, right)| Some((*step as f64, (*right)?)));
    let curve = Curve::through("step", right);
    if let Some(last) = curve.y.last() {
        recorder.reading(subject, quantity::VALIDATION_ACCURACY, *last, how);
        recorder.curve(subject, quantity::VALIDATION_ACCURACY, curve, how);
    }
}

/// The plan of the trainer alone, and what the process took: the frozen models of reinforcement are in the latter.
fn memory(recorder: &mut Recorder, lesson: &Lesson, own_peak: bool) {
    let subject = format!("training.{}.t{}", lesson.name, lesson.plan.workers);
    let planned = lesson.plan.memory().total() as f64;
    let how = "sum of the planned roles of the model that learns; frozen ones come on top";
    recorder.estimated(&subject, quantity::PLANNED_BYTES, planned, how);
    match process::memory() {
        Ok(memory) => {
            let how = if own_peak {
                "largest resident memory (VmHWM), all models of the run together"
            } else {
                "largest resident memory (VmHWM) since the start of the process"
            };
            recorder.reading(&subject, quantity::PEAK_RSS_BYTES, memory.peak.0, how);
        }
        Err(reason) => recorder.missing(&subject, quantity::PEAK_RSS_BYTES, reason.to_string()),
    }
}

impl CourseStep {
    /// A figure by its name.
    fn figure(&self, name: &str) -> Option<f64> {
        let found = self.figures.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::measure::clock::Clock;
    use crate::parallel::Pool;
    use crate::probe::Machine;
    use crate::suites::testing::{Quiet, tiny};
    use crate::suites::{Begin, Effort, Experiment};
    use crate::text::examples::Encoded;
    use crate::train::Trainer;
    use crate::train::posttraining::Supervised;
    use crate::train::schedule::Schedule;
    use std::sync::Arc;

    /// Three steps on examples of a few tokens.
    fn lesson() -> Lesson {
        let plan = tiny(4, 2).plan;
        let begin = move || {
            let example = |first: u32| Encoded {
                ids: (first..first + 9).collect(),
                prompt: 3,
            };
            let pool = Arc::new(Pool::new(&[0]).map_err(|error| error.to_string())?);
            Ok(Begun {
                trainer: Trainer::new(&plan, pool, 1).map_err(|error| error.to_string())?,
                task: Box::new(Supervised::new(
                    (0..8).map(example).collect(),
                    Vec::new(),
                    4,
                    1,
                )),
                schedule: Schedule::Constant { rate: 1e-2 },
                steps: 3,
            })
        };
        Lesson {
            name: "lesson".into(),
            config: serde_json::Value::Null,
            plan,
            limits: Some("its weights are random".into()),
            begin: Begin(Arc::new(begin)),
        }
    }

    fn experiment() -> Experiment {
        Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: vec![Isa::best()],
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        }
    }

    #[test]
    fn a_lesson_is_measured_to_its_last_step() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment();
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        measure(&mut context, &lesson(), 1).unwrap();
        let value = |name: &str| {
            context
                .recorder
                .value(&format!("training.lesson.t1.{name}"))
        };
        assert!(value("tokens_per_second").unwrap() > 0.0);
        assert!(value("peak_rss_bytes").is_some() && value("planned_bytes").is_some());
        let loss = context.recorder.series().iter();
        let loss = loss
            .clone()
            .find(|series| series.name == "training.lesson.t1.loss")
            .unwrap();
        assert_eq!(loss.x, [1.0, 2.0, 3.0]);
        assert!(loss.y[0] > loss.y[2], "{:?}", loss.y);
        assert!(
            context
                .recorder
                .notes()
                .iter()
                .any(|note| note.text.contains("random"))
        );
        assert_eq!(host.kept.get(), 1);
    }

    #[test]
    fn what_cannot_begin_is_named() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment();
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        let broken = Lesson {
            begin: Begin(Arc::new(|| Err("no examples".into()))),
            ..lesson()
        };
        let error = measure(&mut context, &broken, 1).unwrap_err().to_string();
        assert_eq!(error, "lesson: no examples");
    }

    fn step(number: u64, reward: f64) -> CourseStep {
        let figure = |name: &str, value| (name.to_owned(), value);
        CourseStep {
            step: number,
            loss: 1.0 / number as f64,
            seconds: 2.0,
            tokens_per_second: 100.0,
            figures: vec![
                figure("reward", reward),
                figure("rollout_seconds", 0.5),
                figure("update_seconds", 1.5),
                figure("rollout_tokens_per_second", 640.0),
            ],
        }
    }

    #[test]
    fn phases_are_shares_of_the_step_and_figures_are_curves() {
        let mut recorder = Recorder::default();
        let course = Course {
            case: "ppo".into(),
            threads: 2,
            steps: (1..=4).map(|number| step(number, number as f64)).collect(),
            validations: vec![(4, 0.5, Some(0.75))],
            how: "invented".into(),
        };
        record(&mut recorder, &course);
        let value = |name: &str| recorder.value(&format!("training.ppo.t2.{name}"));
        assert_eq!(value("rollout_share"), Some(0.25));
        assert_eq!(value("update_share"), Some(0.75));
        assert_eq!(value("judge_share"), None);
        assert_eq!(value("rollout_tokens_per_second"), Some(640.0));
        assert_eq!(value("loss"), Some(0.25));
        assert_eq!(value("validation_accuracy"), Some(0.75));
        let series = |name: &str| {
            let full = format!("training.ppo.t2.{name}");
            recorder.series().iter().find(|series| series.name == full)
        };
        let reward = series("reward").unwrap();
        assert_eq!(reward.y, [Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
        assert!(series("kl").is_none());
    }

    #[test]
    fn a_course_without_steps_says_so() {
        let mut recorder = Recorder::default();
        let course = Course {
            case: "ppo".into(),
            threads: 1,
            ..Course::default()
        };
        record(&mut recorder, &course);
        let speed = &recorder.metrics()[0];
        assert!(
            speed.value.is_none() && speed.how.contains("stopped"),
            "{speed:?}"
        );
    }
}
