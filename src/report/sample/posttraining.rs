//! The invented numbers of reinforcement.

use super::{Builder, noise};
use crate::record::Provenance;

/// Steps of the invented run.
const STEPS: usize = 60;

impl Builder {
    /// Every metric and curve of a run of PPO, as the training suite writes them.
    pub(super) fn reinforcement(&mut self) {
        use Provenance::Measured;
        let (case, threads) = (self.case, self.threads);
        let at = |quantity: &str| format!("training.{case}.t{threads}.{quantity}");
        let how = "median of 59 steps, invented";
        for (quantity, value, unit) in [
            ("tokens_per_second", 9.1e3, "tokens/s"),
            ("step_seconds", 1.62, "seconds"),
            ("rollout_tokens_per_second", 5.2e3, "tokens/s"),
            ("update_tokens_per_second", 1.3e4, "tokens/s"),
            ("rollout_seconds", 0.31, "seconds"),
            ("judge_seconds", 0.19, "seconds"),
            ("update_seconds", 1.12, "seconds"),
            ("rollout_share", 0.191, "ratio"),
            ("judge_share", 0.117, "ratio"),
            ("update_share", 0.691, "ratio"),
            ("loss", 0.071, "nats"),
            ("peak_rss_bytes", 121.4e6, "bytes"),
        ] {
            self.metric(at(quantity), Some(value), unit, Measured, how);
        }
        let progress = |step: usize| 1.0 - (-(step as f64) / 20.0).exp();
        let curve = |value: &dyn Fn(usize) -> f64| -> Vec<f64> { (1..=STEPS).map(value).collect() };
        for (quantity, unit, y) in [
            (
                "reward",
                "reward",
                curve(&|step| 5.4 * progress(step) + 0.4 * noise(step)),
            ),
            (
                "rule_reward",
                "reward",
                curve(&|step| 4.9 * progress(step) + 0.5 * noise(step + 99)),
            ),
            ("kl", "nats", curve(&|step| 5.1 * progress(step))),
            ("entropy", "nats", curve(&|step| 1.1 - 0.7 * progress(step))),
            (
                "clip_fraction",
                "ratio",
                curve(&|step| 0.12 * noise(step + 7)),
            ),
            ("loss", "nats", curve(&|step| 0.2 - 0.1 * progress(step))),
            (
                "step_seconds",
                "seconds",
                curve(&|step| 1.6 + 0.1 * noise(step + 3)),
            ),
        ] {
            let points = y
                .into_iter()
                .zip(1..)
                .map(|(y, step): (f64, u32)| (f64::from(step), y));
            self.series(at(quantity), unit, "step", points.collect(), "invented");
        }
    }
}
