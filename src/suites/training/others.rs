//! What others took from the steps of an arm, as reasons of their own: the hypervisor's guests, and this system's other programs.

use super::attribution::Loss;
use super::findings::Arm;
use crate::measure::process::Unreadable;
use crate::measure::taken::Taken;
use crate::units::Seconds;

/// Time of all threads in all measured steps of an arm, and what of it others had.
#[derive(Clone, Debug)]
pub(super) struct Others {
    taken: Option<Taken>,
    threads: usize,
    /// Seconds of the steps times threads.
    seconds: f64,
    steps: usize,
}

/// What a kind of others is called, and what helps.
struct Kind {
    reason: &'static str,
    taken: fn(&Taken) -> &Result<f64, Unreadable>,
    what: &'static str,
    source: &'static str,
    advice: &'static str,
}

/// The hypervisor first: time that it took is gone whatever runs here.
const KINDS: [Kind; 2] = [
    Kind {
        reason: "stolen",
        taken: |taken| &taken.stolen,
        what: "The hypervisor ran somebody else on these CPUs",
        source: "steal in /proc/stat, whose ticks of 10 ms are too coarse for one step",
        advice: "Run on an idle host or on dedicated CPUs: nothing in this machine gives back the time that its host took.",
    },
    Kind {
        reason: "displaced",
        taken: |taken| &taken.displaced,
        what: "Threads were ready to run while something else had their CPU",
        source: "run-queue delay in /proc/self/task/*/schedstat",
        advice: "End the other programs, or give training CPUs of its own (taskset, or a smaller --threads).",
    },
];

impl Others {
    /// What others had of the arm's measured steps.
    pub(super) fn of(arm: &Arm) -> Self {
        Self {
            taken: Taken::sum(&arm.taken),
            threads: arm.threads,
            seconds: arm.seconds.iter().sum::<f64>() * arm.threads as f64,
            steps: arm.seconds.len(),
        }
    }

    /// Share of the time that the threads had a CPU for.
    pub(super) fn kept(&self) -> f64 {
        let taken = self.shares().into_iter().flatten();
        1.0 - taken.sum::<f64>()
    }

    /// The reasons that are known.
    pub(super) fn losses(&self) -> Vec<Loss> {
        let waiting = if self.threads > 1 {
            " Waiting for a thread that was stopped is in the parallel loss."
        } else {
            ""
        };
        let known = KINDS.iter().zip(self.shares());
        known
            .filter_map(|(kind, share)| {
                let how = format!(
                    "{}: {} of the {} that the threads had in {} steps ({}; summed over all measured steps of these threads), taken out of \
                     the other reasons in proportion.{waiting}",
                    kind.what,
                    Seconds(share? * self.seconds),
                    Seconds(self.seconds),
                    self.steps,
                    kind.source
                );
                Some(Loss {
                    reason: kind.reason,
                    share: share?,
                    how,
                    advice: Some(kind.advice),
                })
            })
            .collect()
    }

    /// The reasons that are not, and why: what they took is in the other reasons.
    pub(super) fn unknown(&self) -> Vec<(&'static str, String)> {
        let why = |kind: &Kind| match (kind.taken)(self.taken.as_ref()?) {
            Ok(_) => None,
            Err(error) => Some((
                kind.reason,
                format!("{error}; what it took is in the other reasons"),
            )),
        };
        KINDS.iter().filter_map(why).collect()
    }

    /// Of each kind, in their order. Ticks may round to more than there was; time that is stolen while a thread waits is stolen.
    fn shares(&self) -> [Option<f64>; 2] {
        let mut left = 1.0_f64;
        KINDS.each_ref().map(|kind| {
            let seconds = *(kind.taken)(self.taken.as_ref()?).as_ref().ok()?;
            let share = (seconds / self.seconds).clamp(0.0, left);
            left -= share;
            Some(share)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(stolen: &[f64], displaced: Result<f64, Unreadable>) -> Arm {
        let taken = |stolen: &f64| Taken {
            stolen: Ok(*stolen),
            displaced: displaced.clone(),
            halted: Ok(0.0),
            seconds: 1.0,
        };
        Arm {
            threads: 2,
            seconds: vec![1.0; stolen.len()],
            taken: stolen.iter().map(taken).collect(),
            ..Arm::default()
        }
    }

    fn close(one: f64, other: f64) {
        assert!((one - other).abs() < 1e-12, "{one} {other}");
    }

    #[test]
    fn shares_are_of_all_threads_in_all_steps() {
        // Ticks fell into one step of four: it is the sum that counts.
        let others = Others::of(&arm(&[0.0, 0.8, 0.0, 0.0], Ok(0.05)));
        let losses = others.losses();
        assert_eq!(losses.len(), 2);
        close(losses[0].share, 0.1);
        close(losses[1].share, 0.025);
        close(others.kept(), 0.875);
        assert!(others.unknown().is_empty());
        for part in ["800 ms of the 8.00 s", "4 steps", "all measured steps"] {
            assert!(losses[0].how.contains(part), "{part}: {}", losses[0].how);
        }
        assert!(
            losses[0]
                .advice
                .is_some_and(|advice| advice.contains("idle host"))
        );
    }

    #[test]
    fn what_is_not_told_has_a_reason_and_takes_nothing() {
        let error = Unreadable {
            path: "/proc/self/task/7/schedstat".into(),
            reason: "No such file or directory".into(),
        };
        let others = Others::of(&arm(&[0.2], Err(error)));
        close(others.kept(), 0.9);
        assert_eq!(others.losses().len(), 1);
        let unknown = others.unknown();
        assert_eq!((unknown.len(), unknown[0].0), (1, "displaced"));
        assert!(unknown[0].1.contains("schedstat"), "{}", unknown[0].1);
    }

    #[test]
    fn nobody_takes_more_than_there_is() {
        let others = Others::of(&arm(&[1.5, 3.0], Ok(2.0)));
        close(others.kept(), 0.0);
        let nothing = Others::of(&arm(&[], Ok(1.0)));
        close(nothing.kept(), 1.0);
        assert!(nothing.losses().is_empty() && nothing.unknown().is_empty());
    }
}
