//! Choosing the next token from logits.

use super::Sampling;

/// The token at `uniform` in 0..1 of the distribution that `sampling` leaves of `logits`.
///
/// # Panics
/// When `logits` is empty.
pub(super) fn choose(logits: &[f32], sampling: &Sampling, uniform: f64) -> u32 {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let logit = |token: &u32| logits[*token as usize];
    // Ties go to the smaller id, so that the choice depends on the logits alone.
    let descending = |a: &u32, b: &u32| logit(b).total_cmp(&logit(a)).then(a.cmp(b));
    if sampling.temperature <= 0.0 {
        return order
            .into_iter()
            .min_by(descending)
            .expect("a vocabulary has tokens");
    }
    let kept = if sampling.top_k == 0 {
        order.len()
    } else {
        sampling.top_k.min(order.len())
    };
    if kept < order.len() {
        order.select_nth_unstable_by(kept - 1, descending);
        order.truncate(kept);
    }
    order.sort_unstable_by(descending);
    let largest = logit(&order[0]);
    let weights: Vec<f64> = order
        .iter()
        .map(|token| f64::from((logit(token) - largest) / sampling.temperature).exp())
        .collect();
    let total: f64 = weights.iter().sum();
    let limit = f64::from(sampling.top_p) * total;
    let mut mass = 0.0;
    let nucleus = weights
        .iter()
        .position(|weight| {
            mass += weight;
            mass >= limit
        })
        .map_or(weights.len(), |last| last + 1);
    let mut target = uniform * weights[..nucleus].iter().sum::<f64>();
    for (token, weight) in order.iter().zip(&weights[..nucleus]) {
        if target < *weight {
            return *token;
        }
        target -= weight;
    }
    order[nucleus - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_to_the_kept_tokens() {
        let logits = [1.0, 3.0, 2.0, 3.0, -5.0];
        let of = |temperature, top_k, top_p, uniform| {
            choose(
                &logits,
                &Sampling {
                    temperature,
                    top_k,
                    top_p,
                    seed: 0,
                },
                uniform,
            )
        };
        assert_eq!(of(0.0, 0, 1.0, 0.9), 1);
        assert_eq!(of(1.0, 2, 1.0, 0.0), 1);
        assert_eq!(of(1.0, 2, 1.0, 0.999), 3);
        assert_eq!(of(1.0, 0, 0.3, 0.999), 1);
        assert_eq!(of(1.0, 0, 1.0, 0.999_999), 4);
        assert_eq!(of(1.0, 3, 1.0, 0.999), 2);
    }
}
