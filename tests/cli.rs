//! The program as a user meets it: words, exit codes, streams and messages.

mod common;
#[path = "common/outcome.rs"]
mod outcome;

use common::{Workplace, loopos, newest};
use outcome::{ended, output, refused};

/// The words of the help, without `help` itself.
fn words() -> Vec<String> {
    let (help, _) = ended(loopos(&["--help"]), 0);
    let commands = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    let word = |line: &str| {
        line.strip_prefix("  ")?
            .split_whitespace()
            .next()
            .map(str::to_owned)
    };
    commands
        .lines()
        .filter(|line| !line.starts_with("    "))
        .filter_map(word)
        .filter(|word| word != "help")
        .collect()
}

#[test]
fn help_goes_to_stdout_and_names_the_exit_codes() {
    let (help, errors) = ended(loopos(&["--help"]), 0);
    assert!(
        help.contains("Exit codes: 0 done, 1 failed, 2 wrong use"),
        "{help}"
    );
    assert_eq!(errors, "");
    let (version, _) = ended(loopos(&["--version"]), 0);
    assert_eq!(version, format!("loopos {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_word_has_help_with_an_example() {
    let words = words();
    for word in [
        "probe",
        "bench",
        "train",
        "generate",
        "chat",
        "eval",
        "export",
        "report",
        "configs",
        "completions",
    ] {
        assert!(
            words.iter().any(|found| found == word),
            "{word} is not in {words:?}"
        );
    }
    for word in words {
        let (help, _) = ended(loopos(&[&word, "--help"]), 0);
        assert!(help.contains("Example"), "{word} shows no example:\n{help}");
    }
}

#[test]
fn what_cannot_be_parsed_is_wrong_use() {
    refused(loopos(&[]), 2, &["Usage:"]);
    refused(loopos(&["trian"]), 2, &["trian", "train"]);
    refused(
        loopos(&["train", "--confg", "x"]),
        2,
        &["--confg", "--config"],
    );
    refused(loopos(&["train"]), 2, &["--config"]);
    refused(
        loopos(&["train", "--resume"]),
        2,
        &["does not say which run", "--out"],
    );
    refused(
        loopos(&[
            "generate",
            "--model",
            "m",
            "--prompt",
            "p",
            "--temperature=-1",
        ]),
        2,
        &["0 or more"],
    );
    refused(
        loopos(&[
            "generate", "--model", "m", "--prompt", "p", "--top-p", "1.5",
        ]),
        2,
        &["at most 1"],
    );
    refused(loopos(&["completions", "tcsh"]), 2, &["tcsh", "bash"]);
}

#[test]
fn completions_are_a_script() {
    for shell in ["bash", "zsh", "fish"] {
        let (script, _) = ended(loopos(&["completions", shell]), 0);
        assert!(
            script.contains("generate") && script.contains("temperature"),
            "{shell}"
        );
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = loopos(&["completions", "bash"]);
    command.stdout(writer);
    assert_eq!(output(command).stderr, b"");
}

#[test]
fn a_configuration_that_is_wrong_is_refused_by_its_key() {
    let place = Workplace::new();
    refused(
        place.loopos(&["train", "--config", "absent.json"]),
        2,
        &["error:", "absent.json"],
    );
    refused(
        place.train("run", &["--set", "training.batch_sise=8"]),
        2,
        &["training.batch_sise", "batch_size", "--set"],
    );
    refused(
        place.train("run", &["--set", "training.batch_size=none"]),
        2,
        &["training.batch_size"],
    );
    refused(
        place.train("run", &["--set", "model.num_heads=5"]),
        2,
        &["model.num_heads", "32"],
    );
    refused(
        place.train("run", &["--set", "batch"]),
        2,
        &["key.path=value"],
    );
    std::fs::write(place.path("config.json"), "{\"model\": 1,").unwrap();
    refused(place.train("run", &[]), 2, &["config.json", "line"]);
    assert!(
        !place.path("run").exists(),
        "a refused run leaves no folder"
    );
}

#[test]
fn a_method_that_does_not_exist_yet_says_so() {
    let place = Workplace::new();
    let stderr = refused(
        place.loopos(&[
            "train",
            "--config",
            "config.json",
            "--set",
            "computation.method=masked_lm",
        ]),
        1,
        &["does not exist yet"],
    );
    assert!(stderr.contains("masked_lm"), "{stderr}");
}

#[test]
fn an_instruction_set_that_cannot_be_had_is_wrong_use() {
    let place = Workplace::new();
    let mut command = place.train("run", &[]);
    command.env("LOOPOS_ISA", "avx1024");
    refused(command, 2, &["LOOPOS_ISA", "avx1024", "scalar"]);
}

#[test]
fn the_forced_instruction_set_is_the_one_that_runs() {
    let place = Workplace::new();
    let mut command = place.train("run", &["--set", "training.max_steps=1"]);
    command.env("LOOPOS_ISA", "scalar");
    let (_, log) = ended(command, 0);
    assert!(log.contains("scalar, 1 thread;"), "{log}");
}

#[test]
fn text_that_is_not_there_or_too_small_is_told_apart() {
    let place = Workplace::new();
    refused(
        place.train("run", &["--data", "absent.txt"]),
        2,
        &["absent.txt"],
    );
    std::fs::write(place.path("empty.txt"), "").unwrap();
    refused(
        place.train("run", &["--data", "empty.txt"]),
        4,
        &["empty.txt", "no text"],
    );
    std::fs::write(place.path("short.txt"), "ab ab ab ab").unwrap();
    refused(
        place.train("run", &["--data", "short.txt"]),
        2,
        &["model.vocab_size"],
    );
    refused(
        place.train("run", &["--set", "model.vocab_size=50000"]),
        2,
        &["50,000", "model.vocab_size"],
    );
    let long = [
        "--set",
        "training.max_length=60000",
        "--set",
        "training.batch_size=1",
    ];
    refused(place.train("run", &long), 2, &["training.max_length"]);
}

#[test]
fn a_run_that_does_not_fit_in_memory_is_refused_with_what_would() {
    let place = Workplace::new();
    let size = [
        "--set",
        "training.batch_size=1024",
        "--set",
        "training.micro_batch=1024",
    ];
    let more = [
        "--set",
        "training.max_length=65536",
        "--set",
        "model.d_ff=65536",
    ];
    let stderr = refused(
        place.train("run", &[size, more].concat()),
        2,
        &["this run needs", "TiB", "the nearest that fits"],
    );
    assert!(stderr.contains("--set training.micro_batch="), "{stderr}");
    let model = [
        "--set",
        "model.d_model=65536",
        "--set",
        "model.num_layers=1000",
    ];
    refused(
        place.train("run", &model),
        2,
        &["choose a smaller model.d_model"],
    );
}

#[test]
fn more_threads_than_processors_are_refused() {
    let place = Workplace::new();
    refused(
        place.loopos(&["train", "--config", "config.json", "--threads", "4000"]),
        2,
        &["4000 threads", "CPUs"],
    );
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let place = Workplace::new();
    std::fs::write(place.path("file"), "").unwrap();
    refused(place.train("file", &[]), 1, &["file", "--out"]);
    refused(place.train("file/below", &[]), 1, &["file/below", "--out"]);
    refused(
        place.train("/proc/loopos", &[]),
        1,
        &["/proc/loopos", "--out"],
    );
}

#[test]
fn a_trained_model_continues_a_text_and_is_evaluated() {
    let place = Workplace::new();
    let (summary, log) = ended(place.train("run", &["--set", "training.max_steps=60"]), 0);
    for piece in [
        "trained 60 steps",
        "validation loss",
        "unigram entropy",
        "checkpoints/step-000060",
    ] {
        assert!(summary.contains(piece), "no `{piece}` in:\n{summary}");
    }
    assert!(log.contains("step 60/60"), "{log}");
    for name in ["config.json", "tokenizer.json", "metrics.jsonl"] {
        assert!(place.path("run").join(name).exists(), "{name}");
    }

    let continued = |seed: &str, model: &str| {
        let arguments = [
            "generate",
            "--model",
            model,
            "--prompt",
            "the river",
            "--max-tokens",
            "20",
            "--seed",
            seed,
        ];
        ended(place.loopos(&arguments), 0).0
    };
    let text = continued("1", "run");
    assert!(
        text.starts_with("the river") && text.len() > "the river\n".len(),
        "{text}"
    );
    assert_eq!(continued("1", "run"), text);
    assert_eq!(continued("1", "run/checkpoints/step-000060"), text);
    assert_ne!(continued("2", "run"), text);

    let (found, _) = ended(
        place.loopos(&["eval", "--model", "run", "--data", "text"]),
        0,
    );
    let figure = |name: &str| -> f64 {
        let line = found.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .last()
            .unwrap()
            .replace(',', "")
            .parse()
            .unwrap()
    };
    let (loss, perplexity) = (figure("loss"), figure("perplexity"));
    assert!((loss.exp() / perplexity - 1.0).abs() < 0.01, "{found}");
    assert!(loss > 0.5 && loss < 300_f64.ln(), "{found}");
    assert!(figure("bits per byte") < 8.0, "{found}");
}

#[test]
fn what_is_no_trained_model_is_refused() {
    let place = Workplace::new();
    refused(
        place.loopos(&["generate", "--model", "text", "--prompt", "x"]),
        2,
        &["text", "no trained model"],
    );
    ended(place.train("run", &["--set", "training.max_steps=1"]), 0);
    let (_, checkpoint) = newest(&place.path("run")).unwrap();
    std::fs::write(checkpoint.join("model.safetensors"), "not a model").unwrap();
    refused(
        place.loopos(&["eval", "--model", "run"]),
        1,
        &["model.safetensors", "no checkpoint", "can be used"],
    );
    std::fs::write(place.path("run/tokenizer.json"), "{}").unwrap();
    refused(
        place.loopos(&["generate", "--model", "run", "--prompt", "x"]),
        1,
        &["can be used"],
    );
}

#[test]
fn a_topology_is_a_picture_of_its_own() {
    let place = Workplace::new();
    let recording = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/probe/fixtures/alder_lake.txt"
    );
    let (out, _) = ended(
        place.loopos(&["probe", "--from", recording, "--svg", "hybrid.svg"]),
        0,
    );
    assert_eq!(out, "");
    let picture = std::fs::read_to_string(place.path("hybrid.svg")).unwrap();
    assert!(
        picture.starts_with("<svg") || picture.starts_with("<?xml"),
        "{picture:.60}"
    );
    for part in ["efficiency", "performance", "L3 25", "</svg>"] {
        assert!(picture.contains(part), "no {part}");
    }
    refused(
        place.loopos(&["probe", "--svg", "hybrid.svg/x.svg"]),
        1,
        &["x.svg"],
    );
}

#[test]
fn only_the_machine_that_is_here_can_be_verified() {
    refused(
        loopos(&["probe", "--verify", "--from", "x.txt"]),
        2,
        &["--verify", "--from"],
    );
}
