//! Threads: rayon pools on chosen CPUs. The only room that starts any.
#![allow(
    unsafe_code,
    reason = "binding a thread to a CPU is a system call, and the floating-point mode a register"
)]

use rayon::{
    ThreadPool, ThreadPoolBuilder,
    iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator},
};

use crate::kernels::Team;

/// A pool with one thread on each of the CPUs it was built for.
#[derive(Debug)]
pub struct Pool {
    threads: ThreadPool,
    cpus: Vec<usize>,
}

/// Why a pool could not be built.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No CPU to run on.
    #[error("a thread pool needs at least one CPU")]
    Empty,
    /// The system refused the threads.
    #[error(
        "cannot start {threads} threads: {source}; allow more processes or use --threads with a smaller number"
    )]
    Start {
        /// How many were asked for.
        threads: usize,
        /// The system's words.
        source: rayon::ThreadPoolBuildError,
    },
}

impl Pool {
    /// Starts one thread a CPU, bound to it where the system allows, with denormals flushed to zero.
    ///
    /// CPU numbers are the system's. A thread that cannot be bound runs wherever the system puts it.
    pub fn new(cpus: &[usize]) -> Result<Pool, PoolError> {
        if cpus.is_empty() {
            return Err(PoolError::Empty);
        }
        let places = cpus.to_vec();
        let threads = ThreadPoolBuilder::new()
            .num_threads(cpus.len())
            .thread_name(|index| format!("loopos-{index}"))
            .start_handler(move |index| {
                bind_to(places[index]);
                flush_denormals();
            })
            .build()
            .map_err(|source| PoolError::Start {
                threads: cpus.len(),
                source,
            })?;
        Ok(Pool {
            threads,
            cpus: cpus.to_vec(),
        })
    }

    /// The CPUs it was built for.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// Runs `f` on a thread of the pool: teams that it starts from there wake no one who is awake already.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.threads.install(f)
    }

    /// Runs `f(index)` once on every thread of the pool at the same time.
    pub fn on_each(&self, f: impl Fn(usize) + Sync) {
        self.threads.broadcast(|context| f(context.index()));
    }
}

// SAFETY: rayon runs each item once and returns when all have run. The worker number is the index of the pool's thread that
// runs the item: a thread runs one item at a time, because kernels never wait inside one.
unsafe impl Team for Pool {
    fn workers(&self) -> usize {
        self.cpus.len()
    }

    fn run(&self, tasks: usize, f: &(dyn Fn(usize, usize) + Sync)) {
        if tasks == 0 {
            return;
        }
        self.threads.install(|| {
            (0..tasks)
                .into_par_iter()
                .with_max_len(1)
                .for_each(|task| f(task, rayon::current_thread_index().unwrap_or(0)));
        });
    }
}

/// Binds the calling thread to one CPU; a refusal leaves it where it is.
fn bind_to(cpu: usize) {
    // SAFETY: the set is a plain bit array, valid when zeroed, and its size is passed along.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if cpu < 8 * size_of::<libc::cpu_set_t>() {
            libc::CPU_SET(cpu, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
        }
    }
}

/// Sets FTZ and DAZ: a denormal operand costs over a hundred cycles on many cores and carries no training signal.
fn flush_denormals() {
    const FTZ_AND_DAZ: u32 = 0x8040;
    let mut mode = 0_u32;
    // SAFETY: reads and writes this thread's MXCSR; only the two denormal bits change, and the thread runs kernels alone.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mode, options(nostack));
        mode |= FTZ_AND_DAZ;
        std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mode, options(nostack, readonly));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn every_task_runs_once_and_workers_do_not_overlap() {
        let pool = Pool::new(&[0, 0, 0]).expect("three threads");
        let counts: Vec<AtomicUsize> = (0..1000).map(|_| AtomicUsize::new(0)).collect();
        let busy: Vec<AtomicUsize> = (0..pool.workers()).map(|_| AtomicUsize::new(0)).collect();
        pool.run(counts.len(), &|task, worker| {
            assert_eq!(
                busy[worker].fetch_add(1, Relaxed),
                0,
                "worker {worker} is in two tasks"
            );
            counts[task].fetch_add(1, Relaxed);
            std::thread::yield_now();
            busy[worker].fetch_sub(1, Relaxed);
        });
        assert!(counts.iter().all(|count| count.load(Relaxed) == 1));
    }

    #[test]
    fn threads_flush_denormals() {
        let pool = Pool::new(&[0]).expect("one thread");
        let denormal = std::hint::black_box(f32::from_bits(1));
        assert_eq!(
            pool.install(|| std::hint::black_box(denormal) * std::hint::black_box(1.0)),
            0.0
        );
    }

    #[test]
    fn no_cpu_is_an_error() {
        assert!(matches!(Pool::new(&[]), Err(PoolError::Empty)));
    }
}
