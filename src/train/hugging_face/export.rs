//! Writing the layout: a folder that appears whole or not at all.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{CONFIG, HuggingFaceError, MODEL, TOKENIZER, config, is_vacant};
use crate::atomic;
use crate::model::{Parameters, Shape};
use crate::train::digest;
use crate::train::named_tensors::tensors;
use crate::train::tensor_file;

/// The tokenizer of a model to be written.
#[derive(Clone, Copy, Debug)]
pub struct Vocabulary<'a> {
    /// Its `tokenizer.json`.
    pub json: &'a str,
    /// The spelling of its end of text.
    pub end_of_text: &'a str,
    /// The id of its end of text.
    pub end_of_text_id: u32,
}

/// Writes a model into a new folder, in f32.
///
/// # Errors
/// When there is something in the folder already, or the disk does not take it; then nothing is left behind. What an export to the same
/// folder has left that was killed is removed.
pub fn export(
    folder: &Path,
    shape: &Shape,
    parameters: &Parameters,
    vocabulary: Option<Vocabulary<'_>>,
) -> Result<(), HuggingFaceError> {
    if !is_vacant(folder) {
        return Err(HuggingFaceError::Occupied {
            path: folder.to_owned(),
        });
    }
    let temporary = atomic::temporary(folder).map_err(failed(folder))?;
    let above = temporary.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(above).map_err(failed(above))?;
    // A model may be gigabytes, which nobody looks for under such a name. What cannot be removed is in nobody's way.
    let _ = atomic::sweep_beside(folder, Duration::ZERO);
    let done = write(&temporary, shape, parameters, vocabulary)
        .and_then(|()| fs::rename(&temporary, folder).map_err(failed(folder)))
        .and_then(|()| digest::sync_folder(above).map_err(failed(above)));
    if done.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_dir_all(&temporary);
    }
    done
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> HuggingFaceError {
    let path = path.to_owned();
    move |source| HuggingFaceError::Write { path, source }
}

fn write(
    folder: &Path,
    shape: &Shape,
    parameters: &Parameters,
    vocabulary: Option<Vocabulary<'_>>,
) -> Result<(), HuggingFaceError> {
    fs::create_dir(folder).map_err(failed(folder))?;
    let end_of_text = vocabulary.map(|vocabulary| vocabulary.end_of_text_id);
    write_json(folder, CONFIG, &config::describe(shape, end_of_text))?;
    if let Some(vocabulary) = vocabulary {
        let tokenizer = with_merges_as_text(vocabulary.json)
            .map_err(|error| failed(&folder.join(TOKENIZER))(error.into()))?;
        write_json(folder, TOKENIZER, &tokenizer)?;
        let end = vocabulary.end_of_text;
        let description = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": shape.context,
            "bos_token": end,
            "eos_token": end,
            "unk_token": end,
            "clean_up_tokenization_spaces": false,
        });
        write_json(folder, "tokenizer_config.json", &description)?;
    }
    let mut named = tensors(parameters, "transformer.");
    // A scalar head served training: a GPT2LMHeadModel has no place for it, and reading refuses what has none.
    named.retain(|tensor| tensor.name != "transformer.score.weight");
    for tensor in &mut named {
        // The head is beside the transformer, not in it.
        if let Some(head @ "lm_head.weight") = tensor.name.strip_prefix("transformer.") {
            tensor.name = head.to_owned();
        }
    }
    let path = folder.join(MODEL);
    tensor_file::write(&path, &named).map_err(failed(&path))?;
    digest::sync_folder(folder).map_err(failed(folder))
}

fn write_json(folder: &Path, name: &str, value: &Value) -> Result<(), HuggingFaceError> {
    let path = folder.join(name);
    digest::create(&path, |file| writeln!(file, "{value:#}"))
        .map(drop)
        .map_err(failed(&path))
}

/// A `tokenizer.json` with each merge as `"a b"` instead of `["a", "b"]`, which every version of the tokenizers library reads.
/// Nothing is lost: in byte-level BPE no token has a space.
fn with_merges_as_text(json: &str) -> serde_json::Result<Value> {
    let mut tokenizer: Value = serde_json::from_str(json)?;
    if let Some(Value::Array(merges)) = tokenizer.pointer_mut("/model/merges") {
        for merge in merges {
            if let Some([Value::String(one), Value::String(other)]) =
                merge.as_array().map(Vec::as_slice)
            {
                *merge = Value::String(format!("{one} {other}"));
            }
        }
    }
    Ok(tokenizer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_become_text_and_stay_what_they_are() {
        let old = json!({"model": {"merges": ["a b"]}, "version": "1.0"});
        let new = json!({"model": {"merges": [["a", "b"]]}, "version": "1.0"});
        for tokenizer in [&old, &new] {
            assert_eq!(with_merges_as_text(&tokenizer.to_string()).unwrap(), old);
        }
    }
}
