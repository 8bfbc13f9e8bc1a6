//! What happens to the rows of a block of scores between two products.

use crate::kernels::{
    isa::{Op, Simd},
    vec::{exp_lanes, map},
};

/// `x = exp(scale * x - log_sum)` over the visible scores of one query, 0 over the others.
pub(super) struct Probabilities<'a> {
    pub(super) x: &'a mut [f32],
    pub(super) visible: usize,
    pub(super) scale: f32,
    pub(super) log_sum: f32,
}

impl Op for Probabilities<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (seen, hidden) = self.x.split_at_mut(self.visible);
        hidden.fill(0.0);
        let (scale, shift) = (s.splat(self.scale), s.splat(-self.log_sum));
        map::in_place(
            s,
            seen,
            #[inline(always)]
            |x| exp_lanes(s, s.fma(x, scale, shift)),
        );
    }
}

/// `dp = p * (dp - mean) * scale`: the gradient of the scores of one query; hidden ones have `p = 0`.
pub(super) struct ScoreGradient<'a> {
    pub(super) p: &'a [f32],
    pub(super) dp: &'a mut [f32],
    pub(super) mean: f32,
    pub(super) scale: f32,
}

impl Op for ScoreGradient<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (mean, scale) = (s.splat(self.mean), s.splat(self.scale));
        map::update(
            s,
            self.p,
            self.dp,
            #[inline(always)]
            |p, dp| s.mul(s.mul(p, scale), s.sub(dp, mean)),
        );
    }
}

/// The dot product of two rows.
pub(super) struct Dot<'a>(pub(super) &'a [f32], pub(super) &'a [f32]);

impl Op for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        let mut sum = s.splat(0.0);
        map::each::<S>(
            self.0.len(),
            #[inline(always)]
            |part, whole| {
                let load = |from: &[f32]| map::load(s, &from[part.clone()], whole);
                sum = s.fma(load(self.0), load(self.1), sum);
            },
        );
        s.sum(sum)
    }
}
