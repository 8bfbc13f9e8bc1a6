//! Student's t distribution: how likely a deviation is, and how many standard errors an interval reaches.

/// Terms of the continued fraction at most; a dozen are enough for what occurs.
const TERMS: usize = 500;

/// How likely a deviation of at least `t` standard errors, to either side, is with `freedom` degrees of freedom:
/// `I_x(freedom / 2, 1 / 2)` at `x = freedom / (freedom + t^2)` (DLMF 8.17; Abramowitz & Stegun 26.7.1).
pub fn two_sided(t: f64, freedom: f64) -> f64 {
    if t.is_nan() || freedom.is_nan() || freedom <= 0.0 {
        return 1.0;
    }
    if t.is_infinite() {
        return 0.0;
    }
    // Beyond, it is the normal distribution to seven digits, while the argument below loses its own.
    let freedom = freedom.min(1e8);
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5).clamp(0.0, 1.0)
}

/// The number of standard errors within which the share `confidence` (0 to 1) of all deviations lies, by bisection of
/// [`two_sided`] to ten digits.
pub fn reach(confidence: f64, freedom: f64) -> f64 {
    let wanted = 1.0 - confidence.clamp(0.0, 1.0);
    let (mut low, mut high) = (0.0, 1.0);
    while two_sided(high, freedom) > wanted && high < 1e9 {
        low = high;
        high *= 2.0;
    }
    while high - low > 1e-10 * high {
        let middle = (low + high) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if two_sided(middle, freedom) > wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The regularized incomplete beta function `I_x(a, b)` for positive `a` and `b`.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = a * x.ln() + b * (-x).ln_1p() + log_gamma(a + b) - log_gamma(a) - log_gamma(b);
    // The continued fraction converges fast below its mean; above, the complement does (DLMF 8.17.4).
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * fraction(x, a, b) / a
    } else {
        1.0 - front.exp() * fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of DLMF 8.17.22, without its front, evaluated from the start by Lentz's method (1976).
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let nonzero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let coefficient = |term: usize| {
        let m = (term / 2) as f64;
        if term % 2 == 1 {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        } else {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        }
    };
    let (mut upper, mut lower, mut value) = (1.0, 0.0, 1.0);
    for term in 1..TERMS {
        let d = coefficient(term);
        lower = 1.0 / nonzero(1.0 + d * lower);
        upper = nonzero(1.0 + d / upper);
        let factor = upper * lower;
        value *= factor;
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    1.0 / value
}

/// The logarithm of the gamma function of a positive number: Stirling's series (DLMF 5.11.1) from 8 upwards, the recurrence below.
fn log_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 8.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0
            - square
                * (1.0 / 360.0
                    - square * (1.0 / 1260.0 - square * (1.0 / 1680.0 - square / 1188.0))));
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_agree_with_the_closed_forms() {
        // One degree of freedom is Cauchy's distribution: 1 - 2 atan(t) / pi. Two: 1 - t / sqrt(2 + t^2).
        for t in [0.0, 0.1, 1.0, 2.5, 40.0] {
            let cauchy = 1.0 - 2.0 * f64::atan(t) / std::f64::consts::PI;
            assert!((two_sided(t, 1.0) - cauchy).abs() < 1e-12, "{t}");
            let two = 1.0 - t / (2.0 + t * t).sqrt();
            assert!((two_sided(-t, 2.0) - two).abs() < 1e-12, "{t}");
        }
        assert_eq!(two_sided(f64::INFINITY, 3.0), 0.0);
        assert_eq!(two_sided(f64::NAN, 3.0), 1.0);
    }

    #[test]
    fn reaches_agree_with_the_tables() {
        // R: qt(0.975, c(1, 4, 9, 30)), qnorm(0.975), qt(0.995, 4)
        for (freedom, expected) in [
            (1.0, 12.706_204_736),
            (4.0, 2.776_445_105),
            (9.0, 2.262_157_163),
            (30.0, 2.042_272_456),
            (1e9, 1.959_963_987),
        ] {
            assert!((reach(0.95, freedom) - expected).abs() < 2e-7, "{freedom}");
        }
        assert!((reach(0.99, 4.0) - 4.604_094_871).abs() < 1e-8);
    }

    #[test]
    fn the_gamma_function_is_that_of_factorials() {
        for (x, expected) in [(1.0, 1.0_f64), (5.0, 24.0), (11.0, 3_628_800.0)] {
            assert!((log_gamma(x) - expected.ln()).abs() < 1e-12, "{x}");
        }
        assert!((log_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-12);
    }
}
