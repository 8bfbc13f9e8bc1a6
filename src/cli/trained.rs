//! A trained model from the folder of its run, for the commands that use one.

use std::path::{Path, PathBuf};

use super::outcome::{Failure, warn};
use super::text_source::load_tokenizer;
use crate::config::Config;
use crate::model::{Layout, Parameters, Shape};
use crate::tensor::Arena;
use crate::text::Tokenizer;
use crate::train::checkpoint::Checkpoint;
use crate::train::digest::hexadecimal;
use crate::train::named_tensors::tensors_mut;
use crate::train::run_folder;

/// A model with all that using it needs.
pub(crate) struct Trained {
    /// The configuration it was trained by.
    pub(crate) config: Config,
    /// Its sizes.
    pub(crate) shape: Shape,
    /// Its tokenizer.
    pub(crate) tokenizer: Tokenizer,
    /// The checkpoint with its weights.
    pub(crate) checkpoint: Checkpoint,
}

impl Trained {
    /// Opens the newest checkpoint of a run's folder, or the one that `path` is.
    ///
    /// # Errors
    /// When there is none, or what there is is damaged or does not fit together.
    pub(crate) fn open(path: &Path) -> Result<Trained, Failure> {
        let (folder, checkpoint) = find(path)?;
        let identity = &checkpoint.state.identity;
        let config = Config::from_json(&identity.config.to_string()).map_err(|error| {
            Failure::failed(format!("the configuration of {}: {error}", path.display()))
        })?;
        let tokenizer = load_tokenizer(&run_folder::tokenizer(&folder))?;
        if hexadecimal(&tokenizer.key()) != identity.tokenizer_sha256 {
            let what = format!(
                "{} is not the tokenizer that this model was trained with",
                run_folder::tokenizer(&folder).display()
            );
            return Err(Failure::failed(what).help("put back the tokenizer.json of this run"));
        }
        let shape = shape(&config);
        Ok(Trained {
            config,
            shape,
            tokenizer,
            checkpoint,
        })
    }

    /// Its weights.
    ///
    /// # Errors
    /// When there is no memory for them or the file holds other tensors than the configuration's model has.
    pub(crate) fn parameters(&self) -> Result<Parameters, Failure> {
        let layout = Layout::new(&self.shape);
        let mut arena = Arena::new(layout.len).map_err(Failure::failed)?;
        let mut parameters = Parameters::zeros(&layout, &mut arena);
        self.checkpoint
            .read_model(&mut tensors_mut(&mut parameters, ""))
            .map_err(Failure::failed)?;
        Ok(parameters)
    }
}

/// The sizes of a configuration's model.
pub(crate) fn shape(config: &Config) -> Shape {
    let model = &config.model;
    Shape {
        vocab_size: model.vocab_size,
        context: config.context(),
        d_model: model.d_model,
        heads: model.num_heads,
        layers: model.num_layers,
        d_ff: model.d_ff,
        tied: model.tied_head,
    }
}

/// The folder of the run and the checkpoint meant.
fn find(path: &Path) -> Result<(PathBuf, Checkpoint), Failure> {
    if path.join("state.json").exists() {
        let absolute = path
            .canonicalize()
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        let folder = absolute.ancestors().nth(2).unwrap_or(&absolute).to_owned();
        return Ok((folder, Checkpoint::open(path).map_err(Failure::failed)?));
    }
    let (newest, refused) = run_folder::checkpoints(path)
        .latest()
        .map_err(Failure::failed)?;
    refused
        .iter()
        .for_each(|error| warn(format!("{error}; the checkpoint before it is used")));
    match newest {
        Some(checkpoint) => Ok((path.to_owned(), checkpoint)),
        None if refused.is_empty() => Err(Failure::wrong_use(format!(
            "{} has no trained model",
            path.display()
        ))
        .help("give the output folder of `loopos train`, or one of its checkpoints/step-..")),
        None => Err(Failure::failed(format!(
            "no checkpoint in {} can be used",
            path.display()
        ))),
    }
}
