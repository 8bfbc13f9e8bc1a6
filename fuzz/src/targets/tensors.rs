//! A safetensors file, read into a model that expects certain tensors.

use loopos::model::Layout;
use loopos::train::tensor_file::{self, TensorMut};

use super::{SHAPE, Target, folder, weights};

pub(super) const TARGET: Target = Target {
    name: "tensors",
    run,
    seeds: || vec![weights()],
    slack: 1 << 20,
};

fn run(data: &[u8]) {
    let path = folder().join("model.safetensors");
    std::fs::write(&path, data).expect("a file in a temporary folder");
    let layout = Layout::new(&SHAPE);
    let mut values: Vec<Vec<f32>> = layout
        .tensors
        .iter()
        .map(|tensor| vec![0.0; tensor.dims.iter().product()])
        .collect();
    let mut targets: Vec<_> = layout
        .tensors
        .iter()
        .zip(&mut values)
        .map(|(tensor, values)| TensorMut {
            name: tensor.name.clone(),
            dims: &tensor.dims,
            values,
        })
        .collect();
    let _ = tensor_file::read(&path, &mut targets);
}
