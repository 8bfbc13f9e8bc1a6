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
use super::{Companions, Interplay, Names, Pace, work};
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
    let weak = found.way("weak", &weak, plan.batch * fleet.size());
    let strong = strong.map(|strong| found.way("strong", &strong, plan.batch));
    // Each is foretold with what computing lost to moving bytes in the other.
    let lost = |way: &Option<Way>| found.moving(way.as_ref()?);
    let weak = Some(weak);
    for (way, other) in [(&weak, lost(&strong)), (&strong, lost(&weak))] {
        if let Some(way) = way {
            found.record(context, way);
            if let Some(network) = network {
                found.foretell(context, way, &network, other.unwrap_or(0.0));
            }
        }
    }
    if strong.is_none() {
        let subject = found.subject("strong");
        let reason = "fewer sequences in a batch than ranks";
        context.recorder.missing(&subject, STEP_SECONDS, reason);
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

/// What all ranks saw of their steps under one way to share batches.
struct Way {
    name: &'static str,
    sequences: usize,
    /// Seconds of the slowest rank.
    all: Vec<f64>,
    /// Median seconds of each rank in which it waited, and in which sums were on their way.
    by_rank: Vec<Vec<f64>>,
}

impl Way {
    /// The fastest rank waits for the slowest too: who waits least, waits for messages alone.
    fn waiting(&self) -> f64 {
        self.least(0)
    }

    fn summing(&self) -> f64 {
        self.least(1)
    }

    fn least(&self, index: usize) -> f64 {
        let of = self.by_rank.iter().map(|of_rank| of_rank[index]);
        of.fold(f64::INFINITY, f64::min)
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

    /// Gathers what all ranks saw of steps of so many sequences.
    fn way(&self, name: &'static str, own: &Seen, sequences: usize) -> Way {
        let median = |seconds| median(seconds).unwrap_or(f64::NAN);
        Way {
            name,
            sequences,
            all: slowest(self.companions, &own.seconds),
            by_rank: by_rank(
                self.companions,
                &[median(&own.waiting), median(&own.summing)],
            ),
        }
    }

    /// Sequences of a rank.
    fn share(&self, way: &Way) -> f64 {
        way.sequences as f64 / self.companions.fleet.size() as f64
    }

    /// Seconds by which computing takes longer than alone: its processors also copy, send and add up gradients.
    fn moving(&self, way: &Way) -> Option<f64> {
        let computing = median(&way.all)? - way.waiting();
        Some((computing - self.pace()?.seconds(self.share(way))).max(0.0))
    }

    /// Steps by all ranks together.
    fn record(&self, context: &mut Context, way: &Way) {
        let (name, sequences) = (way.name, way.sequences);
        let subject = self.subject(name);
        let recorder = &mut context.recorder;
        let Some(seconds) = median_interval(&way.all, 63) else {
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
        let efficiency = interval_of(&[&self.alone, &way.all], 64, |groups| {
            Some(fair * median(&groups[0])? / median(&groups[1])?)
        });
        if let Some(efficiency) = efficiency {
            let how = "tokens a second of all ranks over those of as many that compute alone at the same time";
            recorder.derived(&subject, EFFICIENCY, efficiency, how);
        }
        let how = "of a step, what the rank that waits least waits for sums after backward";
        recorder.computed(
            &subject,
            COMMUNICATION_SHARE,
            way.waiting() / seconds.estimate,
            how,
        );
        let how = "in which sums of gradients are on their way in a step, hidden or not, seen by the rank where they take least";
        let part = self.subject(&format!("{name}_summing"));
        recorder.computed(&part, SECONDS, way.summing(), how);
        if let Some(moving) = self.moving(way) {
            let how = "a step less what it waits and what its sequences take a rank alone: copies of gradients, and the processor's part in sums";
            let part = self.subject(&format!("{name}_moving"));
            recorder.computed(&part, SECONDS, moving, how);
        }
        let points = way.by_rank.iter().enumerate();
        let points = points.map(|(rank, of_rank)| (rank as f64, of_rank[0]));
        let how = "median of a step's waiting for sums, of slower ranks too";
        recorder.curve(
            &format!("{subject}.waiting.by_rank"),
            SECONDS,
            Curve::through("rank", points),
            how,
        );
    }

    /// How far a forecast is from the steps, where computing loses so many seconds to moving bytes.
    fn foretell(&self, context: &mut Context, way: &Way, network: &AllReduce, moving: f64) {
        let (Some(measured), Some(pace)) = (median(&way.all), self.pace()) else {
            return;
        };
        let (subject, ranks) = (self.subject(way.name), self.companions.fleet.size());
        let recorder = &mut context.recorder;
        let work = |interplay| work(&self.plan, pace, self.share(way), ranks, interplay);
        let ideal = work(Interplay {
            overlap: 1.0,
            moving: 0.0,
        });
        let overlap = ideal.overlap_of(ranks, network, way.waiting());
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
        let step = work(Interplay {
            overlap: overlap.unwrap_or(1.0),
            moving: moving / ideal.moved(ranks),
        })
        .step(ranks, network);
        let how = "the step forecast from one rank's pace, the law of sums, the overlap, and what moving bytes took from computing under the \
                   other way to share batches, over the measured one, less one";
        recorder.computed(
            &subject,
            PREDICTION_ERROR,
            step.seconds / measured - 1.0,
            how,
        );
    }
}
