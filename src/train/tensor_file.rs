//! Named f32 tensors in a safetensors file, streamed: neither writing nor reading holds a second copy of a model in memory.
//!
//! The layout is that of <https://github.com/huggingface/safetensors>: eight bytes with the length of a JSON header, the header,
//! then the values of all tensors, little-endian and without gaps.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::{digest, disk_space, tensor_header};
use crate::atomic;
use crate::units::Bytes;

/// Values converted to or from bytes at a time.
const CHUNK: usize = 16 * 1024;

/// A tensor to write.
#[derive(Clone, Debug)]
pub struct Tensor<'a> {
    /// Its name, as in `h.0.attn.c_attn.weight`.
    pub name: String,
    /// Its dimensions, outermost first.
    pub dims: &'a [usize],
    /// Its values in row-major order, as many as the product of `dims`.
    pub values: &'a [f32],
}

/// A tensor to fill.
#[derive(Debug)]
pub struct TensorMut<'a> {
    /// Its name.
    pub name: String,
    /// The dimensions that the file must agree with.
    pub dims: &'a [usize],
    /// Where its values go.
    pub values: &'a mut [f32],
}

/// Why a tensor file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what the format demands.
    #[error("{} is not a valid safetensors file: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that the model needs is not in the file.
    #[error("{} has no tensor {name}, which this model needs", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The file has a tensor that the model does not.
    #[error("{} has a tensor {name}, which this model does not", path.display())]
    Surplus {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor has other dimensions or another type than the model's.
    #[error("{name} is {found} in {}, and {wanted} in this model", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Type and dimensions in the file.
        found: String,
        /// Type and dimensions in the model.
        wanted: String,
    },
}

/// Writes the tensors to a new file, in the order given, and returns its SHA-256 once the disk has it.
///
/// # Errors
/// When the file exists already or cannot be written, or when a tensor's values are not as many as its dimensions say.
pub fn write(path: &Path, tensors: &[Tensor<'_>]) -> io::Result<String> {
    let header =
        header(tensors).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    digest::create(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        let mut bytes = Vec::with_capacity(CHUNK * 4);
        for chunk in tensors
            .iter()
            .flat_map(|tensor| tensor.values.chunks(CHUNK))
        {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            writer.write_all(&bytes)?;
        }
        Ok(())
    })
}

/// Writes a file of one tensor whose values come part by part, and returns its bytes: `more` replaces the values by the next ones,
/// or returns false when there are none left. The file appears whole or not at all.
///
/// # Errors
/// When the disk has no room for it, before anything is written; when it cannot be written; the errors of `more`; when the values
/// are not as many as `dims` say.
pub fn write_stream(
    path: &Path,
    name: &str,
    dims: &[usize],
    mut more: impl FnMut(&mut Vec<f32>) -> io::Result<bool>,
) -> io::Result<u64> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidInput, what);
    let promised: usize = dims.iter().product();
    let bytes = size_of::<f32>() * promised;
    let info = TensorInfo {
        dtype: Dtype::F32,
        shape: dims.to_vec(),
        data_offsets: (0, bytes),
    };
    let header =
        header_of(vec![(name.to_owned(), info)]).map_err(|error| invalid(error.to_string()))?;
    let total = 8 + header.len() as u64 + bytes as u64;
    let folder = path.parent().filter(|above| !above.as_os_str().is_empty());
    let room = disk_space::available(folder.unwrap_or(Path::new(".")))?;
    if room < total {
        let (room, total) = (Bytes(room as f64), Bytes(total as f64));
        let what = format!("the disk has {room} left, and the file needs {total}");
        return Err(io::Error::new(io::ErrorKind::StorageFull, what));
    }
    atomic::write(path, |writer| {
        writer.write_all(&(header.len() as u64).to_le_bytes())?;
        writer.write_all(&header)?;
        let (mut values, mut written) = (Vec::new(), 0);
        while more(&mut values)? {
            for value in &values {
                writer.write_all(&value.to_le_bytes())?;
            }
            written += values.len();
        }
        if written != promised {
            return Err(invalid(format!("{written} values of {promised} came")));
        }
        Ok(())
    })?;
    Ok(total)
}

/// The bytes that `write` makes of these tensors, all but exactly: the header is a few bytes more or less.
pub fn size(tensors: &[Tensor<'_>]) -> u64 {
    let header = 8 + 128 * tensors.len() as u64;
    tensors
        .iter()
        .map(|tensor| size_of_val(tensor.values) as u64)
        .sum::<u64>()
        + header
}

/// Fills the targets from a file, which must hold exactly these tensors.
///
/// The targets' values are unspecified after an error.
///
/// # Errors
/// When the file cannot be read, is malformed, or holds other tensors than the targets.
pub fn read(path: &Path, targets: &mut [TensorMut<'_>]) -> Result<(), TensorFileError> {
    let unreadable = |source| TensorFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = tensor_header::read(path, &mut file)?;
    for name in metadata.offset_keys() {
        let target = targets
            .iter_mut()
            .find(|target| target.name == name)
            .ok_or_else(|| TensorFileError::Surplus {
                path: path.to_owned(),
                name: name.clone(),
            })?;
        let found = metadata
            .info(&name)
            .map_or_else(String::new, tensor_header::describe);
        let wanted = tensor_header::describe(&TensorInfo {
            dtype: Dtype::F32,
            shape: target.dims.to_vec(),
            data_offsets: (0, 0),
        });
        if found != wanted {
            return Err(TensorFileError::Mismatch {
                path: path.to_owned(),
                name,
                found,
                wanted,
            });
        }
        fill(&mut file, target.values).map_err(unreadable)?;
    }
    match targets
        .iter()
        .find(|target| metadata.info(&target.name).is_none())
    {
        Some(target) => Err(TensorFileError::Missing {
            path: path.to_owned(),
            name: target.name.clone(),
        }),
        None => Ok(()),
    }
}

fn header(tensors: &[Tensor<'_>]) -> Result<Vec<u8>, SafeTensorError> {
    let mut end = 0;
    let infos = tensors
        .iter()
        .map(|tensor| {
            let start = end;
            end += size_of_val(tensor.values);
            let info = TensorInfo {
                dtype: Dtype::F32,
                shape: tensor.dims.to_vec(),
                data_offsets: (start, end),
            };
            (tensor.name.to_owned(), info)
        })
        .collect();
    header_of(infos)
}

fn header_of(infos: Vec<(String, TensorInfo)>) -> Result<Vec<u8>, SafeTensorError> {
    // Hugging Face's loader asks for this entry.
    let marks = [("format".to_owned(), "pt".to_owned())].into();
    let mut header = serde_json::to_vec(&Metadata::new(Some(marks), infos)?)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

/// Reads values from where the file stands.
pub(super) fn fill(file: &mut File, values: &mut [f32]) -> io::Result<()> {
    let mut bytes = [0; CHUNK * 4];
    for chunk in values.chunks_mut(CHUNK) {
        let bytes = &mut bytes[..chunk.len() * 4];
        file.read_exact(bytes)?;
        for (value, bytes) in chunk.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::tensor_header::HEADER_LIMIT;
    use super::*;
    use safetensors::SafeTensors;
    use std::fs;

    const DIMS: [&[usize]; 3] = [&[3, 5], &[7], &[2, 20_000]];

    fn values() -> [Vec<f32>; 3] {
        let mut bits = 1_u32;
        let mut next = || {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from_bits(bits)
        };
        DIMS.map(|dims| (0..dims.iter().product()).map(|_| next()).collect())
    }

    fn sample(values: &[Vec<f32>; 3]) -> Vec<Tensor<'_>> {
        let names = ["wte.weight", "a", "h.0.mlp.c_fc.weight"];
        (0..3)
            .map(|i| Tensor {
                name: names[i].to_owned(),
                dims: DIMS[i],
                values: &values[i],
            })
            .collect()
    }

    fn read_back(path: &Path, sizes: [&[usize]; 3]) -> Result<Vec<Vec<f32>>, TensorFileError> {
        let mut values = sizes.map(|dims| vec![0.0; dims.iter().product()]);
        let names = ["a", "h.0.mlp.c_fc.weight", "wte.weight"];
        let mut targets: Vec<_> = values
            .iter_mut()
            .zip(names.iter().zip(sizes))
            .map(|(values, (name, dims))| TensorMut {
                name: (*name).to_owned(),
                dims,
                values,
            })
            .collect();
        read(path, &mut targets)?;
        Ok(values.into())
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn every_bit_survives_and_the_official_reader_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        let values = values();
        let digest = write(&path, &sample(&values)).unwrap();
        assert_eq!(digest, digest::of_file(&path).unwrap());
        let read = read_back(&path, [DIMS[1], DIMS[2], DIMS[0]]).unwrap();
        assert_eq!(
            [&read[2], &read[0], &read[1]].map(|v| bits(v)),
            [0, 1, 2].map(|i| bits(&values[i]))
        );
        let bytes = fs::read(&path).unwrap();
        let official = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = official.tensor("wte.weight").unwrap();
        assert_eq!(tensor.shape(), DIMS[0]);
        let expected: Vec<u8> = values[0]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(tensor.data(), expected);
        let difference = size(&sample(&values)).abs_diff(bytes.len() as u64);
        assert!(
            difference < 500,
            "the predicted size is off by {difference} bytes"
        );
    }

    #[test]
    fn a_stream_makes_the_same_file_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
        let values = &values()[2];
        let tensor = Tensor {
            name: "logits".to_owned(),
            dims: DIMS[2],
            values,
        };
        write(&whole, &[tensor]).unwrap();
        let stream = |dims: &[usize]| {
            let mut parts_of = values.chunks(7_000);
            write_stream(&parts, "logits", dims, |next| {
                let part = parts_of.next();
                *next = part.unwrap_or_default().to_vec();
                Ok(part.is_some())
            })
        };
        assert!(stream(&[2, 20_001]).is_err() && !parts.exists());
        let bytes = stream(DIMS[2]).unwrap();
        let written = fs::read(&parts).unwrap();
        assert_eq!(written, fs::read(&whole).unwrap());
        assert_eq!(written.len() as u64, bytes);
        let error = stream(&[1 << 40, 1 << 10]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn other_dimensions_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        write(&path, &sample(&values())).unwrap();
        let error = read_back(&path, [DIMS[1], DIMS[2], &[3, 6]])
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("wte.weight is F32 (3, 5) in "), "{error}");
        assert!(error.ends_with("and F32 (3, 6) in this model"), "{error}");
        let error = read(&path, &mut []).unwrap_err();
        assert!(matches!(error, TensorFileError::Surplus { .. }), "{error}");
        let empty = folder.path().join("empty.safetensors");
        write(&empty, &[]).unwrap();
        let error = read_back(&empty, DIMS).unwrap_err();
        assert!(matches!(error, TensorFileError::Missing { .. }), "{error}");
    }

    #[test]
    fn hostile_files_are_refused_without_a_large_allocation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.safetensors");
        write(&path, &sample(&values())).unwrap();
        let whole = fs::read(&path).unwrap();
        let header = |json: &str, data: usize| {
            let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
            bytes.extend(json.as_bytes());
            bytes.resize(bytes.len() + data, 0);
            bytes
        };
        let cases = [
            Vec::new(),
            whole[..7].to_vec(),
            whole[..20].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            [whole.as_slice(), &[0]].concat(),
            [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat(),
            [
                &(HEADER_LIMIT + 1).to_le_bytes()[..],
                &vec![b' '; HEADER_LIMIT as usize + 8],
            ]
            .concat(),
            header(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}",
                0,
            ),
            header(
                "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
                8,
            ),
            header("[]", 0),
            header("{\"a\":1}", 0),
        ];
        for (number, bytes) in cases.iter().enumerate() {
            fs::write(&path, bytes).unwrap();
            assert!(
                read_back(&path, [DIMS[1], DIMS[2], DIMS[0]]).is_err(),
                "case {number} was accepted"
            );
        }
    }
}
