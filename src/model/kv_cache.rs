//! Keys and values of the tokens read so far, so that a new token costs one row and not the whole sequence.

use super::{Compute, Parameters, Shape};
use crate::kernels::{
    gemm::{Matrix, gemv},
    vec::{add_assign, gelu, layernorm, softmax},
};

/// The state of one sequence that is being read or written.
#[derive(Debug)]
pub struct KvCache {
    shape: Shape,
    /// For each layer, keys then values: context x d each.
    entries: Vec<[Vec<f32>; 2]>,
    position: usize,
    stream: Vec<f32>,
    normed: Vec<f32>,
    wide: Vec<f32>,
    hidden: Vec<f32>,
    mixed: Vec<f32>,
    scores: Vec<f32>,
    logits: Vec<f32>,
}

impl KvCache {
    /// An empty cache for sequences up to the model's context; 2 x layers x context x d values.
    pub fn new(shape: &Shape) -> KvCache {
        let (d, f) = (shape.d_model, shape.d_ff);
        KvCache {
            shape: *shape,
            entries: (0..shape.layers)
                .map(|_| [vec![0.0; shape.context * d], vec![0.0; shape.context * d]])
                .collect(),
            position: 0,
            stream: vec![0.0; d],
            normed: vec![0.0; d],
            wide: vec![0.0; 3 * d],
            hidden: vec![0.0; f],
            mixed: vec![0.0; d],
            scores: vec![0.0; shape.context],
            logits: vec![0.0; shape.vocab_size],
        }
    }

    /// Tokens read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Tokens that may still be read.
    pub fn room(&self) -> usize {
        self.shape.context - self.position
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.position = 0;
    }

    /// Reads one token and returns the logits of the next one.
    ///
    /// # Panics
    /// When the context is full or the token is not in the vocabulary.
    pub fn read(&mut self, compute: &Compute<'_>, parameters: &Parameters, token: u32) -> &[f32] {
        assert!(
            self.room() > 0,
            "the context of {} tokens is full",
            self.shape.context
        );
        let (d, isa, team) = (self.shape.d_model, compute.isa, compute.team);
        let (layout, position) = (&parameters.layout, self.position);
        let at = |range| parameters.at(range);
        self.stream
            .copy_from_slice(&at(&layout.wte)[token as usize * d..][..d]);
        add_assign(isa, &at(&layout.wpe)[position * d..][..d], &mut self.stream);
        let mut statistics = [0.0; 2];
        for (index, layer) in layout.layers.iter().enumerate() {
            layernorm(
                isa,
                &self.stream,
                at(&layer.ln_1_weight),
                at(&layer.ln_1_bias),
                &mut self.normed,
                &mut statistics,
            );
            let weight = Matrix::new(at(&layer.c_attn_weight), d, 3 * d);
            gemv(
                isa,
                team,
                &self.normed,
                weight,
                at(&layer.c_attn_bias),
                &mut self.wide,
            );
            self.attend(compute, index);
            let weight = Matrix::new(at(&layer.attn_c_proj_weight), d, d);
            gemv(
                isa,
                team,
                &self.mixed,
                weight,
                at(&layer.attn_c_proj_bias),
                &mut self.normed,
            );
            add_assign(isa, &self.normed, &mut self.stream);
            layernorm(
                isa,
                &self.stream,
                at(&layer.ln_2_weight),
                at(&layer.ln_2_bias),
                &mut self.normed,
                &mut statistics,
            );
            let f = self.shape.d_ff;
            gemv(
                isa,
                team,
                &self.normed,
                Matrix::new(at(&layer.c_fc_weight), d, f),
                at(&layer.c_fc_bias),
                &mut self.hidden,
            );
            // GELU reads and writes in one pass over a vector that stays in L1; the copy is its input.
            let before = self.hidden.clone();
            gelu(isa, &before, &mut self.hidden);
            let weight = Matrix::new(at(&layer.mlp_c_proj_weight), f, d);
            gemv(
                isa,
                team,
                &self.hidden,
                weight,
                at(&layer.mlp_c_proj_bias),
                &mut self.normed,
            );
            add_assign(isa, &self.normed, &mut self.stream);
        }
        layernorm(
            isa,
            &self.stream,
            at(&layout.ln_f_weight),
            at(&layout.ln_f_bias),
            &mut self.normed,
            &mut statistics,
        );
        let head = Matrix::new(at(&layout.head), self.shape.vocab_size, d).transposed();
        gemv(isa, team, &self.normed, head, &[], &mut self.logits);
        self.position += 1;
        &self.logits
    }

    /// Stores the new key and value of `layer` and mixes the values seen so far into `mixed`.
    fn attend(&mut self, compute: &Compute<'_>, layer: usize) {
        let (d, position) = (self.shape.d_model, self.position);
        let size = d / self.shape.heads;
        let [keys, values] = &mut self.entries[layer];
        keys[position * d..][..d].copy_from_slice(&self.wide[d..2 * d]);
        values[position * d..][..d].copy_from_slice(&self.wide[2 * d..]);
        let count = position + 1;
        let scale = 1.0 / (size as f32).sqrt();
        for head in 0..self.shape.heads {
            let columns = head * size..(head + 1) * size;
            let scores = &mut self.scores[..count];
            let seen = |cache| Matrix::with_stride(cache, count, size, d);
            let keys = seen(&keys[columns.start..]);
            gemv(
                compute.isa,
                &crate::kernels::Solo,
                &self.wide[columns.clone()],
                keys.transposed(),
                &[],
                scores,
            );
            scores.iter_mut().for_each(|score| *score *= scale);
            softmax(compute.isa, scores);
            let values = seen(&values[columns.start..]);
            gemv(
                compute.isa,
                &crate::kernels::Solo,
                scores,
                values,
                &[],
                &mut self.mixed[columns],
            );
        }
    }
}
