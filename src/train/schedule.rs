//! The learning rate of each step: constant, warm-up + cosine, cosine with warm restarts, plateau, one-cycle, exponential.
//!
//! A rate is a pure function of the step number, counted from 0, and for the plateau of what validation has shown so far, which
//! a checkpoint carries: a resumed run continues with the same rates to the bit.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// A learning-rate schedule; all lengths are in optimizer steps.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// The same rate for ever.
    Constant {
        /// The rate.
        rate: f64,
    },
    /// Linear from nearly zero to `peak`, then half a cosine down to `min`, which it keeps.
    /// Step for step that of nanoGPT's `get_lr`.
    WarmupCosine {
        /// The rate at the end of the warm-up.
        peak: f64,
        /// The rate at `steps` and after.
        min: f64,
        /// Steps of warm-up; 0 for none.
        warmup: u64,
        /// The step at which the cosine ends.
        steps: u64,
    },
    /// Half cosines from `max` to `min`, each `growth` times as long as the one before
    /// (Loshchilov and Hutter, SGDR; PyTorch's `CosineAnnealingWarmRestarts`).
    CosineRestarts {
        /// The rate after each restart.
        max: f64,
        /// The rate that each cosine approaches.
        min: f64,
        /// Steps of the first cosine (T_0).
        first: f64,
        /// Length of a cosine in lengths of the one before (T_mult), at least 1.
        growth: f64,
    },
    /// Multiplied by `factor` whenever `patience` validations in a row have brought no better loss
    /// (PyTorch's `ReduceLROnPlateau`, relative threshold).
    Plateau {
        /// The rate to begin with.
        rate: f64,
        /// What a reduction multiplies the rate by.
        factor: f64,
        /// Validations without improvement that are put up with.
        patience: u32,
        /// Relative improvement that counts as one.
        threshold: f64,
        /// The rate never falls below this.
        min: f64,
    },
    /// Up from `max / start_divisor` to `max` in the first part of the run, then down to almost nothing, both by cosines
    /// (Smith and Topin; PyTorch's `OneCycleLR`).
    OneCycle {
        /// The highest rate.
        max: f64,
        /// Steps of the run.
        steps: u64,
        /// Share of the steps spent rising.
        rising: f64,
        /// `max` divided by the first rate.
        start_divisor: f64,
        /// The first rate divided by the last.
        end_divisor: f64,
    },
    /// Multiplied by `gamma` after every `every` steps, never below `min`.
    Exponential {
        /// The rate to begin with.
        rate: f64,
        /// What the rate is multiplied by.
        gamma: f64,
        /// Steps between two multiplications, at least 1.
        every: u64,
        /// The rate never falls below this.
        min: f64,
    },
}

/// What validation has shown so far: the memory of [`Schedule::Plateau`], part of a checkpoint.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Progress {
    /// The lowest validation loss that counted as an improvement. In f32, whose decimal digits JSON carries exactly.
    pub best: Option<f32>,
    /// Validations in a row without one.
    pub stale: u32,
    /// Reductions made.
    pub reductions: u32,
}

impl Schedule {
    /// The rate for `step`, the first being 0.
    pub fn rate(&self, step: u64, progress: &Progress) -> f32 {
        let rate = match *self {
            Schedule::Constant { rate } => rate,
            Schedule::WarmupCosine {
                peak,
                min,
                warmup,
                steps,
            } => warmup_cosine(step, peak, min, warmup, steps),
            Schedule::CosineRestarts {
                max,
                min,
                first,
                growth,
            } => {
                let (position, length) = within_cycle(step as f64, first, growth);
                cosine(max, min, position / length)
            }
            Schedule::Plateau {
                rate, factor, min, ..
            } => (rate * factor.powi(progress.reductions.min(10_000) as i32)).max(min),
            Schedule::OneCycle {
                max,
                steps,
                rising,
                start_divisor,
                end_divisor,
            } => {
                let first = max / start_divisor;
                one_cycle(
                    step as f64,
                    steps as f64,
                    rising,
                    [first, max, first / end_divisor],
                )
            }
            Schedule::Exponential {
                rate,
                gamma,
                every,
                min,
            } => (rate * gamma.powf((step / every.max(1)) as f64)).max(min),
        };
        rate as f32
    }

    /// Notes a validation loss; only the plateau acts on it. A loss that is not a number counts as no improvement.
    pub fn observe(&self, loss: f64, progress: &mut Progress) {
        let Schedule::Plateau {
            rate,
            factor,
            patience,
            threshold,
            min,
        } = *self
        else {
            return;
        };
        if progress
            .best
            .is_none_or(|best| loss < f64::from(best) * (1.0 - threshold))
            && loss.is_finite()
        {
            progress.best = Some(loss as f32);
            progress.stale = 0;
            return;
        }
        progress.stale += 1;
        let current = rate * factor.powi(progress.reductions.min(10_000) as i32);
        if progress.stale > patience {
            progress.stale = 0;
            // At the floor a further reduction would change nothing.
            if current > min {
                progress.reductions += 1;
            }
        }
    }
}

/// Half a cosine from `from` (at 0) to `to` (at 1).
fn cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share).cos()) / 2.0
}

fn warmup_cosine(step: u64, peak: f64, min: f64, warmup: u64, steps: u64) -> f64 {
    if step < warmup {
        return peak * (step + 1) as f64 / (warmup + 1) as f64;
    }
    if step >= steps {
        return min;
    }
    cosine(peak, min, (step - warmup) as f64 / (steps - warmup) as f64)
}

/// The position within the current cosine, and its length.
fn within_cycle(step: f64, first: f64, growth: f64) -> (f64, f64) {
    let first = first.max(1.0);
    if growth <= 1.0 {
        return (step % first, first);
    }
    // Lengths form a geometric series: the n-th cosine starts at first * (growth^n - 1) / (growth - 1).
    let start = |cycle: f64| first * (growth.powf(cycle) - 1.0) / (growth - 1.0);
    let mut cycle = ((step / first * (growth - 1.0) + 1.0).ln() / growth.ln())
        .floor()
        .max(0.0);
    // The logarithm may round across a restart.
    if start(cycle + 1.0) <= step {
        cycle += 1.0;
    } else if start(cycle) > step {
        cycle -= 1.0;
    }
    (step - start(cycle), first * growth.powf(cycle))
}

fn one_cycle(step: f64, steps: f64, rising: f64, [first, max, last]: [f64; 3]) -> f64 {
    let (summit, end) = (rising * steps - 1.0, steps - 1.0);
    if step <= summit {
        return cosine(first, max, step / summit.max(1.0));
    }
    if step >= end {
        return last;
    }
    cosine(
        max,
        last,
        (step - summit.max(0.0)) / (end - summit.max(0.0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(schedule: &Schedule, step: u64, wanted: f64) {
        let rate = f64::from(schedule.rate(step, &Progress::default()));
        assert!(
            (rate - wanted).abs() <= 1e-6 * wanted.abs().max(1e-9),
            "step {step}: {rate} is not {wanted}"
        );
    }

    #[test]
    fn constant_is_constant() {
        let schedule = Schedule::Constant { rate: 1e-4 };
        close(&schedule, 0, 1e-4);
        close(&schedule, 1_000_000, 1e-4);
    }

    #[test]
    fn warm_up_rises_to_the_peak_and_the_cosine_ends_at_the_floor() {
        let schedule = Schedule::WarmupCosine {
            peak: 1.0,
            min: 0.1,
            warmup: 9,
            steps: 109,
        };
        close(&schedule, 0, 0.1);
        close(&schedule, 8, 0.9);
        close(&schedule, 9, 1.0);
        close(&schedule, 59, 0.55);
        close(&schedule, 109, 0.1);
        close(&schedule, 5_000, 0.1);
        close(
            &Schedule::WarmupCosine {
                peak: 1.0,
                min: 0.1,
                warmup: 0,
                steps: 0,
            },
            0,
            0.1,
        );
        close(
            &Schedule::WarmupCosine {
                peak: 1.0,
                min: 0.1,
                warmup: 50,
                steps: 10,
            },
            20,
            21.0 / 51.0,
        );
    }

    #[test]
    fn warm_restarts_begin_again_at_the_top() {
        let schedule = Schedule::CosineRestarts {
            max: 1.0,
            min: 0.0,
            first: 10.0,
            growth: 2.0,
        };
        for restart in [0, 10, 30, 70, 150, 310] {
            close(&schedule, restart, 1.0);
        }
        close(&schedule, 5, 0.5);
        close(&schedule, 20, 0.5);
        close(&schedule, 29, (1.0 + (PI * 19.0 / 20.0).cos()) / 2.0);
        let even = Schedule::CosineRestarts {
            max: 1.0,
            min: 0.5,
            first: 4.0,
            growth: 1.0,
        };
        close(&even, 4_000_000, 1.0);
        close(&even, 4_000_002, 0.75);
        let slow = Schedule::CosineRestarts {
            max: 1.0,
            min: 0.0,
            first: 4.0,
            growth: 1.5,
        };
        close(&slow, 4, 1.0);
        close(&slow, 10, 1.0);
        close(&slow, 19, 1.0);
    }

    #[test]
    fn one_cycle_agrees_with_pytorch() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=100): the lr before steps 0, 14, 29, 64, 99.
        let schedule = Schedule::OneCycle {
            max: 1.0,
            steps: 100,
            rising: 0.3,
            start_divisor: 25.0,
            end_divisor: 1e4,
        };
        close(&schedule, 0, 0.04);
        close(&schedule, 29, 1.0);
        close(
            &schedule,
            14,
            0.04 + 0.96 * (1.0 - (PI * 14.0 / 29.0).cos()) / 2.0,
        );
        close(&schedule, 64, (1.0 + 4e-6) / 2.0);
        close(&schedule, 99, 4e-6);
        close(&schedule, 100_000, 4e-6);
        for steps in [0, 1, 2, 3] {
            let short = Schedule::OneCycle {
                max: 1.0,
                steps,
                rising: 0.3,
                start_divisor: 25.0,
                end_divisor: 1e4,
            };
            assert!((0..5).all(|step| short.rate(step, &Progress::default()).is_finite()));
        }
    }

    #[test]
    fn exponential_falls_by_steps_to_its_floor() {
        let schedule = Schedule::Exponential {
            rate: 1.0,
            gamma: 0.5,
            every: 10,
            min: 0.2,
        };
        close(&schedule, 9, 1.0);
        close(&schedule, 10, 0.5);
        close(&schedule, 20, 0.25);
        close(&schedule, 30, 0.2);
    }

    #[test]
    fn plateau_falls_after_its_patience_and_survives_a_save() {
        let schedule = Schedule::Plateau {
            rate: 1.0,
            factor: 0.5,
            patience: 2,
            threshold: 1e-4,
            min: 0.3,
        };
        let mut progress = Progress::default();
        let mut rates = Vec::new();
        for loss in [
            5.0,
            4.0,
            4.0,
            3.9999,
            4.1,
            3.0,
            f64::NAN,
            3.0,
            3.0,
            3.0,
            3.0,
            3.0,
        ] {
            schedule.observe(loss, &mut progress);
            progress = serde_json::from_str(&serde_json::to_string(&progress).unwrap()).unwrap();
            rates.push(schedule.rate(0, &progress));
        }
        assert_eq!(
            rates,
            [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3]
        );
        assert_eq!(progress.best, Some(3.0));
    }
}
