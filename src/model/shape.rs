//! The sizes of a model, and what follows from them.

/// The sizes of a GPT-2 model.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shape {
    /// Tokens that the model knows.
    pub vocab_size: usize,
    /// Positions that it knows: the longest sequence.
    pub context: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Attention heads.
    pub heads: usize,
    /// Blocks.
    pub layers: usize,
    /// Width of the hidden layer of the MLP.
    pub d_ff: usize,
    /// The head uses the token embedding.
    pub tied: bool,
    /// There is a head that gives one number for each token, a reward or a value, beside the one that gives logits.
    pub scalar_head: bool,
}

/// Why sizes make no model.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ShapeError {
    /// A size of zero.
    #[error("{0} is 0: a model needs at least 1")]
    Zero(&'static str),
    /// Heads that do not divide the width.
    #[error("d_model {d_model} is not divisible by {heads} heads")]
    Heads {
        /// Width.
        d_model: usize,
        /// Heads.
        heads: usize,
    },
}

impl Shape {
    /// Refuses sizes that make no model.
    pub fn check(&self) -> Result<(), ShapeError> {
        let sizes = [
            (self.vocab_size, "vocab_size"),
            (self.context, "context"),
            (self.d_model, "d_model"),
            (self.heads, "heads"),
            (self.layers, "layers"),
            (self.d_ff, "d_ff"),
        ];
        if let Some((_, name)) = sizes.iter().find(|(size, _)| *size == 0) {
            return Err(ShapeError::Zero(name));
        }
        if !self.d_model.is_multiple_of(self.heads) {
            return Err(ShapeError::Heads {
                d_model: self.d_model,
                heads: self.heads,
            });
        }
        Ok(())
    }

    /// FLOPs of a training step per token at sequences of `length`, by the customary formula `3 (2 (12 d^2 L + d V) + 4 T d L)`
    /// generalised to any `d_ff`: backward counts twice forward, and attention is counted in full, not causal.
    pub fn training_flops_per_token(&self, length: usize) -> f64 {
        let [d, f, l, v] =
            [self.d_model, self.d_ff, self.layers, self.vocab_size].map(|size| size as f64);
        let matrices = l * (4.0 * d * d + 2.0 * d * f) + d * v;
        3.0 * (2.0 * matrices + 4.0 * length as f64 * d * l)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flops_are_those_of_the_formula() {
        let base = Shape {
            vocab_size: 16_000,
            context: 128,
            d_model: 384,
            heads: 8,
            layers: 4,
            d_ff: 1536,
            tied: true,
            scalar_head: false,
        };
        let expected = 3.0
            * (2.0 * (12.0 * 384.0 * 384.0 * 4.0 + 384.0 * 16_000.0) + 4.0 * 128.0 * 384.0 * 4.0);
        assert_eq!(base.training_flops_per_token(128), expected);
        assert_eq!(base.check(), Ok(()));
        assert!(
            Shape { heads: 7, ..base }
                .check()
                .unwrap_err()
                .to_string()
                .contains("384")
        );
        assert_eq!(
            Shape { layers: 0, ..base }.check(),
            Err(ShapeError::Zero("layers"))
        );
    }
}
