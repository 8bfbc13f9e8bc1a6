//! The A/A test: how often identical code is called different on this machine, and how often a slowdown of 3 % is found.
//!
//! Ignored, because it takes minutes and is about this machine:
//! `cargo test --release --test same_code -- --ignored --nocapture verdicts`. `REPETITIONS=10` makes it shorter. The program loads
//! every CPU while it measures. The rule is that of `loopos compare`; what chance alone would
//! do to it is tested in `stats::verdict` on invented noise, in every run.

use std::convert::Infallible;
use std::process::{Child, Command, Stdio};

use loopos::kernels::{Isa, vec};
use loopos::measure::clock::Clock;
use loopos::measure::session::{Arms, Phase, Plan, WarmUp, run_interleaved};
use loopos::stats::effect::of_pairs;
use loopos::stats::summary::median;
use loopos::stats::verdict::{ALPHA, MARGIN, Verdict, verdict};

/// Processes of a verdict, and pairs of a process.
const PROCESSES: usize = 6;
const PAIRS: usize = 60;

/// The slowdown that is injected.
const INJECTED: f64 = 0.03;

/// Passes of a run of the baseline, about half a millisecond, and values that each goes through.
const PASSES: usize = 300;
const VALUES: usize = 8192;

/// What a child process is told: how much slower its candidate is.
const SLOWER: &str = "SAME_CODE_SLOWER";

/// What a child writes before the times of an arm.
const MARK: &str = "times";

/// Two arms that do the same, except that the second does more of it.
struct Same {
    passes: [usize; 2],
    values: Vec<f32>,
    out: Vec<f32>,
}

impl Arms for Same {
    type Error = Infallible;

    fn count(&self) -> usize {
        2
    }

    fn run(&mut self, arm: usize, _: Phase) -> Result<(), Infallible> {
        for _ in 0..self.passes[arm] {
            vec::gelu(Isa::best(), &self.values, &mut self.out);
        }
        Ok(())
    }
}

/// One process: measures the arms in turns and writes their times.
#[test]
#[ignore = "a part of the test `verdicts`, which starts it"]
fn child() {
    let Ok(slower) = std::env::var(SLOWER) else {
        return;
    };
    let slower: f64 = slower.parse().unwrap();
    let more = (PASSES as f64 * (1.0 + slower)).round() as usize;
    let mut arms = Same {
        passes: [PASSES, more],
        values: (0..VALUES)
            .map(|place| (place % 97) as f32 * 0.05)
            .collect(),
        out: vec![0.0; VALUES],
    };
    let plan = Plan {
        fewest_rounds: PAIRS,
        most_rounds: PAIRS,
        budget_seconds: 0.0,
        warm_up: WarmUp {
            agreement: 0.02,
            most_runs: 20,
        },
    };
    let Ok(samples) = run_interleaved(&mut arms, &plan, &Clock::best(), &|| false);
    for arm in samples {
        let times: Vec<String> = arm.seconds.iter().map(f64::to_string).collect();
        println!("\n{MARK} {}", times.join(" "));
    }
}

/// The median times of both arms in one process.
fn process(slower: f64) -> (f64, f64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(SLOWER, slower.to_string())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let arms = text.lines().filter_map(|line| line.strip_prefix(MARK));
    let times = |line: &str| {
        line.split_whitespace()
            .map(|time| time.parse().unwrap())
            .collect()
    };
    let arms: Vec<Vec<f64>> = arms.map(times).collect();
    assert_eq!(arms.len(), 2, "{text}");
    (median(&arms[0]).unwrap(), median(&arms[1]).unwrap())
}

/// A program for each CPU that keeps it busy; ends with the value.
struct Load(Vec<Child>);

impl Load {
    fn on_every_cpu() -> Load {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let busy = || {
            let mut shell = Command::new("sh");
            shell.args(["-c", "while :; do :; done"]);
            shell.stdin(Stdio::null()).spawn().unwrap()
        };
        Load((0..cpus).map(|_| busy()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
#[ignore = "takes minutes, and is about the machine that it runs on"]
fn verdicts() {
    let repetitions = std::env::var("REPETITIONS").map_or(100, |count| count.parse().unwrap());
    let _load = Load::on_every_cpu();
    for (what, slower) in [("identical code", 0.0), ("3 % slower", INJECTED)] {
        let mut counts = [0usize; 4];
        for _ in 0..repetitions {
            let (before, after): (Vec<f64>, Vec<f64>) =
                (0..PROCESSES).map(|_| process(slower)).unzip();
            // Of times, less is better.
            let effect = of_pairs(&before, &after).unwrap().inverse();
            let place = match verdict(effect.interval(1.0 - ALPHA), effect.p_value(), MARGIN) {
                Verdict::Better => 0,
                Verdict::Worse => 1,
                Verdict::Same => 2,
                Verdict::Inconclusive => 3,
            };
            counts[place] += 1;
        }
        let [faster, slow, same, undecided] = counts;
        println!(
            "{what}, {repetitions} repetitions of {PROCESSES} processes under load: {faster} faster, {slow} slower, {same} the same, \
             {undecided} inconclusive"
        );
        if slower == 0.0 {
            assert!((faster + slow) * 20 <= repetitions, "false verdicts");
        } else {
            assert!(slow * 10 >= repetitions * 9, "the slowdown was missed");
        }
    }
}
