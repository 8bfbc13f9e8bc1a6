//! The names of the suite's numbers, for whoever reads them: a forecast of larger fleets does.

/// The names of one number of ranks.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// How many.
    pub ranks: usize,
}

impl Names {
    /// The law of a sum's cost: `latency_seconds`, `gbps`, `fit_error`, behind the threads, of which one adds up.
    pub fn network(self) -> String {
        format!("fleet.network.r{}", self.ranks)
    }

    /// The curves of a sum over its bytes: `seconds`, `gbps`, behind the threads.
    pub fn all_reduce(self) -> String {
        format!("fleet.all_reduce.r{}", self.ranks)
    }

    /// A curve over the ranks of what each host can do by itself, `compute`, `memory` or `latency`; behind the threads.
    pub fn host(self, what: &str) -> String {
        format!("fleet.host_{what}.r{}", self.ranks)
    }

    /// The numbers of a case under one way to share its batches, `alone`, `weak` or `strong`, or of a part of one; behind the threads.
    pub fn case(self, case: &str, way: &str) -> String {
        format!("fleet.{case}.{way}.r{}", self.ranks)
    }
}
