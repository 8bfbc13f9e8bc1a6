//! Models written and read back, those that other programs write, and those that must be refused.

use super::*;
use crate::model::Layout;
use crate::tensor::Arena;
use crate::train::named_tensors::tensors;
use crate::train::tensor_file::{self, Tensor};

const SHAPE: Shape = Shape {
    vocab_size: 11,
    context: 5,
    d_model: 6,
    heads: 3,
    layers: 2,
    d_ff: 7,
    tied: true,
    scalar_head: false,
};

fn parameters(shape: &Shape) -> Parameters {
    let layout = Layout::new(shape);
    Parameters::zeros(&layout, &mut Arena::new(layout.len).unwrap())
}

fn initialized(shape: &Shape) -> Parameters {
    let mut parameters = parameters(shape);
    parameters.initialize(3);
    parameters
}

/// What is read from the model in `folder`.
fn read(folder: &Path) -> Result<(Shape, Parameters), HuggingFaceError> {
    let model = Model::open(folder)?;
    let mut parameters = parameters(&model.shape);
    model.read(&mut parameters)?;
    Ok((model.shape, parameters))
}

/// A folder with the description of a shape and these tensors.
fn folder_of(shape: &Shape, tensors: &[Tensor<'_>]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = config::describe(shape, None).to_string();
    fs::write(folder.path().join(CONFIG), config).unwrap();
    tensor_file::write(&folder.path().join(MODEL), tensors).unwrap();
    folder
}

fn refusal(folder: &Path) -> String {
    Model::open(folder).unwrap_err().to_string()
}

#[test]
fn what_is_written_is_read_back_to_the_bit() {
    for tied in [true, false] {
        let shape = Shape { tied, ..SHAPE };
        let weights = initialized(&shape);
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("new/model");
        export(&folder, &shape, &weights, None).unwrap();
        let (found, read) = read(&folder).unwrap();
        assert_eq!(found, shape);
        assert_eq!(*read.values, *weights.values);
        let names: Vec<_> = fs::read_dir(folder.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing else is left");
        let error = export(&folder, &shape, &weights, None).unwrap_err();
        assert!(
            matches!(error, HuggingFaceError::Occupied { .. }),
            "{error}"
        );
    }
}

#[test]
fn what_a_killed_export_to_the_same_folder_has_left_is_removed() {
    let place = tempfile::tempdir().unwrap();
    let left = |name: &str| {
        let folder = place.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(MODEL), "half").unwrap();
    };
    // Larger than any process id that Linux gives out; the other is an export that goes on.
    left(".model.99999999.0.tmp");
    left(&format!(".model.{}.7.tmp", std::process::id()));
    left(".other.99999999.0.tmp");
    let folder = place.path().join("model");
    export(&folder, &SHAPE, &initialized(&SHAPE), None).unwrap();
    assert!(!place.path().join(".model.99999999.0.tmp").exists());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 3);
}

#[test]
fn a_scalar_head_is_left_out_and_the_rest_is_read_back() {
    let shape = Shape {
        scalar_head: true,
        ..SHAPE
    };
    let weights = initialized(&shape);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("model");
    export(&folder, &shape, &weights, None).unwrap();
    let (found, read) = read(&folder).unwrap();
    assert_eq!(found, SHAPE);
    for tensor in tensors(&read, "") {
        let written = tensors(&weights, "");
        let same = written.iter().find(|other| other.name == tensor.name);
        assert_eq!(same.map(|other| other.values), Some(tensor.values));
    }
}

#[test]
fn names_without_prefix_masks_and_a_copied_head_are_understood() {
    let weights = initialized(&SHAPE);
    let mut named = tensors(&weights, "");
    let mask = [0.0; 25];
    for (name, dims) in [
        ("h.0.attn.bias", &[1, 1, 5, 5][..]),
        ("transformer.h.1.attn.masked_bias", &[]),
        ("lm_head.weight", &[11, 6]),
    ] {
        let values = dims.iter().product::<usize>();
        named.push(Tensor {
            name: name.to_owned(),
            dims,
            values: if values == 66 {
                named[0].values
            } else {
                &mask[..values]
            },
        });
    }
    let folder = folder_of(&SHAPE, &named);
    assert_eq!(*read(folder.path()).unwrap().1.values, *weights.values);
}

#[test]
fn tensors_may_be_spread_over_files() {
    let weights = initialized(&SHAPE);
    let named = tensors(&weights, "transformer.");
    let folder = folder_of(&SHAPE, &[]);
    fs::remove_file(folder.path().join(MODEL)).unwrap();
    let mut map = serde_json::Map::new();
    for (number, part) in named.chunks(9).enumerate() {
        let name = format!("model-{number}.safetensors");
        tensor_file::write(&folder.path().join(&name), part).unwrap();
        map.extend(
            part.iter()
                .map(|tensor| (tensor.name.clone(), name.clone().into())),
        );
    }
    let index = |map: &serde_json::Map<String, serde_json::Value>| {
        let content = serde_json::json!({"metadata": {}, "weight_map": map});
        fs::write(folder.path().join(INDEX), content.to_string()).unwrap();
    };
    index(&map);
    assert_eq!(*read(folder.path()).unwrap().1.values, *weights.values);
    map.insert("more".to_owned(), "../secret".into());
    index(&map);
    assert!(refusal(folder.path()).contains("../secret"));
    index(&serde_json::Map::new());
    assert!(refusal(folder.path()).contains("weight_map"));
    fs::remove_file(folder.path().join(INDEX)).unwrap();
    assert!(refusal(folder.path()).contains("save_pretrained"));
}

#[test]
fn half_precision_is_converted_and_other_types_are_refused() {
    let folder = folder_of(&SHAPE, &[]);
    let layout = Layout::new(&SHAPE);
    let write = |kind: safetensors::Dtype, bytes: [u8; 2]| {
        let data: Vec<Vec<u8>> = layout
            .tensors
            .iter()
            .map(|tensor| bytes.repeat(tensor.range.len() * kind.bitsize() / 16))
            .collect();
        let views = layout.tensors.iter().zip(&data).map(|(tensor, data)| {
            let view =
                safetensors::tensor::TensorView::new(kind, tensor.dims.clone(), data).unwrap();
            (tensor.name.clone(), view)
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        fs::write(folder.path().join(MODEL), bytes).unwrap();
    };
    for (kind, bytes) in [
        (safetensors::Dtype::F16, [0x00, 0xbe]),
        (safetensors::Dtype::BF16, [0xc0, 0xbf]),
    ] {
        write(kind, bytes);
        let (_, read) = read(folder.path()).unwrap();
        assert!(
            tensors(&read, "")
                .iter()
                .all(|tensor| tensor.values.iter().all(|value| *value == -1.5)),
            "{kind:?}"
        );
    }
    write(safetensors::Dtype::F64, [0, 0]);
    let message = refusal(folder.path());
    assert!(
        message.contains("F64") && message.contains("F32"),
        "{message}"
    );
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let weights = initialized(&SHAPE);
    let named = tensors(&weights, "");
    let folder = folder_of(&SHAPE, &named[1..]);
    assert!(refusal(folder.path()).contains("wte.weight"));
    let wider = Shape { d_ff: 8, ..SHAPE };
    let folder = folder_of(&wider, &named);
    assert!(refusal(folder.path()).contains("mlp.c_fc"));
    let untied = Shape {
        tied: false,
        scalar_head: false,
        ..SHAPE
    };
    let folder = folder_of(&untied, &named);
    assert!(refusal(folder.path()).contains("lm_head.weight"));
    let mut more = named.clone();
    more.push(Tensor {
        name: "score.weight".to_owned(),
        ..named[0].clone()
    });
    let folder = folder_of(&SHAPE, &more);
    assert!(refusal(folder.path()).contains("score.weight"));
    let mut twice = named.clone();
    twice.push(Tensor {
        name: "transformer.wte.weight".to_owned(),
        ..named[0].clone()
    });
    let folder = folder_of(&SHAPE, &twice);
    assert!(refusal(folder.path()).contains("twice"));
    fs::write(folder.path().join(MODEL), "no tensors").unwrap();
    assert!(refusal(folder.path()).contains("safetensors"));
    fs::write(folder.path().join(CONFIG), "{\"model_type\": \"bert\"}").unwrap();
    assert!(refusal(folder.path()).contains("bert"));
}
