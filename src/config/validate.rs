//! Values that the types allow and no training can use: every field's range, and combinations that contradict each other.

use serde_json::Value;

use super::Config;
use super::error::Problem;
use super::posttraining::{Algorithm, Judge};
use super::schema::{Method, Mode, Parallel};

/// Tokens of one step at most: some twenty times what the largest models take.
const MOST_TOKENS: usize = 1 << 26;

/// Everything wrong with the values, in the order of the file.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut check = Check::default();
    model(config, &mut check);
    training(config, &mut check);
    adamw(config, &mut check);
    schedule(config, &mut check);
    methods(config, &mut check);
    posttraining(config, &mut check);
    paths(config, &mut check);
    check.problems
}

#[derive(Default)]
struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn say(&mut self, path: &str, message: String) {
        self.problems.push(Problem::new(path, message));
    }

    fn whole(&mut self, path: &str, value: usize, min: usize, max: usize) {
        if !(min..=max).contains(&value) {
            self.say(path, format!("must be from {min} to {max}, not {value}"));
        }
    }

    fn whole_or_null(&mut self, path: &str, value: Option<usize>, min: usize, max: usize) {
        if let Some(value) = value {
            self.whole(path, value, min, max);
        }
    }

    fn real(&mut self, path: &str, value: f64, min: f64, max: f64) {
        // Written so that NaN fails.
        if !(min..=max).contains(&value) {
            self.say(path, format!("must be from {min} to {max}, not {value}"));
        }
    }

    fn real_or_null(&mut self, path: &str, value: Option<f64>, min: f64, max: f64) {
        if let Some(value) = value {
            self.real(path, value, min, max);
        }
    }
}

fn model(config: &Config, check: &mut Check) {
    let model = &config.model;
    // The limits are far beyond what one machine trains; with them, and with that of a batch's tokens, no product of sizes overflows.
    check.whole("model.d_model", model.d_model, 1, 65_536);
    check.whole("model.num_heads", model.num_heads, 1, 4_096);
    check.whole("model.num_layers", model.num_layers, 1, 1_000);
    check.whole("model.d_ff", model.d_ff, 1, 262_144);
    // A tokenizer needs 257; ids, which may be given at the command line, need not be as many.
    check.whole("model.vocab_size", model.vocab_size, 1, 1_000_000);
    check.whole_or_null("model.num_classes", model.num_classes, 2, 1_000_000);
    check.whole_or_null("model.context", model.context, 1, 65_536);
    if model.num_heads > 0 && !model.d_model.is_multiple_of(model.num_heads) {
        let heads = nearest_divisors(model.d_model, model.num_heads);
        let message = format!(
            "{} heads do not divide model.d_model {}: nearest that do are {heads}",
            model.num_heads, model.d_model
        );
        check.say("model.num_heads", message);
    }
    if let Some(context) = model.context
        && context < config.training.max_length
    {
        let message = format!(
            "{context} positions are fewer than training.max_length {}: raise it, or set it to null to follow max_length",
            config.training.max_length
        );
        check.say("model.context", message);
    }
}

fn training(config: &Config, check: &mut Check) {
    let training = &config.training;
    check.real("training.learning_rate", training.learning_rate, 1e-9, 10.0);
    check.whole("training.batch_size", training.batch_size, 1, 65_536);
    check.whole("training.num_epochs", training.num_epochs, 1, 1_000_000);
    check.whole("training.max_length", training.max_length, 2, 65_536);
    let tokens = training.batch_size.saturating_mul(training.max_length);
    if tokens > MOST_TOKENS {
        let message = format!(
            "{} sequences of training.max_length {} are more than {MOST_TOKENS} tokens in a step",
            training.batch_size, training.max_length
        );
        check.say("training.batch_size", message);
    }
    let steps = 1_000_000_000;
    check.whole_or_null("training.max_steps", training.max_steps, 1, steps);
    check.whole_or_null("training.warmup_steps", training.warmup_steps, 0, steps);
    check.whole_or_null(
        "training.validation_every",
        training.validation_every,
        1,
        steps,
    );
    check.whole_or_null(
        "training.validation_batches",
        training.validation_batches,
        1,
        steps,
    );
    check.whole_or_null(
        "training.checkpoint_every",
        training.checkpoint_every,
        1,
        steps,
    );
    check.whole(
        "training.keep_checkpoints",
        training.keep_checkpoints,
        1,
        1_000_000,
    );
    check.whole_or_null("training.threads", training.threads, 1, 4_096);
    check.real(
        "training.validation_split",
        training.validation_split,
        0.0,
        0.5,
    );
    if training.parallel == Some(Parallel::Sequences) && !config.may_share_sequences() {
        let message = "sequences cannot be shared out where a loss compares the sequences of a batch: use operators or null";
        check.say("training.parallel", message.to_owned());
    }
    if let Some(micro) = training.micro_batch {
        if micro == 0 || micro > training.batch_size {
            let message = format!(
                "must be from 1 to training.batch_size {}, not {micro}",
                training.batch_size
            );
            check.say("training.micro_batch", message);
        } else if !training.batch_size.is_multiple_of(micro) {
            let sizes = nearest_divisors(training.batch_size, micro);
            let message = format!(
                "{micro} does not divide training.batch_size {}: nearest that do are {sizes}",
                training.batch_size
            );
            check.say("training.micro_batch", message);
        }
    }
    if let (Some(warmup), Some(steps)) = (training.warmup_steps, training.max_steps)
        && warmup > steps
    {
        let message = format!("{warmup} steps of warm-up are more than training.max_steps {steps}");
        check.say("training.warmup_steps", message);
    }
}

fn adamw(config: &Config, check: &mut Check) {
    let training = &config.training;
    let below_one = 1.0 - f64::EPSILON;
    check.real("training.weight_decay", training.weight_decay, 0.0, 1.0);
    check.real("training.beta1", training.beta1, 0.0, below_one);
    check.real("training.beta2", training.beta2, 0.0, below_one);
    check.real("training.epsilon", training.epsilon, 1e-12, 0.1);
    check.real_or_null("training.clip_norm", training.clip_norm, 1e-6, 1e6);
    check.real("training.dropout", training.dropout, 0.0, 0.95);
    check.real_or_null("training.spike_sigmas", training.spike_sigmas, 0.1, 1e6);
    check.whole("training.spike_window", training.spike_window, 4, 10_000);
    check.whole("training.max_skips", training.max_skips, 1, 1_000_000);
}

fn schedule(config: &Config, check: &mut Check) {
    let schedule = &config.training.schedule;
    let path = |key: &str| format!("training.schedule.{key}");
    let given = serde_json::to_value(schedule).unwrap_or_default();
    let used = serde_json::to_value(schedule.rule()).unwrap_or_default();
    for (key, value) in given.as_object().into_iter().flatten() {
        if *value != Value::Null && used.get(key).is_none() {
            let kind = used["kind"].as_str().unwrap_or_default();
            check.say(
                &path(key),
                format!("is no parameter of the schedule {kind}: remove it"),
            );
        }
    }
    check.real_or_null(&path("min_ratio"), schedule.min_ratio, 0.0, 1.0);
    check.whole_or_null(&path("first"), schedule.first, 1, 1_000_000_000);
    check.real_or_null(&path("growth"), schedule.growth, 1.0, 1_000.0);
    check.real_or_null(&path("factor"), schedule.factor, 1e-6, 1.0);
    check.real_or_null(&path("threshold"), schedule.threshold, 0.0, 0.5);
    check.real_or_null(&path("rising"), schedule.rising, 0.0, 1.0);
    check.real_or_null(&path("start_divisor"), schedule.start_divisor, 1.0, 1e6);
    check.real_or_null(&path("end_divisor"), schedule.end_divisor, 1.0, 1e9);
    check.real_or_null(&path("gamma"), schedule.gamma, 1e-6, 1.0);
    check.whole_or_null(&path("every"), schedule.every, 1, 1_000_000_000);
}

fn methods(config: &Config, check: &mut Check) {
    let mode = match config.computation.method {
        Method::Autoregressive | Method::MaskedLm | Method::Contrastive => Mode::Pretraining,
        Method::FineTuning | Method::ChainOfThought | Method::Rlhf => Mode::Posttraining,
    };
    if config.computation.mode != mode {
        let name = serde_json::to_value(mode).unwrap_or_default();
        let message = format!(
            "{} is a method of {}: set computation.mode to it",
            config.computation.method,
            name.as_str().unwrap_or_default()
        );
        check.say("computation.mode", message);
    }
    let training = &config.training;
    check.real_or_null(
        "training.mask_probability",
        training.mask_probability,
        1e-6,
        1.0,
    );
    check.real_or_null("training.temperature", training.temperature, 1e-6, 100.0);
    check.real_or_null("training.clip_epsilon", training.clip_epsilon, 1e-6, 1.0);
    check.real_or_null(
        "training.kl_coefficient",
        training.kl_coefficient,
        0.0,
        100.0,
    );
}

fn posttraining(config: &Config, check: &mut Check) {
    let (post, batch) = (&config.posttraining, config.training.batch_size);
    let path = |key: &str| format!("posttraining.{key}");
    check.whole(&path("examples"), post.examples, 2, 100_000_000);
    check.whole(&path("difficulty"), post.difficulty, 1, 1_000);
    check.whole(&path("response_length"), post.response_length, 1, 65_536);
    check.whole(&path("rollouts"), post.rollouts, 1, 65_536);
    check.whole(&path("update_epochs"), post.update_epochs, 1, 1_000);
    check.whole(&path("group_size"), post.group_size, 2, 65_536);
    check.real(&path("gamma"), post.gamma, 0.0, 1.0);
    check.real(&path("gae_lambda"), post.gae_lambda, 0.0, 1.0);
    check.real(
        &path("value_coefficient"),
        post.value_coefficient,
        0.0,
        100.0,
    );
    check.real(&path("value_clip"), post.value_clip, 1e-6, 1e6);
    check.real(
        &path("entropy_coefficient"),
        post.entropy_coefficient,
        0.0,
        100.0,
    );
    check.real_or_null(&path("target_kl"), post.target_kl, 1e-6, 1e6);
    check.real(&path("beta"), post.beta, 1e-6, 100.0);
    let algorithm = config.algorithm();
    if !matches!(algorithm, Some(Algorithm::Ppo | Algorithm::Grpo)) {
        return;
    }
    if batch > 0 && !post.rollouts.is_multiple_of(batch) {
        let message = format!(
            "must be a multiple of training.batch_size {batch}, not {}",
            post.rollouts
        );
        check.say(&path("rollouts"), message);
    }
    if algorithm == Some(Algorithm::Grpo)
        && post.group_size > 0
        && !post.rollouts.is_multiple_of(post.group_size)
    {
        let message = format!(
            "{} does not divide posttraining.rollouts {}",
            post.group_size, post.rollouts
        );
        check.say(&path("group_size"), message);
    }
    if post.judge() == Judge::Model && post.reward_model.is_none() {
        check.say(
            &path("reward_model"),
            "is missing: name the folder of a trained reward model".into(),
        );
    }
}

fn paths(config: &Config, check: &mut Check) {
    let data = &config.data;
    let paths = [
        ("data.input_file", &data.input_file),
        ("data.tokens", &data.tokens),
        ("data.output_dir", &data.output_dir),
        ("data.pretrained_weights", &data.pretrained_weights),
        ("data.training_data", &data.training_data),
        ("data.reasoning_examples", &data.reasoning_examples),
        ("data.preference_data", &data.preference_data),
        (
            "posttraining.reward_model",
            &config.posttraining.reward_model,
        ),
    ];
    for (key, path) in paths {
        if path
            .as_ref()
            .is_some_and(|path| path.trim().is_empty() || path.contains('\0'))
        {
            check.say(key, "is no path: give one, or null".into());
        }
    }
    if data.input_file.is_some() && data.tokens.is_some() {
        let message = "data.input_file is given too: train on text or on ids";
        check.say("data.tokens", message.into());
    }
}

/// The divisors of `whole` next to `wanted`, as text: `6 and 8`; none above the largest size that is allowed, however large both are.
fn nearest_divisors(whole: usize, wanted: usize) -> String {
    let most = whole.min(65_536);
    let divides = |part: &usize| whole.is_multiple_of(*part);
    let below = (1..wanted.min(most + 1)).rev().find(divides);
    let above = (wanted.min(most) + 1..=most).find(divides);
    let found: Vec<String> = [below, above]
        .into_iter()
        .flatten()
        .map(|size| size.to_string())
        .collect();
    found.join(" and ")
}
