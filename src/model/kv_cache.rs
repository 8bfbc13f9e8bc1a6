//! Keys and values of the tokens read so far, so that a new token costs one row and not the whole sequence.
//!
//! Several sequences are read at once: their tokens, and the tokens of a prompt, are the rows of one product with each weight, which
//! is read once for all. A row's results do not depend on the rows beside it, so a text comes out the same alone and among others.

use super::{
    Compute, Packed, Parameters, Shape,
    ops::{layernorm, linear},
    packed::Linear,
};
use crate::kernels::{
    Isa,
    attention::{HeadCache, decode},
    gemm::{Epilogue, Matrix, MatrixMut, workspace_len},
    team::{Parts, for_parts},
    vec::add,
};

/// Tokens that are read at once, at most: enough that a weight is read rarely, few enough that their rows stay in the caches.
const MOST_ROWS: usize = 64;

/// Attention scores that exist at once, at most, in values.
const MOST_SCORES: usize = 1 << 22;

/// What a model generates with.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Embeddings, gains and biases.
    pub parameters: &'a Parameters,
    /// The matrices in panels, packed for the forward pass.
    pub packed: &'a Packed,
}

/// The state of some sequences that are being read or written.
#[derive(Debug)]
pub struct KvCache {
    shape: Shape,
    /// For each layer, keys then values: those of each head of each sequence together.
    entries: Vec<[Vec<f32>; 2]>,
    head: HeadCache,
    /// Tokens read of each sequence.
    positions: Vec<usize>,
    /// Rows of the buffers below.
    rows: usize,
    stream: Vec<f32>,
    next: Vec<f32>,
    normed: Vec<f32>,
    statistics: Vec<f32>,
    qkv: Vec<f32>,
    mixed: Vec<f32>,
    scores: Vec<f32>,
    hidden: Vec<f32>,
    slopes: Vec<f32>,
    workspace: Vec<f32>,
    /// The last row of each sequence that is read, then the logits after it.
    last: Vec<f32>,
    logits: Vec<f32>,
}

/// One token on its way through the layers.
#[derive(Clone, Copy)]
struct Row {
    sequence: usize,
    position: usize,
    token: u32,
    /// Where its logits go, if anyone asks for them.
    asked: Option<usize>,
}

impl KvCache {
    /// Empty caches for this many sequences up to the model's context; 2 x layers x context x d values each.
    pub fn new(isa: Isa, shape: &Shape, sequences: usize) -> KvCache {
        let (d, f, v) = (shape.d_model, shape.d_ff, shape.vocab_size);
        let rows = (MOST_SCORES / (shape.heads * shape.context)).clamp(1, MOST_ROWS);
        let products = [(3 * d, d), (d, d), (f, d), (d, f), (v, d)];
        let workspace = products.map(|(n, k)| workspace_len(isa, rows.max(sequences), n, k, true));
        let head = HeadCache {
            size: d / shape.heads,
            context: shape.context,
        };
        let entry = || {
            [head.keys_len(), head.values_len()].map(|len| vec![0.0; sequences * shape.heads * len])
        };
        KvCache {
            shape: *shape,
            entries: (0..shape.layers).map(|_| entry()).collect(),
            head,
            positions: vec![0; sequences],
            rows,
            stream: vec![0.0; rows * d],
            next: vec![0.0; rows * d],
            normed: vec![0.0; rows * d],
            statistics: vec![0.0; rows * 2],
            qkv: vec![0.0; rows * 3 * d],
            mixed: vec![0.0; rows * d],
            scores: vec![0.0; rows * shape.heads * head.scores_len()],
            hidden: vec![0.0; rows * f],
            slopes: vec![0.0; rows * f],
            workspace: vec![0.0; workspace.into_iter().max().unwrap_or(0)],
            last: vec![0.0; sequences * d],
            logits: vec![0.0; sequences * v],
        }
    }

    /// Tokens of a sequence read so far.
    pub fn position(&self, sequence: usize) -> usize {
        self.positions[sequence]
    }

    /// Tokens of a sequence that may still be read.
    pub fn room(&self, sequence: usize) -> usize {
        self.shape.context - self.positions[sequence]
    }

    /// Forgets all but the first `kept` tokens of a sequence.
    pub fn rewind(&mut self, sequence: usize, kept: usize) {
        self.positions[sequence] = self.positions[sequence].min(kept);
    }

    /// Reads some tokens of each sequence named, and returns the logits of the token after the last of them: a row of V values for
    /// each element of `turns`, in their order.
    ///
    /// # Panics
    /// When a sequence is named twice or gets no token, a context is full, or a token is not in the vocabulary.
    pub fn read(
        &mut self,
        compute: &Compute<'_>,
        weights: Weights<'_>,
        turns: &[(usize, &[u32])],
    ) -> &[f32] {
        let (d, v) = (self.shape.d_model, self.shape.vocab_size);
        let rows = self.rows_of(turns);
        for rows in rows.chunks(self.rows) {
            self.layers(compute, weights, rows);
        }
        let last = &self.last[..turns.len() * d];
        let logits = &mut self.logits[..turns.len() * v];
        linear::forward(
            compute,
            turns.len(),
            last,
            weights.packed.head(),
            Epilogue::None,
            logits,
            &mut self.workspace,
        );
        logits
    }

    /// Every token of `turns`; the positions move on.
    fn rows_of(&mut self, turns: &[(usize, &[u32])]) -> Vec<Row> {
        let mut rows = Vec::new();
        for (asked, &(sequence, tokens)) in turns.iter().enumerate() {
            assert!(!tokens.is_empty(), "sequence {sequence} reads nothing");
            assert!(
                tokens.len() <= self.room(sequence),
                "the context of {} tokens is full",
                self.shape.context
            );
            assert!(
                turns[..asked].iter().all(|(other, _)| *other != sequence),
                "sequence {sequence} is named twice"
            );
            let start = self.positions[sequence];
            let row = |(offset, &token): (usize, &u32)| Row {
                sequence,
                position: start + offset,
                token,
                asked: (offset + 1 == tokens.len()).then_some(asked),
            };
            rows.extend(tokens.iter().enumerate().map(row));
            self.positions[sequence] += tokens.len();
        }
        rows
    }

    /// From tokens to the last layer norm; the rows that are asked for go to `last`.
    fn layers(&mut self, compute: &Compute<'_>, weights: Weights<'_>, rows: &[Row]) {
        let (d, parameters) = (self.shape.d_model, weights.parameters);
        let layout = &parameters.layout;
        let (wte, wpe) = (parameters.at(&layout.wte), parameters.at(&layout.wpe));
        for (row, stream) in rows.iter().zip(self.stream.chunks_exact_mut(d)) {
            let token = &wte[row.token as usize * d..][..d];
            let position = &wpe[row.position * d..][..d];
            add(compute.isa, token, position, stream);
        }
        for layer in 0..layout.layers.len() {
            self.attention(compute, weights, layer, rows);
            self.mlp(compute, weights, layer, rows.len());
        }
        let (gain, bias) = (&layout.ln_f_weight, &layout.ln_f_bias);
        self.norm(compute, parameters, [gain, bias], rows.len());
        for (row, normed) in rows.iter().zip(self.normed.chunks_exact(d)) {
            if let Some(asked) = row.asked {
                self.last[asked * d..][..d].copy_from_slice(normed);
            }
        }
    }

    /// `normed` becomes the layer norm of `stream`.
    fn norm(
        &mut self,
        compute: &Compute<'_>,
        parameters: &Parameters,
        [gain, bias]: [&std::ops::Range<usize>; 2],
        rows: usize,
    ) {
        let d = self.shape.d_model;
        layernorm::forward(
            compute,
            &self.stream[..rows * d],
            parameters.at(gain),
            parameters.at(bias),
            &mut self.normed[..rows * d],
            &mut self.statistics[..rows * 2],
        );
    }

    /// The first half of a block.
    fn attention(
        &mut self,
        compute: &Compute<'_>,
        weights: Weights<'_>,
        index: usize,
        rows: &[Row],
    ) {
        let (d, count, parameters) = (self.shape.d_model, rows.len(), weights.parameters);
        let layer = &parameters.layout.layers[index];
        let norm = [&layer.ln_1_weight, &layer.ln_1_bias];
        self.norm(compute, parameters, norm, count);
        linear::forward(
            compute,
            count,
            &self.normed[..count * d],
            weights.packed.forward(index, Linear::Qkv),
            Epilogue::Bias(parameters.at(&layer.c_attn_bias)),
            &mut self.qkv[..count * 3 * d],
            &mut self.workspace,
        );
        self.keep(index, rows);
        self.mix(compute, index, rows);
        linear::forward(
            compute,
            count,
            &self.mixed[..count * d],
            weights.packed.forward(index, Linear::AttentionOut),
            Epilogue::BiasResidual {
                bias: parameters.at(&layer.attn_c_proj_bias),
                residual: Matrix::new(&self.stream[..count * d], count, d),
            },
            &mut self.next[..count * d],
            &mut self.workspace,
        );
        std::mem::swap(&mut self.stream, &mut self.next);
    }

    /// Writes the keys and values of `rows` to the cache of a layer.
    fn keep(&mut self, layer: usize, rows: &[Row]) {
        let (d, head, heads) = (self.shape.d_model, self.head, self.shape.heads);
        let [keys, values] = &mut self.entries[layer];
        for (row, qkv) in rows.iter().zip(self.qkv.chunks_exact(3 * d)) {
            let [new_keys, new_values] = [&qkv[d..2 * d], &qkv[2 * d..]];
            let keys = keys.chunks_exact_mut(head.keys_len());
            let of_sequence = keys.skip(row.sequence * heads);
            for (keys, key) in of_sequence.zip(new_keys.chunks_exact(head.size)) {
                head.write_key(keys, row.position, key);
            }
            let values = values.chunks_exact_mut(head.values_len());
            let of_sequence = values.skip(row.sequence * heads);
            for (values, value) in of_sequence.zip(new_values.chunks_exact(head.size)) {
                head.write_value(values, row.position, value);
            }
        }
    }

    /// For each row and head, the values seen so far, mixed by the scores of their keys. A task is one head of one row.
    fn mix(&mut self, compute: &Compute<'_>, layer: usize, rows: &[Row]) {
        let (d, heads, head) = (self.shape.d_model, self.shape.heads, self.head);
        let tasks = rows.len() * heads;
        let ([keys, values], qkv, isa) = (&self.entries[layer], &self.qkv, compute.isa);
        let parts = [
            Parts::new(&mut self.mixed[..tasks * head.size], head.size),
            Parts::new(
                &mut self.scores[..tasks * head.scores_len()],
                head.scores_len(),
            ),
        ];
        for_parts(compute.team, parts, |task, [mixed, scores]| {
            let (row, column) = (task / heads, task % heads * head.size);
            let query = &qkv[row * 3 * d + column..][..head.size];
            let row = rows[row];
            let of_head = row.sequence * heads + task % heads;
            let keys = &keys[of_head * head.keys_len()..][..head.keys_len()];
            let values = &values[of_head * head.values_len()..][..head.values_len()];
            let seen = row.position + 1;
            decode(isa, head, seen, query, keys, values, scores, mixed);
        });
    }

    /// The second half of a block.
    fn mlp(&mut self, compute: &Compute<'_>, weights: Weights<'_>, index: usize, rows: usize) {
        let (d, f, parameters) = (self.shape.d_model, self.shape.d_ff, weights.parameters);
        let layer = &parameters.layout.layers[index];
        let norm = [&layer.ln_2_weight, &layer.ln_2_bias];
        self.norm(compute, parameters, norm, rows);
        linear::forward(
            compute,
            rows,
            &self.normed[..rows * d],
            weights.packed.forward(index, Linear::MlpUp),
            Epilogue::BiasGelu {
                bias: parameters.at(&layer.c_fc_bias),
                // Nobody asks for the derivative: it is written over by the next layer.
                derivative: MatrixMut::new(&mut self.slopes[..rows * f], rows, f),
            },
            &mut self.hidden[..rows * f],
            &mut self.workspace,
        );
        linear::forward(
            compute,
            rows,
            &self.hidden[..rows * f],
            weights.packed.forward(index, Linear::MlpDown),
            Epilogue::BiasResidual {
                bias: parameters.at(&layer.mlp_c_proj_bias),
                residual: Matrix::new(&self.stream[..rows * d], rows, d),
            },
            &mut self.next[..rows * d],
            &mut self.workspace,
        );
        std::mem::swap(&mut self.stream, &mut self.next);
    }
}
