//! Criterion's door to the cases of the suites `matmul`, `batched` and `simd`: `cargo bench --bench suites [FILTER]`. One thread, every
//! ISA of this machine, and the peers that are there; what `loopos bench` times in turns is timed here one by one.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use loopos::kernels::{Isa, Solo, gemm::Caches};
use loopos::measure::clock::Clock;
use loopos::parallel::Pool;
use loopos::suites::Effort;
use loopos::suites::batched::{self, Batch};
use loopos::suites::matmul::{self, Table};
use loopos::suites::peers::{self, Crew};
use loopos::suites::simd::{KERNELS, Rows, SETS, fill};

/// Products: elements are FLOPs.
fn matmul(criterion: &mut Criterion) {
    let (isas, pool, clock) = (Isa::available(), Pool::new(&[0]).unwrap(), Clock::best());
    let found = peers::find();
    let crew = Crew::new(&found.peers, &pool, &clock);
    for case in matmul::cases(Effort::Quick) {
        let mut group = criterion.benchmark_group(format!("gemm {}", case.name()));
        group.throughput(Throughput::Elements(case.flops() as u64));
        let mut table = Table::new(case, &isas).unwrap();
        table.pack(&Solo);
        for isa in &isas {
            for (label, packed) in [("", false), (" packed", true)] {
                group.bench_function(format!("{}{label}", isa.name()), |bencher| {
                    bencher.iter(|| table.multiply(*isa, Caches::default(), &Solo, packed));
                });
            }
        }
        for hands in &crew.ready {
            group.bench_function(hands.peer().name(), |bencher| {
                bencher.iter(|| table.multiply_by(hands).unwrap());
            });
        }
    }
}

/// Batches: elements are FLOPs.
fn batches(criterion: &mut Criterion) {
    let (isas, pool) = (Isa::available(), Pool::new(&[0]).unwrap());
    for case in batched::cases() {
        let mut group = criterion.benchmark_group(format!("batched {}", case.name));
        group.throughput(Throughput::Elements(case.flops() as u64));
        let mut batch = Batch::new(&case, &isas, &pool, Caches::default()).unwrap();
        for isa in &isas {
            group.bench_function(isa.name(), |bencher| {
                bencher.iter(|| batch.batched(*isa, 1));
            });
            group.bench_function(format!("{} loop", isa.name()), |bencher| {
                bencher.iter(|| batch.one_by_one(*isa, 1));
            });
        }
    }
}

/// Vector kernels in L1 and L2: elements are values.
fn vectors(criterion: &mut Criterion) {
    for set in &SETS[..2] {
        let values = set.bytes as usize / 4;
        for kernel in KERNELS {
            let mut group = criterion.benchmark_group(format!("{} {}", kernel.name, set.name));
            group.throughput(Throughput::Elements(kernel.length(values) as u64));
            let mut memory = loopos::tensor::Arena::new(values).unwrap().take(values);
            let mut rows = Rows::new(values);
            for isa in Isa::available() {
                fill(&mut memory);
                group.bench_function(isa.name(), |bencher| {
                    bencher.iter(|| kernel.run(isa, &mut memory, values, &mut rows));
                });
                black_box(&memory);
            }
        }
    }
}

criterion_group!(benches, matmul, batches, vectors);
criterion_main!(benches);
