//! Scores of as many queries as a register has lanes, one register for each key, and what happens to them between two products. Sums over
//! the keys of a query stay in its lane.

use crate::kernels::{gemm::MatrixMut, isa::Simd, vec::exp_lanes};

/// The scores of `LANES` neighbouring queries with all keys that the last of them may see.
#[derive(Clone, Copy)]
pub(super) struct Column {
    /// Those with key 0.
    start: *mut f32,
    /// Distance of keys.
    stride: usize,
    /// Keys that there is room for.
    rows: usize,
    /// Keys that the first query sees, and keys that any of them sees.
    seen_by_all: usize,
    seen: usize,
}

/// Numbers of lanes.
const LANE: [f32; 16] = {
    let mut lanes = [0.0; 16];
    let mut lane = 0;
    while lane < 16 {
        lanes[lane] = lane as f32;
        lane += 1;
    }
    lanes
};

/// Which queries see a key: those from lane `first` on.
#[derive(Clone, Copy)]
struct Seen<V> {
    first: V,
    lanes: V,
}

impl Column {
    /// The columns of `scores` from `at` on, where column 0 is the query `first` of its sequence and row 0 the key 0.
    ///
    /// # Panics
    /// When `scores` has fewer columns.
    #[inline(always)]
    pub(super) fn new<S: Simd>(scores: &MatrixMut<'_>, first: usize, at: usize) -> Column {
        assert!(at + S::LANES <= scores.columns, "columns of no scores");
        Column {
            start: scores.data.wrapping_add(at),
            stride: scores.row_stride,
            rows: scores.rows,
            seen_by_all: (first + at + 1).min(scores.rows),
            seen: (first + at + S::LANES).min(scores.rows),
        }
    }

    #[inline(always)]
    fn load<S: Simd>(&self, s: S, key: usize) -> S::V {
        // SAFETY: only keys below `rows` are asked for, and the lanes lie in the matrix that the column was made from.
        unsafe { s.load_at(self.start.wrapping_add(key * self.stride)) }
    }

    #[inline(always)]
    fn store<S: Simd>(&self, s: S, v: S::V, key: usize) {
        // SAFETY: as above.
        unsafe { s.store_at(v, self.start.wrapping_add(key * self.stride)) }
    }

    /// Calls `f` for each key that a query sees, and says which do unless all.
    #[inline(always)]
    fn each<S: Simd>(&self, s: S, mut f: impl FnMut(usize, Option<Seen<S::V>>)) {
        for key in 0..self.seen_by_all {
            f(key, None);
        }
        self.each_seen_by_some(s, |key, seen| f(key, Some(seen)));
    }

    #[inline(always)]
    fn each_seen_by_some<S: Simd>(&self, s: S, mut f: impl FnMut(usize, Seen<S::V>)) {
        let lanes = s.load(&LANE);
        for key in self.seen_by_all..self.seen {
            let first = s.splat((key + 1 - self.seen_by_all) as f32);
            f(key, Seen { first, lanes });
        }
    }

    /// Zeros for the keys that none of the queries sees.
    #[inline(always)]
    fn hide_rest<S: Simd>(&self, s: S) {
        for key in self.seen..self.rows {
            self.store(s, s.splat(0.0), key);
        }
    }
}

impl<V: Copy> Seen<V> {
    /// `x` where the key is seen, `hidden` elsewhere.
    #[inline(always)]
    fn or<S: Simd<V = V>>(seen: Option<Seen<V>>, s: S, x: V, hidden: V) -> V {
        match seen {
            Some(seen) => s.select_le(seen.first, seen.lanes, x, hidden),
            None => x,
        }
    }
}

/// Scores become `exp(scale * score - largest)`, where `largest` is the largest `scale * score` of the query; returns it, and their sum.
#[inline(always)]
pub(super) fn exponentials<S: Simd>(s: S, scores: Column, scale: f32) -> (S::V, S::V) {
    let scale = s.splat(scale);
    let least = s.splat(f32::NEG_INFINITY);
    // Four chains, which hide the latency of the comparison.
    let mut largest = [least; 4];
    for key in (0..scores.seen_by_all).step_by(4) {
        for (i, largest) in largest.iter_mut().enumerate() {
            let key = (key + i).min(scores.seen_by_all - 1);
            *largest = s.max(*largest, scores.load(s, key));
        }
    }
    let pairs = [s.max(largest[0], largest[1]), s.max(largest[2], largest[3])];
    let mut largest = s.max(pairs[0], pairs[1]);
    scores.each_seen_by_some(s, |key, seen| {
        let score = Seen::or(Some(seen), s, scores.load(s, key), least);
        largest = s.max(largest, score);
    });
    let largest = s.mul(scale, largest);
    let shift = s.sub(s.splat(0.0), largest);
    let mut sum = s.splat(0.0);
    scores.each(
        s,
        #[inline(always)]
        |key, seen| {
            let p = exp_lanes(s, s.fma(scores.load(s, key), scale, shift));
            let p = Seen::or(seen, s, p, s.splat(0.0));
            scores.store(s, p, key);
            sum = s.add(sum, p);
        },
    );
    scores.hide_rest(s);
    (largest, sum)
}

/// Scores in `p` become probabilities, by the `log_sums` of their exponentials, and gradients of probabilities in `dp` those of scores:
/// `p (dp - m) scale`, where m is the mean of `dp` under `p`.
#[inline(always)]
pub(super) fn score_gradients<S: Simd>(s: S, [p, dp]: [Column; 2], log_sums: S::V, scale: f32) {
    let (scale, shift) = (s.splat(scale), s.sub(s.splat(0.0), log_sums));
    let mut mean = s.splat(0.0);
    p.each(
        s,
        #[inline(always)]
        |key, seen| {
            let value = exp_lanes(s, s.fma(p.load(s, key), scale, shift));
            let value = Seen::or(seen, s, value, s.splat(0.0));
            p.store(s, value, key);
            mean = s.fma(value, dp.load(s, key), mean);
        },
    );
    for key in 0..p.seen {
        let gradient = s.mul(s.mul(p.load(s, key), scale), s.sub(dp.load(s, key), mean));
        dp.store(s, gradient, key);
    }
    p.hide_rest(s);
    dp.hide_rest(s);
}
