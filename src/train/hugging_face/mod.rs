//! Models in the layout of Hugging Face's GPT-2: a folder with `config.json`, `model.safetensors` (or several, with an index) and
//! `tokenizer.json`, as `GPT2LMHeadModel.save_pretrained` writes and `from_pretrained` reads it
//! (<https://github.com/huggingface/transformers>, `models/gpt2`).
//!
//! Tensors have the same names and orientations here and there; what this program would not compute exactly is refused by name.

mod config;
mod export;
mod half;
mod weights;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use export::{Vocabulary, export};

use super::tensor_file::TensorFileError;
use crate::bounded;
use crate::model::{Parameters, Shape};
use weights::Weights;

const CONFIG: &str = "config.json";
const MODEL: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const TOKENIZER: &str = "tokenizer.json";

/// No configuration or index is larger.
const LONGEST_JSON: u64 = 8 << 20;

/// Why a model cannot be used, or written.
#[derive(Debug, thiserror::Error)]
pub enum HuggingFaceError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A description that is damaged, or of a model that is computed otherwise than here.
    #[error("{}: {what}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its key.
        what: String,
    },
    /// Tensors that are damaged or do not fit the description.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// The folder to write to holds something.
    #[error("{} exists already and is not empty", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
}

/// A model whose description and tensors have been checked against each other.
#[derive(Debug)]
pub struct Model {
    /// Its sizes.
    pub shape: Shape,
    folder: PathBuf,
    weights: Weights,
}

impl Model {
    /// Whether a folder has the layout, so that [`Model::open`] says what is wrong with it if something is.
    pub fn is_in(folder: &Path) -> bool {
        let weights = [MODEL, INDEX, "pytorch_model.bin"];
        folder.join(CONFIG).exists() && weights.iter().any(|name| folder.join(name).exists())
    }

    /// Reads the description and the tensors' names, sizes and types; no memory is taken for their values.
    ///
    /// # Errors
    /// When a file cannot be read, is damaged, or describes something other than this program computes.
    pub fn open(folder: &Path) -> Result<Model, HuggingFaceError> {
        let path = folder.join(CONFIG);
        let refused = |what| HuggingFaceError::Refused {
            path: path.clone(),
            what,
        };
        let shape = config::shape(&read_text(&path)?).map_err(refused)?;
        let weights = Weights::find(folder, &shape)?;
        Ok(Model {
            shape,
            folder: folder.to_owned(),
            weights,
        })
    }

    /// Fills the parameters of this shape; half-precision values are converted, which is exact.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&self, parameters: &mut Parameters) -> Result<(), HuggingFaceError> {
        self.weights.read(parameters)
    }

    /// Its `tokenizer.json`, where it has one.
    pub fn tokenizer(&self) -> Option<PathBuf> {
        let path = self.folder.join(TOKENIZER);
        path.exists().then_some(path)
    }
}

/// The whole of a text file of bounded size.
fn read_text(path: &Path) -> Result<String, HuggingFaceError> {
    let unreadable = |source| HuggingFaceError::Read {
        path: path.to_owned(),
        source,
    };
    bounded::read_text(path, LONGEST_JSON).map_err(unreadable)
}

/// Whether there is nothing at `path`, or an empty folder.
fn is_vacant(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests;
