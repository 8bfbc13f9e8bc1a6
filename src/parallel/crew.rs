//! Fork and join without a system call while work keeps coming: the threads of a pool stand by and take numbered tasks.
//!
//! A step of training forks some eight hundred times. Waking a sleeping thread costs tens of microseconds, in a virtual
//! machine more, so the threads spin for a while before they sleep, as OpenMP's do. Tasks are taken one by one, those of others too: a thread
//! that the system took away delays only the task it holds.
#![allow(
    unsafe_code,
    reason = "the leader's closure is lent to the other threads for the time of one job"
)]

use super::{meter::Meter, shares::Shares};
use std::{
    any::Any,
    cell::Cell,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    ptr,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{
            AtomicPtr, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
        },
    },
    thread,
};

/// What a job runs: task and worker number.
pub(super) type Task<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Looks at the counter before a thread yields, some 50 us: longer than the usual pause between two jobs of a step.
const SPINS: usize = 1 << 10;
/// Yields before a thread sleeps.
const YIELDS: usize = 64;

/// In place of a job's number: everyone goes home.
const OVER: u64 = u64::MAX;

thread_local! {
    /// The worker as which this thread runs a task now: teams inside of it run alone.
    static WORKER: Cell<Option<usize>> = const { Cell::new(None) };
    /// The crew that this thread leads now.
    static LED: Cell<*const Crew> = const { Cell::new(ptr::null()) };
}

/// Threads that stand by for the jobs of one leader.
#[derive(Debug)]
pub(super) struct Crew {
    /// The number of the current job; every thread watches it.
    job: Line<AtomicU64>,
    /// Units of the job that ended.
    ended: Line<AtomicUsize>,
    shares: Shares,
    /// The current job and, in turn, the one before or the next. A thread that comes late may still look at a job while the leader
    /// writes down the next one, which must not look to it like more tasks of its own.
    jobs: [Job; 2],
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    pub(super) meter: Meter,
}

/// What a job consists of.
#[derive(Debug)]
struct Job {
    tasks: AtomicUsize,
    /// A pointer to the leader's [`Task`].
    task: AtomicPtr<()>,
}

/// Alone in its pair of cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Line<T>(T);

impl Crew {
    /// The leader and those that stand by are `workers`.
    pub(super) fn new(workers: usize) -> Crew {
        Crew {
            job: Line(AtomicU64::new(0)),
            ended: Line(AtomicUsize::new(0)),
            shares: Shares::new(workers),
            jobs: [const {
                Job {
                    tasks: AtomicUsize::new(0),
                    task: AtomicPtr::new(ptr::null_mut()),
                }
            }; 2],
            sleepers: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            panic: Mutex::new(None),
            meter: Meter::new(),
        }
    }

    /// To be called before the leader and the others come.
    pub(super) fn open(&self) {
        self.job.0.store(0, SeqCst);
        self.shares.reset();
    }

    /// Runs `f` as the leader; the threads in [`Crew::stand_by`] go home when it ends, however it ends.
    pub(super) fn lead<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Ends<'a>(&'a Crew, *const Crew);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                LED.set(self.1);
                self.0.publish(OVER);
            }
        }
        let _ends = Ends(self, LED.replace(self));
        f()
    }

    /// Whether the calling thread leads this crew.
    pub(super) fn is_led_here(&self) -> bool {
        ptr::eq(LED.get(), self)
    }

    /// The worker as which the calling thread runs a task.
    pub(super) fn busy_worker() -> Option<usize> {
        WORKER.get()
    }

    /// Runs `f(task, worker)` for every task in `0..tasks` on the leader, which is worker 0, and whoever stands by.
    pub(super) fn run(&self, tasks: usize, f: Task<'_>) {
        if tasks <= 1 {
            // What is too small to share stays in the leader's caches.
            return (0..tasks).for_each(|task| as_worker(0, || f(task, 0)));
        }
        let begin = self.meter.begin();
        let job = self.job.0.load(Relaxed) + 1;
        assert!(job < Shares::LAST, "too many jobs for one assembly");
        self.write_down(job, tasks, &f);
        self.publish(job);
        self.take_tasks(job, 0);
        // Nobody may leave while a task that borrows from the caller runs.
        let mut waited = 0;
        while self.ended.0.load(Acquire) < units(tasks) {
            wait(&mut waited);
        }
        self.meter.shared(begin);
        if let Some(panic) = self
            .panic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            resume_unwind(panic);
        }
    }

    /// Makes `job` ready to be published; all tasks of the one before have ended.
    fn write_down(&self, job: u64, tasks: usize, f: &Task<'_>) {
        self.ended.0.store(0, Relaxed);
        let place = self.place(job);
        place.tasks.store(tasks, Release);
        let f = (&raw const *f).cast_mut().cast();
        place.task.store(f, Release);
    }

    fn place(&self, job: u64) -> &Job {
        &self.jobs[(job % 2) as usize]
    }

    /// Takes tasks of the leader's jobs as worker `worker` until the leader ends.
    pub(super) fn stand_by(&self, worker: usize) {
        let (mut seen, mut waited) = (0, 0);
        loop {
            let job = self.job.0.load(Acquire);
            if job == OVER {
                return;
            }
            if job != seen {
                seen = job;
                self.take_tasks(job, worker);
                waited = 0;
            } else if !wait(&mut waited) {
                self.sleep_until_changed(seen);
                waited = 0;
            }
        }
    }

    /// Takes tasks of `job` while it has any and is the current one.
    fn take_tasks(&self, job: u64, worker: usize) {
        let place = self.place(job);
        let tasks = place.tasks.load(Acquire);
        let task = place.task.load(Acquire);
        if self.job.0.load(Acquire) != job {
            // They may be those of the job after the next.
            return;
        }
        let begin = self.meter.begin();
        let (units, each) = (units(tasks), tasks.div_ceil(Shares::MOST));
        let mut ended = 0;
        while let Some(unit) = self.shares.take(job, units, worker) {
            // SAFETY: `tasks` and `task` are those of `job`: they were written before it was published, and their place is written again for
            // the job after the next, whose leader has published the next one before; whoever reads that also sees another job than this
            // above. The unit had not been taken, so `run` still waits for it, and keeps the closure.
            let f = unsafe { *task.cast::<Task<'_>>() };
            for index in unit * each..tasks.min((unit + 1) * each) {
                let run = || as_worker(worker, || f(index, worker));
                if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                    *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                }
            }
            ended += 1;
        }
        if ended > 0 {
            self.meter.busy(begin);
            self.ended.0.fetch_add(ended, Release);
        }
    }

    fn publish(&self, job: u64) {
        self.job.0.store(job, SeqCst);
        if self.sleepers.load(SeqCst) > 0 {
            drop(self.sleep.lock());
            self.wake.notify_all();
        }
    }

    fn sleep_until_changed(&self, seen: u64) {
        let mut guard = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, SeqCst);
        loop {
            if self.job.0.load(SeqCst) != seen {
                break;
            }
            guard = self
                .wake
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }
}

/// Units in which the tasks of a job are taken: single tasks, unless they are thousands.
fn units(tasks: usize) -> usize {
    tasks.div_ceil(tasks.div_ceil(Shares::MOST).max(1))
}

/// Runs `f` marked as the task of this worker.
fn as_worker<R>(worker: usize, f: impl FnOnce() -> R) -> R {
    struct Ends;
    impl Drop for Ends {
        fn drop(&mut self) {
            WORKER.set(None);
        }
    }
    WORKER.set(Some(worker));
    let _ends = Ends;
    f()
}

/// A moment more; false once it is time to sleep.
fn wait(waited: &mut usize) -> bool {
    *waited += 1;
    if *waited < SPINS {
        spin_loop();
    } else {
        thread::yield_now();
    }
    *waited < SPINS + YIELDS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody stands by: the leader does its jobs alone.
    #[test]
    fn a_thread_that_comes_late_takes_nothing_of_the_next_job() {
        let crew = Crew::new(2);
        for tasks in 2..6 {
            crew.run(tasks, &|_, _| {});
            let late = crew.job.0.load(SeqCst);
            // The next job has more tasks. It is written down, and a thread still looks at the one before.
            let taken = AtomicUsize::new(0);
            let count = |_, _| {
                taken.fetch_add(1, Relaxed);
            };
            let f: Task<'_> = &count;
            crew.write_down(late + 1, tasks + 1, &f);
            crew.take_tasks(late, 1);
            assert_eq!(taken.load(Relaxed), 0, "after a job of {tasks}");
            assert_eq!(crew.ended.0.load(Relaxed), 0);
            // Published, it is all there.
            crew.publish(late + 1);
            crew.take_tasks(late, 1);
            crew.take_tasks(late + 1, 1);
            assert_eq!(taken.load(Relaxed), tasks + 1);
        }
    }

    #[test]
    fn thousands_of_tasks_run_once_each() {
        for tasks in [Shares::MOST, Shares::MOST + 1, 10_000] {
            let counts: Vec<_> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            Crew::new(3).run(tasks, &|task, _| {
                counts[task].fetch_add(1, Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Relaxed) == 1));
        }
    }
}
