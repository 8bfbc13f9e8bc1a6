//! Steps of a configuration: by each rank alone, with a whole batch for each, and with one batch shared by all.

use std::sync::Arc;

use super::super::quantity::{
    COMMUNICATION_SHARE, EFFICIENCY, OVERLAP, PREDICTION_ERROR, SECONDS, STEP_SECONDS,
    TOKENS_PER_SECOND,
};
use super::super::steps::{failed, invented};
use super::super::{Case, Context, Curve, SuiteError};
use super::sums::{by_rank, slowest};
use super::work::step;
use super::{Companions, Names, Pace, work};
use crate::stats::bootstrap::{interval_of, median_interval};
use crate::stats::fits::AllReduce;
use crate::stats::outliers::stragglers;
use crate::stats::summary::median;
use crate::train::{Plan, Sharing, Trainer};

/// What a rank saw of its steps under one way to share batches.
#[derive(Clone, Debug, Default)]
struct Seen {
    seconds: Vec<f64>,
    summing: Vec<f64>,
    waiting: Vec<f64>,
}

pub(super) fn measure(
    context: &mut Context,
    companions: &Companions,
    case: &Case,
    network: Option<AllReduce>,
) -> Result<(), SuiteError> {
    let fleet = &companions.fleet;
    let pool = context.pool(case.plan.workers)?;
    let plan = Plan {
        sharing: Sharing {
            ranks: fleet.size(),
            ..case.plan.sharing
        },
        ..case.plan
    };
    let trainer = || {
        Trainer::new(&plan, Arc::clone(&pool), case.cut.seed).map_err(|error| failed(case, error))
    };
    let (mut single, mut joined) = (trainer()?, trainer()?);
    joined
        .join(Arc::clone(fleet))
        .map_err(|error| failed(case, error))?;
    let batch = |sequences| invented(sequences, plan.length, plan.shape.vocab_size);
    let mut arms = vec![
        (false, batch(plan.batch)),
        (false, batch(plan.batch.div_ceil(2))),
        (true, batch(plan.batch * fleet.size())),
    ];
    if plan.batch >= fleet.size() {
        arms.push((true, batch(plan.batch)));
    }
    let mut all = vec![Seen::default(); arms.len()];
    let rounds = context.experiment.effort.samples(3);
    // In turns, so that all feel the same of the machine; the first round does not count.
    'rounds: for round in 0..=rounds {
        context.say(&format!("fleet: {}, round {round} of {rounds}", case.name));
        for ((together, batch), seen) in arms.iter().zip(&mut all) {
            if fleet.any(context.stopped()) {
                break 'rounds;
            }
            let trainer = if *together { &mut joined } else { &mut single };
            let seconds = step(context.clock, trainer, batch);
            if round > 0 {
                seen.add(seconds, trainer);
            }
        }
    }
    let mut all = all.into_iter();
    let mut next = || all.next().unwrap_or_default();
    let (alone, shorter, weak) = (next(), next(), next());
    let strong = all.next();
    let found = Found {
        case,
        companions,
        plan,
        threads: pool.cpus().len(),
        alone: slowest(companions, &alone.seconds),
        shorter: slowest(companions, &shorter.seconds),
    };
    found.record_alone(context, &alone);
    found.record(context, "weak", &weak, plan.batch * fleet.size(), network);
    match strong {
        Some(strong) => found.record(context, "strong", &strong, plan.batch, network),
        None => {
            let subject = found.subject("strong");
            let reason = "fewer sequences in a batch than ranks";
            context.recorder.missing(&subject, STEP_SECONDS, reason);
        }
    }
    Ok(())
}

impl Seen {
    /// A step that took so long.
    fn add(&mut self, seconds: f64, trainer: &Trainer) {
        let spent = trainer.exchange().map(|exchange| exchange.spent());
        let spent = spent.unwrap_or_default();
        self.seconds.push(seconds);
        self.summing.push(spent.summing.as_secs_f64());
        let waiting = spent.waiting + spent.gathering;
        self.waiting.push(waiting.as_secs_f64());
    }
}

/// What all ways are compared with.
struct Found<'a> {
    case: &'a Case,
    companions: &'a Companions,
    plan: Plan,
    threads: usize,
    /// Seconds of the slowest rank, of steps of a batch and of half of it that each took alone.
    alone: Vec<f64>,
    shorter: Vec<f64>,
}

impl Found<'_> {
    /// What the names of numbers begin with, under one way to share batches or a part of it.
    fn subject(&self, way: &str) -> String {
        let ranks = self.companions.fleet.size();
        let before = Names { ranks }.case(&self.case.name, way);
        format!("{before}.t{}", self.threads)
    }

    /// The pace of the slowest rank.
    fn pace(&self) -> Option<Pace> {
        let batch = self.plan.batch;
        let (half, whole) = (median(&self.shorter)?, median(&self.alone)?);
        Some(match batch.div_ceil(2) {
            half_batch if half_batch < batch => Pace::through((half_batch, half), (batch, whole)),
            _ => Pace {
                fixed: 0.0,
                sequence: whole,
            },
        })
    }

    /// Each rank by itself: the pace, and who is slow.
    fn record_alone(&self, context: &mut Context, own: &Seen) {
        let subject = self.subject("alone");
        let threads = self.threads;
        let how = format!(
            "a step of {} sequences by each rank alone, all at the same time, {threads} threads each; the slowest rank's",
            self.plan.batch
        );
        let medians = by_rank(self.companions, &[median(&own.seconds).unwrap_or(f64::NAN)]);
        let medians: Vec<f64> = medians.into_iter().flatten().collect();
        let recorder = &mut context.recorder;
        match median_interval(&self.alone, 62) {
            Some(interval) => recorder.measured(&subject, STEP_SECONDS, interval, how),
            None => recorder.missing(&subject, STEP_SECONDS, "stopped before it was measured"),
        }
        if let Some(pace) = self.pace() {
            let how = "what a step takes whatever its batch: the line through steps of a batch and of half of one";
            recorder.computed(&self.subject("alone_fixed"), SECONDS, pace.fixed, how);
            let how = "what each sequence of a step takes: the slope of that line";
            recorder.computed(&self.subject("alone_sequence"), SECONDS, pace.sequence, how);
        }
        let points = medians
            .iter()
            .enumerate()
            .map(|(rank, seconds)| (rank as f64, *seconds));
        let how = "median step of each rank alone";
        recorder.curve(
            &format!("{subject}.by_rank"),
            STEP_SECONDS,
            Curve::through("rank", points),
            how,
        );
        for (rank, ratio) in stragglers(&medians) {
            let name = self.companions.names.get(rank).map_or("", String::as_str);
            recorder.note(
                "advice",
                format!(
                    "Rank {rank} ({name}) takes {ratio:.2} times as long as the faster half of the ranks for a step of {}: all wait for it \
                     in every step.",
                    self.case.name
                ),
            );
        }
    }

    /// Steps of so many sequences by all ranks together.
    fn record(
        &self,
        context: &mut Context,
        way: &str,
        own: &Seen,
        sequences: usize,
        network: Option<AllReduce>,
    ) {
        let all = slowest(self.companions, &own.seconds);
        let rank = [
            median(&own.waiting).unwrap_or(f64::NAN),
            median(&own.summing).unwrap_or(f64::NAN),
        ];
        let by_rank = by_rank(self.companions, &rank);
        let subject = self.subject(way);
        let recorder = &mut context.recorder;
        let Some(seconds) = median_interval(&all, 63) else {
            return recorder.missing(&subject, STEP_SECONDS, "stopped before it was measured");
        };
        let (ranks, threads) = (self.companions.fleet.size(), self.threads);
        let how = format!(
            "a step of {sequences} sequences of {} tokens shared by {ranks} ranks of {threads} threads; the slowest rank's",
            self.plan.length
        );
        let tokens = (sequences * self.plan.length) as f64;
        recorder.measured(&subject, STEP_SECONDS, seconds, how.clone());
        recorder.derived(
            &subject,
            TOKENS_PER_SECOND,
            seconds.map(|one| tokens / one),
            how,
        );
        // As many tokens by ranks that need not wait for each other.
        let fair = sequences as f64 / (self.plan.batch * ranks) as f64;
        let efficiency = interval_of(&[&self.alone, &all], 64, |groups| {
            Some(fair * median(&groups[0])? / median(&groups[1])?)
        });
        if let Some(efficiency) = efficiency {
            let how = "tokens a second of all ranks over those of as many that compute alone at the same time";
            recorder.derived(&subject, EFFICIENCY, efficiency, how);
        }
        // The fastest rank waits for the slowest too: who waits least, waits for messages alone.
        let least = |index: usize| {
            let of = by_rank.iter().map(|of_rank| of_rank[index]);
            of.fold(f64::INFINITY, f64::min)
        };
        let (waiting, summing) = (least(0), least(1));
        let how = "of a step, what the rank that waits least waits for sums after backward";
        recorder.computed(
            &subject,
            COMMUNICATION_SHARE,
            waiting / seconds.estimate,
            how,
        );
        let how = "in which sums of gradients are on their way in a step, hidden or not, seen by the rank where they take least";
        let part = self.subject(&format!("{way}_summing"));
        recorder.computed(&part, SECONDS, summing, how);
        let points = by_rank.iter().enumerate();
        let points = points.map(|(rank, of_rank)| (rank as f64, of_rank[0]));
        let how = "median of a step's waiting for sums, of slower ranks too";
        recorder.curve(
            &format!("{subject}.waiting.by_rank"),
            SECONDS,
            Curve::through("rank", points),
            how,
        );
        let (Some(network), Some(pace)) = (network, self.pace()) else {
            return;
        };
        let share = sequences as f64 / ranks as f64;
        let ideal = work(&self.plan, pace, share, ranks, 1.0);
        let overlap = ideal.overlap_of(ranks, &network, waiting);
        match overlap {
            Some(overlap) => {
                let how = "of the communication that backward could hide by the schedule of buckets, the part that it did";
                recorder.computed(&subject, OVERLAP, overlap, how);
            }
            None => recorder.missing(
                &subject,
                OVERLAP,
                "by the schedule of buckets nothing could be hidden",
            ),
        }
        let step =
            work(&self.plan, pace, share, ranks, overlap.unwrap_or(1.0)).step(ranks, &network);
        let how = "the step forecast from one rank's pace, the law of sums and the overlap, over the measured one, less one";
        recorder.computed(
            &subject,
            PREDICTION_ERROR,
            step.seconds / seconds.estimate - 1.0,
            how,
        );
    }
}
