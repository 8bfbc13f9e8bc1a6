//! Ranks that are threads of one process: whatever holds for ranks is tried on them in milliseconds.

use std::sync::{Arc, Barrier, Mutex, PoisonError};

use super::{Fleet, Ranks};

/// One of several threads.
#[derive(Debug)]
pub(crate) struct Thread {
    rank: usize,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
    turn: Arc<Barrier>,
}

impl Thread {
    /// All of them.
    pub(crate) fn all(size: usize) -> Vec<Thread> {
        let said = Arc::new(Mutex::new(vec![Vec::new(); size]));
        let turn = Arc::new(Barrier::new(size));
        let thread = |rank| Thread {
            rank,
            said: Arc::clone(&said),
            turn: Arc::clone(&turn),
        };
        (0..size).map(thread).collect()
    }
}

impl Ranks for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.said
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    fn tell(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let said = || self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said()[self.rank] = bytes.to_vec();
        self.turn.wait();
        let all = said().clone();
        // Nobody says more before everybody has heard.
        self.turn.wait();
        all
    }
}

/// What `f` comes to on each of `size` ranks.
pub(crate) fn threads<T: Send>(size: usize, f: impl Fn(&mut dyn Ranks) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = Thread::all(size)
            .into_iter()
            .map(|mut rank| {
                let f = &f;
                scope.spawn(move || f(&mut rank))
            })
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// What `f` comes to on each of `size` ranks, each with a fleet of its own.
pub(crate) fn fleets<T: Send>(size: usize, f: impl Fn(Arc<Fleet>) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let started: Vec<_> = Thread::all(size)
            .into_iter()
            .map(|rank| {
                scope.spawn(|| {
                    let fleet = Fleet::start(move || Ok::<_, std::io::Error>(rank)).unwrap();
                    f(Arc::new(fleet))
                })
            })
            .collect();
        started
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}
