//! Peers from crates.io: `matrixmultiply` and `gemm`.
#![allow(unsafe_code, reason = "both crates take matrices as bare pointers")]

use super::{Peer, Product, Workers};
use std::sync::atomic::{AtomicUsize, Ordering};

/// `matrixmultiply`, which ndarray uses. Its own threads take their number from the environment, once: it is measured on one.
pub(super) struct Matrixmultiply;

impl Peer for Matrixmultiply {
    fn name(&self) -> &'static str {
        "matrixmultiply"
    }

    fn about(&self) -> String {
        "crate matrixmultiply 0.3, AVX2 at most".to_owned()
    }

    fn workers(&self) -> Workers {
        Workers::Pool
    }

    fn set_threads(&self, threads: usize) -> Result<(), String> {
        if threads == 1 {
            return Ok(());
        }
        Err("it takes its number of threads from the environment, once, and cannot be told".into())
    }

    fn multiply(&self, product: &Product<'_>, c: &mut [f32]) -> Result<(), String> {
        product.check(c);
        let Product { m, k, n, a, b, .. } = *product;
        let [a_strides, b_strides] = strides(product);
        // SAFETY: the operands and C were checked to hold these sizes at these strides, and C is borrowed exclusively.
        unsafe {
            matrixmultiply::sgemm(
                m,
                k,
                n,
                1.0,
                a.as_ptr(),
                a_strides[0],
                a_strides[1],
                b.as_ptr(),
                b_strides[0],
                b_strides[1],
                0.0,
                c.as_mut_ptr(),
                n as isize,
                1,
            );
        }
        Ok(())
    }
}

/// `gemm`, which faer and candle use. It works on the pool that it is called in.
pub(super) struct Gemm {
    threads: AtomicUsize,
}

impl Default for Gemm {
    fn default() -> Self {
        Self {
            threads: AtomicUsize::new(1),
        }
    }
}

impl Peer for Gemm {
    fn name(&self) -> &'static str {
        "gemm"
    }

    fn about(&self) -> String {
        "crate gemm 0.19 with AVX-512".to_owned()
    }

    fn workers(&self) -> Workers {
        Workers::Pool
    }

    fn set_threads(&self, threads: usize) -> Result<(), String> {
        self.threads.store(threads, Ordering::Relaxed);
        Ok(())
    }

    fn multiply(&self, product: &Product<'_>, c: &mut [f32]) -> Result<(), String> {
        product.check(c);
        let Product { m, k, n, a, b, .. } = *product;
        let [a_strides, b_strides] = strides(product);
        let parallelism = match self.threads.load(Ordering::Relaxed) {
            1 => gemm::Parallelism::None,
            threads => gemm::Parallelism::Rayon(threads),
        };
        // SAFETY: the operands and C were checked to hold these sizes at these strides, and C is borrowed exclusively.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                c.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                a_strides[1],
                a_strides[0],
                b.as_ptr(),
                b_strides[1],
                b_strides[0],
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
        Ok(())
    }
}

/// Of A and of B: values to the next row and to the next column of the matrix that is multiplied.
fn strides(product: &Product<'_>) -> [[isize; 2]; 2] {
    let turned = |stride: usize, transposed: bool| match transposed {
        true => [1, stride as isize],
        false => [stride as isize, 1],
    };
    [
        turned(product.a_stride(), product.layout.a_transposed()),
        turned(product.b_stride(), product.layout.b_transposed()),
    ]
}
