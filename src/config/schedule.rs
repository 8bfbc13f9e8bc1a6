//! `training.schedule`: which learning-rate schedule, and the parameters that belong to it.

use serde::{Deserialize, Serialize};

/// The schedules; their formulas are in `train::schedule`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The same rate always.
    Constant,
    /// Linear rise over `training.warmup_steps`, then half a cosine down to `min_ratio` of the rate.
    WarmupCosine,
    /// Half cosines that start again at the top.
    CosineRestarts,
    /// Multiplied by `factor` when validation stops improving.
    Plateau,
    /// Up and down again by cosines.
    OneCycle,
    /// Multiplied by `gamma` after every `every` steps.
    Exponential,
}

/// The object as it stands in the file; a parameter that is `null` has the default of its kind.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Which schedule.
    pub kind: Kind,
    /// All but `constant` and `one_cycle`: lowest rate as a share of `training.learning_rate`; 0.1 for `warmup_cosine`, else 0.001.
    #[serde(default)]
    pub min_ratio: Option<f64>,
    /// `cosine_restarts`: steps of the first cosine (PyTorch's `T_0`); 1000.
    #[serde(default)]
    pub first: Option<usize>,
    /// `cosine_restarts`: length of a cosine in lengths of the one before (`T_mult`); 2.
    #[serde(default)]
    pub growth: Option<f64>,
    /// `plateau`: what the rate is multiplied by; 0.5.
    #[serde(default)]
    pub factor: Option<f64>,
    /// `plateau`: validations without improvement that are put up with; 5.
    #[serde(default)]
    pub patience: Option<u32>,
    /// `plateau`: relative improvement that counts as one; 0.0001.
    #[serde(default)]
    pub threshold: Option<f64>,
    /// `one_cycle`: share of the steps spent rising (`pct_start`); 0.3.
    #[serde(default)]
    pub rising: Option<f64>,
    /// `one_cycle`: highest rate divided by the first (`div_factor`); 25.
    #[serde(default)]
    pub start_divisor: Option<f64>,
    /// `one_cycle`: first rate divided by the last (`final_div_factor`); 10000.
    #[serde(default)]
    pub end_divisor: Option<f64>,
    /// `exponential`: what the rate is multiplied by; 0.9.
    #[serde(default)]
    pub gamma: Option<f64>,
    /// `exponential`: steps between two multiplications; 100.
    #[serde(default)]
    pub every: Option<usize>,
}

/// A schedule with the parameters that belong to it, all of them set; rates are shares of `training.learning_rate`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "each parameter is explained where the file's object is"
)]
pub enum Rule {
    /// The same rate always.
    Constant,
    /// Linear rise, then half a cosine.
    WarmupCosine { min_ratio: f64 },
    /// Half cosines that start again at the top.
    CosineRestarts {
        min_ratio: f64,
        first: usize,
        growth: f64,
    },
    /// Reduced when validation stops improving.
    Plateau {
        min_ratio: f64,
        factor: f64,
        patience: u32,
        threshold: f64,
    },
    /// Up and down again by cosines.
    OneCycle {
        rising: f64,
        start_divisor: f64,
        end_divisor: f64,
    },
    /// Multiplied at equal distances.
    Exponential {
        min_ratio: f64,
        gamma: f64,
        every: usize,
    },
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule::of(Kind::WarmupCosine)
    }
}

impl Schedule {
    /// The schedule of this kind with its default parameters.
    pub fn of(kind: Kind) -> Schedule {
        Schedule {
            kind,
            min_ratio: None,
            first: None,
            growth: None,
            factor: None,
            patience: None,
            threshold: None,
            rising: None,
            start_divisor: None,
            end_divisor: None,
            gamma: None,
            every: None,
        }
    }

    /// The schedule with every parameter set.
    pub fn rule(&self) -> Rule {
        let min_ratio = self.min_ratio.unwrap_or(0.001);
        match self.kind {
            Kind::Constant => Rule::Constant,
            Kind::WarmupCosine => Rule::WarmupCosine {
                min_ratio: self.min_ratio.unwrap_or(0.1),
            },
            Kind::CosineRestarts => Rule::CosineRestarts {
                min_ratio,
                first: self.first.unwrap_or(1000),
                growth: self.growth.unwrap_or(2.0),
            },
            Kind::Plateau => Rule::Plateau {
                min_ratio,
                factor: self.factor.unwrap_or(0.5),
                patience: self.patience.unwrap_or(5),
                threshold: self.threshold.unwrap_or(1e-4),
            },
            Kind::OneCycle => Rule::OneCycle {
                rising: self.rising.unwrap_or(0.3),
                start_divisor: self.start_divisor.unwrap_or(25.0),
                end_divisor: self.end_divisor.unwrap_or(1e4),
            },
            Kind::Exponential => Rule::Exponential {
                min_ratio,
                gamma: self.gamma.unwrap_or(0.9),
                every: self.every.unwrap_or(100),
            },
        }
    }
}
