//! Responses of the policy with all that learning from them needs.

use super::judge::{Judge, Prompt};
use super::losses;
use super::policy::Reinforcement;
use super::supervised::fill;
use super::writing::{Responses, respond};
use crate::model::Sampling;
use crate::text::examples::Encoded;
use crate::train::data::{Batch, IGNORED};
use crate::train::trainer::Trainer;
use std::sync::atomic::AtomicBool;

/// How advantages follow from rewards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Advantages {
    /// PPO: by generalized advantage estimation with the policy's own values; the divergence is taken from each token's reward.
    Estimated {
        /// Discount of what comes later.
        gamma: f64,
        /// Share of an advantage that comes from later ones.
        lambda: f64,
    },
    /// GRPO: each response among those to the same prompt, this many.
    Grouped(usize),
}

/// Responses of the policy, each a row, as they were when they were written. Cells are rows x length.
#[derive(Debug)]
pub(super) struct Rollout {
    /// Prompts and responses; targets are the responses' tokens.
    pub(super) batch: Batch,
    /// The policy's cross-entropy of each target.
    pub(super) old: Vec<f32>,
    /// The reference's.
    pub(super) reference: Vec<f32>,
    /// The policy's value of each state.
    pub(super) values: Vec<f32>,
    /// How much better than expected each token was.
    pub(super) advantages: Vec<f64>,
    /// What each value should have been.
    pub(super) returns: Vec<f64>,
    /// What came of it.
    pub(super) summary: Summary,
}

/// The means over the responses of a rollout.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Summary {
    /// What the judge gave.
    pub(super) reward: f64,
    /// What the rule gave, where there is one.
    pub(super) rule: Option<f64>,
    /// Log-probability of a response less the reference's: an estimate of the divergence, nats a response.
    pub(super) divergence: f64,
    /// Entropy of a token.
    pub(super) entropy: f64,
    /// Tokens of a response.
    pub(super) length: f64,
    /// Share of the responses that came to an end.
    pub(super) ended: f64,
}

/// Writes a response to each prompt; row `r` takes the random numbers of `first_seed + r`.
pub(super) fn write(
    policy: &mut Trainer,
    prompts: &[&Prompt],
    how: &Responses,
    first_seed: u64,
) -> Vec<Encoded> {
    let shape = *policy.shape();
    let starts: Vec<(&[u32], Sampling)> = prompts
        .iter()
        .zip(0..)
        .map(|(prompt, row)| {
            let sampling = Sampling {
                repetition_penalty: 1.0,
                temperature: 1.0,
                top_k: 0,
                top_p: 1.0,
                seed: first_seed.wrapping_add(row),
            };
            (prompt.ids.as_slice(), sampling)
        })
        .collect();
    let never = AtomicBool::new(false);
    let responses =
        policy.write(|compute, weights| respond(compute, weights, &shape, &starts, how, &never));
    let whole = |(prompt, response): (&&Prompt, Vec<u32>)| Encoded {
        ids: [prompt.ids.as_slice(), &response].concat(),
        prompt: prompt.ids.len(),
    };
    prompts.iter().zip(responses).map(whole).collect()
}

/// How far the policy has gone from the reference by these responses of its own: the mean of their log-probability less the
/// reference's, in nats a response. An estimate of the divergence between the two.
pub fn divergence(policy: &mut Trainer, reference: &mut Trainer, responses: &[Encoded]) -> f64 {
    let (mut sum, together) = (0.0, policy.plan().batch.max(1));
    let mut batch = Batch::default();
    for responses in responses.chunks(together) {
        let rows: Vec<&Encoded> = responses.iter().collect();
        fill(&mut batch, &rows, policy.plan().length);
        let (here, there) = (policy.read(&batch).losses, reference.read(&batch).losses);
        let gains = there
            .iter()
            .zip(&here)
            .map(|(there, here)| f64::from(there - here));
        sum += gains.sum::<f64>();
    }
    sum / responses.len().max(1) as f64
}

/// Who is asked about responses.
pub(super) struct Asked<'a> {
    /// Wrote them.
    pub(super) policy: &'a mut Trainer,
    /// Is what the policy started as.
    pub(super) reference: &'a mut Trainer,
    /// Says how good they are.
    pub(super) judge: &'a mut Judge,
}

impl Rollout {
    /// Asks policy, reference and judge about responses that the policy has just written.
    pub(super) fn of(
        asked: Asked<'_>,
        prompts: &[&Prompt],
        responses: &[Encoded],
        how: &Reinforcement,
        coefficient: f64,
    ) -> Rollout {
        let Asked {
            policy,
            reference,
            judge,
        } = asked;
        let rows: Vec<&Encoded> = responses.iter().collect();
        let mut batch = Batch::default();
        fill(&mut batch, &rows, policy.plan().length);
        let found = policy.read(&batch);
        let expected = reference.read(&batch).losses;
        let (scores, by_rule) = judge.scores(prompts, &rows);
        let count = responses.len() as f64;
        let counted = batch.counted().max(1) as f64;
        let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / count;
        let ended = rows
            .iter()
            .filter(|row| row.ids.last() == Some(&how.responses.end))
            .count();
        let gains = expected
            .iter()
            .zip(&found.losses)
            .map(|(there, here)| f64::from(there - here));
        let summary = Summary {
            reward: mean(&scores),
            rule: by_rule.map(|scores| mean(&scores)),
            divergence: gains.sum::<f64>() / count,
            entropy: found
                .entropies
                .iter()
                .map(|entropy| f64::from(*entropy))
                .sum::<f64>()
                / counted,
            length: counted / count,
            ended: ended as f64 / count,
        };
        let mut rollout = Rollout {
            advantages: vec![0.0; batch.inputs.len()],
            returns: vec![0.0; batch.inputs.len()],
            batch,
            old: found.losses,
            reference: expected,
            values: found.values,
            summary,
        };
        match how.advantages {
            Advantages::Estimated { gamma, lambda } => {
                rollout.estimate(&rows, &scores, coefficient, gamma, lambda);
            }
            Advantages::Grouped(size) => {
                let advantages = losses::group_advantages(&scores, size);
                for (cells, advantage) in rollout.spans(&rows).into_iter().zip(advantages) {
                    rollout.advantages[cells].fill(advantage);
                }
            }
        }
        rollout
    }

    /// Where the tokens of each response are.
    fn spans(&self, rows: &[&Encoded]) -> Vec<std::ops::Range<usize>> {
        let length = self.batch.length;
        let span = |(row, all): (usize, &&Encoded)| {
            row * length + all.prompt - 1..row * length + all.ids.len() - 1
        };
        rows.iter().enumerate().map(span).collect()
    }

    fn estimate(
        &mut self,
        rows: &[&Encoded],
        scores: &[f64],
        coefficient: f64,
        gamma: f64,
        lambda: f64,
    ) {
        let spans = self.spans(rows);
        for (cells, score) in spans.iter().zip(scores) {
            let gain = |cell: usize| f64::from(self.reference[cell] - self.old[cell]);
            let mut rewards: Vec<f64> = cells
                .clone()
                .map(|cell| -coefficient * gain(cell))
                .collect();
            if let Some(last) = rewards.last_mut() {
                *last += score;
            }
            let values: Vec<f64> = self.values[cells.clone()]
                .iter()
                .map(|value| f64::from(*value))
                .collect();
            let found = losses::advantages(&rewards, &values, gamma, lambda);
            for ((cell, advantage), value) in cells.clone().zip(found).zip(values) {
                self.advantages[cell] = advantage;
                self.returns[cell] = advantage + value;
            }
        }
        let mut all: Vec<f64> = spans
            .iter()
            .flat_map(|cells| &self.advantages[cells.clone()])
            .copied()
            .collect();
        losses::whiten(&mut all);
        let cells = spans.into_iter().flatten();
        for (cell, advantage) in cells.zip(all) {
            self.advantages[cell] = advantage;
        }
    }

    /// The batch of some of its rows.
    pub(super) fn rows(&self, rows: &[u32]) -> Batch {
        let length = self.batch.length;
        let gather = |all: &[u32]| -> Vec<u32> {
            let row = |row: &u32| &all[*row as usize * length..][..length];
            rows.iter().flat_map(row).copied().collect()
        };
        Batch {
            sequences: rows.len(),
            length,
            inputs: gather(&self.batch.inputs),
            targets: gather(&self.batch.targets),
        }
    }

    /// Whether a cell holds a token of a response.
    pub(super) fn counts(&self, cell: usize) -> bool {
        self.batch.targets[cell] != IGNORED
    }
}
