//! How far exp, tanh and GELU are from the truth, over all floats. The truth is f64's, which is good to 2^-29 of an f32's ULP.
//!
//! `cargo test --release --lib accuracy -- --include-ignored --nocapture` takes every one of the 2^32 values, some minutes, and
//! prints the table; without `--include-ignored` every 4,001st is taken.

use crate::kernels::{Isa, gemm::reference_gelu, testing::isas, vec};

/// A function of floats, its promised error, and where it promises it.
struct Case {
    name: &'static str,
    kernel: fn(Isa, &[f32], &mut [f32]),
    truth: fn(f64) -> f64,
    /// Largest error in units in the last place of the true value.
    ulp: f64,
    /// Inside, the error is promised; outside, see the kernel.
    range: [f32; 2],
    /// Errors count relative to this at least: below it the absolute error is what matters.
    least: f64,
}

const CASES: [Case; 3] = [
    Case {
        name: "exp",
        kernel: vec::exp,
        truth: f64::exp,
        ulp: 2.0,
        range: [-87.336_54, 88.376_26],
        least: f32::MIN_POSITIVE as f64,
    },
    Case {
        name: "tanh",
        kernel: vec::tanh,
        truth: f64::tanh,
        ulp: 2.0,
        range: [f32::MIN, f32::MAX],
        least: f32::MIN_POSITIVE as f64,
    },
    Case {
        // Below 0 the rounding of exp's argument, up to some 10, counts as often: near -3 the value is small beside it, and in
        // the tail what is left is compared with 2^-8.
        name: "gelu",
        kernel: vec::gelu,
        truth: |x| reference_gelu(x).0,
        ulp: 13.0,
        range: [f32::MIN, f32::MAX],
        least: 1.0 / 256.0,
    },
];

/// The largest error and where it is.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    ulp: f64,
    x: f32,
    values: u64,
}

/// Unit in the last place of an f32 of this size.
fn ulp_of(x: f64) -> f64 {
    let exponent = ((x.abs().to_bits() >> 52) as i32 - 1023).clamp(-126, 127);
    f64::from(exponent - 23).exp2()
}

/// Every `step`-th float through `case` on every ISA.
fn worst(case: &Case, isas: &[Isa], step: u64) -> Vec<Worst> {
    const BLOCK: u64 = 4096;
    let mut worst = vec![Worst::default(); isas.len()];
    let (mut x, mut out) = (Vec::new(), vec![0.0; BLOCK as usize]);
    for block in (0..1 << 32).step_by((BLOCK * step) as usize) {
        x.clear();
        let bits = (block..(block + BLOCK * step).min(1 << 32)).step_by(step as usize);
        let inside = |x: &f32| (case.range[0]..=case.range[1]).contains(x);
        x.extend(bits.map(|bits| f32::from_bits(bits as u32)).filter(inside));
        let truth: Vec<f64> = x.iter().map(|x| (case.truth)(f64::from(*x))).collect();
        for (isa, worst) in isas.iter().zip(&mut worst) {
            let out = &mut out[..x.len()];
            (case.kernel)(*isa, &x, out);
            for ((x, truth), got) in x.iter().zip(&truth).zip(out) {
                let ulp = (f64::from(*got) - truth).abs() / ulp_of(truth.abs().max(case.least));
                // Not a number is no error of zero.
                if ulp.is_nan() || ulp > worst.ulp {
                    (worst.ulp, worst.x) = (ulp, *x);
                }
            }
            worst.values += x.len() as u64;
        }
    }
    worst
}

fn check(step: u64) {
    let isas = isas();
    for case in &CASES {
        for (isa, worst) in isas.iter().zip(worst(case, &isas, step)) {
            println!(
                "{:6} {:10} {:>13} values  {:.3} ULP at {:e}",
                case.name,
                isa.name(),
                worst.values,
                worst.ulp,
                worst.x
            );
            assert!(
                worst.ulp <= case.ulp,
                "{} on {} is {} ULP off at {:e}, promised {}",
                case.name,
                isa.name(),
                worst.ulp,
                worst.x,
                case.ulp
            );
        }
    }
}

#[test]
fn errors_stay_below_their_bounds() {
    check(4_001);
}

#[test]
#[ignore = "every float takes some minutes"]
fn errors_stay_below_their_bounds_for_every_float() {
    check(1);
}
