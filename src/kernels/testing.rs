//! What kernel tests share: the ISAs to run on, inputs, and how close is close.

mod guarded;

pub(crate) use guarded::{At, Guarded};

use super::isa::{Isa, Portable};

/// Every ISA that a test runs on here: those of the machine, plus 16 emulated lanes. `LOOPOS_ISA` narrows it to one.
pub(crate) fn isas() -> Vec<Isa> {
    match std::env::var("LOOPOS_ISA") {
        Ok(name) => vec![Isa::forced(&name).expect("LOOPOS_ISA names an ISA of this machine")],
        Err(_) => {
            let mut isas = Isa::available();
            isas.push(Isa::Emulated16(Portable));
            isas
        }
    }
}

/// xorshift64*: inputs that are the same everywhere (Vigna, ACM TOMS 42, 2016).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Uniform in -1..1.
    pub(crate) fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn vec(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.next()).collect()
    }
}

/// Calls `test(isa, a, b)` on every ISA with random slices of 0 to 67 values and one that spans many vectors.
pub(crate) fn for_lengths(test: impl Fn(Isa, &[f32], &[f32])) {
    for isa in isas() {
        for len in (0..=67).chain([1021]) {
            let mut random = Random::new(len as u64 + 1);
            test(isa, &random.vec(len), &random.vec(len));
        }
    }
}

/// `got` is within `roundings` unit roundings of `size` from `expected` (Higham, Accuracy and Stability, 3.1).
#[track_caller]
pub(crate) fn assert_close(got: f32, expected: f64, size: f64, roundings: usize, label: &str) {
    let bound =
        roundings as f64 * f64::from(f32::EPSILON) / 2.0 * size.max(f64::from(f32::MIN_POSITIVE));
    let error = (f64::from(got) - expected).abs();
    assert!(
        error <= bound,
        "{label}: got {got}, expected {expected}, error {error:e} above {bound:e}"
    );
}

#[test]
fn the_forced_isa_is_the_one_that_runs() {
    if let Ok(name) = std::env::var("LOOPOS_ISA") {
        let names: Vec<_> = isas().into_iter().map(Isa::name).collect();
        assert_eq!(names, [name.as_str()]);
        println!("kernel tests run on {name} alone");
    } else {
        assert_eq!(isas().len(), Isa::available().len() + 1);
    }
}
