//! What is fuzzed: one file a target, and the list of them.

mod checkpoint;
mod config;
mod counters;
mod examples;
mod history;
mod hugging_face_config;
mod hugging_face_weights;
mod ids;
mod log;
mod machine;
mod page;
mod run;
mod tensors;
mod tokenizer;

use std::path::PathBuf;
use std::sync::OnceLock;

/// One thing that the program reads.
pub(crate) struct Target {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Reads an input; panics where a promise is broken.
    pub(crate) run: fn(&[u8]),
    /// Inputs that are right, or nearly.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Bytes of memory that it may take beside twice the input.
    pub(crate) slack: usize,
}

/// Every target.
pub(crate) const ALL: [&Target; 14] = [
    &checkpoint::TARGET,
    &config::TARGET,
    &counters::TARGET,
    &examples::TARGET,
    &history::TARGET,
    &hugging_face_config::TARGET,
    &hugging_face_weights::TARGET,
    &ids::TARGET,
    &log::TARGET,
    &machine::TARGET,
    &page::TARGET,
    &run::TARGET,
    &tensors::TARGET,
    &tokenizer::TARGET,
];

/// A folder of this process, in memory where the system has such; `scripts/fuzz` removes what is left of it.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let shared = PathBuf::from("/dev/shm");
        let above = if shared.is_dir() {
            shared
        } else {
            std::env::temp_dir()
        };
        let path = above.join(format!("loopos-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        path
    })
}

/// The sizes of a model that takes little time.
const SHAPE: loopos::model::Shape = loopos::model::Shape {
    vocab_size: 5,
    context: 3,
    d_model: 4,
    heads: 2,
    layers: 1,
    d_ff: 8,
    tied: true,
    scalar_head: false,
};

/// The tensors of that model as a file.
fn weights() -> Vec<u8> {
    let layout = loopos::model::Layout::new(&SHAPE);
    let values: Vec<f32> = (0..layout.len).map(|number| number as f32 * 0.01).collect();
    let tensors: Vec<_> = layout
        .tensors
        .iter()
        .map(|tensor| loopos::train::tensor_file::Tensor {
            name: tensor.name.clone(),
            dims: &tensor.dims,
            values: &values[..tensor.dims.iter().product()],
        })
        .collect();
    let path = folder().join("seed.safetensors");
    let _ = std::fs::remove_file(&path);
    loopos::train::tensor_file::write(&path, &tensors).expect("a file in a temporary folder");
    std::fs::read(path).expect("what was just written")
}
