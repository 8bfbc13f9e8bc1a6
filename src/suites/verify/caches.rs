//! The sizes of the caches, from the knees of a latency staircase on 2 MB pages.
//!
//! Small working sets are taken from pages that lie in L2 together ([`packing`]), and every set is walked some pages at a time, so
//! that the knees are those of the caches and neither of where the host has put the pages nor of the TLB.
//! A load's latency is taken in core cycles, at the frequency of its own moment, and of several moments the fastest counts:
//! neighbours on the same core or cache only ever add to it.

mod packing;

use super::finding::{Claim, within};
use super::is_guest;
use crate::parallel::Pool;
use crate::probe::{CacheKind, CoreKind, Fact};
use crate::record::{Check, Verdict};
use crate::stats::Interval;
use crate::stats::staircase::{Shape, Step, floor, steps};
use crate::suites::ceilings::arithmetic::calm_frequency;
use crate::suites::ceilings::latency::{Chain, LINE_BYTES, Pages};
use crate::suites::quantity::CYCLES;
use crate::suites::{Context, Curve, SuiteError};
use crate::units::Bytes;
use packing::Packing;

/// The sweep: sizes an octave up to [`FINE`] and beyond, the smallest and the largest size.
const STEPS_FINE: u32 = 8;
const STEPS_COARSE: u32 = 4;
const FINE: u64 = 4 << 20;
const SMALLEST: u64 = 4 << 10;
const LARGEST: u64 = 160 << 20;

/// Times that a size is visited: the more, the likelier a moment in which nobody else uses the cache, and no virtual CPU has moved to
/// another one. Large sizes take long to lay.
fn rounds_of(bytes: u64) -> usize {
    match bytes >> 20 {
        0..=4 => 8,
        5..=40 => 5,
        _ => 1,
    }
}

/// Windows of a visit, and loads of a window.
pub(super) const WINDOWS: usize = 9;
const FEWEST_LOADS: usize = 4_000;
const MOST_LOADS: usize = 20_000;

/// What counts as a level of the staircase: L2 is three times L1, L3 three times L2, memory twice L3.
const SHAPE: Shape = Shape {
    octaves: 0.5,
    ratio: 1.4,
};

/// How far a knee may lie from the claimed size.
const TOLERANCE: f64 = 0.15;

/// L3 assumed where the machine does not tell, to get past it.
const UNKNOWN_L3: u64 = 32 << 20;

pub(super) fn checks(context: &mut Context) -> Result<Vec<Check>, SuiteError> {
    let mut checks = Vec::new();
    for (cpu, kind) in one_cpu_of_each_kind(context) {
        let whose = kind.map_or_else(String::new, |kind| format!(" of {} cores", kind.name()));
        context.say(&format!("verify: cache sizes{whose}"));
        let claims: Vec<Claim> = (1..=3)
            .map(|level| claim(context, cpu, level, kind))
            .collect();
        let pool = Pool::new(&[cpu])?;
        let (curve, packing) = sweep(context, &pool, largest(context))?;
        let found = steps(&curve.x, &floor(&curve.y), SHAPE);
        let sizes: Vec<Option<f64>> = claims
            .iter()
            .map(|claim| claim.fact.value().copied())
            .collect();
        let knees = assign(&found, &sizes);
        let setting = Setting {
            guest: is_guest(context),
            scattered: packing.is_scattered(),
            stopped: context.stopped(),
        };
        for (level, (claim, knee)) in (1..).zip(claims.iter().zip(knees)) {
            checks.push(judge(claim, knee, level, &setting));
        }
        let name = kind.map_or("verify.latency".to_string(), |kind| {
            format!("verify.latency.{}", kind.name())
        });
        let how = "one load that waits for the one before, 2 MB pages, 4 KB stretches of them that lie in L2 together first, fastest of up to eight moments";
        context.recorder.curve(&name, CYCLES, curve, how);
    }
    Ok(checks)
}

/// The first usable CPU, or of a hybrid machine the first of each kind.
fn one_cpu_of_each_kind(context: &Context) -> Vec<(usize, Option<CoreKind>)> {
    let cpus = &context.machine.topology.cpus;
    let mut first: Vec<(usize, Option<CoreKind>)> = Vec::new();
    for id in context.machine.usable_cpus() {
        let kind = cpus
            .iter()
            .find(|cpu| cpu.id as usize == id)
            .and_then(|cpu| cpu.kind);
        if first.iter().all(|known| known.1 != kind) {
            first.push((id, kind));
        }
    }
    first
}

/// What the machine claims of the data cache of that level which serves `cpu`.
fn claim(context: &Context, cpu: usize, level: u32, kind: Option<CoreKind>) -> Claim {
    let fact = match &context.machine.caches {
        Fact::Unknown { reason } => Fact::unknown(reason.clone()),
        Fact::Known { value: caches, .. } => {
            let serves = caches.iter().find(|cache| {
                cache.level == level
                    && cache.kind != CacheKind::Instruction
                    && cache.shared_by.contains(&(cpu as u32))
            });
            serves.map_or_else(
                || Fact::unknown(format!("the machine lists no L{level}")),
                |cache| Fact::known(cache.bytes as f64, cache.source),
            )
        }
    };
    let (part, whose) = kind.map_or((String::new(), String::new()), |kind| {
        (
            format!("{}.", kind.name()),
            format!(", {} core", kind.name()),
        )
    });
    let letter = if level == 1 { "d" } else { "" };
    Claim {
        fact,
        key: format!("verify.{part}l{level}.bytes"),
        label: format!("L{level}{letter} size{whose}"),
        show: |bytes| Bytes(bytes).to_string(),
    }
}

/// Four times the largest claimed cache, as far as memory allows.
fn largest(context: &Context) -> u64 {
    let memory = context.machine.usable_memory_bytes().unwrap_or(LARGEST) / 4;
    let l3 = context.machine.l3_bytes().unwrap_or(UNKNOWN_L3);
    l3.saturating_mul(4).min(memory).min(LARGEST)
}

/// Working sets of whole lines, ascending.
fn sizes(largest: u64) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut octave = SMALLEST;
    while octave <= largest {
        let count = if octave < FINE {
            STEPS_FINE
        } else {
            STEPS_COARSE
        };
        let size = |step| (octave as f64 * 2f64.powf(f64::from(step) / f64::from(count))) as u64;
        sizes.extend(
            (0..count)
                .map(|step| size(step) / LINE_BYTES * LINE_BYTES)
                .filter(|size| *size <= largest),
        );
        octave *= 2;
    }
    sizes
}

/// Cycles of a load over working sets, and which pages these are taken from.
fn sweep(context: &Context, pool: &Pool, largest: u64) -> Result<(Curve, Packing), SuiteError> {
    let mut chain = Chain::new(largest, Pages::Large)?;
    let packing = packing::pack(context, pool, &mut chain);
    let sizes = sizes(largest);
    let mut fastest = vec![f64::INFINITY; sizes.len()];
    for round in 0..rounds_of(SMALLEST) {
        for (bytes, best) in sizes.iter().zip(&mut fastest) {
            if context.stopped() || round >= rounds_of(*bytes) {
                break;
            }
            let lay = |chain: &mut Chain| chain.lay_pages(&packing.pages, *bytes);
            let cycles = visit(context, pool, &mut chain, bytes / LINE_BYTES, lay);
            *best = best.min(cycles);
        }
    }
    let points = sizes.iter().map(|bytes| *bytes as f64).zip(fastest);
    let curve = Curve::through("bytes", points.filter(|point| point.1.is_finite()));
    Ok((curve, packing))
}

/// Cycles of a load over a set of so many places, which `lay` links. Where a window meets all of them, the fastest of a few windows
/// counts; else the windows are spread over the set and their mean counts, since a cache may keep one part of a large set for long.
pub(super) fn visit(
    context: &Context,
    pool: &Pool,
    chain: &mut Chain,
    places: u64,
    lay: impl FnOnce(&mut Chain) + Send,
) -> f64 {
    let clock = context.clock;
    let places = places as usize;
    let loads = (places * 2).clamp(FEWEST_LOADS, MOST_LOADS);
    pool.install(|| {
        lay(chain);
        let before = calm_frequency(clock);
        let windows = (0..WINDOWS).map(|_| {
            chain.follow((places / WINDOWS).saturating_sub(loads));
            chain.window(clock, loads)
        });
        let seconds = if loads < places {
            windows.sum::<f64>() / WINDOWS as f64
        } else {
            windows.fold(f64::INFINITY, f64::min)
        };
        // An interruption makes a frequency too low, never too high.
        seconds * before.max(calm_frequency(clock))
    })
}

/// Which step belongs to which claim: in order, as many as possible, as near as possible. A claim that is not told fits any.
pub(super) fn assign(found: &[Step], claims: &[Option<f64>]) -> Vec<Option<Step>> {
    let (Some((claim, others)), true) = (claims.split_first(), !found.is_empty()) else {
        return vec![None; claims.len()];
    };
    let rank = |list: &[Option<Step>]| {
        let far = |(step, claim): (&Option<Step>, &Option<f64>)| {
            let (step, claim) = (step.as_ref()?, claim.as_ref()?);
            Some((step.knee / claim).ln().abs())
        };
        let matched = list.iter().flatten().count();
        (
            matched,
            list.iter().zip(claims).filter_map(far).sum::<f64>(),
        )
    };
    let without = || {
        let mut list = vec![None];
        list.extend(assign(found, others));
        list
    };
    let with = |place: usize| {
        let mut list = vec![Some(found[place])];
        list.extend(assign(&found[place + 1..], others));
        list
    };
    let mut best = without();
    for list in (0..found.len()).map(with) {
        let (new, old) = (rank(&list), rank(&best));
        if new.0 > old.0 || new.0 == old.0 && new.1 < old.1 {
            best = list;
        }
    }
    debug_assert_eq!(best.len(), 1 + others.len(), "{claim:?}");
    best
}

/// What explains a knee.
struct Setting {
    guest: bool,
    /// The memory lies in pieces.
    scattered: bool,
    stopped: bool,
}

fn judge(claim: &Claim, knee: Option<Step>, level: u32, setting: &Setting) -> Check {
    let Some(step) = knee else {
        return claim.unmeasured(match (setting.stopped, level) {
            (true, _) => "the measurement was stopped",
            (false, 3) => "the staircase has no step for it: its share for this thread is too small to stand out, or there is none",
            (false, _) => "the staircase has no step for it: other threads of the core leave too little of it",
        });
    };
    let measured = Interval {
        estimate: step.knee,
        low: step.low,
        high: step.high,
    };
    let claimed = claim.fact.value().copied().unwrap_or(f64::NAN);
    claim.against(measured, within(TOLERANCE), |verdict| {
        let mut why = format!(
            "a load takes {:.0} cycles below, {:.0} above; the climb begins between {} and {}",
            step.before,
            step.behind,
            Bytes(step.low),
            Bytes(step.high)
        );
        if setting.scattered && level == 3 {
            why.push_str("; the memory lies in small pieces, which fill a cache unevenly, so that it begins early");
        }
        why.push_str(match verdict {
            Verdict::NoClaim => "; the machine does not tell its size",
            Verdict::Disagree => explain(step.knee < claimed, level, setting.guest),
            _ => "",
        });
        why
    })
}

/// What may make a knee differ from a claim.
fn explain(smaller: bool, level: u32, guest: bool) -> &'static str {
    match (smaller, level, guest) {
        (false, ..) => {
            "; more than claimed: the claim is wrong, or it counts only a part of the cache"
        }
        (true, 3, true) => {
            "; less than claimed: other machines on the same processor share it, the host may grant this one a part only, or the claim is wrong"
        }
        (true, 3, false) => {
            "; less than claimed: other cores share it and are busy, or the claim is wrong"
        }
        (true, _, true) => {
            "; less than claimed: another thread or another machine on the same core holds the rest, or the claim is wrong"
        }
        (true, _, false) => {
            "; less than claimed: the core's other thread holds the rest, or the claim is wrong"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(knee: f64) -> Step {
        Step {
            before: 5.0,
            behind: 14.0,
            knee,
            low: knee * 0.95,
            high: knee * 1.1,
        }
    }

    fn knees(found: &[f64], claims: &[Option<f64>]) -> Vec<Option<f64>> {
        let found: Vec<Step> = found.iter().map(|knee| step(*knee)).collect();
        let assigned = assign(&found, claims);
        assigned
            .iter()
            .map(|step| step.map(|step| step.knee))
            .collect()
    }

    const KIB: f64 = 1024.0;

    #[test]
    fn steps_go_to_the_nearest_claims_in_order() {
        let claims = [Some(32.0 * KIB), Some(1024.0 * KIB), Some(36_608.0 * KIB)];
        let all = [30.0 * KIB, 900.0 * KIB, 3_000.0 * KIB];
        assert_eq!(knees(&all, &claims), all.map(Some), "as many as possible");
        assert_eq!(
            knees(&all[..2], &claims),
            [Some(all[0]), Some(all[1]), None]
        );
        assert_eq!(
            knees(&all[1..], &claims),
            [None, Some(all[1]), Some(all[2])]
        );
        // One step too many: the far one is left out.
        let four = [30.0 * KIB, 200.0 * KIB, 900.0 * KIB, 30_000.0 * KIB];
        assert_eq!(
            knees(&four, &claims),
            [Some(four[0]), Some(four[2]), Some(four[3])]
        );
        assert_eq!(knees(&all, &[None, None, None]), all.map(Some));
        assert_eq!(knees(&[], &claims), [None; 3]);
    }

    #[test]
    fn sizes_are_whole_lines_and_ascend() {
        let sizes = sizes(64 << 20);
        assert_eq!((sizes[0], *sizes.last().unwrap()), (4 << 10, 64 << 20));
        assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(sizes.iter().all(|size| size % LINE_BYTES == 0));
        assert!([32 << 10, 1 << 20].iter().all(|size| sizes.contains(size)));
    }

    #[test]
    fn a_small_share_names_who_may_have_the_rest() {
        let claim = Claim {
            fact: Fact::known(36_608.0 * KIB, "sysfs and cpuid"),
            key: "verify.l3.bytes".into(),
            label: "L3 size".into(),
            show: |bytes| Bytes(bytes).to_string(),
        };
        let setting = |guest| Setting {
            guest,
            scattered: false,
            stopped: false,
        };
        let check = judge(&claim, Some(step(3_000.0 * KIB)), 3, &setting(true));
        assert_eq!(check.verdict, Verdict::Disagree);
        assert!(check.why.contains("other machines"), "{}", check.why);
        let check = judge(&claim, Some(step(3_000.0 * KIB)), 3, &setting(false));
        assert!(!check.why.contains("machines"), "{}", check.why);
        let check = judge(&claim, Some(step(34_000.0 * KIB)), 3, &setting(true));
        assert_eq!(check.verdict, Verdict::Agree);
        let check = judge(&claim, None, 3, &setting(true));
        assert_eq!(check.verdict, Verdict::NotMeasurable);
        let small = Setting {
            scattered: true,
            ..setting(true)
        };
        assert!(
            judge(&claim, Some(step(3e6)), 3, &small)
                .why
                .contains("small pieces")
        );
    }
}
