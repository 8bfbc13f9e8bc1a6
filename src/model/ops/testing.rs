//! Numeric checks of gradients.

use crate::{
    kernels::{
        Solo,
        gemm::Caches,
        testing::{Random, isas},
    },
    model::{Compute, Switches},
};

/// Runs `test` on every ISA.
pub(crate) fn compute(test: impl Fn(&Compute<'_>)) {
    for isa in isas() {
        test(&Compute {
            isa,
            caches: Caches::default(),
            team: &Solo,
            switches: Switches::default(),
        });
    }
}

pub(crate) fn random(len: usize, seed: u64) -> Vec<f32> {
    Random::new(seed).vec(len)
}

/// Compares `gradient` at some places with central differences of `loss`.
#[track_caller]
pub(crate) fn check_gradient(x: &[f32], gradient: &[f32], mut loss: impl FnMut(&[f32]) -> f64) {
    let step = 1e-2;
    for i in (0..x.len()).step_by((x.len() / 23).max(1)) {
        let mut moved = x.to_vec();
        moved[i] = x[i] + step;
        let above = loss(&moved);
        moved[i] = x[i] - step;
        let expected = (above - loss(&moved)) / f64::from(2.0 * step);
        let error = (f64::from(gradient[i]) - expected).abs();
        assert!(
            error < 4e-3 * (1.0 + expected.abs()),
            "at {i}: gradient {} against {expected}",
            gradient[i]
        );
    }
}
