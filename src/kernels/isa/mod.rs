//! The instruction sets that kernels are compiled for, and the proof that the CPU and the system allow one.
//!
//! An operation is written once, as an [`Op`] over the lane vocabulary of [`Simd`]. Each ISA file supplies the
//! vocabulary and the size of its GEMM register tile. A token of an ISA can only be made by its `detect()`, which asks
//! CPUID and XCR0; whoever holds one may run its instructions, so entering an ISA is safe.
//!
//! To add an ISA: one file here, its row in [`Isa`] and in `Isa::all`.
#![allow(
    unsafe_code,
    reason = "loads, stores and tiles work on pointers into packed panels"
)]

mod avx2;
mod avx512;
mod avx512vl;
mod portable;
mod ymm;

pub use avx2::Avx2;
pub use avx512::Avx512;
pub use avx512vl::Avx512Vl;
pub use portable::Portable;

use crate::kernels::gemm::Tile;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("loopos measures x86-64 machines: build it on one");

/// The lane operations that kernels are written in. `V` holds [`Simd::LANES`] f32 values.
///
/// Methods take the token, so that an operation cannot be named without the right to run it.
pub trait Simd: Copy + Send + Sync + 'static {
    /// A register of lanes.
    type V: Copy;
    /// f32 lanes of one register.
    const LANES: usize;
    /// Rows of the GEMM register tile.
    const TILE_ROWS: usize;
    /// Registers in a row of the GEMM register tile.
    const TILE_VECTORS: usize;
    /// How many rows of A the tile may read where they lie, the best number first.
    const ROWS_IN_PLACE: &[usize] = &[Self::TILE_ROWS];

    /// Runs `op` compiled for this ISA, as a function of its own also within another operation: `#[inline(never)]` stands on these
    /// methods, since rustc ignores it beside `#[target_feature]`.
    fn run<O: Op>(self, op: O) -> O::Output;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::V;
    /// The first `LANES` values of `from`; panics when there are fewer.
    fn load(self, from: &[f32]) -> Self::V;
    /// All values of `from`, at most `LANES`, the other lanes 0.
    fn load_partial(self, from: &[f32]) -> Self::V;
    /// Writes all lanes to the front of `to`; panics when it is shorter.
    fn store(self, v: Self::V, to: &mut [f32]);
    /// Writes as many lanes as `to` has places for.
    fn store_partial(self, v: Self::V, to: &mut [f32]);

    /// `a + b`.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a / b`, correctly rounded.
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a * b + c`, rounded once where the ISA has FMA.
    fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The larger; `b` where either is NaN (as MAXPS).
    fn max(self, a: Self::V, b: Self::V) -> Self::V;
    /// The smaller; `b` where either is NaN (as MINPS).
    fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// Square root, correctly rounded.
    fn sqrt(self, a: Self::V) -> Self::V;
    /// Nearest integer, ties to even.
    fn round(self, a: Self::V) -> Self::V;
    /// `a * 2^n` for integral `n`, where both are normal numbers; NaN where `a` is.
    fn scale_exp2(self, a: Self::V, n: Self::V) -> Self::V;
    /// `1 / a` within 1 ULP, where both are normal numbers; NaN where `a` is.
    fn reciprocal(self, a: Self::V) -> Self::V;
    /// `a` where `x <= y`, else `b`; `b` where `x` or `y` is NaN.
    fn select_le(self, x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// Sum of the lanes, in a fixed order.
    fn sum(self, v: Self::V) -> f32;
    /// Largest lane.
    fn max_lane(self, v: Self::V) -> f32;

    /// The first `LANES` values at `from`.
    ///
    /// # Safety
    /// - `from` is valid for reads of `LANES` f32 values.
    unsafe fn load_at(self, from: *const f32) -> Self::V;

    /// Writes all lanes at `to`.
    ///
    /// # Safety
    /// - `to` is valid for writes of `LANES` f32 values.
    unsafe fn store_at(self, v: Self::V, to: *mut f32);

    /// Writes all lanes at `to` past the caches (non-temporal). Another thread may see them only behind a store fence.
    ///
    /// # Safety
    /// - `to` is valid for writes of `LANES` f32 values and aligned to as many.
    unsafe fn stream_at(self, v: Self::V, to: *mut f32);

    /// Transposes `rows` x `LANES` values at `from` (row stride `stride`) to `LANES` vectors at `to`, each of `LANES` lanes
    /// (those past `rows` are 0), `step` values apart, in ascending order: with `step < LANES` a vector overwrites the
    /// padding of the one before it.
    ///
    /// # Safety
    /// - `rows <= LANES`, and each row is valid for reads of `LANES` values.
    /// - `to` is valid for writes of `(LANES - 1) * step + LANES` values.
    unsafe fn transpose_at(
        self,
        rows: usize,
        from: *const f32,
        stride: usize,
        to: *mut f32,
        step: usize,
    );

    /// Multiplies two packed panels into one register tile of C.
    ///
    /// # Safety
    /// - As `Tile` says of its fields, with the strides of panels.
    unsafe fn gemm_tile(self, tile: &Tile);

    /// The same from lines of any stride.
    ///
    /// # Safety
    /// - As `Tile` says of its fields, but lines of A and B can be read for a full tile; `a_line` or `a_step` is 1, and where it is
    ///   `a_step`, `rows` is one of `ROWS_IN_PLACE`.
    unsafe fn gemm_tile_strided(self, tile: &Tile);

    /// The same for any part of a tile from lines of any stride: reads no row and no column past the tile's.
    ///
    /// # Safety
    /// - As `Tile` says of its fields.
    unsafe fn gemm_tile_edge(self, tile: &Tile);
}

/// An operation written once for every ISA.
pub trait Op {
    /// What it returns.
    type Output;
    /// The operation in the vocabulary of `S`. Implementations are `#[inline(always)]`, so that they are compiled with the
    /// features of the ISA that runs them.
    fn eval<S: Simd>(self, simd: S) -> Self::Output;
}

/// One lane and plain Rust: the reference that runs everywhere.
pub type Scalar = Portable<1>;

/// An ISA that this CPU and this system can run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Isa {
    /// AVX-512 F, DQ, BW, VL at 512 bits.
    Avx512(Avx512),
    /// AVX-512 VL at 256 bits: 32 registers and masks without the 512-bit licence.
    Avx512Vl(Avx512Vl),
    /// AVX2 and FMA.
    Avx2(Avx2),
    /// Plain Rust, one lane.
    Scalar(Scalar),
    /// Sixteen lanes emulated in plain Rust, so that wide tails are tested on any machine.
    #[cfg(test)]
    Emulated16(Portable<16>),
}

impl Isa {
    /// The names that `LOOPOS_ISA` and `--isa` take, widest first.
    pub const NAMES: [&'static str; 4] = ["avx512", "avx512vl", "avx2", "scalar"];

    /// What each name needs; `None` where CPU or system do not have it.
    fn all() -> [Option<Isa>; 4] {
        [
            Avx512::detect().map(Isa::Avx512),
            Avx512Vl::detect().map(Isa::Avx512Vl),
            Avx2::detect().map(Isa::Avx2),
            Some(Isa::Scalar(Portable)),
        ]
    }

    /// Every ISA that runs here, widest first.
    pub fn available() -> Vec<Isa> {
        Isa::all().into_iter().flatten().collect()
    }

    /// The widest ISA that runs here. Which one is fastest is a measurement, not an order.
    pub fn best() -> Isa {
        Isa::all()
            .into_iter()
            .flatten()
            .next()
            .unwrap_or(Isa::Scalar(Portable))
    }

    /// The ISA of that name, or why it cannot be had.
    pub fn forced(name: &str) -> Result<Isa, IsaError> {
        let Some(position) = Isa::NAMES.iter().position(|known| *known == name) else {
            return Err(IsaError::Unknown(name.to_owned()));
        };
        Isa::all()[position].ok_or_else(|| IsaError::Unavailable {
            name: Isa::NAMES[position],
            available: Isa::available().into_iter().map(Isa::name).collect(),
        })
    }

    /// Its name: `avx512`, `avx512vl`, `avx2`, `scalar`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Avx512(_) => "avx512",
            Isa::Avx512Vl(_) => "avx512vl",
            Isa::Avx2(_) => "avx2",
            Isa::Scalar(_) => "scalar",
            #[cfg(test)]
            Isa::Emulated16(_) => "emulated16",
        }
    }

    /// Runs `op` compiled for this ISA.
    pub fn run<O: Op>(self, op: O) -> O::Output {
        match self {
            Isa::Avx512(token) => token.run(op),
            Isa::Avx512Vl(token) => token.run(op),
            Isa::Avx2(token) => token.run(op),
            Isa::Scalar(token) => token.run(op),
            #[cfg(test)]
            Isa::Emulated16(token) => token.run(op),
        }
    }

    /// f32 lanes of one register.
    pub fn lanes(self) -> usize {
        self.run(Describe).lanes
    }

    /// Rows and columns of its GEMM register tile.
    pub fn gemm_tile(self) -> (usize, usize) {
        let shape = self.run(Describe);
        (shape.tile_rows, shape.tile_vectors * shape.lanes)
    }

    /// How many rows of A its tile may read where they lie, the best number first.
    pub(crate) fn gemm_rows_in_place(self) -> &'static [usize] {
        self.run(Describe).rows_in_place
    }
}

/// Why an ISA cannot be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IsaError {
    /// No such name.
    #[error("unknown ISA `{0}`: the names are {names}", names = Isa::NAMES.join(", "))]
    Unknown(String),
    /// Known, but not on this machine.
    #[error(
        "this machine cannot run {name}: the CPU lacks it or the system does not enable it; available are {list}",
        list = available.join(", ")
    )]
    Unavailable {
        /// The ISA asked for.
        name: &'static str,
        /// Those that run here.
        available: Vec<&'static str>,
    },
}

struct Shape {
    lanes: usize,
    tile_rows: usize,
    tile_vectors: usize,
    rows_in_place: &'static [usize],
}

struct Describe;

impl Op for Describe {
    type Output = Shape;
    #[inline(always)]
    fn eval<S: Simd>(self, _: S) -> Shape {
        Shape {
            lanes: S::LANES,
            tile_rows: S::TILE_ROWS,
            tile_vectors: S::TILE_VECTORS,
            rows_in_place: S::ROWS_IN_PLACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sum<'a>(&'a [f32]);

    impl Op for Sum<'_> {
        type Output = (usize, f32);
        #[inline(always)]
        fn eval<S: Simd>(self, s: S) -> (usize, f32) {
            let mut total = s.splat(0.0);
            let mut chunks = self.0.chunks_exact(S::LANES);
            for chunk in &mut chunks {
                total = s.add(total, s.load(chunk));
            }
            total = s.add(total, s.load_partial(chunks.remainder()));
            (S::LANES, s.sum(total))
        }
    }

    #[test]
    fn each_isa_runs_its_own_lanes() {
        let values: Vec<f32> = (1..=37).map(|i| i as f32).collect();
        for isa in crate::kernels::testing::isas() {
            let (lanes, sum) = isa.run(Sum(&values));
            let expected = match isa.name() {
                "avx512" | "emulated16" => 16,
                "avx512vl" | "avx2" => 8,
                _ => 1,
            };
            assert_eq!(lanes, expected, "{}", isa.name());
            assert_eq!(sum, 703.0, "{}", isa.name());
        }
    }

    #[test]
    fn forcing_gives_the_forced_one_or_a_reason() {
        for name in Isa::NAMES {
            match Isa::forced(name) {
                Ok(isa) => assert_eq!(isa.name(), name),
                Err(error) => assert!(error.to_string().contains("available are"), "{error}"),
            }
        }
        let error = Isa::forced("avx9").unwrap_err().to_string();
        assert!(error.contains("avx512, avx512vl, avx2, scalar"), "{error}");
    }

    #[test]
    fn transposes_blocks_of_any_height() {
        struct Transpose<'a>(&'a [f32], usize, &'a mut [f32]);
        impl Op for Transpose<'_> {
            type Output = usize;
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) -> usize {
                let rows = self.1.min(S::LANES);
                // SAFETY: 16 rows of 20 values cover any block of 16 x 16, and 16 x 20 places any output at step 20.
                unsafe {
                    s.transpose_at(rows, self.0.as_ptr(), 20, self.2.as_mut_ptr(), 20);
                }
                S::LANES
            }
        }
        let input: Vec<f32> = (0..320).map(|i| i as f32 + 1.0).collect();
        for isa in crate::kernels::testing::isas() {
            for height in 1..=16 {
                let mut output = vec![-1.0; 340];
                let lanes = isa.run(Transpose(&input, height, &mut output));
                for column in 0..lanes {
                    for row in 0..lanes {
                        let expected = if row < height.min(lanes) {
                            input[row * 20 + column]
                        } else {
                            0.0
                        };
                        assert_eq!(
                            output[column * 20 + row],
                            expected,
                            "{} {height} {row} {column}",
                            isa.name()
                        );
                    }
                }
            }
        }
    }
}
