//! The arms of one case, timed in turns with the multiply-add peak between them.

use super::{Case, Table};
use crate::kernels::gemm::Caches;
use crate::kernels::{Isa, Solo, Team};
use crate::measure::clock::Clock;
use crate::measure::session;
use crate::parallel::Pool;
use crate::suites::ceilings::arithmetic::Peak;
use crate::suites::ceilings::windows::repeats_for;
use crate::suites::peers::{Hands, rest};

/// Length of a window; a single product where that takes longer.
const WINDOW: f64 = 3e-3;

/// Seconds of untimed products before the timed ones: threads wake up, wide units come to speed, and a core forgets the power licence of
/// the arm before, which takes 680 us.
const WAKING: f64 = 7e-4;

/// Products above this are long beside that: none is spent on it.
const LONG: f64 = 2e-2;

/// Who computes an arm.
pub(super) enum Who<'a> {
    /// We, with B packed before or not.
    Ours { isa: Isa, packed: bool },
    /// A peer.
    Peer(&'a Hands<'a>),
}

/// One way to compute the case, and what it took.
pub(super) struct Arm<'a> {
    pub(super) who: Who<'a>,
    /// Seconds of one product in each round.
    pub(super) seconds: Vec<f64>,
}

impl Arm<'_> {
    /// Its part of a metric's name.
    pub(super) fn variant(&self) -> String {
        match &self.who {
            Who::Ours { isa, packed: false } => isa.name().to_owned(),
            Who::Ours { isa, packed: true } => format!("{}_packed", isa.name()),
            Who::Peer(hands) => hands.peer().name().to_owned(),
        }
    }
}

/// A peak that is visited in each round, and the FLOP/s of each visit.
pub(super) struct Visited<'p> {
    pub(super) isa: Isa,
    pub(super) peak: &'p mut Peak,
    pub(super) flops: Vec<f64>,
}

/// How long a case may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    pub(super) fewest: usize,
    pub(super) most: usize,
    pub(super) seconds: f64,
}

/// What a case is computed with.
pub(super) struct Means<'a> {
    pub(super) clock: &'a Clock,
    pub(super) pool: &'a Pool,
    pub(super) caches: Caches,
}

impl Means<'_> {
    fn threads(&self) -> usize {
        self.pool.cpus().len()
    }

    /// One product by `arm`.
    fn once(&self, arm: &Who<'_>, table: &mut Table) -> Result<(), String> {
        self.run(arm, || self.product(arm, table))
    }

    /// Runs `f` where the arm's caller belongs.
    fn run<R: Send>(&self, arm: &Who<'_>, f: impl FnOnce() -> R + Send) -> R {
        match arm {
            Who::Ours { .. } => self.pool.install(f),
            Who::Peer(hands) => hands.run(f),
        }
    }

    fn product(&self, arm: &Who<'_>, table: &mut Table) -> Result<(), String> {
        match arm {
            Who::Ours { isa, packed } => {
                // One thread alone has nobody to share with.
                let team: &dyn Team = if self.threads() == 1 {
                    &Solo
                } else {
                    self.pool
                };
                table.multiply(*isa, self.caches, team, *packed);
                Ok(())
            }
            Who::Peer(hands) => table.multiply_by(hands),
        }
    }

    /// Computes the case once by each of ours and by each peer, and compares: those that are right, and why the others are not.
    pub(super) fn check<'a>(
        &self,
        table: &mut Table,
        arms: Vec<Arm<'a>>,
    ) -> (Vec<Arm<'a>>, Vec<(String, String)>) {
        self.pool.install(|| table.pack(self.pool));
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for arm in arms {
            let verdict = self.once(&arm.who, table).and_then(|()| {
                // The first of ours is held to the definition, all others to it.
                if right.is_empty() {
                    table.accept()
                } else {
                    table.compare()
                }
            });
            match verdict {
                Ok(()) => right.push(arm),
                Err(reason) => wrong.push((arm.variant(), reason)),
            }
        }
        (right, wrong)
    }

    /// Runs rounds of all arms and all peaks within `budget`; a round that the user stops is dropped.
    pub(super) fn measure(
        &self,
        table: &mut Table,
        arms: &mut [Arm<'_>],
        peaks: &mut [Visited<'_>],
        budget: Budget,
        stop: &dyn Fn() -> bool,
    ) {
        let Some(first) = arms.first() else { return };
        let (repeats, each) = self.repeats(&first.who, table);
        let warming = if each < LONG {
            (WAKING / each).ceil() as usize
        } else {
            0
        };
        let start = self.clock.now();
        let count = arms.len() + peaks.len();
        for round in 0..budget.most {
            if round >= budget.fewest && self.clock.since(start) >= budget.seconds {
                break;
            }
            for place in 0..count {
                if stop() {
                    truncate(arms, peaks, round);
                    return;
                }
                let at = session::at(count, round, place);
                if self.threads() > 1 || place == 0 {
                    rest(self.clock);
                }
                match at.checked_sub(arms.len()) {
                    Some(at) => {
                        let flops = peaks[at].peak.visit(self.clock).unwrap_or(f64::NAN);
                        peaks[at].flops.push(flops);
                    }
                    None => {
                        // Without vector units a window would take sixteen times as long.
                        let scalar =
                            matches!(arms[at].who, Who::Ours { isa, .. } if isa.lanes() == 1);
                        let shorter = if scalar { 16 } else { 1 };
                        let seconds = self.window(
                            &arms[at].who,
                            table,
                            (repeats / shorter).max(1),
                            warming / shorter,
                        );
                        arms[at].seconds.push(seconds);
                    }
                }
            }
        }
    }

    /// Products in a window, and the seconds of one.
    fn repeats(&self, arm: &Who<'_>, table: &mut Table) -> (usize, f64) {
        let repeats = self.run(arm, || {
            repeats_for(self.clock, WINDOW, |repeats| {
                for _ in 0..repeats {
                    // Refusals were found before.
                    let _ = self.product(arm, table);
                }
            })
        });
        let each = self.window(arm, table, repeats, 0);
        (repeats, each)
    }

    /// Seconds of one product, over `repeats` of them after `warming` that are not timed.
    fn window(&self, arm: &Who<'_>, table: &mut Table, repeats: usize, warming: usize) -> f64 {
        self.run(arm, || {
            let mut all = |count: usize| (0..count).all(|_| self.product(arm, table).is_ok());
            if !all(warming) {
                return f64::NAN;
            }
            let start = self.clock.now();
            let done = all(repeats);
            let seconds = self.clock.since(start);
            if done {
                seconds / repeats as f64
            } else {
                f64::NAN
            }
        })
    }
}

fn truncate(arms: &mut [Arm<'_>], peaks: &mut [Visited<'_>], rounds: usize) {
    arms.iter_mut().for_each(|arm| arm.seconds.truncate(rounds));
    peaks
        .iter_mut()
        .for_each(|peak| peak.flops.truncate(rounds));
}

/// Where the operands are when a product begins, for people.
pub(super) fn whereabouts(case: &Case, l2: Option<u64>) -> &'static str {
    match l2 {
        Some(l2) if case.bytes() <= l2 as f64 => "operands hot in L2",
        Some(_) => "the same operands again and again, too large for L2",
        None => "the same operands again and again",
    }
}
