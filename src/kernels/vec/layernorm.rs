//! Layer norm over rows (Ba, Kiros and Hinton, arXiv 1607.06450).

use super::map;
use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// Added to the variance, as GPT-2 does.
const EPSILON: f32 = 1e-5;

/// For each row of `x`: `out = (x - mean) / sqrt(variance + 1e-5) * gain + bias`.
///
/// Shapes: `x`, `out` rows x d; `gain`, `bias` d; `statistics` 2 x rows values, the mean and the reciprocal deviation of
/// each row side by side, kept for the backward pass.
///
/// # Panics
/// When lengths do not fit.
pub fn layernorm(
    isa: Isa,
    x: &[f32],
    gain: &[f32],
    bias: &[f32],
    out: &mut [f32],
    statistics: &mut [f32],
) {
    assert_eq!(
        (x.len(), gain.len()),
        (out.len(), bias.len()),
        "layer norm's lengths"
    );
    assert_eq!(
        statistics.len() * gain.len(),
        2 * x.len(),
        "layer norm's statistics"
    );
    isa.run(Forward {
        x,
        gain,
        bias,
        out,
        statistics,
    });
}

/// The backward pass of [`layernorm`]: adds to `dx`, `dgain` and `dbias`.
///
/// # Panics
/// When lengths do not fit.
#[allow(
    clippy::too_many_arguments,
    reason = "four inputs and three gradients, as the mathematics has them"
)]
pub fn layernorm_backward(
    isa: Isa,
    x: &[f32],
    gain: &[f32],
    statistics: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    dgain: &mut [f32],
    dbias: &mut [f32],
) {
    assert_eq!(
        (x.len(), x.len()),
        (dy.len(), dx.len()),
        "layer norm's lengths"
    );
    assert_eq!(
        (gain.len(), gain.len()),
        (dgain.len(), dbias.len()),
        "layer norm's lengths"
    );
    assert_eq!(
        statistics.len() * gain.len(),
        2 * x.len(),
        "layer norm's statistics"
    );
    isa.run(Backward {
        x,
        gain,
        statistics,
        dy,
        dx,
        dgain,
        dbias,
    });
}

struct Forward<'a> {
    x: &'a [f32],
    gain: &'a [f32],
    bias: &'a [f32],
    out: &'a mut [f32],
    statistics: &'a mut [f32],
}

impl Op for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let d = self.gain.len();
        let rows = self
            .x
            .chunks_exact(d)
            .zip(self.out.chunks_exact_mut(d))
            .zip(self.statistics.chunks_exact_mut(2));
        for ((x, out), statistics) in rows {
            let mean = map::sum(
                s,
                x,
                #[inline(always)]
                |x| x,
            ) / d as f32;
            let center = s.splat(mean);
            let variance = map::sum(
                s,
                x,
                #[inline(always)]
                |x| {
                    let x = s.sub(x, center);
                    s.mul(x, x)
                },
            ) / d as f32;
            let reciprocal = 1.0 / (variance + EPSILON).sqrt();
            let factor = s.splat(reciprocal);
            map::each::<S>(
                d,
                #[inline(always)]
                |part, whole| {
                    let load = |from: &[f32]| map::load(s, &from[part.clone()], whole);
                    let h = s.mul(s.sub(load(x), center), factor);
                    let y = s.fma(h, load(self.gain), load(self.bias));
                    map::store(s, y, &mut out[part.clone()], whole);
                },
            );
            statistics.copy_from_slice(&[mean, reciprocal]);
        }
    }
}

struct Backward<'a> {
    x: &'a [f32],
    gain: &'a [f32],
    statistics: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
    dgain: &'a mut [f32],
    dbias: &'a mut [f32],
}

impl Op for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let d = self.gain.len();
        let rows = self.x.chunks_exact(d).zip(self.dy.chunks_exact(d));
        let rows = rows
            .zip(self.dx.chunks_exact_mut(d))
            .zip(self.statistics.chunks_exact(2));
        for (((x, dy), dx), statistics) in rows {
            let (mean, reciprocal) = (s.splat(statistics[0]), s.splat(statistics[1]));
            // With h the normalised row and g = dy * gain: dx = (g - mean(g) - h mean(g h)) / deviation.
            let (mut sum_g, mut sum_gh) = (s.splat(0.0), s.splat(0.0));
            map::each::<S>(
                d,
                #[inline(always)]
                |part, whole| {
                    // Lanes past the end hold dy = 0, so they add nothing to any sum.
                    let load = |from: &[f32]| map::load(s, &from[part.clone()], whole);
                    let (dy, h) = (load(dy), s.mul(s.sub(load(x), mean), reciprocal));
                    let g = s.mul(dy, load(self.gain));
                    sum_g = s.add(sum_g, g);
                    sum_gh = s.fma(g, h, sum_gh);
                    let dgain = s.fma(dy, h, load(self.dgain));
                    let dbias = s.add(dy, load(self.dbias));
                    map::store(s, dgain, &mut self.dgain[part.clone()], whole);
                    map::store(s, dbias, &mut self.dbias[part], whole);
                },
            );
            let (mean_g, mean_gh) = (
                s.splat(s.sum(sum_g) / d as f32),
                s.splat(s.sum(sum_gh) / d as f32),
            );
            map::each::<S>(
                d,
                #[inline(always)]
                |part, whole| {
                    let load = |from: &[f32]| map::load(s, &from[part.clone()], whole);
                    let h = s.mul(s.sub(load(x), mean), reciprocal);
                    let g = s.sub(s.mul(load(dy), load(self.gain)), mean_g);
                    let inner = s.sub(g, s.mul(h, mean_gh));
                    let sum = s.fma(inner, reciprocal, load(dx));
                    map::store(s, sum, &mut dx[part], whole);
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kernels::testing::{self, Random, assert_close};

    /// Value and gradients in f64.
    fn reference(
        x: &[f32],
        gain: &[f32],
        bias: &[f32],
        dy: &[f32],
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let d = x.len() as f64;
        let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
        let mean = x.iter().sum::<f64>() / d;
        let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / d;
        let r = 1.0 / (variance + 1e-5).sqrt();
        let h: Vec<f64> = x.iter().map(|x| (x - mean) * r).collect();
        let g: Vec<f64> = dy
            .iter()
            .zip(gain)
            .map(|(dy, gain)| f64::from(*dy) * f64::from(*gain))
            .collect();
        let mean_g = g.iter().sum::<f64>() / d;
        let mean_gh = g.iter().zip(&h).map(|(g, h)| g * h).sum::<f64>() / d;
        let y = (0..x.len())
            .map(|i| h[i] * f64::from(gain[i]) + f64::from(bias[i]))
            .collect();
        let dx = (0..x.len())
            .map(|i| r * (g[i] - mean_g - h[i] * mean_gh))
            .collect();
        let dgain = (0..x.len()).map(|i| f64::from(dy[i]) * h[i]).collect();
        (y, dx, dgain)
    }

    #[test]
    fn agrees_with_the_definition_and_adds_gradients() {
        for isa in testing::isas() {
            for d in [1, 2, 5, 16, 24, 33, 67] {
                let mut random = Random::new(d as u64);
                let (x, dy) = (random.vec(2 * d), random.vec(2 * d));
                let (gain, bias) = (random.vec(d), random.vec(d));
                let (mut out, mut statistics) = (vec![0.0; 2 * d], [0.0; 4]);
                super::layernorm(isa, &x, &gain, &bias, &mut out, &mut statistics);
                let (mut dx, mut dgain, mut dbias) = (vec![1.0; 2 * d], vec![0.0; d], vec![0.0; d]);
                super::layernorm_backward(
                    isa,
                    &x,
                    &gain,
                    &statistics,
                    &dy,
                    &mut dx,
                    &mut dgain,
                    &mut dbias,
                );
                let mut total_dgain = vec![0.0; d];
                for row in 0..2 {
                    let range = row * d..(row + 1) * d;
                    let (y, expected_dx, expected_dgain) =
                        reference(&x[range.clone()], &gain, &bias, &dy[range.clone()]);
                    let size = f64::from(statistics[2 * row + 1]) * d as f64 + 4.0;
                    for i in 0..d {
                        assert_close(out[row * d + i], y[i], size, 32, "layer norm");
                        assert_close(dx[row * d + i], 1.0 + expected_dx[i], size * 8.0, 64, "dx");
                        total_dgain[i] += expected_dgain[i];
                    }
                }
                for i in 0..d {
                    let size = 4.0 + f64::from(statistics[1].max(statistics[3]));
                    assert_close(dgain[i], total_dgain[i], size, 32, "dgain");
                    assert_close(
                        dbias[i],
                        f64::from(dy[i]) + f64::from(dy[d + i]),
                        2.0,
                        4,
                        "dbias",
                    );
                }
            }
        }
    }
}
