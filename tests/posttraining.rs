//! What comes after pretraining, by the whole program: a model is taught worked problems, refused what does not fit, and asked.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{Workplace, newest};

fn output(mut command: Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A pretrained model in `run`, and a configuration that teaches it in `lessons.json`.
fn place() -> Workplace {
    let place = Workplace::new();
    let long = [
        "--set",
        "training.max_steps=3",
        "--set",
        "training.max_length=24",
    ];
    output(place.train("run", &long), 0);
    let text = fs::read_to_string(place.path("config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    config["computation"] = serde_json::json!({"mode": "posttraining", "method": "chain_of_thought", "description": "a test"});
    config["training"]["max_steps"] = 12.into();
    config["training"]["max_length"] = 24.into();
    config["data"] = serde_json::json!({"pretrained_weights": "run", "output_dir": "taught"});
    config["posttraining"] = serde_json::json!({"examples": 60, "difficulty": 1});
    fs::write(place.path("lessons.json"), config.to_string()).unwrap();
    place
}

fn teach(place: &Workplace, arguments: &[&str]) -> Command {
    let mut command = place.loopos(&["train", "--config", "lessons.json", "--threads", "1"]);
    command.args(arguments);
    command
}

fn model(run: &Path) -> Vec<u8> {
    fs::read(newest(run).unwrap().1.join("model.safetensors")).unwrap()
}

#[test]
fn a_model_is_taught_stopped_resumed_and_asked() {
    let place = place();
    let whole = output(teach(&place, &[]), 0);
    assert!(
        stderr(&whole).contains("54 examples to learn, 6 held out"),
        "{}",
        stderr(&whole)
    );
    output(
        teach(&place, &["--out", "parts", "--set", "training.max_steps=7"]),
        0,
    );
    output(teach(&place, &["--out", "parts", "--resume"]), 0);
    assert!(
        model(&place.path("taught")) == model(&place.path("parts")),
        "weights differ"
    );
    let asked = output(
        place.loopos(&["eval", "--model", "taught", "--show", "1"]),
        0,
    );
    let stdout = String::from_utf8_lossy(&asked.stdout).into_owned();
    for part in [
        "problem   ",
        "response  ",
        "the answer is ",
        "problems       6",
        "exact answers  ",
    ] {
        assert!(stdout.contains(part), "{part} is not in {stdout}");
    }
    // The tokens of the parts came to those of the text, and what they were taught goes on from there.
    let config = fs::read_to_string(place.path("taught/config.json")).unwrap();
    assert!(config.contains("\"vocab_size\": 304"), "{config}");
    output(teach(&place, &["--init", "taught", "--out", "again"]), 0);
}

#[test]
fn what_does_not_fit_is_refused_and_what_is_left_out_is_counted() {
    let place = place();
    let refused = |arguments: &[&str], code, parts: &[&str]| {
        let text = stderr(&output(teach(&place, arguments), code));
        for part in parts {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    };
    refused(
        &["--set", "data.pretrained_weights=nowhere"],
        2,
        &["nowhere has no trained model"],
    );
    refused(
        &["--set", "data.pretrained_weights=null"],
        2,
        &["there is no model to start from"],
    );
    refused(
        &["--set", "model.d_model=16"],
        2,
        &["d_model 32", "d_model 16", "--init run"],
    );
    refused(
        &["--data", "missing.jsonl"],
        2,
        &["cannot read missing.jsonl"],
    );
    let long = format!(
        r#"{{"problem": "{}", "reasoning": [], "answer": "1"}}"#,
        "7".repeat(99)
    );
    let lines = [
        r#"{"problem": "1+1", "reasoning": ["2"], "answer": "2"}"#,
        r#"{"problem": "1+1"}"#,
        &long,
        r#"{"question": "2+2", "answer": "4\n#### 4"}"#,
    ];
    fs::write(place.path("bad.jsonl"), lines[1]).unwrap();
    refused(
        &["--data", "bad.jsonl"],
        4,
        &["bad.jsonl:1: `reasoning` is missing"],
    );
    fs::write(place.path("some.jsonl"), lines.join("\n")).unwrap();
    let arguments = [
        "--data",
        "some.jsonl",
        "--set",
        "training.validation_split=0",
        "--out",
        "some",
    ];
    let text = stderr(&output(teach(&place, &arguments), 0));
    for part in [
        "some.jsonl: 1 line left out",
        "some.jsonl:2: `reasoning` is missing",
        "1 of 3 examples are longer than training.max_length 24",
        "2 examples to learn",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

/// `loopos train` by preferences or rewards, from a taught model, in two steps.
fn reinforce(place: &Workplace, out: &str, settings: &[&str]) -> Command {
    let mut command = teach(place, &["--init", "taught", "--out", out]);
    let usual = [
        "computation.method=rlhf",
        "training.max_steps=2",
        "posttraining.rollouts=8",
        "posttraining.response_length=12",
    ];
    for setting in usual.iter().chain(settings) {
        command.args(["--set", setting]);
    }
    command
}

#[test]
fn preferences_and_rewards_teach_and_runs_go_on_to_the_same_bits() {
    let place = place();
    output(teach(&place, &[]), 0);
    let reward = output(
        reinforce(&place, "reward", &["posttraining.algorithm=reward_model"]),
        0,
    );
    assert!(stderr(&reward).contains("accuracy "), "{}", stderr(&reward));
    for arguments in [
        &["eval", "--model", "reward"][..],
        &["export", "--model", "reward", "--out", "judge"],
    ] {
        let told = stderr(&output(place.loopos(arguments), 2));
        assert!(told.contains("reward is a reward model"), "{told}");
    }
    let ways = [
        ("dpo", vec!["posttraining.algorithm=dpo"]),
        (
            "ppo",
            vec![
                "posttraining.reward_model=reward",
                "posttraining.target_kl=0.001",
            ],
        ),
        (
            "grpo",
            vec!["posttraining.algorithm=grpo", "posttraining.group_size=4"],
        ),
    ];
    for (name, settings) in ways {
        output(reinforce(&place, name, &settings), 0);
        let parts = format!("{name}-parts");
        let one: Vec<&str> = [&settings[..], &["training.max_steps=1"]].concat();
        output(reinforce(&place, &parts, &one), 0);
        let mut rest = reinforce(&place, &parts, &settings);
        rest.arg("--resume");
        output(rest, 0);
        assert!(
            model(&place.path(name)) == model(&place.path(&parts)),
            "{name}: weights differ"
        );
    }
    let log = fs::read_to_string(place.path("ppo/metrics.jsonl")).unwrap();
    for figure in [
        "reward",
        "rule_reward",
        "kl",
        "entropy",
        "clip_fraction",
        "rollout_tokens_per_second",
    ] {
        assert!(
            log.contains(&format!("\"{figure}\":")),
            "{figure} is not in {log}"
        );
    }
    let asked = output(
        place.loopos(&["eval", "--model", "ppo", "--reference", "taught"]),
        0,
    );
    let text = String::from_utf8_lossy(&asked.stdout);
    assert!(
        text.contains("exact answers") && text.contains("nats a response"),
        "{text}"
    );
    output(place.loopos(&["report", "ppo", "--out", "page"]), 0);
    let page = fs::read_to_string(place.path("page/report.html")).unwrap();
    for part in [
        "What it learns",
        "Divergence from the reference",
        "writing responses",
    ] {
        assert!(page.contains(part), "{part} is not on the page");
    }
    let refused = output(
        place.loopos(&["eval", "--model", "ppo", "--reference", "run"]),
        2,
    );
    assert!(
        stderr(&refused).contains("another tokenizer"),
        "{}",
        stderr(&refused)
    );
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let place = place();
    output(teach(&place, &[]), 0);
    let refused = |settings: &[&str], part: &str| {
        let text = stderr(&output(reinforce(&place, "refused", settings), 2));
        assert!(text.contains(part), "{part} is not in {text}");
    };
    fs::write(
        place.path("pairs.jsonl"),
        r#"{"prompt": "1", "chosen": "2", "rejected": "3"}"#,
    )
    .unwrap();
    refused(
        &[
            "data.preference_data=pairs.jsonl",
            "training.validation_split=0",
        ],
        "no rule can judge",
    );
    refused(
        &["posttraining.reward_model=taught"],
        "the model in taught gives no rewards",
    );
    refused(
        &["posttraining.reward_model=nowhere"],
        "nowhere has no trained model",
    );
    refused(
        &["posttraining.rollouts=9"],
        "must be a multiple of training.batch_size 4",
    );
    refused(
        &["posttraining.reward=model"],
        "name the folder of a trained reward model",
    );
}
