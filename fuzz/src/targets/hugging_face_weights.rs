//! Weights in Hugging Face's layout: the index of several files, a zero byte, then one of the files that it names.

use std::fs;

use loopos::model::{Layout, Parameters};
use loopos::tensor::Arena;
use loopos::train::hugging_face::Model;

use super::{SHAPE, Target, folder, hugging_face_config, weights};

pub(super) const TARGET: Target = Target {
    name: "hugging_face_weights",
    run,
    seeds,
    slack: 2 << 20,
};

/// Without an index, with one, and with one that leads elsewhere.
fn seeds() -> Vec<Vec<u8>> {
    let index = |file: &str| {
        serde_json::json!({"metadata": {"total_size": 1}, "weight_map": {"wte.weight": file}})
            .to_string()
    };
    [
        "".to_owned(),
        index("part.safetensors"),
        index("../part.safetensors"),
    ]
    .map(|index| [index.as_bytes(), &[0], &weights()].concat())
    .into()
}

fn run(data: &[u8]) {
    let path = folder().join("weighed");
    if !path.exists() {
        fs::create_dir(&path).expect("a temporary folder");
        fs::write(path.join("config.json"), &hugging_face_config::seeds()[0])
            .expect("a file in a temporary folder");
    }
    let end = data
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(data.len());
    let (index, file) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let single = path.join("model.safetensors");
    if index.is_empty() {
        fs::write(&single, file).expect("a file in a temporary folder");
    } else {
        let _ = fs::remove_file(&single);
        fs::write(path.join("model.safetensors.index.json"), index)
            .expect("a file in a temporary folder");
        fs::write(path.join("part.safetensors"), file).expect("a file in a temporary folder");
    }
    if let Ok(model) = Model::open(&path) {
        let layout = Layout::new(&SHAPE);
        let mut arena = Arena::new(layout.len).expect("memory");
        let mut parameters = Parameters::zeros(&layout, &mut arena);
        model.read(&mut parameters).expect("what was found is read");
    }
}
