//! The tensors of a model in one file or several: found, checked against the sizes, then read where they lie.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use serde_json::Value;

use super::half::{from_bf16, from_f16};
use super::{HuggingFaceError, INDEX, MODEL, read_text};
use crate::model::{Layout, Parameters, Shape};
use crate::train::named_tensors::tensors_mut;
use crate::train::tensor_file::{self, TensorFileError};
use crate::train::tensor_header;

/// Values converted at a time.
const CHUNK: usize = 16 * 1024;

/// The files that can be read instead are named by whoever finds only this one.
const PICKLED: &str = "pytorch_model.bin";

/// Where the values of one tensor are.
#[derive(Debug)]
struct Place {
    file: PathBuf,
    /// Of the first value from the start of the file, in bytes.
    offset: u64,
    kind: Dtype,
}

/// Where the values of every tensor are, by its name here.
#[derive(Debug)]
pub(super) struct Weights {
    places: HashMap<String, Place>,
}

impl Weights {
    /// Finds every tensor of a model of this shape and no other in a folder.
    pub(super) fn find(folder: &Path, shape: &Shape) -> Result<Weights, HuggingFaceError> {
        let layout = Layout::new(shape);
        let wanted: HashMap<&str, &[usize]> = layout
            .tensors
            .iter()
            .map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice()))
            .collect();
        let (files, mut places) = (files(folder)?, HashMap::new());
        for path in &files {
            let unreadable = |source| TensorFileError::Unreadable {
                path: path.clone(),
                source,
            };
            let mut file = File::open(path).map_err(unreadable)?;
            let header = tensor_header::read(path, &mut file)?;
            let start = file.stream_position().map_err(unreadable)?;
            // In the order of the file, so that the same file is refused by the same tensor every time.
            for name in header.offset_keys() {
                let known = name.strip_prefix("transformer.").unwrap_or(&name);
                let info = match header.info(&name) {
                    Some(info) if !is_left_out(known, shape) => info,
                    _ => continue,
                };
                let dims = wanted.get(known).ok_or_else(|| TensorFileError::Surplus {
                    path: path.clone(),
                    name: name.clone(),
                })?;
                check(path, &name, info, dims)?;
                let place = Place {
                    file: path.clone(),
                    offset: start + info.data_offsets.0 as u64,
                    kind: info.dtype,
                };
                if places.insert(known.to_owned(), place).is_some() {
                    let reason = format!("the tensor {known} is there twice");
                    return Err(TensorFileError::Malformed {
                        path: path.clone(),
                        reason,
                    }
                    .into());
                }
            }
        }
        let missing = |name: &&str| !places.contains_key(*name);
        let mut names = layout.tensors.iter().map(|tensor| tensor.name.as_str());
        match (names.find(missing), files.into_iter().next()) {
            (Some(name), Some(path)) => Err(TensorFileError::Missing {
                path,
                name: name.to_owned(),
            }
            .into()),
            _ => Ok(Weights { places }),
        }
    }

    /// Fills the parameters of the shape that the tensors were found for.
    pub(super) fn read(&self, parameters: &mut Parameters) -> Result<(), HuggingFaceError> {
        for target in tensors_mut(parameters, "") {
            // Every tensor of the layout was found.
            let Some(place) = self.places.get(&target.name) else {
                continue;
            };
            fill(place, target.values).map_err(|source| TensorFileError::Unreadable {
                path: place.file.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

/// Masks, which older versions of transformers kept as tensors, and the copy of the embedding that a tied head is.
fn is_left_out(name: &str, shape: &Shape) -> bool {
    let of_block = |name: &str| {
        let (block, tensor) = name.strip_prefix("h.")?.split_once('.')?;
        block.parse::<usize>().ok()?;
        Some(tensor == "attn.bias" || tensor == "attn.masked_bias")
    };
    of_block(name).unwrap_or(false) || shape.tied && name == "lm_head.weight"
}

fn check(
    path: &Path,
    name: &str,
    info: &TensorInfo,
    dims: &[usize],
) -> Result<(), TensorFileError> {
    let readable = matches!(info.dtype, Dtype::F32 | Dtype::F16 | Dtype::BF16);
    if readable && info.shape == dims {
        return Ok(());
    }
    let wanted = TensorInfo {
        dtype: if readable { info.dtype } else { Dtype::F32 },
        shape: dims.to_vec(),
        data_offsets: (0, 0),
    };
    Err(TensorFileError::Mismatch {
        path: path.to_owned(),
        name: name.to_owned(),
        found: tensor_header::describe(info),
        wanted: tensor_header::describe(&wanted),
    })
}

/// The one file with all tensors, or those that the index names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, HuggingFaceError> {
    let (single, index) = (folder.join(MODEL), folder.join(INDEX));
    if single.exists() {
        return Ok(vec![single]);
    }
    let refused = |what: String| HuggingFaceError::Refused {
        path: index.clone(),
        what,
    };
    if !index.exists() {
        let path = folder.join(PICKLED);
        let what = format!(
            "only {MODEL} can be read: load it with transformers and save it by save_pretrained"
        );
        return Err(HuggingFaceError::Refused { path, what });
    }
    let content: Value =
        serde_json::from_str(&read_text(&index)?).map_err(|error| refused(error.to_string()))?;
    let map = content["weight_map"]
        .as_object()
        .ok_or_else(|| refused("`weight_map` is missing".to_owned()))?;
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for (tensor, file) in map {
        // A path in the index must not lead out of the folder.
        let name = file
            .as_str()
            .filter(|name| Path::new(name).file_name() == Some(name.as_ref()))
            .ok_or_else(|| {
                refused(format!(
                    "`weight_map`: {tensor} is in {file}, which is no file of this folder"
                ))
            })?;
        if seen.insert(name) {
            files.push(folder.join(name));
        }
    }
    if files.is_empty() {
        return Err(refused("`weight_map` names no file".to_owned()));
    }
    Ok(files)
}

fn fill(place: &Place, values: &mut [f32]) -> io::Result<()> {
    let mut file = File::open(&place.file)?;
    file.seek(SeekFrom::Start(place.offset))?;
    let convert = match place.kind {
        Dtype::F16 => from_f16,
        Dtype::BF16 => from_bf16,
        _ => return tensor_file::fill(&mut file, values),
    };
    let mut bytes = [0; CHUNK * 2];
    for chunk in values.chunks_mut(CHUNK) {
        let bytes = &mut bytes[..chunk.len() * 2];
        file.read_exact(bytes)?;
        for (value, bytes) in chunk.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *value = convert(u16::from_le_bytes(*bytes));
        }
    }
    Ok(())
}
