//! `loopos train --explain`: what a run would do and why, without training.

use std::fmt::Write;
use std::path::Path;

use super::super::outcome::Failure;
use super::super::preparation::{self, Forecast, Material};
use super::super::text_source::Vocabulary;
use super::super::trained::Trained;
use super::super::workers::Workers;
use crate::config::{Config, Parallel};
use crate::model::Layout;
use crate::train::Plan;
use crate::train::run::Settings;
use crate::train::schedule::Progress;
use crate::units::{Bytes, digits, grouped};

/// The plan of a run, line by line. Reads and encodes the text, and writes nothing but the cache.
///
/// # Errors
/// As for the run itself: what does not fit and what cannot be read is refused.
pub(super) fn explain(config: &Config) -> Result<String, Failure> {
    let workers = Workers::new(config.training.threads)?;
    let plan = preparation::plan(config, &workers);
    preparation::check_memory(config, &plan, &workers)?;
    let vocabulary = match &config.data.pretrained_weights {
        Some(path) => Vocabulary::of_model(Trained::open(Path::new(path))?.tokenizer),
        None => Vocabulary::Learnt(config.model.vocab_size),
    };
    let material = preparation::material(config, &workers, &plan, vocabulary)?;
    crate::tensor::return_freed_memory();
    let forecast = Forecast::now(config, &plan);
    let settings = preparation::settings(config, &*material.task);
    let sections = [
        model(&plan),
        machine(config, &workers),
        step(config, &plan, &workers),
        run(config, &plan, &settings, &material),
        memory(&plan, &forecast),
    ];
    Ok(sections.concat())
}

/// A row: what, and what about it.
fn row(name: &str, text: impl std::fmt::Display) -> String {
    format!("{name:<14} {text}\n")
}

fn count(number: usize) -> String {
    grouped(number as i64)
}

fn model(plan: &Plan) -> String {
    let shape = &plan.shape;
    let parameters = count(Layout::new(shape).parameter_count());
    let text = format!(
        "{parameters} parameters: {} layers of width {}, {} heads, {} tokens in the vocabulary",
        shape.layers,
        shape.d_model,
        shape.heads,
        count(shape.vocab_size)
    );
    row("model", text)
}

fn machine(config: &Config, workers: &Workers) -> String {
    let threads = workers.pool.cpus().len();
    let why = match config.training.threads {
        Some(_) => "as asked for",
        None => "one for each core that this process may use",
    };
    let cpus: Vec<String> = workers.pool.cpus().iter().map(usize::to_string).collect();
    let share = match config.training.parallel {
        Some(Parallel::Sequences) if threads > 1 => {
            "Each takes sequences of its own, and gradients are added up at the end of a step, as training.parallel or a profile says"
        }
        _ => {
            "Operators share out their work among all of them (training.parallel=sequences gives each sequences of its own; \
             `loopos tune` finds out which is faster)"
        }
    };
    let threads = format!(
        "{threads}: {why}; bound to CPU {}. {share}",
        cpus.join(", ")
    );
    let isa = format!("{} (LOOPOS_ISA forces another)", workers.isa.name());
    row("threads", threads) + &row("instructions", isa)
}

fn step(config: &Config, plan: &Plan, workers: &Workers) -> String {
    let (batch, length, micro) = (plan.batch, plan.length, plan.micro_batch);
    let tokens = format!(
        "{batch} sequences x {length} tokens = {} tokens, {}FLOP by the customary formula",
        count(batch * length),
        digits(plan.flops_per_step() / 1e9) + " G",
    );
    let why = match config.training.micro_batch {
        Some(_) => "as training.micro_batch says".to_owned(),
        None => format!(
            "the most that divide the batch and make no more than {} tokens (one at the least), for this width and number of layers: \
             enough that adding up gradients costs little beside the products, few enough that activations take little memory",
            Plan::micro_batch_tokens(&plan.shape)
        ),
    };
    let among = match plan.by_sequences && plan.workers > 1 {
        true => format!(" by {} threads together", plan.workers),
        false => String::new(),
    };
    let micro_batch = format!(
        "{micro} sequences at a time, {} times a step{among}: {why}",
        batch / micro
    );
    let caches = workers.caches;
    let caches = format!(
        "blocks of products are cut for {} of L1 and {} of L2 a thread",
        Bytes(caches.l1 as f64),
        Bytes(caches.l2 as f64)
    );
    let recompute = match plan.recompute {
        true => "backward computes the activations of blocks again (training.recompute)",
        false => "activations are kept for backward (training.recompute would compute them again)",
    };
    let dropout = match plan.dropout {
        0.0 => "none".to_owned(),
        rate => format!("{rate} of the embedding and of what attention and MLP add"),
    };
    row("step", tokens)
        + &row("micro-batch", micro_batch)
        + &row("caches", caches)
        + &row("activations", recompute)
        + &row("dropout", dropout)
}

fn run(config: &Config, plan: &Plan, settings: &Settings, material: &Material) -> String {
    let text = format!("{}: {}", material.source, material.task.describe());
    let steps = settings.steps;
    let each = material.task.steps(1);
    let length = format!(
        "{} steps, {} tokens; an epoch is {} steps",
        grouped(steps as i64),
        count(steps as usize * plan.batch * plan.length),
        count(each)
    );
    let rule = serde_json::to_value(config.training.schedule.rule()).unwrap_or_default();
    let mut schedule = rule["kind"].as_str().unwrap_or_default().to_owned();
    let rates = [
        0,
        steps / 100,
        steps / 10,
        steps / 2,
        steps.saturating_sub(1),
    ];
    for (index, step) in rates.into_iter().enumerate() {
        let rate = settings.schedule.rate(step, &Progress::default());
        let lead = if index == 0 { ": " } else { ", " };
        // Writing to a string does not fail.
        let _ = write!(schedule, "{lead}{rate:.2e} at step {}", step + 1);
    }
    let guard = &settings.guard;
    let spikes = match guard.spike_sigmas {
        Some(sigmas) => format!(
            "; so is a loss {sigmas} robust standard deviations above the median of the last {}",
            guard.window
        ),
        None => String::new(),
    };
    let skips = format!(
        "a loss or gradient that is not finite is left out{spikes}; {} steps in a row end the run",
        guard.most_skips
    );
    row("text", text)
        + &row("length", length)
        + &row("learning rate", schedule)
        + &row("guard", skips)
}

fn memory(plan: &Plan, forecast: &Forecast) -> String {
    let mut text = row("memory", format!("about {}:", forecast.total()));
    for (role, bytes) in &forecast.roles {
        text += &row("", format!("{role:<12} {}", Bytes(*bytes as f64)));
    }
    let other = Plan {
        recompute: !plan.recompute,
        ..*plan
    };
    let other = Bytes(other.memory().activations as f64);
    let which = if plan.recompute { "without" } else { "with" };
    text + &row(
        "",
        format!("activations {which} training.recompute: {other}"),
    )
}
