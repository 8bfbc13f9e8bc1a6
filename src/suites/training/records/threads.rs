//! Where the time of several threads goes that does not arrive as speed: named shares that add up to what is lost.
//!
//! `N` threads have `N t` of time in a step of `t` seconds, of which the step on one thread, `u` seconds, is what arrives. Between
//! shared pieces of work one thread works alone (`serial`); inside of them threads stand by (`waiting`). What remains is that the same
//! work takes longer: at a lower clock (`frequency`); at a lower multiply-add peak a cycle, as threads of one core have (`smt`); because
//! others have the CPU (`others`); and what is left then (`memory`), since caches and memory are shared.

use super::super::attribution::memory_bound;
use super::super::findings::{Arm, Findings};
use super::super::others::Others;
use crate::stats::{Interval, bootstrap, summary};
use crate::suites::Recorder;
use crate::suites::quantity::SHARE_OF_THREADS;
use crate::units::{Hertz, Ratio, Seconds, digits};

/// One share with its evidence, or why it is unknown; what is unknown is in the rest.
struct Share {
    reason: &'static str,
    share: Result<Interval, String>,
    how: String,
}

/// Records the shares of each number of threads above one.
pub(super) fn record(recorder: &mut Recorder, findings: &Findings) {
    let Some(alone) = findings.alone() else {
        return;
    };
    for arm in findings.arms.iter().filter(|arm| arm.threads > 1) {
        for share in shares(alone, arm) {
            let subject = format!(
                "training.{}.threads.{}.t{}",
                findings.case, share.reason, arm.threads
            );
            match share.share {
                Ok(interval) => {
                    recorder.derived(&subject, SHARE_OF_THREADS, interval, share.how);
                }
                Err(reason) => recorder.missing(&subject, SHARE_OF_THREADS, reason),
            }
        }
    }
}

/// All of an arm beside one thread; none where no step was measured.
fn shares(alone: &Arm, arm: &Arm) -> Vec<Share> {
    let Some(arrives) = arrives(alone, arm) else {
        return Vec::new();
    };
    let mut shares = vec![serial(arm), waiting(arm), frequency(alone, arm, arrives)];
    shares.push(smt(alone, arm, arrives));
    shares.push(others(alone, arm, arrives));
    let known = shares.iter().filter_map(|share| share.share.as_ref().ok());
    let named: f64 = known.clone().map(|share| share.estimate).sum();
    let slack = known.map(|share| (share.high - share.low) / 2.0);
    // Errors of independent estimates add up as their squares do.
    let slack = slack.map(|half| half * half).sum::<f64>().sqrt();
    shares.push(memory(alone, arm, 1.0 - arrives - named, slack));
    shares
}

/// The step on one thread over the time that all threads have in theirs.
fn arrives(alone: &Arm, arm: &Arm) -> Option<f64> {
    let one = summary::median(&alone.seconds)?;
    Some(one / (arm.threads as f64 * summary::median(&arm.seconds)?))
}

/// A share of each step, summed up.
fn of_steps(arm: &Arm, share: impl Fn(f64, f64, f64) -> f64) -> Result<Interval, String> {
    let steps = arm.seconds.iter().zip(&arm.worked);
    let all: Vec<f64> = steps
        .map(|(seconds, worked)| share(*seconds, worked.shared, worked.busy))
        .collect();
    bootstrap::median_interval(&all, 18).ok_or_else(|| "no step was watched".to_owned())
}

fn serial(arm: &Arm) -> Share {
    let others = (arm.threads - 1) as f64 / arm.threads as f64;
    let share = of_steps(arm, |seconds, shared, _| {
        others * (seconds - shared).max(0.0) / seconds
    });
    let alone = of_steps(arm, |seconds, shared, _| (seconds - shared).max(0.0));
    let alone = alone.map_or(f64::NAN, |interval| interval.estimate);
    let how = format!(
        "{} of a step lie between shared pieces of work, where one thread works and the others do not",
        Seconds(alone)
    );
    Share {
        reason: "serial",
        share,
        how,
    }
}

fn waiting(arm: &Arm) -> Share {
    let threads = arm.threads as f64;
    let share = of_steps(arm, |seconds, shared, busy| {
        (threads * shared - busy) / (threads * seconds)
    });
    let how = "threads stand by while others end their pieces of shared work, or come late to it: barriers and imbalance, readings of the \
               clock around the work of each thread";
    Share {
        reason: "waiting",
        share,
        how: how.to_owned(),
    }
}

fn hertz(arm: &Arm) -> Vec<f64> {
    arm.clocks.iter().map(|(_, hertz)| *hertz).collect()
}

fn frequency(alone: &Arm, arm: &Arm, arrives: f64) -> Share {
    let (one, many) = (hertz(alone), hertz(arm));
    let share = bootstrap::interval_of(&[&one, &many], 19, |groups| {
        let slower = summary::median(&groups[0])? / summary::median(&groups[1])?;
        Some(arrives * (slower - 1.0))
    });
    let median = |all: &[f64]| Hertz(summary::median(all).unwrap_or(f64::NAN));
    let how = format!(
        "{} after steps on one thread, {} after steps on {}: short windows of dependent additions",
        median(&one),
        median(&many),
        arm.threads
    );
    Share {
        reason: "frequency",
        share: share.ok_or_else(|| "the frequency was not measured beside both".to_owned()),
        how,
    }
}

fn smt(alone: &Arm, arm: &Arm, arrives: f64) -> Share {
    let (one, many) = (hertz(alone), hertz(arm));
    let threads = arm.threads as f64;
    let groups: [&[f64]; 4] = [&alone.peaks, &arm.peaks, &one, &many];
    let share = bootstrap::interval_of(&groups, 20, |groups| {
        let of = |index: usize| summary::median(&groups[index]);
        let lower = threads * of(0)? / of(1)?;
        Some(arrives * (lower - of(2)? / of(3)?))
    });
    let gflops = |peak: Option<f64>| digits(peak.unwrap_or(f64::NAN) / 1e9);
    let how = format!(
        "a thread's multiply-add peak is {} GFLOP/s alone and {} beside the others, and the clock explains the rest: threads that share a \
         core, whether the machine tells or a hypervisor hides it",
        gflops(alone.peak()),
        gflops(arm.peak().map(|peak| peak / threads)),
    );
    Share {
        reason: "smt",
        share: share.ok_or_else(|| "peak and frequency were not measured beside both".to_owned()),
        how,
    }
}

fn others(alone: &Arm, arm: &Arm, arrives: f64) -> Share {
    let (one, many) = (Others::of(alone), Others::of(arm));
    // Of the step on one thread, what others took is part of what arrives.
    let share = (1.0 - many.kept()) - arrives * (1.0 - one.kept());
    let unknown = many.unknown();
    let share = match &unknown[..] {
        [(_, first), (_, second)] => Err(format!("{first}; {second}")),
        _ => Ok(Interval::exactly(share)),
    };
    Share {
        reason: "others",
        share,
        how: "more of the threads' time went to other guests and programs than on one thread (steal and run-queue delay)"
            .to_owned(),
    }
}

fn memory(alone: &Arm, arm: &Arm, left: f64, slack: f64) -> Share {
    let (near, far) = (growth(alone, arm, false), growth(alone, arm, true));
    let words =
        |growth: Option<f64>| growth.map_or("unknown".to_owned(), |one| Ratio(one).to_string());
    let how = format!(
        "what the other shares leave: the same work takes longer when caches and memory are shared. Thread time of the operators that \
         memory limits: {} of that on one thread; of all others: {}",
        words(far),
        words(near)
    );
    Share {
        reason: "memory",
        share: Ok(Interval {
            estimate: left,
            low: left - slack,
            high: left + slack,
        }),
        how,
    }
}

/// Time of all threads in the operators that memory limits, or in the others, over the same on one thread.
fn growth(alone: &Arm, arm: &Arm, by_memory: bool) -> Option<f64> {
    let sum = |arm: &Arm| -> f64 {
        let parts = arm.parts();
        let wanted = parts
            .iter()
            .filter(|part| memory_bound(part.operator) == by_memory);
        arm.threads as f64 * wanted.map(|part| part.seconds.estimate).sum::<f64>()
    };
    let (one, many) = (sum(alone), sum(arm));
    (one > 0.0).then(|| many / one)
}

#[cfg(test)]
mod tests {
    use super::super::super::findings::sample;
    use super::*;
    use crate::measure::process::Unreadable;
    use crate::parallel::Worked;

    fn estimates(findings: &Findings) -> Vec<(&'static str, f64)> {
        let [alone, arm] = &findings.arms[..] else {
            panic!("two arms")
        };
        let of = |share: Share| Some((share.reason, share.share.ok()?.estimate));
        shares(alone, arm).into_iter().filter_map(of).collect()
    }

    #[test]
    fn shares_are_what_was_measured_and_add_up_to_what_is_lost() {
        let mut findings = sample::findings();
        findings.arms[1].clocks = vec![(0.0, 2.4e9), (1.0, 2.4e9)];
        findings.arms[0].clocks = vec![(0.0, 2.5e9)];
        let found = estimates(&findings);
        let efficiency = 2.0 / (2.0 * 1.1);
        let expected = [
            ("serial", 0.5 * 0.1),
            ("waiting", 0.9 * 0.05),
            ("frequency", efficiency * (2.5 / 2.4 - 1.0)),
            // 100 GFLOP/s alone, 95 each of two.
            ("smt", efficiency * (200.0 / 190.0 - 2.5 / 2.4)),
            // 4 % of the time of each are stolen; the kernel does not tell of programs.
            ("others", 0.04 * (1.0 - efficiency)),
        ];
        for ((reason, share), (name, wanted)) in found.iter().zip(expected) {
            assert_eq!(*reason, name);
            assert!((share - wanted).abs() < 1e-12, "{name}: {share} {wanted}");
        }
        let sum: f64 = found.iter().map(|(_, share)| share).sum();
        assert!((sum - (1.0 - efficiency)).abs() < 1e-12, "{sum}");
        assert_eq!(found.last().unwrap().0, "memory");
    }

    #[test]
    fn what_is_unknown_has_its_reason_and_falls_to_the_rest() {
        let mut findings = sample::findings();
        let unreadable = || {
            Err(Unreadable {
                path: "/proc/stat".into(),
                reason: "denied".into(),
            })
        };
        for arm in &mut findings.arms {
            (arm.worked, arm.clocks) = (Vec::new(), Vec::new());
            for taken in &mut arm.taken {
                (taken.stolen, taken.displaced) = (unreadable(), unreadable());
            }
        }
        let [alone, arm] = &findings.arms[..] else {
            panic!("two arms")
        };
        let (mut missing, mut rest) = (Vec::new(), 0.0);
        for share in shares(alone, arm) {
            match share.share {
                Ok(interval) => rest += interval.estimate,
                Err(reason) => missing.push((share.reason, reason)),
            }
        }
        let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["serial", "waiting", "frequency", "smt", "others"]);
        assert!(missing[4].1.contains("denied"), "{missing:?}");
        assert!((rest - (1.0 - 1.0 / 1.1)).abs() < 1e-12, "{rest}");
    }

    #[test]
    fn perfect_threads_lose_nothing() {
        let mut findings = sample::findings();
        let one = findings.arms[0].clone();
        let two = &mut findings.arms[1];
        two.seconds = one.seconds.iter().map(|seconds| seconds / 2.0).collect();
        let shared = |seconds: &f64| Worked {
            shared: *seconds,
            busy: 2.0 * seconds,
        };
        two.worked = two.seconds.iter().map(shared).collect();
        (two.clocks, two.peaks) = (one.clocks.clone(), vec![200e9; 8]);
        for taken in findings.arms.iter_mut().flat_map(|arm| &mut arm.taken) {
            taken.stolen = Ok(0.0);
        }
        for (reason, share) in estimates(&findings) {
            assert!(share.abs() < 1e-12, "{reason}: {share}");
        }
    }
}
