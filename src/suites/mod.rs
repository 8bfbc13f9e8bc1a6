//! What is measured: one suite per question, each with its cases, its checks and how to read it.
//!
//! A suite takes a [`Context`] (the machine, the experiment, the clock), measures, and leaves numbers in the context's
//! [`Recorder`] under the names of run.json. After each case it calls [`Context::keep`], so that nothing measured is lost when a
//! later case fails or the user stops. To add a suite: one file, its `mod` line, its row in [`SUITES`].

pub mod batched;
mod ceilings;
mod contest;
mod context;
pub mod fleet;
mod frequency;
mod generation;
mod known_work;
mod lesson;
mod machine;
pub mod matmul;
mod memory;
mod operands;
pub mod peers;
pub mod quantity;
mod recorder;
mod scaling;
pub mod simd;
mod steps;
mod training;
pub mod tuning;
pub mod verify;

#[cfg(test)]
mod testing;

pub use context::{Case, Context, Effort, Experiment, Host, caches};
pub use lesson::{Begin, Begun, Lesson};
pub use machine::record_machine;
pub use recorder::{Curve, Recorder};
pub use training::{Course, CourseStep, record_course};

use crate::kernels::Isa;

/// Something that can be measured.
pub trait Suite: Sync {
    /// What the user types behind `--suite`.
    fn id(&self) -> &'static str;
    /// The question it answers.
    fn title(&self) -> &'static str;
    /// How its numbers are to be read.
    fn how_to_read(&self) -> &'static str;
    /// Whether it needs configurations and their text.
    fn trains(&self) -> bool;
    /// About how long it takes where no limit is set, in seconds, on two threads of a core of some years ago: for the time left.
    fn seconds(&self, experiment: &Experiment) -> f64;
    /// Measures. A stop of the user is no error: what was measured until then is in the recorder.
    ///
    /// # Errors
    /// What could not be done, naming what the user can change.
    fn run(&self, context: &mut Context) -> Result<(), SuiteError>;
}

/// Every suite, in the order in which `--suite all` runs them.
pub const SUITES: &[&dyn Suite] = &[
    &ceilings::Ceilings,
    &training::Training,
    &scaling::Scaling,
    &tuning::Tuning,
    &generation::Generation,
    &matmul::Matmul,
    &batched::Batched,
    &simd::Simd,
    &memory::Memory,
    &frequency::Frequency,
    &fleet::Fleet,
];

/// The suite of that id.
pub fn find(id: &str) -> Option<&'static dyn Suite> {
    SUITES.iter().copied().find(|suite| suite.id() == id)
}

/// Seconds of the ceilings, for suites that measure them first.
fn ceilings(experiment: &Experiment) -> f64 {
    find("ceilings").map_or(0.0, |suite| suite.seconds(experiment))
}

/// `on 1 thread`, `on 2 threads`.
fn on_threads(threads: usize) -> String {
    format!("on {threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// The instruction sets of the experiment; a quick run takes the widest and AVX2 only.
fn isas(context: &Context) -> Vec<Isa> {
    let all = &context.experiment.isas;
    let kept = |(place, isa): &(usize, &Isa)| {
        context.experiment.effort > Effort::Quick || *place == 0 || isa.name() == "avx2"
    };
    all.iter()
        .enumerate()
        .filter(kept)
        .map(|(_, isa)| *isa)
        .collect()
}

/// Why a suite could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// No memory for the buffers.
    #[error(transparent)]
    Memory(#[from] crate::tensor::ArenaError),
    /// No threads.
    #[error(transparent)]
    Threads(#[from] crate::parallel::PoolError),
    /// The text makes no batches.
    #[error("{case}: {source}")]
    Data {
        /// The case.
        case: String,
        /// Why.
        source: crate::train::data::DataError,
    },
    /// The trainer could not be made.
    #[error("{case}: {source}")]
    Trainer {
        /// The case.
        case: String,
        /// Why.
        source: crate::train::TrainerError,
    },
    /// What is taught could not be made ready.
    #[error("{case}: {reason}")]
    Lesson {
        /// The case.
        case: String,
        /// Why.
        reason: String,
    },
    /// The results could not be kept.
    #[error("cannot keep the results: {0}")]
    Keep(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_found_by_their_id() {
        for (index, suite) in SUITES.iter().enumerate() {
            assert!(find(suite.id()).is_some_and(|found| found.title() == suite.title()));
            assert!(SUITES[..index].iter().all(|other| other.id() != suite.id()));
            assert!(suite.how_to_read().ends_with('.'), "{}", suite.id());
        }
        assert!(find("no such suite").is_none());
    }
}
