//! What a kernel call does, declared by the kernel itself: rooflines and MFU come from nothing else.

use std::ops::{Add, AddAssign, Mul};

/// Work and compulsory traffic of one call: every input element read once, every output element written once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations; a fused multiply-add is two, an `exp` is one.
    pub flops: f64,
    /// Bytes of distinct input.
    pub bytes_read: f64,
    /// Bytes of distinct output.
    pub bytes_written: f64,
}

impl Cost {
    /// `C[m,n] = A[m,k] B[k,n]` in f32.
    pub fn gemm(m: usize, n: usize, k: usize) -> Cost {
        let (m, n, k) = (m as f64, n as f64, k as f64);
        Cost {
            flops: 2.0 * m * n * k,
            bytes_read: 4.0 * (m * k + k * n),
            bytes_written: 4.0 * m * n,
        }
    }

    /// `elements` f32 values, each needing `flops` operations, `reads` loads and `writes` stores.
    pub fn elementwise(elements: usize, flops: f64, reads: f64, writes: f64) -> Cost {
        let elements = elements as f64;
        Cost {
            flops: flops * elements,
            bytes_read: 4.0 * reads * elements,
            bytes_written: 4.0 * writes * elements,
        }
    }

    /// Bytes read and written.
    pub fn bytes(self) -> f64 {
        self.bytes_read + self.bytes_written
    }
}

impl Add for Cost {
    type Output = Cost;
    fn add(self, other: Cost) -> Cost {
        Cost {
            flops: self.flops + other.flops,
            bytes_read: self.bytes_read + other.bytes_read,
            bytes_written: self.bytes_written + other.bytes_written,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        *self = *self + other;
    }
}

impl Mul<f64> for Cost {
    type Output = Cost;
    fn mul(self, times: f64) -> Cost {
        Cost {
            flops: self.flops * times,
            bytes_read: self.bytes_read * times,
            bytes_written: self.bytes_written * times,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gemm_counts_two_operations_a_multiply_add() {
        let cost = Cost::gemm(2, 3, 5) + Cost::elementwise(10, 1.0, 2.0, 1.0) * 2.0;
        assert_eq!(cost.flops, 60.0 + 20.0);
        assert_eq!(cost.bytes_read, 4.0 * 25.0 + 160.0);
        assert_eq!(cost.bytes(), 4.0 * 25.0 + 160.0 + 24.0 + 80.0);
    }
}
