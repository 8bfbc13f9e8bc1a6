//! How fast training goes, where each step's time goes, and why it is not faster.
//!
//! One training run per configuration, whose steps take turns on one thread, two, and so on: the arms of one comparison. Beside
//! each step the multiply-add peak of the same threads is measured, so that MFU compares what happened at the same time.

mod attribution;
mod counting;
mod course;
mod findings;
mod model_flops;
mod operator_times;
mod operators;
mod records;

use super::{Context, Suite, SuiteError, find};

/// The training suite.
#[derive(Debug)]
pub(super) struct Training;

impl Suite for Training {
    fn id(&self) -> &'static str {
        "training"
    }

    fn title(&self) -> &'static str {
        "How fast does training go, and why not faster"
    }

    fn how_to_read(&self) -> &'static str {
        "MFU is the model's arithmetic over what the multiply-add units of the same threads could do in that time; what is missing to one \
         is divided among reasons that add up to it. Speed-up is time on one thread over time on N, both measured in turn."
    }

    fn trains(&self) -> bool {
        true
    }

    fn run(&self, context: &mut Context) -> Result<(), SuiteError> {
        if let Some(ceilings) = find("ceilings") {
            ceilings.run(context)?;
        }
        let cases = &context.experiment.cases;
        for (index, case) in cases.iter().enumerate() {
            if context.stopped() {
                break;
            }
            let budget = course::budget(context, cases.len() - index);
            let findings = course::measure(context, case, budget)?;
            records::record(&mut context.recorder, &findings);
            operators::record(&mut context.recorder, &findings);
            context.recorder.note("data", format!("{}: {}.", case.name, case.source.trim_end_matches('.')));
            context.keep()?;
        }
        context.recorder.note(
            "method",
            "Steps on different thread counts are interleaved in one training run (the losses are the same to the bit whatever the threads); \
             operators are timed by two readings of the clock around each, at the costs that they declare.",
        );
        Ok(())
    }
}
