//! The batches that are measured: an attention's two products, cubes too small to be split, and products of many sizes.

use crate::suites::peers::Layout;

/// Products of one batch; all lie in memory alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Its part of a metric's name: `256x128x48x128.nt`.
    pub name: String,
    /// Rows of C, columns of A, columns of C of each product.
    pub sizes: Vec<(usize, usize, usize)>,
    /// How A and B lie in memory.
    pub layout: Layout,
}

/// Sequences of a batch, heads of the model, positions and values of a head: the attention of 32 sequences of 128 tokens.
const ATTENTION: usize = 256;
const POSITIONS: usize = 128;
const HEAD: usize = 48;

/// Products of the ragged batch: attention scores of sequences of 8 to 128 positions.
const RAGGED: usize = 128;

/// Every batch.
pub fn cases() -> Vec<Case> {
    let equal = |count: usize, (m, k, n): (usize, usize, usize), layout: Layout| Case {
        name: format!("{count}x{m}x{k}x{n}.{}", layout.name()),
        sizes: vec![(m, k, n); count],
        layout,
    };
    let ragged = (0..RAGGED).map(|index| {
        // Every length from 8 to 128 in steps of 8, in no order.
        let length = 8 * (index * 7 % 16 + 1);
        (length, HEAD, length)
    });
    vec![
        equal(ATTENTION, (POSITIONS, HEAD, POSITIONS), Layout::Nt),
        equal(ATTENTION, (POSITIONS, POSITIONS, HEAD), Layout::Nn),
        equal(1024, (16, 16, 16), Layout::Nn),
        equal(64, (64, 64, 64), Layout::Nn),
        Case {
            name: format!("ragged.{}", Layout::Nt.name()),
            sizes: ragged.collect(),
            layout: Layout::Nt,
        },
    ]
}

impl Case {
    /// Floating-point operations of all products.
    pub fn flops(&self) -> f64 {
        let flops = |(m, k, n): &(usize, usize, usize)| 2.0 * (m * k * n) as f64;
        self.sizes.iter().map(flops).sum()
    }

    /// Bytes of all operands and results.
    pub fn bytes(&self) -> f64 {
        let bytes = |(m, k, n): &(usize, usize, usize)| 4.0 * (m * k + k * n + m * n) as f64;
        self.sizes.iter().map(bytes).sum()
    }

    /// The largest of a value of each product.
    pub(super) fn largest(&self, of: impl Fn((usize, usize, usize)) -> usize) -> usize {
        self.sizes.iter().map(|sizes| of(*sizes)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_count_and_sizes() {
        let cases = cases();
        assert_eq!(cases[0].name, "256x128x48x128.nt");
        assert_eq!(cases[2].flops(), 1024.0 * 2.0 * 4096.0);
        let ragged = cases.last().unwrap();
        assert_eq!(ragged.largest(|(m, ..)| m), 128);
        assert!(ragged.sizes.contains(&(8, 48, 8)));
    }
}
