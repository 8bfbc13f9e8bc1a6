//! What comes out where infinities, NaN, huge and denormal values go in, the same on every ISA.
//!
//! | in | out |
//! |---|---|
//! | NaN in an element-wise kernel | NaN in that place and no other; ReLU too |
//! | NaN or infinity in row i of A | a value that is not finite in every place of row i of C, and no other row |
//! | NaN in a row of softmax, layer norm, cross-entropy | NaN in the whole row |
//! | `exp` beyond its range | saturates: 1.2e-38 below, 2.4e38 above |
//! | denormals | themselves or 0: threads of a pool flush them |

use super::{
    Solo,
    gemm::{Caches, Epilogue, Matrix, MatrixMut, Right, Store, multiply, workspace_len},
    testing::{Random, isas},
    vec,
};

const SPECIAL: [f32; 7] = [
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    1e-40,
    -1e-40,
];

/// Both NaN, or equal, or both too small to be normal.
fn same(got: f32, expected: f32) -> bool {
    let tiny = |x: f32| x.abs() < f32::MIN_POSITIVE;
    (got.is_nan() && expected.is_nan()) || got == expected || (tiny(got) && tiny(expected))
}

#[test]
fn exact_kernels_give_what_the_standard_says() {
    for isa in isas() {
        // Every special value in every place of a vector and of its tail.
        for place in 0..37 {
            for special in SPECIAL {
                let mut random = Random::new(place as u64 + 3);
                let (mut a, b) = (random.vec(37), random.vec(37));
                a[place] = special;
                let mut out = vec![0.0; 37];
                let check = |what: &str, out: &[f32], expected: &dyn Fn(f32, f32) -> f32| {
                    for ((got, a), b) in out.iter().zip(&a).zip(&b) {
                        let expected = expected(*a, *b);
                        assert!(
                            same(*got, expected),
                            "{what} on {}: {a}, {b} gave {got}, not {expected}",
                            isa.name()
                        );
                    }
                };
                vec::add(isa, &a, &b, &mut out);
                check("add", &out, &|a, b| a + b);
                vec::hadamard(isa, &a, &b, &mut out);
                check("hadamard", &out, &|a, b| a * b);
                vec::scale(isa, 0.5, &a, &mut out);
                check("scale", &out, &|a, _| 0.5 * a);
                vec::relu(isa, &a, &mut out);
                check("relu", &out, &|a, _| {
                    if a.is_nan() { a } else { a.max(0.0) }
                });
            }
        }
    }
}

#[test]
fn transcendental_kernels_keep_nan_and_saturate() {
    for isa in isas() {
        for place in [0, 15, 16, 36] {
            for special in SPECIAL {
                let mut x = Random::new(9).vec(37);
                x[place] = special;
                let (mut exp, mut tanh, mut gelu) = (x.clone(), x.clone(), x.clone());
                vec::exp(isa, &x, &mut exp);
                vec::tanh(isa, &x, &mut tanh);
                vec::gelu(isa, &x, &mut gelu);
                let name = isa.name();
                for i in 0..37 {
                    let label = || format!("{name}: {} at {i} of {place}", x[i]);
                    let results = [exp[i], tanh[i], gelu[i]];
                    assert!(
                        results.iter().all(|y| y.is_nan() == x[i].is_nan()) || x[i].is_infinite(),
                        "{} gave {results:?}",
                        label()
                    );
                    if !x[i].is_nan() {
                        assert!(exp[i] > 0.0 && exp[i] < 2.5e38, "{} {}", label(), exp[i]);
                        assert!(tanh[i].abs() <= 1.0, "{} {}", label(), tanh[i]);
                    }
                }
            }
        }
    }
}

#[test]
fn a_spoilt_value_spoils_its_row_of_a_product_and_no_other() {
    let (m, n, k) = (31, 40, 23);
    for isa in isas() {
        for special in [f32::NAN, f32::INFINITY] {
            for (row, column) in [(0, 0), (13, 22), (14, 7), (30, 5)] {
                let mut random = Random::new(4);
                let (mut a, b) = (random.vec(m * k), random.vec(k * n));
                a[row * k + column] = special;
                let mut c = vec![0.0; m * n];
                let mut workspace = vec![0.0; workspace_len(isa, m, n, k, false)];
                multiply(
                    isa,
                    Caches::default(),
                    &Solo,
                    &mut workspace,
                    Matrix::new(&a, m, k),
                    Right::Plain(Matrix::new(&b, k, n)),
                    MatrixMut::new(&mut c, m, n),
                    Store::Set,
                    Epilogue::None,
                );
                for (i, c) in c.chunks(n).enumerate() {
                    assert!(
                        c.iter().all(|x| x.is_finite() != (i == row)),
                        "{}: row {i} after {special} in row {row}",
                        isa.name()
                    );
                }
            }
        }
    }
}

#[test]
fn nan_spoils_its_row_of_softmax_layer_norm_and_cross_entropy() {
    for isa in isas() {
        for len in [5, 16, 33] {
            for place in [0, len / 2, len - 1] {
                let mut x = Random::new(len as u64).vec(len);
                x[place] = f32::NAN;
                let label = format!("{} {place} of {len}", isa.name());
                assert!(vec::cross_entropy(isa, &x, 0).is_nan(), "{label}");
                let (ones, zeros) = (vec![1.0; len], vec![0.0; len]);
                let (mut out, mut statistics) = (vec![0.0; len], [0.0; 2]);
                vec::layernorm(isa, &x, &ones, &zeros, &mut out, &mut statistics);
                assert!(out.iter().all(|y| y.is_nan()), "{label}: {out:?}");
                assert!(vec::softmax(isa, &mut x).is_nan(), "{label}");
                assert!(x.iter().all(|y| y.is_nan()), "{label}: {x:?}");
            }
        }
    }
}
