//! What happens to the rows of a block of scores between two products.

use crate::kernels::{
    isa::{Op, Simd},
    vec::exp_lanes,
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
        for x in seen.chunks_mut(S::LANES) {
            s.store_partial(exp_lanes(s, s.fma(s.load_partial(x), scale, shift)), x);
        }
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
        for (p, dp) in self.p.chunks(S::LANES).zip(self.dp.chunks_mut(S::LANES)) {
            let centered = s.sub(s.load_partial(dp), mean);
            s.store_partial(s.mul(s.mul(s.load_partial(p), scale), centered), dp);
        }
    }
}

/// The dot product of two rows.
pub(super) struct Dot<'a>(pub(super) &'a [f32], pub(super) &'a [f32]);

impl Op for Dot<'_> {
    type Output = f32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        let mut sum = s.splat(0.0);
        for (a, b) in self.0.chunks(S::LANES).zip(self.1.chunks(S::LANES)) {
            sum = s.fma(s.load_partial(a), s.load_partial(b), sum);
        }
        s.sum(sum)
    }
}
