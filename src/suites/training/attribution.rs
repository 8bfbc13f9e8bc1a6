//! Why a step is not faster: the gap between MFU and one, divided among named reasons that add up to it.
//!
//! With the peak `P` of the same threads, a step of `t` seconds has `1 - MFU = (t - F / P) / t`, `F` being the model's arithmetic. Each
//! operator contributes its time above `f / P`, `f` being what it declares to compute. Where one thread was measured too, an
//! operator's time on one thread, sped up as much as the peak is, splits that into what the kernel loses and what threads lose.
//! Differences between `f` and the model's formula are a reason of their own (the masked half of attention is not computed), and
//! what lies between operators is another. Time in which the threads had no CPU, which [`super::others`] knows, is taken out of all of
//! them in proportion: nobody knows which operator it fell into.

use crate::kernels::Cost;
use crate::units::{Bytes, Ratio, Seconds, digits};

/// One operator in one pass: its time and declared cost in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) operator: &'static str,
    pub(super) pass: &'static str,
    /// Seconds of a step.
    pub(super) seconds: f64,
    /// Seconds of the same on one thread, where that was measured.
    pub(super) alone: Option<f64>,
    /// What the operator declares.
    pub(super) cost: Cost,
    /// What the model's formula says.
    pub(super) model_flops: f64,
}

/// A step and what it is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) threads: usize,
    pub(super) seconds: f64,
    /// FLOP/s of these threads.
    pub(super) peak: f64,
    /// FLOP/s of one thread.
    pub(super) peak_alone: f64,
    /// Bytes a second from memory, on these threads.
    pub(super) bandwidth: Option<f64>,
    /// Share of the step that the threads had a CPU for.
    pub(super) kept: f64,
    /// The same of the step on one thread.
    pub(super) kept_alone: f64,
}

/// One reason with its share of the step's time and its evidence; a negative share is time saved.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Loss {
    pub(super) reason: &'static str,
    pub(super) share: f64,
    /// What was measured, and what would give the time back.
    pub(super) how: String,
    /// What to try, in one sentence.
    pub(super) advice: Option<&'static str>,
}

/// A kind of operator: what its lost time is called and what helps.
struct Kind {
    reason: &'static str,
    operators: &'static [&'static str],
    what: &'static str,
    limit: Limit,
    advice: &'static str,
}

/// What an operator should be limited by.
#[derive(Clone, Copy, PartialEq)]
enum Limit {
    Arithmetic,
    Memory,
}

const KINDS: &[Kind] = &[
    Kind {
        reason: "gemm_below_peak",
        operators: &["qkv", "attention_out", "mlp_up", "mlp_down"],
        what: "The projections of the blocks",
        limit: Limit::Arithmetic,
        advice: "Larger micro-batches or a wider model make matrices that fill the register tiles better.",
    },
    Kind {
        reason: "head_below_peak",
        operators: &["head"],
        what: "The head with its softmax and cross-entropy",
        limit: Limit::Arithmetic,
        advice: "A smaller vocabulary takes time from the head, whose softmax is no matrix product.",
    },
    Kind {
        reason: "attention_below_peak",
        operators: &["attention"],
        what: "Attention",
        limit: Limit::Arithmetic,
        advice: "Fewer, wider heads (a multiple of the vector width) fill the register tiles of attention better.",
    },
    Kind {
        reason: "elementwise",
        operators: &["embedding", "layernorm"],
        what: "Embedding and layer norm",
        limit: Limit::Memory,
        advice: "Smaller micro-batches keep activations in the cache between an operator and the next.",
    },
    Kind {
        reason: "adamw_bandwidth",
        operators: &["adamw", "clip"],
        what: "The optimizer and the gradient's norm",
        limit: Limit::Memory,
        advice: "A larger batch spreads the optimizer's traffic over more tokens.",
    },
    Kind {
        reason: "packing",
        operators: &["pack"],
        what: "Packing the weights for the register tiles",
        limit: Limit::Memory,
        advice: "A larger batch spreads the packing over more tokens.",
    },
];

/// The reasons, largest first; their shares add up to `kept - model arithmetic / (peak * seconds)`.
pub(super) fn losses(step: &Step, parts: &[Part]) -> Vec<Loss> {
    let mut losses = Vec::new();
    for kind in KINDS {
        let members: Vec<&Part> = parts
            .iter()
            .filter(|part| kind.operators.contains(&part.operator))
            .collect();
        if !members.is_empty() {
            losses.push(kind.loss(step, &members));
        }
    }
    losses.extend(parallel(step, parts));
    losses.extend(beyond_model(step, parts));
    losses.push(between(step, parts));
    losses.sort_by(|one, other| other.share.total_cmp(&one.share));
    losses
}

/// Time of a part that is the kernel's own, without what others took: on one thread, sped up as the peak is; all of it where one thread was not measured.
/// What memory limits is not split: its threads share one memory.
fn own_seconds(step: &Step, part: &Part) -> f64 {
    let alone = part
        .alone
        .filter(|_| step.threads > 1 && !memory_bound(part.operator));
    alone.map_or(part.seconds * step.kept, |alone| {
        alone * step.kept_alone * step.peak_alone / step.peak
    })
}

/// Whether memory limits this operator, and not arithmetic.
pub(super) fn memory_bound(operator: &str) -> bool {
    KINDS
        .iter()
        .any(|kind| kind.limit == Limit::Memory && kind.operators.contains(&operator))
}

/// Declared arithmetic that stands in the model's formula: none for those that are no matrix products.
fn useful_flops(part: &Part) -> f64 {
    if part.model_flops > 0.0 {
        part.cost.flops
    } else {
        0.0
    }
}

impl Kind {
    fn loss(&self, step: &Step, parts: &[&Part]) -> Loss {
        let seconds: f64 = parts.iter().map(|part| own_seconds(step, part)).sum();
        let cost = parts
            .iter()
            .fold(Cost::default(), |sum, part| sum + part.cost);
        let useful: f64 = parts.iter().map(|part| useful_flops(part)).sum();
        let wall: f64 = parts.iter().map(|part| part.seconds).sum();
        let share = (seconds - useful / step.peak) / step.seconds;
        let how = match self.limit {
            Limit::Arithmetic => format!(
                "{}: {} of a step, {} GFLOP/s, {} of the peak.",
                self.what,
                Seconds(wall),
                digits(cost.flops / wall / 1e9),
                Ratio(cost.flops / wall / step.peak)
            ),
            Limit::Memory => format!(
                "{}: {} of a step, {} at {} GB/s{}.",
                self.what,
                Seconds(wall),
                Bytes(cost.bytes()),
                digits(cost.bytes() / wall / 1e9),
                step.bandwidth.map_or(String::new(), |bandwidth| {
                    format!(
                        ", {} of the bandwidth of memory",
                        Ratio(cost.bytes() / wall / bandwidth)
                    )
                })
            ),
        };
        Loss {
            reason: self.reason,
            share,
            how,
            advice: Some(self.advice),
        }
    }
}

/// What threads lose against one thread; nothing to say on one.
fn parallel(step: &Step, parts: &[Part]) -> Option<Loss> {
    if step.threads == 1 || parts.iter().any(|part| part.alone.is_none()) {
        return None;
    }
    let lost: f64 = parts
        .iter()
        .map(|part| part.seconds * step.kept - own_seconds(step, part))
        .sum();
    let alone: f64 = parts.iter().filter_map(|part| part.alone).sum();
    let together: f64 = parts.iter().map(|part| part.seconds).sum();
    let how = format!(
        "{} threads are {} times as fast as one inside the operators, and their peak {} times: waiting for each other, shared cache and \
         memory, work that is not divided.",
        step.threads,
        digits(alone / together),
        digits(step.peak / step.peak_alone)
    );
    let advice =
        "A larger micro-batch makes operators longer, so that threads wait for each other less.";
    Some(Loss {
        reason: "parallel_loss",
        share: lost / step.seconds,
        how,
        advice: Some(advice),
    })
}

/// Arithmetic that is done and not in the formula, or in the formula and not done.
fn beyond_model(step: &Step, parts: &[Part]) -> Option<Loss> {
    let beyond: f64 = parts
        .iter()
        .map(|part| useful_flops(part) - part.model_flops)
        .sum();
    let model: f64 = parts.iter().map(|part| part.model_flops).sum();
    // However small its share of a slow step is, it stands in the sum; rounding alone does not.
    if beyond.abs() <= 1e-12 * model {
        return None;
    }
    let share = beyond / step.peak / step.seconds;
    let how = if beyond < 0.0 {
        "The formula of MFU counts arithmetic that is skipped: the positions that causal attention masks. Time saved, hence negative."
    } else {
        "Operators compute more than the formula of MFU counts: recomputation and arithmetic that is no matrix product."
    };
    let reason = if beyond < 0.0 {
        "skipped_arithmetic"
    } else {
        "extra_arithmetic"
    };
    Some(Loss {
        reason,
        share,
        how: how.into(),
        advice: None,
    })
}

/// Time of the step in no known operator.
fn between(step: &Step, parts: &[Part]) -> Loss {
    let known = |part: &&Part| {
        KINDS
            .iter()
            .any(|kind| kind.operators.contains(&part.operator))
    };
    let inside: f64 = parts.iter().filter(known).map(|part| part.seconds).sum();
    let outside = step.seconds - inside;
    let how = format!(
        "{} of a step lie in no operator: gathering a batch, starting operators, and noise.",
        Seconds(outside.max(0.0))
    );
    Loss {
        reason: "between_operators",
        share: outside / step.seconds * step.kept,
        how,
        advice: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(
        operator: &'static str,
        seconds: f64,
        alone: f64,
        gflop: f64,
        model_gflop: f64,
    ) -> Part {
        let cost = Cost {
            flops: gflop * 1e9,
            bytes_read: 1e9,
            bytes_written: 0.0,
        };
        Part {
            operator,
            pass: "forward",
            seconds,
            alone: Some(alone),
            cost,
            model_flops: model_gflop * 1e9,
        }
    }

    /// A step of one second on two threads: 100 GFLOP/s peak each.
    fn example() -> (Step, Vec<Part>) {
        let step = Step {
            threads: 2,
            seconds: 1.0,
            peak: 200e9,
            peak_alone: 100e9,
            bandwidth: Some(20e9),
            kept: 1.0,
            kept_alone: 1.0,
        };
        let parts = vec![
            part("mlp_up", 0.50, 0.90, 80.0, 80.0),
            part("attention", 0.20, 0.36, 20.0, 40.0),
            part("layernorm", 0.05, 0.06, 0.2, 0.0),
            part("adamw", 0.10, 0.10, 0.5, 0.0),
        ];
        (step, parts)
    }

    fn share(losses: &[Loss], reason: &str) -> Option<f64> {
        losses
            .iter()
            .find(|loss| loss.reason == reason)
            .map(|loss| (loss.share * 1e6).round() / 1e6)
    }

    #[test]
    fn shares_add_up_to_the_gap() {
        let (mut step, mut parts) = example();
        for (threads, kept) in [(2, 1.0), (2, 0.7), (1, 1.0), (1, 0.9)] {
            step.threads = threads;
            (step.kept, step.kept_alone) = (kept, 0.95);
            let losses = losses(&step, &parts);
            let model: f64 = parts.iter().map(|part| part.model_flops).sum();
            let gap = kept - model / (step.peak * step.seconds);
            let sum: f64 = losses.iter().map(|loss| loss.share).sum();
            assert!((sum - gap).abs() < 1e-12, "{sum} {gap}");
            if threads == 1 {
                parts.iter_mut().for_each(|part| part.alone = None);
            }
        }
    }

    #[test]
    fn what_others_took_is_nobodys_loss() {
        let (mut step, parts) = example();
        (step.kept, step.kept_alone) = (0.8, 0.9);
        let losses = losses(&step, &parts);
        // Of 0.90 s alone the thread ran 0.81 s: 0.405 s on two threads, of which 80 GFLOP take 0.40.
        assert_eq!(share(&losses, "gemm_below_peak"), Some(0.005));
        // 0.40 - 0.405 of the projections, 0.16 - 0.162 of attention.
        assert_eq!(share(&losses, "parallel_loss"), Some(-0.007));
        assert_eq!(share(&losses, "adamw_bandwidth"), Some(0.08));
        assert_eq!(share(&losses, "between_operators"), Some(0.12));
        // What is told of an operator is what was measured.
        let adamw = losses.iter().find(|loss| loss.reason == "adamw_bandwidth");
        assert!(adamw.unwrap().how.contains("10.0 GB/s"));
    }

    #[test]
    fn a_slow_step_adds_up_too() {
        let (mut step, mut parts) = example();
        // A busy machine: a thousand times as long, so that arithmetic is a tiny share.
        step.seconds *= 1e3;
        for part in &mut parts {
            part.seconds *= 1e3;
            part.alone = part.alone.map(|alone| alone * 1e3);
        }
        let sum: f64 = losses(&step, &parts).iter().map(|loss| loss.share).sum();
        let model: f64 = parts.iter().map(|part| part.model_flops).sum();
        let gap = 1.0 - model / (step.peak * step.seconds);
        assert!((sum - gap).abs() < 1e-12, "{sum} {gap}");
    }

    #[test]
    fn each_reason_gets_what_was_measured() {
        let (step, parts) = example();
        let losses = losses(&step, &parts);
        // 0.90 s alone are 0.45 s on two threads, of which 80 GFLOP take 0.40.
        assert_eq!(share(&losses, "gemm_below_peak"), Some(0.05));
        assert_eq!(share(&losses, "attention_below_peak"), Some(0.08));
        // 0.05 of the projections, 0.02 of attention; memory-bound operators are not split.
        assert_eq!(share(&losses, "parallel_loss"), Some(0.07));
        assert_eq!(share(&losses, "elementwise"), Some(0.05));
        assert_eq!(share(&losses, "adamw_bandwidth"), Some(0.1));
        assert_eq!(share(&losses, "skipped_arithmetic"), Some(-0.1));
        assert_eq!(share(&losses, "between_operators"), Some(0.15));
        assert_eq!(losses[0].reason, "between_operators");
        let adamw = losses
            .iter()
            .find(|loss| loss.reason == "adamw_bandwidth")
            .unwrap();
        assert!(
            adamw.how.contains("10.0 GB/s, 50.0 % of the bandwidth"),
            "{}",
            adamw.how
        );
    }

    #[test]
    fn one_thread_loses_nothing_to_threads() {
        let (mut step, parts) = example();
        step.threads = 1;
        let losses = losses(&step, &parts);
        assert_eq!(share(&losses, "parallel_loss"), None);
        assert_eq!(share(&losses, "gemm_below_peak"), Some(0.1));
    }
}
