//! `loopos plan`: how fast a configuration would train on more hosts than there are.

mod hosts;
mod known;
mod network;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::outcome::{Exit, Failure};
use super::preparation;
use super::runs;
use super::text_source::say;
use super::workers::Workers;
use crate::config::Config;
use crate::measure::clock::Clock;
use crate::record::Run;
use crate::stats::forecast::Step;
use crate::suites::fleet::{Interplay, Pace, pace, work};
use crate::train::{Plan, Sharing};
use crate::units::{Bytes, Ratio, Seconds, digits, grouped};
use known::Measured;
use network::{KNOWN, Network};

const EXAMPLES: &str = "\
Examples:
  loopos plan --config autoregressive_training --hosts 2..512 --network 10g
  loopos plan --hosts 2,4,8 --network 1g --set training.shard_optimizer=true --json
  mpirun -n 2 --host one,two --bind-to none loopos bench --suite fleet --out here
  loopos plan --hosts 2..64 --network here/latest --run here/latest

A step is what one host computes, and what of the exchange of gradients it does not hide: sums of buckets of gradients over N hosts,
T = 2 (N - 1) a + 2 (N - 1) / N n b each, begin while backward goes on. Without --run, one host's step is measured now, and no network is
used: the speed is between nothing hidden and all of it that the order of buckets allows, and what moving bytes takes from computing is left
out. Forecasts are checked in reports/fleet.md.";

/// The configuration that is planned where none is named.
const USUAL: &str = "autoregressive_training_small";

/// Steps of each batch that are measured.
const ROUNDS: usize = 3;

/// What to type after `loopos plan`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// A configuration: a JSON file, or the name of a built-in one [default: autoregressive_training_small]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// Override one key of the configuration; may be repeated
    #[arg(long = "set", value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
    /// Numbers of hosts, one process each: 2..512 doubles, 2,4,6 is a list
    #[arg(long, value_name = "LIST", default_value = "2..512")]
    hosts: String,
    /// 1g, 10g or 100g (bits a second), or a run of the suite fleet that measured one: run.json or its folder
    #[arg(long, value_name = "NAME|RUN", default_value = "10g")]
    network: String,
    /// Take one host's step and the overlap from this run of the suite fleet, instead of measuring a step here
    #[arg(long, value_name = "RUN")]
    run: Option<PathBuf>,
    /// Worker threads of a host [default: one for each core this process may use]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Forecasts, and shows them on stdout.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    let hosts = hosts::parse(&arguments.hosts)?;
    let (name, config) = arguments.config()?;
    config.method_ready().map_err(Failure::wrong_use)?;
    if config.algorithm().is_some() {
        let what = format!("{name}: post-training runs in one process");
        return Err(Failure::wrong_use(what)
            .help("pretraining is what hosts share")
            .into());
    }
    let network = match network::known(&arguments.network) {
        Some(network) => network,
        None => Measured::of(&arguments.read(Path::new(&arguments.network))?)?.network()?,
    };
    let workers = Workers::new(arguments.threads.map(|count| count as usize))?;
    let plan = preparation::plan(&config, &workers);
    let (pace, overlap, moving, source) = match &arguments.run {
        Some(path) => {
            let run = arguments.read(path)?;
            let measured = Measured::of(&run)?;
            (
                measured.pace(&name)?,
                measured.overlap(&name),
                measured.moving(&name),
                format!("of the run {}", run.id),
            )
        }
        None => {
            preparation::check_memory(&config, &plan, &workers)?;
            say("measuring steps of one host");
            let pace =
                pace(&Clock::best(), &plan, &workers.pool, ROUNDS).map_err(Failure::failed)?;
            (
                pace,
                None,
                None,
                format!("measured now on {} threads", plan.workers),
            )
        }
    };
    let outlook = Outlook {
        name,
        plan,
        shares_optimizer: config.training.shard_optimizer,
        pace,
        overlap,
        moving,
        source,
        network,
    };
    let rows: Vec<Row> = hosts.iter().map(|hosts| outlook.row(*hosts)).collect();
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&outlook.json(&rows))? + "\n",
        false => outlook.table(&rows),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

impl Arguments {
    /// The configuration and its name.
    fn config(&self) -> Result<(String, Config), Failure> {
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
        Ok((super::bench::case_name(name), config))
    }

    /// A run, for the network or for the pace.
    fn read(&self, path: &Path) -> Result<Run, Failure> {
        if !path.exists() {
            let names = KNOWN.map(|(name, _)| name).join(", ");
            let what = format!("{}: no such network and no such run", path.display());
            return Err(Failure::wrong_use(what).help(format!(
                "networks are {names}, or a run of `bench --suite fleet`"
            )));
        }
        match &runs::files(path)?[..] {
            [file] => runs::read(file),
            _ => Err(Failure::wrong_use(format!(
                "{}: more than one run",
                path.display()
            ))),
        }
    }
}

/// What a forecast is made of.
struct Outlook {
    name: String,
    plan: Plan,
    shares_optimizer: bool,
    pace: Pace,
    overlap: Option<f64>,
    /// Seconds that a step of so many ranks loses to what moves bytes.
    moving: Option<(usize, f64)>,
    source: String,
    network: Network,
}

/// The forecast of one number of hosts.
struct Row {
    hosts: usize,
    /// A batch for each host: where nothing is hidden, or what is known to be, and where all is that can be.
    weak: [Step; 2],
    /// One batch shared by all, the same two; `None` where a host would have no sequence.
    strong: Option<[Step; 2]>,
    /// Planned bytes of each host.
    memory: usize,
}

impl Outlook {
    fn row(&self, hosts: usize) -> Row {
        let steps = |sequences: f64| {
            let overlaps = self.overlap.map_or([0.0, 1.0], |overlap| [overlap; 2]);
            overlaps.map(|overlap| {
                let interplay = Interplay {
                    overlap,
                    moving: self.moving_of_a_byte(),
                };
                work(&self.plan, self.pace, sequences, hosts, interplay)
                    .step(hosts, &self.network.law)
            })
        };
        let batch = self.plan.batch;
        let sharing = Sharing {
            ranks: hosts,
            optimizer: self.shares_optimizer,
        };
        // The host with the most sequences is waited for.
        let most = batch.div_ceil(hosts) as f64;
        Row {
            hosts,
            weak: steps(batch as f64),
            strong: (batch >= hosts).then(|| steps(most)),
            memory: Plan {
                sharing,
                ..self.plan
            }
            .memory()
            .total(),
        }
    }

    /// Seconds that each byte that is sent takes from computing: none where nobody measured it.
    fn moving_of_a_byte(&self) -> f64 {
        self.moving.map_or(0.0, |(ranks, seconds)| {
            let none = Interplay {
                overlap: 0.0,
                moving: 0.0,
            };
            seconds / work(&self.plan, self.pace, 1.0, ranks, none).moved(ranks)
        })
    }

    fn tokens(&self) -> f64 {
        (self.plan.batch * self.plan.length) as f64
    }

    /// Seconds of one host's step.
    fn alone(&self) -> f64 {
        self.pace.seconds(self.plan.batch as f64)
    }

    fn table(&self, rows: &[Row]) -> String {
        let plan = &self.plan;
        let (law, alone) = (&self.network.law, self.alone());
        let (batch, length) = (plan.batch, plan.length);
        let overlap = match self.overlap {
            Some(overlap) => format!(
                "{} of what backward can hide is hidden, and a MB sent takes {} from computing, as in that run",
                Ratio(overlap),
                Seconds(1e6 * self.moving_of_a_byte()),
            ),
            None => {
                "not known: from nothing hidden to all that the order of buckets allows".to_owned()
            }
        };
        let mut text = format!(
            "one host   {}: {batch} x {length} tokens in {}, {} tokens/s ({})\n\
             network    {}: {} a message and {} GB/s ({})\n\
             overlap    {overlap}\n\n",
            self.name,
            Seconds(alone),
            speed(self.tokens() / alone),
            self.source,
            self.network.name,
            Seconds(law.latency),
            digits(1e-9 / law.per_byte),
            self.network.how,
        );
        text += &format!(
            "{:>6}  {:>9}  {:>9}  {:>17}  {:>13}  {:>17}  {:>13}  {:>9}\n",
            "hosts",
            "exchange",
            "waited",
            "tokens/s",
            "efficiency",
            "one batch shared",
            "efficiency",
            "memory"
        );
        for row in rows {
            let [least, most] = row.weak;
            let hosts = row.hosts as f64;
            let both = |steps: [Step; 2], tokens: f64| {
                let speeds = steps.map(|step| tokens / step.seconds);
                let ideal = hosts * self.tokens() / alone;
                let efficiencies = speeds.map(|speed| format!("{:.2}", speed / ideal));
                (range(speeds.map(speed)), range(efficiencies))
            };
            let weak = both([least, most], hosts * self.tokens());
            let none = || ("-".to_owned(), "-".to_owned());
            let strong = row
                .strong
                .map_or_else(none, |steps| both(steps, self.tokens()));
            text += &format!(
                "{:>6}  {:>9}  {:>9}  {:>17}  {:>13}  {:>17}  {:>13}  {:>9}\n",
                row.hosts,
                Seconds(least.communication).to_string(),
                Seconds(least.exposed).to_string(),
                weak.0,
                weak.1,
                strong.0,
                strong.1,
                Bytes(row.memory as f64).to_string(),
            );
        }
        text
    }

    fn json(&self, rows: &[Row]) -> Value {
        let tokens = self.tokens();
        let step = |step: &Step, tokens: f64| {
            json!({ "step_seconds": step.seconds, "communication_seconds": step.communication,
                "exposed_seconds": step.exposed, "moving_seconds": step.moving, "tokens_per_second": tokens / step.seconds })
        };
        let both = |steps: &[Step; 2], tokens: f64| json!({ "least_overlap": step(&steps[0], tokens), "most_overlap": step(&steps[1], tokens) });
        let row = |row: &Row| {
            json!({ "hosts": row.hosts, "memory_bytes": row.memory,
                "weak": both(&row.weak, row.hosts as f64 * tokens),
                "strong": row.strong.as_ref().map(|steps| both(steps, tokens)) })
        };
        json!({
            "config": self.name, "batch": self.plan.batch, "length": self.plan.length,
            "alone": { "step_seconds": self.alone(), "fixed_seconds": self.pace.fixed,
                "sequence_seconds": self.pace.sequence, "how": self.source },
            "network": { "name": self.network.name, "latency_seconds": self.network.law.latency,
                "bytes_per_second": 1.0 / self.network.law.per_byte, "how": self.network.how },
            "overlap": self.overlap,
            "forecast": rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

/// From one to the other, or both where they read the same.
fn range([least, most]: [String; 2]) -> String {
    match least == most {
        true => least,
        false => format!("{least}-{most}"),
    }
}

/// Three digits that count, or all of a large number.
fn speed(tokens: f64) -> String {
    match tokens < 1e3 {
        true => digits(tokens),
        false => grouped(tokens.round() as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outlook(overlap: Option<f64>) -> Outlook {
        let config = Config::find("autoregressive_training_tiny").unwrap();
        let workers = Workers::new(Some(1)).unwrap();
        Outlook {
            name: "tiny".to_owned(),
            plan: preparation::plan(&config, &workers),
            shares_optimizer: true,
            pace: Pace {
                fixed: 0.01,
                sequence: 0.005,
            },
            overlap,
            moving: None,
            source: "invented".to_owned(),
            network: network::known("1g").unwrap(),
        }
    }

    #[test]
    fn one_host_is_as_fast_as_it_is_and_many_are_slower_together() {
        let outlook = outlook(Some(0.5));
        let one = outlook.row(1);
        assert_eq!(one.weak[0].seconds, outlook.alone());
        let weak = [2, 4, 8].map(|hosts| outlook.row(hosts).weak[0].seconds);
        assert!(outlook.alone() < weak[0] && weak.is_sorted(), "{weak:?}");
        let strong = [1, 2, 4].map(|hosts| -outlook.row(hosts).strong.unwrap()[0].seconds);
        assert!(strong.is_sorted(), "{strong:?}");
        assert!(outlook.row(64).strong.is_none(), "32 sequences");
        assert!(outlook.row(8).memory < outlook.row(2).memory);
    }

    #[test]
    fn what_a_run_lost_to_moving_bytes_comes_back_and_grows_with_the_bytes() {
        let outlook = Outlook {
            moving: Some((2, 0.01)),
            ..outlook(Some(0.5))
        };
        let lost = [1, 2, 4].map(|hosts| outlook.row(hosts).weak[0].moving);
        assert_eq!(lost[0], 0.0);
        assert!((lost[1] - 0.01).abs() < 1e-12, "{lost:?}");
        // Four ranks send half as much again, and some buckets end on a whole block for each.
        assert!((lost[2] / lost[1] - 1.5).abs() < 1e-2, "{lost:?}");
    }

    #[test]
    fn what_is_hidden_is_a_range_where_nobody_measured_it() {
        let [least, most] = outlook(None).row(4).weak;
        assert!(most.exposed <= least.exposed);
        let rows = |outlook: &Outlook| [2, 64].map(|hosts| outlook.row(hosts));
        let open = outlook(None);
        let text = open.table(&rows(&open));
        assert!(text.contains("not known"), "{text}");
        assert!(
            text.lines().last().is_some_and(|line| line.contains(" - ")),
            "{text}"
        );
        let known = outlook(Some(1.0));
        let json = known.json(&rows(&known));
        let forecast = &json["forecast"][0]["weak"];
        assert_eq!(forecast["least_overlap"], forecast["most_overlap"]);
        assert_eq!(json["forecast"][1]["strong"], Value::Null);
    }
}
