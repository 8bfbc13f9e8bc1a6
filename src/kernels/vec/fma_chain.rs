//! The arithmetic ceiling: independent chains of fused multiply-adds that never leave the registers.

use crate::kernels::{
    Isa,
    isa::{Op, Simd},
};

/// Chains of a vector ISA: more than latency times ports of any core (4 cycles x 2), and few enough that they stay in sixteen
/// registers beside the two constants.
const CHAINS: usize = 12;

/// Chains of the scalar ISA: the compiler packs them four to an SSE register, and without FMA each needs a multiplication and an
/// addition, 8 cycles together.
const SCALAR_CHAINS: usize = 32;

/// Multiply-adds of each chain in one turn.
const UNROLLED: usize = 8;

/// Runs `turns` turns; the value that comes back keeps the compiler from leaving them out.
pub fn fma_chain(isa: Isa, turns: usize) -> f32 {
    isa.run(FmaChain { turns })
}

/// Floating-point operations of `turns` turns.
pub fn fma_chain_flops(isa: Isa, turns: usize) -> f64 {
    let lanes = isa.lanes();
    let chains = if lanes == 1 { SCALAR_CHAINS } else { CHAINS };
    (2 * lanes * chains * UNROLLED) as f64 * turns as f64
}

struct FmaChain {
    turns: usize,
}

impl Op for FmaChain {
    type Output = f32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f32 {
        if S::LANES == 1 {
            chains::<S, SCALAR_CHAINS>(s, self.turns)
        } else {
            chains::<S, CHAINS>(s, self.turns)
        }
    }
}

/// `x = factor * x + term` in `N` chains: every chain tends to 1 from below and never becomes denormal.
#[inline(always)]
fn chains<S: Simd, const N: usize>(s: S, turns: usize) -> f32 {
    let factor = s.splat(std::hint::black_box(0.75));
    let term = s.splat(std::hint::black_box(0.25));
    let mut x: [S::V; N] = std::array::from_fn(|chain| s.splat(chain as f32 / N as f32));
    for _ in 0..turns {
        for _ in 0..UNROLLED {
            for x in &mut x {
                *x = s.fma(*x, factor, term);
            }
        }
    }
    x.into_iter().map(|x| s.sum(x)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing;

    #[test]
    fn every_chain_takes_every_turn() {
        for isa in testing::isas() {
            let lanes = isa.lanes();
            let chains = if lanes == 1 { SCALAR_CHAINS } else { CHAINS };
            assert_eq!(fma_chain_flops(isa, 3), (2 * lanes * chains * 8 * 3) as f64);
            for turns in [0, 1, 2, 40] {
                // 1 - x shrinks by 3/4 with each step.
                let left = 0.75f64.powi((turns * UNROLLED) as i32);
                let ends =
                    (0..chains).map(|chain| 1.0 - left * (1.0 - chain as f64 / chains as f64));
                let expected = lanes as f64 * ends.sum::<f64>();
                let got = f64::from(fma_chain(isa, turns));
                assert!(
                    (got - expected).abs() < 1e-5 * expected.max(1.0),
                    "{} {turns}: {got} {expected}",
                    isa.name()
                );
            }
        }
    }
}
