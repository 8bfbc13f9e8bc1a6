//! What the suites beside training found, in a few words: for the first screen of the page and for the terminal. A file for each suite, and a
//! row in [`SUITES`].

mod batched;
mod fleet;
mod frequency;
mod generation;
mod matmul;
mod memory;
mod products;
mod scaling;
mod simd;
mod tuning;

pub(crate) use simd::{Share, set_label, shares};

use super::view::View;
use crate::record::Run;

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Headline {
    /// The suite: `matmul`.
    pub suite: &'static str,
    /// What it is about.
    pub title: &'static str,
    /// The number that stands for it, and what it is.
    pub big: (String, String),
    /// Other numbers with their names.
    pub pairs: Vec<(String, String)>,
    /// All of it on a line.
    pub line: String,
}

type Suite = fn(&View<'_>) -> Option<Headline>;

/// In the order of the page.
const SUITES: &[Suite] = &[
    generation::generation,
    matmul::matmul,
    batched::batched,
    simd::simd,
    scaling::scaling,
    tuning::tuning,
    memory::memory,
    frequency::frequency,
    fleet::fleet,
];

/// The findings of a run, one for each suite beside training that it has.
pub fn headlines(run: &Run) -> Vec<Headline> {
    let view = View::new(run, None);
    SUITES.iter().filter_map(|suite| suite(&view)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn each_suite_says_a_line() {
        let run = sample::typical();
        let all = headlines(&run);
        let suites: Vec<&str> = all.iter().map(|headline| headline.suite).collect();
        assert_eq!(
            suites,
            [
                "generation",
                "matmul",
                "batched",
                "simd",
                "scaling",
                "tuning",
                "memory",
                "frequency",
                "fleet"
            ]
        );
        let line = "on 2 threads, 80.0 % of the speed of reading the weights; 16 at once";
        for (headline, part) in [
            (&all[0], line),
            (&all[1], "1024\u{b3}"),
            (&all[1], "of peak on 1 thread"),
            (&all[1], "x the best peer"),
            (&all[1], "; "),
            (&all[2], "256 of 128\u{d7}48\u{d7}128"),
            (&all[3], "512 MiB on 2 threads"),
            (&all[6], "a load, 4 KB pages"),
            (&all[7], "9.0 % lost to licence"),
            (
                &all[8],
                "efficiency 93.0 % on 4 ranks, one batch shared 61.0 %",
            ),
        ] {
            assert!(headline.line.contains(part), "{part}: {}", headline.line);
        }
        assert!(headlines(&sample::nothing()).is_empty());
        assert!(headlines(&sample::unavailable()).is_empty());
    }

    #[test]
    fn working_sets_are_spelled_out() {
        assert_eq!(set_label("16k"), "16 KiB");
        assert_eq!(set_label("8m"), "8 MiB");
        assert_eq!(set_label(""), "");
    }
}
