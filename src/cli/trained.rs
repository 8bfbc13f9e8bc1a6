//! A trained model from a folder, for the commands that use one: that of a run, or one in Hugging Face's layout.

use std::path::{Path, PathBuf};

use super::outcome::{Failure, warn};
use super::text_source::load_tokenizer;
use super::workers::Workers;
use crate::config::{Algorithm, Config};
use crate::model::{
    Layout, Packed, Parameters, Shape, Switches, Unobserved, Weights as ModelWeights,
};
use crate::tensor::Arena;
use crate::text::Tokenizer;
use crate::train::checkpoint::Checkpoint;
use crate::train::digest::hexadecimal;
use crate::train::hugging_face;
use crate::train::named_tensors::{tensors, tensors_mut};
use crate::train::run_folder;
use crate::train::state::{Identity, NO_TOKENIZER};

/// A model with all that using it needs.
pub(crate) struct Trained {
    /// Its sizes.
    pub(crate) shape: Shape,
    /// Its tokenizer; without, it is fed ids.
    pub(crate) tokenizer: Option<Tokenizer>,
    /// The configuration it was trained by, where that was here.
    pub(crate) config: Option<Config>,
    weights: Weights,
}

/// Where the weights are.
enum Weights {
    Checkpoint(Box<Checkpoint>),
    HuggingFace(hugging_face::Model),
}

impl Trained {
    /// Opens the newest checkpoint of a run's folder, the one that `path` is, or the model in Hugging Face's layout in it.
    ///
    /// # Errors
    /// When there is none, or what there is is damaged or does not fit together.
    pub(crate) fn open(path: &Path) -> Result<Trained, Failure> {
        let trained = match find(path)? {
            Found::Checkpoint(folder, checkpoint) => Trained::of_run(path, &folder, checkpoint)?,
            Found::HuggingFace => Trained::of_hugging_face(path)?,
        };
        let (shape, tokenizer) = (&trained.shape, &trained.tokenizer);
        match tokenizer.as_ref().map(Tokenizer::vocab_size) {
            Some(tokens) if tokens > shape.vocab_size => Err(Failure::failed(format!(
                "the tokenizer in {} has {tokens} tokens, and the model knows {}",
                path.display(),
                shape.vocab_size
            ))),
            _ => Ok(trained),
        }
    }

    fn of_run(path: &Path, folder: &Path, checkpoint: Box<Checkpoint>) -> Result<Trained, Failure> {
        let identity = &checkpoint.state.identity;
        let config = Config::from_json(&identity.config.to_string()).map_err(|error| {
            Failure::failed(format!("the configuration of {}: {error}", path.display()))
        })?;
        Ok(Trained {
            shape: shape(&config),
            tokenizer: tokenizer_of(folder, identity)?,
            config: Some(config),
            weights: Weights::Checkpoint(checkpoint),
        })
    }

    fn of_hugging_face(path: &Path) -> Result<Trained, Failure> {
        let model = hugging_face::Model::open(path).map_err(Failure::failed)?;
        Ok(Trained {
            shape: model.shape,
            tokenizer: model
                .tokenizer()
                .map(|path| load_tokenizer(&path))
                .transpose()?,
            config: None,
            weights: Weights::HuggingFace(model),
        })
    }

    /// Its weights.
    ///
    /// # Errors
    /// When there is no memory for them, or as [`Trained::fill`].
    pub(crate) fn parameters(&self) -> Result<Parameters, Failure> {
        let layout = Layout::new(&self.shape);
        let mut arena = Arena::new(layout.len).map_err(Failure::failed)?;
        let mut parameters = Parameters::zeros(&layout, &mut arena);
        self.fill(&mut parameters)?;
        Ok(parameters)
    }

    /// Puts its weights into the parameters of a model of its shape.
    ///
    /// # Errors
    /// When the file holds other tensors than the model has, or values that are not finite.
    pub(crate) fn fill(&self, parameters: &mut Parameters) -> Result<(), Failure> {
        match &self.weights {
            Weights::Checkpoint(checkpoint) => checkpoint
                .read_model(&mut tensors_mut(parameters, ""))
                .map_err(Failure::failed)?,
            Weights::HuggingFace(model) => model.read(parameters).map_err(Failure::failed)?,
        }
        let spoilt = |values: &[f32]| values.iter().any(|value| !value.is_finite());
        match tensors(parameters, "")
            .iter()
            .find(|tensor| spoilt(tensor.values))
        {
            Some(tensor) => Err(Failure::failed(format!(
                "{} of this model has values that are not finite",
                tensor.name
            ))),
            None => Ok(()),
        }
    }

    /// Puts its weights into the parameters of a model that has more tokens or another scalar head; what that has beyond keeps its
    /// values.
    ///
    /// # Errors
    /// As [`Trained::parameters`].
    pub(crate) fn fill_grown(&self, parameters: &mut Parameters) -> Result<(), Failure> {
        if parameters.layout == Layout::new(&self.shape) {
            return self.fill(parameters);
        }
        let own = self.parameters()?;
        for (tensor, values) in own.tensors() {
            if let Some(grown) = parameters.tensor_mut(&tensor.name) {
                grown[..values.len()].copy_from_slice(values);
            }
        }
        Ok(())
    }

    /// Its weights, also in panels, for generation on these workers.
    ///
    /// # Errors
    /// As [`Trained::parameters`].
    pub(crate) fn ready(&self, workers: &Workers) -> Result<Ready, Failure> {
        let parameters = self.parameters()?;
        let len = Packed::len(workers.isa, &self.shape);
        let mut arena = Arena::new(len).map_err(Failure::failed)?;
        let mut packed = Packed::new(workers.isa, &self.shape, &mut arena, Switches::default());
        workers.pool.assemble(|| {
            packed.update(&workers.compute(), &parameters, false, &mut Unobserved);
        });
        Ok(Ready { parameters, packed })
    }

    /// Whether it was trained to judge responses, not to write them.
    pub(crate) fn gives_rewards(&self) -> bool {
        let algorithm = self.config.as_ref().and_then(Config::algorithm);
        algorithm == Some(Algorithm::RewardModel)
    }

    /// Tokens of the sequences that it was trained on, or that it knows positions for.
    pub(crate) fn length(&self) -> usize {
        let trained = |config: &Config| config.training.max_length;
        self.config.as_ref().map_or(self.shape.context, trained)
    }
}

/// The weights of a model that generates.
pub(crate) struct Ready {
    parameters: Parameters,
    packed: Packed,
}

impl Ready {
    /// As the model asks for them.
    pub(crate) fn weights(&self) -> ModelWeights<'_> {
        ModelWeights {
            parameters: &self.parameters,
            packed: &self.packed,
        }
    }
}

/// The tokenizer of a run, which must be the one it was trained with.
///
/// # Errors
/// When it is missing, damaged or another one.
pub(crate) fn tokenizer_of(
    folder: &Path,
    identity: &Identity,
) -> Result<Option<Tokenizer>, Failure> {
    if identity.tokenizer_sha256 == NO_TOKENIZER {
        return Ok(None);
    }
    let path = run_folder::tokenizer(folder);
    let tokenizer = load_tokenizer(&path)?;
    if hexadecimal(&tokenizer.key()) != identity.tokenizer_sha256 {
        let what = format!(
            "{} is not the tokenizer that this model was trained with",
            path.display()
        );
        return Err(Failure::failed(what).help("put back the tokenizer.json of this run"));
    }
    Ok(Some(tokenizer))
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
        scalar_head: config.has_scalar_head(),
    }
}

/// What is in a folder.
enum Found {
    /// The folder of the run, and the checkpoint meant.
    Checkpoint(PathBuf, Box<Checkpoint>),
    HuggingFace,
}

fn find(path: &Path) -> Result<Found, Failure> {
    if path.join("state.json").exists() {
        let absolute = path
            .canonicalize()
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        let folder = absolute.ancestors().nth(2).unwrap_or(&absolute).to_owned();
        let checkpoint = Checkpoint::open(path).map_err(Failure::failed)?;
        return Ok(Found::Checkpoint(folder, Box::new(checkpoint)));
    }
    if hugging_face::Model::is_in(path) {
        return Ok(Found::HuggingFace);
    }
    let (newest, refused) = run_folder::checkpoints(path)
        .latest()
        .map_err(Failure::failed)?;
    refused
        .iter()
        .for_each(|error| warn(format!("{error}; the checkpoint before it is used")));
    match newest {
        Some(checkpoint) => Ok(Found::Checkpoint(path.to_owned(), Box::new(checkpoint))),
        None if refused.is_empty() => Err(Failure::wrong_use(format!(
            "{} has no trained model",
            path.display()
        ))
        .help(
            "give the output folder of `loopos train`, one of its checkpoints/step-.., or a folder with a GPT-2 in Hugging Face's \
             layout: config.json and model.safetensors",
        )),
        None => Err(Failure::failed(format!(
            "no checkpoint in {} can be used",
            path.display()
        ))),
    }
}
