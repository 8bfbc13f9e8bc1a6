//! What a training run needs, decided before its first step: sizes, threads, and memory by role.

use super::cut::Cut;
use super::exchange::rooms;
use crate::{
    kernels::{Isa, gemm::Caches},
    model::{ActivationsPlan, Layout, Packed, Shape, Switches},
};

/// The constants of AdamW and of clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimizer {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub epsilon: f32,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f32,
    /// Largest global norm of a gradient; `None` leaves it as it is.
    pub clip_norm: Option<f32>,
}

impl Default for Optimizer {
    fn default() -> Optimizer {
        Optimizer {
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            clip_norm: Some(1.0),
        }
    }
}

/// How a step is shared among processes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sharing {
    /// How many there are.
    pub ranks: usize,
    /// Each keeps and updates its part of the optimizer's moments alone.
    pub optimizer: bool,
}

impl Default for Sharing {
    /// One process.
    fn default() -> Sharing {
        Sharing {
            ranks: 1,
            optimizer: false,
        }
    }
}

/// A run's sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The model.
    pub shape: Shape,
    /// Sequences of an optimizer step.
    pub batch: usize,
    /// Tokens of a sequence.
    pub length: usize,
    /// Sequences computed at a time; their gradients add up.
    pub micro_batch: usize,
    /// AdamW.
    pub optimizer: Optimizer,
    /// Share of values dropped in training, in 0..1.
    pub dropout: f32,
    /// Keep the inputs of blocks alone, and compute the rest of their activations again in the backward pass: less memory for a
    /// quarter to a third more work, and the same bits.
    pub recompute: bool,
    /// Each thread takes sequences of its own through all operators, and gradients are added up at the end of a step, instead of sharing each
    /// operator: nothing goes from core to core meanwhile, for more memory. Sums are then in another order for another number of threads.
    pub by_sequences: bool,
    /// The kernels' ISA.
    pub isa: Isa,
    /// Caches that a thread can count on.
    pub caches: Caches,
    /// Threads.
    pub workers: usize,
    /// What of the optimizations is on: all, unless someone measures what they are worth.
    pub switches: Switches,
    /// The other processes.
    pub sharing: Sharing,
}

/// Bytes of each role, planned before the first step and taken at once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MemoryPlan {
    /// Weights.
    pub parameters: usize,
    /// Their gradients.
    pub gradients: usize,
    /// AdamW's two moments.
    pub moments: usize,
    /// Weights in panels, for the forward and the backward pass.
    pub panels: usize,
    /// What the forward pass leaves for the backward pass.
    pub activations: usize,
    /// Buffers that hold nothing between operators.
    pub scratch: usize,
    /// Gradients on their way to and from other processes: a copy of all, and room to receive the largest bucket.
    pub exchange: usize,
}

impl MemoryPlan {
    /// Bytes of all roles.
    pub fn total(&self) -> usize {
        self.roles().into_iter().map(|(_, bytes)| bytes).sum()
    }

    /// Each role by name; those of a process among others where there are any.
    pub fn roles(&self) -> Vec<(&'static str, usize)> {
        let mut roles = vec![
            ("parameters", self.parameters),
            ("gradients", self.gradients),
            ("moments", self.moments),
            ("panels", self.panels),
            ("activations", self.activations),
            ("workspace", self.scratch),
        ];
        if self.exchange > 0 {
            roles.push(("exchange", self.exchange));
        }
        roles
    }
}

/// The memory of one role at some moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoleMemory {
    /// Its name, as in [`MemoryPlan::roles`].
    pub role: &'static str,
    /// Bytes planned, and mapped before the first step.
    pub planned: usize,
    /// Bytes in memory now; `None` where the system does not tell.
    pub used: Option<usize>,
    /// Most bytes that were in memory whenever this was asked. The trainer gives nothing back, so only swapping makes it more than
    /// what is used now.
    pub peak: Option<usize>,
}

/// Tokens of a micro-batch that is chosen automatically: at least, and at most.
const MICRO_BATCH_TOKENS: (usize, usize) = (256, 1024);

/// Tokens x layers x width of a micro-batch that is chosen automatically. A model of this much at 256 tokens, such as 4 layers of 384,
/// takes the same time for 256 to 1,024 of them, so that the least memory decides; a smaller one is faster with more, since what a
/// micro-batch costs whatever its size, reading a gradient of weights and writing it back, is spread over more tokens.
const MICRO_BATCH_VALUES: usize = 256 * 4 * 384;

/// Bytes of logits that exist at once.
const LOGITS_BYTES: usize = 16 << 20;

impl Plan {
    /// Tokens that a micro-batch of this model has at most where it is chosen automatically. Threads do not decide: a batch cut
    /// otherwise adds up its gradients in another order, and losses would depend on the number of threads.
    pub fn micro_batch_tokens(shape: &Shape) -> usize {
        let (least, most) = MICRO_BATCH_TOKENS;
        (MICRO_BATCH_VALUES / (shape.layers * shape.d_model).max(1)).clamp(least, most)
    }

    /// The largest divisor of `batch` whose sequences of `length` tokens make no more than [`Plan::micro_batch_tokens`], one at the
    /// least.
    pub fn automatic_micro_batch(shape: &Shape, batch: usize, length: usize) -> usize {
        let most = (Plan::micro_batch_tokens(shape) / length.max(1)).max(1);
        (1..=batch.min(most))
            .rev()
            .find(|size| batch.is_multiple_of(*size))
            .unwrap_or(1)
    }

    /// The largest divisor of `batch`, no larger than `micro_batch`, that gives each of `workers` equally many micro-batches; 1 where none does.
    pub fn equal_shares(batch: usize, micro_batch: usize, workers: usize) -> usize {
        (1..=micro_batch)
            .rev()
            .find(|size| batch.is_multiple_of(*size) && (batch / size).is_multiple_of(workers))
            .unwrap_or(1)
    }

    /// Threads that have gradients and activations of their own, besides the first.
    pub(super) fn replicas(&self) -> usize {
        // Ranks share out sequences already.
        match self.by_sequences && self.sharing.ranks == 1 {
            true => self.workers.saturating_sub(1),
            false => 0,
        }
    }

    /// The plan of activations and scratch of a thread that works alone.
    pub(super) fn activations_alone(&self) -> ActivationsPlan {
        ActivationsPlan {
            workers: 1,
            ..self.activations()
        }
    }

    /// The plan of activations and scratch.
    pub(super) fn activations(&self) -> ActivationsPlan {
        let rows = self.micro_batch * self.length;
        let chunk = (LOGITS_BYTES / (4 * self.shape.vocab_size))
            .clamp(16, 1024)
            .min(rows);
        let chunk = if self.switches.fused_passes {
            chunk
        } else {
            rows
        };
        // Chunks of equal size: the last one does not run at the speed of a sliver.
        let chunk = rows.div_ceil(rows.div_ceil(chunk));
        ActivationsPlan {
            shape: self.shape,
            isa: self.isa,
            workers: self.workers,
            sequences: self.micro_batch,
            length: self.length,
            chunk,
            recompute: self.recompute,
        }
    }

    /// Bytes of each role.
    pub fn memory(&self) -> MemoryPlan {
        let values = size_of::<f32>();
        let layout = Layout::new(&self.shape);
        let parameters = layout.len * values;
        let Sharing { ranks, optimizer } = self.sharing;
        let cut = Cut::new(&layout, ranks);
        let (all, largest) = match ranks {
            1 => (0, 0),
            _ => cut.message_lens(),
        };
        let largest = largest * rooms(optimizer);
        let activations = self.activations();
        let (replicas, alone) = (self.replicas(), self.activations_alone());
        MemoryPlan {
            parameters,
            gradients: (1 + replicas) * parameters,
            moments: match optimizer && ranks > 1 {
                true => 2 * cut.own_len() * values,
                false => 2 * parameters,
            },
            panels: Packed::len(self.isa, &self.shape) * values,
            activations: (activations.activations_len() + replicas * alone.activations_len())
                * values,
            scratch: (activations.scratch_len() + replicas * alone.scratch_len()) * values,
            exchange: (all + largest) * values,
        }
    }

    /// FLOPs of an optimizer step by the customary formula ([`Shape::training_flops_per_token`]).
    pub fn flops_per_step(&self) -> f64 {
        (self.batch * self.length) as f64 * self.shape.training_flops_per_token(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_batches_divide_the_batch() {
        let automatic = |layers, d_model, batch, length| {
            let shape = Shape {
                vocab_size: 300,
                context: 128,
                d_model,
                heads: 1,
                layers,
                d_ff: 4 * d_model,
                tied: true,
                scalar_head: false,
            };
            Plan::automatic_micro_batch(&shape, batch, length)
        };
        assert_eq!(automatic(4, 384, 32, 128), 2);
        assert_eq!(
            automatic(12, 768, 32, 128),
            2,
            "a large model has no fewer tokens"
        );
        assert_eq!(automatic(2, 256, 32, 128), 4);
        assert_eq!(automatic(1, 8, 32, 128), 8, "a tiny model has no more");
        assert_eq!(automatic(4, 384, 30, 80), 3);
        assert_eq!(automatic(4, 384, 10, 50), 5);
        assert_eq!(automatic(4, 384, 13, 128), 1);
        assert_eq!(automatic(4, 384, 4, 5000), 1);
    }

    #[test]
    fn threads_with_sequences_of_their_own_have_equally_many() {
        assert_eq!(Plan::equal_shares(32, 8, 2), 8);
        assert_eq!(Plan::equal_shares(32, 32, 2), 16);
        assert_eq!(Plan::equal_shares(30, 5, 2), 5);
        assert_eq!(Plan::equal_shares(30, 6, 4), 1);
        assert_eq!(Plan::equal_shares(6, 3, 1), 3);
    }
}
