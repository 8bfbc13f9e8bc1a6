//! Axes: a range, its scale and the ticks that people expect on it.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::fonts;
use crate::report::values::claim;
use crate::units::grouped;

/// One axis. Plotters maps values with it and draws its ticks.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// A linear axis over `low..=high` with about `count` round ticks.
    pub(crate) fn linear(low: f64, high: f64, count: usize) -> Self {
        let (low, high) = ordered(low, high);
        let step = round_step((high - low) / count.max(1) as f64);
        let first = (low / step - 1e-9).ceil();
        let ticks = (0..64)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|tick| *tick <= high + step * 1e-6);
        let ticks = ticks.map(|tick| (tick, decimal(tick, step))).collect();
        Self {
            low,
            high,
            logarithmic: false,
            ticks,
        }
    }

    /// A linear axis whose ends are ticks: the range grows to the next round number.
    pub(crate) fn rounded(low: f64, high: f64, count: usize) -> Self {
        let (low, high) = ordered(low, high);
        let step = round_step((high - low) / count.max(1) as f64);
        Self::linear(
            (low / step + 1e-9).floor() * step,
            (high / step - 1e-9).ceil() * step,
            count,
        )
    }

    /// A linear axis with a tick at each of `values`.
    pub(crate) fn at(low: f64, high: f64, values: &[(f64, String)]) -> Self {
        let (low, high) = ordered(low, high);
        Self {
            low,
            high,
            logarithmic: false,
            ticks: values.to_vec(),
        }
    }

    /// A logarithmic axis with ticks at the powers of ten, and at 2 and 5 where the range is short.
    pub(crate) fn decades(low: f64, high: f64) -> Self {
        let (low, high) = positive(low, high);
        let short = (high / low).log10() < 3.0;
        let factors: &[f64] = if short { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = (first..=last)
            .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
        let inside = all.filter(|tick| *tick >= low * 0.9999 && *tick <= high * 1.0001);
        let ticks = inside
            .map(|tick| (tick, decimal(tick, 10f64.powf(tick.log10().floor()))))
            .collect();
        Self {
            low,
            high,
            logarithmic: true,
            ticks,
        }
    }

    /// A logarithmic axis of sizes in bytes, with ticks at powers of two.
    pub(crate) fn bytes(low: f64, high: f64) -> Self {
        let (low, high) = positive(low.max(1.0), high.max(2.0));
        let (first, last) = (low.log2().ceil() as i32, high.log2().floor() as i32);
        let ticks = (first..=last)
            .map(|power| (2f64.powi(power), claim(2f64.powi(power))))
            .collect();
        Self {
            low,
            high,
            logarithmic: true,
            ticks,
        }
    }

    /// The ticks, without those whose labels would touch in `pixels`.
    pub(super) fn thinned(mut self, pixels: f64) -> Self {
        let widest = self
            .ticks
            .iter()
            .map(|(_, label)| fonts::width(label, 12.0, false))
            .fold(0.0, f64::max);
        let mut keep_each = 1;
        while self.ticks.len().div_ceil(keep_each) as f64 * (widest + 14.0) > pixels.max(1.0)
            && keep_each < self.ticks.len()
        {
            keep_each += 1;
        }
        let mut index = 0;
        self.ticks.retain(|_| {
            index += 1;
            (index - 1) % keep_each == 0
        });
        self
    }

    /// Width of the widest tick label, in pixels.
    pub(super) fn label_width(&self) -> f64 {
        self.ticks
            .iter()
            .map(|(_, label)| fonts::width(label, 12.0, false))
            .fold(0.0, f64::max)
    }

    /// Each tick: its value and its label.
    pub(crate) fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// The ends of the axis.
    pub(crate) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Where `value` lies, 0 at the lower end and 1 at the upper.
    fn fraction(&self, value: f64) -> f64 {
        let fraction = if self.logarithmic {
            (value.max(f64::MIN_POSITIVE).ln() - self.low.ln()) / (self.high.ln() - self.low.ln())
        } else {
            (value - self.low) / (self.high - self.low)
        };
        if fraction.is_nan() {
            0.0
        } else {
            fraction.clamp(0.0, 1.0)
        }
    }
}

/// Finite ends, the first below the second.
fn ordered(low: f64, high: f64) -> (f64, f64) {
    let low = if low.is_finite() {
        low.clamp(-1e300, 1e300)
    } else {
        0.0
    };
    let high = if high.is_finite() {
        high.clamp(-1e300, 1e300)
    } else {
        low + 1.0
    };
    let room = (low.abs() + high.abs()) * 1e-9;
    if high - low > room {
        (low, high)
    } else {
        (low - room - 0.5, low + room + 0.5)
    }
}

/// The same, above zero.
fn positive(low: f64, high: f64) -> (f64, f64) {
    let low = if low.is_finite() {
        low.clamp(1e-12, 1e18)
    } else {
        1.0
    };
    let high = if high.is_finite() {
        high.clamp(1e-12, 1e18)
    } else {
        low * 10.0
    };
    if high > low * 1.001 {
        (low, high)
    } else {
        (low / 2.0, low * 2.0)
    }
}

/// The 1, 2 or 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= step * 0.999);
    factor.unwrap_or(10.0) * power
}

/// `tick` with as many decimals as `step` needs.
fn decimal(tick: f64, step: f64) -> String {
    let places = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    if tick.abs() >= 1e7 {
        return format!("{tick:e}");
    }
    if places == 0 {
        grouped(tick.round() as i64)
    } else {
        format!("{tick:.places$}")
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        limit.0 + (f64::from(limit.1 - limit.0) * self.fraction(*value)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.iter().map(|tick| tick.0).collect()
        }
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks
            .iter()
            .find(|tick| tick.0 == *value)
            .map(|tick| tick.1.clone())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.1.as_str()).collect()
    }

    #[test]
    fn ticks_are_the_round_numbers_of_the_range() {
        assert_eq!(
            labels(&Axis::linear(0.0, 1.0, 5)),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(labels(&Axis::linear(3.1, 9.8, 4)), ["4", "6", "8"]);
        assert_eq!(
            labels(&Axis::rounded(3.1, 9.8, 4)),
            ["2", "4", "6", "8", "10"]
        );
        assert_eq!(
            labels(&Axis::decades(0.07, 150.0)),
            ["0.1", "1", "10", "100"]
        );
        assert_eq!(
            labels(&Axis::decades(15.0, 420.0)),
            ["20", "50", "100", "200"]
        );
        assert_eq!(
            labels(&Axis::bytes(4096.0, 32768.0)),
            ["4 KiB", "8 KiB", "16 KiB", "32 KiB"]
        );
    }

    #[test]
    fn no_range_is_too_strange() {
        for (low, high) in [
            (0.0, 0.0),
            (f64::NAN, 1.0),
            (1.0, f64::INFINITY),
            (5.0, 1.0),
            (-1e308, 1e308),
            (1e-320, 1e-310),
        ] {
            for axis in [
                Axis::linear(low, high, 5),
                Axis::rounded(low, high, 5),
                Axis::decades(low, high),
                Axis::bytes(low, high),
            ] {
                assert!(axis.ticks.len() <= 64, "{axis:?}");
                for value in [low, high, f64::NAN, f64::INFINITY, 0.0] {
                    let mapped = axis.map(&value, (0, 1000));
                    assert!(
                        (0..=1000).contains(&mapped),
                        "{value} of {axis:?} at {mapped}"
                    );
                }
            }
        }
    }

    #[test]
    fn labels_that_would_touch_are_left_out() {
        let axis = Axis::bytes(4096.0, 1e9);
        assert!(axis.ticks.len() >= 18);
        let thin = axis.thinned(300.0);
        assert!(
            thin.ticks.len() as f64 * (thin.label_width() + 14.0) <= 300.0 + thin.label_width()
        );
    }
}
