//! The knees of a staircase: at which size a latency leaves one level for the next, which is where a cache ends.
//!
//! A level is a stretch of sizes with about the same latency; between two levels the latency may climb over an octave or two,
//! because a working set that is little larger than a cache still finds part of itself there. The cache ends where the climb begins.

use super::change_points::{self, Level};
use std::ops::Range;

/// Differences of latency that mean nothing, as a ratio less one.
const LEAST_NOISE: f64 = 0.02;

/// How far up the step, in logarithms, the climb has certainly not begun, is taken to begin, and has certainly begun.
const NOT_YET: f64 = 0.1;
const KNEE: f64 = 0.2;
const BEGUN: f64 = 0.5;

/// What counts as a level and as a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// A level spans at least so many octaves of size.
    pub octaves: f64,
    /// The next level is at least so many times as high.
    pub ratio: f64,
}

/// A step of the staircase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Height before the step.
    pub before: f64,
    /// Height behind it.
    pub behind: f64,
    /// The knee: the size at which the climb begins.
    pub knee: f64,
    /// The largest size that is certainly before the climb.
    pub low: f64,
    /// The size at which half of the climb is done.
    pub high: f64,
}

/// The steps upwards of `heights` over ascending `sizes`, all positive. Empty where there is no step, or the lists do not match.
pub fn steps(sizes: &[f64], heights: &[f64], shape: Shape) -> Vec<Step> {
    let positive = |list: &[f64]| list.iter().all(|value| value.is_finite() && *value > 0.0);
    if sizes.len() != heights.len() || !positive(sizes) || !positive(heights) {
        return Vec::new();
    }
    let logarithms: Vec<f64> = heights.iter().map(|height| height.ln()).collect();
    let noise = change_points::noise(&logarithms, LEAST_NOISE);
    let levels = change_points::levels(&logarithms, noise, 2);
    let treads = treads(&levels, sizes, shape);
    let pairs = treads.windows(2);
    pairs
        .map(|pair| step(sizes, &logarithms, &pair[0], &pair[1]))
        .collect()
}

/// What heights over ascending sizes would be undisturbed, where disturbances only add: a set costs no more than a larger one, of
/// which it is a part.
pub fn floor(heights: &[f64]) -> Vec<f64> {
    let mut floor = heights.to_vec();
    for place in (1..floor.len()).rev() {
        floor[place - 1] = floor[place - 1].min(floor[place]);
    }
    floor
}

/// The levels that are long enough to stand on, joined where they hardly differ.
fn treads(levels: &[Level], sizes: &[f64], shape: Shape) -> Vec<Level> {
    let mut treads: Vec<Level> = Vec::new();
    for level in levels {
        let Range { start, end } = level.range;
        let octaves = (sizes[end - 1] / sizes[start]).log2();
        if octaves < shape.octaves {
            continue;
        }
        match treads.last_mut() {
            Some(last) if level.median - last.median < shape.ratio.ln() => last.range.end = end,
            _ => treads.push(level.clone()),
        }
    }
    treads
}

/// The step between two treads. Each height on the way is passed where fewest samples lie on its wrong side.
fn step(sizes: &[f64], logarithms: &[f64], before: &Level, behind: &Level) -> Step {
    let range = before.range.start..behind.range.end;
    let height = |share: f64| before.median + share * (behind.median - before.median);
    let passed = |share: f64| crossing(logarithms, range.clone(), height(share));
    let (not_yet, knee, begun) = (passed(NOT_YET), passed(KNEE), passed(BEGUN));
    Step {
        before: before.median.exp(),
        behind: behind.median.exp(),
        knee: between(sizes, logarithms, knee, height(KNEE)),
        low: sizes[not_yet.saturating_sub(1)],
        high: sizes[begun],
    }
}

/// The first sample behind `height`, chosen so that fewest before it lie above and fewest behind it below.
fn crossing(samples: &[f64], range: Range<usize>, height: f64) -> usize {
    let below = |place: &usize| samples[*place] < height;
    let mut wrong = range.clone().filter(below).count() as i64;
    let mut best = (wrong, range.start);
    for place in range {
        wrong += if below(&place) { -1 } else { 1 };
        if wrong < best.0 {
            best = (wrong, place + 1);
        }
    }
    best.1.min(samples.len() - 1)
}

/// The size at which the line from the sample before `place` to the one at it passes `height`.
fn between(sizes: &[f64], samples: &[f64], place: usize, height: f64) -> f64 {
    let Some(last) = place.checked_sub(1) else {
        return sizes[place];
    };
    let climb = samples[place] - samples[last];
    let share = if climb > 0.0 {
        ((height - samples[last]) / climb).clamp(0.0, 1.0)
    } else {
        0.5
    };
    sizes[last] * (sizes[place] / sizes[last]).powf(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::testing::Noise;

    const SHAPE: Shape = Shape {
        octaves: 0.5,
        ratio: 1.4,
    };

    /// Sizes of 4 KiB to 256 MiB, eight an octave.
    fn sizes() -> Vec<f64> {
        (0..=128)
            .map(|place| 4096.0 * 2f64.powf(f64::from(place) / 8.0))
            .collect()
    }

    /// Cycles of a load on a machine with these caches (bytes, cycles) and memory: of a set that exceeds a cache by a share `x`
    /// of it, `x * sharpness` misses, until all does.
    fn latency(caches: &[(f64, f64)], memory: f64, size: f64, sharpness: f64) -> f64 {
        let mut cycles = caches.first().map_or(memory, |cache| cache.1);
        for (place, (bytes, own)) in caches.iter().enumerate() {
            let next = caches.get(place + 1).map_or(memory, |cache| cache.1);
            cycles += ((size / bytes - 1.0) * sharpness).clamp(0.0, 1.0) * (next - own);
        }
        cycles
    }

    const KIB: f64 = 1024.0;
    const SKYLAKE: [(f64, f64); 3] = [
        (32.0 * KIB, 5.0),
        (1024.0 * KIB, 14.0),
        (24_576.0 * KIB, 70.0),
    ];
    const ZEN: [(f64, f64); 3] = [
        (32.0 * KIB, 4.0),
        (512.0 * KIB, 12.0),
        (16_384.0 * KIB, 46.0),
    ];

    /// Whether every knee lies within 15 % of its cache.
    fn right(steps: &[Step], caches: &[(f64, f64)]) -> bool {
        steps.len() == caches.len()
            && steps
                .iter()
                .zip(caches)
                .all(|(step, cache)| (step.knee / cache.0 - 1.0).abs() <= 0.15)
    }

    #[test]
    fn knees_are_the_caches_whatever_replaces_their_lines() {
        for (caches, memory) in [(SKYLAKE, 280.0), (ZEN, 250.0)] {
            // From all ways of a set thrashing at once to a part of the set staying.
            for sharpness in [8.0, 3.0, 1.0] {
                let heights: Vec<f64> = sizes()
                    .iter()
                    .map(|size| latency(&caches, memory, *size, sharpness))
                    .collect();
                let steps = steps(&sizes(), &heights, SHAPE);
                assert!(right(&steps, &caches), "{sharpness}: {steps:?}");
                for step in &steps {
                    assert!(
                        step.low <= step.knee * 1.01 && step.knee <= step.high,
                        "{step:?}"
                    );
                }
                assert!((steps[0].before - caches[0].1).abs() < 0.1);
            }
        }
    }

    #[test]
    fn noisy_staircases_keep_their_knees() {
        let mut random = Noise::new(3);
        let mut found = 0;
        for _ in 0..100 {
            let heights: Vec<f64> = sizes()
                .iter()
                .map(|size| {
                    let spike = if random.below(20) == 0 { 1.7 } else { 1.0 };
                    latency(&SKYLAKE, 280.0, *size, 4.0)
                        * (1.0 + 0.03 * random.normal().abs())
                        * spike
                })
                .collect();
            found += usize::from(right(&steps(&sizes(), &heights, SHAPE), &SKYLAKE));
        }
        assert!(found >= 95, "{found} of 100");
    }

    #[test]
    fn disturbed_sizes_are_no_levels() {
        let mut heights: Vec<f64> = sizes()
            .iter()
            .map(|size| latency(&ZEN, 500.0, *size, 4.0))
            .collect();
        // Half an octave in which the cache was another's, far below its end.
        for height in &mut heights[72..77] {
            *height = 290.0;
        }
        assert_eq!(steps(&sizes(), &heights, SHAPE).len(), 4);
        let steps = steps(&sizes(), &floor(&heights), SHAPE);
        assert!(right(&steps, &ZEN), "{steps:?}");
        assert!(floor(&[]).is_empty());
        assert_eq!(floor(&[2.0, 1.0, 4.0, 3.0]), [1.0, 1.0, 3.0, 3.0]);
    }

    #[test]
    fn recorded_staircases_show_the_caches() {
        // Nanoseconds of guests on Cascade Lake (32 KiB, 1 MiB) and Zen 5 (48 KiB, 1 MiB), on pages as they came, two sizes an octave
        // from 4 KiB: the knees come early, and the cache lies where the climb may begin. Of L3 they had a share.
        let recorded: [(&[f64], &[f64]); 2] = [
            (
                &[32.0 * KIB, 1024.0 * KIB],
                &[
                    1.64, 1.62, 1.66, 1.67, 1.71, 2.31, 2.95, 4.53, 4.61, 4.73, 4.73, 5.26, 4.53,
                    5.51, 6.02, 7.29, 19.1, 27.96, 123.26, 126.62, 130.32, 125.68, 135.53, 141.43,
                    142.37, 131.97, 116.54, 119.67, 158.78, 172.94, 122.97,
                ],
            ),
            (
                &[48.0 * KIB, 1024.0 * KIB],
                &[
                    1.16, 1.15, 1.15, 1.15, 1.15, 1.15, 1.15, 1.21, 3.45, 3.45, 3.46, 3.46, 3.46,
                    3.47, 3.88, 4.48, 6.49, 10.75, 12.06, 12.78, 13.17, 13.71, 14.45, 36.97,
                    109.86, 133.72, 132.65, 141.69, 142.51, 147.65, 145.66,
                ],
            ),
        ];
        for (caches, heights) in recorded {
            let sizes: Vec<f64> = (0..heights.len())
                .map(|place| 4096.0 * [1.0, 1.5][place % 2] * f64::from(1 << (place / 2)))
                .collect();
            let found = steps(&sizes, &floor(heights), SHAPE);
            for cache in caches {
                let near = |step: &Step| step.low <= *cache && *cache <= step.high;
                assert!(found.iter().any(near), "{cache}: {found:?}");
            }
        }
    }

    #[test]
    fn what_is_flat_or_creeps_has_no_step() {
        let flat = vec![5.0; 129];
        assert!(steps(&sizes(), &flat, SHAPE).is_empty());
        let mut random = Noise::new(9);
        let noisy: Vec<f64> = (0..129).map(|_| 5.0 + 0.2 * random.normal()).collect();
        assert!(steps(&sizes(), &noisy, SHAPE).is_empty());
        assert!(steps(&sizes(), &flat[1..], SHAPE).is_empty());
        assert!(steps(&[1.0, 2.0], &[1.0, 0.0], SHAPE).is_empty());
        assert!(steps(&[], &[], SHAPE).is_empty());
    }

    #[test]
    fn a_cache_that_is_missing_is_not_made_up() {
        let heights: Vec<f64> = sizes()
            .iter()
            .map(|size| latency(&SKYLAKE[..2], 280.0, *size, 4.0))
            .collect();
        let steps = steps(&sizes(), &heights, SHAPE);
        assert!(right(&steps, &SKYLAKE[..2]), "{steps:?}");
    }
}
