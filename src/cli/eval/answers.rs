//! How many held-out problems a model answers exactly, or what the hidden rule says of its sentences.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use super::super::interrupt::Interrupt;
use super::super::outcome::{Exit, Failure};
use super::super::preparation::{self, is_bare, is_ruled, worked};
use super::super::text_source::say;
use super::super::trained::Trained;
use super::super::workers::Workers;
use super::Arguments;
use crate::config::{Algorithm, Config};
use crate::model::{Sampling, Shape};
use crate::text::Tokenizer;
use crate::text::examples::{Encoded, Parts, Worked, rule};
use crate::train::Plan;
use crate::train::posttraining::{Responses, divergence, held_out, respond};
use crate::units::{Ratio, grouped};

/// Problems that are answered together.
const TOGETHER: usize = 64;

/// Whether the model is one that answers problems, and nothing else was asked for.
pub(super) fn wanted(arguments: &Arguments, trained: &Trained) -> bool {
    let answers = |config: &Config| {
        let algorithm = config.algorithm();
        algorithm.is_some_and(|algorithm| algorithm != Algorithm::RewardModel)
    };
    let text = arguments.text || arguments.tokens.is_some() || arguments.logits.is_some();
    !text && trained.config.as_ref().is_some_and(answers)
}

/// Answers the problems and says how many answers are right.
pub(super) fn run(
    arguments: &Arguments,
    trained: &Trained,
    workers: &Workers,
) -> anyhow::Result<Exit> {
    let (Some(config), Some(tokenizer)) = (&trained.config, &trained.tokenizer) else {
        return Err(super::text_source::no_tokenizer().into());
    };
    let no_parts =
        || Failure::failed("the tokenizer lacks the tokens that tell the parts of problems");
    let parts = Parts::of(tokenizer).ok_or_else(no_parts)?;
    let problems = problems(arguments, config)?;
    let bare = is_bare(config);
    let prompts = prompts(&problems, tokenizer, parts, bare);
    let ruled = is_ruled(config) && arguments.data.is_none();
    let starts: Vec<(&[u32], Sampling)> = prompts
        .iter()
        .zip(0..)
        .map(|(prompt, seed)| (prompt.as_slice(), sampling(ruled, seed)))
        .collect();
    let how = Responses {
        together: TOGETHER,
        end: parts.end,
        longest: config.training.max_length,
    };
    let ready = trained.ready(workers)?;
    let interrupt = Interrupt::install()?;
    let (mut right, mut ended, mut asked) = (0, 0, 0);
    let (mut rewards, mut written) = (Vec::new(), Vec::new());
    let mut stdout = io::stdout().lock();
    for (problems, starts) in problems.chunks(TOGETHER).zip(starts.chunks(TOGETHER)) {
        let responses = workers.pool.assemble(|| {
            let (compute, weights) = (workers.compute(), ready.weights());
            respond(
                &compute,
                weights,
                &trained.shape,
                starts,
                &how,
                interrupt.stop(),
            )
        });
        if interrupt.stop().load(Ordering::Relaxed) {
            break;
        }
        for (place, (problem, response)) in problems.iter().zip(&responses).enumerate() {
            let found = if bare {
                Some(parts.text(tokenizer, response))
            } else {
                parts.answer_in(tokenizer, response)
            };
            let is_right = found.as_deref() == Some(problem.answer.as_str());
            if ruled {
                rewards.push(rule(&parts.text(tokenizer, response)));
            }
            if asked < arguments.show {
                show(
                    &mut stdout,
                    problem,
                    &parts.text(tokenizer, response),
                    is_right,
                )?;
            }
            if arguments.reference.is_some() {
                let ids = [starts[place].0, response].concat();
                let prompt = starts[place].0.len();
                written.push(Encoded { ids, prompt });
            }
            asked += 1;
            right += usize::from(is_right);
            ended += usize::from(response.last() == Some(&parts.end));
        }
    }
    let count = |number: usize| grouped(number as i64);
    let share = |part: usize| Ratio(part as f64 / asked.max(1) as f64);
    writeln!(stdout, "problems       {}", count(asked))?;
    if ruled {
        let [mean, deviation] = moments(&rewards);
        writeln!(
            stdout,
            "rule's reward  {mean:.3}, standard deviation {deviation:.3}"
        )?;
    } else {
        writeln!(stdout, "exact answers  {}, {}", count(right), share(right))?;
    }
    writeln!(stdout, "ended          {}, {}", count(ended), share(ended))?;
    if let Some(reference) = &arguments.reference {
        let divergence = gone(reference, trained, config, workers, &written)?;
        writeln!(stdout, "divergence     {divergence:.3} nats a response")?;
    }
    Ok(interrupt.exit())
}

/// How far the responses of a model have gone from what `reference` would have written.
fn gone(
    reference: &Path,
    trained: &Trained,
    config: &Config,
    workers: &Workers,
    written: &[Encoded],
) -> Result<f64, Failure> {
    // A response may take all the room that there is.
    let plan = Plan {
        length: trained.shape.context,
        ..preparation::plan(config, workers)
    };
    let shape = Shape {
        scalar_head: false,
        ..trained.shape
    };
    let other = Trained::open(reference)?;
    let same = other.tokenizer.as_ref().map(Tokenizer::key);
    if same != trained.tokenizer.as_ref().map(Tokenizer::key) {
        let what = format!("the model in {} has another tokenizer", reference.display());
        return Err(Failure::wrong_use(what).help("name the model that training started from"));
    }
    let mut policy = preparation::frozen(trained, config, workers, &plan, trained.shape)?;
    let mut reference = preparation::frozen(&other, config, workers, &plan, shape)?;
    Ok(divergence(&mut policy, &mut reference, written))
}

/// The likeliest token always; of sentences, which the rule judges, what the model's own distribution gives.
fn sampling(ruled: bool, seed: u64) -> Sampling {
    Sampling {
        repetition_penalty: 1.0,
        temperature: if ruled { 1.0 } else { 0.0 },
        top_k: 0,
        top_p: 1.0,
        seed,
    }
}

/// Mean and standard deviation.
fn moments(numbers: &[f64]) -> [f64; 2] {
    let count = numbers.len().max(1) as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    [mean, variance.sqrt()]
}

/// Those of --data, or those that were held out of the model's training.
fn problems(arguments: &Arguments, config: &Config) -> Result<Vec<Worked>, Failure> {
    let most = arguments.problems.map_or(usize::MAX, |most| most as usize);
    let mut problems = match &arguments.data {
        Some(path) => {
            let mut config = config.clone();
            config.data.reasoning_examples = Some(super::super::utf8(path)?);
            worked(&config)?.0
        }
        None => {
            let all = worked(config)?.0;
            let prompts: Vec<&str> = all.iter().map(|worked| worked.problem.as_str()).collect();
            let held = held_out(&prompts, config.training.validation_split);
            let held = all.iter().zip(held).filter(|(_, held)| *held);
            held.map(|(worked, _)| worked.clone()).collect()
        }
    };
    if problems.is_empty() {
        let what = "no problem was held out of this model's training (training.validation_split)";
        return Err(Failure::no_data(what).help("give problems by --data"));
    }
    problems.truncate(most);
    say(&format!(
        "{} problems to answer",
        grouped(problems.len() as i64)
    ));
    Ok(problems)
}

fn prompts(problems: &[Worked], tokenizer: &Tokenizer, parts: Parts, bare: bool) -> Vec<Vec<u32>> {
    let mut encoder = tokenizer.encoder();
    let prompt = |worked: &Worked| match bare {
        true => parts.bare_question(&mut encoder, &worked.problem),
        false => parts.question(&mut encoder, &worked.problem),
    };
    problems.iter().map(prompt).collect()
}

/// A problem, the response as the model wrote it, and what would have been right.
fn show(out: &mut impl Write, problem: &Worked, response: &str, right: bool) -> io::Result<()> {
    let verdict = if right { "right" } else { "wrong" };
    writeln!(out, "problem   {}", problem.problem)?;
    writeln!(out, "response  {}", response.replace('\n', "\n          "))?;
    writeln!(out, "{verdict}     the answer is {}\n", problem.answer)
}
