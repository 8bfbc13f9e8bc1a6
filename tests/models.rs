//! Models as a user passes them on: out to Hugging Face's layout and back, ids instead of text, many texts at once, a conversation.

mod common;
#[path = "common/outcome.rs"]
mod outcome;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Workplace, newest};
use outcome::{ended, refused};
use safetensors::SafeTensors;

/// A model of an odd shape without a tokenizer, trained for two steps on ids, in the folder `ids`.
fn trained_on_ids(place: &Workplace) {
    let ids: Vec<String> = (0..2000).map(|n| (n * n % 53).to_string()).collect();
    std::fs::write(place.path("ids.txt"), ids.join(" ")).unwrap();
    let arguments = [
        "--tokens",
        "ids.txt",
        "--set",
        "model.vocab_size=53",
        "--set",
        "model.d_model=35",
        "--set",
        "model.num_heads=5",
        "--set",
        "model.d_ff=61",
        "--set",
        "training.max_steps=2",
        "--set",
        "model.context=19",
        "--set",
        "model.tied_head=false",
    ];
    ended(place.train("ids", &arguments), 0);
}

/// The logits that `loopos eval` writes for a model and these ids: their sizes and bits.
fn logits(place: &Workplace, model: &str, ids: &str) -> (Vec<usize>, Vec<u8>) {
    let arguments = [
        "eval",
        "--model",
        model,
        "--tokens",
        ids,
        "--length",
        "19",
        "--logits",
        "l.safetensors",
    ];
    let (found, _) = ended(place.loopos(&arguments), 0);
    assert!(found.contains("perplexity"), "{found}");
    let bytes = std::fs::read(place.path("l.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = file.tensor("logits").unwrap();
    (tensor.shape().to_vec(), tensor.data().to_vec())
}

fn export(place: &Workplace, model: &str, out: &str) -> Command {
    place.loopos(&["export", "--model", model, "--out", out])
}

fn files(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().into_string().unwrap()
    };
    let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

/// Runs a command with these lines as its input.
fn told(mut command: Command, lines: &str) -> (String, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn a_model_on_ids_goes_out_and_comes_back_with_the_same_logits() {
    let place = Workplace::new();
    trained_on_ids(&place);
    assert!(!place.path("ids/tokenizer.json").exists());
    ended(export(&place, "ids", "out"), 0);
    assert_eq!(
        files(&place.path("out")),
        ["config.json", "model.safetensors"]
    );
    let ids = "5,17,0,52,1,1,9,30,31,2";
    let (shape, bits) = logits(&place, "ids", ids);
    assert_eq!(shape, [10, 53]);
    assert_eq!(logits(&place, "out", ids), (shape, bits));
    // More than a window, from a file.
    std::fs::write(place.path("more.txt"), format!("{ids},{ids}\n{ids}")).unwrap();
    assert_eq!(logits(&place, "out", "more.txt").0, [30, 53]);

    let generated = |model: &str, more: &[&str]| {
        let arguments = [
            "generate",
            "--model",
            model,
            "--tokens",
            "5,17",
            "--max-tokens",
            "30",
        ];
        ended(place.loopos(&[&arguments[..], more].concat()), 0).0
    };
    let line = generated("out", &[]);
    assert!(
        line.starts_with("5,17,") && line.trim().split(',').count() == 32,
        "{line}"
    );
    assert_eq!(generated("ids", &[]), line);
    // A stop token ends the text before it.
    let third = line.trim().split(',').nth(2).unwrap();
    assert_eq!(generated("ids", &["--stop-token", third]), "5,17\n");

    // It is trained on from there, and that run is resumed without the model.
    let more = [
        "train",
        "--init",
        "out",
        "--tokens",
        "ids.txt",
        "--out",
        "tuned",
        "--threads",
        "1",
        "--set",
        "training.batch_size=2",
        "--set",
        "training.max_steps=3",
    ];
    let (_, log) = ended(place.loopos(&more), 0);
    assert!(
        log.contains("starting from the weights in out") && log.contains("training.max_length: 19"),
        "{log}"
    );
    std::fs::remove_dir_all(place.path("out")).unwrap();
    let resumed = [
        "train",
        "--resume",
        "--out",
        "tuned",
        "--threads",
        "1",
        "--set",
        "training.max_steps=4",
    ];
    let (summary, _) = ended(place.loopos(&resumed), 0);
    assert!(summary.contains("trained 4 steps"), "{summary}");
    assert_ne!(logits(&place, "tuned", ids), logits(&place, "ids", ids));
}

#[test]
fn a_model_on_text_takes_its_tokenizer_along() {
    let place = Workplace::new();
    ended(place.train("run", &["--set", "training.max_steps=40"]), 0);
    let (_, checkpoint) = newest(&place.path("run")).unwrap();
    ended(export(&place, checkpoint.to_str().unwrap(), "out"), 0);
    let names = [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(files(&place.path("out")), names);
    let evaluated = |model: &str| {
        ended(
            place.loopos(&["eval", "--model", model, "--data", "text", "--length", "16"]),
            0,
        )
        .0
    };
    assert_eq!(evaluated("out"), evaluated("run"));
    refused(
        place.loopos(&["eval", "--model", "out"]),
        2,
        &["which text", "--data"],
    );
    let tuned = [
        "train",
        "--init",
        "out",
        "--config",
        "config.json",
        "--out",
        "tuned",
        "--set",
        "training.max_steps=1",
    ];
    ended(place.loopos(&tuned), 0);
    let tokenizer =
        |folder: &str| std::fs::read(place.path(folder).join("tokenizer.json")).unwrap();
    assert_eq!(tokenizer("tuned"), tokenizer("out"));

    let generated = |more: &[&str]| {
        let arguments = [
            "generate",
            "--model",
            "out",
            "--max-tokens",
            "12",
            "--temperature",
            "1",
        ];
        ended(place.loopos(&[&arguments[..], more].concat()), 0).0
    };
    // Samples are the texts of their seeds, one by one.
    let alone = |prompt: &str, seed: &str| generated(&["--prompt", prompt, "--seed", seed]);
    let together = generated(&[
        "--prompt",
        "the river",
        "--prompt",
        "a",
        "--samples",
        "2",
        "--seed",
        "7",
    ]);
    let mut expected = String::new();
    for (number, (prompt, seed)) in [
        ("the river", "7"),
        ("the river", "8"),
        ("a", "7"),
        ("a", "8"),
    ]
    .iter()
    .enumerate()
    {
        expected += &format!(
            "== {} of 4, seed {seed}\n{}",
            number + 1,
            alone(prompt, seed)
        );
    }
    assert_eq!(together, expected);
    let text = alone("the river", "7");
    let stop: String = text["the river".len()..].chars().skip(3).take(3).collect();
    let stopped = generated(&["--prompt", "the river", "--seed", "7", "--stop", &stop]);
    assert_eq!(
        stopped.trim_end(),
        text[..text.find(&stop).unwrap()].trim_end()
    );
    let penalty = [
        "--prompt",
        "the river",
        "--seed",
        "7",
        "--repetition-penalty",
        "5",
    ];
    assert_ne!(generated(&penalty), text);
}

#[test]
fn a_conversation_is_kept_saved_and_counted() {
    let place = Workplace::new();
    ended(place.train("run", &["--set", "training.max_steps=20"]), 0);
    let chat = || place.loopos(&["chat", "--model", "run", "--max-tokens", "9"]);
    let lines = "the river\n/save chat.json\n/temp 0\n/temp hot\n/nonsense\n/load absent\nstone\n/stats\n/clear\n/stats\n/help\n/exit\nnever\n";
    let (shown, log) = told(chat(), lines);
    assert!(
        shown.contains("turns          2") && shown.contains("turns          0"),
        "{shown}"
    );
    assert!(
        shown.contains("tokens/s")
            && shown.contains("temperature    0")
            && shown.contains("/save FILE"),
        "{shown}"
    );
    for piece in [
        "saved to chat.json",
        "temperature 0",
        "not a number",
        "/nonsense is no command",
        "absent",
    ] {
        assert!(log.contains(piece), "no `{piece}` in:\n{log}");
    }
    // The end of the input ends it too, and a conversation goes on from its file.
    let (shown, log) = told(chat(), "/load chat.json\n/stats\n");
    assert!(
        log.contains("1 turns from chat.json") && shown.contains("turns          1"),
        "{log}{shown}"
    );
    // The same lines and seed give the same answers.
    assert_eq!(
        told(chat(), "the river\nstone\n").0,
        told(chat(), "the river\nstone\n").0
    );
}

#[test]
fn what_cannot_be_used_is_refused_in_words() {
    let place = Workplace::new();
    trained_on_ids(&place);
    let generate = |more: &[&str]| place.loopos(&[&["generate", "--model", "ids"], more].concat());
    refused(
        generate(&["--prompt", "x"]),
        2,
        &["no tokenizer", "--tokens"],
    );
    refused(
        generate(&["--tokens", "5,53"]),
        2,
        &["token 2 is 53", "0 to 52"],
    );
    refused(generate(&["--tokens", "absent.txt"]), 2, &["absent.txt"]);
    refused(
        generate(&["--prompt", "x", "--tokens", "60"]),
        2,
        &["cannot be used with", "--tokens"],
    );
    refused(
        generate(&["--tokens", "5", "--stop", "x"]),
        2,
        &["--stop-token"],
    );
    refused(
        generate(&["--tokens", "5", "--stop-token", "53"]),
        2,
        &["0 to 52"],
    );
    refused(
        generate(&["--tokens", "5", "--repetition-penalty", "0"]),
        2,
        &["above 0"],
    );
    refused(
        place.loopos(&["chat", "--model", "ids"]),
        2,
        &["no tokenizer"],
    );
    std::fs::write(place.path("words.txt"), "5\nfive").unwrap();
    let eval = |more: &[&str]| place.loopos(&[&["eval", "--model", "ids"], more].concat());
    refused(
        eval(&["--tokens", "words.txt"]),
        2,
        &["words.txt: line 2", "five"],
    );
    refused(eval(&["--tokens", "5"]), 4, &["fewer than two tokens"]);
    refused(
        eval(&["--tokens", "5,6", "--length", "20"]),
        2,
        &["19 positions"],
    );
    refused(eval(&["--data", "text"]), 2, &["no tokenizer"]);
    let (_, log) = ended(
        eval(&["--tokens", "5,6", "--logits", "absent/l.safetensors"]),
        1,
    );
    assert!(log.contains("absent/l.safetensors"), "{log}");

    ended(export(&place, "ids", "out"), 0);
    refused(export(&place, "ids", "out"), 2, &["not empty", "--out"]);
    refused(export(&place, "text", "new"), 2, &["no trained model"]);
    assert!(!place.path("new").exists());
    let train = |more: &[&str]| {
        place.loopos(&[&["train", "--init", "out", "--out", "tuned"], more].concat())
    };
    refused(train(&[]), 2, &["no tokenizer", "--tokens"]);
    let other = ["--tokens", "ids.txt", "--set", "model.d_ff=64"];
    refused(train(&other), 2, &["model.d_ff 61", "model.d_ff 64"]);
    assert!(!place.path("tuned").exists());
    let path = place.path("out/config.json");
    let config = std::fs::read_to_string(&path).unwrap();
    for (from, to, word) in [
        ("gelu_new", "relu", "activation_function"),
        (
            "\"scale_attn_by_inverse_layer_idx\": false",
            "\"scale_attn_by_inverse_layer_idx\": true",
            "scale_attn_by_inverse_layer_idx",
        ),
        ("\"n_inner\": 61", "\"n_inner\": 62", "h.0.mlp"),
    ] {
        std::fs::write(&path, config.replace(from, to)).unwrap();
        refused(
            place.loopos(&["generate", "--model", "out", "--tokens", "5"]),
            1,
            &[word],
        );
    }
    std::fs::write(&path, config).unwrap();
    std::fs::write(place.path("out/model.safetensors"), "not a model").unwrap();
    refused(
        place.loopos(&["generate", "--model", "out", "--tokens", "5"]),
        1,
        &["model.safetensors"],
    );
}
