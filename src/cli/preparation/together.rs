//! What rank 0 alone reads, made known to the others: the hosts need not share a disk.

use super::super::outcome::Failure;
use super::super::ranks::Ranks;
use super::super::text_source::Vocabulary;
use crate::config::Config;
use crate::text::Tokenizer;
use crate::train::Trainer;
use crate::train::state::State;

/// Before a tokenizer's file, where there is one; else one of these alone.
const KNOWN: u8 = b'k';
const LEARNT: u8 = b'l';
const MISSING: u8 = b'm';

/// Refuses what is not shared among ranks.
///
/// # Errors
/// For post-training, and where a rank would have no row of a batch.
pub(super) fn check(config: &Config, ranks: &Ranks) -> Result<(), Failure> {
    let (count, rows) = (ranks.count(), config.training.batch_size);
    if count > 1 && config.algorithm().is_some() {
        return Err(Failure::wrong_use(format!(
            "post-training runs in one process, and this is one of {count}"
        ))
        .help("start it without mpirun or srun; pretraining is what ranks share"));
    }
    if count > rows {
        return Err(Failure::wrong_use(format!(
            "training.batch_size is {rows}: {count} ranks cannot each have a sequence of it"
        ))
        .help("start fewer ranks, or set a larger training.batch_size"));
    }
    Ok(())
}

/// The vocabulary of rank 0.
///
/// # Errors
/// When what it sent is no tokenizer of this program.
pub(super) fn vocabulary(
    ranks: &Ranks,
    own: Option<Vocabulary>,
    size: usize,
) -> Result<Vocabulary, Failure> {
    if ranks.count() == 1 {
        return Ok(own.unwrap_or(Vocabulary::Learnt(size)));
    }
    let bytes = match &own {
        Some(Vocabulary::Known(tokenizer)) => [&[KNOWN], tokenizer.json().as_bytes()].concat(),
        Some(Vocabulary::Missing) => vec![MISSING],
        Some(Vocabulary::Learnt(_)) | None => vec![LEARNT],
    };
    let heard = ranks.hear(bytes);
    if let Some(own) = own {
        return Ok(own);
    }
    match heard.split_first() {
        Some((&KNOWN, json)) => {
            let json = String::from_utf8_lossy(json);
            let tokenizer = Tokenizer::from_json(&json).map_err(Failure::failed)?;
            Ok(Vocabulary::Known(Box::new(tokenizer)))
        }
        Some((&MISSING, _)) => Ok(Vocabulary::Missing),
        _ => Ok(Vocabulary::Learnt(size)),
    }
}

/// The state of rank 0, which alone knows the checkpoint.
///
/// # Errors
/// When what it sent is no state.
pub(super) fn state(ranks: &Ranks, own: State) -> Result<State, Failure> {
    let json = serde_json::to_vec(&own).map_err(Failure::failed)?;
    let heard = ranks.hear(json);
    if ranks.is_first() {
        return Ok(own);
    }
    serde_json::from_slice(&heard).map_err(Failure::failed)
}

/// Gives the trainer of every rank the weights and moments of rank 0's, and has it share batches from now on.
///
/// # Errors
/// When there is no memory for its part of the moments.
pub(super) fn join(ranks: &Ranks, trainer: &mut Trainer, updates: u64) -> Result<(), Failure> {
    let Some(fleet) = ranks.fleet() else {
        return Ok(());
    };
    let is_shared = trainer.plan().sharing.optimizer;
    let [weights, first, second] = trainer.restore(updates);
    fleet.spread(&mut weights.values);
    // Before the first update the moments are zeros; of shared ones each takes its part when it joins.
    if updates > 0 && !is_shared {
        fleet.spread(&mut first.values);
        fleet.spread(&mut second.values);
    }
    trainer
        .join(std::sync::Arc::clone(fleet))
        .map_err(Failure::failed)
}
