//! The ledger of optimizations: each switched off in turn, and all at once, in pairs with the program as it is.
//!
//! A pair is a step with and a step without, each by a trainer of its own that starts from the same weights; the order changes from
//! pair to pair, and the lines take turns. The first pair of a line also compares loss and gradient: a line that computes something
//! else is not timed.

mod generation;
mod lines;
mod record;

use std::sync::Arc;

use super::super::steps::{self, Steps};
use super::super::{Case, Context, Effort, SuiteError};
use crate::measure::clock::Clock;
use crate::measure::session;
use crate::parallel::Pool;
use crate::train::data::Cut;
use crate::train::{Batch, Dataset, Plan};
use generation::Generation;
use lines::{LINES, Line, Off};

/// Largest difference of loss (nats) and of gradients (relative to their norm) between two paths of the same mathematics: f32 sums in
/// another order differ by about 1e-6.
const BOUND: f64 = 1e-4;

/// Pairs of a line at least, and at most.
const FEWEST: usize = 2;
const MOST: usize = 24;

/// The share of the memory of this process that a line may plan for.
const MEMORY: f64 = 0.8;

/// Seconds that the ledger of a case may take, or `None` where it is left out.
fn budget(context: &Context) -> Option<f64> {
    match context.experiment.effort {
        Effort::Quick => None,
        Effort::Normal => Some(50.0),
        Effort::Full => Some(240.0),
    }
}

/// What the pairs of a line found.
#[derive(Debug, Default)]
struct Pairs {
    /// Seconds with the optimization, and without.
    on: Vec<f64>,
    off: Vec<f64>,
    /// Of losses, where there are any, and of gradients or logits.
    differences: Option<(Option<f64>, f64)>,
    spent: f64,
}

/// A line that can be measured.
struct Entry {
    line: Line,
    full: Plan,
    simple: Plan,
    pairs: Pairs,
}

/// Measures the ledger of `case` and records it; says so where it is left out.
pub(super) fn run(context: &mut Context, case: &Case) -> Result<(), SuiteError> {
    let threads = case.plan.workers;
    let Some(budget) = budget(context) else {
        let text = "The ledger of optimizations is left out of a quick run: `loopos bench --suite training` without --quick has it.";
        context.recorder.note("limits", text);
        return Ok(());
    };
    let mut entries = Vec::new();
    for line in LINES {
        record::claim(&mut context.recorder, &case.name, &line, threads);
        match entry(context, case, line) {
            Ok(entry) => entries.push(entry),
            Err(reason) => {
                record::missing(&mut context.recorder, &case.name, &line, threads, &reason);
            }
        }
    }
    context.say(&format!(
        "training: {}, the ledger of optimizations",
        case.name
    ));
    measure(context, case, &mut entries, budget)?;
    for entry in &entries {
        record::line(&mut context.recorder, &case.name, entry, threads);
    }
    context.recorder.note(
        "method",
        "The ledger switches each optimization off in turn: pairs of a step with and a step without, in changing order, from the same \
         weights and tokens; claims are the seed's, of another program on another machine.",
    );
    context.keep()
}

/// The line, where switching it off makes a difference that this machine can hold.
fn entry(context: &Context, case: &Case, line: Line) -> Result<Entry, String> {
    let (full, simple) = (line.full(&case.plan), line.simple(&case.plan)?);
    let needed = full.memory().total().max(simple.memory().total()) as f64;
    if let Some(usable) = context.machine.usable_memory_bytes()
        && needed > usable as f64 * MEMORY
    {
        return Err(format!(
            "switched off, it needs {} of memory of the {} that this process can have",
            crate::units::Bytes(needed),
            crate::units::Bytes(usable as f64)
        ));
    }
    Ok(Entry {
        line,
        full,
        simple,
        pairs: Pairs::default(),
    })
}

/// Rounds of pairs until `budget` seconds are over; a line that is slow beside the others takes part in fewer.
fn measure(
    context: &mut Context,
    case: &Case,
    entries: &mut [Entry],
    budget: f64,
) -> Result<(), SuiteError> {
    let bench = Bench {
        clock: context.clock,
        all: context.pool(case.plan.workers)?,
        one: context.pool(1)?,
        case,
    };
    let (start, share) = (
        context.clock.now(),
        2.0 * budget / entries.len().max(1) as f64,
    );
    let count = entries.len();
    for round in 0..MOST {
        for place in 0..count {
            let entry = &mut entries[session::at(count, round, place)];
            let known = entry.pairs.on.len() >= FEWEST;
            let late = context.clock.since(start) >= budget;
            if context.stopped() {
                return Ok(());
            }
            if !(known && (late || entry.pairs.spent > share)) && entry.is_right() {
                bench.pair(entry, round % 2 == 1)?;
            }
        }
    }
    Ok(())
}

impl Entry {
    /// Nothing is known against it.
    fn is_right(&self) -> bool {
        self.pairs
            .differences
            .is_none_or(|(loss, other)| loss.unwrap_or(0.0) <= BOUND && other <= BOUND)
    }
}

/// What pairs are measured with.
struct Bench<'a> {
    clock: &'a Clock,
    all: Arc<Pool>,
    one: Arc<Pool>,
    case: &'a Case,
}

impl Bench<'_> {
    /// One pair; `swapped` measures without the optimization first.
    fn pair(&self, entry: &mut Entry, swapped: bool) -> Result<(), SuiteError> {
        let begin = self.clock.now();
        let first = entry.pairs.on.is_empty();
        let ((on, off), differences) = match entry.line.off {
            Off::Cache => self.generation(entry, swapped)?,
            _ => self.steps(entry, swapped)?,
        };
        if first {
            entry.pairs.differences = Some(differences);
        }
        entry.pairs.on.push(on);
        entry.pairs.off.push(off);
        entry.pairs.spent += self.clock.since(begin);
        Ok(())
    }

    #[allow(
        clippy::type_complexity,
        reason = "two times and two differences, named where they are taken"
    )]
    fn steps(
        &self,
        entry: &Entry,
        swapped: bool,
    ) -> Result<((f64, f64), (Option<f64>, f64)), SuiteError> {
        let batch = self.batch(&entry.full)?;
        let step = |plan: &Plan| {
            let pool = match plan.workers {
                1 => &self.one,
                _ => &self.all,
            };
            let steps = Steps::new(self.clock, self.case);
            let timed = steps.time(plan, pool, &batch);
            timed.map_err(|source| steps::failed(self.case, source))
        };
        let (on, off) = if swapped {
            let off = step(&entry.simple)?;
            (step(&entry.full)?, off)
        } else {
            (step(&entry.full)?, step(&entry.simple)?)
        };
        let loss = (on.loss - off.loss).abs();
        let gradient = distance(&on.gradient, &off.gradient);
        Ok(((on.seconds, off.seconds), (Some(loss), gradient)))
    }

    #[allow(
        clippy::type_complexity,
        reason = "two times and two differences, named where they are taken"
    )]
    fn generation(
        &self,
        entry: &Entry,
        swapped: bool,
    ) -> Result<((f64, f64), (Option<f64>, f64)), SuiteError> {
        let batch = self.batch(&entry.full)?;
        let text = &batch.inputs[..batch.length];
        let mut generation = Generation::new(&entry.full, self.case.cut.seed)?;
        let (times, difference) = self
            .all
            .assemble(|| generation.pair(&*self.all, text, self.clock, swapped));
        Ok((times, (None, difference)))
    }

    fn batch(&self, plan: &Plan) -> Result<Batch, SuiteError> {
        let cut = Cut {
            batch: plan.batch,
            ..self.case.cut
        };
        let mut dataset = Dataset::new(Arc::clone(&self.case.tokens), cut).map_err(|source| {
            SuiteError::Data {
                case: self.case.name.clone(),
                source,
            }
        })?;
        Ok(dataset.batch(0))
    }
}

/// The norm of the difference over the norm of `one`.
fn distance(one: &[f32], other: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let apart: f64 = one
        .iter()
        .zip(other)
        .map(|(a, b)| square(f64::from(*a) - f64::from(*b)))
        .sum();
    let size: f64 = one.iter().map(|a| square(f64::from(*a))).sum();
    (apart / size.max(f64::MIN_POSITIVE)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Isa;
    use crate::probe::Machine;
    use crate::suites::Experiment;
    use crate::suites::testing::{Quiet, tiny};

    fn case() -> Case {
        tiny(12, 4)
    }

    fn context<'a>(
        machine: &'a Machine,
        clock: &'a Clock,
        experiment: &'a Experiment,
        host: &'a Quiet,
    ) -> Context<'a> {
        Context::new(machine, experiment, clock, host)
    }

    fn experiment(effort: Effort) -> Experiment {
        Experiment {
            effort,
            threads: vec![1],
            isas: vec![Isa::best()],
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        }
    }

    #[test]
    fn every_line_is_measured_or_has_a_reason() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment(Effort::Normal);
        let mut context = context(&machine, &clock, &experiment, &host);
        let case = case();
        let lines: Vec<Entry> = LINES
            .into_iter()
            .filter_map(|line| entry(&context, &case, line).ok())
            .collect();
        let mut entries = lines;
        measure(&mut context, &case, &mut entries, 0.0).unwrap();
        for entry in &entries {
            let (id, pairs) = (entry.line.id, &entry.pairs);
            assert_eq!((pairs.on.len(), pairs.off.len()), (FEWEST, FEWEST), "{id}");
            assert!(entry.is_right(), "{id}: {:?}", pairs.differences);
            record::line(&mut context.recorder, "tiny", entry, 1);
            let name = format!("ledger.tiny.{id}.t1.speedup");
            assert!(
                context
                    .recorder
                    .value(&name)
                    .is_some_and(|times| times > 0.0)
            );
        }
        // One thread is all that this case has.
        assert!(entry(&context, &case, LINES[1]).is_err_and(|why| why.contains("one thread")));
        assert!(entries.len() >= 9, "{}", entries.len());
    }

    #[test]
    fn a_path_that_computes_something_else_is_not_shown() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment(Effort::Normal);
        let mut context = context(&machine, &clock, &experiment, &host);
        let case = case();
        let mut other = entry(&context, &case, LINES[3]).unwrap();
        other.simple.shape.layers = 2;
        other.full.shape.layers = 2;
        other.simple.optimizer.beta1 = 0.8;
        measure(&mut context, &case, std::slice::from_mut(&mut other), 0.0).unwrap();
        assert_eq!(other.pairs.on.len(), 1);
        record::line(&mut context.recorder, "tiny", &other, 1);
        let metrics = context.recorder.metrics();
        let speedup = metrics
            .iter()
            .find(|metric| metric.name.ends_with("speedup"));
        assert!(speedup.is_some_and(|metric| metric.how.contains("something else")));
    }

    #[test]
    fn a_quick_run_says_that_it_has_none() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = experiment(Effort::Quick);
        let mut context = context(&machine, &clock, &experiment, &host);
        run(&mut context, &case()).unwrap();
        assert!(context.recorder.metrics().is_empty());
        assert!(context.recorder.notes()[0].text.contains("without --quick"));
    }
}
