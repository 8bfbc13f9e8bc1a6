//! Criterion's door to single kernels: `cargo bench --bench kernels [FILTER]`. One thread, every ISA of this machine.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loopos::kernels::{
    Isa, Solo,
    gemm::{
        Caches, Epilogue, Matrix, MatrixMut, Right, Store, multiply, pack_right, packed_right_len,
        workspace_len,
    },
    vec::{gelu, softmax},
};

/// Products of the base model's step on 1,024 tokens: elements are FLOPs.
fn gemm(criterion: &mut Criterion) {
    for (m, n, k) in [(1024, 1536, 384), (1024, 384, 1536), (64, 64, 64)] {
        let mut group = criterion.benchmark_group(format!("gemm {m}x{n}x{k}"));
        group.throughput(Throughput::Elements(2 * (m * n * k) as u64));
        for isa in Isa::available() {
            let (a, b) = (vec![0.5; m * k], vec![0.25; k * n]);
            let mut panels = vec![0.0; packed_right_len(isa, k, n)];
            let b = pack_right(isa, &Solo, Matrix::new(&b, k, n), &mut panels);
            let mut workspace = vec![0.0; workspace_len(isa, m, n, k, true)];
            let mut c = vec![0.0; m * n];
            group.bench_function(isa.name(), |bencher| {
                bencher.iter(|| {
                    let (a, c) = (Matrix::new(&a, m, k), MatrixMut::new(&mut c, m, n));
                    let right = Right::Packed(b);
                    multiply(
                        isa,
                        Caches::default(),
                        &Solo,
                        &mut workspace,
                        a,
                        right,
                        c,
                        Store::Set,
                        Epilogue::None,
                    );
                });
                black_box(&c);
            });
        }
    }
}

/// Vector kernels on a row that stays in L1: elements are values.
fn vectors(criterion: &mut Criterion) {
    let x: Vec<f32> = (0..4096).map(|i| (i % 97) as f32 * 0.05 - 2.0).collect();
    for isa in Isa::available() {
        let mut group = criterion.benchmark_group(isa.name());
        group.throughput(Throughput::Elements(x.len() as u64));
        let mut out = x.clone();
        group.bench_function("gelu", |bencher| bencher.iter(|| gelu(isa, &x, &mut out)));
        group.bench_function("softmax", |bencher| {
            bencher.iter(|| {
                out.copy_from_slice(&x);
                softmax(isa, &mut out)
            });
        });
    }
}

criterion_group!(benches, gemm, vectors);
criterion_main!(benches);
