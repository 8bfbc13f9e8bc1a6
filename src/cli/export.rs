//! `loopos export`: a trained model in the layout that Hugging Face's libraries read.

use std::io::{self, Write};
use std::path::PathBuf;

use super::outcome::{Exit, Failure};
use super::trained::Trained;
use crate::model::{Layout, Shape};
use crate::text::END_OF_TEXT;
use crate::train::hugging_face::{self, HuggingFaceError, Vocabulary};
use crate::units::grouped;

const EXAMPLES: &str = "\
Examples:
  loopos export --model models/book --out models/book-hf
  loopos export --model models/book/checkpoints/step-000500 --out step-500

Then, in Python:
  model = transformers.GPT2LMHeadModel.from_pretrained(\"models/book-hf\")
  tokenizer = transformers.AutoTokenizer.from_pretrained(\"models/book-hf\")

Writes config.json, model.safetensors (f32), and where the model has a tokenizer tokenizer.json and tokenizer_config.json. The
folder appears whole or not at all. `--model` of every command reads it too.";

/// What to type after `loopos export`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The model: a run's output folder, one of its checkpoints, or a GPT-2 in Hugging Face's layout
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The folder to write, which must be new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the folder, and says on stdout what it holds.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let trained = Trained::open(&arguments.model)?;
    if trained.gives_rewards() {
        let what = format!("{} is a reward model", arguments.model.display());
        return Err(Failure::wrong_use(what)
            .help("the layout is one of models that write text, and has no place for its rewards: export the model that it judges")
            .into());
    }
    let parameters = trained.parameters()?;
    let vocabulary = trained.tokenizer.as_ref().map(|tokenizer| Vocabulary {
        json: tokenizer.json(),
        end_of_text: END_OF_TEXT,
        end_of_text_id: tokenizer.end_of_text(),
    });
    hugging_face::export(&arguments.out, &trained.shape, &parameters, vocabulary).map_err(
        |error| match &error {
            HuggingFaceError::Occupied { .. } => {
                Failure::wrong_use(&error).help("give a new folder by --out")
            }
            _ => Failure::failed(error),
        },
    )?;
    let written = Shape {
        scalar_head: false,
        ..trained.shape
    };
    let count = grouped(Layout::new(&written).parameter_count() as i64);
    let beside = match vocabulary {
        Some(_) => "with its tokenizer",
        None => "without a tokenizer: it has none",
    };
    let left = match trained.shape.scalar_head {
        true => "; its scalar head, which served training, is left out",
        false => "",
    };
    let out = arguments.out.display();
    writeln!(
        io::stdout().lock(),
        "{out}: {count} parameters in f32, {beside}{left}"
    )?;
    Ok(Exit::Done)
}
