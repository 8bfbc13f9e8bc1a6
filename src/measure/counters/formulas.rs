//! Quantities that are made of several counts: which counts, the formula, and its source.
//!
//! The sources are Intel's metric files (perfmon, TGL metrics 1.1) and the event descriptions; bytes are lines of 64.

use super::event::{Missing, Reading};

/// One quantity.
#[derive(Debug)]
pub struct Formula {
    /// Its name in run.json.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The counts, in the order of the arguments.
    pub needs: &'static [&'static str],
    /// In words.
    pub how: &'static str,
    of: fn(&[f64]) -> f64,
}

/// Bytes of a line.
const LINE: f64 = 64.0;

/// Every quantity.
pub const FORMULAS: &[Formula] = &[
    Formula {
        name: "instructions_per_cycle",
        unit: "count",
        needs: &["instructions", "cycles"],
        how: "instructions over cycles",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "counted_ghz",
        unit: "GHz",
        needs: &["cycles", "task_clock"],
        how: "cycles over nanoseconds of processor time",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "aperf_ghz",
        unit: "GHz",
        needs: &["aperf", "task_clock"],
        how: "APERF over nanoseconds of processor time: the frequency of the short windows, by a register of the core",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "aperf_over_mperf",
        unit: "ratio",
        needs: &["aperf", "mperf"],
        how: "core clock over that of the time stamp counter, while not halted",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "counted_flops",
        unit: "FLOP",
        needs: &["flops_scalar", "flops_128", "flops_256", "flops_512"],
        how: "single-precision instructions of every width times their lanes; a multiply-add counts twice",
        of: |n| n.iter().sum(),
    },
    Formula {
        name: "bytes_into_l1",
        unit: "bytes",
        needs: &["l1d_misses"],
        how: "lines brought into L1 times 64",
        of: |n| LINE * n[0],
    },
    Formula {
        name: "bytes_into_l2",
        unit: "bytes",
        needs: &["l2_misses"],
        how: "lines brought into L2 times 64",
        of: |n| LINE * n[0],
    },
    Formula {
        name: "bytes_from_memory",
        unit: "bytes",
        needs: &["l3_misses"],
        how: "lines that L3 lacked times 64; its own prefetches are not among them",
        of: |n| LINE * n[0],
    },
    Formula {
        name: "bytes_from_memory_into_l1",
        unit: "bytes",
        needs: &["fills_from_memory"],
        how: "lines that came into L1 from memory times 64",
        of: |n| LINE * n[0],
    },
    Formula {
        name: "share_of_licence_1",
        unit: "ratio",
        needs: &["licence_1", "licence_0", "licence_2"],
        how: "cycles under licence 1 over those of all licences",
        of: |n| n[0] / (n[0] + n[1] + n[2]),
    },
    Formula {
        name: "share_of_licence_2",
        unit: "ratio",
        needs: &["licence_2", "licence_0", "licence_1"],
        how: "cycles under licence 2 over those of all licences",
        of: |n| n[0] / (n[0] + n[1] + n[2]),
    },
    Formula {
        name: "stalled_on_l2",
        unit: "ratio",
        needs: &["stalls_l1d_miss", "stalls_l2_miss", "cycles"],
        how: "cycles stalled on a line that L1 lacked and L2 had, over cycles",
        of: |n| (n[0] - n[1]) / n[2],
    },
    Formula {
        name: "stalled_on_l3",
        unit: "ratio",
        needs: &["stalls_l2_miss", "stalls_l3_miss", "cycles"],
        how: "cycles stalled on a line that L2 lacked and L3 had, over cycles",
        of: |n| (n[0] - n[1]) / n[2],
    },
    Formula {
        name: "stalled_on_memory",
        unit: "ratio",
        needs: &["stalls_l3_miss", "cycles"],
        how: "cycles stalled on a line that L3 lacked, over cycles",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "misses_at_once",
        unit: "count",
        needs: &["l1d_misses_under_way", "cycles_with_l1d_misses"],
        how: "misses of L1 under way in a cycle that has any: memory-level parallelism",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "miss_cycles",
        unit: "cycles",
        needs: &[
            "l1d_misses_under_way",
            "loads_missing_l1d",
            "loads_in_flight",
        ],
        how: "cycles that a load which missed L1 waits on average",
        of: |n| n[0] / (n[1] + n[2]),
    },
    Formula {
        name: "walks_per_thousand_loads",
        unit: "count",
        needs: &["dtlb_load_walks", "loads"],
        how: "page walks for a thousand loads",
        of: |n| 1e3 * n[0] / n[1],
    },
    Formula {
        name: "retiring",
        unit: "ratio",
        needs: &["slots_retiring", "slots"],
        how: "top-down level 1: slots of work that counted",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "bad_speculation",
        unit: "ratio",
        needs: &["slots_bad_speculation", "slots"],
        how: "top-down level 1: slots of work that was thrown away",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "front_end_bound",
        unit: "ratio",
        needs: &["slots_front_end", "slots"],
        how: "top-down level 1: slots to which no instruction came",
        of: |n| n[0] / n[1],
    },
    Formula {
        name: "back_end_bound",
        unit: "ratio",
        needs: &["slots_back_end", "slots"],
        how: "top-down level 1: slots that waited for data or for a unit",
        of: |n| n[0] / n[1],
    },
];

impl Formula {
    /// Its value: the reason of the first count that is missing; `None` where this CPU's groups have not all of its counts, or where
    /// nothing happened to divide by.
    pub fn of(&self, readings: &[Reading]) -> Option<Result<f64, Missing>> {
        let mut counts = Vec::with_capacity(self.needs.len());
        for name in self.needs {
            let reading = readings
                .iter()
                .find(|reading| reading.counter.name == *name)?;
            match &reading.tally {
                Ok(tally) => counts.push(tally.value),
                Err(missing) => return Some(Err(missing.clone())),
            }
        }
        let value = (self.of)(&counts);
        value.is_finite().then_some(Ok(value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Scope, Tally};
    use super::super::tables::{FIXED, MSR, SOFTWARE, TABLES};
    use super::*;

    /// One training step as a Tiger Lake might count it.
    const RECORDED: [(&str, f64); 27] = [
        ("cycles", 4.0e9),
        ("instructions", 10.0e9),
        ("task_clock", 1.0e9),
        ("aperf", 3.9e9),
        ("mperf", 2.6e9),
        ("flops_scalar", 1.0e6),
        ("flops_128", 4.0e6),
        ("flops_256", 8.0e6),
        ("flops_512", 64.0e9),
        ("l1d_misses", 5.0e8),
        ("l2_misses", 1.0e8),
        ("l3_misses", 2.0e7),
        ("licence_0", 1.0e9),
        ("licence_1", 2.0e9),
        ("licence_2", 1.0e9),
        ("stalls_l1d_miss", 1.0e9),
        ("stalls_l2_miss", 0.6e9),
        ("stalls_l3_miss", 0.4e9),
        ("l1d_misses_under_way", 9.0e9),
        ("cycles_with_l1d_misses", 3.0e9),
        ("loads_missing_l1d", 2.0e8),
        ("loads_in_flight", 1.0e8),
        ("dtlb_load_walks", 3.0e6),
        ("loads", 3.0e9),
        ("slots", 20.0e9),
        ("slots_retiring", 10.0e9),
        ("fills_from_memory", 3.0e7),
    ];

    fn recorded() -> Vec<Reading> {
        let groups = TABLES.iter().flat_map(|table| table.groups);
        let counters = groups
            .chain([&FIXED, &MSR, &SOFTWARE])
            .flat_map(|group| group.counters);
        let readings = counters.filter_map(|counter| {
            let (_, value) = RECORDED.iter().find(|(name, _)| *name == counter.name)?;
            Some(Reading {
                counter,
                tally: Ok(Tally {
                    value: *value,
                    scope: Scope::User,
                    share: 1.0,
                }),
            })
        });
        readings.collect()
    }

    #[test]
    fn every_formula_holds_on_recorded_readings() {
        let mut readings = recorded();
        let rest = [
            ("slots_bad_speculation", 1.0e9),
            ("slots_front_end", 2.0e9),
            ("slots_back_end", 7.0e9),
        ];
        for (name, value) in rest {
            let counters = TABLES[0].groups.iter().flat_map(|group| group.counters);
            let counter = counters.into_iter().find(|known| known.name == name);
            readings.push(Reading {
                counter: counter.unwrap(),
                tally: Ok(Tally {
                    value,
                    scope: Scope::User,
                    share: 1.0,
                }),
            });
        }
        let expected = [
            ("instructions_per_cycle", 2.5),
            ("counted_ghz", 4.0),
            ("aperf_ghz", 3.9),
            ("aperf_over_mperf", 1.5),
            ("counted_flops", 64.013e9),
            ("bytes_into_l1", 32.0e9),
            ("bytes_into_l2", 6.4e9),
            ("bytes_from_memory", 1.28e9),
            ("bytes_from_memory_into_l1", 1.92e9),
            ("share_of_licence_1", 0.5),
            ("share_of_licence_2", 0.25),
            ("stalled_on_l2", 0.1),
            ("stalled_on_l3", 0.05),
            ("stalled_on_memory", 0.1),
            ("misses_at_once", 3.0),
            ("miss_cycles", 30.0),
            ("walks_per_thousand_loads", 1.0),
            ("retiring", 0.5),
            ("bad_speculation", 0.05),
            ("front_end_bound", 0.1),
            ("back_end_bound", 0.35),
        ];
        assert_eq!(FORMULAS.len(), expected.len());
        for (formula, (name, value)) in FORMULAS.iter().zip(expected) {
            assert_eq!(formula.name, name);
            let found = formula.of(&readings).unwrap().unwrap();
            assert!((found / value - 1.0).abs() < 1e-12, "{name}: {found}");
        }
    }

    #[test]
    fn every_count_that_is_needed_is_in_a_table() {
        let groups = TABLES.iter().flat_map(|table| table.groups);
        let counters = groups
            .chain([&FIXED, &MSR, &SOFTWARE])
            .flat_map(|group| group.counters);
        let names: Vec<&str> = counters.map(|counter| counter.name).collect();
        for formula in FORMULAS {
            for need in formula.needs {
                assert!(names.contains(need), "{}: {need}", formula.name);
            }
        }
    }

    #[test]
    fn a_missing_count_is_a_reason_and_no_division_is_a_number() {
        let mut readings = recorded();
        let cycles = readings
            .iter_mut()
            .find(|reading| reading.counter.name == "cycles");
        cycles.unwrap().tally = Err(Missing::Busy);
        assert_eq!(FORMULAS[0].of(&readings), Some(Err(Missing::Busy)));
        assert_eq!(FORMULAS[0].of(&[]), None);
        for reading in &mut readings {
            reading.tally = Ok(Tally {
                value: 0.0,
                scope: Scope::User,
                share: 1.0,
            });
        }
        assert_eq!(FORMULAS[0].of(&readings), None);
    }
}
