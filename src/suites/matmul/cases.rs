//! The products that are measured: those of the model, the classical cubes, and small, odd, tall and flat ones.

use crate::suites::Effort;
use crate::suites::peers::Layout;

/// One product.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Case {
    /// Rows of C.
    pub m: usize,
    /// Columns of A and rows of B.
    pub k: usize,
    /// Columns of C.
    pub n: usize,
    /// How A and B lie in memory.
    pub layout: Layout,
}

/// The products, each with the least effort that measures it.
const CASES: &[(usize, usize, usize, Layout, Effort)] = &[
    (64, 64, 64, Layout::Nn, Effort::Quick),
    (128, 128, 128, Layout::Nn, Effort::Normal),
    (256, 256, 256, Layout::Nn, Effort::Quick),
    (512, 512, 512, Layout::Nn, Effort::Normal),
    (1024, 1024, 1024, Layout::Nn, Effort::Quick),
    (2048, 2048, 2048, Layout::Nn, Effort::Normal),
    // The model of d_model 384 on 4,096 tokens: output projection, MLP up, MLP down, head, and a weight's and an input's gradient.
    (4096, 384, 384, Layout::Nn, Effort::Normal),
    (4096, 384, 1536, Layout::Nn, Effort::Quick),
    (4096, 1536, 384, Layout::Nn, Effort::Normal),
    (4096, 384, 16000, Layout::Nn, Effort::Normal),
    (384, 4096, 1536, Layout::Tn, Effort::Quick),
    (4096, 1536, 384, Layout::Nt, Effort::Quick),
    // Tiny, the head for one token, odd, and tall.
    (8, 8, 8, Layout::Nn, Effort::Normal),
    (32, 32, 32, Layout::Nn, Effort::Normal),
    (1, 384, 16000, Layout::Nn, Effort::Quick),
    (17, 385, 129, Layout::Nn, Effort::Normal),
    (4096, 64, 64, Layout::Nn, Effort::Normal),
];

/// The products of that effort, in the order in which they are measured; with full effort, each in every layout.
pub fn cases(effort: Effort) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for &(m, k, n, layout, least) in CASES {
        let case = Case { m, k, n, layout };
        if effort >= least {
            cases.push(case);
        }
    }
    if effort == Effort::Full {
        for &(m, k, n, ..) in CASES {
            for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
                let case = Case { m, k, n, layout };
                if !cases.contains(&case) {
                    cases.push(case);
                }
            }
        }
    }
    cases
}

impl Case {
    /// Its part of a metric's name.
    pub fn name(&self) -> String {
        let Case { m, k, n, layout } = self;
        format!("{m}x{k}x{n}.{}", layout.name())
    }

    /// Floating-point operations.
    pub fn flops(&self) -> f64 {
        2.0 * self.m as f64 * self.k as f64 * self.n as f64
    }

    /// Bytes of both operands and the result.
    pub fn bytes(&self) -> f64 {
        4.0 * (self.m * self.k + self.k * self.n + self.m * self.n) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_effort_measures_more_and_nothing_twice() {
        let [quick, normal, full] = [Effort::Quick, Effort::Normal, Effort::Full].map(cases);
        assert!(quick.iter().all(|case| normal.contains(case)));
        assert!(normal.iter().all(|case| full.contains(case)));
        assert!(quick.len() < normal.len() && normal.len() < full.len());
        for (place, case) in full.iter().enumerate() {
            assert!(!full[..place].contains(case), "{}", case.name());
        }
    }

    #[test]
    fn names_and_costs_are_those_of_the_design() {
        let case = cases(Effort::Quick)
            .into_iter()
            .find(|case| case.n == 1536 && case.m == 4096)
            .unwrap();
        assert_eq!(case.name(), "4096x384x1536.nn");
        assert_eq!(case.flops(), 2.0 * 4096.0 * 384.0 * 1536.0);
    }
}
