//! Which steps are left out: a loss or a gradient that is not finite, and a loss far above those just before it.
//!
//! A loss is a spike where its robust z-score is above a limit: its distance from the median of the newest losses, in standard
//! deviations estimated by their median absolute deviation (B. Iglewicz and D. C. Hoaglin, "How to Detect and Handle Outliers",
//! 1993). Half of the losses could be wild without moving either. A loss that was left out is not among those compared with.

use std::fmt;

/// When the update of a step is left out, and when a run is given up for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// Standard deviations above the median from which on a loss is a spike; `None` judges no loss.
    pub spike_sigmas: Option<f64>,
    /// Newest losses that one is compared with; nothing is judged before half as many are known.
    pub window: usize,
    /// Steps left out in a row that end a run.
    pub most_skips: u32,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard {
            spike_sigmas: Some(10.0),
            window: 100,
            most_skips: 5,
        }
    }
}

/// Why the update of a step was left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Skip {
    /// Loss or gradient norm is infinite or not a number.
    NotFinite,
    /// The loss is above this limit.
    Spike {
        /// Nats a token.
        limit: f64,
    },
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::NotFinite => f.write_str("its loss or gradient is not finite"),
            Skip::Spike { limit } => {
                write!(
                    f,
                    "its loss is a spike: {limit:.4} is the most that the losses before it allow"
                )
            }
        }
    }
}

impl Skip {
    /// Whether a step with this loss and gradient norm is to be left out.
    pub fn judge(loss: f64, gradient_norm: f64, limit: f64) -> Option<Skip> {
        if !(loss.is_finite() && gradient_norm.is_finite()) {
            Some(Skip::NotFinite)
        } else {
            (loss > limit).then_some(Skip::Spike { limit })
        }
    }
}

/// The median absolute deviation of a normal distribution is its standard deviation over this.
const NORMAL: f64 = 1.4826;

/// The least standard deviation, in nats: a text that is known by heart has losses so even that any other would be a spike.
const LEAST_DEVIATION: f64 = 0.02;

impl Guard {
    /// The largest loss that is no spike after `recent` losses; infinite where nothing is judged. `sorted` is a buffer.
    pub fn limit(&self, recent: &[f32], sorted: &mut Vec<f64>) -> f64 {
        let Some(sigmas) = self.spike_sigmas else {
            return f64::INFINITY;
        };
        if recent.is_empty() || recent.len() < self.window.div_ceil(2) {
            return f64::INFINITY;
        }
        sorted.clear();
        sorted.extend(recent.iter().map(|loss| f64::from(*loss)));
        let center = median(sorted);
        sorted
            .iter_mut()
            .for_each(|loss| *loss = (*loss - center).abs());
        center + sigmas * (NORMAL * median(sorted)).max(LEAST_DEVIATION)
    }

    /// Adds the loss of an update to the newest losses, and forgets the oldest.
    pub fn remember(&self, loss: f64, recent: &mut Vec<f32>) {
        let beyond = (recent.len() + 1).saturating_sub(self.window);
        recent.drain(..beyond.min(recent.len()));
        recent.push(loss as f32);
    }
}

/// Sorts `values`, of which there is at least one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], values[middle])
    } else {
        values[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: Guard = Guard {
        spike_sigmas: Some(6.0),
        window: 9,
        most_skips: 3,
    };

    fn limit(recent: &[f32]) -> f64 {
        GUARD.limit(recent, &mut Vec::new())
    }

    #[test]
    fn the_limit_is_so_many_deviations_above_the_median() {
        // Median 5, absolute deviations 0 1 1 2 2 3 3: their median is 2.
        let found = limit(&[5.0, 4.0, 6.0, 3.0, 7.0, 2.0, 8.0]);
        assert!(
            (found - (5.0 + 6.0 * 2.0 * 1.4826)).abs() < 1e-12,
            "{found}"
        );
        // An even number of losses: 4.5 is in the middle, deviations are 0.5 0.5 1.5 1.5 2.5 2.5.
        let found = limit(&[4.0, 5.0, 3.0, 6.0, 2.0, 7.0]);
        assert!(
            (found - (4.5 + 6.0 * 1.5 * 1.4826)).abs() < 1e-12,
            "{found}"
        );
    }

    #[test]
    fn even_losses_and_wild_ones_do_not_move_it() {
        assert_eq!(limit(&[2.0; 9]), 2.0 + 6.0 * 0.02);
        let wild = [2.0, 2.0, 1e30, 2.0, 1e30, 2.0, 1e30, 2.0, 1e30];
        assert_eq!(limit(&wild), 2.0 + 6.0 * 0.02);
    }

    #[test]
    fn nothing_is_judged_without_half_a_window_or_a_limit() {
        assert_eq!(limit(&[1.0; 4]), f64::INFINITY);
        assert!(limit(&[1.0; 5]).is_finite());
        let off = Guard {
            spike_sigmas: None,
            ..GUARD
        };
        assert_eq!(off.limit(&[1.0; 9], &mut Vec::new()), f64::INFINITY);
        let none = Guard { window: 0, ..GUARD };
        assert_eq!(none.limit(&[], &mut Vec::new()), f64::INFINITY);
    }

    #[test]
    fn what_is_not_finite_is_left_out_whatever_the_limit() {
        let judge = |loss, norm| Skip::judge(loss, norm, 3.0);
        assert_eq!(judge(3.0, 1.0), None);
        assert_eq!(judge(3.1, 1.0), Some(Skip::Spike { limit: 3.0 }));
        for bad in [f64::NAN, f64::INFINITY] {
            assert_eq!(judge(bad, 1.0), Some(Skip::NotFinite));
            assert_eq!(judge(1.0, bad), Some(Skip::NotFinite));
        }
        assert_eq!(Skip::judge(1e9, 1.0, f64::INFINITY), None);
    }

    #[test]
    fn only_the_newest_losses_are_remembered() {
        let mut recent = Vec::new();
        for loss in 0..20 {
            GUARD.remember(f64::from(loss), &mut recent);
        }
        assert_eq!(
            recent,
            [11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0]
        );
    }
}
