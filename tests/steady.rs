//! A steady step of training allocates nothing, faults no page and waits for nobody.
//!
//! One test alone is in this program: what it counts is counted for the whole process.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe to write, and the count of page faults is a system call"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use loopos::kernels::Isa;
use loopos::kernels::gemm::Caches;
use loopos::model::{Shape, Switches, Unobserved};
use loopos::parallel::Pool;
use loopos::text::Tokens;
use loopos::train::data::Cut;
use loopos::train::guard::Guard;
use loopos::train::{Batch, Dataset, Optimizer, Plan, Sharing, Trainer};

/// The system's allocator, which counts how often it is asked.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: all requests go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps the promises of `GlobalAlloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SEQUENCES: usize = 8;
const LENGTH: usize = 32;

fn plan(workers: usize, dropout: f32, recompute: bool) -> Plan {
    Plan {
        shape: Shape {
            vocab_size: 500,
            context: LENGTH,
            d_model: 64,
            heads: 4,
            layers: 3,
            d_ff: 128,
            tied: true,
            scalar_head: false,
        },
        batch: SEQUENCES,
        length: LENGTH,
        micro_batch: 4,
        by_sequences: false,
        optimizer: Optimizer::default(),
        dropout,
        recompute,
        isa: Isa::best(),
        caches: Caches::default(),
        workers,
        switches: Switches::default(),
        sharing: Sharing::default(),
    }
}

/// Few sequences: every few steps an epoch begins.
fn data() -> Dataset {
    let document = |start: u32| (0..300).map(|i| (start + i * i) % 499).collect();
    let documents: Vec<Vec<u32>> = (0..6).map(document).collect();
    let cut = Cut {
        length: LENGTH,
        batch: SEQUENCES,
        validation: 0.0,
        seed: 3,
    };
    Dataset::new(
        Arc::new(Tokens::from_documents(&documents, 499, [0; 32])),
        cut,
    )
    .expect("sequences")
}

/// Page faults, and times that it waited, of the calling thread so far.
fn faults_and_waits() -> [i64; 2] {
    // SAFETY: all zeros is a value of `rusage`, and the call writes one.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage), 0);
        usage
    };
    [usage.ru_minflt + usage.ru_majflt, usage.ru_nvcsw]
}

/// What each of several rounds of steps cost: allocations, page faults, waits.
fn rounds(plan: &Plan) -> Vec<[i64; 3]> {
    let pool = Arc::new(Pool::new(&vec![0; plan.workers]).expect("threads"));
    let mut trainer = Trainer::new(plan, Arc::clone(&pool), 1).expect("memory");
    let (mut data, mut batch) = (data(), Batch::new(SEQUENCES, LENGTH));
    let guard = Guard {
        window: 4,
        ..Guard::default()
    };
    let (mut recent, mut sorted) = (Vec::with_capacity(8), Vec::with_capacity(8));
    let mut costs = Vec::with_capacity(8);
    pool.assemble(|| {
        for round in 0..8 {
            let before = (ALLOCATIONS.load(Relaxed), faults_and_waits());
            for step in 0..5 {
                data.fill(round * 5 + step, &mut batch);
                let limit = guard.limit(&recent, &mut sorted);
                let report = trainer.step_below(limit, &batch, 1e-3, &mut Unobserved);
                guard.remember(report.loss, &mut recent);
            }
            let (allocations, [faults, waits]) = (ALLOCATIONS.load(Relaxed), faults_and_waits());
            costs.push([
                (allocations - before.0) as i64,
                faults - before.1[0],
                waits - before.1[1],
            ]);
        }
    });
    // The first round touches the memory that was planned.
    costs.split_off(1)
}

#[test]
fn a_steady_step_allocates_nothing_and_asks_the_system_for_nothing() {
    for (dropout, recompute) in [(0.0, false), (0.1, true)] {
        let costs = rounds(&plan(1, dropout, recompute));
        assert!(
            costs.iter().all(|[allocations, ..]| *allocations == 0),
            "{costs:?}"
        );
        // The kernel may take a page away and give it back at any time, so that a round may have a fault that no step caused.
        assert!(
            costs
                .iter()
                .any(|[_, faults, waits]| (*faults, *waits) == (0, 0)),
            "[allocations, faults, waits]: {costs:?}"
        );
        for by_sequences in [false, true] {
            let plan = Plan {
                by_sequences,
                ..plan(2, dropout, recompute)
            };
            let costs = rounds(&plan);
            assert!(
                costs.iter().all(|[allocations, ..]| *allocations == 0),
                "{costs:?}"
            );
        }
    }
}
