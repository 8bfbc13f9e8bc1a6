//! Which CPUs share a core, by how much they slow each other down.
//!
//! One CPU computes; the other one first only pauses, then computes too. Two cores do not notice; two threads of one core get half
//! each. The other CPU is held by this program in both cases, so that other programs on it do not count. Windows are compared in
//! core cycles, so that turbo does not either.

use super::finding::in_words;
use super::is_guest;
use crate::kernels::{Isa, vec};
use crate::measure::clock::{Clock, Ticks};
use crate::measure::{process, session};
use crate::parallel::Pool;
use crate::probe::{Fact, Topology, format_cpu_list};
use crate::record::{Check, Verdict};
use crate::stats::{Interval, bootstrap, summary};
use crate::suites::ceilings::arithmetic::calm_frequency;
use crate::suites::ceilings::windows::{Window, repeats_for, together};
use crate::suites::{Context, SuiteError};
use crate::units::Ratio;

/// Length of a window, windows of a phase, rounds of both phases.
const WINDOW: f64 = 2e-4;
const WINDOWS: usize = 30;
const ROUNDS: usize = 8;

/// From this slowdown on two CPUs share a core; up to that one they do not.
const SHARED: f64 = 1.5;
const APART: f64 = 1.2;

/// Pairs that are tried at most: a quarter of a second each.
const MOST_PAIRS: usize = 32;

/// A window that took so many times the fastest was slowed by somebody on the same core, up to the point where it was interrupted.
const SLOWED: std::ops::Range<f64> = 1.25..2.6;
/// A window that took so many times what was planned was interrupted: two threads of a core take twice.
const INTERRUPTED: f64 = 3.0;

/// Share of slowed windows that is worth a word.
const NOTICED: f64 = 0.1;

/// What one pair showed.
#[derive(Clone, Debug)]
struct Pair {
    cpus: [usize; 2],
    /// Cycles of the first CPU's windows beside a CPU that computes, over those beside one that pauses.
    slowdown: Interval,
    /// Share of the first CPU's windows that were slow though its partner paused.
    slowed_alone: f64,
}

pub(super) fn checks(context: &mut Context) -> Result<Vec<Check>, SuiteError> {
    let claim = claim(&context.machine.topology);
    let pairs = pairs(&context.machine.usable_cpus(), &context.machine.topology);
    if pairs.is_empty() {
        let why = "it takes two CPUs, and this process may use one";
        return Ok(vec![in_words(KEY, &claim, "", Verdict::NotMeasurable, why)]);
    }
    context.say("verify: which CPUs share a core");
    let before = process::system();
    let mut found = Vec::new();
    for cpus in pairs {
        if context.stopped() {
            break;
        }
        found.extend(contention(context.clock, cpus)?);
    }
    let steal = match (before, process::system()) {
        (Ok(before), Ok(after)) => {
            process::disturbance(&before, &after, &process::Usage::default())
                .map(|seen| seen.steal_ratio)
        }
        _ => None,
    };
    let mut checks = vec![judge(&context.machine.topology, &claim, &found)];
    checks.extend(judge_outside(
        &context.machine.topology,
        &found,
        is_guest(context),
        steal,
    ));
    Ok(checks)
}

const KEY: [&str; 2] = ["verify.siblings", "CPUs that share a core"];

/// `0,4 | 1,5`, or `none`.
fn list(groups: &[Vec<u32>]) -> String {
    if groups.is_empty() {
        return "none".to_string();
    }
    let texts: Vec<String> = groups.iter().map(|cpus| format_cpu_list(cpus)).collect();
    texts.join(" | ")
}

fn claim(topology: &Topology) -> Fact<String> {
    let mut cores = std::collections::BTreeMap::<(u32, u32), Vec<u32>>::new();
    for cpu in &topology.cpus {
        cores
            .entry((cpu.package, cpu.core))
            .or_default()
            .push(cpu.id);
    }
    let shared: Vec<Vec<u32>> = cores.into_values().filter(|cpus| cpus.len() > 1).collect();
    topology.placed_by.clone().map(|()| list(&shared))
}

fn share_core(topology: &Topology, [one, other]: [usize; 2]) -> bool {
    let place = |id: usize| {
        let cpu = topology.cpus.iter().find(|cpu| cpu.id as usize == id);
        cpu.map(|cpu| (cpu.package, cpu.core))
    };
    place(one).is_some() && place(one) == place(other)
}

/// All pairs of a few CPUs; of many the claimed siblings first, then neighbours by number.
fn pairs(cpus: &[usize], topology: &Topology) -> Vec<[usize; 2]> {
    let mut cpus = cpus.to_vec();
    cpus.sort_unstable();
    let mut all: Vec<[usize; 2]> = Vec::new();
    for (place, one) in cpus.iter().enumerate() {
        all.extend(cpus[place + 1..].iter().map(|other| [*one, *other]));
    }
    if all.len() > MOST_PAIRS {
        all.sort_by_key(|pair| (!share_core(topology, *pair), pair[1] - pair[0], pair[0]));
        let siblings = all
            .iter()
            .filter(|pair| share_core(topology, **pair))
            .count();
        // Half of the pairs are to be claimed apart, so that both kinds of lies can show.
        let apart = all.split_off(siblings);
        all.truncate(MOST_PAIRS / 2);
        all.extend(apart.into_iter().take(MOST_PAIRS - all.len()));
    }
    all
}

/// Runs both phases in turn on a pair; `None` where too few windows overlapped.
fn contention(clock: &Clock, cpus: [usize; 2]) -> Result<Option<Pair>, SuiteError> {
    let pool = Pool::new(&cpus)?;
    let isa = Isa::best();
    let compute = |turns| {
        std::hint::black_box(vec::fma_chain(isa, turns));
    };
    let turns = pool.install(|| repeats_for(clock, WINDOW, compute));
    let pause = || {
        let start = clock.now();
        while clock.since(start) < WINDOW {
            (0..50).for_each(|_| std::hint::spin_loop());
        }
    };
    let mut cycles = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        for place in 0..2 {
            let phase = session::at(2, round, place);
            let work = |thread: usize| {
                if thread == 0 || phase == 1 {
                    compute(turns);
                } else {
                    pause();
                }
            };
            let windows = together(&pool, clock, WINDOWS, &work, &|_| calm_frequency(clock));
            let took = undisturbed(clock, &windows).map(|window| cycles_of(clock, window));
            cycles[phase].extend(took);
        }
    }
    Ok(compare(cpus, &cycles))
}

fn cycles_of(clock: &Clock, window: &Window) -> f64 {
    clock.seconds(window.start, window.end) * window.note
}

/// The first thread's windows that were not interrupted, nor the other thread's beside them: where its CPU was taken away it did not
/// do what it was there for.
fn undisturbed<'w>(clock: &Clock, windows: &'w [Vec<Window>]) -> impl Iterator<Item = &'w Window> {
    let whole = |window: &Window| clock.seconds(window.start, window.end) < INTERRUPTED * WINDOW;
    let broken: Vec<(Ticks, Ticks)> = windows[1..]
        .iter()
        .flatten()
        .filter(|window| !whole(window))
        .map(|window| (window.start, window.end))
        .collect();
    windows[0].iter().filter(move |window| {
        let apart = |(start, end): &(Ticks, Ticks)| *end <= window.start || window.end <= *start;
        clock.seconds(window.start, window.end) < INTERRUPTED * WINDOW && broken.iter().all(apart)
    })
}

fn compare(cpus: [usize; 2], [alone, beside]: &[Vec<f64>; 2]) -> Option<Pair> {
    let ratio =
        |groups: &[Vec<f64>]| Some(summary::median(&groups[1])? / summary::median(&groups[0])?);
    let slowdown = bootstrap::interval_of(&[alone, beside], 1, ratio)?;
    let fastest = summary::quantile(alone, 0.1)?;
    let slowed = alone
        .iter()
        .filter(|cycles| SLOWED.contains(&(*cycles / fastest)))
        .count();
    Some(Pair {
        cpus,
        slowdown,
        slowed_alone: slowed as f64 / alone.len() as f64,
    })
}

fn judge(topology: &Topology, claim: &Fact<String>, found: &[Pair]) -> Check {
    let clear = |pair: &&Pair| pair.slowdown.estimate >= SHARED || pair.slowdown.estimate <= APART;
    let clear: Vec<&Pair> = found.iter().filter(clear).collect();
    let told: Vec<String> = found
        .iter()
        .take(8)
        .map(|pair| {
            let (
                [one, other],
                Interval {
                    estimate,
                    low,
                    high,
                },
            ) = (pair.cpus, pair.slowdown);
            format!("{one} beside {other}: {estimate:.2} times the cycles ({low:.2} to {high:.2})")
        })
        .collect();
    let how = format!(
        "multiply-adds on one CPU while the other pauses or computes too; {}",
        told.join("; ")
    );
    if clear.is_empty() {
        let why = format!("{how}; between {APART} and {SHARED} nothing can be said");
        return in_words(KEY, claim, "", Verdict::NotMeasurable, why);
    }
    let shared: Vec<Vec<u32>> = clear
        .iter()
        .filter(|pair| pair.slowdown.estimate >= SHARED)
        .map(|pair| pair.cpus.map(|cpu| cpu as u32).to_vec())
        .collect();
    let lies =
        |pair: &&&Pair| share_core(topology, pair.cpus) != (pair.slowdown.estimate >= SHARED);
    let (verdict, more) = match clear.iter().find(lies) {
        None => (Verdict::Agree, ""),
        Some(pair) if pair.slowdown.estimate >= SHARED => (
            Verdict::Disagree,
            "; they are claimed to have a core each, and get half of one each: two threads of one core, or the host runs them by turns",
        ),
        Some(_) => (
            Verdict::Disagree,
            "; they are claimed to share a core, and do not notice each other",
        ),
    };
    in_words(KEY, claim, list(&shared), verdict, format!("{how}{more}"))
}

/// Whether somebody outside of this system computes on the same cores; only worth a word where it is seen.
fn judge_outside(
    topology: &Topology,
    found: &[Pair],
    guest: bool,
    steal: Option<f64>,
) -> Option<Check> {
    let worst = found
        .iter()
        .map(|pair| pair.slowed_alone)
        .fold(0.0, f64::max);
    let stolen = steal.filter(|steal| *steal > 0.01);
    if !guest || worst < NOTICED && stolen.is_none() {
        return None;
    }
    let mut seen = Vec::new();
    if worst >= NOTICED {
        seen.push(format!(
            "{} of the windows beside a pausing CPU took {} to {} times the fastest one's cycles: something computes on the same core, outside of what this machine shows, or on a CPU that was not held",
            Ratio(worst), SLOWED.start, SLOWED.end
        ));
    }
    seen.extend(stolen.map(|steal| {
        format!(
            "the hypervisor gave {} of the CPUs' time to others meanwhile",
            Ratio(steal)
        )
    }));
    let claimed = topology.threads_per_core() == 1 && worst >= NOTICED;
    let fact = match claimed {
        true => Fact::known("one thread a core".to_string(), topology.placed_by.source()),
        false => Fact::unknown("nothing is claimed"),
    };
    let verdict = if claimed {
        Verdict::Disagree
    } else {
        Verdict::NoClaim
    };
    let key = ["verify.outside", "cores to itself"];
    Some(in_words(
        key,
        &fact,
        "shared with others at times",
        verdict,
        seen.join("; "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Cpu;

    fn topology(cores: &[u32]) -> Topology {
        let cpu = |(id, core): (usize, &u32)| Cpu {
            id: id as u32,
            core: *core,
            package: 0,
            node: 0,
            usable: true,
            kind: None,
        };
        Topology {
            cpus: cores.iter().enumerate().map(cpu).collect(),
            placed_by: Fact::known((), "sysfs"),
            disagreement: None,
        }
    }

    fn pair(cpus: [usize; 2], slowdown: f64) -> Pair {
        let cycles = |factor: f64| {
            (0..40)
                .map(|place| factor * (1.0 + f64::from(place % 5) / 100.0))
                .collect()
        };
        compare(cpus, &[cycles(1.0), cycles(slowdown)]).unwrap()
    }

    fn verdict(cores: &[u32], found: &[Pair]) -> (Verdict, String, String) {
        let topology = topology(cores);
        let check = judge(&topology, &claim(&topology), found);
        (check.verdict, check.claimed_text, check.measured_text)
    }

    #[test]
    fn cpus_that_take_half_from_each_other_share_a_core() {
        let told = |claimed: &str, measured: &str, verdict| {
            (verdict, claimed.to_string(), measured.to_string())
        };
        assert_eq!(
            verdict(&[0, 1], &[pair([0, 1], 1.01)]),
            told("none", "none", Verdict::Agree)
        );
        assert_eq!(
            verdict(&[0, 1], &[pair([0, 1], 1.97)]),
            told("none", "0-1", Verdict::Disagree)
        );
        assert_eq!(
            verdict(&[0, 0], &[pair([0, 1], 1.97)]),
            told("0-1", "0-1", Verdict::Agree)
        );
        assert_eq!(
            verdict(&[0, 0], &[pair([0, 1], 1.0)]),
            told("0-1", "none", Verdict::Disagree)
        );
        assert_eq!(
            verdict(&[0, 1], &[pair([0, 1], 1.35)]).0,
            Verdict::NotMeasurable
        );
        assert_eq!(verdict(&[0, 1], &[]).0, Verdict::NotMeasurable);
    }

    #[test]
    fn only_a_guest_that_is_slowed_hears_of_others() {
        let quiet = pair([0, 1], 1.0);
        assert!(
            judge_outside(
                &topology(&[0, 1]),
                std::slice::from_ref(&quiet),
                true,
                Some(0.0)
            )
            .is_none()
        );
        let cycles = |place: i32| if place % 3 == 0 { 1.9 } else { 1.0 };
        let mixed: Vec<f64> = (0..60).map(cycles).collect();
        let noisy = compare([0, 1], &[mixed.clone(), mixed]).unwrap();
        assert!((noisy.slowed_alone - 1.0 / 3.0).abs() < 1e-9);
        let check =
            judge_outside(&topology(&[0, 1]), std::slice::from_ref(&noisy), true, None).unwrap();
        assert_eq!(check.verdict, Verdict::Disagree);
        assert!(judge_outside(&topology(&[0, 1]), &[noisy], false, None).is_none());
        let check = judge_outside(&topology(&[0, 1]), &[quiet], true, Some(0.2)).unwrap();
        assert_eq!(check.verdict, Verdict::NoClaim);
        assert!(check.why.contains("20.0 %"), "{}", check.why);
    }

    #[test]
    fn windows_beside_an_interrupted_partner_do_not_count() {
        let clock = Clock::best();
        // Five moments, the third gap an interruption; one that happened elsewhere begins anew.
        let mut times = vec![clock.now()];
        while times.len() < 5 {
            let now = clock.now();
            let gap = clock.seconds(times[times.len() - 1], now);
            let long = gap >= INTERRUPTED * WINDOW;
            match (times.len() == 3, long) {
                (true, true) => times.push(now),
                (false, true) => times = vec![now],
                (false, false) if gap >= WINDOW / 10.0 => times.push(now),
                _ => {}
            }
        }
        let window = |start: usize, end: usize| Window {
            start: times[start],
            end: times[end],
            note: 1e9,
        };
        let kept =
            |first: Vec<Window>, second: Vec<Window>| undisturbed(&clock, &[first, second]).count();
        assert_eq!(kept(vec![window(2, 3)], vec![window(0, 1)]), 0, "its own");
        assert_eq!(
            kept(vec![window(0, 1)], vec![window(2, 3)]),
            1,
            "at another time"
        );
        let overlapped = Window {
            start: times[2],
            end: times[2],
            note: 1e9,
        };
        assert_eq!(
            kept(vec![overlapped], vec![window(1, 3)]),
            0,
            "its partner's"
        );
    }

    #[test]
    fn of_many_cpus_both_kinds_of_pairs_are_tried() {
        let cores: Vec<u32> = (0..64).map(|cpu| cpu % 32).collect();
        let cpus: Vec<usize> = (0..64).collect();
        let topology = topology(&cores);
        let pairs = pairs(&cpus, &topology);
        assert_eq!(pairs.len(), MOST_PAIRS);
        let siblings = pairs
            .iter()
            .filter(|pair| share_core(&topology, **pair))
            .count();
        assert_eq!(siblings, MOST_PAIRS / 2);
        assert!(super::pairs(&[3], &topology).is_empty());
        assert_eq!(
            super::pairs(&[2, 0, 1], &topology),
            [[0, 1], [0, 2], [1, 2]]
        );
    }
}
