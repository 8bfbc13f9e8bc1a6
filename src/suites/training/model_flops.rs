//! The arithmetic that a model needs, by operator: the numerator of MFU, the same for every program that trains this model.
//!
//! Forward, per token: `2 (4 d^2 + 2 d f) L + 2 d V + 4 T d L` (with f = 4 d the usual `2 (12 d^2 L + d V) + 4 T d L`); backward twice as
//! much. Attention counts all T positions, as publications do (PaLM, appendix B), although a causal one needs half.

/// Sizes that the arithmetic depends on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Sizes {
    /// Tokens in a sequence.
    pub(super) length: usize,
    pub(super) vocab_size: usize,
    pub(super) d_model: usize,
    pub(super) d_ff: usize,
    pub(super) layers: usize,
}

impl Sizes {
    /// Forward FLOP of one token in one operator, by the operator's name; 0 for those that are no matrix products.
    pub(super) fn forward(&self, operator: &str) -> f64 {
        let [t, v, d, f, l] =
            [self.length, self.vocab_size, self.d_model, self.d_ff, self.layers].map(|size| size as f64);
        match operator {
            "qkv" => 6.0 * d * d * l,
            "attention" => 4.0 * t * d * l,
            "attention_out" => 2.0 * d * d * l,
            "mlp_up" | "mlp_down" => 2.0 * d * f * l,
            "head" => 2.0 * d * v,
            _ => 0.0,
        }
    }

    /// FLOP of one token in one operator and pass: backward is two products for each of forward, the optimizer none.
    pub(super) fn of(&self, operator: &str, pass: &str) -> f64 {
        match pass {
            "forward" => self.forward(operator),
            "backward" => 2.0 * self.forward(operator),
            _ => 0.0,
        }
    }

    /// FLOP of one token, forward and backward.
    pub(super) fn per_token(&self) -> f64 {
        let operators = ["qkv", "attention", "attention_out", "mlp_up", "mlp_down", "head"];
        3.0 * operators.iter().map(|operator| self.forward(operator)).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_published_formula() {
        let sizes = |d: usize, layers, vocab_size| Sizes { length: 128, vocab_size, d_model: d, d_ff: 4 * d, layers };
        for (d, l, v, millions) in [(256, 2, 10_000, 25.6), (384, 4, 16_000, 81.7), (384, 6, 16_000, 104.0)] {
            let formula = 3.0 * (2.0 * (12 * d * d * l + d * v) as f64 + (4 * 128 * d * l) as f64);
            let sum = sizes(d, l, v).per_token();
            assert!((sum - formula).abs() < 1.0, "{sum} {formula}");
            assert!((sum / 1e6 - millions).abs() < 0.5, "{sum}");
        }
    }

    #[test]
    fn only_products_count() {
        let sizes = Sizes { length: 8, vocab_size: 100, d_model: 16, d_ff: 64, layers: 1 };
        assert_eq!(sizes.of("layernorm", "forward") + sizes.of("adamw", "optimizer") + sizes.of("qkv", "optimizer"), 0.0);
        assert_eq!(sizes.of("head", "backward"), 2.0 * 2.0 * 1600.0);
    }
}
