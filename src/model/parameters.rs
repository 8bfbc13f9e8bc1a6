//! The parameters: one region, cut into named tensors with the names and layouts of Hugging Face's GPT-2.

use std::ops::Range;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::Shape;
use crate::tensor::{Arena, Region, padded};

/// One tensor among the parameters.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TensorInfo {
    /// Hugging Face's name, such as `h.0.attn.c_attn.weight`.
    pub name: String,
    /// Sizes, outermost first; weights of linear layers are (in, out).
    pub dims: Vec<usize>,
    /// Weight decay applies: matrices, but not biases and gains.
    pub decay: bool,
    /// Where it lies in the region.
    pub range: Range<usize>,
}

/// Where the tensors of one block lie.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "each field bears the name of its tensor")]
pub struct Layer {
    pub ln_1_weight: Range<usize>,
    pub ln_1_bias: Range<usize>,
    pub c_attn_weight: Range<usize>,
    pub c_attn_bias: Range<usize>,
    pub attn_c_proj_weight: Range<usize>,
    pub attn_c_proj_bias: Range<usize>,
    pub ln_2_weight: Range<usize>,
    pub ln_2_bias: Range<usize>,
    pub c_fc_weight: Range<usize>,
    pub c_fc_bias: Range<usize>,
    pub mlp_c_proj_weight: Range<usize>,
    pub mlp_c_proj_bias: Range<usize>,
}

/// Where every tensor of a model lies.
#[derive(Clone, Debug, Eq, PartialEq)]
#[allow(missing_docs, reason = "each field bears the name of its tensor")]
pub struct Layout {
    pub wte: Range<usize>,
    pub wpe: Range<usize>,
    pub layers: Vec<Layer>,
    pub ln_f_weight: Range<usize>,
    pub ln_f_bias: Range<usize>,
    /// V x d; that of the token embedding where the head is tied.
    pub head: Range<usize>,
    /// 1 x d, where the model has a scalar head.
    pub score: Option<Range<usize>>,
    /// Every tensor by name, in order.
    pub tensors: Vec<TensorInfo>,
    /// Values of the whole region.
    pub len: usize,
}

impl Layout {
    /// Places the tensors of a model of this shape, each at the start of a cache line.
    pub fn new(shape: &Shape) -> Layout {
        let (d, f) = (shape.d_model, shape.d_ff);
        let mut place = Place::default();
        let wte = place.tensor("wte.weight".into(), &[shape.vocab_size, d]);
        let wpe = place.tensor("wpe.weight".into(), &[shape.context, d]);
        let layers = (0..shape.layers)
            .map(|layer| {
                let mut tensor =
                    |name: &str, dims: &[usize]| place.tensor(format!("h.{layer}.{name}"), dims);
                Layer {
                    ln_1_weight: tensor("ln_1.weight", &[d]),
                    ln_1_bias: tensor("ln_1.bias", &[d]),
                    c_attn_weight: tensor("attn.c_attn.weight", &[d, 3 * d]),
                    c_attn_bias: tensor("attn.c_attn.bias", &[3 * d]),
                    attn_c_proj_weight: tensor("attn.c_proj.weight", &[d, d]),
                    attn_c_proj_bias: tensor("attn.c_proj.bias", &[d]),
                    ln_2_weight: tensor("ln_2.weight", &[d]),
                    ln_2_bias: tensor("ln_2.bias", &[d]),
                    c_fc_weight: tensor("mlp.c_fc.weight", &[d, f]),
                    c_fc_bias: tensor("mlp.c_fc.bias", &[f]),
                    mlp_c_proj_weight: tensor("mlp.c_proj.weight", &[f, d]),
                    mlp_c_proj_bias: tensor("mlp.c_proj.bias", &[d]),
                }
            })
            .collect();
        let ln_f_weight = place.tensor("ln_f.weight".into(), &[d]);
        let ln_f_bias = place.tensor("ln_f.bias".into(), &[d]);
        let head = if shape.tied {
            wte.clone()
        } else {
            place.tensor("lm_head.weight".into(), &[shape.vocab_size, d])
        };
        let score = shape
            .scalar_head
            .then(|| place.tensor("score.weight".into(), &[1, d]));
        Layout {
            wte,
            wpe,
            layers,
            ln_f_weight,
            ln_f_bias,
            head,
            score,
            tensors: place.tensors,
            len: place.len,
        }
    }

    /// Values without the padding between tensors.
    pub fn parameter_count(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.range.len()).sum()
    }
}

#[derive(Default)]
struct Place {
    tensors: Vec<TensorInfo>,
    len: usize,
}

impl Place {
    fn tensor(&mut self, name: String, dims: &[usize]) -> Range<usize> {
        let len = dims.iter().product();
        let range = self.len..self.len + len;
        self.len += padded(len);
        self.tensors.push(TensorInfo {
            name,
            dims: dims.to_vec(),
            decay: dims.len() > 1,
            range: range.clone(),
        });
        range
    }
}

/// Values for every tensor of a layout: parameters, their gradients or their moments.
#[derive(Debug)]
pub struct Parameters {
    /// Where the tensors lie.
    pub layout: Layout,
    /// All values, with the padding between tensors.
    pub values: Region,
}

impl Parameters {
    /// Zeros, from `arena`, which gives [`Layout::len`] values.
    pub fn zeros(layout: &Layout, arena: &mut Arena) -> Parameters {
        Parameters {
            layout: layout.clone(),
            values: arena.take(layout.len),
        }
    }

    /// GPT-2's start: weights normal with deviation 0.02, those that feed the residual stream smaller by the root of twice
    /// the layers, gains 1, biases 0. Every tensor draws from its own stream of ChaCha8, so the values depend on `seed`,
    /// name order and sizes alone.
    pub fn initialize(&mut self, seed: u64) {
        let depth = self.layout.layers.len() as f64;
        for (index, tensor) in self.layout.tensors.iter().enumerate() {
            let values = &mut self.values[tensor.range.clone()];
            if !tensor.decay {
                values.fill(if tensor.name.ends_with(".weight") {
                    1.0
                } else {
                    0.0
                });
                continue;
            }
            let residual = tensor.name.ends_with("c_proj.weight");
            let deviation = if residual {
                0.02 / (2.0 * depth).sqrt()
            } else {
                0.02
            };
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(index as u64);
            fill_normal(&mut random, deviation, values);
        }
    }

    /// Every tensor with its values.
    pub fn tensors(&self) -> impl Iterator<Item = (&TensorInfo, &[f32])> {
        self.layout
            .tensors
            .iter()
            .map(|tensor| (tensor, &self.values[tensor.range.clone()]))
    }

    /// The values of the tensor `name`.
    pub fn tensor_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        let tensor = self
            .layout
            .tensors
            .iter()
            .find(|tensor| tensor.name == name)?;
        Some(&mut self.values[tensor.range.clone()])
    }

    /// The values in `range`, one of the layout's.
    pub fn at(&self, range: &Range<usize>) -> &[f32] {
        &self.values[range.clone()]
    }

    /// The values in several ranges of the layout at once.
    ///
    /// # Panics
    /// When two ranges overlap.
    pub fn at_mut<const N: usize>(&mut self, ranges: [&Range<usize>; N]) -> [&mut [f32]; N] {
        self.values
            .get_disjoint_mut(ranges.map(Range::clone))
            .expect("tensors of a layout do not overlap")
    }
}

/// Normal values by Box and Muller (Ann. Math. Stat. 29, 1958), two from two uniform ones.
fn fill_normal(random: &mut ChaCha8Rng, deviation: f64, values: &mut [f32]) {
    let mut uniform = || (random.next_u32() as f64 + 0.5) / 4_294_967_296.0;
    for pair in values.chunks_mut(2) {
        let (radius, angle) = (
            (-2.0 * uniform().ln()).sqrt(),
            std::f64::consts::TAU * uniform(),
        );
        let normal = [radius * angle.cos(), radius * angle.sin()];
        for (value, normal) in pair.iter_mut().zip(normal) {
            *value = (deviation * normal) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        vocab_size: 101,
        context: 13,
        d_model: 24,
        heads: 3,
        layers: 2,
        d_ff: 96,
        tied: true,
        scalar_head: false,
    };

    #[test]
    fn tensors_are_apart_and_start_on_lines() {
        for tied in [true, false] {
            let layout = Layout::new(&Shape { tied, ..SHAPE });
            assert_eq!(layout.tensors.len(), 2 + 2 * 12 + 2 + usize::from(!tied));
            let mut end = 0;
            for tensor in &layout.tensors {
                assert!(
                    tensor.range.start >= end && tensor.range.start % 16 == 0,
                    "{tensor:?}"
                );
                end = tensor.range.end;
            }
            assert!(end <= layout.len);
        }
    }

    #[test]
    fn initial_values_depend_on_the_seed_alone() {
        let layout = Layout::new(&SHAPE);
        let start = |seed| {
            let mut arena = Arena::new(layout.len).expect("memory");
            let mut parameters = Parameters::zeros(&layout, &mut arena);
            parameters.initialize(seed);
            parameters
        };
        let (a, b, c) = (start(1), start(1), start(2));
        assert_eq!(*a.values, *b.values);
        assert_ne!(*a.values, *c.values);
        let wte = a.at(&layout.wte);
        let deviation = (wte.iter().map(|x| x * x).sum::<f32>() / wte.len() as f32).sqrt();
        assert!((deviation - 0.02).abs() < 0.001, "{deviation}");
        assert!(a.at(&layout.ln_f_weight).iter().all(|x| *x == 1.0));
    }
}
