//! The `state.json` of a checkpoint whose digests are right: whoever writes one can write the other.

use std::fs;

use loopos::train::checkpoint::Checkpoint;
use loopos::train::schedule::Progress;
use loopos::train::state::{Identity, State};
use sha2::{Digest, Sha256};

use super::{Target, folder, weights};

pub(super) const TARGET: Target = Target {
    name: "checkpoint",
    run,
    seeds,
    slack: 1 << 20,
};

/// The state of a run at its beginning, and one with everything in it.
fn seeds() -> Vec<Vec<u8>> {
    let identity = Identity {
        config: serde_json::json!({"model": {"d_model": 4}, "training": {"seed": 1, "learning_rate": 0.01}}),
        tokenizer_sha256: "0".repeat(64),
        data_sha256: "1".repeat(64),
        isa: "avx2".to_owned(),
        l1_bytes: 32768,
        threads: 2,
    };
    let first = State::new(identity);
    let mut later = first.clone();
    (
        later.step,
        later.updates,
        later.tokens,
        later.skipped_in_a_row,
    ) = (100, 98, 6400, 2);
    later.schedule = Progress {
        best: Some(3.5),
        stale: 1,
        reductions: 2,
    };
    later.history.step(4.5);
    later.recent_losses = vec![4.5, 4.25];
    later.memory = Some(0.125);
    [first, later]
        .iter()
        .map(|state| serde_json::to_vec(state).expect("a state is JSON"))
        .collect()
}

fn run(data: &[u8]) {
    let path = folder().join("step-000100");
    let of_model = path.join("model.safetensors");
    if !path.exists() {
        fs::create_dir(&path).expect("a temporary folder");
        fs::write(&of_model, weights()).expect("a file in a temporary folder");
        fs::copy(&of_model, path.join("optimizer.safetensors"))
            .expect("a file in a temporary folder");
    }
    let digest = |bytes: &[u8]| -> String {
        Sha256::digest(bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let of_weights = digest(&fs::read(&of_model).expect("what was written"));
    let sums = format!(
        "{of_weights}  model.safetensors\n{of_weights}  optimizer.safetensors\n{}  state.json\n",
        digest(data)
    );
    fs::write(path.join("SHA256SUMS"), sums).expect("a file in a temporary folder");
    fs::write(path.join("state.json"), data).expect("a file in a temporary folder");
    if let Ok(checkpoint) = Checkpoint::open(&path) {
        let again = serde_json::to_vec(&checkpoint.state).expect("a state is JSON");
        let again: State = serde_json::from_slice(&again).expect("what was written is read again");
        assert_eq!(again, checkpoint.state);
    }
}
