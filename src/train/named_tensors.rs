//! Parameters and moments as the named tensors of a file.

use std::ops::Range;

use super::tensor_file::{Tensor, TensorMut};
use crate::model::{Layout, Parameters};

/// Before the names of AdamW's first moments.
pub const FIRST: &str = "m.";

/// Before the names of AdamW's second moments.
pub const SECOND: &str = "v.";

/// Every tensor, its name after `prefix`.
pub fn tensors<'a>(values: &'a Parameters, prefix: &str) -> Vec<Tensor<'a>> {
    tensors_at(&values.layout, prefix, |range| values.at(range))
}

/// The same of values that lie elsewhere, where `at` says.
pub(super) fn tensors_at<'a>(
    layout: &'a Layout,
    prefix: &str,
    at: impl Fn(&Range<usize>) -> &'a [f32],
) -> Vec<Tensor<'a>> {
    let named = layout.tensors.iter().map(|info| Tensor {
        name: format!("{prefix}{}", info.name),
        dims: &info.dims,
        values: at(&info.range),
    });
    named.collect()
}

/// Every tensor to be filled, its name after `prefix`.
pub fn tensors_mut<'a>(values: &'a mut Parameters, prefix: &str) -> Vec<TensorMut<'a>> {
    let Parameters { layout, values } = values;
    let mut rest: &mut [f32] = values;
    let mut start = 0;
    let mut named = Vec::with_capacity(layout.tensors.len());
    // A layout places its tensors one behind the other, with padding between them.
    for info in &layout.tensors {
        let (_padding, tail) = rest.split_at_mut(info.range.start - start);
        let (values, tail) = tail.split_at_mut(info.range.len());
        named.push(TensorMut {
            name: format!("{prefix}{}", info.name),
            dims: &info.dims,
            values,
        });
        (rest, start) = (tail, info.range.end);
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Shape;
    use crate::tensor::Arena;

    #[test]
    fn what_is_filled_by_name_is_found_by_name() {
        let shape = Shape {
            vocab_size: 7,
            context: 3,
            d_model: 4,
            heads: 2,
            layers: 2,
            d_ff: 5,
            tied: false,
            scalar_head: false,
        };
        let layout = Layout::new(&shape);
        let mut parameters = Parameters::zeros(&layout, &mut Arena::new(layout.len).unwrap());
        for (number, tensor) in tensors_mut(&mut parameters, "m.").into_iter().enumerate() {
            assert_eq!(
                tensor.values.len(),
                tensor.dims.iter().product::<usize>(),
                "{}",
                tensor.name
            );
            tensor.values.fill(number as f32 + 1.0);
        }
        let found = tensors(&parameters, "m.");
        assert_eq!(found.len(), layout.tensors.len());
        for (number, tensor) in found.iter().enumerate() {
            assert!(
                tensor
                    .values
                    .iter()
                    .all(|value| *value == number as f32 + 1.0),
                "{}",
                tensor.name
            );
        }
        assert_eq!(found[0].name, "m.wte.weight");
        assert_eq!(found[0].dims, [7, 4]);
    }
}
