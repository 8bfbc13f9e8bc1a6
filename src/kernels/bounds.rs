//! No kernel reads or writes outside of its slices: every slice lies against a page that may not be touched, once behind it
//! and once before it. A violation ends the test process with a segmentation fault.

use super::{
    Isa, Solo,
    attention::{HeadCache, Heads, Teams, attention, attention_backward, decode},
    gemm::{
        Caches, Epilogue, Matrix, MatrixMut, Product, Right, Store, batched, gemv, multiply,
        pack_right, packed_right_len, workspace_len,
    },
    testing::{At, Guarded, Random, isas},
    vec,
};

/// Runs `test` on every ISA with slices at both ends of their pages.
fn everywhere(test: impl Fn(Isa, At)) {
    for isa in isas() {
        for at in [At::End, At::Start] {
            test(isa, at);
        }
    }
}

/// Random values between forbidden pages.
struct Slices {
    at: At,
    random: Random,
}

impl Slices {
    fn new(at: At, seed: usize) -> Slices {
        Slices {
            at,
            random: Random::new(seed as u64 + 1),
        }
    }

    fn take(&mut self, len: usize) -> Guarded {
        Guarded::new(&self.random.vec(len), self.at)
    }
}

/// Lengths around every vector of every ISA.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=67).chain([127, 1021])
}

#[test]
fn element_wise_kernels_stay_inside() {
    everywhere(|isa, at| {
        for len in lengths() {
            let mut slices = Slices::new(at, len);
            let (a, b, mut out) = (slices.take(len), slices.take(len), slices.take(len));
            vec::add(isa, &a, &b, &mut out);
            vec::add_assign(isa, &a, &mut out);
            vec::hadamard(isa, &a, &b, &mut out);
            vec::scale(isa, 0.5, &a, &mut out);
            vec::relu(isa, &a, &mut out);
            vec::exp(isa, &a, &mut out);
            vec::tanh(isa, &a, &mut out);
            vec::gelu(isa, &a, &mut out);
            vec::gelu_backward(isa, &a, &mut out);
            std::hint::black_box(vec::sum_of_squares(isa, &a));
            if len.is_multiple_of(16) {
                vec::stream_read(isa, &a, 1);
            }
            let step = vec::AdamwStep {
                learning_rate: 1e-3,
                beta1: 0.9,
                beta2: 0.95,
                epsilon: 1e-8,
                weight_decay: 0.1,
                count: 1,
                gradient_scale: 1.0,
            };
            let (mut parameters, mut gradients) = (slices.take(len), slices.take(len));
            let (mut first, mut second) = (slices.take(len), slices.take(len));
            vec::adamw(
                isa,
                step,
                &mut parameters,
                &mut gradients,
                &mut first,
                &mut second,
            );
        }
    });
}

#[test]
fn row_kernels_stay_inside() {
    everywhere(|isa, at| {
        for len in lengths().filter(|len| *len > 0) {
            let mut slices = Slices::new(at, len);
            let mut x = slices.take(len);
            std::hint::black_box(vec::softmax(isa, &mut x));
            std::hint::black_box(vec::cross_entropy(isa, &x, len - 1));
            std::hint::black_box(vec::cross_entropy_with_gradient(isa, &mut x, 0, 1.0));
            let rows = 3;
            let (m, mut sums) = (slices.take(rows * len), slices.take(len));
            vec::add_column_sums(isa, &Solo, &m, &mut sums);
            let (gain, bias, dy) = (slices.take(len), slices.take(len), slices.take(rows * len));
            let (mut out, mut statistics) = (slices.take(rows * len), slices.take(2 * rows));
            vec::layernorm(isa, &m, &gain, &bias, &mut out, &mut statistics);
            let (mut dgain, mut dbias) = (slices.take(len), slices.take(len));
            vec::layernorm_backward(
                isa,
                &m,
                &gain,
                &statistics,
                &dy,
                &mut out,
                &mut dgain,
                &mut dbias,
            );
        }
    });
}

/// One product with every operand, the result and the workspace against forbidden pages.
fn product(isa: Isa, at: At, caches: Caches, (m, n, k): (usize, usize, usize), layout: usize) {
    let mut slices = Slices::new(at, m + 100 * n + 10_000 * k);
    let (a, b, mut c) = (slices.take(m * k), slices.take(k * n), slices.take(m * n));
    let (bias, residual) = (slices.take(n), slices.take(m * n));
    let a = if layout & 1 == 0 {
        Matrix::new(&a, m, k)
    } else {
        Matrix::new(&a, k, m).transposed()
    };
    let b = if layout & 2 == 0 {
        Matrix::new(&b, k, n)
    } else {
        Matrix::new(&b, n, k).transposed()
    };
    let mut workspace = slices.take(workspace_len(isa, m, n, k, false));
    let mut panels = slices.take(packed_right_len(isa, k, n));
    let packed = Right::Packed(pack_right(isa, &Solo, b, &mut panels));
    for right in [Right::Plain(b), packed] {
        let (residual, bias) = (Matrix::new(&residual, m, n), &bias[..]);
        multiply(
            isa,
            caches,
            &Solo,
            &mut workspace,
            a,
            right,
            MatrixMut::new(&mut c, m, n),
            Store::Add,
            Epilogue::BiasResidual { bias, residual },
        );
    }
}

#[test]
fn products_stay_inside() {
    let small = Caches {
        l1: 4 << 10,
        l2: 16 << 10,
        l3: 64 << 10,
    };
    everywhere(|isa, at| {
        for caches in [small, Caches::default()] {
            for m in [1, 2, 5, 6, 7, 13, 14, 15, 29] {
                for n in [1, 3, 8, 15, 16, 17, 31, 32, 33, 65] {
                    for k in [1, 3, 4, 7, 17, 40] {
                        product(isa, at, caches, (m, n, k), (m + n + k) % 4);
                    }
                }
            }
            for layout in 0..4 {
                product(isa, at, caches, (43, 70, 150), layout);
            }
        }
    });
}

#[test]
fn vectors_times_matrices_and_batches_stay_inside() {
    everywhere(|isa, at| {
        for (k, n) in [(1, 1), (3, 17), (16, 64), (33, 65), (7, 130)] {
            let mut slices = Slices::new(at, k * n);
            let (x, b, bias, mut y) = (
                slices.take(k),
                slices.take(k * n),
                slices.take(n),
                slices.take(n),
            );
            gemv(isa, &Solo, &x, Matrix::new(&b, k, n), &bias, &mut y);
            let transposed = Matrix::new(&b, n, k).transposed();
            gemv(isa, &Solo, &x, transposed, &[], &mut y);
            let (a, mut c) = (slices.take(5 * k), slices.take(5 * n));
            let mut workspace = slices.take(workspace_len(isa, 5, n, k, false));
            let mut products = [Product {
                a: Matrix::new(&a, 5, k),
                b: Matrix::new(&b, k, n),
                c: MatrixMut::new(&mut c, 5, n),
            }];
            batched(
                isa,
                Caches::default(),
                &Solo,
                &mut workspace,
                &mut products,
                Store::Set,
            );
        }
    });
}

#[test]
fn attention_stays_inside() {
    everywhere(|isa, at| {
        for (sequences, length, heads, size) in [(1, 1, 1, 3), (2, 7, 1, 5), (1, 73, 2, 16)] {
            let shape = Heads {
                sequences,
                length,
                heads,
                size,
            };
            let mut slices = Slices::new(at, length);
            let (rows, width) = (shape.rows(), shape.width());
            let (qkv, dy) = (slices.take(rows * 3 * width), slices.take(rows * width));
            let mut scratch = slices.take(shape.scratch_len(isa));
            let (mut out, mut log_sums) = (slices.take(rows * width), slices.take(rows * heads));
            attention(
                isa,
                Teams::share_heads(&Solo),
                shape,
                &qkv,
                &mut out,
                &mut log_sums,
                &mut scratch,
            );
            let mut grad = slices.take(rows * 3 * width);
            attention_backward(
                isa,
                Teams::share_heads(&Solo),
                shape,
                &qkv,
                &log_sums,
                &dy,
                &mut grad,
                &mut scratch,
            );
        }
    });
}

#[test]
fn decoding_stays_inside() {
    everywhere(|isa, at| {
        for (size, context, seen) in [(1, 1, 1), (5, 21, 17), (48, 33, 33), (67, 16, 16)] {
            let cache = HeadCache { size, context };
            let mut slices = Slices::new(at, size);
            let (query, mut out) = (slices.take(size), slices.take(size));
            let mut keys = slices.take(cache.keys_len());
            let mut values = slices.take(cache.values_len());
            let mut scores = slices.take(cache.scores_len());
            cache.write_key(&mut keys, context - 1, &query);
            cache.write_value(&mut values, context - 1, &query);
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
        }
    });
}
