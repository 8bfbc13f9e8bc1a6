//! Whole slices through a function of lanes, with the tail in a partial vector.

use crate::kernels::isa::Simd;

/// `out[i] = f(x[i])`.
#[inline(always)]
pub(crate) fn map<S: Simd>(s: S, x: &[f32], out: &mut [f32], f: impl Fn(S::V) -> S::V) {
    assert_eq!(x.len(), out.len(), "lengths differ");
    let mut x = x.chunks_exact(S::LANES);
    let mut out = out.chunks_exact_mut(S::LANES);
    for (x, out) in (&mut x).zip(&mut out) {
        s.store(f(s.load(x)), out);
    }
    s.store_partial(f(s.load_partial(x.remainder())), out.into_remainder());
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
    s.store_partial(f(s.load_partial(x), s.load_partial(out)), out);
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
    s.store_partial(
        f(s.load_partial(a.remainder()), s.load_partial(b.remainder())),
        out.into_remainder(),
    );
}

/// `x[i] = f(x[i])`.
#[inline(always)]
pub(crate) fn in_place<S: Simd>(s: S, x: &mut [f32], f: impl Fn(S::V) -> S::V) {
    let mut chunks = x.chunks_exact_mut(S::LANES);
    for x in &mut chunks {
        s.store(f(s.load(x)), x);
    }
    let rest = chunks.into_remainder();
    s.store_partial(f(s.load_partial(rest)), rest);
}

/// Sum of `f(x[i])` over the slice; lanes past the end are left out.
#[inline(always)]
pub(crate) fn sum<S: Simd>(s: S, x: &[f32], f: impl Fn(S::V) -> S::V) -> f32 {
    // Four independent chains hide the latency of the addition.
    let mut sums = [s.splat(0.0); 4];
    let mut chunks = x.chunks_exact(4 * S::LANES);
    for x in &mut chunks {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = s.add(*sum, f(s.load(&x[i * S::LANES..])));
        }
    }
    let mut total = s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]));
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

/// Largest value, or negative infinity.
#[inline(always)]
pub(crate) fn max<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut largest = s.splat(f32::NEG_INFINITY);
    let mut chunks = x.chunks_exact(S::LANES);
    for x in &mut chunks {
        largest = s.max(largest, s.load(x));
    }
    chunks
        .remainder()
        .iter()
        .copied()
        .fold(s.max_lane(largest), f32::max)
}

/// Room for the lanes of the widest register.
fn vec_of_lanes<S: Simd>() -> [f32; 16] {
    const { assert!(S::LANES <= 16) };
    [0.0; 16]
}
