//! The pictures of a run: one file per picture, and the list that orders them.

mod bandwidth;
mod batches;
mod cache_misses;
mod cache_table;
pub(crate) mod ceilings;
mod core_to_core;
mod frequency;
mod frequency_lost;
mod frequency_matrix;
mod frequency_switch;
pub(crate) mod generation;
mod heat;
mod hosts;
mod latency;
mod ledger;
mod loaded_latency;
mod loss;
mod matmul;
mod memory_latency;
mod memory_plan;
mod memory_use;
mod nodes;
mod panels;
pub(crate) mod posttraining;
mod ranks;
mod roofline;
mod scaling;
mod shared_batches;
mod speedup;
mod step_breakdown;
mod step_times;
mod streams;
mod sums;
mod thread_efficiency;
mod top_down;
pub(crate) mod topology;
mod tuning;
mod vector_kernels;

pub(crate) use cache_misses::of_a_part;
use maud::Markup;
pub(crate) use roofline::Roofs;

use super::draw::Svg;
use super::values::{capital, sentence};
use super::view::{Input, View};

/// The pictures in the order of the page.
pub(crate) const ALL: [&Chart; 34] = [
    &step_breakdown::CHART,
    &roofline::CHART,
    &ledger::CHART,
    &speedup::CHART,
    &thread_efficiency::CHART,
    &cache_misses::CHART,
    &top_down::CHART,
    &posttraining::CHART,
    &loss::CHART,
    &step_times::CHART,
    &memory_plan::CHART,
    &memory_use::CHART,
    &scaling::CHART,
    &tuning::CHART,
    &hosts::CHART,
    &shared_batches::CHART,
    &sums::CHART,
    &ranks::CHART,
    &generation::CHART,
    &matmul::CHART,
    &batches::CHART,
    &vector_kernels::CHART,
    &topology::CHART,
    &bandwidth::CHART,
    &latency::CHART,
    &streams::CHART,
    &memory_latency::CHART,
    &loaded_latency::CHART,
    &core_to_core::CHART,
    &nodes::CHART,
    &frequency::CHART,
    &frequency_matrix::CHART,
    &frequency_lost::CHART,
    &frequency_switch::CHART,
];

/// What a picture is about: decides its place on the page, and whether it is drawn once or for each training case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Subject {
    /// One training case.
    Training,
    /// How speed depends on the sizes of a run.
    Sizes,
    /// Several processes that train together.
    Fleet,
    /// Texts that a model writes.
    Generation,
    /// Products and vector kernels by themselves.
    Kernels,
    /// The machine.
    Machine,
}

/// The width of a card.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Span {
    /// The whole page.
    Full,
    /// Half of it.
    Half,
    /// The whole page, shared with a table at the right.
    Beside,
}

/// The paper that a picture is drawn on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Width in pixels.
    pub(crate) width: f64,
    /// For a phone held upright.
    pub(crate) narrow: bool,
}

/// One picture: when it is wanted and how it is drawn.
pub(crate) struct Chart {
    /// Name of its file and of its anchor.
    pub(crate) id: &'static str,
    /// Its heading.
    pub(crate) title: &'static str,
    /// One sentence on how to read it.
    pub(crate) how_to_read: &'static str,
    /// What it is about.
    pub(crate) subject: Subject,
    /// How wide it is.
    pub(crate) span: Span,
    /// The suite that measures what it shows.
    pub(crate) suite: &'static str,
    /// What it is made of, as far as the run has it; empty where the run did not look.
    pub(crate) inputs: fn(&View<'_>) -> Vec<Input>,
    /// The picture, or why there is none.
    pub(crate) draw: fn(&View<'_>, Frame) -> Result<Svg, String>,
    /// A table that belongs to it: at its right, or below where the picture takes the whole page.
    pub(crate) table: Option<fn(&View<'_>) -> Markup>,
}

/// A picture in both widths.
pub(crate) struct Drawn {
    /// For a screen and for paper.
    pub(crate) wide: Svg,
    /// For a phone.
    pub(crate) narrow: Svg,
}

/// The parts of a page between training and the machine: what they are about, their anchor, their heading.
pub(crate) const SECTIONS: [(Subject, &str, &str); 4] = [
    (Subject::Sizes, "sizes", "Sizes"),
    (Subject::Fleet, "fleet", "Several processes"),
    (Subject::Generation, "generation", "Generation"),
    (Subject::Kernels, "kernels", "Kernels"),
];

impl Chart {
    /// The run looked at this; whether it found anything is another question.
    pub(crate) fn wants(&self, view: &View<'_>) -> bool {
        !(self.inputs)(view).is_empty()
    }

    /// Draws both widths, or says why not.
    pub(crate) fn drawn(&self, view: &View<'_>) -> Result<Drawn, String> {
        let width = match self.span {
            Span::Full => 1074.0,
            Span::Half => 504.0,
            Span::Beside => 620.0,
        };
        let wide = (self.draw)(
            view,
            Frame {
                width,
                narrow: false,
            },
        )?;
        let narrow = (self.draw)(
            view,
            Frame {
                width: 336.0,
                narrow: true,
            },
        )?;
        Ok(Drawn { wide, narrow })
    }
}

/// Why the inputs that the run could not get are missing, as sentences, each reason once.
pub(crate) fn reasons(inputs: &[Input]) -> String {
    let mut told: Vec<(Vec<&str>, String)> = Vec::new();
    for input in inputs
        .iter()
        .filter(|input| !input.known && !input.how.is_empty())
    {
        let reason: Vec<String> = input.how.iter().map(|how| sentence(how)).collect();
        let reason = reason.join(" ");
        match told.iter_mut().find(|known| known.1 == reason) {
            Some(known) => known.0.push(&input.what),
            None => told.push((vec![&input.what], reason)),
        }
    }
    match &told[..] {
        [] => "The run holds no number for it, and no reason.".to_owned(),
        [(_, reason)] => reason.clone(),
        several => several
            .iter()
            .map(|(what, reason)| format!("{}: {reason}", capital(&what.join(", "))))
            .collect::<Vec<_>>()
            .join(" "),
    }
}
