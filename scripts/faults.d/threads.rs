//! The threads of a pool alone, for ThreadSanitizer: jobs that grow, on more threads than CPUs, so that many of them come late.
//!
//! `threads.py` compiles it. Only this file, `crew.rs`, `meter.rs` and `shares.rs` are instrumented, the standard library is not: so nothing of it but atomics
//! and joining threads orders what the threads do here, the crew stays where it is to the end, and there is no test harness, whose
//! channel would be reported.

/// In place of the room: who may use a crew.
#[path = "../../src/parallel"]
mod parallel {
    #[allow(dead_code, reason = "the pool around it is left out")]
    mod crew;
    #[allow(dead_code, reason = "what reads it is left out")]
    mod meter;
    mod shares;

    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::thread;

    use crew::Crew;

    const THREADS: usize = 4;
    const MOST: usize = 64;

    /// The number of tasks that were not done once.
    pub(crate) fn wrong(jobs: usize) -> usize {
        let crew: &'static Crew = Box::leak(Box::new(Crew::new(THREADS)));
        let counts: &'static [AtomicUsize] = Box::leak((0..MOST).map(|_| AtomicUsize::new(0)).collect());
        crew.open();
        let stand_by = |worker| thread::spawn(move || crew.stand_by(worker));
        let others: Vec<_> = (1..THREADS).map(stand_by).collect();
        let wrong = crew.lead(|| (0..jobs).map(|job| wrong_of(crew, counts, job)).sum());
        for other in others {
            other.join().expect("a thread that ends");
        }
        wrong
    }

    fn wrong_of(crew: &Crew, counts: &[AtomicUsize], job: usize) -> usize {
        let tasks = 2 + job % (MOST - 2);
        crew.run(tasks, &|task, _| {
            counts[task].fetch_add(1, Relaxed);
        });
        if job % 7 == 0 {
            thread::yield_now();
        }
        let times = counts.iter().map(|count| count.swap(0, Relaxed)).enumerate();
        times.filter(|(task, times)| *times != usize::from(*task < tasks)).count()
    }
}

fn main() {
    let jobs = std::env::args().nth(1).and_then(|jobs| jobs.parse().ok()).expect("how many jobs");
    let wrong = parallel::wrong(jobs);
    println!("{jobs} jobs, {wrong} tasks not done once");
    std::process::exit(i32::from(wrong > 0));
}
