//! `loopos tune`: find the threads and the micro-batch that train fastest here, and keep them for `loopos train`.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;

use super::bench;
use super::environment;
use super::outcome::{Exit, Failure};
use super::profile;
use super::ranks::Ranks;
use crate::config::Config;
use crate::probe::Machine;
use crate::record::{PROFILE_SCHEMA, Profile, Run, Series};
use crate::units::digits;

const EXAMPLES: &str = "\
Examples:
  loopos tune                                          the small model, in about two minutes
  loopos tune --config autoregressive_training --quick
  loopos tune --config my.json --set training.batch_size=64 --out fast.json
  loopos train --config my.json --profile fast.json

The profile is kept in the folder `loopos/profiles` of $XDG_CONFIG_HOME, or of ~/.config, for this machine, instruction set, model,
length and batch; `loopos train` uses it for these and says so. It holds threads, micro-batch and whether threads share operators
or sequences, which change nothing but speed, memory and last digits. The batch is advice: another batch is another training run.";

/// The configuration that is tuned where none is named.
const USUAL: &str = "autoregressive_training_small";

/// Columns of the longest bar.
const BAR: f64 = 40.0;

/// What to type after `loopos tune`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A configuration: a JSON file, or the name of a built-in one [default: autoregressive_training_small]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Override one key of the configuration; may be repeated
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
    /// Text to train on, a file or a folder [default: the source text of this program's dependencies]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Numbers of threads to try: `1,2,4` or `1-4` [default: one up to all that this process may use]
    #[arg(long, value_name = "LIST")]
    threads: Option<String>,
    /// Fewer rounds: about a minute
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// More rounds: about five minutes
    #[arg(long)]
    full: bool,
    /// Write the profile to this file instead
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Folder for the page with the sweep
    #[arg(long, value_name = "DIR", default_value = "reports")]
    reports: PathBuf,
}

impl Arguments {
    /// The configuration, as `loopos train` would read it.
    fn config(&self) -> Result<Config, Failure> {
        let name = self.config.as_deref().unwrap_or(USUAL);
        let mut config = Config::find(name).map_err(Failure::wrong_use)?;
        let pairs: Vec<_> = self
            .overrides
            .iter()
            .map(|text| Config::parse_override(text))
            .collect::<Result<_, _>>()
            .map_err(Failure::wrong_use)?;
        config
            .set_all(&pairs)
            .map_err(|error| Failure::wrong_use(error).help("this comes from --set"))?;
        Ok(config)
    }
}

/// Measures, writes the profile, and shows the sweep.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let config = arguments.config()?;
    let workload = profile::workload(&Machine::detect(), environment::isa()?, &config);
    let usual = || profile::usual_path(&workload);
    let path = arguments.out.clone().or_else(usual).ok_or_else(|| {
        Failure::wrong_use("there is no home folder to keep the profile in")
            .help("name a file by --out FILE")
    })?;
    let bench = bench::Arguments::of_suite(
        "tuning",
        arguments.config.as_deref().unwrap_or(USUAL),
        bench::Choices {
            overrides: arguments.overrides.clone(),
            data: arguments.data.clone(),
            threads: arguments.threads.clone(),
            quick: arguments.quick,
            full: arguments.full,
            out: arguments.reports.clone(),
        },
    );
    let (exit, measured) = bench::measure(&bench, &Ranks::default(), &|_| Ok(()))?;
    let Some((run, page)) = measured else {
        return Ok(exit);
    };
    let chosen = |quantity: &str| {
        let found = |name: &str| name.starts_with("tuning.") && name.ends_with(quantity);
        let metric = run.metrics.iter().find(|metric| found(&metric.name));
        metric.and_then(|metric| metric.value)
    };
    let mut text = sweeps(&run);
    let whole = |quantity: &str| chosen(quantity).map(|value| value as usize);
    if let (Exit::Done, Some(threads), Some(micro_batch)) =
        (exit, whole(".chosen.threads"), whole(".chosen.micro_batch"))
    {
        let speed = format!(".chosen.t{threads}.tokens_per_second");
        let shared = format!(".chosen.t{threads}.shares.tokens_per_second");
        let by_sequences = whole(".chosen.shares").is_some_and(|shares| shares > 1);
        let found = Profile {
            schema: PROFILE_SCHEMA.to_owned(),
            workload,
            threads,
            micro_batch,
            by_sequences,
            tokens_per_second: match by_sequences {
                true => chosen(&shared),
                false => chosen(&speed),
            },
            advised_batch: whole(".advised.batch"),
            run: run.id.clone(),
        };
        profile::write(&path, &found)?;
        text.push_str(&told(
            &found,
            chosen(&format!(".chosen.t{threads}.speedup")),
        ));
        let _ = writeln!(text, "profile      {}", path.display());
    } else {
        text.push_str("stopped before the sweep was complete: no profile is written\n");
    }
    let _ = writeln!(text, "page         {}", page.display());
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(exit)
}

/// The profile in words.
fn told(profile: &Profile, gain: Option<f64>) -> String {
    let gain = gain.map_or(String::new(), |gain| {
        format!(", {gain:.2}x what is chosen without a profile")
    });
    let plural = if profile.threads == 1 { "" } else { "s" };
    let mut text = format!(
        "chosen       {} thread{plural}, {} of {} sequences at a time{gain}\n",
        profile.threads, profile.micro_batch, profile.workload.batch
    );
    text.push_str(match profile.by_sequences {
        true => "sharing      each thread takes sequences of its own: faster here than to share each operator, for more memory\n",
        false => "",
    });
    if let Some(batch) = profile.advised_batch {
        let _ = writeln!(
            text,
            "advice       from a batch of {batch} on, speed rises by less than 5 %; the batch is yours to choose"
        );
    }
    text
}

/// Every sweep of the run: a line and a bar for each candidate.
fn sweeps(run: &Run) -> String {
    let mut text = String::new();
    let sweep = |series: &&Series| series.name.starts_with("tuning.");
    for series in run.series.iter().filter(sweep) {
        let what = series.name.trim_end_matches(".tokens_per_second");
        let what = what.rsplit('.').next().unwrap_or_default();
        let _ = writeln!(text, "{:<12} tokens/s", what.replace('_', "-"));
        let known = || series.y.iter().flatten();
        let highest = known().copied().fold(f64::MIN_POSITIVE, f64::max);
        for (x, y) in series.x.iter().zip(&series.y) {
            if let Some(y) = y {
                let bar = "#".repeat((BAR * y / highest).round() as usize);
                let _ = writeln!(text, "{x:>12} {:>8}  {bar}", digits(*y));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Provenance, Workload};

    #[test]
    fn a_profile_is_told_in_two_lines() {
        let profile = Profile {
            schema: PROFILE_SCHEMA.to_owned(),
            workload: Workload {
                machine: String::new(),
                isa: "avx2".into(),
                vocab_size: 1,
                d_model: 1,
                heads: 1,
                layers: 1,
                d_ff: 1,
                length: 1,
                batch: 32,
            },
            threads: 2,
            micro_batch: 8,
            by_sequences: true,
            tokens_per_second: None,
            advised_batch: Some(16),
            run: String::new(),
        };
        let text = told(&profile, Some(1.034));
        assert!(
            text.contains("2 threads, 8 of 32 sequences at a time, 1.03x"),
            "{text}"
        );
        assert!(text.contains("from a batch of 16 on"), "{text}");
        assert!(text.contains("sequences of its own"), "{text}");
    }

    #[test]
    fn sweeps_show_what_was_measured() {
        let series = Series {
            name: "tuning.small.t2.micro_batch.tokens_per_second".into(),
            unit: "tokens/s".into(),
            x_unit: "sequences".into(),
            x: vec![1.0, 2.0, 4.0],
            y: vec![Some(2000.0), None, Some(4000.0)],
            low: Vec::new(),
            high: Vec::new(),
            provenance: Provenance::Measured,
            how: String::new(),
        };
        let run = crate::record::read(serde_json::json!({
            "schema": "loopos.run/1", "id": "1", "started": "", "elapsed_seconds": 1.0, "command": [], "version": "",
            "commit": null, "machine": crate::suites::record_machine(&Machine::detect()), "config": null,
            "metrics": [], "series": [series], "notes": [],
        }))
        .unwrap();
        let text = sweeps(&run);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "micro-batch  tokens/s");
        assert_eq!(lines.len(), 3);
        assert!(lines[1].contains("1    2,000  ####") && lines[2].ends_with(&"#".repeat(40)));
    }
}
