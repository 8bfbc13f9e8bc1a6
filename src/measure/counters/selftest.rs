//! Counters are believed after they have counted known work: virtual machines are known to count zero without an error, and tables
//! may be wrong for a model that nobody had at hand.
//!
//! The instrument knows no kernels: whoever counts hands in code together with what it does. Each group counts each piece of work
//! that says something about one of its counters.

use super::event::{Counter, Group, Known, Missing, Reading};
use super::perf::Counting;

/// A piece of code and what it does.
pub struct Work<'a> {
    /// What it does, and how often in one run.
    pub known: &'a [(Known, f64)],
    /// Runs it once.
    pub run: &'a dyn Fn(),
}

/// Runs every work under each group of counters that it can test, on the calling thread (`thread` is its number), and names the
/// counters that counted something else. A counter that is missing anyway is not named: its own reading says why.
pub fn doubts(
    groups: &[&'static Group],
    works: &[Work<'_>],
    thread: u32,
) -> Vec<(&'static Counter, Missing)> {
    let mut doubts: Vec<(&'static Counter, Missing)> = Vec::new();
    for group in groups {
        for work in works {
            let tests = |counter: &Counter| amount(work.known, counter.known).is_some();
            if !group.counters.iter().any(tests) {
                continue;
            }
            let mut counting = Counting::open(group, &[thread]);
            // The first run brings code and data into their state.
            (work.run)();
            counting.start();
            (work.run)();
            for (counter, missing) in contradictions(work.known, counting.stop()) {
                if doubts.iter().all(|(known, _)| known.name != counter.name) {
                    doubts.push((counter, missing));
                }
            }
        }
    }
    doubts
}

/// Whether any counter of `groups` can be had on that thread: else no work is worth preparing.
pub fn any_counts(groups: &[&'static Group], thread: u32) -> bool {
    let counts = |group: &&'static Group| {
        let mut counting = Counting::open(group, &[thread]);
        counting.start();
        let readings = counting.stop();
        let tested = |reading: &Reading| reading.counter.known.tolerance().is_some();
        readings
            .iter()
            .any(|reading| reading.tally.is_ok() && tested(reading))
    };
    groups.iter().any(counts)
}

fn amount(known: &[(Known, f64)], wanted: Known) -> Option<f64> {
    let found = known.iter().find(|(known, _)| *known == wanted);
    found.map(|(_, amount)| *amount)
}

/// The counters whose readings contradict what is known to have happened.
pub fn contradictions(
    known: &[(Known, f64)],
    readings: Vec<Reading>,
) -> Vec<(&'static Counter, Missing)> {
    let contradicts = |reading: Reading| {
        let counter = reading.counter;
        let happened = amount(known, counter.known)?;
        let (least, most) = counter.known.tolerance()?;
        let counted = reading.tally.ok()?.value / unit_of(counter);
        let ratio = counted / happened;
        let right = (least..=most).contains(&ratio);
        let missing = Missing::Unbelievable {
            counted: counted as u64,
            happened: happened as u64,
        };
        (!right).then_some((counter, missing))
    };
    readings.into_iter().filter_map(contradicts).collect()
}

/// Known work is told in operations where the counter's weight turns instructions into operations, else in counts.
fn unit_of(counter: &Counter) -> f64 {
    if counter.unit == "FLOP" {
        1.0
    } else {
        counter.weight
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Scope, Tally};
    use super::super::tables::{self, FIXED, SOFTWARE};
    use super::*;

    fn reading(counter: &'static Counter, value: f64) -> Reading {
        Reading {
            counter,
            tally: Ok(Tally {
                value,
                scope: Scope::User,
                share: 1.0,
            }),
        }
    }

    /// The counter of that name on a Tiger Lake.
    fn counter(name: &str) -> &'static Counter {
        let groups = tables::TABLES[0].groups.iter().chain([&FIXED]);
        let mut counters = groups.flat_map(|group| group.counters);
        counters.find(|counter| counter.name == name).unwrap()
    }

    fn doubted(name: &str, known: (Known, f64), counted: f64) -> bool {
        let readings = vec![reading(counter(name), counted)];
        !contradictions(&[known], readings).is_empty()
    }

    #[test]
    fn what_lands_within_tolerance_is_believed() {
        for (name, known, right, wrong) in [
            ("cycles", (Known::Cycles, 1e6), 1.2e6, 0.5e6),
            ("instructions", (Known::Instructions, 1e6), 1.01e6, 2e6),
            // 1,000 multiply-adds of 16 lanes: the kernel's count of 2,000, times the weight.
            ("flops_512", (Known::Flops16, 32_000.0), 32_000.0, 64_000.0),
            ("flops_256", (Known::Flops8, 16_000.0), 16_100.0, 0.0),
            ("loads", (Known::Loads, 1e6), 1.05e6, 3e6),
            ("l1d_misses", (Known::LinesIntoL1, 1e6), 1.2e6, 0.0),
            ("l2_misses", (Known::LinesIntoL2, 1e6), 0.9e6, 4e6),
            ("dtlb_load_walks", (Known::Walks, 1e5), 0.8e5, 200.0),
            ("l3_accesses", (Known::Something, 1.0), 5.0, 0.0),
        ] {
            assert!(!doubted(name, known, right), "{name}: {right}");
            assert!(doubted(name, known, wrong), "{name}: {wrong}");
        }
        // Nothing is known of it, or it is missing: no doubt.
        assert!(!doubted("denormal_assists", (Known::Cycles, 1e6), 0.0));
        let missing = Reading {
            counter: counter("cycles"),
            tally: Err(Missing::NotOffered),
        };
        assert!(contradictions(&[(Known::Cycles, 1.0)], vec![missing]).is_empty());
    }

    #[test]
    fn a_doubt_says_what_happened_and_what_was_counted() {
        let readings = vec![reading(counter("cycles"), 0.0)];
        let doubts = contradictions(&[(Known::Cycles, 96_000.0)], readings);
        let text = doubts[0].1.to_string();
        assert!(text.contains("counted 0 where 96000 happened"), "{text}");
    }

    #[test]
    fn software_counters_are_never_doubted() {
        let own = std::fs::read_link("/proc/thread-self").unwrap();
        let own = own.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let run = || {
            std::hint::black_box(crate::measure::frequency::chain(1_000, 1));
        };
        let known = [(Known::Cycles, 96_000.0), (Known::Instructions, 98_000.0)];
        let works = [Work {
            known: &known,
            run: &run,
        }];
        assert!(doubts(&[&SOFTWARE], &works, own).is_empty());
        // Hardware counters are missing, right, or doubted with a number; either way nothing panics.
        for (counter, missing) in doubts(&[&FIXED], &works, own) {
            assert!(
                matches!(missing, Missing::Unbelievable { .. }),
                "{}: {missing}",
                counter.name
            );
        }
    }
}
