//! AdamW with decoupled decay (Loshchilov and Hutter, arXiv 1711.05101), clipping and zeroing in the same pass.

use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// What one update needs to know, the same for all values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamwStep {
    /// Learning rate of this step.
    pub learning_rate: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay; 0 for biases and gains.
    pub weight_decay: f32,
    /// Updates made, this one included: 1 in the first.
    pub count: u64,
    /// Factor on gradients: 1, or less where the global norm is clipped.
    pub gradient_scale: f32,
}

/// Updates `parameters` and both moments, and clears `gradients`.
///
/// Reads 16 bytes a parameter and writes 16: bound by memory beyond L2.
///
/// # Panics
/// When lengths differ.
pub fn adamw(
    isa: Isa,
    step: AdamwStep,
    parameters: &mut [f32],
    gradients: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) {
    let len = parameters.len();
    assert_eq!(
        (gradients.len(), first.len(), second.len()),
        (len, len, len),
        "AdamW's lengths"
    );
    isa.run(Adamw {
        step,
        parameters,
        gradients,
        first,
        second,
    });
}

struct Adamw<'a> {
    step: AdamwStep,
    parameters: &'a mut [f32],
    gradients: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Op for Adamw<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let step = self.step;
        // In f64 and once: at count 10,000 the f32 power would be off by 1e-4.
        let correction1 = 1.0 - f64::from(step.beta1).powf(step.count as f64);
        let correction2 = 1.0 - f64::from(step.beta2).powf(step.count as f64);
        let rate = s.splat((-f64::from(step.learning_rate) / correction1) as f32);
        let root = s.splat((1.0 / correction2.sqrt()) as f32);
        let keep = s.splat(1.0 - step.learning_rate * step.weight_decay);
        let (beta1, rest1) = (s.splat(step.beta1), s.splat(1.0 - step.beta1));
        let (beta2, rest2) = (s.splat(step.beta2), s.splat(1.0 - step.beta2));
        let (epsilon, scale, zero) = (
            s.splat(step.epsilon),
            s.splat(step.gradient_scale),
            s.splat(0.0),
        );
        let lanes = Lanes {
            s,
            rate,
            root,
            keep,
            beta1,
            rest1,
            beta2,
            rest2,
            epsilon,
            scale,
        };
        let mut p = self.parameters.chunks_exact_mut(S::LANES);
        let mut g = self.gradients.chunks_exact_mut(S::LANES);
        let mut m = self.first.chunks_exact_mut(S::LANES);
        let mut v = self.second.chunks_exact_mut(S::LANES);
        for (((p, g), m), v) in (&mut p).zip(&mut g).zip(&mut m).zip(&mut v) {
            let (new_p, new_m, new_v) = lanes.update(s.load(p), s.load(g), s.load(m), s.load(v));
            s.store(new_p, p);
            s.store(zero, g);
            s.store(new_m, m);
            s.store(new_v, v);
        }
        let (p, g, m, v) = (
            p.into_remainder(),
            g.into_remainder(),
            m.into_remainder(),
            v.into_remainder(),
        );
        if p.is_empty() {
            return;
        }
        let (new_p, new_m, new_v) = lanes.update(
            s.load_partial(p),
            s.load_partial(g),
            s.load_partial(m),
            s.load_partial(v),
        );
        s.store_partial(new_p, p);
        s.store_partial(zero, g);
        s.store_partial(new_m, m);
        s.store_partial(new_v, v);
    }
}

/// The constants of a step in every lane. A method and not a closure: it must be inlined to be compiled for the ISA.
struct Lanes<S: Simd> {
    s: S,
    rate: S::V,
    root: S::V,
    keep: S::V,
    beta1: S::V,
    rest1: S::V,
    beta2: S::V,
    rest2: S::V,
    epsilon: S::V,
    scale: S::V,
}

impl<S: Simd> Lanes<S> {
    /// New parameter and moments.
    #[inline(always)]
    fn update(&self, p: S::V, g: S::V, m: S::V, v: S::V) -> (S::V, S::V, S::V) {
        let s = self.s;
        let g = s.mul(g, self.scale);
        let m = s.fma(self.beta1, m, s.mul(self.rest1, g));
        let v = s.fma(self.beta2, v, s.mul(self.rest2, s.mul(g, g)));
        let step = s.div(m, s.fma(s.sqrt(v), self.root, self.epsilon));
        (s.fma(self.rate, step, s.mul(p, self.keep)), m, v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{self, assert_close};

    #[test]
    fn agrees_with_the_definition() {
        testing::for_lengths(|isa, p, g| {
            let step = AdamwStep {
                learning_rate: 1e-2,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                weight_decay: 0.1,
                count: 3,
                gradient_scale: 0.5,
            };
            let (mut parameters, mut gradients) = (p.to_vec(), g.to_vec());
            let (mut first, mut second) = (g.to_vec(), g.iter().map(|g| g * g).collect::<Vec<_>>());
            adamw(
                isa,
                step,
                &mut parameters,
                &mut gradients,
                &mut first,
                &mut second,
            );
            for i in 0..p.len() {
                let (p, g) = (f64::from(p[i]), f64::from(g[i]));
                let m = 0.9 * g + 0.1 * 0.5 * g;
                let v = 0.95 * g * g + 0.05 * 0.25 * g * g;
                let (m_hat, v_hat) = (m / (1.0 - 0.9_f64.powi(3)), v / (1.0 - 0.95_f64.powi(3)));
                let expected = p * (1.0 - 1e-3) - 1e-2 * m_hat / (v_hat.sqrt() + 1e-8);
                assert_close(parameters[i], expected, 1.1, 8, "parameter");
                assert_close(first[i], m, 1.0, 4, "first moment");
                assert_close(second[i], v, 1.0, 4, "second moment");
                assert_eq!(gradients[i], 0.0);
            }
        });
    }
}
