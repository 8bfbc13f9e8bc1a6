//! How many pages the translation caches hold, and whether 2 MB pages are what they seem.
//!
//! A chain of loads meets one line in every page, first on 4 KB pages, then on 2 MB pages. As long as the lines fit into L1, every
//! climb is the first TLB's. Beyond, caches cost both kinds of pages the same, so that their difference is translation. A guest whose
//! 2 MB pages climb where only 4 KB pages should has a host that backs them with smaller ones: the TLB keeps the smaller of both
//! (Intel SDM volume 3C, "Caching translation information").

use super::caches::{assign, visit};
use super::finding::{Claim, in_words, within};
use super::is_guest;
use crate::measure::process;
use crate::probe::Fact;
use crate::record::{Check, Verdict};
use crate::stats::Interval;
use crate::stats::staircase::{Shape, Step, steps};
use crate::suites::ceilings::latency::{Chain, Pages};
use crate::suites::quantity::CYCLES;
use crate::suites::{Context, Curve, SuiteError};

const PAGE: u64 = 4 << 10;

/// From one load to the next: a page, and a line further in it, so that the lines spread over the sets of a cache.
const STRIDE: u64 = PAGE + 64;

/// Pages: from the first number to the last, four an octave.
const FEWEST: u64 = 8;
const OCTAVES: u32 = 11;
const STEPS: u32 = 4;

/// Times that the whole sweep is made.
const ROUNDS: usize = 3;

/// A missing translation costs seven cycles on top of a load's five, a walk several times that.
const SHAPE: Shape = Shape {
    octaves: 0.5,
    ratio: 1.3,
};

/// How far a knee may lie from the claimed entries: the program's own pages take some of them.
const TOLERANCE: f64 = 0.25;

/// Lines of L1 that the program's own data leaves to the chain.
const L1_SHARE: f64 = 0.75;

/// Entries that one of the claim may stand for: AMD's L2TlbSizeX32.
const COUNTED_BY: f64 = 32.0;

/// L1 assumed where the machine does not tell.
const UNKNOWN_L1: u64 = 32 << 10;

pub(super) fn checks(context: &mut Context) -> Result<Vec<Check>, SuiteError> {
    context.say("verify: TLB reach");
    let claims = [1, 2].map(|level| claim(context, level));
    let Some(sweep) = sweep(context)? else {
        let why = "the system gave no 2 MB pages to compare with (transparent huge pages are off or used up)";
        return Ok(claims.iter().map(|claim| claim.unmeasured(why)).collect());
    };
    for (name, cycles) in [("4kb", &sweep.small), ("2mb", &sweep.large)] {
        let curve = Curve::through(
            "pages",
            sweep.pages.iter().copied().zip(cycles.iter().copied()),
        );
        let how = "one load that waits for the one before, in one line of each 4 KB, in random order; fastest of several windows at three moments";
        context
            .recorder
            .curve(&format!("verify.tlb.{name}"), CYCLES, curve, how);
    }
    let lines = context.machine.l1d_bytes().unwrap_or(UNKNOWN_L1) / 64;
    let in_l1 = sweep
        .pages
        .partition_point(|pages| *pages <= lines as f64 * L1_SHARE);
    let climb = |cycles: &[f64]| steps(&sweep.pages[..in_l1], &cycles[..in_l1], SHAPE);
    let first = climb(&sweep.small);
    let beyond: Vec<Step> = steps(&sweep.pages, &sweep.price(), SHAPE)
        .into_iter()
        .filter(|step| first.iter().all(|first| step.knee > 2.0 * first.knee))
        .collect();
    let guest = is_guest(context);
    let checks = claims.iter().zip([first, beyond]).map(|(claim, found)| {
        let step = assign(&found, &[claim.fact.value().copied()])[0];
        judge(claim, step, guest)
    });
    let mut checks: Vec<Check> = checks.collect();
    checks.push(judge_large(climb(&sweep.large).first().copied(), guest));
    Ok(checks)
}

/// Cycles of a load over numbers of 4 KB stretches, each on both kinds of pages.
#[derive(Clone, Debug, Default)]
struct Sweep {
    pages: Vec<f64>,
    small: Vec<f64>,
    large: Vec<f64>,
}

impl Sweep {
    /// What 4 KB pages cost more than 2 MB pages, on top of the latency of L1.
    fn price(&self) -> Vec<f64> {
        let first = self.large.first().copied().unwrap_or(1.0);
        let both = self.small.iter().zip(&self.large);
        both.map(|(small, large)| first + (small - large).max(0.0))
            .collect()
    }
}

/// Measures both kinds of pages in turn; `None` where the system gives no 2 MB pages.
fn sweep(context: &mut Context) -> Result<Option<Sweep>, SuiteError> {
    let numbers = numbers();
    let bytes = numbers.last().map_or(0, |pages| pages * STRIDE);
    let before = process::huge_pages().map_or(0.0, |pages| pages.0);
    let (mut small, mut large) = (
        Chain::new(bytes, Pages::Small)?,
        Chain::new(bytes, Pages::Large)?,
    );
    let pool = context.pool(1)?;
    let mut cycles = vec![[f64::INFINITY; 2]; numbers.len()];
    for _ in 0..ROUNDS {
        for (pages, best) in numbers.iter().zip(&mut cycles) {
            if context.stopped() {
                break;
            }
            for (chain, best) in [&mut small, &mut large].into_iter().zip(best) {
                let lay = |chain: &mut Chain| chain.lay(pages * STRIDE, STRIDE);
                *best = best.min(visit(context, &pool, chain, *pages, lay));
            }
        }
    }
    let granted = process::huge_pages().map_or(f64::INFINITY, |pages| pages.0) - before;
    if granted < bytes as f64 / 2.0 {
        return Ok(None);
    }
    let mut sweep = Sweep::default();
    for (pages, [small, large]) in numbers.iter().zip(cycles) {
        if small.is_finite() && large.is_finite() {
            sweep.pages.push(*pages as f64);
            sweep.small.push(small);
            sweep.large.push(large);
        }
    }
    Ok(Some(sweep))
}

fn numbers() -> Vec<u64> {
    let number =
        |step: u32| (FEWEST as f64 * 2f64.powf(f64::from(step) / f64::from(STEPS))).round() as u64;
    (0..=OCTAVES * STEPS).map(number).collect()
}

fn claim(context: &Context, level: u32) -> Claim {
    let fact = match &context.machine.tlbs {
        Fact::Unknown { reason } => Fact::unknown(reason.clone()),
        Fact::Known { value, source } => {
            let mut of_level = value
                .iter()
                .filter(|tlb| tlb.level == level && tlb.page_bytes == PAGE);
            of_level.next().map_or_else(
                || Fact::unknown(format!("CPUID lists no L{level} TLB for 4 KB pages")),
                |tlb| Fact::known(f64::from(tlb.entries), source.clone()),
            )
        }
    };
    Claim {
        fact,
        key: format!("verify.tlb.l{level}.pages"),
        label: format!("L{level} TLB, 4 KB pages"),
        show: |entries| format!("{entries:.0} pages"),
    }
}

fn judge(claim: &Claim, step: Option<Step>, guest: bool) -> Check {
    let Some(step) = step else {
        return claim.unmeasured(if guest {
            "4 KB and 2 MB pages show no step for it: the host may back both with pages of one size, or it is hidden by noise"
        } else {
            "4 KB and 2 MB pages show no step for it"
        });
    };
    let measured = Interval {
        estimate: step.knee,
        low: step.low,
        high: step.high,
    };
    claim.against(measured, within(TOLERANCE), |verdict| {
        let how = format!(
            "translation costs {:.0} cycles more above it; the climb begins between {:.0} and {:.0} pages",
            step.behind - step.before,
            step.low,
            step.high
        );
        let claimed = claim.fact.value().copied().unwrap_or(f64::NAN);
        match verdict {
            Verdict::Disagree if (step.knee / claimed / COUNTED_BY - 1.0).abs() <= TOLERANCE => format!(
                "{how}; {COUNTED_BY} times the claim: newer AMD cores count entries by {COUNTED_BY} and say so in CPUID 0x80000021, \
                 which this host hides"
            ),
            Verdict::Disagree => format!("{how}; another thread on the core may use its entries, or the claim is wrong"),
            Verdict::NoClaim => format!("{how}; {}", claim.fact.reason().unwrap_or_default()),
            _ => how,
        }
    })
}

/// Within L1, 2 MB pages climb only where they are translated as something smaller.
fn judge_large(climb: Option<Step>, guest: bool) -> Check {
    let key = ["verify.large_pages", "2 MB pages"];
    let claimed = Fact::known("one translation each".to_string(), "transparent huge pages");
    let Some(step) = climb else {
        let why =
            "lines in many 4 KB stretches of them cost no translation as long as they fit into L1";
        return in_words(key, &claimed, "one translation each", Verdict::Agree, why);
    };
    let who = if guest {
        "the host backs this memory with smaller pages, so that 2 MB pages save less here, and caches that go by physical addresses fill unevenly"
    } else {
        "something takes them apart"
    };
    let why = format!(
        "from {:.0} stretches of 4 KB on a load costs {:.0} cycles more though its lines fit into L1: {who}",
        step.knee,
        step.behind - step.before
    );
    in_words(
        key,
        &claimed,
        "translated in smaller pieces",
        Verdict::Disagree,
        why,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cycles where the caches cost both the same and translation costs by the number of pages; the large ones may be made of small.
    fn machine(splintered: bool) -> Sweep {
        let caches = |pages: &u64| if *pages > 512 { 14.0 } else { 5.0 };
        let translation = |pages: &u64, walk: f64| match pages {
            0..=64 => 0.0,
            65..=1536 => 7.0,
            _ => walk,
        };
        let of = |cost: &dyn Fn(&u64) -> f64| {
            numbers()
                .iter()
                .map(|pages| caches(pages) + cost(pages))
                .collect()
        };
        Sweep {
            pages: numbers().iter().map(|pages| *pages as f64).collect(),
            small: of(&|pages| translation(pages, 45.0)),
            large: if splintered {
                of(&|pages| translation(pages, 20.0))
            } else {
                of(&|_| 0.0)
            },
        }
    }

    fn knees(sweep: &Sweep) -> [Vec<f64>; 3] {
        let knees = |steps: Vec<Step>| steps.iter().map(|step| step.knee).collect::<Vec<f64>>();
        let in_l1 = sweep.pages.partition_point(|pages| *pages <= 384.0);
        let climb = |cycles: &[f64]| knees(steps(&sweep.pages[..in_l1], &cycles[..in_l1], SHAPE));
        [
            climb(&sweep.small),
            knees(steps(&sweep.pages, &sweep.price(), SHAPE)),
            climb(&sweep.large),
        ]
    }

    fn near(knee: f64, entries: f64) -> bool {
        (knee / entries - 1.0).abs() < TOLERANCE
    }

    #[test]
    fn both_levels_are_found_under_the_caches() {
        let [first, beyond, large] = knees(&machine(false));
        assert!(first.len() == 1 && near(first[0], 64.0), "{first:?}");
        assert!(beyond.len() == 2 && near(beyond[1], 1536.0), "{beyond:?}");
        assert!(large.is_empty());
        assert_eq!(judge_large(None, true).verdict, Verdict::Agree);
    }

    #[test]
    fn large_pages_that_are_made_of_small_ones_are_found() {
        let [first, beyond, large] = knees(&machine(true));
        assert!(first.len() == 1 && near(first[0], 64.0), "{first:?}");
        assert!(beyond.len() == 1 && near(beyond[0], 1536.0), "{beyond:?}");
        assert!(large.len() == 1 && near(large[0], 64.0), "{large:?}");
        let step = steps(
            &machine(true).pages[..23],
            &machine(true).large[..23],
            SHAPE,
        )[0];
        let check = judge_large(Some(step), true);
        assert_eq!(check.verdict, Verdict::Disagree);
        assert!(check.why.contains("the host backs"), "{}", check.why);
    }

    #[test]
    fn entries_that_are_counted_by_32_are_explained() {
        let claim = Claim {
            fact: Fact::known(128.0, "cpuid"),
            key: "verify.tlb".into(),
            label: "L2 TLB".into(),
            show: |entries| format!("{entries:.0} pages"),
        };
        let step = |knee: f64| Step {
            before: 5.0,
            behind: 14.0,
            knee,
            low: knee * 0.95,
            high: knee * 1.3,
        };
        let judged = |knee| judge(&claim, Some(step(knee)), true);
        let check = judged(4399.0);
        assert_eq!(check.verdict, Verdict::Disagree);
        assert!(check.why.contains("32 times"), "{}", check.why);
        assert!(!judged(1500.0).why.contains("32 times"));
        assert_eq!(judged(130.0).verdict, Verdict::Agree);
    }

    #[test]
    fn numbers_of_pages_ascend_to_sixteen_thousand() {
        let numbers = numbers();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!((numbers[0], *numbers.last().unwrap()), (8, 16_384));
    }
}
