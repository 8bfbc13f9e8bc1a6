//! Counters are believed after they have counted known work: virtual machines are known to count zero without an error.

use super::event::{Counter, Floor, Group, Missing};
use super::perf::Counting;
use crate::measure::frequency;

/// Turns of the chain, 96 additions each.
const TURNS: u64 = 20_000;

/// Cache lines walked through, each once: 32 MB, more than a second-level cache holds.
const LINES: usize = 1 << 19;

/// Words in a cache line of 64 bytes.
const WORDS: usize = 8;

/// Runs the known work under each hardware group on the calling thread (`thread` is its number) and names the counters that
/// counted less than they must have. A counter that is missing anyway is not named: its own reading says why.
pub fn doubts(groups: &[&'static Group], thread: u32) -> Vec<(&'static Counter, Missing)> {
    let memory: Vec<u64> = (0..(LINES * WORDS) as u64).collect();
    let mut doubts = Vec::new();
    for group in groups {
        let mut counting = Counting::open(group, &[thread]);
        counting.start();
        let sum = known_work(&memory);
        let readings = counting.stop();
        std::hint::black_box(sum);
        for reading in readings {
            if let Ok(tally) = reading.tally
                && let Some(missing) =
                    doubt(reading.counter.floor, tally.value / reading.counter.weight)
            {
                doubts.push((reading.counter, missing));
            }
        }
    }
    doubts
}

fn known_work(memory: &[u64]) -> u64 {
    let lines = memory
        .iter()
        .step_by(WORDS)
        .fold(0u64, |sum, word| sum.wrapping_add(*word));
    frequency::chain(TURNS, lines | 1)
}

/// Why a counter is not believed that `counted` during the known work.
fn doubt(floor: Floor, counted: f64) -> Option<Missing> {
    let expected = match floor {
        Floor::EachAddition => TURNS * 96 * 9 / 10,
        Floor::EachLine => LINES as u64 / 2,
        Floor::Something => 1,
        Floor::Nothing => 0,
    };
    (counted < expected as f64).then_some(Missing::Unbelievable {
        counted: counted as u64,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tables::{FIXED, SOFTWARE};
    use super::*;

    #[test]
    fn zero_is_doubted_where_something_happened() {
        assert_eq!(doubt(Floor::Nothing, 0.0), None);
        assert_eq!(
            doubt(Floor::Something, 0.0),
            Some(Missing::Unbelievable {
                counted: 0,
                expected: 1
            })
        );
        assert_eq!(doubt(Floor::EachAddition, (TURNS * 96) as f64), None);
        assert!(doubt(Floor::EachAddition, 1_000.0).is_some());
        assert!(
            doubt(Floor::EachLine, 100.0)
                .is_some_and(|missing| missing.to_string().contains("counted 100"))
        );
    }

    #[test]
    fn software_counters_are_never_doubted() {
        let own = std::fs::read_link("/proc/thread-self").unwrap();
        let own = own.file_name().unwrap().to_str().unwrap().parse().unwrap();
        assert!(doubts(&[&SOFTWARE], own).is_empty());
        // Hardware counters are missing, right, or doubted with a number; either way nothing panics.
        for (counter, missing) in doubts(&[&FIXED], own) {
            assert!(
                matches!(missing, Missing::Unbelievable { .. }),
                "{}: {missing}",
                counter.name
            );
        }
    }
}
