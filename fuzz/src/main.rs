//! Guided fuzzing of everything that the program reads from strangers, by libFuzzer, on stable Rust.
//!
//! `scripts/fuzz` builds and runs this program, once for each target; the environment says which: `LOOPOS_FUZZ=NAME`. With
//! `LOOPOS_SEEDS=FOLDER` it writes the files that mutation starts from, and ends. An input fails when the program panics, aborts,
//! breaks a promise that the target checks, takes more memory than [`Target::slack`] beside twice the input, or a second of the
//! processor. To add a target: its file in `targets/`, its row in `targets::ALL`.
#![no_main]

mod memory;
mod targets;
mod time;

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use targets::{ALL, Target};

/// Bytes that `scripts/fuzz` lets an input have: a longer seed would be cut off, and be none.
const ROOM: usize = 16384;

/// Seconds of the processor that one input may take.
const LONGEST: f64 = 1.0;

static TARGET: OnceLock<&Target> = OnceLock::new();
/// The most memory beyond twice an input, in bytes, and the longest time, in microseconds.
static MOST: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

libfuzzer_sys::fuzz_target!(init: begin(), |data: &[u8]| {
    let Some(target) = TARGET.get() else { return };
    let began = time::used();
    let taken = memory::most_taken(|| (target.run)(data));
    let seconds = time::used() - began;
    let beyond = taken.saturating_sub(2 * data.len());
    MOST[0].fetch_max(beyond as u64, Ordering::Relaxed);
    MOST[1].fetch_max((seconds * 1e6) as u64, Ordering::Relaxed);
    let slack = target.slack;
    assert!(
        beyond <= slack,
        "{taken} bytes of memory for {} bytes of input: more than twice as much and {slack}",
        data.len()
    );
    assert!(seconds <= LONGEST, "{seconds} s for {} bytes of input", data.len());
});

/// Finds the target, or writes its seeds and ends.
fn begin() {
    let name = std::env::var("LOOPOS_FUZZ").unwrap_or_default();
    let Some(target) = ALL.iter().find(|target| target.name == name) else {
        let names: Vec<_> = ALL.iter().map(|target| target.name).collect();
        eprintln!("LOOPOS_FUZZ must be one of {}", names.join(" "));
        std::process::exit(2);
    };
    if let Ok(folder) = std::env::var("LOOPOS_SEEDS") {
        for (number, seed) in (target.seeds)().iter().enumerate() {
            assert!(seed.len() <= ROOM, "seed {number} has {} bytes", seed.len());
            let path = Path::new(&folder).join(format!("seed-{number:03}"));
            std::fs::write(path, seed).expect("a folder for the seeds");
        }
        std::process::exit(0);
    }
    TARGET.get_or_init(|| target);
    time::at_exit(tell);
}

/// Says what the hungriest and the slowest input took, for the table of `scripts/fuzz`.
extern "C" fn tell() {
    let [bytes, microseconds] = [0, 1].map(|index| MOST[index].load(Ordering::Relaxed));
    eprintln!("loopos: at most {bytes} bytes beyond twice the input, {microseconds} us");
}
