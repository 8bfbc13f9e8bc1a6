//! Against what PyTorch's autograd says (scripts/parity/make_posttraining_fixture.py).

use super::*;
use serde_json::Value;

fn fixture(name: &str) -> Value {
    let text = include_str!("../../../../tests/fixtures/parity/posttraining.json");
    let all: Value = serde_json::from_str(text).unwrap();
    all[name].clone()
}

fn list(case: &Value, key: &str) -> Vec<f64> {
    let numbers = case[key].as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_close(found: f64, expected: f64) {
    let error = (found - expected).abs();
    assert!(
        error <= 1e-12 * (1.0 + expected.abs()),
        "{found} against {expected}"
    );
}

/// Compares loss and slope for every row of inputs.
fn check<const N: usize>(
    name: &str,
    inputs: [&str; N],
    f: impl Fn(&Value, [f64; N]) -> (f64, f64),
) {
    let case = fixture(name);
    let columns = inputs.map(|key| list(&case, key));
    let (losses, slopes) = (list(&case, "loss"), list(&case, "slope"));
    assert!(losses.len() > 10);
    for (row, (loss, slope)) in losses.into_iter().zip(slopes).enumerate() {
        let found = f(&case, std::array::from_fn(|column| columns[column][row]));
        assert_close(found.0, loss);
        assert_close(found.1, slope);
    }
}

#[test]
fn losses_and_slopes_are_those_of_autograd() {
    check("bradley_terry", ["chosen", "rejected"], |_, [a, b]| {
        bradley_terry(a, b)
    });
    check("dpo", ["margin"], |case, [margin]| {
        dpo(margin, case["beta"].as_f64().unwrap())
    });
    check(
        "policy",
        ["now", "old", "advantage"],
        |case, [now, old, advantage]| {
            let found = policy(now, old, advantage, case["epsilon"].as_f64().unwrap());
            (found.loss, found.slope)
        },
    );
    check(
        "value",
        ["now", "old", "target"],
        |case, [now, old, target]| value(now, old, target, case["epsilon"].as_f64().unwrap()),
    );
    check("divergence", ["now", "reference"], |_, [now, reference]| {
        divergence(now, reference)
    });
}

#[test]
fn advantages_are_sums_of_the_surprises_that_follow() {
    let case = fixture("advantages");
    let (rewards, values) = (list(&case, "rewards"), list(&case, "values"));
    let [gamma, lambda] = ["gamma", "lambda"].map(|key| case[key].as_f64().unwrap());
    let found = advantages(&rewards, &values, gamma, lambda);
    found
        .into_iter()
        .zip(list(&case, "advantages"))
        .for_each(|(a, b)| assert_close(a, b));
    assert!(advantages(&[], &[], 1.0, 1.0).is_empty());
    let case = fixture("group_advantages");
    let found = group_advantages(
        &list(&case, "rewards"),
        case["size"].as_u64().unwrap() as usize,
    );
    found
        .into_iter()
        .zip(list(&case, "advantages"))
        .for_each(|(a, b)| assert_close(a, b));
    assert!(
        group_advantages(&[3.0; 4], 4)
            .iter()
            .all(|advantage| *advantage == 0.0)
    );
}

#[test]
fn nothing_overflows() {
    for margin in [1e4, -1e4] {
        let (loss, slope) = bradley_terry(margin, 0.0);
        assert!(loss.is_finite() && slope.is_finite());
    }
    assert!(policy(-1.0, -1.0, 2.0, 0.2).loss == -2.0);
}

#[test]
fn the_coefficient_follows_the_divergence() {
    assert!(steer(0.1, 8.0, 4.0) > 0.1 && steer(0.1, 2.0, 4.0) < 0.1);
    assert_eq!(steer(0.1, 4.0, 4.0), 0.1);
    assert!((steer(1.0, 1e9, 4.0) - 1.1).abs() < 1e-12);
}
