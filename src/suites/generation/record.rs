//! The names and numbers of the suite.

use super::arms::{Arm, Model, Work};
use crate::measure::session::Samples;
use crate::stats::{Interval, bootstrap};
use crate::suites::quantity::{BATCH_GAIN, GBPS, SHARE_OF_BANDWIDTH, TOKENS_PER_SECOND};
use crate::suites::{Curve, Recorder};

/// Records each arm; `samples` of the same round belong together.
pub(super) fn record(
    recorder: &mut Recorder,
    case: &str,
    model: &Model,
    arms: &[Arm<'_>],
    samples: &[Samples],
) {
    let with = |threads: usize, work: Work| {
        let place = arms
            .iter()
            .position(|arm| arm.threads() == threads && arm.work == work)?;
        Some(samples[place].seconds.as_slice())
    };
    let mut curves: Vec<(usize, Curve)> = Vec::new();
    for (arm, samples) in arms.iter().zip(samples) {
        let (threads, seconds) = (arm.threads(), samples.seconds.as_slice());
        let read = with(threads, Work::Read).unwrap_or_default();
        let one = with(threads, Work::Texts(1)).unwrap_or_default();
        match arm.work {
            Work::Read => {
                let subject = format!("generation.{case}.weights.t{threads}");
                let how = format!(
                    "reading {:.1} MB, as much as the weights have, {} times, in parts by all threads; median of {} runs",
                    model.bytes() / 1e6,
                    model.window().1,
                    seconds.len()
                );
                let rates = each(seconds, |seconds| {
                    model.bytes() * model.window().1 as f64 / seconds / 1e9
                });
                median(recorder, &subject, GBPS, &rates, how);
            }
            Work::Prompt => {
                let subject = format!("generation.{case}.prompt.t{threads}");
                let how = format!(
                    "a prompt of {} tokens read at once, and the first token chosen; median of {} runs",
                    model.prompt(),
                    seconds.len()
                );
                let rates = each(seconds, |seconds| arm.tokens() as f64 / seconds);
                median(recorder, &subject, TOKENS_PER_SECOND, &rates, how);
            }
            Work::Texts(texts) => {
                let subject = format!("generation.{case}.b{texts}.t{threads}");
                let (before, count) = model.window();
                let how = format!(
                    "{texts} at once, {count} tokens of each after {before}; median of {} runs",
                    seconds.len()
                );
                let rates = each(seconds, |seconds| arm.tokens() as f64 / seconds);
                let speed = median(recorder, &subject, TOKENS_PER_SECOND, &rates, how);
                let shares = pairs(read, seconds, |read, run| read / run);
                let how = "time to read as many bytes as the weights have, once a token, over the time of the tokens in the same round";
                median(recorder, &subject, SHARE_OF_BANDWIDTH, &shares, how.into());
                if texts > 1 {
                    let gains = pairs(one, seconds, |one, run| texts as f64 * one / run);
                    let how = "tokens a second over those of one text in the same round";
                    median(recorder, &subject, BATCH_GAIN, &gains, how.into());
                }
                if let Some(speed) = speed {
                    let place = match curves.iter().position(|(of, _)| *of == threads) {
                        Some(place) => place,
                        None => {
                            curves.push((threads, Curve::over("texts")));
                            curves.len() - 1
                        }
                    };
                    curves[place].1.push(texts as f64, speed);
                }
            }
        }
    }
    for (threads, curve) in curves {
        let subject = format!("generation.{case}.t{threads}");
        let how = "tokens a second of all texts that are written at once";
        recorder.curve(&subject, TOKENS_PER_SECOND, curve, how);
    }
}

fn each(seconds: &[f64], f: impl Fn(f64) -> f64) -> Vec<f64> {
    seconds.iter().map(|seconds| f(*seconds)).collect()
}

fn pairs(one: &[f64], other: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    one.iter()
        .zip(other)
        .map(|(one, other)| f(*one, *other))
        .collect()
}

fn median(
    recorder: &mut Recorder,
    subject: &str,
    quantity: crate::suites::quantity::Quantity,
    samples: &[f64],
    how: String,
) -> Option<Interval> {
    let interval = bootstrap::median_interval(samples, 1);
    match interval {
        Some(interval) => recorder.measured(subject, quantity, interval, how),
        None => recorder.missing(
            subject,
            quantity,
            "the run was stopped before its first round",
        ),
    }
    interval
}
