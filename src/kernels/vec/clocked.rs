//! A clock that runs while other instructions do: a chain of additions, each waiting for the one before and taking one core cycle,
//! with one instruction of a chosen kind beside every two of them.
//!
//! Cycles over time is the frequency under just this load, taken in the same stretch: a core that lowers its clock for wide
//! instructions, or issues at a quarter of its rate while its voltage rises, shows both. Light is integer logic, heavy is floating
//! point, as Intel's licences tell them apart (Optimization Reference Manual, 2.5.3). Operands change with every instruction.
#![allow(
    unsafe_code,
    reason = "the loop must be exactly these instructions: inline assembly"
)]

use std::arch::asm;

use crate::kernels::{
    Isa,
    isa::{Avx2, Avx512},
};

/// What runs beside the additions. A variant with a token exists only where its instructions may run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PowerLoad {
    /// One float at a time.
    Scalar,
    /// Four floats.
    Sse,
    /// Logic on 256 bits.
    Avx2Light(Avx2),
    /// Multiply-adds on 256 bits.
    Avx2Heavy(Avx2),
    /// Logic on 512 bits.
    Avx512Light(Avx512),
    /// Multiply-adds on 512 bits.
    Avx512Heavy(Avx512),
}

/// Additions, and so cycles, of one pass of [`clocked`].
pub const CLOCKED_CYCLES: u64 = 128;

impl PowerLoad {
    /// Those of this machine, the lightest first.
    pub fn available() -> Vec<PowerLoad> {
        let mut loads = vec![PowerLoad::Scalar, PowerLoad::Sse];
        let isas = Isa::available();
        loads.extend(isas.iter().rev().flat_map(|isa| match isa {
            Isa::Avx2(token) => vec![PowerLoad::Avx2Light(*token), PowerLoad::Avx2Heavy(*token)],
            Isa::Avx512(token) => vec![
                PowerLoad::Avx512Light(*token),
                PowerLoad::Avx512Heavy(*token),
            ],
            _ => Vec::new(),
        }));
        loads
    }

    /// Its part of a metric's name.
    pub fn name(self) -> &'static str {
        match self {
            PowerLoad::Scalar => "scalar",
            PowerLoad::Sse => "sse",
            PowerLoad::Avx2Light(_) => "avx2_light",
            PowerLoad::Avx2Heavy(_) => "avx2_heavy",
            PowerLoad::Avx512Light(_) => "avx512_light",
            PowerLoad::Avx512Heavy(_) => "avx512_heavy",
        }
    }
}

/// The loop with `$beside` on register `$register` n; constants -1 and 1.5 lie in registers 15 and 14.
macro_rules! clocked {
    ($passes:expr, $set:literal, $start:literal, $beside:literal, $end:literal) => {{
        let (mut sum, passes): (u64, u64) = (0, $passes);
        // SAFETY: the instructions are those of the load, whose token the caller holds; they touch no memory, only registers that are
        // declared here. The upper halves of vector registers hold nothing of the surrounding baseline code, and are cleared.
        unsafe {
            asm!(
                "mov {bits:e}, 0xbf800000",
                "movd xmm15, {bits:e}",
                "mov {bits:e}, 0x3fc00000",
                "movd xmm14, {bits:e}",
                $set,
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
                $start,
                ".endr",
                "mov {bits:e}, 1",
                ".p2align 5",
                "2:",
                ".rept 8",
                ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
                "add {sum}, {bits}",
                "add {sum}, {bits}",
                $beside,
                ".endr",
                ".endr",
                "dec {passes}",
                "jnz 2b",
                $end,
                sum = inout(reg) sum,
                passes = inout(reg) passes => _,
                bits = out(reg) _,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm14") _, out("xmm15") _,
                options(nomem, nostack),
            );
        }
        sum
    }};
}

/// Runs `passes` passes of [`CLOCKED_CYCLES`] additions with `load` beside them: the additions made.
#[inline(never)]
pub fn clocked(load: PowerLoad, passes: u64) -> u64 {
    if passes == 0 {
        return 0;
    }
    match load {
        PowerLoad::Scalar => clocked!(
            passes,
            "",
            "movaps xmm\\n, xmm14",
            "mulss xmm\\n, xmm15",
            ""
        ),
        PowerLoad::Sse => clocked!(
            passes,
            "shufps xmm15, xmm15, 0\nshufps xmm14, xmm14, 0",
            "movaps xmm\\n, xmm14",
            "mulps xmm\\n, xmm15",
            ""
        ),
        PowerLoad::Avx2Light(_) => clocked!(
            passes,
            "vbroadcastss ymm15, xmm15\nvbroadcastss ymm14, xmm14",
            "vmovaps ymm\\n, ymm14",
            "vpxor ymm\\n, ymm\\n, ymm15",
            "vzeroupper"
        ),
        PowerLoad::Avx2Heavy(_) => clocked!(
            passes,
            "vbroadcastss ymm15, xmm15\nvbroadcastss ymm14, xmm14",
            "vmovaps ymm\\n, ymm14",
            "vfmadd132ps ymm\\n, ymm14, ymm15",
            "vzeroupper"
        ),
        PowerLoad::Avx512Light(_) => clocked!(
            passes,
            "vbroadcastss zmm15, xmm15\nvbroadcastss zmm14, xmm14",
            "vmovaps zmm\\n, zmm14",
            "vpxord zmm\\n, zmm\\n, zmm15",
            "vzeroupper"
        ),
        PowerLoad::Avx512Heavy(_) => clocked!(
            passes,
            "vbroadcastss zmm15, xmm15\nvbroadcastss zmm14, xmm14",
            "vmovaps zmm\\n, zmm14",
            "vfmadd132ps zmm\\n, zmm14, zmm15",
            "vzeroupper"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_makes_every_addition() {
        let loads = PowerLoad::available();
        assert!(loads.len() >= 2);
        for load in loads {
            for passes in [0, 1, 77] {
                let made = clocked(load, passes);
                assert_eq!(made, passes * CLOCKED_CYCLES, "{}", load.name());
            }
        }
    }

    #[test]
    fn vector_registers_of_the_caller_survive() {
        let before: Vec<f32> = (0..64).map(|value| value as f32 * 0.5).collect();
        for load in PowerLoad::available() {
            let doubled: Vec<f32> = before.iter().map(|value| value * 2.0).collect();
            clocked(load, 3);
            assert!(
                doubled
                    .iter()
                    .zip(0..)
                    .all(|(value, place)| *value == place as f32)
            );
        }
    }
}
