//! CPU time that others took from threads which wanted to run: the hypervisor from the CPUs, other programs from the threads. And time
//! in which no thread wanted to run, because somebody had stopped the program.
//!
//! All are counted by the kernel since its start or the thread's, so that two readings tell what happened between them. Steal comes in
//! ticks of 10 ms: only sums over many stretches mean something. A reading costs one file, and one more a thread, tens of
//! microseconds each: it belongs beside what is timed, not inside.

use super::process::{Unreadable, threads};
use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

/// Seconds of a tick of /proc/stat: USER_HZ is 100 on every x86-64 Linux.
const TICK: f64 = 0.01;

/// Where the time of the CPUs is counted.
const STAT: &str = "/proc/stat";

/// A program that stood still for less of its time, and for less than these seconds, only waited: for a page, for a thread to wake.
const STILL: (f64, f64) = (0.1, 0.1);

/// All counters at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    at: Instant,
    steal: Result<Steal, Unreadable>,
    schedule: Result<Schedule, Unreadable>,
}

/// Stolen ticks since the system's start, by CPU.
type Steal = BTreeMap<usize, u64>;

/// Nanoseconds on a CPU and ready to run without one, by thread.
type Schedule = BTreeMap<u32, [u64; 2]>;

/// What was taken in one stretch, or in several together: seconds, summed over CPUs or threads.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// While the hypervisor ran somebody else on the chosen CPUs.
    pub stolen: Result<f64, Unreadable>,
    /// While threads of this process were ready to run, and something else had their CPU.
    pub displaced: Result<f64, Unreadable>,
    /// While the busiest thread of this process neither ran nor was ready to, although it had work: stopped by a signal, by a
    /// debugger, by the freezer of its control group, or asleep with the machine.
    pub halted: Result<f64, Unreadable>,
    /// From one reading to the other.
    pub seconds: f64,
}

impl Reading {
    /// Reads all. Never fails: what cannot be read is a reason in [`Taken`].
    pub fn now() -> Self {
        let unreadable = |error: std::io::Error| Unreadable {
            path: STAT.into(),
            reason: error.to_string(),
        };
        let stat = fs::read_to_string(STAT).map_err(unreadable);
        Self {
            steal: stat.map(|text| steal(&text)),
            schedule: schedule(),
            at: Instant::now(),
        }
    }

    /// What was taken since an `earlier` reading: from these CPUs by the system's numbers, and from all threads of this process.
    pub fn since(&self, earlier: &Self, cpus: &[usize]) -> Taken {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        Taken {
            stolen: stolen(&earlier.steal, &self.steal, cpus),
            displaced: displaced(&earlier.schedule, &self.schedule),
            halted: halted(&earlier.schedule, &self.schedule, seconds),
            seconds,
        }
    }
}

impl Taken {
    /// Of several stretches together; `None` of none. What one stretch does not know, all do not.
    pub fn sum<'t>(stretches: impl IntoIterator<Item = &'t Taken>) -> Option<Taken> {
        let add = |one: &Result<f64, Unreadable>, other: &Result<f64, Unreadable>| {
            Ok(one.clone()? + other.clone()?)
        };
        stretches.into_iter().cloned().reduce(|sum, stretch| Taken {
            stolen: add(&sum.stolen, &stretch.stolen),
            displaced: add(&sum.displaced, &stretch.displaced),
            halted: add(&sum.halted, &stretch.halted),
            seconds: sum.seconds + stretch.seconds,
        })
    }

    /// Seconds for which somebody had stopped the program; `None` where that was not so, or is not known.
    pub fn stood_still(&self) -> Option<f64> {
        let (share, least) = STILL;
        let halted = *self.halted.as_ref().ok()?;
        (halted > least && halted > share * self.seconds).then_some(halted)
    }
}

/// The eighth number of the lines `cpuN` of /proc/stat.
fn steal(text: &str) -> Steal {
    let of_cpu = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let cpu = words.next()?.strip_prefix("cpu")?.parse().ok()?;
        Some((cpu, words.nth(7)?.parse().ok()?))
    };
    text.lines().filter_map(of_cpu).collect()
}

/// A kernel that has never counted any does not count: it is no guest, or its hypervisor does not tell.
fn stolen(
    before: &Result<Steal, Unreadable>,
    after: &Result<Steal, Unreadable>,
    cpus: &[usize],
) -> Result<f64, Unreadable> {
    let (before, after) = both(before, after)?;
    let no = |reason: &str| Unreadable {
        path: STAT.into(),
        reason: reason.into(),
    };
    if after.values().all(|ticks| *ticks == 0) {
        return Err(no(
            "has counted no stolen time since the system started: this is no guest, or its hypervisor does not tell",
        ));
    }
    let of = |cpu: &usize| Some(after.get(cpu)?.saturating_sub(*before.get(cpu)?));
    let ticks: Option<u64> = cpus.iter().map(of).sum();
    let ticks = ticks.ok_or_else(|| no("does not tell the stolen time of every CPU in use"))?;
    Ok(ticks as f64 * TICK)
}

fn both<'t, T>(
    before: &'t Result<T, Unreadable>,
    after: &'t Result<T, Unreadable>,
) -> Result<(&'t T, &'t T), Unreadable> {
    match (before, after) {
        (Ok(before), Ok(after)) => Ok((before, after)),
        (Err(error), _) | (_, Err(error)) => Err(error.clone()),
    }
}

/// `/proc/self/task/N/schedstat` of every thread: nanoseconds on a CPU, nanoseconds waiting for one, times it ran.
fn schedule() -> Result<Schedule, Unreadable> {
    let mut all = Schedule::new();
    let mut refusal = None;
    for thread in threads()? {
        let path = format!("/proc/self/task/{thread}/schedstat");
        match fs::read_to_string(&path) {
            Ok(text) => {
                all.extend(parse_schedule(&text).map(|times| (thread, times)));
            }
            // One thread may have ended since the listing; all of them cannot.
            Err(error) => {
                refusal = Some(Unreadable {
                    path,
                    reason: error.to_string(),
                });
            }
        }
    }
    // A running process has been on a CPU: zeros are a kernel that does not keep the times.
    if all.values().all(|[ran, _]| *ran == 0) {
        return Err(refusal.unwrap_or(Unreadable {
            path: "/proc/self/task/*/schedstat".into(),
            reason: "this kernel does not keep how long threads wait for a CPU".into(),
        }));
    }
    Ok(all)
}

fn parse_schedule(text: &str) -> Option<[u64; 2]> {
    let mut words = text.split_ascii_whitespace().map(str::parse);
    Some([words.next()?.ok()?, words.next()?.ok()?])
}

fn displaced(
    before: &Result<Schedule, Unreadable>,
    after: &Result<Schedule, Unreadable>,
) -> Result<f64, Unreadable> {
    let (before, after) = both(before, after)?;
    let waited = |(thread, [_, now]): (&u32, &[u64; 2])| {
        let then = before.get(thread).map_or(0, |[_, then]| *then);
        now.saturating_sub(then)
    };
    Ok(after.iter().map(waited).sum::<u64>() as f64 / 1e9)
}

/// The thread that leads the others never sleeps while there is work: what it neither ran nor waited, nobody did.
fn halted(
    before: &Result<Schedule, Unreadable>,
    after: &Result<Schedule, Unreadable>,
    seconds: f64,
) -> Result<f64, Unreadable> {
    let (before, after) = both(before, after)?;
    let wanted = |(thread, [ran, waited]): (&u32, &[u64; 2])| {
        let [had_run, had_waited] = before.get(thread).copied().unwrap_or_default();
        ran.saturating_sub(had_run) + waited.saturating_sub(had_waited)
    };
    let most = after.iter().map(wanted).max().unwrap_or(0) as f64 / 1e9;
    Ok((seconds - most).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: &str =
        "cpu  9 9 9 9 9 9 9 30 0 0\ncpu0 1 2 3 4 5 6 7 10 0 0\ncpu1 1 2 3 4 5 6 7 20 0 0\nintr 5\n";
    const LATER: &str =
        "cpu  9 9 9 9 9 9 9 90 0 0\ncpu0 1 2 3 4 5 6 7 15 0 0\ncpu1 1 2 3 4 5 6 7 75 0 0\nintr 5\n";

    fn unknown(reason: &str) -> Unreadable {
        Unreadable {
            path: "/f".into(),
            reason: reason.into(),
        }
    }

    #[test]
    fn steal_is_that_of_the_chosen_cpus() {
        let (earlier, later) = (Ok(steal(EARLIER)), Ok(steal(LATER)));
        for (cpus, seconds) in [(&[0][..], 0.05), (&[1], 0.55), (&[0, 1], 0.6), (&[], 0.0)] {
            let taken = stolen(&earlier, &later, cpus).unwrap();
            assert!((taken - seconds).abs() < 1e-12, "{cpus:?}: {taken}");
        }
        // A counter that went back, as some hypervisors have it, has taken nothing.
        assert_eq!(stolen(&later, &earlier, &[0]), Ok(0.0));
        assert!(stolen(&earlier, &later, &[0, 2]).is_err());
        for broken in ["", "cpu0 1 2 3\n", "cpu0 1 2 3 4 5 6 7 x\n"] {
            let broken = Ok(steal(broken));
            assert!(stolen(&broken, &broken, &[0]).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_system_that_never_counted_steal_does_not_say_zero() {
        let never = Ok(steal("cpu0 1 2 3 4 5 6 7 0 0 0\n"));
        let error = stolen(&never, &never, &[0]).unwrap_err();
        assert!(error.to_string().contains("no guest"), "{error}");
        let first = Ok(steal("cpu0 1 2 3 4 5 6 7 1 0 0\n"));
        assert_eq!(stolen(&never, &first, &[0]), Ok(TICK));
    }

    #[test]
    fn waiting_is_summed_over_threads() {
        assert_eq!(parse_schedule("123 456 7\n"), Some([123, 456]));
        for broken in ["", "1", "1 x 2"] {
            assert_eq!(parse_schedule(broken), None);
        }
        let times =
            |all: &[(u32, u64)]| Ok(all.iter().map(|(id, time)| (*id, [1, *time])).collect());
        // One thread waited half a second, one began meanwhile, one ended.
        let before = times(&[(1, 1_000_000_000), (3, 9_000_000_000)]);
        let after = times(&[(1, 1_500_000_000), (2, 250_000_000)]);
        assert_eq!(displaced(&before, &after), Ok(0.75));
        assert_eq!(displaced(&Err(unknown("no")), &after), Err(unknown("no")));
    }

    #[test]
    fn who_had_work_and_neither_ran_nor_waited_stood_still() {
        let times = |all: [[u64; 2]; 2]| {
            let seconds = |pair: [u64; 2]| pair.map(|time| time * 1_000_000_000);
            Ok([(1, seconds(all[0])), (2, seconds(all[1]))].into())
        };
        let before = times([[1, 1], [7, 0]]);
        // The leader ran for two seconds and waited for one; the other thread helped for one.
        let after = times([[3, 2], [8, 0]]);
        let taken = |seconds: f64| Taken {
            stolen: Ok(0.0),
            displaced: Ok(1.0),
            halted: halted(&before, &after, seconds),
            seconds,
        };
        assert_eq!(taken(3.0).halted, Ok(0.0));
        assert_eq!(taken(3.0).stood_still(), None);
        assert_eq!(taken(8.0).stood_still(), Some(5.0));
        assert_eq!(taken(3.05).stood_still(), None, "as short as a page fault");
        assert_eq!(taken(2.9).halted, Ok(0.0), "counters lag behind the clock");
        let unknown = halted(&Err(unknown("no")), &after, 3.0);
        assert!(unknown.is_err());
    }

    #[test]
    fn stretches_add_up_and_one_unknown_makes_all_unknown() {
        let stretch = |stolen: f64| Taken {
            stolen: Ok(stolen),
            displaced: Ok(0.5),
            halted: Ok(0.0),
            seconds: 2.0,
        };
        let mut all = vec![stretch(0.25), stretch(0.5), stretch(0.0)];
        let sum = Taken::sum(&all).unwrap();
        assert_eq!((sum.stolen, sum.displaced), (Ok(0.75), Ok(1.5)));
        all[1].stolen = Err(unknown("gone"));
        let sum = Taken::sum(&all).unwrap();
        assert_eq!((sum.stolen, sum.displaced), (Err(unknown("gone")), Ok(1.5)));
        assert_eq!(Taken::sum([]), None);
    }

    #[test]
    fn this_machine_tells_or_says_why_not() {
        let before = Reading::now();
        let taken = Reading::now().since(&before, &[]);
        for part in [taken.stolen, taken.displaced] {
            match part {
                Ok(seconds) => assert!(seconds >= 0.0),
                Err(error) => assert!(error.to_string().len() > 10, "{error}"),
            }
        }
    }
}
