//! Says when processors are taken from a run while it goes on, and when they are given back: its threads stay as many as they were.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::progress::Progress;
use crate::model::Observer;
use crate::parallel::Pool;
use crate::probe;
use crate::train::metrics_log::{StepRecord, ValidationRecord};
use crate::train::run::Events;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// Shows progress, and looks after the threads now and then.
pub(super) struct Processors<'a> {
    progress: &'a mut Progress,
    pool: Arc<Pool>,
    seen: Seen,
    next: Instant,
}

/// What the threads may use.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    /// CPUs of each thread, the system's numbers; `None` where they are unknown.
    places: Vec<Option<Vec<usize>>>,
    /// CPUs' worth of time; `None` without a limit, or where it is unknown.
    quota: Option<f64>,
}

impl<'a> Processors<'a> {
    /// What the threads of the pool may use now is what they began with.
    pub(super) fn new(progress: &'a mut Progress, pool: Arc<Pool>) -> Self {
        let seen = Seen::now(&pool);
        Self {
            progress,
            pool,
            seen,
            next: Instant::now() + PAUSE,
        }
    }
}

impl Events for Processors<'_> {
    fn step(&mut self, record: &StepRecord) {
        self.progress.step(record);
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + PAUSE;
        let now = Seen::now(&self.pool);
        if let Some(text) = now.since(&self.seen) {
            let step = record.step;
            self.progress.line(&format!("warning: step {step}: {text}"));
        }
        self.seen = now;
    }

    fn validated(&mut self, record: &ValidationRecord) {
        self.progress.validated(record);
    }

    fn saved(&mut self, step: u64, path: &Path) {
        self.progress.saved(step, path);
    }

    fn watcher(&mut self, step: u64) -> Option<&mut dyn Observer> {
        self.progress.watcher(step)
    }
}

impl Seen {
    fn now(pool: &Pool) -> Seen {
        Seen {
            places: pool.allowed(),
            quota: probe::quota().value().copied().flatten(),
        }
    }

    /// CPUs that some thread may use.
    fn cpus(&self) -> BTreeSet<usize> {
        self.places.iter().flatten().flatten().copied().collect()
    }

    /// What the reader should know of the change; `None` where nothing has changed.
    fn since(&self, earlier: &Seen) -> Option<String> {
        let (threads, cpus) = (self.places.len(), self.cpus());
        let mut parts = Vec::new();
        if self.places != earlier.places && !cpus.is_empty() {
            let numbers: Vec<u32> = cpus.iter().map(|cpu| *cpu as u32).collect();
            let list = probe::format_cpu_list(&numbers);
            parts.push(match threads {
                1 => format!("the thread of this run may now use CPU {list}"),
                _ => format!("the {threads} threads of this run may now use CPU {list}"),
            });
        }
        if self.quota != earlier.quota {
            parts.push(match self.quota {
                Some(quota) => format!("the control group of this run now grants {quota} CPUs"),
                None => "the control group of this run no longer limits its CPUs".to_owned(),
            });
        }
        if parts.is_empty() {
            return None;
        }
        let room = self
            .quota
            .map_or(cpus.len() as f64, |quota| quota.min(cpus.len() as f64));
        if room < threads as f64 && !cpus.is_empty() {
            let less = "steps take longer, and end in the same weights";
            parts.push(match threads {
                1 => less.to_owned(),
                _ => format!(
                    "{less}; stop the run and go on with --resume for as many threads as there is room for"
                ),
            });
        }
        Some(parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(places: &[&[usize]], quota: Option<f64>) -> Seen {
        Seen {
            places: places.iter().map(|cpus| Some(cpus.to_vec())).collect(),
            quota,
        }
    }

    #[test]
    fn what_was_taken_and_given_back_is_told() {
        let whole = seen(&[&[0], &[1]], None);
        assert_eq!(whole.since(&whole), None);
        let cases = [
            (
                seen(&[&[0], &[0]], None),
                "may now use CPU 0; steps take longer",
                true,
            ),
            (
                seen(&[&[1, 2], &[1, 2]], None),
                "2 threads of this run may now use CPU 1-2",
                false,
            ),
            (
                seen(&[&[0], &[1]], Some(0.5)),
                "grants 0.5 CPUs; steps take longer",
                true,
            ),
            (seen(&[&[0], &[1]], Some(2.0)), "grants 2 CPUs", false),
        ];
        for (now, part, waits) in cases {
            let text = now.since(&whole).unwrap();
            assert!(text.contains(part), "{text}");
            assert_eq!(text.contains("--resume"), waits, "{text}");
            let back = whole.since(&now).unwrap();
            assert!(!back.contains("--resume"), "{back}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let whole = seen(&[&[0], &[1]], None);
        let unknown = Seen {
            places: vec![None, None],
            quota: None,
        };
        assert_eq!(unknown.since(&whole), None);
        let alone = seen(&[&[0]], Some(0.5))
            .since(&seen(&[&[0]], None))
            .unwrap();
        assert!(alone.ends_with("same weights"), "{alone}");
        assert_eq!(Seen::now(&Pool::new(&[0]).unwrap()).places.len(), 1);
    }
}
