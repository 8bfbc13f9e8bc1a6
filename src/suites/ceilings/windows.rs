//! Short windows on several threads at once, and what they say together.

use crate::measure::clock::{Clock, Ticks};
use crate::parallel::Pool;
use crate::stats::{Interval, bootstrap};
use std::sync::{Barrier, Mutex, PoisonError};

/// One window on one thread.
#[derive(Clone, Copy, Debug)]
pub(in crate::suites) struct Window {
    /// When it began.
    pub(in crate::suites) start: Ticks,
    /// When it ended.
    pub(in crate::suites) end: Ticks,
    /// What the thread noted behind it, outside of the timed part.
    pub(in crate::suites) note: f64,
}

/// Lets every thread of `pool` do `work(thread)` `count` times, beginning together, and `after(thread)` behind each: the windows of each
/// thread, without those during which another thread had not begun or was done already. If that leaves a thread with nothing, its
/// windows are all kept, because a labelled number is better than none.
pub(in crate::suites) fn together(
    pool: &Pool,
    clock: &Clock,
    count: usize,
    work: &(dyn Fn(usize) + Sync),
    after: &(dyn Fn(usize) -> f64 + Sync),
) -> Vec<Vec<Window>> {
    let threads = pool.cpus().len();
    let start_line = Barrier::new(threads);
    let all: Vec<Mutex<Vec<Window>>> = (0..threads)
        .map(|_| Mutex::new(Vec::with_capacity(count)))
        .collect();
    pool.on_each(|thread| {
        let mut windows = Vec::with_capacity(count);
        start_line.wait();
        for _ in 0..count {
            let start = clock.now();
            work(thread);
            let end = clock.now();
            windows.push(Window {
                start,
                end,
                note: after(thread),
            });
        }
        *all[thread].lock().unwrap_or_else(PoisonError::into_inner) = windows;
    });
    let all = all
        .into_iter()
        .map(|windows| windows.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect();
    overlapping(all)
}

fn overlapping(all: Vec<Vec<Window>>) -> Vec<Vec<Window>> {
    let begin = all
        .iter()
        .filter_map(|windows| windows.first())
        .map(|window| window.start)
        .max();
    let end = all
        .iter()
        .filter_map(|windows| windows.last())
        .map(|window| window.end)
        .min();
    let (Some(begin), Some(end)) = (begin, end) else {
        return all;
    };
    let inside = |windows: Vec<Window>| {
        let kept: Vec<Window> = windows
            .iter()
            .copied()
            .filter(|window| window.start >= begin && window.end <= end)
            .collect();
        if kept.is_empty() { windows } else { kept }
    };
    all.into_iter().map(inside).collect()
}

/// The rate of all threads together: the sum over threads of the median of `amount / seconds` of its windows.
pub(in crate::suites) fn total_rate(
    clock: &Clock,
    threads: &[Vec<Window>],
    amount: f64,
) -> Option<Interval> {
    let rates = |windows: &Vec<Window>| -> Vec<f64> {
        windows
            .iter()
            .map(|window| amount / clock.seconds(window.start, window.end).max(1e-12))
            .collect()
    };
    let rates: Vec<Vec<f64>> = threads.iter().map(rates).collect();
    let groups: Vec<&[f64]> = rates.iter().map(Vec::as_slice).collect();
    bootstrap::interval_of(&groups, 1, |groups| {
        groups
            .iter()
            .map(|group| crate::stats::summary::median(group))
            .sum()
    })
}

/// How often `work` must be repeated for a window of about `seconds`: it is doubled until a run takes a tenth of that. The quickest of
/// three decides: one that was interrupted would end the search with windows so short that they hold little but their own beginning.
pub(in crate::suites) fn repeats_for(
    clock: &Clock,
    seconds: f64,
    mut work: impl FnMut(usize),
) -> usize {
    let mut run = |repeats| {
        let start = clock.now();
        work(repeats);
        clock.since(start)
    };
    let mut repeats = 1usize;
    loop {
        let mut took = run(repeats);
        for _ in 0..2 {
            if took >= seconds / 10.0 {
                took = run(repeats).min(took);
            }
        }
        if took >= seconds / 10.0 || repeats >= 1 << 40 {
            return ((repeats as f64 * seconds / took.max(1e-9)) as usize).max(1);
        }
        repeats *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn every_thread_does_its_windows() {
        let clock = Clock::best();
        let pool = Pool::new(&[0, 0]).unwrap();
        let runs = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let work = |thread: usize| {
            runs[thread].fetch_add(1, Relaxed);
        };
        let windows = together(&pool, &clock, 20, &work, &|thread| thread as f64);
        assert_eq!(runs.map(AtomicUsize::into_inner), [20, 20]);
        assert_eq!(windows.len(), 2);
        for (thread, windows) in windows.iter().enumerate() {
            assert!((1..=20).contains(&windows.len()));
            assert!(
                windows
                    .iter()
                    .all(|window| window.note == thread as f64 && window.end >= window.start)
            );
        }
        assert!(total_rate(&clock, &windows, 1.0).unwrap().estimate > 0.0);
    }

    #[test]
    fn lonely_windows_are_left_out() {
        let clock = Clock::best();
        let times: Vec<Ticks> = (0..8).map(|_| clock.now()).collect();
        let window = |start: usize, end: usize| Window {
            start: times[start],
            end: times[end],
            note: 0.0,
        };
        let kept = overlapping(vec![
            vec![window(0, 2), window(2, 4), window(4, 6)],
            vec![window(1, 3), window(3, 7)],
        ]);
        assert_eq!(kept.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(kept[0][0].start, times[2]);
        // Nothing overlaps: everything is kept.
        let apart = overlapping(vec![vec![window(0, 1)], vec![window(2, 3)]]);
        assert_eq!(apart.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn repeats_grow_until_the_window_is_full() {
        let clock = Clock::best();
        let mut largest = 0;
        let repeats = repeats_for(&clock, 1e-4, |repeats| {
            largest = repeats;
            for _ in 0..repeats * 100 {
                std::hint::black_box(());
            }
        });
        assert!(repeats >= 1 && largest >= 1);
    }

    #[test]
    fn an_interruption_does_not_end_the_search() {
        let clock = Clock::best();
        let mut interrupted = false;
        let repeats = repeats_for(&clock, 1e-3, |repeats| {
            if !std::mem::replace(&mut interrupted, true) {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            for _ in 0..repeats {
                std::hint::spin_loop();
            }
        });
        assert!(repeats > 1, "a pause takes a millisecond");
    }
}
