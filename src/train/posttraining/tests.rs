//! Gradients of every objective along themselves, log-probabilities before the first update, and steps that repeat to the bit.

use std::sync::Arc;

use super::judge::{Judge, Prompt, Rule};
use super::policy::{Policy, Reinforcement};
use super::preferences::{Comparison, Preferences};
use super::rollout::{Advantages, write};
use super::writing::Responses;
use crate::kernels::Isa;
use crate::kernels::gemm::Caches;
use crate::model::{KvCache, Shape, Switches, Unobserved};
use crate::parallel::Pool;
use crate::text::Tokenizer;
use crate::text::examples::{Encoded, Parts, sentence, sentence_prompt};
use crate::train::task::{Task, Turn};
use crate::train::{Optimizer, Plan, Sharing, Trainer};

const SHAPE: Shape = Shape {
    vocab_size: 304,
    context: 48,
    d_model: 16,
    heads: 2,
    layers: 2,
    d_ff: 32,
    tied: true,
    scalar_head: true,
};

fn trainer(scalar_head: bool, seed: u64) -> Trainer {
    let plan = Plan {
        shape: Shape {
            scalar_head,
            ..SHAPE
        },
        batch: 8,
        length: 48,
        micro_batch: 4,
        optimizer: Optimizer::default(),
        dropout: 0.0,
        recompute: false,
        by_sequences: false,
        isa: Isa::best(),
        caches: Caches::default(),
        workers: 1,
        switches: Switches::default(),
        sharing: Sharing::default(),
    };
    let mut trainer = Trainer::new(&plan, Arc::new(Pool::new(&[0]).unwrap()), seed).unwrap();
    // Larger weights, so that the model has opinions.
    let [weights, ..] = trainer.restore(0);
    weights.values.iter_mut().for_each(|value| *value *= 3.0);
    trainer
}

fn rule() -> Rule {
    let text: String = (0..400)
        .map(|index| sentence(0, index, 0) + " " + &sentence_prompt(0, index) + "\n")
        .collect();
    let plain = Tokenizer::train(&[text], 300).unwrap();
    let (tokenizer, parts) = Parts::extend(&plain).unwrap();
    Rule { tokenizer, parts }
}

fn prompts(rule: &Rule) -> Vec<Prompt> {
    let mut encoder = rule.tokenizer.encoder();
    let prompt = |index| Prompt {
        ids: rule
            .parts
            .bare_question(&mut encoder, &sentence_prompt(1, index)),
        answer: None,
    };
    (0..40).map(prompt).collect()
}

fn pairs(rule: &Rule) -> Vec<[Encoded; 2]> {
    let mut encoder = rule.tokenizer.encoder();
    let mut of = |index, which| {
        let (prompt, text) = (sentence_prompt(1, index), sentence(1, index, which));
        let mut all = rule.parts.response(&mut encoder, &prompt, &text);
        all.ids.truncate(47);
        all
    };
    (0..24).map(|index| [of(index, 1), of(index, 2)]).collect()
}

fn how(advantages: Advantages) -> Reinforcement {
    Reinforcement {
        rollouts: 16,
        responses: Responses {
            together: 5,
            end: rule().parts.end,
            longest: 20,
        },
        epochs: 2,
        batch: 8,
        advantages,
        clip: 0.2,
        value_clip: 0.2,
        value_coefficient: 0.5,
        entropy_coefficient: 0.01,
        kl_coefficient: 0.1,
        target_kl: Some(3.0),
        seed: 5,
    }
}

const PPO: Advantages = Advantages::Estimated {
    gamma: 0.99,
    lambda: 0.9,
};

fn policy(advantages: Advantages) -> Policy {
    let rule = rule();
    let prompts = prompts(&rule);
    let judge = Judge {
        rule: Some(rule),
        model: None,
    };
    Policy::new(how(advantages), prompts, Box::new(trainer(false, 1)), judge)
}

fn turn(step: u64) -> Turn {
    Turn {
        step,
        learning_rate: 1e-3,
        limit: f64::INFINITY,
    }
}

/// The rise of a loss along its gradient, by differences, is the gradient's length.
#[track_caller]
fn check(trainer: &mut Trainer, mut loss: impl FnMut(&mut Trainer) -> f64) {
    loss(trainer);
    let gradient: Vec<f32> = trainer.gradients().values.to_vec();
    let length = gradient
        .iter()
        .map(|x| f64::from(*x).powi(2))
        .sum::<f64>()
        .sqrt();
    assert!(length > 1e-3, "a gradient of {length}");
    let start: Vec<f32> = trainer.parameters().values.to_vec();
    let mut at = |distance: f64| {
        let [weights, ..] = trainer.restore(0);
        for (value, (start, slope)) in weights.values.iter_mut().zip(start.iter().zip(&gradient)) {
            *value = start + (distance * f64::from(*slope) / length) as f32;
        }
        loss(trainer)
    };
    let rise = (at(5e-3) - at(-5e-3)) / 1e-2;
    assert!(
        (rise - length).abs() < 0.01 * length,
        "a rise of {rise} for a gradient of {length}"
    );
}

#[test]
fn gradients_of_preferences_are_what_the_losses_rise_by() {
    let pairs = pairs(&rule());
    let mut model = trainer(true, 1);
    let mut task = Preferences::new(pairs.clone(), Vec::new(), 4, 1, Comparison::Reward);
    check(&mut model, |model| task.gradient(model, 0));
    let by = Comparison::Likelihood {
        reference: Box::new(trainer(false, 2)),
        beta: 0.3,
    };
    let mut task = Preferences::new(pairs, Vec::new(), 4, 1, by);
    check(&mut trainer(false, 1), |model| task.gradient(model, 0));
}

#[test]
fn gradients_of_policies_are_what_the_losses_rise_by() {
    for advantages in [PPO, Advantages::Grouped(4)] {
        let mut task = policy(advantages);
        let mut model = trainer(advantages == PPO, 1);
        let rollout = task.rollout(&mut model, 0).0;
        // Away from where the rollout was written, so that ratios are not 1.
        let [weights, ..] = model.restore(0);
        weights
            .values
            .iter_mut()
            .zip(0..)
            .for_each(|(value, place)| *value *= 1.0 + 0.02 * f32::sin(place as f32));
        check(&mut model, |model| task.gradient(model, &rollout));
    }
}

#[test]
fn a_rollout_is_what_the_policy_says_of_it() {
    let mut task = policy(PPO);
    let mut model = trainer(true, 1);
    let (rollout, _) = task.rollout(&mut model, 0);
    assert_eq!(
        model.read(&rollout.batch).losses,
        rollout.old,
        "before the first update"
    );
    assert!(
        rollout.summary.divergence.abs() < 1e-9,
        "the reference is the policy"
    );
    let rule = rule();
    let prompts = prompts(&rule);
    let asked: Vec<&Prompt> = prompts.iter().take(3).collect();
    let all = write(&mut model, &asked, &how(PPO).responses, 9);
    assert_eq!(all, write(&mut model, &asked, &how(PPO).responses, 9));
    for text in &all {
        let mut batch = crate::train::Batch::default();
        super::supervised::fill(&mut batch, &[text], 48);
        let trained = model.read(&batch).losses;
        let shape = *model.shape();
        let written: Vec<f64> = model.write(|compute, weights| {
            let mut cache = KvCache::new(compute.isa, &shape, 1);
            let mut loss = |place: usize| {
                let logits = cache.read(compute, weights, &[(0, &text.ids[place..=place])]);
                let sum: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
                sum.ln() - f64::from(logits[text.ids[place + 1] as usize])
            };
            (0..text.ids.len() - 1).map(&mut loss).collect()
        });
        for place in text.prompt - 1..text.ids.len() - 1 {
            let (a, b) = (f64::from(trained[place]), written[place]);
            assert!((a - b).abs() < 1e-5, "{a} in training, {b} in writing");
        }
    }
}

#[test]
fn steps_repeat_and_go_on_to_the_same_bits() {
    for advantages in [PPO, Advantages::Grouped(4)] {
        let run = |steps: std::ops::Range<u64>, model: &mut Trainer, memory: Option<f64>| {
            let mut task = policy(advantages);
            memory.into_iter().for_each(|memory| task.recall(memory));
            for step in steps {
                let report = task.step(model, turn(step), &mut Unobserved);
                assert_eq!(report.skipped, None);
            }
            task.memory()
        };
        let fresh = || trainer(advantages == PPO, 1);
        let (mut whole, mut parts, mut again) = (fresh(), fresh(), fresh());
        run(0..3, &mut whole, None);
        run(0..3, &mut again, None);
        assert_eq!(*whole.parameters().values, *again.parameters().values);
        let memory = run(0..2, &mut parts, None);
        assert_ne!(*whole.parameters().values, *parts.parameters().values);
        run(2..3, &mut parts, memory);
        assert_eq!(*whole.parameters().values, *parts.parameters().values);
    }
}
