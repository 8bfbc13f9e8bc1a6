//! `loopos configs list|validate|show`: the configurations there are, whether one is valid, and what it comes to.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::outcome::{Exit, Failure};
use super::trained::shape;
use crate::config::{BUILT_IN, Config, ConfigError};
use crate::model::Layout;
use crate::units::grouped;

const EXAMPLES: &str = "\
Examples:
  loopos configs
  loopos configs validate my.json
  loopos configs show autoregressive_training --set training.batch_size=16

A configuration is a JSON file, or the name of a built-in one. A key that is not given has its default: `show` prints them all.";

/// The folder whose files `list` shows beside the built-in configurations.
const FOLDER: &str = "configs";

/// What to type after `loopos configs`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
}

/// What to do with configurations.
#[derive(clap::Subcommand, Debug)]
enum Action {
    /// List the built-in configurations and the files in configs/ (the default)
    List,
    /// Check configurations, and say everything that is wrong with them
    Validate {
        /// JSON files, or names of built-in configurations
        #[arg(required = true, value_name = "FILE")]
        files: Vec<String>,
    },
    /// Print a configuration with every default filled in, as JSON
    Show {
        /// A JSON file, or the name of a built-in configuration
        #[arg(value_name = "FILE")]
        file: String,
        /// Override one key; may be repeated
        #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
        overrides: Vec<String>,
    },
}

/// Does it, on stdout.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let text = match &arguments.action {
        None | Some(Action::List) => list(Path::new(FOLDER)),
        Some(Action::Validate { files }) => validate(files)?,
        Some(Action::Show { file, overrides }) => show(file, overrides)?,
    };
    io::stdout().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

fn validate(files: &[String]) -> Result<String, Failure> {
    let mut text = String::new();
    let mut wrong = Vec::new();
    for file in files {
        match Config::find(file) {
            Ok(config) => {
                let ready = config.method_ready().err();
                let note = ready
                    .map(|missing| format!("; but {missing}"))
                    .unwrap_or_default();
                text += &format!("{file}: valid{note}\n");
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() {
        Ok(text)
    } else {
        Err(Failure::wrong_use(wrong.join("\n"))
            .help("`loopos configs show autoregressive_training` prints every key"))
    }
}

fn show(file: &str, overrides: &[String]) -> Result<String, Failure> {
    let config = || -> Result<Config, ConfigError> {
        let mut config = Config::find(file)?;
        let pairs: Result<Vec<_>, _> = overrides
            .iter()
            .map(|text| Config::parse_override(text))
            .collect();
        config.set_all(&pairs?)?;
        Ok(config)
    };
    let config = config().map_err(Failure::wrong_use)?;
    Ok(format!("{:#}\n", config.effective()))
}

/// A line for each configuration, the columns under each other.
fn list(folder: &Path) -> String {
    let mut rows = vec![
        [
            "NAME",
            "WIDTH/HEADS/LAYERS/TOKENS",
            "PARAMETERS",
            "METHOD",
            "DESCRIPTION",
        ]
        .map(str::to_owned),
    ];
    for (name, text) in BUILT_IN {
        rows.push(row(name, Config::from_json(text)));
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    for file in files {
        let stem = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        if crate::config::built_in(stem)
            .is_none_or(|text| fs::read_to_string(&file).ok().as_deref() != Some(text))
        {
            rows.push(row(&file.display().to_string(), Config::load(&file)));
        }
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut text = String::new();
    for [name, size, parameters, method, description] in &rows {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:0$}  {size:1$}  {parameters:>2$}  {method:3$}  {description}",
            widths[0], widths[1], widths[2], widths[3]
        );
    }
    text
}

fn row(name: &str, config: Result<Config, ConfigError>) -> [String; 5] {
    let config = match config {
        Ok(config) => config,
        Err(_) => {
            let advice = format!("see `loopos configs validate {name}`");
            return [name, "not valid", "", "", &advice].map(str::to_owned);
        }
    };
    let model = &config.model;
    let missing = if config.method_ready().is_err() {
        " (not yet)"
    } else {
        ""
    };
    [
        name.to_owned(),
        format!(
            "{}/{}/{}/{}",
            model.d_model,
            model.num_heads,
            model.num_layers,
            grouped(model.vocab_size as i64)
        ),
        grouped(Layout::new(&shape(&config)).parameter_count() as i64),
        format!("{}{missing}", config.computation.method),
        config.computation.description.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_has_a_line_for_each_and_marks_what_is_not_valid() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let (name, text) = BUILT_IN[0];
        file(&format!("{name}.json"), text);
        file("mine.json", &text.replace("10000", "9000"));
        file("broken.json", "{");
        file("notes.txt", "");
        let list = list(folder.path());
        let lines: Vec<&str> = list.lines().collect();
        assert_eq!(lines.len(), 1 + BUILT_IN.len() + 2, "{list}");
        assert!(
            lines[1].starts_with("autoregressive_training_small")
                && lines[1].contains("256/8/2/10,000")
        );
        assert!(!list.contains("(not yet)"));
        let [broken, mine] = [lines[lines.len() - 2], lines[lines.len() - 1]];
        assert!(broken.contains("broken.json") && broken.contains("not valid"));
        assert!(mine.contains("mine.json") && mine.contains("9,000"));
    }

    #[test]
    fn every_wrong_file_is_told_and_a_shown_one_can_be_loaded() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let text = validate(&names(&["autoregressive_training", "rlhf_training"])).unwrap();
        assert!(
            text == "autoregressive_training: valid\nrlhf_training: valid\n",
            "{text}"
        );
        let refusal = validate(&names(&["a", "autoregressive_training", "b"]))
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains("no configuration a") && refusal.contains("no configuration b"),
            "{refusal}"
        );
        let shown = show("rlhf_training", &names(&["training.batch_size=4"])).unwrap();
        assert_eq!(Config::from_json(&shown).unwrap().training.batch_size, 4);
        assert!(show("rlhf_training", &names(&["training.batch_size"])).is_err());
    }
}
