//! A run of post-training without a folder: what a suite measures.

use std::sync::Arc;

use super::super::outcome::Failure;
use super::super::text_source::{self, Vocabulary};
use super::super::workers::Workers;
use super::{Material, beginning, material, settings};
use crate::config::Config;
use crate::suites::Begun;
use crate::text::examples::SPECIAL;
use crate::train::{Plan, Trainer};

/// Who learns what, from the weights of `data.pretrained_weights`, or from random ones and a tokenizer that is learnt from the text of
/// the configuration where it names none.
///
/// # Errors
/// As a run of the configuration would fail.
pub(crate) fn lesson(config: &Config, workers: &Workers, plan: &Plan) -> Result<Begun, Failure> {
    let path = config.data.pretrained_weights.as_deref();
    let mut model = path.map(|path| beginning(path, plan)).transpose()?;
    let vocabulary = match &mut model {
        Some(model) => Vocabulary::of_model(model.tokenizer.take()),
        None => {
            let size = plan.shape.vocab_size - SPECIAL.len();
            let read = || text_source::of(config, Vocabulary::Learnt(size));
            Vocabulary::of_model(workers.pool.install(read)?.tokenizer)
        }
    };
    let Material { task, .. } = material(config, workers, plan, vocabulary)?;
    let pool = Arc::clone(&workers.pool);
    let mut trainer = Trainer::new(plan, pool, config.training.seed).map_err(Failure::failed)?;
    if let Some(model) = &model {
        let [weights, ..] = trainer.restore(0);
        model.fill_grown(weights)?;
    }
    let settings = settings(config, &*task);
    Ok(Begun {
        trainer,
        task,
        schedule: settings.schedule,
        steps: settings.steps,
    })
}
