//! Causal multi-head attention, forward and backward, without a T x T matrix.
//!
//! Queries go panel by panel, as many as a tile has columns, each in a lane of its own: what is summed over the keys of a query, for the
//! softmax and its gradient, never crosses lanes, and a panel of scores is the packed right operand of the next product as it lies. Keys
//! and values are read where they lie.
//!
//! The forward pass keeps one number a row, the logarithm of the sum of exponentials, from which the backward pass computes the
//! probabilities again (Dao et al., arXiv 2205.14135). Keys after the last query of a panel are skipped.
#![allow(
    unsafe_code,
    reason = "heads are interleaved columns of one matrix, written by different threads"
)]

mod backward;
mod column;
mod decode;
mod forward;
mod panel;

pub use backward::attention_backward;
pub use decode::{HeadCache, decode};
pub use forward::attention;

use super::{Cost, Isa, Solo, Team, gemm::Matrix};

/// Scores that the backward pass of a head holds of each kind: with their gradients 512 KiB, half an L2 of a Zen 5. Twice and four times
/// as many as L2 would hold twice were 6 and 8 % faster at 512 tokens than as many as a quarter (Zen 5).
const CHUNK: usize = 65_536;

/// Who computes: some share out the heads, and each head's products are computed by some.
#[derive(Clone, Copy)]
pub struct Teams<'a> {
    across: &'a dyn Team,
    within: &'a dyn Team,
}

impl<'a> Teams<'a> {
    /// Heads are shared out whole, each to one thread of `team`: few forks, and all of a head stays in one core's caches.
    pub fn share_heads(team: &'a dyn Team) -> Teams<'a> {
        Teams {
            across: team,
            within: &Solo,
        }
    }

    /// One head after the other, and each of its products by all of `team`.
    pub fn share_products(team: &'a dyn Team) -> Teams<'a> {
        Teams {
            across: &Solo,
            within: team,
        }
    }

    fn workers(self) -> usize {
        self.across.workers() * self.within.workers()
    }
}

/// The sizes of one attention.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heads {
    /// Independent sequences.
    pub sequences: usize,
    /// Tokens of each.
    pub length: usize,
    /// Heads.
    pub heads: usize,
    /// Width of one head.
    pub size: usize,
}

impl Heads {
    /// Width of the model: all heads side by side.
    pub fn width(self) -> usize {
        self.heads * self.size
    }

    /// Tokens of all sequences.
    pub fn rows(self) -> usize {
        self.sequences * self.length
    }

    /// Queries whose scores the backward pass holds at once, whole panels, and the distance of keys in them: an odd number of cache lines, so
    /// that neighbours lie in different sets. More make longer sums, fewer stay in L2.
    fn chunk(self, isa: Isa) -> (usize, usize) {
        let (_, lanes) = isa.gemm_tile();
        let panels =
            (CHUNK / (self.length * lanes).max(1)).clamp(1, self.length.div_ceil(lanes).max(1));
        let queries = panels * lanes;
        (queries, queries.next_multiple_of(32) + 16)
    }

    fn scale(self) -> f32 {
        1.0 / (self.size as f32).sqrt()
    }

    /// Values of scratch that each worker of [`attention`] or [`attention_backward`] needs.
    pub fn scratch_len(self, isa: Isa) -> usize {
        let (_, lanes) = isa.gemm_tile();
        let (_, stride) = self.chunk(isa);
        let line = |len: usize| len.next_multiple_of(16);
        let panel = line(self.size * lanes);
        let forward = 2 * panel + line(self.length * lanes) + line(lanes);
        let backward = 2 * panel + 2 * line(self.length * stride);
        forward.max(backward)
    }

    /// Where a head of a sequence has its queries (part 0), keys or values in the rows of all.
    fn start(self, sequence: usize, head: usize, part: usize) -> usize {
        (sequence * self.length * 3 + part) * self.width() + head * self.size
    }

    /// Queries, keys and values of a head of a sequence.
    fn parts(self, qkv: &[f32], sequence: usize, head: usize) -> [Matrix<'_>; 3] {
        [0, 1, 2].map(|part| {
            let from = &qkv[self.start(sequence, head, part)..];
            Matrix::with_stride(from, self.length, self.size, 3 * self.width())
        })
    }

    /// Products over the visible half only, as they are computed: two in the forward pass, five in the backward pass.
    fn cost(self, products: f64, reads: f64, writes: f64) -> Cost {
        let pairs = self.sequences as f64
            * self.heads as f64
            * self.length as f64
            * (self.length as f64 + 1.0)
            / 2.0;
        let values = 4.0 * self.rows() as f64 * self.width() as f64;
        Cost {
            flops: pairs * (2.0 * products * self.size as f64 + 4.0),
            bytes_read: reads * values,
            bytes_written: writes * values,
        }
    }

    /// Cost of the forward pass: reads Q, K, V and writes the output.
    pub fn forward_cost(self) -> Cost {
        self.cost(2.0, 3.0, 1.0)
    }

    /// Cost of the backward pass: reads Q, K, V and the output's gradient, writes three gradients.
    pub fn backward_cost(self) -> Cost {
        self.cost(5.0, 4.0, 3.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{self, Random, assert_close};

    /// Output and gradients by definition, in f64.
    fn reference(h: Heads, qkv: &[f32], dy: &[f32]) -> (Vec<f64>, Vec<f64>) {
        let d = h.width();
        let (mut out, mut grad) = (vec![0.0; h.rows() * d], vec![0.0; h.rows() * 3 * d]);
        let scale = 1.0 / (h.size as f64).sqrt();
        for b in 0..h.sequences {
            for head in 0..h.heads {
                let at = |t: usize, part: usize, j: usize| {
                    (b * h.length + t) * 3 * d + part * d + head * h.size + j
                };
                let of = |t: usize, j: usize| (b * h.length + t) * d + head * h.size + j;
                let value = |t, part, j| f64::from(qkv[at(t, part, j)]);
                for t in 0..h.length {
                    let scores: Vec<f64> = (0..=t)
                        .map(|u| {
                            scale
                                * (0..h.size)
                                    .map(|j| value(t, 0, j) * value(u, 1, j))
                                    .sum::<f64>()
                        })
                        .collect();
                    let sum: f64 = scores.iter().map(|s| s.exp()).sum();
                    let p: Vec<f64> = scores.iter().map(|s| s.exp() / sum).collect();
                    let dp: Vec<f64> = (0..=t)
                        .map(|u| {
                            (0..h.size)
                                .map(|j| f64::from(dy[of(t, j)]) * value(u, 2, j))
                                .sum()
                        })
                        .collect();
                    let mean: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
                    for u in 0..=t {
                        let ds = p[u] * (dp[u] - mean) * scale;
                        for j in 0..h.size {
                            out[of(t, j)] += p[u] * value(u, 2, j);
                            grad[at(u, 2, j)] += p[u] * f64::from(dy[of(t, j)]);
                            grad[at(t, 0, j)] += ds * value(u, 1, j);
                            grad[at(u, 1, j)] += ds * value(t, 0, j);
                        }
                    }
                }
            }
        }
        (out, grad)
    }

    #[test]
    fn agrees_with_the_definition() {
        let shapes = [
            (1, 1, 1, 3),
            (2, 7, 1, 5),
            (1, 13, 3, 8),
            (2, 73, 2, 16),
            (1, 150, 1, 33),
            (1, 300, 1, 20),
        ];
        for isa in testing::isas() {
            for (sequences, length, heads, size) in shapes {
                let h = Heads {
                    sequences,
                    length,
                    heads,
                    size,
                };
                let mut random = Random::new(length as u64);
                let (qkv, dy) = (
                    random.vec(h.rows() * 3 * h.width()),
                    random.vec(h.rows() * h.width()),
                );
                let mut scratch = vec![f32::NAN; h.scratch_len(isa)];
                let (mut out, mut log_sums) =
                    (vec![f32::NAN; dy.len()], vec![f32::NAN; h.rows() * heads]);
                attention(
                    isa,
                    Teams::share_heads(&Solo),
                    h,
                    &qkv,
                    &mut out,
                    &mut log_sums,
                    &mut scratch,
                );
                let mut grad = vec![f32::NAN; qkv.len()];
                attention_backward(
                    isa,
                    Teams::share_heads(&Solo),
                    h,
                    &qkv,
                    &log_sums,
                    &dy,
                    &mut grad,
                    &mut scratch,
                );
                let (expected, expected_grad) = reference(h, &qkv, &dy);
                for (got, expected) in out.iter().zip(expected) {
                    assert_close(*got, expected, 1.0, 64, "attention");
                }
                for (got, expected) in grad.iter().zip(expected_grad) {
                    assert_close(
                        *got,
                        expected,
                        16.0 + expected.abs() * 4.0,
                        128,
                        "attention's gradient",
                    );
                }
            }
        }
    }
}
