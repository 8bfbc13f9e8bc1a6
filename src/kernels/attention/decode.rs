//! One query against the tokens before it, whose keys and values are kept: the attention of a text that is being written.
//!
//! Keys of 16 tokens lie transposed in a block, a cache line for each value of the head, so that each lane has a token of its own and no
//! score is summed across lanes. Values lie token by token. Both are read once, from the first byte to the last, which is what a token costs.

use crate::kernels::{
    Isa,
    isa::{Op, Simd},
    vec::Softmax,
};

/// Tokens of a block of keys: the lanes of the widest register.
const BLOCK: usize = 16;

/// How the keys and values of one head of one text lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HeadCache {
    /// Width of the head.
    pub size: usize,
    /// Tokens that there is room for.
    pub context: usize,
}

impl HeadCache {
    /// Places for keys.
    pub fn keys_len(self) -> usize {
        self.size * self.scores_len()
    }

    /// Places for values.
    pub fn values_len(self) -> usize {
        self.size * self.context
    }

    /// Places for scores that [`decode`] needs.
    pub fn scores_len(self) -> usize {
        self.context.next_multiple_of(BLOCK)
    }

    /// Keeps the key of the token at `position`.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn write_key(self, keys: &mut [f32], position: usize, key: &[f32]) {
        assert_eq!(key.len(), self.size, "a key's size");
        let block = position / BLOCK * BLOCK * self.size;
        let places = keys[block..].iter_mut().skip(position % BLOCK);
        for (place, value) in places.step_by(BLOCK).zip(key) {
            *place = *value;
        }
    }

    /// Keeps the value of the token at `position`.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn write_value(self, values: &mut [f32], position: usize, value: &[f32]) {
        values[position * self.size..][..self.size].copy_from_slice(value);
    }
}

/// `out = softmax(query K^T / sqrt(size)) V` over the first `seen` tokens of a head.
///
/// `keys` and `values` as [`HeadCache`] keeps them, `scores` [`HeadCache::scores_len`] places that are written over.
///
/// # Panics
/// When no token is seen, or lengths do not fit.
#[allow(
    clippy::too_many_arguments,
    reason = "an attention has this many parts, and each is named"
)]
pub fn decode(
    isa: Isa,
    cache: HeadCache,
    seen: usize,
    query: &[f32],
    keys: &[f32],
    values: &[f32],
    scores: &mut [f32],
    out: &mut [f32],
) {
    let size = cache.size;
    assert!(
        (1..=cache.context).contains(&seen),
        "{seen} tokens of {}",
        cache.context
    );
    assert_eq!((query.len(), out.len()), (size, size), "a head's size");
    isa.run(Decode {
        seen,
        query,
        keys: &keys[..seen.next_multiple_of(BLOCK) * size],
        values: &values[..seen * size],
        scores: &mut scores[..seen.next_multiple_of(BLOCK)],
        out,
    });
}

struct Decode<'a> {
    seen: usize,
    query: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    scores: &'a mut [f32],
    out: &'a mut [f32],
}

impl Op for Decode<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let size = self.query.len();
        let blocks = self.keys.chunks_exact(BLOCK * size);
        for (block, scores) in blocks.zip(self.scores.chunks_exact_mut(BLOCK)) {
            for lane in (0..BLOCK).step_by(S::LANES) {
                s.store(
                    scores_of_lanes(s, self.query, block, lane),
                    &mut scores[lane..],
                );
            }
        }
        let weights = &mut self.scores[..self.seen];
        s.run(Softmax {
            x: weights,
            scale: 1.0 / (size as f32).sqrt(),
        });
        let mut at = 0;
        while at < size {
            let place = Place {
                weights,
                values: self.values,
                size,
                at,
            };
            let out = &mut self.out[at..];
            at += match out.len() / S::LANES {
                0 => {
                    mix_rest(s, place, out);
                    out.len()
                }
                1 => mix::<S, 1>(s, place, out),
                2 => mix::<S, 2>(s, place, out),
                3 => mix::<S, 3>(s, place, out),
                _ => mix::<S, 4>(s, place, out),
            };
        }
    }
}

/// The scores of the tokens of a block from `lane` on, before they are scaled.
#[inline(always)]
fn scores_of_lanes<S: Simd>(s: S, query: &[f32], block: &[f32], lane: usize) -> S::V {
    // Four chains hide the latency of the multiply-add.
    let mut sums = [s.splat(0.0); 4];
    let (mut fours, mut lines) = (query.chunks_exact(4), block.chunks_exact(4 * BLOCK));
    for (four, lines) in (&mut fours).zip(&mut lines) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.fma(s.splat(four[i]), s.load(&lines[i * BLOCK + lane..]), *sum);
        }
    }
    let rest = fours.remainder().iter();
    for (value, line) in rest.zip(lines.remainder().chunks_exact(BLOCK)) {
        sums[0] = s.fma(s.splat(*value), s.load(&line[lane..]), sums[0]);
    }
    s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]))
}

/// Values to be mixed, from the column `at` of each on.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// One for each token.
    weights: &'a [f32],
    values: &'a [f32],
    size: usize,
    at: usize,
}

/// Mixes the next `N` vectors of the values; returns their columns.
#[inline(always)]
fn mix<S: Simd, const N: usize>(s: S, place: Place<'_>, out: &mut [f32]) -> usize {
    let mut sums = [[s.splat(0.0); N]; 4];
    let mut fours = place.weights.chunks_exact(4);
    let mut rows = place.values.chunks_exact(4 * place.size);
    for (four, rows) in (&mut fours).zip(&mut rows) {
        for (i, sums) in sums.iter_mut().enumerate() {
            add_row(s, sums, four[i], &rows[i * place.size + place.at..]);
        }
    }
    let rest = fours.remainder().iter();
    for (weight, row) in rest.zip(rows.remainder().chunks_exact(place.size)) {
        add_row(s, &mut sums[0], *weight, &row[place.at..]);
    }
    for (v, out) in out.chunks_exact_mut(S::LANES).take(N).enumerate() {
        let pairs = [s.add(sums[0][v], sums[1][v]), s.add(sums[2][v], sums[3][v])];
        s.store(s.add(pairs[0], pairs[1]), out);
    }
    N * S::LANES
}

#[inline(always)]
fn add_row<S: Simd, const N: usize>(s: S, sums: &mut [S::V; N], weight: f32, row: &[f32]) {
    let weight = s.splat(weight);
    for (v, sum) in sums.iter_mut().enumerate() {
        *sum = s.fma(weight, s.load(&row[v * S::LANES..]), *sum);
    }
}

/// Mixes the last columns, fewer than a vector.
#[inline(always)]
fn mix_rest<S: Simd>(s: S, place: Place<'_>, out: &mut [f32]) {
    let mut sum = s.splat(0.0);
    let rows = place.values.chunks_exact(place.size);
    for (weight, row) in place.weights.iter().zip(rows) {
        sum = s.fma(s.splat(*weight), s.load_partial(&row[place.at..]), sum);
    }
    s.store_partial(sum, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{self, Random, assert_close};

    #[test]
    fn agrees_with_the_definition() {
        for isa in testing::isas() {
            for (size, context, seen) in [(1, 1, 1), (5, 21, 17), (48, 40, 40), (67, 70, 33)] {
                let cache = HeadCache { size, context };
                let mut random = Random::new((size + seen) as u64);
                let query = random.vec(size);
                let (k, v) = (random.vec(context * size), random.vec(context * size));
                let mut keys = vec![f32::NAN; cache.keys_len()];
                let mut values = vec![f32::NAN; cache.values_len()];
                let rows = k.chunks(size).zip(v.chunks(size));
                for (position, (key, value)) in rows.enumerate().take(seen) {
                    cache.write_key(&mut keys, position, key);
                    cache.write_value(&mut values, position, value);
                }
                let mut scores = vec![f32::NAN; cache.scores_len()];
                let mut out = vec![f32::NAN; size];
                decode(
                    isa,
                    cache,
                    seen,
                    &query,
                    &keys,
                    &values,
                    &mut scores,
                    &mut out,
                );
                let weights: Vec<f64> = (k.chunks(size).take(seen))
                    .map(|key| {
                        let products = key.iter().zip(&query);
                        let score: f64 = products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        (score / (size as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = weights.iter().sum();
                for (j, got) in out.iter().enumerate() {
                    let mixed: f64 = (weights.iter().zip(v.chunks(size)))
                        .map(|(weight, value)| weight / sum * f64::from(value[j]))
                        .sum();
                    let label = format!("{} {size} {seen}", isa.name());
                    assert_close(*got, mixed, 1.0, 64, &label);
                }
            }
        }
    }
}
