//! The tasks of post-training: examples, preferences, and rewards with the frozen models that they need.

use std::path::Path;
use std::sync::Arc;

use super::super::super::outcome::Failure;
use super::super::super::text_source::say;
use super::super::super::trained::Trained;
use super::super::super::workers::Workers;
use super::super::examples::{self, Examples, Pairs};
use super::Material;
use crate::config::{Algorithm, Config, Judge as WhoJudges};
use crate::model::Shape;
use crate::text::examples::Parts;
use crate::text::{Key, Tokenizer};
use crate::train::posttraining::{
    Advantages, Comparison, Judge, Policy, Preferences, Reinforcement, Responses, Rule, Supervised,
};
use crate::train::task::Task;
use crate::train::{Plan, Trainer, digest};

/// Responses that are written together.
const TOGETHER: usize = 64;

/// What the configuration teaches.
///
/// # Errors
/// When examples, or the models that they are judged by, cannot be used.
pub(super) fn taught(
    config: &Config,
    algorithm: Algorithm,
    workers: &Workers,
    plan: &Plan,
    tokenizer: Tokenizer,
    parts: Parts,
) -> Result<Material, Failure> {
    let (batch, seed) = (config.training.batch_size, config.training.seed);
    let (task, key, source): (Box<dyn Task>, Key, String) = match algorithm {
        Algorithm::Supervised => {
            let found = examples::examples(config, &tokenizer, parts)?;
            let Examples {
                learnt, held_out, ..
            } = found;
            let task = Supervised::new(learnt, held_out, batch, seed);
            (Box::new(task), found.key, found.source)
        }
        Algorithm::RewardModel => {
            let found = examples::pairs(config, &tokenizer, parts)?;
            let Pairs {
                learnt, held_out, ..
            } = found;
            let task = Preferences::new(learnt, held_out, batch, seed, Comparison::Reward);
            (Box::new(task), found.key, found.source)
        }
        Algorithm::Dpo => {
            let found = examples::pairs(config, &tokenizer, parts)?;
            let (reference, key) = reference(config, workers, plan, found.key)?;
            let by = Comparison::Likelihood {
                reference,
                beta: config.posttraining.beta,
            };
            let task = Preferences::new(found.learnt, found.held_out, batch, seed, by);
            (Box::new(task), key, found.source)
        }
        Algorithm::Ppo | Algorithm::Grpo => {
            let found = examples::prompts(config, &tokenizer, parts)?;
            let (reference, key) = reference(config, workers, plan, found.key)?;
            let judge = judge(config, workers, plan, &tokenizer, parts, found.checkable)?;
            let how = reinforcement(config, algorithm, parts);
            let task = Policy::new(how, found.prompts, reference, judge);
            (Box::new(task), key, found.source)
        }
    };
    Ok(Material {
        tokenizer: Some(tokenizer),
        task,
        key,
        source,
        unigram_entropy: None,
    })
}

fn reinforcement(config: &Config, algorithm: Algorithm, parts: Parts) -> Reinforcement {
    let (post, training) = (&config.posttraining, &config.training);
    Reinforcement {
        rollouts: post.rollouts,
        responses: Responses {
            together: TOGETHER,
            end: parts.end,
            longest: post.response_length,
        },
        epochs: post.update_epochs,
        batch: training.batch_size,
        advantages: match algorithm {
            Algorithm::Grpo => Advantages::Grouped(post.group_size),
            _ => Advantages::Estimated {
                gamma: post.gamma,
                lambda: post.gae_lambda,
            },
        },
        clip: training.clip_epsilon.unwrap_or(0.2),
        value_clip: post.value_clip,
        value_coefficient: post.value_coefficient,
        entropy_coefficient: post.entropy_coefficient,
        kl_coefficient: training.kl_coefficient.unwrap_or(0.1),
        target_kl: post.target_kl,
        seed: training.seed,
    }
}

/// The model that the policy starts as, frozen, and the fingerprint of the data with its weights: a run that goes on must find both.
fn reference(
    config: &Config,
    workers: &Workers,
    plan: &Plan,
    data: Key,
) -> Result<(Box<Trainer>, Key), Failure> {
    let shape = Shape {
        scalar_head: false,
        ..plan.shape
    };
    // Without a model to start from, the policy has the random weights of its seed, and so has this.
    let frozen = match config.data.pretrained_weights.as_deref() {
        Some(path) => {
            let trained = Trained::open(Path::new(path))?;
            frozen(&trained, config, workers, plan, shape)?
        }
        None => untrained(config, workers, plan, shape)?,
    };
    let key = digest::of_weights(data, frozen.parameters());
    Ok((Box::new(frozen), key))
}

/// A model that is asked and never updated, with these weights.
///
/// # Errors
/// When there is no memory for it, or its weights are damaged or do not fit `shape`.
pub(crate) fn frozen(
    trained: &Trained,
    config: &Config,
    workers: &Workers,
    plan: &Plan,
    shape: Shape,
) -> Result<Trainer, Failure> {
    let mut frozen = untrained(config, workers, plan, shape)?;
    let [weights, ..] = frozen.restore(0);
    trained.fill_grown(weights)?;
    Ok(frozen)
}

/// The same with the random weights of the seed: its gradients and moments are planned, but memory that is never touched is never
/// taken.
fn untrained(
    config: &Config,
    workers: &Workers,
    plan: &Plan,
    shape: Shape,
) -> Result<Trainer, Failure> {
    let plan = Plan { shape, ..*plan };
    let pool = Arc::clone(&workers.pool);
    Trainer::new(&plan, pool, config.training.seed).map_err(Failure::failed)
}

/// Who judges responses.
fn judge(
    config: &Config,
    workers: &Workers,
    plan: &Plan,
    tokenizer: &Tokenizer,
    parts: Parts,
    checkable: bool,
) -> Result<Judge, Failure> {
    let rule = || -> Result<Rule, Failure> {
        let tokenizer = Tokenizer::from_json(tokenizer.json()).map_err(Failure::failed)?;
        Ok(Rule { tokenizer, parts })
    };
    let rule = if checkable { Some(rule()?) } else { None };
    let model = match (
        config.posttraining.judge(),
        &config.posttraining.reward_model,
    ) {
        (WhoJudges::Model, Some(path)) => Some(Box::new(reward_model(
            path, config, workers, plan, tokenizer,
        )?)),
        _ if rule.is_some() => None,
        _ => {
            let what = "no rule can judge responses to the prompts of data.preference_data";
            return Err(Failure::wrong_use(what)
                .help("train a reward model on it (posttraining.algorithm=reward_model) and name it by posttraining.reward_model"));
        }
    };
    Ok(Judge { rule, model })
}

fn reward_model(
    path: &str,
    config: &Config,
    workers: &Workers,
    plan: &Plan,
    tokenizer: &Tokenizer,
) -> Result<Trainer, Failure> {
    let trained = Trained::open(Path::new(path))?;
    if !trained.shape.scalar_head {
        let what = format!("the model in {path} gives no rewards");
        return Err(
            Failure::wrong_use(what).help("train one by posttraining.algorithm=reward_model")
        );
    }
    let same = trained
        .tokenizer
        .as_ref()
        .is_some_and(|other| other.key() == tokenizer.key());
    if !same || trained.shape.context < plan.length {
        let what = format!(
            "the reward model in {path} has another tokenizer or fewer positions than training.max_length {}",
            plan.length
        );
        return Err(Failure::wrong_use(what).help("train it from the same model as the policy"));
    }
    say(&format!("rewards by the model in {path}"));
    frozen(&trained, config, workers, plan, trained.shape)
}
