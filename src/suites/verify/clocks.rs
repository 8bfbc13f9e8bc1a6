//! The time stamp counter against the system's clock, and the frequency of a core against base and turbo.

use super::finding::{Claim, within};
use crate::measure::frequency;
use crate::probe::Fact;
use crate::record::{Check, Verdict};
use crate::stats::{Interval, bootstrap, summary};
use crate::suites::quantity::GHZ;
use crate::suites::{Context, Curve, SuiteError};
use crate::units::{Hertz, Ratio};
use std::time::{Duration, Instant};

/// Time over which the two clocks are compared.
const STRETCH: Duration = Duration::from_millis(250);

/// Windows of 30 us in which the frequency is sampled.
const WINDOWS: usize = 1_500;

/// How far a clock or a frequency may lie from its claim.
const CLOCK_TOLERANCE: f64 = 1e-3;
const FREQUENCY_TOLERANCE: f64 = 0.03;

/// Spread of windows that needs no explanation.
const STEADY: f64 = 0.005;

pub(super) fn checks(context: &mut Context) -> Result<Vec<Check>, SuiteError> {
    context.say("verify: clocks");
    let mut checks = vec![counter(context)];
    checks.extend(frequencies(context)?);
    Ok(checks)
}

fn hertz(value: f64) -> String {
    Hertz(value).to_string()
}

fn counter(context: &Context) -> Check {
    let claim = Claim {
        fact: context.machine.clocks.tsc_hertz.clone(),
        key: "verify.tsc.hertz".into(),
        label: "time stamp counter".into(),
        show: |hertz| format!("{:.3} MHz", hertz / 1e6),
    };
    let rate = match context.clock.tsc() {
        Ok(rate) => rate.0,
        Err(refusal) => return claim.unmeasured(refusal.to_string()),
    };
    let (system, start) = (Instant::now(), context.clock.now());
    std::thread::sleep(STRETCH);
    let ratio = context.clock.since(start) / system.elapsed().as_secs_f64();
    let measured = Interval {
        estimate: rate * ratio,
        low: rate * ratio.min(1.0),
        high: rate * ratio.max(1.0),
    };
    let drift = (ratio - 1.0).abs() * 1e6;
    claim.against(measured, within(CLOCK_TOLERANCE), |verdict| {
        let how = format!(
            "against CLOCK_MONOTONIC over {} ms; {drift:.0} millionths from its own calibration before",
            STRETCH.as_millis()
        );
        match verdict {
            Verdict::NoClaim => format!("{how}; {}", claim.fact.reason().unwrap_or_default()),
            Verdict::Disagree => format!(
                "{how}; the claim is wrong by more than 0.1 %: a hypervisor may scale the counter, or the system's clock is being slewed"
            ),
            _ => how,
        }
    })
}

/// Base and highest frequency, against the median of short windows on one thread.
fn frequencies(context: &mut Context) -> Result<Vec<Check>, SuiteError> {
    let (pool, clock) = (context.pool(1)?, context.clock);
    let cpu = pool.cpus()[0] as u32;
    let (samples, ratios): (Vec<f64>, Vec<f64>) = pool.install(|| {
        let pair = |_| {
            let additions = frequency::window(clock).0;
            (additions, additions / frequency::products_a_second(clock))
        };
        (0..WINDOWS).map(pair).unzip()
    });
    let clocks = &context.machine.clocks;
    let highest = match &clocks.max_hertz {
        Fact::Known { value, source } => match value.get(&cpu).or(value.values().next()) {
            Some(hertz) => Fact::known(*hertz, source.clone()),
            None => Fact::unknown("no CPU tells it"),
        },
        Fact::Unknown { reason } => Fact::unknown(reason.clone()),
    };
    let claim = |fact: &Fact<f64>, what: &str, label: &str| Claim {
        fact: fact.clone(),
        key: format!("verify.{what}.hertz"),
        label: label.into(),
        show: hertz,
    };
    let base = claim(&clocks.base_hertz, "base", "base frequency");
    let highest = claim(&highest, "highest", "highest frequency");
    let range = |p| summary::quantile(&samples, p);
    let (Some(median), Some(low), Some(high)) = (
        bootstrap::median_interval(&samples[..300.min(samples.len())], 1),
        range(0.1),
        range(0.9),
    ) else {
        let why = "the clock gave no finite frequency";
        return Ok(vec![base.unmeasured(why), highest.unmeasured(why)]);
    };
    let measured = Interval {
        estimate: range(0.5).unwrap_or(median.estimate),
        low,
        high,
    };
    let how = format!(
        "{WINDOWS} windows of dependent additions on CPU {cpu}; {}",
        steadiness((high - low) / measured.estimate, spread(&ratios))
    );
    let curve = Curve::through(
        "windows",
        samples
            .iter()
            .enumerate()
            .map(|(place, hertz)| (place as f64, hertz / 1e9)),
    );
    context
        .recorder
        .curve("verify.frequency.t1", GHZ, curve, how.clone());
    Ok(vec![
        judge_base(&base, measured, &how),
        judge_highest(&highest, measured, &how),
    ])
}

/// From the slowest to the fastest tenth, relative to the median.
fn spread(samples: &[f64]) -> Option<f64> {
    let of = |p| summary::quantile(samples, p);
    Some((of(0.9)? - of(0.1)?) / of(0.5)?)
}

/// How steady the frequency is, and whether it is the clock that moves: then multiplications beside the additions see the same.
fn steadiness(windows: f64, ratios: Option<f64>) -> String {
    let how = format!(
        "between the slowest and the fastest tenth lie {}",
        Ratio(windows)
    );
    match ratios {
        Some(ratios) if windows <= STEADY && ratios <= STEADY => how,
        Some(ratios) => {
            let what = if ratios <= STEADY {
                "the clock moves, the measurement does not"
            } else {
                "the measurement itself is not steady now"
            };
            format!(
                "{how}, and {} between those of their ratio to dependent multiplications beside each: {what}",
                Ratio(ratios)
            )
        }
        None => how,
    }
}

/// The base is what is guaranteed: running faster keeps the promise.
fn judge_base(claim: &Claim, measured: Interval, how: &str) -> Check {
    let kept = |claimed: f64, measured: Interval| {
        measured.estimate >= claimed * (1.0 - FREQUENCY_TOLERANCE)
    };
    claim.against(measured, kept, |verdict| match verdict {
        Verdict::Agree => format!("{how}; at least the base, as promised"),
        Verdict::Disagree => format!("{how}; slower than the base: wide vector instructions of a neighbour, a power or thermal limit, a governor that saves, or a wrong claim"),
        _ => format!("{how}; {}", claim.fact.reason().unwrap_or_default()),
    })
}

fn judge_highest(claim: &Claim, measured: Interval, how: &str) -> Check {
    let claimed = claim.fact.value().copied().unwrap_or(f64::INFINITY);
    claim.against(measured, within(FREQUENCY_TOLERANCE), |verdict| match verdict {
        Verdict::Agree => how.to_string(),
        Verdict::Disagree if measured.estimate > claimed => {
            format!("{how}; faster than claimed: the claim is wrong")
        }
        Verdict::Disagree => format!(
            "{how}; not reached now: turbo falls with the number of busy cores, power, heat and the governor"
        ),
        _ => format!("{how}; {}", claim.fact.reason().unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(hertz: f64) -> Claim {
        Claim {
            fact: Fact::known(hertz, "cpuid 0x16"),
            key: "verify.base.hertz".into(),
            label: "base".into(),
            show: super::hertz,
        }
    }

    #[test]
    fn what_moves_is_told() {
        assert!(!steadiness(0.004, Some(0.003)).contains("ratio"));
        assert!(steadiness(0.024, Some(0.003)).contains("the clock moves"));
        assert!(steadiness(0.024, Some(0.02)).contains("not steady"));
        assert_eq!(spread(&[]), None);
        let even: Vec<f64> = (0..=100).map(|x| 100.0 + f64::from(x)).collect();
        assert!((spread(&even).unwrap() - 80.0 / 150.0).abs() < 1e-9);
    }

    #[test]
    fn a_base_is_kept_by_running_faster_and_a_turbo_is_not() {
        let measured = Interval::exactly(3.2e9);
        assert_eq!(
            judge_base(&claim(2.5e9), measured, "").verdict,
            Verdict::Agree
        );
        let slow = judge_base(&claim(3.6e9), measured, "");
        assert_eq!(slow.verdict, Verdict::Disagree);
        assert!(slow.why.contains("slower than the base"));
        assert_eq!(
            judge_highest(&claim(3.25e9), measured, "").verdict,
            Verdict::Agree
        );
        assert!(
            judge_highest(&claim(2.5e9), measured, "")
                .why
                .contains("faster than claimed")
        );
        assert!(
            judge_highest(&claim(4.2e9), measured, "")
                .why
                .contains("not reached")
        );
    }
}
