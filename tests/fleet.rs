//! Runs that `mpirun` starts as several processes: they learn what one learns, go on as any other number, and end when one is lost.
//!
//! Needs the feature `mpi` and the mpirun of the MPI that the program is linked with: without the one there are no such tests, without the other they fail and say so.
//! `LOOPOS_MPIRUN` is another one than OpenMPI's: `mpiexec.mpich`, which ends the others at once when a rank is killed, and says itself which process that was.
#![cfg(feature = "mpi")]

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Workplace, newest};

const TRAIN: [&str; 5] = ["train", "--config", "config.json", "--threads", "1"];

/// As many processes of the program that train, on CPUs that they share out themselves.
fn ranks(place: &Workplace, count: usize, out: &str, arguments: &[&str]) -> Command {
    let mut command = started(place, count, &TRAIN);
    command.args(["--out", out]).args(arguments);
    command
}

/// The same with any arguments.
fn started(place: &Workplace, count: usize, arguments: &[&str]) -> Command {
    let launcher = other_launcher();
    let launcher = launcher
        .as_deref()
        .unwrap_or("mpirun --oversubscribe --bind-to none");
    started_by(launcher, place, count, arguments)
}

/// The same by a launcher with flags of its own.
fn started_by(launcher: &str, place: &Workplace, count: usize, arguments: &[&str]) -> Command {
    let mut words = launcher.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command
        .args(words)
        .args(["-n", &count.to_string()])
        .arg(program())
        .args(arguments)
        .env_remove("LOOPOS_ISA")
        .env("NO_COLOR", "1")
        .env("XDG_CACHE_HOME", place.path("cache"))
        .envs([
            ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
            ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ])
        .current_dir(place.path(""));
    command
}

/// The launcher of an MPI that is not OpenMPI: it needs no flags for more ranks than CPUs, and binds none.
fn other_launcher() -> Option<String> {
    let launcher = std::env::var("LOOPOS_MPIRUN").ok();
    launcher.filter(|launcher| !launcher.trim().is_empty())
}

/// What OpenMPI and others tell a process of its world.
const OPENMPI: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"];
const OTHERS: [&str; 2] = ["PMI_SIZE", "PMI_RANK"];

fn program() -> &'static Path {
    Path::new(assert_cmd::cargo::cargo_bin!("loopos"))
}

/// Two ranks, of which the second is started otherwise: by this program, with more arguments.
fn unlike(place: &Workplace, program: &Path, arguments: &[&str]) -> String {
    let mut command = ranks(place, 1, "run", &[]);
    command
        .args([":", "-n", "1"])
        .arg(program)
        .args(TRAIN)
        .args(["--out", "run"])
        .args(arguments);
    let (code, said) = output(&mut command);
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("rank 1"), "{said}");
    assert!(newest(&place.path("run")).is_none(), "{said}");
    said
}

fn output(command: &mut Command) -> (Option<i32>, String) {
    let output: Output = command
        .output()
        .expect("mpirun is there: on Debian, apt-get install openmpi-bin");
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code(), stdout + &stderr)
}

fn done(command: &mut Command) {
    let (code, said) = output(command);
    assert_eq!(code, Some(0), "{said}");
}

/// Steps and losses of a run.
fn losses(run: &Path) -> Vec<(u64, f64)> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        Some((line["step"].as_u64()?, line["loss"].as_f64()?))
    };
    text.lines().filter_map(line).collect()
}

fn assert_close(a: &Path, b: &Path, steps: usize) {
    let (a, b) = (losses(a), losses(b));
    assert_eq!((a.len(), b.len()), (steps, steps));
    for ((step, a), (_, b)) in a.iter().zip(&b) {
        assert!((a - b).abs() / b < 1e-4, "step {step}: {a} and {b}");
    }
}

#[test]
fn two_ranks_learn_what_one_process_learns_and_the_same_bits_again() {
    let place = Workplace::new();
    // Wide enough that messages are cut in pieces.
    let wide = ["--set", "model.d_ff=4096"];
    let bound = [&["--set", "training.max_steps=16"][..], &wide].concat();
    done(&mut place.train("alone", &bound));
    let shared = [&bound[..], &SHARED].concat();
    for (run, arguments) in [("two", &bound[..]), ("again", &bound), ("shared", &shared)] {
        done(&mut ranks(&place, 2, run, arguments));
    }
    assert_close(&place.path("alone"), &place.path("two"), 16);
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let kept = |run: &str| fs::read(newest(&place.path(run)).unwrap().1.join(file)).unwrap();
        assert!(kept("two") == kept("again"), "{file}: other bits again");
        assert!(kept("two") == kept("shared"), "{file}: other bits shared");
    }
}

/// Each rank keeps its part of the moments alone.
const SHARED: [&str; 2] = ["--set", "training.shard_optimizer=true"];

#[test]
fn two_ranks_one_process_and_four_ranks_continue_one_run() {
    let place = Workplace::new();
    done(&mut ranks(
        &place,
        2,
        "run",
        &["--set", "training.max_steps=5"],
    ));
    done(&mut place.train("run", &["--resume", "--set", "training.max_steps=10"]));
    done(&mut ranks(
        &place,
        4,
        "run",
        &[&["--resume", "--set", "training.max_steps=15"][..], &SHARED].concat(),
    ));
    // What four kept in parts, one goes on from.
    done(&mut place.train("run", &["--resume", "--set", "training.max_steps=17"]));
    done(&mut place.train("alone", &["--set", "training.max_steps=17"]));
    assert_close(&place.path("alone"), &place.path("run"), 17);
}

/// Cores of the whole machine: CPUs that have no sibling before them.
fn cores() -> usize {
    let siblings = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.unwrap().path().join("topology/thread_siblings_list");
        fs::read_to_string(path).ok()
    };
    let cpus = fs::read_dir("/sys/devices/system/cpu").unwrap();
    cpus.filter_map(siblings).collect::<HashSet<_>>().len()
}

#[test]
fn a_rank_that_its_launcher_bound_to_one_core_of_several_is_told_the_flags() {
    let place = Workplace::new();
    let binding = match other_launcher() {
        Some(launcher) => launcher + " -bind-to core",
        None => "mpirun --bind-to core".to_owned(),
    };
    let short = ["--set", "training.max_steps=1", "--out"];
    let with = |out| [&TRAIN[..], &short, &[out]].concat();
    let told = |command: &mut Command| {
        let (code, said) = output(command);
        assert_eq!(code, Some(0), "{said}");
        said.contains("--bind-to none") && said.contains("--map-by ppr:1:node:PE=")
    };
    let bound = told(&mut started_by(&binding, &place, 1, &with("bound")));
    assert_eq!(bound, cores() > 1);
    // Who may use one CPU alone is bound whatever the launcher does.
    let usable = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(usable == 1 || !told(&mut started(&place, 1, &with("free"))));
}

/// Another MPI's launcher sets its variable, and this MPI sees one process.
#[test]
fn the_launcher_of_another_mpi_is_refused() {
    let place = Workplace::new();
    let [size, _] = match other_launcher() {
        Some(_) => OPENMPI,
        None => OTHERS,
    };
    let (code, said) = output(place.train("run", &[]).env(size, "2"));
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains(size) && said.contains("another MPI"),
        "{said}"
    );
    assert!(!place.path("run").exists());
    let (code, said) = output(&mut ranks(&place, 2, "run", &["--ranks", "3"]));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("one of 3 processes"), "{said}");
}

#[test]
fn a_rank_with_another_configuration_program_or_text_is_named() {
    let place = Workplace::new();
    let said = unlike(&place, program(), &["--set", "training.learning_rate=0.5"]);
    assert!(said.contains("training.learning_rate"), "{said}");
    assert!(!place.path("run").exists());
    // A byte behind the end of a program changes nothing but its digest.
    let (other, mut bytes) = (place.path("other"), fs::read(program()).unwrap());
    bytes.push(0);
    fs::copy(program(), &other).unwrap();
    fs::write(&other, bytes).unwrap();
    let said = unlike(&place, &other, &[]);
    assert!(said.contains("its program (its SHA-256) is"), "{said}");
    fs::create_dir(place.path("texts")).unwrap();
    for document in fs::read_dir(place.path("text")).unwrap() {
        let document = document.unwrap();
        let mut text = fs::read_to_string(document.path()).unwrap();
        text.push_str("its song");
        fs::write(place.path("texts").join(document.file_name()), text).unwrap();
    }
    let said = unlike(&place, program(), &["--data", "texts"]);
    assert!(said.contains("its text (its SHA-256) is"), "{said}");
}

/// The suite of several processes: one document, and a forecast from it.
#[test]
fn two_ranks_are_measured_in_one_document_that_a_forecast_is_made_from() {
    let place = Workplace::new();
    let bench = [
        "bench",
        "--suite",
        "fleet",
        "--quick",
        "--config",
        "config.json",
        "--threads",
        "1",
        "--out",
        "reports",
    ];
    // Measurements take turns by a lock among temporary files: here with nobody else's.
    let alone = |command: &mut Command| done(command.env("TMPDIR", place.path("")));
    alone(&mut started(&place, 2, &bench));
    let folder = place.path("reports/latest");
    let text = fs::read_to_string(folder.join("run.json")).unwrap();
    let run: serde_json::Value = serde_json::from_str(&text).unwrap();
    let members = run["fleet"].as_array().unwrap();
    assert_eq!(members.len(), 2);
    assert_ne!(members[0]["name"], members[1]["name"]);
    let value = |name: &str| {
        let metrics = run["metrics"].as_array().unwrap().iter();
        let mut named = metrics.filter(|metric| metric["name"] == name);
        named.next().unwrap_or_else(|| panic!("no {name}"))["value"].as_f64()
    };
    for name in [
        "config.alone.r2.t1.step_seconds",
        "config.weak.r2.t1.efficiency",
        "config.strong.r2.t1.step_seconds",
    ] {
        let found = value(&format!("fleet.{name}"));
        assert!(found.is_some_and(|value| value > 0.0), "{name}: {found:?}");
    }
    for picture in ["sums.svg", "ranks.svg"] {
        assert!(folder.join(picture).exists(), "{picture}");
    }
    let latest = folder.to_str().unwrap();
    // Where others compute meanwhile there may be no law of sums, with the reason.
    let network = match value("fleet.network.r2.t1.gbps") {
        Some(_) => latest,
        None => "10g",
    };
    let plan = [
        "plan",
        "--config",
        "config.json",
        "--network",
        network,
        "--run",
        latest,
        "--hosts",
        "2,4",
        "--json",
    ];
    let (code, said) = output(&mut place.loopos(&plan));
    assert_eq!(code, Some(0), "{said}");
    let plan: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(plan["forecast"][1]["hosts"], 4);
    let (code, said) = output(&mut place.loopos(&bench));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("mpirun -n 2"), "{said}");
}

/// The processes that a launcher has started, by itself or by those.
fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    let own = text.split_whitespace().filter_map(|pid| pid.parse().ok());
    own.flat_map(|pid| [vec![pid], children(pid)].concat())
        .collect()
}

/// The rank that a process is, by what its launcher told it.
fn rank_of(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let mut variables = text.split('\0').filter_map(|one| one.split_once('='));
    variables.find_map(|(name, value)| {
        [OPENMPI[1], OTHERS[1]]
            .contains(&name)
            .then(|| value.to_owned())
    })
}

#[test]
fn a_killed_and_a_stopped_rank_end_the_run_and_are_named() {
    for (signal, lost) in [("KILL", "1"), ("STOP", "1"), ("STOP", "0")] {
        let place = Workplace::new();
        let run = place.path("run");
        let mut command = ranks(&place, 2, "run", &[]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while newest(&run).is_none_or(|(step, _)| step < 10) {
            assert!(begin.elapsed() < Duration::from_secs(60), "no checkpoint");
            sleep(Duration::from_millis(20));
        }
        let mut all = children(child.id());
        all.retain(|pid| rank_of(*pid).is_some());
        let pid = *all
            .iter()
            .find(|pid| rank_of(**pid).as_deref() == Some(lost))
            .unwrap();
        let kill = format!("kill -{signal} {pid}");
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        let begin = Instant::now();
        let output = child.wait_with_output().unwrap();
        let (seconds, said) = (begin.elapsed(), String::from_utf8_lossy(&output.stderr));
        // Not for ever, as MPI would wait; that it takes less than ten seconds is measured by scripts/fleet.
        assert!(
            seconds < Duration::from_secs(60),
            "{signal} {lost}: {seconds:?}: {said}"
        );
        assert!(!output.status.success(), "{said}");
        // Nor does it stay, stopped, where its launcher has left it.
        while let Some(left) = all.iter().find(|pid| rank_of(**pid).is_some()) {
            assert!(begin.elapsed() < Duration::from_secs(60), "{left} stays");
            sleep(Duration::from_millis(20));
        }
        let told = String::from_utf8_lossy(&output.stdout);
        let by_launcher = signal == "KILL" && told.contains(&format!("PID {pid} RUNNING AT"));
        let named = said.contains(&format!("rank {lost}"));
        assert!(named || by_launcher, "{signal}: {said}{told}");
        let (step, _) = newest(&run).unwrap();
        let bound = format!("training.max_steps={}", step + 2);
        done(&mut place.train("run", &["--resume", "--set", &bound]));
    }
}
