//! `posttraining`: what a pretrained model is taught, and how. Every key has a default; the methods `chain_of_thought` and `rlhf` read
//! them.

use serde::{Deserialize, Serialize};

use super::schema::{Computation, Method};

/// `posttraining`: how a pretrained model is trained further.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Posttraining {
    /// How; `null` is `supervised` for `chain_of_thought` and `ppo` for `rlhf`.
    pub algorithm: Option<Algorithm>,
    /// Whose examples are made where no file of examples is named.
    pub task: BuiltInTask,
    /// How many examples are made.
    pub examples: usize,
    /// Operations of a made problem: its difficulty.
    pub difficulty: usize,
    /// Learn answers without the steps to them.
    pub answers_only: bool,
    /// Tokens of a response that is written, at most.
    pub response_length: usize,
    /// Who judges responses, for `ppo` and `grpo`; `null` is `model` where `reward_model` names one, else `rule`.
    pub reward: Option<Judge>,
    /// The trained reward model: the folder of a run or one of its checkpoints.
    pub reward_model: Option<String>,
    /// Responses that are written in a step of `ppo` or `grpo`; a multiple of `training.batch_size`.
    pub rollouts: usize,
    /// Passes over the responses of a step.
    pub update_epochs: usize,
    /// Responses to one prompt that are compared with each other, for `grpo`; divides `rollouts`.
    pub group_size: usize,
    /// Discount of rewards that come later.
    pub gamma: f64,
    /// The share of an advantage that comes from later ones (lambda of generalized advantage estimation).
    pub gae_lambda: f64,
    /// Weight of the value's loss.
    pub value_coefficient: f64,
    /// How far a value may move from the one at the rollout before its loss is cut off.
    pub value_clip: f64,
    /// Weight of the entropy that is rewarded.
    pub entropy_coefficient: f64,
    /// The divergence from the reference, in nats a response, that `training.kl_coefficient` is steered to; `null` leaves it as it is.
    pub target_kl: Option<f64>,
    /// How strongly DPO holds on to the reference.
    pub beta: f64,
}

/// How a pretrained model is trained further.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Learn to say what the examples say.
    Supervised,
    /// Learn which of two responses is preferred (Bradley and Terry).
    RewardModel,
    /// Learn preferences without a reward model (Rafailov et al., arXiv 2305.18290).
    Dpo,
    /// Learn from rewards, with a value for every token (Schulman et al., arXiv 1707.06347).
    Ppo,
    /// Learn from rewards, each compared with those of its group (Shao et al., arXiv 2402.03300).
    Grpo,
}

/// Whose examples are made.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BuiltInTask {
    /// Problems of several operations, whose answers can be checked.
    Arithmetic,
    /// Lines of words, which a hidden rule prefers or not.
    Sentences,
}

/// Who judges a response.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// A trained reward model.
    Model,
    /// The rule of the built-in task: whether the answer is right, or the hidden rule.
    Rule,
}

impl Default for Posttraining {
    fn default() -> Posttraining {
        Posttraining {
            algorithm: None,
            task: BuiltInTask::Arithmetic,
            examples: 20_000,
            difficulty: 4,
            answers_only: false,
            response_length: 64,
            reward: None,
            reward_model: None,
            rollouts: 64,
            update_epochs: 4,
            group_size: 8,
            gamma: 1.0,
            gae_lambda: 0.95,
            value_coefficient: 0.1,
            value_clip: 0.2,
            entropy_coefficient: 0.0,
            target_kl: None,
            beta: 0.1,
        }
    }
}

impl Posttraining {
    /// The algorithm of this computation; `None` where it does not train a pretrained model further.
    pub fn algorithm(&self, computation: &Computation) -> Option<Algorithm> {
        match computation.method {
            Method::ChainOfThought => Some(Algorithm::Supervised),
            Method::Rlhf => Some(self.algorithm.unwrap_or(Algorithm::Ppo)),
            Method::Autoregressive
            | Method::MaskedLm
            | Method::Contrastive
            | Method::FineTuning => None,
        }
    }

    /// Who judges.
    pub fn judge(&self) -> Judge {
        match (self.reward, &self.reward_model) {
            (Some(judge), _) => judge,
            (None, Some(_)) => Judge::Model,
            (None, None) => Judge::Rule,
        }
    }
}
