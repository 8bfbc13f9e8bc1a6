//! Reinforcement: PPO and GRPO. A step writes responses, judges them, and goes over them several times in small batches.

use std::time::Instant;

use super::judge::{Judge, Prompt};
use super::losses;
use super::rollout::{self, Advantages, Asked, Rollout};
use super::writing::Responses;
use crate::model::{Observer, Unobserved};
use crate::train::objective::{Found, Objective, Slopes};
use crate::train::order::{Order, shuffle, stream};
use crate::train::task::{Figures, Score, Task, Turn};
use crate::train::trainer::{StepReport, Trainer};
use crate::units::grouped;

/// How a policy is reinforced.
#[derive(Clone, Copy, Debug)]
pub struct Reinforcement {
    /// Responses of a step.
    pub rollouts: usize,
    /// How they are written.
    pub responses: Responses,
    /// Passes over them.
    pub epochs: usize,
    /// Sequences of an update.
    pub batch: usize,
    /// How advantages follow from rewards.
    pub advantages: Advantages,
    /// How far the ratio of probabilities may go from 1.
    pub clip: f64,
    /// How far a value may go.
    pub value_clip: f64,
    /// Weight of the values' loss.
    pub value_coefficient: f64,
    /// Weight of the entropy.
    pub entropy_coefficient: f64,
    /// Weight of the divergence from the reference, at first.
    pub kl_coefficient: f64,
    /// The divergence that the weight is steered to, in nats a response.
    pub target_kl: Option<f64>,
    /// Seed of prompts, responses and orders.
    pub seed: u64,
}

/// A policy that learns from rewards.
#[derive(Debug)]
pub struct Policy {
    how: Reinforcement,
    prompts: Vec<Prompt>,
    order: Order,
    reference: Box<Trainer>,
    judge: Judge,
    coefficient: f64,
    figures: Figures,
}

impl Policy {
    /// Responds to `prompts`; `reference` is the frozen model that the policy started as.
    ///
    /// # Panics
    /// When there is no prompt.
    pub fn new(
        how: Reinforcement,
        prompts: Vec<Prompt>,
        reference: Box<Trainer>,
        judge: Judge,
    ) -> Policy {
        assert!(!prompts.is_empty(), "there is nothing to respond to");
        Policy {
            order: Order::new(how.seed, prompts.len()),
            coefficient: how.kl_coefficient,
            how,
            prompts,
            reference,
            judge,
            figures: Vec::new(),
        }
    }

    /// Writes and judges the responses of a step.
    pub(super) fn rollout(&mut self, trainer: &mut Trainer, step: u64) -> (Rollout, [f64; 2]) {
        let begin = Instant::now();
        let rollouts = self.how.rollouts as u64;
        let same = match self.how.advantages {
            Advantages::Grouped(size) => size as u64,
            Advantages::Estimated { .. } => 1,
        };
        let first = step * (rollouts / same);
        let prompts: Vec<&Prompt> = (0..rollouts)
            .map(|row| &self.prompts[self.order.item(first + row / same)])
            .collect();
        let seed = self.how.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let seed = seed.wrapping_add(step * rollouts);
        let responses = rollout::write(trainer, &prompts, &self.how.responses, seed);
        let written = begin.elapsed().as_secs_f64();
        let asked = Asked {
            policy: trainer,
            reference: &mut self.reference,
            judge: &mut self.judge,
        };
        let rollout = Rollout::of(asked, &prompts, &responses, &self.how, self.coefficient);
        (rollout, [written, begin.elapsed().as_secs_f64() - written])
    }

    /// Goes over a rollout; the mean of the reports.
    fn learn(&self, trainer: &mut Trainer, turn: Turn, rollout: &Rollout) -> (StepReport, Spread) {
        let mut sum = StepReport {
            loss: 0.0,
            grad_norm: 0.0,
            tokens: 0,
            skipped: None,
        };
        let (mut spread, mut updates) = (Spread::default(), 0.0);
        for epoch in 0..self.how.epochs as u64 {
            let mut rows: Vec<u32> = (0..self.how.rollouts as u32).collect();
            let number = turn.step * self.how.epochs as u64 + epoch;
            shuffle(&mut rows, &mut stream(!self.how.seed, number));
            for rows in rows.chunks(self.how.batch) {
                let batch = rollout.rows(rows);
                let mut objective = PolicyLoss {
                    how: &self.how,
                    coefficient: self.coefficient,
                    rollout,
                    rows,
                    share: 1.0 / batch.counted().max(1) as f64,
                    spread: &mut spread,
                };
                let report = trainer.step_toward(
                    &mut objective,
                    &batch,
                    turn.learning_rate,
                    &mut Unobserved,
                );
                sum.loss += report.loss;
                sum.grad_norm += report.grad_norm;
                sum.tokens += report.tokens;
                sum.skipped = sum.skipped.or(report.skipped);
                updates += 1.0;
            }
        }
        sum.loss /= updates;
        sum.grad_norm /= updates;
        (sum, spread.over(updates))
    }
}

#[cfg(test)]
impl Policy {
    /// The loss of the first rows of a rollout, with its gradient.
    pub(super) fn gradient(&mut self, trainer: &mut Trainer, rollout: &Rollout) -> f64 {
        let rows: Vec<u32> = (0..self.how.batch as u32).collect();
        let batch = rollout.rows(&rows);
        let mut objective = PolicyLoss {
            how: &self.how,
            coefficient: self.coefficient,
            rollout,
            rows: &rows,
            share: 1.0 / batch.counted() as f64,
            spread: &mut Spread::default(),
        };
        trainer.gradient_toward(&mut objective, &batch)
    }
}

impl Task for Policy {
    /// Not watched: a rollout and its updates are no single pass through the model.
    fn step(&mut self, trainer: &mut Trainer, turn: Turn, _: &mut dyn Observer) -> StepReport {
        let (rollout, [write_seconds, judge_seconds]) = self.rollout(trainer, turn.step);
        let begin = Instant::now();
        let (report, spread) = self.learn(trainer, turn, &rollout);
        let update_seconds = begin.elapsed().as_secs_f64();
        let found = rollout.summary;
        let written = found.length * self.how.rollouts as f64;
        self.figures.clear();
        self.figures.extend([
            ("reward", found.reward),
            ("kl", found.divergence),
            ("entropy", found.entropy),
            ("clip_fraction", spread.clipped),
            ("policy_loss", spread.policy),
            ("value_loss", spread.value),
            ("kl_coefficient", self.coefficient),
            ("response_tokens", found.length),
            ("ended", found.ended),
            ("rollout_seconds", write_seconds),
            ("judge_seconds", judge_seconds),
            ("update_seconds", update_seconds),
            ("rollout_tokens_per_second", written / write_seconds),
            (
                "update_tokens_per_second",
                report.tokens as f64 / update_seconds,
            ),
        ]);
        self.figures
            .extend(found.rule.map(|rule| ("rule_reward", rule)));
        if let Some(target) = self.how.target_kl {
            self.coefficient = losses::steer(self.coefficient, found.divergence, target);
        }
        report
    }

    fn figures(&self) -> &[(&'static str, f64)] {
        &self.figures
    }

    fn steps(&self, epochs: usize) -> usize {
        let asked = match self.how.advantages {
            Advantages::Grouped(size) => self.how.rollouts / size,
            Advantages::Estimated { .. } => self.how.rollouts,
        };
        self.prompts.len().saturating_mul(epochs).div_ceil(asked)
    }

    /// What a policy is worth is seen in its rewards.
    fn validation_batches(&self) -> usize {
        0
    }

    fn validate(&mut self, _trainer: &mut Trainer, _index: usize) -> Score {
        Score::default()
    }

    fn memory(&self) -> Option<f64> {
        Some(self.coefficient)
    }

    fn recall(&mut self, memory: f64) {
        self.coefficient = memory;
    }

    fn describe(&self) -> String {
        let prompts = grouped(self.prompts.len() as i64);
        let (rollouts, epochs) = (self.how.rollouts, self.how.epochs);
        format!("{prompts} prompts; {rollouts} responses a step, {epochs} times gone over")
    }
}

/// What the updates of a step came to, in the mean.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    policy: f64,
    value: f64,
    /// Share of the tokens whose ratio was outside the range.
    clipped: f64,
}

impl Spread {
    fn over(self, updates: f64) -> Spread {
        Spread {
            policy: self.policy / updates,
            value: self.value / updates,
            clipped: self.clipped / updates,
        }
    }
}

/// The loss of some rows of a rollout: clipped objective, values, entropy, and for GRPO the divergence, in the mean over the tokens.
struct PolicyLoss<'a> {
    how: &'a Reinforcement,
    coefficient: f64,
    rollout: &'a Rollout,
    rows: &'a [u32],
    /// One over the tokens.
    share: f64,
    spread: &'a mut Spread,
}

impl Objective for PolicyLoss<'_> {
    fn derive(&mut self, found: Found<'_>, into: Slopes<'_>) -> f64 {
        let (how, rollout, share) = (self.how, self.rollout, self.share);
        let mut sum = 0.0;
        for (token, loss) in found.losses.iter().enumerate() {
            let place = found.first + token;
            let row = self.rows[place / found.length] as usize;
            let cell = row * found.length + place % found.length;
            if !rollout.counts(cell) {
                continue;
            }
            let (now, old) = (-f64::from(*loss), -f64::from(rollout.old[cell]));
            let policy = losses::policy(now, old, rollout.advantages[cell], how.clip);
            self.spread.policy += policy.loss * share;
            self.spread.clipped += f64::from(u8::from(policy.clipped)) * share;
            let mut loss =
                policy.loss - how.entropy_coefficient * f64::from(found.entropies[token]);
            let mut slope = policy.slope;
            match how.advantages {
                Advantages::Estimated { .. } => {
                    let value = f64::from(found.values[token]);
                    let was = f64::from(rollout.values[cell]);
                    let (value_loss, by_value) =
                        losses::value(value, was, rollout.returns[cell], how.value_clip);
                    self.spread.value += value_loss * share;
                    loss += how.value_coefficient * value_loss;
                    into.values[token] = (how.value_coefficient * by_value * share) as f32;
                }
                Advantages::Grouped(_) => {
                    let reference = -f64::from(rollout.reference[cell]);
                    let (divergence, by_policy) = losses::divergence(now, reference);
                    loss += self.coefficient * divergence;
                    slope += self.coefficient * by_policy;
                }
            }
            into.losses[token] = (-slope * share) as f32;
            into.entropies[token] = (-how.entropy_coefficient * share) as f32;
            sum += loss * share;
        }
        sum
    }
}
