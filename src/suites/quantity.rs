//! The quantities that suites record: the last part of a metric's name, its unit, and which direction is better.

use crate::record::Better;

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantity {
    /// Last part of the metric's name.
    pub name: &'static str,
    /// Unit, as it stands in run.json.
    pub unit: &'static str,
    /// Which direction is an improvement.
    pub better: Better,
}

macro_rules! quantities {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $unit:literal, $better:ident;)*) => {
        $($(#[$doc])* pub const $constant: Quantity = Quantity { name: $name, unit: $unit, better: Better::$better };)*

        /// Every quantity of this file.
        pub const ALL: &[Quantity] = &[$($constant),*];
    };
}

quantities! {
    /// Training speed.
    TOKENS_PER_SECOND = "tokens_per_second", "tokens/s", Higher;
    /// Duration of one training step, or of a part of it.
    STEP_SECONDS = "step_seconds", "seconds", Lower;
    /// Model FLOP/s over the FMA peak of the same threads.
    MFU = "mfu", "ratio", Higher;
    /// Arithmetic speed.
    GFLOPS = "gflops", "GFLOP/s", Higher;
    /// Bandwidth.
    GBPS = "gbps", "GB/s", Higher;
    /// Bandwidth with the lines that are fetched only to be overwritten.
    BUS_GBPS = "bus_gbps", "GB/s", Higher;
    /// Values that a vector kernel has done.
    ELEMENTS_PER_SECOND = "elements_per_second", "elements/s", Higher;
    /// The same for each cycle of a core.
    ELEMENTS_PER_CYCLE = "elements_per_cycle", "elements/cycle", Higher;
    /// Frequency.
    GHZ = "ghz", "GHz", Higher;
    /// Arithmetic per core cycle.
    FLOPS_PER_CYCLE = "flops_per_cycle", "FLOP/cycle", Higher;
    /// Latency of one load.
    NANOSECONDS = "nanoseconds", "ns", Lower;
    /// Latency of one load, in cycles of the core.
    CYCLES = "cycles", "cycles", Lower;
    /// Largest resident memory.
    PEAK_RSS_BYTES = "peak_rss_bytes", "bytes", Lower;
    /// Resident memory.
    RSS_BYTES = "rss_bytes", "bytes", Lower;
    /// Memory that the plan reserves.
    PLANNED_BYTES = "planned_bytes", "bytes", Lower;
    /// An amount of memory or traffic.
    BYTES = "bytes", "bytes", Lower;
    /// Time on one thread over time on N.
    SPEEDUP = "speedup", "ratio", Higher;
    /// Time of the fastest other library over ours.
    SPEEDUP_OVER_BEST_PEER = "speedup_over_best_peer", "ratio", Higher;
    /// Time of one call for each product over one call for all.
    SPEEDUP_OVER_LOOP = "speedup_over_loop", "ratio", Higher;
    /// Tokens a second of several texts over those of one.
    BATCH_GAIN = "batch_gain", "ratio", Higher;
    /// Threads that a tuned run takes.
    THREADS = "threads", "count", Neither;
    /// Sequences of a micro-batch.
    MICRO_BATCH = "micro_batch", "count", Neither;
    /// Parts of a batch, one for each thread that takes sequences of its own; 1 where threads share operators.
    SHARES = "shares", "count", Neither;
    /// Sequences of a batch.
    BATCH = "batch", "count", Neither;
    /// Part of the frequency that one core should reach.
    SHARE_OF_NOMINAL = "share_of_nominal", "ratio", Neither;
    /// A stretch of time.
    SECONDS = "seconds", "seconds", Lower;
    /// MFU over that of the smaller neighbour.
    MFU_STEP = "mfu_step", "ratio", Neither;
    /// Speed-up that others claim.
    CLAIMED = "claimed", "ratio", Neither;
    /// What the judge of responses gives them, in the mean.
    REWARD = "reward", "reward", Higher;
    /// What the rule that can be checked gives them.
    RULE_REWARD = "rule_reward", "reward", Higher;
    /// Divergence of a policy from its reference, of a response.
    KL = "kl", "nats", Neither;
    /// Weight of that divergence.
    KL_COEFFICIENT = "kl_coefficient", "ratio", Neither;
    /// Entropy of a token that a policy writes.
    ENTROPY = "entropy", "nats", Neither;
    /// Share of the tokens whose probability moved out of the range that a policy's update allows.
    CLIP_FRACTION = "clip_fraction", "ratio", Neither;
    /// Loss of a policy.
    POLICY_LOSS = "policy_loss", "loss", Neither;
    /// Loss of the values of a policy's states.
    VALUE_LOSS = "value_loss", "loss", Lower;
    /// Tokens of a response.
    RESPONSE_TOKENS = "response_tokens", "tokens", Neither;
    /// Share of the responses that came to an end.
    ENDED = "ended", "ratio", Neither;
    /// Share that was right.
    ACCURACY = "accuracy", "ratio", Higher;
    /// The same on what was held out.
    VALIDATION_ACCURACY = "validation_accuracy", "ratio", Higher;
    /// By how much the better of two is ahead.
    MARGIN = "margin", "reward", Higher;
    /// Speed of writing responses.
    ROLLOUT_TOKENS_PER_SECOND = "rollout_tokens_per_second", "tokens/s", Higher;
    /// Speed of learning from them.
    UPDATE_TOKENS_PER_SECOND = "update_tokens_per_second", "tokens/s", Higher;
    /// Time of writing responses, in a step.
    ROLLOUT_SECONDS = "rollout_seconds", "seconds", Lower;
    /// Time of asking reference, values and judge about them.
    JUDGE_SECONDS = "judge_seconds", "seconds", Lower;
    /// Time of learning from them.
    UPDATE_SECONDS = "update_seconds", "seconds", Lower;
    /// Part of the step that writes responses.
    ROLLOUT_SHARE = "rollout_share", "ratio", Neither;
    /// Part of the step that asks about them.
    JUDGE_SHARE = "judge_share", "ratio", Neither;
    /// Part of the step that learns from them.
    UPDATE_SHARE = "update_share", "ratio", Neither;
    /// How far two losses lie apart.
    LOSS_DIFFERENCE = "loss_difference", "nats", Lower;
    /// How far two gradients, or the logits of two ways to generate, lie apart, relative to their size.
    RELATIVE_DIFFERENCE = "relative_difference", "ratio", Lower;
    /// Speed-up over the number of threads.
    THREAD_EFFICIENCY = "thread_efficiency", "ratio", Higher;
    /// Time of a message of no bytes.
    LATENCY_SECONDS = "latency_seconds", "seconds", Lower;
    /// How far a fitted law is from what it was fitted to.
    FIT_ERROR = "fit_error", "ratio", Lower;
    /// Speed of several processes over that of as many that compute alone.
    EFFICIENCY = "efficiency", "ratio", Higher;
    /// Part of a step that waits for other processes.
    COMMUNICATION_SHARE = "communication_share", "ratio", Lower;
    /// Part of what computing could hide that it does.
    OVERLAP = "overlap", "ratio", Higher;
    /// A forecast over what was measured, less one.
    PREDICTION_ERROR = "prediction_error", "ratio", Neither;
    /// Part of the time that all threads together have in a step.
    SHARE_OF_THREADS = "share_of_threads", "ratio", Lower;
    /// Training loss.
    LOSS = "loss", "nats", Lower;
    /// Loss on text that was not trained on.
    VALIDATION_LOSS = "validation_loss", "nats", Lower;
    /// Loss of predicting by token frequencies alone.
    UNIGRAM_ENTROPY = "unigram_entropy", "nats", Neither;
    /// Arithmetic that the model needs per token, forward and backward.
    FLOPS_PER_TOKEN = "flops_per_token", "FLOP", Neither;
    /// Lines that L1 lacked, in bytes.
    BYTES_INTO_L1 = "bytes_into_l1", "bytes", Neither;
    /// Lines that L2 lacked, in bytes.
    BYTES_INTO_L2 = "bytes_into_l2", "bytes", Neither;
    /// Lines that L3 lacked, in bytes.
    BYTES_FROM_MEMORY = "bytes_from_memory", "bytes", Neither;
    /// Floating-point operations.
    FLOPS = "flops", "FLOP", Neither;
    /// The same by the model's formula.
    MODEL_FLOPS = "model_flops", "FLOP", Neither;
    /// The same by the hardware's counters.
    COUNTED_FLOPS = "counted_flops", "FLOP", Neither;
    /// What an operator declares over the model's formula, less one.
    FLOPS_RESIDUAL = "flops_residual", "ratio", Neither;
    /// Part of the step's time.
    SHARE_OF_STEP = "share_of_step", "ratio", Lower;
    /// Part of the FMA peak.
    SHARE_OF_PEAK = "share_of_peak", "ratio", Higher;
    /// Part of the measured bandwidth.
    SHARE_OF_BANDWIDTH = "share_of_bandwidth", "ratio", Higher;
    /// FLOP per byte of declared traffic.
    INTENSITY = "intensity", "FLOP/byte", Neither;
    /// Share of the work that more threads do not shorten.
    SERIAL_FRACTION = "serial_fraction", "ratio", Lower;
    /// Contention of the universal scalability law.
    CONTENTION = "contention", "ratio", Lower;
    /// Coherence of the universal scalability law.
    COHERENCE = "coherence", "ratio", Lower;
    /// Share of CPU time that the hypervisor gave to others.
    STEAL_RATIO = "steal_ratio", "ratio", Lower;
    /// Share of CPU time that other programs used.
    FOREIGN_RATIO = "foreign_ratio", "ratio", Lower;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_spelled_as_keys() {
        for (index, quantity) in ALL.iter().enumerate() {
            assert!(
                quantity
                    .name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                "{}",
                quantity.name
            );
            assert!(
                ALL[..index].iter().all(|other| other.name != quantity.name),
                "{} twice",
                quantity.name
            );
            assert!(!quantity.unit.is_empty());
        }
    }
}
