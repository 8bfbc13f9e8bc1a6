//! The model that a run starts from, and the sizes that it decides.

use std::path::Path;

use super::super::outcome::Failure;
use super::super::text_source::{no_tokenizer, say};
use super::super::trained::{self, Trained};
use crate::config::Config;
use crate::model::Shape;
use crate::text::examples::SPECIAL;
use crate::train::Plan;

/// The model to start from, which must have the planned sizes.
pub(super) fn beginning(path: &str, plan: &Plan) -> Result<Trained, Failure> {
    let model = Trained::open(Path::new(path))?;
    if !grows_into(&model.shape, &plan.shape) {
        return Err(other_sizes(Path::new(path), &model.shape, &plan.shape)
            .help("leave the sizes under `model` to the model that the run starts from"));
    }
    say(&format!("starting from the weights in {path}"));
    Ok(model)
}

/// Whether a model of the first shape can begin one of the second: that may have more tokens, for the parts of examples, and another
/// scalar head.
fn grows_into(model: &Shape, planned: &Shape) -> bool {
    let grown = Shape {
        vocab_size: planned.vocab_size,
        scalar_head: planned.scalar_head,
        ..*model
    };
    grown == *planned
        && (0..=SPECIAL.len()).contains(&planned.vocab_size.wrapping_sub(model.vocab_size))
}

/// Whether the sizes that a configuration names are those of a model, but for its vocabulary and the positions that it knows.
fn same_sizes(model: &Shape, config: &Config) -> bool {
    let wanted = trained::shape(config);
    Shape {
        vocab_size: wanted.vocab_size,
        context: wanted.context,
        scalar_head: wanted.scalar_head,
        ..*model
    } == wanted
}

/// A model has other sizes than it must have.
fn other_sizes(path: &Path, model: &Shape, wanted: &Shape) -> Failure {
    Failure::wrong_use(format!(
        "the model in {} has {}, and this run {}",
        path.display(),
        sizes(model),
        sizes(wanted)
    ))
}

/// The sizes of a model by their keys.
fn sizes(shape: &Shape) -> String {
    let values = size_keys(shape).map(|(key, value)| format!("{key} {value}"));
    values.join(", ")
}

/// The keys of a configuration that say the sizes of a model, with its values.
fn size_keys(shape: &Shape) -> [(&'static str, String); 7] {
    [
        ("model.vocab_size", shape.vocab_size.to_string()),
        ("model.context", shape.context.to_string()),
        ("model.d_model", shape.d_model.to_string()),
        ("model.num_heads", shape.heads.to_string()),
        ("model.num_layers", shape.layers.to_string()),
        ("model.d_ff", shape.d_ff.to_string()),
        ("model.tied_head", shape.tied.to_string()),
    ]
}

/// The keys that a model to start from decides. Of sequences longer than it knows positions for, the length too; for the parts of
/// examples, more tokens. Where a configuration of post-training names the model, it must have the sizes that this one names.
pub(crate) fn sizes_of(
    path: &Path,
    config: &Config,
    given: bool,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let trained = Trained::open(path)?;
    let mut shape = trained.shape;
    if config.algorithm().is_some() {
        let Some(tokenizer) = &trained.tokenizer else {
            return Err(no_tokenizer());
        };
        let special = SPECIAL
            .iter()
            .filter(|token| tokenizer.special(token).is_none());
        let wanted = config.model.vocab_size;
        let grown = tokenizer.vocab_size() + special.count();
        let same = same_sizes(&shape, config) && (wanted == shape.vocab_size || wanted == grown);
        if !given && !same {
            return Err(
                other_sizes(path, &shape, &trained::shape(config)).help(format!(
                    "train one of these sizes, or take those of the model by --init {}",
                    path.display()
                )),
            );
        }
        shape.vocab_size = shape.vocab_size.max(grown);
    }
    let mut sizes = size_keys(&shape).to_vec();
    if config.training.max_length > shape.context {
        say(&format!(
            "training.max_length: {}, as many positions as the model knows",
            shape.context
        ));
        sizes.push(("training.max_length", shape.context.to_string()));
    }
    Ok(sizes)
}
