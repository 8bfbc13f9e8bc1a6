//! Threads: rayon pools on chosen CPUs. The only room that starts any.
#![allow(
    unsafe_code,
    reason = "binding a thread to a CPU is a system call, and the floating-point mode a register"
)]

mod aside;
mod crew;
mod meter;
mod place;
mod shares;

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

pub use aside::aside;
use crew::Crew;
pub use meter::Worked;
pub use place::{bind_thread, placed};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::kernels::Team;

/// A pool with one thread on each of the CPUs it was built for.
#[derive(Debug)]
pub struct Pool {
    threads: ThreadPool,
    cpus: Vec<usize>,
    /// The system's number of each thread; 0 before it runs.
    numbers: Arc<[AtomicI32]>,
    crew: Crew,
    /// Held while the crew has a leader.
    leading: Mutex<()>,
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
        let numbers: Arc<[AtomicI32]> = cpus.iter().map(|_| AtomicI32::new(0)).collect();
        let own = Arc::clone(&numbers);
        let threads = ThreadPoolBuilder::new()
            .num_threads(cpus.len())
            .thread_name(|index| format!("loopos-{index}"))
            .start_handler(move |index| {
                place::bind(place::CALLER, &[places[index]]);
                own[index].store(place::caller(), Ordering::Release);
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
            numbers,
            crew: Crew::new(cpus.len()),
            leading: Mutex::new(()),
        })
    }

    /// The CPUs it was built for.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// The CPUs that each thread may run on now: more, others or fewer than it was built for, where the system or the user has moved
    /// it. `None` where a thread does not run yet or the system does not tell. A microsecond a thread.
    pub fn allowed(&self) -> Vec<Option<Vec<usize>>> {
        let allowed = |number: &AtomicI32| match number.load(Ordering::Acquire) {
            0 => None,
            number => place::allowed(number),
        };
        self.numbers.iter().map(allowed).collect()
    }

    /// Runs `f` on a thread of the pool, where rayon's iterators use all of its threads.
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.threads.install(f)
    }

    /// Runs `f` on the pool's first thread while all others stand by for the teams that `f` runs: worth it wherever one
    /// parallel kernel follows another. Standing by takes their CPUs for some 100 us after each job, then they sleep.
    pub fn assemble<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        if self.crew.is_led_here() || Crew::busy_worker().is_some() {
            return f();
        }
        let Some(_leading) = self.may_lead() else {
            return f();
        };
        self.crew.open();
        // Only the first thread takes `f` and leaves the result.
        let (f, result) = (Mutex::new(Some(f)), Mutex::new(None));
        self.threads.broadcast(|context| {
            if context.index() > 0 {
                self.crew.stand_by(context.index());
                return;
            }
            let taken = f.lock().unwrap_or_else(PoisonError::into_inner).take();
            let value = self.crew.lead(|| taken.map(|f| f()));
            *result.lock().unwrap_or_else(PoisonError::into_inner) = value;
        });
        let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
        result.expect("the first thread ran it, or its panic went on from the broadcast")
    }

    /// The right to lead, after whoever leads now. A thread of this pool does not wait for it: the leader may wait for that
    /// thread, which then works alone.
    fn may_lead(&self) -> Option<MutexGuard<'_, ()>> {
        if self.threads.current_thread_index().is_none() {
            return Some(self.leading.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.leading.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Runs `f` and tells how long the threads worked on tasks meanwhile. All of them have gone home when `f` ends, so that no task
    /// is half counted, if `f` is one [`Pool::assemble`] or several.
    pub fn watched<R>(&self, f: impl FnOnce() -> R) -> (R, Worked) {
        self.crew.meter.switch_on();
        let result = f();
        (result, self.crew.meter.switch_off())
    }

    /// Runs `f(index)` once on every thread of the pool at the same time.
    ///
    /// # Panics
    /// Inside of [`Pool::assemble`], where the other threads are taken.
    pub fn on_each(&self, f: impl Fn(usize) + Sync) {
        assert!(!self.crew.is_led_here(), "the threads stand by for a team");
        self.threads.broadcast(|context| f(context.index()));
    }
}

// SAFETY: the crew runs each task once and returns when all have ended. Worker numbers are those of the pool's threads; a thread
// runs one task at a time, or tasks of a team inside of its own task.
unsafe impl Team for Pool {
    fn workers(&self) -> usize {
        self.cpus.len()
    }

    fn run(&self, tasks: usize, f: &(dyn Fn(usize, usize) + Sync)) {
        if let Some(worker) = Crew::busy_worker() {
            (0..tasks).for_each(|task| f(task, worker));
        } else {
            self.assemble(|| {
                if self.crew.is_led_here() {
                    self.crew.run(tasks, f);
                } else {
                    let worker = self.threads.current_thread_index().unwrap_or(0);
                    (0..tasks).for_each(|task| f(task, worker));
                }
            });
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
    fn threads_that_were_moved_are_seen_to_be_elsewhere() {
        let pool = Pool::new(&[0, 0]).expect("two threads");
        pool.on_each(|_| ());
        assert_eq!(pool.allowed(), vec![Some(vec![0]); 2]);
        let every = place::allowed(place::CALLER).expect("the CPUs of this test");
        let number = pool.numbers[1].load(Ordering::Acquire);
        assert!(bind_thread(number as u32, &every));
        assert_eq!(pool.allowed(), [Some(vec![0]), Some(every)]);
    }

    #[test]
    fn an_assembled_pool_runs_job_after_job() {
        let pool = Pool::new(&[0, 0]).expect("two threads");
        let sum = AtomicUsize::new(0);
        let jobs = pool.assemble(|| {
            for tasks in 0..200 {
                pool.run(tasks, &|task, _| {
                    sum.fetch_add(task + 1, Relaxed);
                });
                assert_eq!(sum.swap(0, Relaxed), tasks * (tasks + 1) / 2);
                if tasks % 50 == 0 {
                    // Long enough for the others to fall asleep.
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            }
            200
        });
        assert_eq!(jobs, 200);
    }

    #[test]
    fn a_watched_pool_tells_who_worked_and_who_waited() {
        let pool = Pool::new(&[0, 0]).expect("two threads");
        let pause = || std::thread::sleep(std::time::Duration::from_millis(5));
        let (seven, worked) = pool.watched(|| {
            pool.assemble(|| {
                pool.run(4, &|_, _| pause());
                // Not shared, hence in neither sum.
                pool.run(1, &|_, _| pause());
                7
            })
        });
        assert_eq!(seven, 7);
        // Four pauses, whoever took them; both threads together have no more than twice the time from first to last.
        assert!(worked.busy >= 0.020, "{worked:?}");
        assert!(
            worked.shared >= 0.010 && worked.busy <= 2.0 * worked.shared,
            "{worked:?}"
        );
        let (_, nothing) = pool.watched(|| ());
        assert_eq!(nothing, Worked::default());
    }

    #[test]
    fn a_team_inside_of_a_task_runs_alone() {
        let pool = Pool::new(&[0, 0]).expect("two threads");
        let count = AtomicUsize::new(0);
        pool.run(4, &|_, worker| {
            pool.run(5, &|_, inner| {
                assert_eq!(inner, worker);
                count.fetch_add(1, Relaxed);
            });
        });
        assert_eq!(count.into_inner(), 20);
    }

    #[test]
    fn a_panic_in_a_task_reaches_the_caller_after_all_tasks() {
        let pool = Pool::new(&[0, 0]).expect("two threads");
        let count = AtomicUsize::new(0);
        let run = std::panic::AssertUnwindSafe(|| {
            pool.run(8, &|task, _| {
                count.fetch_add(1, Relaxed);
                assert_ne!(task, 3, "this is the third task");
            });
        });
        assert!(std::panic::catch_unwind(run).is_err());
        assert_eq!(count.load(Relaxed), 8);
        pool.run(2, &|_, _| {
            count.fetch_add(1, Relaxed);
        });
        assert_eq!(count.into_inner(), 10, "the pool works on");
    }

    #[test]
    fn callers_on_several_threads_take_turns() {
        let pool = Pool::new(&[0, 0]).expect("two threads");
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    pool.run(25, &|_, _| {
                        count.fetch_add(1, Relaxed);
                    });
                });
            }
        });
        assert_eq!(count.into_inner(), 100);
    }

    #[test]
    fn a_thread_of_the_pool_does_not_wait_for_a_leader_that_waits_for_it() {
        let pool = Pool::new(&[0, 0]).expect("two threads");
        let count = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    pool.install(|| pool.run(50, &|_, _| _ = count.fetch_add(1, Relaxed)))
                });
                scope.spawn(|| pool.run(50, &|_, _| _ = count.fetch_add(1, Relaxed)));
            }
        });
        assert_eq!(count.into_inner(), 300);
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
