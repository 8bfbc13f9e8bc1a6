//! Which numbers a comparison is about: results are judged and gated, details explain them, the rest are conditions.

use crate::record::{Better, Metric};
use crate::report::contests::is_ours;
use crate::report::view::{PASSES, at_threads};

/// What a number is for a comparison. Each role is corrected for the number of its tests by itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// What a user has in the end: a speed, the memory it takes, the loss.
    Result,
    /// The same in another unit, or a part of it.
    Detail,
}

/// One quantity for each thing that was measured: the others say it again in other units.
const RESULTS: [&str; 6] = [
    "tokens_per_second",
    "gflops",
    "gbps",
    "elements_per_second",
    "peak_rss_bytes",
    "validation_loss",
];

/// Suites that measure the machine and the surroundings, not this program.
const CONDITIONS: [&str; 5] = ["ceiling", "frequency", "counters", "machine", "memory"];

/// Quantities that are shares of something that changes itself: a share that falls lets others rise.
const SHARES: [&str; 4] = [
    "share_of_step",
    "share_of_threads",
    "mfu_step",
    "speedup_over_best_peer",
];

/// The role of a metric; `None` where it is no number to be judged. What `only` names is a result, and nothing else is any.
pub fn role(metric: &Metric, only: &[String]) -> Option<Role> {
    if metric.better == Better::Neither {
        return None;
    }
    if !only.is_empty() {
        let named = only.iter().any(|pattern| fits(pattern, &metric.name));
        return named.then_some(Role::Result);
    }
    let suite = metric.name.split('.').next().unwrap_or_default();
    let (before, _, quantity) = at_threads(&metric.name)?;
    let variant = before.rsplit('.').next().unwrap_or_default();
    let foreign = ["gemm", "batched"].contains(&suite) && !is_ours(variant);
    // The memory of a training case stands under `training` too.
    let twice = suite == "memory" && quantity.ends_with("_bytes");
    if SHARES.contains(&quantity) || foreign || twice {
        return None;
    }
    let of_operator = PASSES.contains(&variant);
    let result = RESULTS.contains(&quantity) && !of_operator && !CONDITIONS.contains(&suite);
    // The model's GFLOP/s and GB/s are its tokens a second in other units, a vector kernel's GB/s its elements.
    let again = [
        ("training", "gflops"),
        ("training", "gbps"),
        ("simd", "gbps"),
    ]
    .contains(&(suite, quantity));
    Some(if result && !again && suite != "ledger" {
        Role::Result
    } else {
        Role::Detail
    })
}

/// Whether `name` is what `pattern` says, where `*` stands for anything.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Provenance;

    fn metric(name: &str, better: Better) -> Metric {
        Metric {
            name: name.to_owned(),
            value: Some(1.0),
            low: None,
            high: None,
            unit: "ratio".to_owned(),
            better,
            provenance: Provenance::Measured,
            how: String::new(),
        }
    }

    #[test]
    fn results_details_and_conditions_are_told_apart() {
        let of = |name: &str| role(&metric(name, Better::Higher), &[]);
        let result = Some(Role::Result);
        assert_eq!(of("training.small.t2.tokens_per_second"), result);
        assert_eq!(of("gemm.64x64x64.nn.avx2.t1.gflops"), result);
        assert_eq!(of("gemm.64x64x64.nn.openblas.t1.gflops"), None);
        let detail = Some(Role::Detail);
        assert_eq!(of("training.small.t2.gflops"), detail);
        assert_eq!(of("training.small.qkv.forward.t2.gflops"), detail);
        assert_eq!(of("ceiling.fma.avx2.t1.gflops"), detail);
        assert_eq!(of("training.small.lost.imbalance.t2.share_of_step"), None);
        let neither = metric("training.small.t2.unigram_entropy", Better::Neither);
        assert_eq!(role(&neither, &[]), None);
        let only = ["ceiling.*".to_owned()];
        let named = |name: &str| role(&metric(name, Better::Higher), &only);
        assert_eq!(named("ceiling.fma.avx2.t1.gflops"), result);
        assert_eq!(named("training.small.t2.tokens_per_second"), None);
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.bc", false),
            ("*", "anything", true),
            ("training.*.t2.*", "training.small.t2.loss", true),
            ("training.*.t2.*", "training.small.t1.loss", false),
            ("*.loss", "training.t1.loss", true),
            ("*a*a", "banana", true),
            ("*ab*b", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
