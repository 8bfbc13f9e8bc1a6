//! The vector kernels that are measured, and the traffic of each.

use crate::kernels::vec::{self, AdamwStep};
use crate::kernels::{Isa, Solo};
use std::hint::black_box;

/// Values of a row where a kernel works on rows: an attention's, and the model's width.
const ATTENTION: usize = 128;
const WIDTH: usize = 384;

/// Arrays that the hungriest kernel works on.
pub(super) const MOST_ARRAYS: usize = 4;

/// One kernel.
pub struct Kernel {
    /// Its part of a metric's name.
    pub name: &'static str,
    /// Arrays of equal length that it works on.
    pub arrays: usize,
    /// Values of a row, or 16 where any number of cache lines will do.
    pub row: usize,
    /// Arrays that it reads.
    pub reads: f64,
    /// Arrays that it writes.
    pub writes: f64,
    /// Arrays that it writes without having read them: their lines are fetched all the same (write-allocate).
    pub blind: f64,
    run: fn(Isa, [&mut [f32]; MOST_ARRAYS], &mut Rows),
}

/// What kernels on rows need beside the arrays; small enough to stay in L1.
pub struct Rows {
    gain: Vec<f32>,
    bias: Vec<f32>,
    dgain: Vec<f32>,
    dbias: Vec<f32>,
    statistics: Vec<f32>,
}

impl Rows {
    /// For arrays of at most `values` values.
    pub fn new(values: usize) -> Self {
        Self {
            gain: vec![1.0; WIDTH],
            bias: vec![0.5; WIDTH],
            dgain: vec![0.0; WIDTH],
            dbias: vec![0.0; WIDTH],
            // Mean and reciprocal deviation of each row.
            statistics: vec![0.5; 2 * values.div_ceil(WIDTH)],
        }
    }
}

/// The copy that other kernels' bandwidth is compared with, where they write.
pub(super) const COPY: &Kernel = &KERNELS[1];

/// The read that other kernels' bandwidth is compared with, where they write nothing.
pub(super) const READ: &Kernel = &KERNELS[0];

/// Every kernel; the first two are the ceilings of the others.
pub const KERNELS: &[Kernel] = &[
    Kernel {
        name: "read",
        run: |isa, [x, ..], _| vec::stream_read(isa, x, 1),
        ..reading()
    },
    Kernel {
        name: "copy",
        run: |isa, [x, out, ..], _| vec::scale(isa, 1.0, x, out),
        ..mapping()
    },
    Kernel {
        name: "scale",
        run: |isa, [x, out, ..], _| vec::scale(isa, black_box(0.75), x, out),
        ..mapping()
    },
    Kernel {
        name: "add",
        run: |isa, [a, b, out, _], _| vec::add(isa, a, b, out),
        ..combining()
    },
    Kernel {
        name: "hadamard",
        run: |isa, [a, b, out, _], _| vec::hadamard(isa, a, b, out),
        ..combining()
    },
    Kernel {
        name: "relu",
        run: |isa, [x, out, ..], _| vec::relu(isa, x, out),
        ..mapping()
    },
    Kernel {
        name: "exp",
        run: |isa, [x, out, ..], _| vec::exp(isa, x, out),
        ..mapping()
    },
    Kernel {
        name: "gelu",
        run: |isa, [x, out, ..], _| vec::gelu(isa, x, out),
        ..mapping()
    },
    Kernel {
        name: "gelu_backward",
        run: |isa, [x, gradient, ..], _| vec::gelu_backward(isa, x, gradient),
        reads: 2.0,
        blind: 0.0,
        ..mapping()
    },
    Kernel {
        name: "softmax",
        row: ATTENTION,
        run: |isa, [x, ..], _| {
            for row in x.chunks_exact_mut(ATTENTION) {
                black_box(vec::softmax(isa, row));
            }
        },
        writes: 1.0,
        ..reading()
    },
    Kernel {
        name: "layernorm",
        row: WIDTH,
        run: |isa, [x, out, ..], rows| {
            let statistics = &mut rows.statistics[..2 * (x.len() / WIDTH)];
            vec::layernorm(isa, x, &rows.gain, &rows.bias, out, statistics);
        },
        ..mapping()
    },
    Kernel {
        name: "layernorm_backward",
        row: WIDTH,
        run: |isa, [x, dy, dx, _], rows| {
            let statistics = &rows.statistics[..2 * (x.len() / WIDTH)];
            vec::layernorm_backward(
                isa,
                x,
                &rows.gain,
                statistics,
                dy,
                dx,
                &mut rows.dgain,
                &mut rows.dbias,
            );
        },
        reads: 3.0,
        blind: 0.0,
        ..combining()
    },
    Kernel {
        name: "adamw",
        arrays: 4,
        row: 16,
        reads: 4.0,
        writes: 4.0,
        blind: 0.0,
        run: |isa, [parameters, gradients, first, second], _| {
            vec::adamw(isa, STEP, parameters, gradients, first, second);
        },
    },
    Kernel {
        name: "sum_of_squares",
        run: |isa, [x, ..], _| {
            black_box(vec::sum_of_squares(isa, x));
        },
        ..reading()
    },
    Kernel {
        name: "column_sums",
        row: WIDTH,
        run: |isa, [x, ..], rows| vec::add_column_sums(isa, &Solo, x, &mut rows.dgain),
        ..reading()
    },
];

/// An update that changes parameters by less than they can show in the time that is measured.
const STEP: AdamwStep = AdamwStep {
    learning_rate: 1e-6,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    weight_decay: 0.1,
    count: 100,
    gradient_scale: 0.5,
};

const fn reading() -> Kernel {
    Kernel {
        name: "",
        arrays: 1,
        row: 16,
        reads: 1.0,
        writes: 0.0,
        blind: 0.0,
        run: |_, _, _| {},
    }
}

const fn mapping() -> Kernel {
    Kernel {
        arrays: 2,
        writes: 1.0,
        blind: 1.0,
        ..reading()
    }
}

const fn combining() -> Kernel {
    Kernel {
        arrays: 3,
        reads: 2.0,
        ..mapping()
    }
}

impl Kernel {
    /// Values of each array where all arrays together take at most `values`: whole rows, and for reading whole cache lines.
    pub fn length(&self, values: usize) -> usize {
        let each = (values / self.arrays).saturating_sub(SKEW);
        each / self.row * self.row
    }

    /// Works once through the front of `memory`, of which all arrays together take `values` at most.
    pub fn run(&self, isa: Isa, memory: &mut [f32], values: usize, rows: &mut Rows) {
        let length = self.length(values);
        let mut rest = memory;
        let arrays = std::array::from_fn(|index| {
            if index >= self.arrays {
                return &mut [][..];
            }
            let taken = std::mem::take(&mut rest);
            // The last array has nothing behind it.
            let (array, behind) = taken.split_at_mut((length + SKEW).min(taken.len()));
            rest = behind;
            &mut array[..length]
        });
        (self.run)(isa, arrays, rows);
    }

    /// Bytes that are read and written for one element of each array.
    pub fn useful_bytes(&self) -> f64 {
        4.0 * (self.reads + self.writes)
    }

    /// The same with lines that are fetched only to be overwritten; within L1 (`in_l1`) there is nothing to fetch.
    pub fn bus_bytes(&self, in_l1: bool) -> f64 {
        let fetched = if in_l1 { 0.0 } else { 4.0 * self.blind };
        self.useful_bytes() + fetched
    }
}

/// Five cache lines between two arrays: arrays whose addresses differ by a multiple of 4 KB get in each other's way.
pub(super) const SKEW: usize = 80;

/// Fills `memory` with values that no kernel turns into zeros, infinities or denormals however often it runs: between 6 and 7, where
/// the derivative of GELU is one.
pub fn fill(memory: &mut [f32]) {
    const PATTERN: usize = 4096;
    let pattern: [f32; PATTERN] =
        std::array::from_fn(|place| 6.0 + (place * 2_654_435 % 4_093) as f32 / 4_096.0);
    for part in memory.chunks_mut(PATTERN) {
        part.copy_from_slice(&pattern[..part.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Arena;

    #[test]
    fn every_kernel_runs_on_every_isa_and_stays_finite() {
        for values in [4096, 10_000] {
            for kernel in KERNELS {
                for isa in Isa::available() {
                    let mut memory = Arena::new(values).unwrap().take(values);
                    let mut rows = Rows::new(values);
                    fill(&mut memory);
                    for _ in 0..20 {
                        kernel.run(isa, &mut memory, values, &mut rows);
                    }
                    let length = kernel.length(values);
                    assert!(
                        length > 0 && length.is_multiple_of(kernel.row),
                        "{}",
                        kernel.name
                    );
                    assert!(
                        memory.iter().all(|value| value.is_finite()),
                        "{} {}",
                        kernel.name,
                        isa.name()
                    );
                }
            }
        }
    }

    #[test]
    fn traffic_is_counted_as_it_is() {
        let of = |name: &str| {
            let kernel = KERNELS.iter().find(|kernel| kernel.name == name).unwrap();
            (
                kernel.useful_bytes(),
                kernel.bus_bytes(false),
                kernel.bus_bytes(true),
            )
        };
        assert_eq!(of("copy"), (8.0, 12.0, 8.0));
        assert_eq!(of("add"), (12.0, 16.0, 12.0));
        assert_eq!(of("softmax"), (8.0, 8.0, 8.0));
        assert_eq!(of("adamw"), (32.0, 32.0, 32.0));
        assert_eq!(of("sum_of_squares"), (4.0, 4.0, 4.0));
        assert_eq!((READ.name, COPY.name), ("read", "copy"));
        for (place, kernel) in KERNELS.iter().enumerate() {
            assert!(
                KERNELS[..place]
                    .iter()
                    .all(|other| other.name != kernel.name)
            );
            assert!(kernel.arrays <= MOST_ARRAYS && kernel.blind <= kernel.writes);
        }
    }
}
