//! Whole slices through a function of lanes, with the tail, if there is one, in a partial vector: a masked store of no lane at all takes
//! some fifty cycles on a Zen 5.

use std::ops::Range;

use crate::kernels::isa::Simd;

/// Calls `f` for the vectors of a row of `len` values, with the places of each and whether it is whole, which is known where `f` is
/// compiled. Masked loads and stores are for the one that is not: a masked store is not forwarded to the load after it, and one row after
/// another through masks took a fifth of the speed of memory (Zen 5).
#[inline(always)]
pub(crate) fn each<S: Simd>(len: usize, mut f: impl FnMut(Range<usize>, bool)) {
    let mut at = 0;
    while at + S::LANES <= len {
        f(at..at + S::LANES, true);
        at += S::LANES;
    }
    if at < len {
        f(at..len, false);
    }
}

/// The vector `from`, a `whole` one or not.
#[inline(always)]
pub(crate) fn load<S: Simd>(s: S, from: &[f32], whole: bool) -> S::V {
    if whole {
        s.load(from)
    } else {
        s.load_partial(from)
    }
}

/// Stores to the vector `to`, a `whole` one or not.
#[inline(always)]
pub(crate) fn store<S: Simd>(s: S, v: S::V, to: &mut [f32], whole: bool) {
    if whole {
        s.store(v, to);
    } else {
        s.store_partial(v, to);
    }
}

/// `out[i] = f(x[i])`.
#[inline(always)]
pub(crate) fn map<S: Simd>(s: S, x: &[f32], out: &mut [f32], f: impl Fn(S::V) -> S::V) {
    assert_eq!(x.len(), out.len(), "lengths differ");
    let mut x = x.chunks_exact(S::LANES);
    let mut out = out.chunks_exact_mut(S::LANES);
    for (x, out) in (&mut x).zip(&mut out) {
        s.store(f(s.load(x)), out);
    }
    let (x, out) = (x.remainder(), out.into_remainder());
    if !out.is_empty() {
        s.store_partial(f(s.load_partial(x)), out);
    }
}

/// `out[i] = f(x[i], out[i])`.
#[inline(always)]
pub(crate) fn update<S: Simd>(s: S, x: &[f32], out: &mut [f32], f: impl Fn(S::V, S::V) -> S::V) {
    assert_eq!(x.len(), out.len(), "lengths differ");
    let mut x = x.chunks_exact(S::LANES);
    let mut out = out.chunks_exact_mut(S::LANES);
    for (x, out) in (&mut x).zip(&mut out) {
        s.store(f(s.load(x), s.load(out)), out);
    }
    let (x, out) = (x.remainder(), out.into_remainder());
    if !out.is_empty() {
        s.store_partial(f(s.load_partial(x), s.load_partial(out)), out);
    }
}

/// `out[i] = f(a[i], b[i])`.
#[inline(always)]
pub(crate) fn zip<S: Simd>(
    s: S,
    a: &[f32],
    b: &[f32],
    out: &mut [f32],
    f: impl Fn(S::V, S::V) -> S::V,
) {
    assert_eq!((a.len(), b.len()), (out.len(), out.len()), "lengths differ");
    let (mut a, mut b) = (a.chunks_exact(S::LANES), b.chunks_exact(S::LANES));
    let mut out = out.chunks_exact_mut(S::LANES);
    for ((a, b), out) in (&mut a).zip(&mut b).zip(&mut out) {
        s.store(f(s.load(a), s.load(b)), out);
    }
    let (a, b, out) = (a.remainder(), b.remainder(), out.into_remainder());
    if !out.is_empty() {
        s.store_partial(f(s.load_partial(a), s.load_partial(b)), out);
    }
}

/// `x[i] = f(x[i])`.
#[inline(always)]
pub(crate) fn in_place<S: Simd>(s: S, x: &mut [f32], f: impl Fn(S::V) -> S::V) {
    let mut chunks = x.chunks_exact_mut(S::LANES);
    for x in &mut chunks {
        s.store(f(s.load(x)), x);
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        s.store_partial(f(s.load_partial(rest)), rest);
    }
}

/// Sum of `f(x[i])` over the slice; lanes past the end are left out.
#[inline(always)]
pub(crate) fn sum<S: Simd>(s: S, x: &[f32], f: impl Fn(S::V) -> S::V) -> f32 {
    // Eight independent chains hide the latency of the addition on two ports.
    let mut sums = [s.splat(0.0); 8];
    let mut chunks = x.chunks_exact(8 * S::LANES);
    for x in &mut chunks {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.add(*sum, f(s.load(&x[i * S::LANES..])));
        }
    }
    let pairs: [S::V; 4] = std::array::from_fn(|i| s.add(sums[i], sums[i + 4]));
    let mut total = s.add(s.add(pairs[0], pairs[1]), s.add(pairs[2], pairs[3]));
    let mut rest = chunks.remainder().chunks_exact(S::LANES);
    for x in &mut rest {
        total = s.add(total, f(s.load(x)));
    }
    let mut sum = s.sum(total);
    if !rest.remainder().is_empty() {
        let mut last = vec_of_lanes::<S>();
        s.store(f(s.load_partial(rest.remainder())), &mut last);
        sum += last[..rest.remainder().len()].iter().sum::<f32>();
    }
    sum
}

/// Sum of `a[i] * b[i]`, as far as the shorter one goes.
#[inline(always)]
pub(crate) fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let (mut a4, mut b4) = (a.chunks_exact(4 * S::LANES), b.chunks_exact(4 * S::LANES));
    for (a, b) in (&mut a4).zip(&mut b4) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.fma(s.load(&a[i * S::LANES..]), s.load(&b[i * S::LANES..]), *sum);
        }
    }
    let mut total = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
    for (a, b) in a4
        .remainder()
        .chunks(S::LANES)
        .zip(b4.remainder().chunks(S::LANES))
    {
        total = s.fma(s.load_partial(a), s.load_partial(b), total);
    }
    s.sum(total)
}

/// `x[i] = f(x[i])`, and the sum of it.
#[inline(always)]
pub(crate) fn in_place_sum<S: Simd>(s: S, x: &mut [f32], f: impl Fn(S::V) -> S::V) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let mut chunks = x.chunks_exact_mut(4 * S::LANES);
    for x in &mut chunks {
        for (i, sum) in sums.iter_mut().enumerate() {
            let x = &mut x[i * S::LANES..(i + 1) * S::LANES];
            let value = f(s.load(x));
            s.store(value, x);
            *sum = s.add(*sum, value);
        }
    }
    let mut total = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
    let mut rest = chunks.into_remainder().chunks_exact_mut(S::LANES);
    for x in &mut rest {
        let value = f(s.load(x));
        s.store(value, x);
        total = s.add(total, value);
    }
    let last = rest.into_remainder();
    if !last.is_empty() {
        s.store_partial(f(s.load_partial(last)), last);
        total = s.add(total, s.load_partial(last));
    }
    s.sum(total)
}

/// Largest value, or negative infinity.
#[inline(always)]
pub(crate) fn max<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut largest = [s.splat(f32::NEG_INFINITY); 4];
    let mut chunks = x.chunks_exact(4 * S::LANES);
    for x in &mut chunks {
        for (i, largest) in largest.iter_mut().enumerate() {
            *largest = s.max(*largest, s.load(&x[i * S::LANES..]));
        }
    }
    let mut total = s.max(s.max(largest[0], largest[1]), s.max(largest[2], largest[3]));
    let mut rest = chunks.remainder().chunks_exact(S::LANES);
    for x in &mut rest {
        total = s.max(total, s.load(x));
    }
    (rest.remainder().iter().copied()).fold(s.max_lane(total), f32::max)
}

/// Room for the lanes of the widest register.
fn vec_of_lanes<S: Simd>() -> [f32; 16] {
    const { assert!(S::LANES <= 16) };
    [0.0; 16]
}
