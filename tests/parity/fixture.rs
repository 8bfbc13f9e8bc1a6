//! What PyTorch computes for a model, as `scripts/parity/make_fixtures.py` wrote it.

use std::collections::BTreeMap;

use loopos::model::Shape;
use loopos::train::Batch;
use safetensors::{Dtype, SafeTensors};

/// One model, its batch, and what must come out of it.
pub(crate) struct Fixture {
    /// Name of its file.
    pub(crate) name: &'static str,
    /// Sizes of the model.
    pub(crate) shape: Shape,
    /// The batch of every step.
    pub(crate) batch: Batch,
    /// How the weights were trained.
    pub(crate) optimizer: Optimizer,
    /// Every float tensor by name.
    pub(crate) tensors: BTreeMap<String, Vec<f32>>,
}

/// The settings of AdamW and of the clipping before it.
pub(crate) struct Optimizer {
    pub(crate) steps: usize,
    pub(crate) lr: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    pub(crate) eps: f32,
    pub(crate) weight_decay: f32,
    pub(crate) clip: f32,
}

impl Fixture {
    /// The models of which PyTorch's word is kept: an ordinary one, one with a head of its own, one with ignored targets.
    pub(crate) fn tied() -> Fixture {
        Fixture::parse(
            "tied",
            include_bytes!("../fixtures/parity/tied.safetensors"),
        )
    }

    pub(crate) fn untied() -> Fixture {
        Fixture::parse(
            "untied",
            include_bytes!("../fixtures/parity/untied.safetensors"),
        )
    }

    pub(crate) fn ignored() -> Fixture {
        Fixture::parse(
            "ignored",
            include_bytes!("../fixtures/parity/ignored.safetensors"),
        )
    }

    fn parse(name: &'static str, bytes: &[u8]) -> Fixture {
        let (_, header) = SafeTensors::read_metadata(bytes).expect("a safetensors header");
        let metadata = header.metadata().as_ref().expect("metadata in the header");
        let section = |name: &str| -> serde_json::Value {
            serde_json::from_str(&metadata[name]).expect("JSON in the metadata")
        };
        let (sizes, optimizer) = (section("shape"), section("optimizer"));
        let size = |name: &str| sizes[name].as_u64().expect("a size") as usize;
        let number = |name: &str| optimizer[name].as_f64().expect("a number") as f32;
        let file = SafeTensors::deserialize(bytes).expect("a safetensors file");
        let mut tensors = BTreeMap::new();
        let mut tokens = BTreeMap::new();
        for (name, tensor) in file.tensors() {
            let words = tensor.data().chunks_exact(4);
            let words = words.map(|word| <[u8; 4]>::try_from(word).expect("four bytes"));
            match tensor.dtype() {
                Dtype::F32 => {
                    tensors.insert(name, words.map(f32::from_le_bytes).collect::<Vec<_>>());
                }
                Dtype::I32 => {
                    // An ignored target is -100 there and the largest number here.
                    let token = |word| u32::try_from(i32::from_le_bytes(word)).unwrap_or(u32::MAX);
                    tokens.insert(name, words.map(token).collect::<Vec<_>>());
                }
                other => panic!("{name}: unexpected type {other:?}"),
            }
        }
        let mut take = |name: &str| tokens.remove(name).expect("the batch");
        Fixture {
            name,
            shape: Shape {
                vocab_size: size("vocab_size"),
                context: size("context"),
                d_model: size("d_model"),
                heads: size("heads"),
                layers: size("layers"),
                d_ff: size("d_ff"),
                tied: sizes["tied"].as_bool().expect("tied or not"),
                scalar_head: false,
            },
            batch: Batch {
                sequences: size("sequences"),
                length: size("length"),
                inputs: take("inputs"),
                targets: take("targets"),
            },
            optimizer: Optimizer {
                steps: optimizer["steps"].as_u64().expect("a count") as usize,
                lr: number("lr"),
                beta1: number("beta1"),
                beta2: number("beta2"),
                eps: number("eps"),
                weight_decay: number("weight_decay"),
                clip: number("clip"),
            },
            tensors,
        }
    }

    /// The float tensor of that name.
    pub(crate) fn tensor(&self, name: &str) -> &[f32] {
        let tensor = self.tensors.get(name);
        tensor.unwrap_or_else(|| panic!("{}: no tensor {name}", self.name))
    }
}
