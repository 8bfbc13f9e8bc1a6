//! What the whole-program tests share: the program in a clean environment, and a folder with a small run in it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The program, with nothing of the caller's environment that could change what it does.
pub(crate) fn loopos(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("loopos"));
    command
        .args(arguments)
        .env_remove("LOOPOS_ISA")
        .env("NO_COLOR", "1");
    command
}

/// A folder of its own with a configuration and a text.
pub(crate) struct Workplace {
    folder: tempfile::TempDir,
}

impl Workplace {
    /// A tiny model that would train for a very long time: tests end it, or bound it by `--set training.max_steps=..`.
    pub(crate) fn new() -> Workplace {
        let folder = tempfile::tempdir().unwrap();
        let config = serde_json::json!({
            "model": {
                "type": "transformer", "d_model": 32, "num_heads": 2, "num_layers": 1, "d_ff": 64, "vocab_size": 300,
            },
            "computation": {"mode": "pretraining", "method": "autoregressive", "description": "a test"},
            "training": {
                "learning_rate": 0.01, "schedule": {"kind": "constant"}, "batch_size": 4, "max_length": 16,
                "num_epochs": 1_000_000, "max_steps": 1_000_000, "validation_every": 7, "validation_batches": 1,
                "checkpoint_every": 5, "keep_checkpoints": 2, "validation_split": 0.1,
            },
            "data": {"input_file": folder.path().join("text"), "output_dir": folder.path().join("run")},
        });
        std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        std::fs::create_dir(folder.path().join("text")).unwrap();
        for document in 0..20 {
            let path = folder.path().join(format!("text/{document:02}.txt"));
            std::fs::write(path, text(document)).unwrap();
        }
        Workplace { folder }
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with its cache in this folder.
    pub(crate) fn loopos(&self, arguments: &[&str]) -> Command {
        let mut command = loopos(arguments);
        command
            .env("XDG_CACHE_HOME", self.path("cache"))
            .current_dir(self.folder.path());
        command
    }

    /// `loopos train` on one thread into the folder `out`, with more arguments.
    pub(crate) fn train(&self, out: &str, arguments: &[&str]) -> Command {
        let mut command = self.loopos(&[
            "train",
            "--config",
            "config.json",
            "--threads",
            "1",
            "--out",
            out,
        ]);
        command.args(arguments);
        command
    }
}

/// A few thousand words of a language with a handful of them.
fn text(seed: u32) -> String {
    let words = [
        "the", "river", "runs", "under", "a", "bridge", "of", "stone", "and", "never", "stops",
        "its", "song",
    ];
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut text = String::new();
    for _ in 0..400 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(words[(state >> 16) as usize % words.len()]);
        text.push(if state >> 30 == 0 { '\n' } else { ' ' });
    }
    text
}

/// The newest checkpoint of a run and its step.
pub(crate) fn newest(run: &Path) -> Option<(u64, PathBuf)> {
    let step = |path: &Path| {
        path.file_name()?
            .to_str()?
            .strip_prefix("step-")?
            .parse()
            .ok()
    };
    let entries = std::fs::read_dir(run.join("checkpoints")).ok()?;
    entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| Some((step(&path)?, path)))
        .max()
}
