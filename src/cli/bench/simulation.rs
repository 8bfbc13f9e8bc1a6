//! `--counters simulate`: cache misses of a training step, kernel by kernel, by Valgrind's cachegrind with this machine's cache sizes, for machines whose
//! counters cannot be read. Nothing of it is measured, and every number says so.
//!
//! Cachegrind knows two levels: one run simulates L1 and L2, another L1 and L3. It knows no AVX-512, so that the AVX2 kernels run,
//! and no prefetcher, and it replaces by least recent use. What it counts are lines that the program asked for.

mod cachegrind;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::probe::{Cache, CacheKind, Machine};
use crate::record::Better;
use crate::suites::quantity::Quantity;
use crate::suites::{Case, Recorder};
use crate::units::Bytes;
use cachegrind::{Counts, Kernels};

/// The program that simulates, and what brings it.
const VALGRIND: &str = "valgrind";
const INSTALL: &str = "valgrind is not installed: on Debian, `apt-get install valgrind` brings it";

/// Steps of the longer run; the shorter has one less.
const STEPS: usize = 2;

/// Counts of a step.
const LINES: Better = Better::Lower;
const QUANTITIES: [Quantity; 4] = [
    Quantity {
        name: "data_accesses",
        unit: "count",
        better: LINES,
    },
    Quantity {
        name: "l1d_misses",
        unit: "count",
        better: LINES,
    },
    Quantity {
        name: "l2_misses",
        unit: "count",
        better: LINES,
    },
    Quantity {
        name: "l3_misses",
        unit: "count",
        better: LINES,
    },
];

/// A cache as cachegrind takes it: the sets must be a power of two in number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Geometry {
    bytes: u64,
    ways: u64,
    line: u64,
}

impl Geometry {
    /// The nearest to `bytes` in `ways` that has a power of two of sets: the ways give, as the size matters more.
    fn near(bytes: u64, ways: u64, line: u64) -> Option<Self> {
        let lines = bytes.checked_div(line)?;
        let sets = lines.checked_div(ways.max(1))?.max(1);
        // The power of two at or below, so that ways grow rather than vanish.
        let sets = 1 << sets.ilog2();
        let ways = ((lines + sets / 2) / sets).max(1);
        Some(Self {
            bytes: sets * ways * line,
            ways,
            line,
        })
    }

    /// The data cache of that level, or why it is unknown.
    fn of(machine: &Machine, level: u32) -> Result<Self, String> {
        let caches = machine.caches.value().into_iter().flatten();
        let data = |cache: &&Cache| cache.level == level && cache.kind != CacheKind::Instruction;
        let unknown = || format!("the machine does not tell its L{level}");
        let cache = caches.into_iter().find(data).ok_or_else(unknown)?;
        let ways = cache.ways.map_or(8, u64::from);
        let line = u64::from(cache.line_bytes).max(32);
        Self::near(cache.bytes, ways, line).ok_or_else(unknown)
    }

    fn option(self, name: &str) -> String {
        format!("--{name}={},{},{}", self.bytes, self.ways, self.line)
    }
}

/// Simulates a step of `case`, which `loopos simulate` runs again from `arguments` (`--config` and `--set`), and records its misses;
/// where that is not possible, the reason. `stopped` is asked between two runs, of which each takes up to a minute.
pub(super) fn record(
    recorder: &mut Recorder,
    machine: &Machine,
    case: &Case,
    arguments: &[String],
    stopped: &dyn Fn() -> bool,
) {
    let subject = format!("counters.{}.simulated.t1", case.name);
    match simulate(machine, arguments, stopped) {
        Ok(Simulated {
            whole,
            kernels,
            how,
        }) => {
            let tokens = case.plan.micro_batch * case.plan.length;
            let how =
                format!("{how}; one step of one micro-batch, {tokens} tokens, AVX2, one thread");
            for (quantity, count) in QUANTITIES.into_iter().zip(whole) {
                recorder.simulated(&subject, quantity, count, how.clone());
            }
            for (kernel, counts) in kernels {
                let subject = format!("counters.{}.simulated.{kernel}.t1", case.name);
                for (quantity, count) in QUANTITIES.into_iter().zip(counts) {
                    recorder.simulated(&subject, quantity, count, how.clone());
                }
            }
        }
        Err(reason) => {
            for quantity in QUANTITIES {
                recorder.missing(&subject, quantity, reason.clone());
            }
        }
    }
}

/// What a step does: accesses, and misses of L1, L2 and L3.
struct Simulated {
    whole: [f64; 4],
    kernels: Kernels<4>,
    how: String,
}

fn simulate(
    machine: &Machine,
    arguments: &[String],
    stopped: &dyn Fn() -> bool,
) -> Result<Simulated, String> {
    present()?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = tempfile_folder().map_err(|error| error.to_string())?;
    let [l1, l2, l3] = [1, 2, 3].map(|level| Geometry::of(machine, level));
    let (l1, l2) = (l1?, l2?);
    let one_step = |last: Geometry, name: &str| -> Result<Counts, String> {
        let mut runs = [STEPS - 1, STEPS].into_iter().map(|steps| {
            if stopped() {
                return Err("the user stopped before it was simulated".to_owned());
            }
            let out = folder.join(format!("{name}-{steps}"));
            run(&program, [l1, last], arguments, steps, &out)
        });
        let (Some(fewer), Some(more)) = (runs.next(), runs.next()) else {
            return Err("two runs make a difference".to_owned());
        };
        Ok(more?.less(&fewer?))
    };
    let second = one_step(l2, "l2");
    let third = second
        .as_ref()
        .ok()
        .map(|_| l3.and_then(|l3| Ok((one_step(l3, "l3")?, l3))));
    // Only what is in the way of the program's next run would matter, and the folder has a name of its own.
    let _ = std::fs::remove_dir_all(&folder);
    let second = second?;
    let (third, l3_size) = match third {
        Some(Ok((counts, geometry))) => (counts, Bytes(geometry.bytes as f64).to_string()),
        Some(Err(reason)) => return Err(reason),
        None => return Err("L2 was not simulated".to_owned()),
    };
    let how = format!(
        "cachegrind with L1 {}, L2 {}, L3 {l3_size}: no prefetcher, least recently used lines replaced, each level holding what it was \
         asked for by L1; difference of {} and {STEPS} steps",
        Bytes(l1.bytes as f64),
        Bytes(l2.bytes as f64),
        STEPS - 1
    );
    let all = |second: [f64; 3], third: [f64; 3]| [second[0], second[1], second[2], third[2]];
    let kernel = |(kernel, counts): (&String, &[f64; 3])| {
        let third = third.kernels.get(kernel).copied().unwrap_or_default();
        (kernel.clone(), all(*counts, third))
    };
    Ok(Simulated {
        whole: all(second.whole, third.whole),
        kernels: second.kernels.iter().map(kernel).collect(),
        how,
    })
}

/// Whether Valgrind is there.
fn present() -> Result<(), String> {
    let version = Command::new(VALGRIND)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match version {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("valgrind does not run ({status})")),
        Err(_) => Err(INSTALL.to_owned()),
    }
}

/// A new folder for cachegrind's files.
fn tempfile_folder() -> std::io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("loopos-simulation-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn run(
    program: &Path,
    [first, last]: [Geometry; 2],
    arguments: &[String],
    steps: usize,
    out: &Path,
) -> Result<Counts, String> {
    let output = Command::new(VALGRIND)
        .args(["--tool=cachegrind", "--cache-sim=yes", "--quiet"])
        .args([first.option("D1"), last.option("LL")])
        .arg(format!("--cachegrind-out-file={}", out.display()))
        .arg(program)
        .arg("simulate")
        .args(arguments)
        .args(["--steps", &steps.to_string()])
        .env("LOOPOS_ISA", "avx2")
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty());
        return Err(format!(
            "valgrind ended with {}: {}",
            output.status,
            last.unwrap_or("it said nothing")
        ));
    }
    let text = std::fs::read_to_string(out).map_err(|error| error.to_string())?;
    cachegrind::parse(&text).ok_or_else(|| "cachegrind's file lacks its summary".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_a_power_of_two_and_sizes_stay_near() {
        for (bytes, ways, line) in [
            (32 << 10, 8, 64),
            (48 << 10, 12, 64),
            (1280 << 10, 20, 64),
            (36_608 << 10, 11, 64),
            (12 << 20, 12, 64),
            (1 << 20, 0, 64),
        ] {
            let near = Geometry::near(bytes, ways, line).unwrap();
            let sets = near.bytes / near.line / near.ways;
            assert!(sets.is_power_of_two(), "{near:?}");
            let off = near.bytes as f64 / bytes as f64 - 1.0;
            assert!(off.abs() < 0.03, "{bytes}: {near:?}");
        }
        assert_eq!(Geometry::near(1, 1, 0), None);
        let l1 = Geometry::near(32 << 10, 8, 64).unwrap();
        assert_eq!(l1.option("D1"), "--D1=32768,8,64");
    }
}
