//! From the command line to an experiment: threads, instruction sets, configurations and their text.

use std::path::Path;
use std::sync::Arc;

use super::Arguments;
use crate::cli::outcome::{Failure, warn};
use crate::cli::text_source::{self, Vocabulary};
use crate::cli::workers::Workers;
use crate::cli::{environment, preparation};
use crate::config::Config;
use crate::kernels::Isa;
use crate::probe::Machine;
use crate::suites::{Begin, Case, Effort, Experiment, Lesson};
use crate::train::Plan;
use crate::train::data::Cut;

/// The configurations of a run where none is named.
pub(super) const SMALL: &str = "autoregressive_training_small";
const LARGE: &str = "autoregressive_training";

/// The suite that measures post-training.
const TAUGHT: &str = "training";

/// Seconds that a quick run may take, from the start of the program; writing the page comes after.
const QUICK_SECONDS: f64 = 105.0;

/// Seconds that a quick run measures at least, however long text and tokenizer took.
const LEAST_SECONDS: f64 = 30.0;

/// Most thread counts that are measured one by one where none are named; beyond, they double.
const EACH: usize = 8;

/// What can be checked at once, before anything slow.
pub(super) struct Settings {
    threads: Vec<usize>,
    isas: Vec<Isa>,
    configs: Vec<(String, Config)>,
}

/// Reads and checks the command line.
///
/// # Errors
/// Wrong use, naming the flag.
pub(super) fn settings(arguments: &Arguments, machine: &Machine) -> Result<Settings, Failure> {
    let configs = if arguments.suites().iter().any(|suite| suite.trains()) {
        configs(arguments)?
    } else {
        Vec::new()
    };
    Ok(Settings {
        threads: match &arguments.threads {
            Some(list) => parse_threads(list, machine.usable_cpus().len())?,
            None => all_threads(machine.usable_threads()),
        },
        isas: match &arguments.isa {
            Some(list) => parse_isas(list)?,
            None => forced_first(environment::isa()?),
        },
        configs,
    })
}

/// Plans every configuration, and reads its text; training a tokenizer takes a while the first time. `elapsed` is in seconds
/// since the start of the program.
///
/// # Errors
/// When a configuration does not fit into memory, or a text is missing or does not fit its configuration.
pub(super) fn prepare(
    arguments: &Arguments,
    settings: Settings,
    elapsed: impl Fn() -> f64,
) -> Result<Experiment, Failure> {
    let most = settings.threads.iter().copied().max();
    let isa = settings.isas.first().copied().unwrap_or_else(Isa::best);
    let effort = arguments.effort();
    let (mut cases, mut lessons) = (Vec::new(), Vec::new());
    for (name, config) in settings.configs {
        match config.algorithm() {
            None => cases.push(case(name, &config, most, isa)?),
            Some(_) => lessons.push(lesson(name, config, most, isa)?),
        }
    }
    Ok(Experiment {
        effort,
        threads: settings.threads,
        isas: settings.isas,
        counters: arguments.counters != "off",
        cases,
        lessons,
        seconds: (effort == Effort::Quick).then(|| (QUICK_SECONDS - elapsed()).max(LEAST_SECONDS)),
    })
}

fn case(name: String, config: &Config, threads: Option<usize>, isa: Isa) -> Result<Case, Failure> {
    let workers = Workers::new(threads)?;
    let plan = Plan {
        isa,
        ..preparation::plan(config, &workers)
    };
    preparation::check_memory(config, &plan, &workers)?;
    let vocabulary = Vocabulary::Learnt(config.model.vocab_size);
    let text = workers
        .pool
        .install(|| text_source::of(config, vocabulary))?;
    crate::tensor::return_freed_memory();
    let training = &config.training;
    let cut = Cut {
        length: training.max_length,
        batch: training.batch_size,
        validation: training.validation_split,
        seed: training.seed,
    };
    Ok(Case {
        name,
        config: config.effective(),
        plan,
        cut,
        learning_rate: training.learning_rate as f32,
        tokens: Arc::new(text.tokens),
        source: text.source,
    })
}

/// What a configuration of post-training needs is made when its turn comes; its memory is checked now.
fn lesson(
    name: String,
    mut config: Config,
    threads: Option<usize>,
    isa: Isa,
) -> Result<Lesson, Failure> {
    let workers = Workers::new(threads)?;
    let limits = start(&name, &mut config)?;
    let plan = Plan {
        isa,
        ..preparation::plan(&config, &workers)
    };
    preparation::check_memory(&config, &plan, &workers)?;
    let effective = config.effective();
    let begin = move || {
        preparation::lesson(&config, &workers, &plan).map_err(|failure| failure.to_string())
    };
    Ok(Lesson {
        name,
        config: effective,
        plan,
        limits,
        begin: Begin(Arc::new(begin)),
    })
}

/// Takes the sizes of the model that a configuration of post-training starts from. Where that is not there, speed can be measured all
/// the same: what the reader must know then.
fn start(name: &str, config: &mut Config) -> Result<Option<String>, Failure> {
    let weights = config.data.pretrained_weights.clone();
    match weights.filter(|path| Path::new(path).exists()) {
        Some(path) => {
            let sizes = preparation::sizes_of(Path::new(&path), config, false)?;
            let sizes: Vec<(&str, &str)> = sizes
                .iter()
                .map(|(key, value)| (*key, value.as_str()))
                .collect();
            config.set_all(&sizes).map_err(|error| {
                Failure::wrong_use(error).help(format!("this comes from the model in {path}"))
            })?;
            Ok(None)
        }
        None => {
            let named = config.data.pretrained_weights.take();
            let missing = named.map_or("it names no model to start from".to_owned(), |path| {
                format!("the model that it starts from, {path}, is not there")
            });
            warn(format!("{name}: {missing}: weights are random"));
            Ok(Some(format!(
                "{missing}, so its weights are random. Speeds are those of training; rewards and losses mean nothing."
            )))
        }
    }
}

fn configs(arguments: &Arguments) -> Result<Vec<(String, Config)>, Failure> {
    let mut names: Vec<&str> = arguments.config.iter().map(String::as_str).collect();
    if names.is_empty() {
        names.push(SMALL);
        names.extend(arguments.full.then_some(LARGE));
    }
    let overrides: Vec<(&str, &str)> = arguments
        .overrides
        .iter()
        .map(|text| Config::parse_override(text))
        .collect::<Result<_, _>>()
        .map_err(Failure::wrong_use)?;
    let suites = arguments.suites();
    let mut configs: Vec<(String, Config)> = Vec::new();
    for name in names {
        let mut config = Config::find(name).map_err(Failure::wrong_use)?;
        config
            .set_all(&overrides)
            .map_err(|error| Failure::wrong_use(error).help("this comes from --set"))?;
        if let Some(path) = &arguments.data {
            let text = path.to_str().ok_or_else(|| {
                Failure::wrong_use(format!("the path {} is not valid UTF-8", path.display()))
            })?;
            config.data.input_file = Some(text.to_owned());
        }
        config.method_ready().map_err(Failure::wrong_use)?;
        if config.algorithm().is_some()
            && let Some(suite) = suites
                .iter()
                .find(|suite| suite.trains() && suite.id() != TAUGHT)
        {
            let (suite, method) = (suite.id(), config.computation.method);
            let what =
                format!("{name}: the suite {suite} measures pretraining, not the method {method}");
            return Err(Failure::wrong_use(what).help("`--suite training` measures it"));
        }
        let name = case_name(name);
        if configs.iter().any(|(other, _)| *other == name) {
            return Err(
                Failure::wrong_use(format!("two configurations are called {name}"))
                    .help("results go by the file's name: rename one"),
            );
        }
        configs.push((name, config));
    }
    Ok(configs)
}

/// The file's stem, in the letters that a part of a metric's name may have.
pub(in crate::cli) fn case_name(name: &str) -> String {
    let stem = std::path::Path::new(name)
        .file_stem()
        .and_then(|stem| stem.to_str())
        .unwrap_or(name);
    stem.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// One up to `usable`, or doubling where that would be too many.
fn all_threads(usable: usize) -> Vec<usize> {
    if usable <= EACH {
        return (1..=usable).collect();
    }
    let mut threads: Vec<usize> = std::iter::successors(Some(1), |n| Some(n * 2))
        .take_while(|n| *n < usable)
        .collect();
    threads.push(usable);
    threads
}

/// `1,2,4` or `1-4` or both.
fn parse_threads(list: &str, most: usize) -> Result<Vec<usize>, Failure> {
    let wrong = || {
        Failure::wrong_use(format!("--threads {list}: not a list of thread counts from 1 to {most}, the CPUs that this process may use"))
            .help("for example --threads 1,2 or --threads 1-4")
    };
    let number = |text: &str| {
        text.trim()
            .parse::<usize>()
            .ok()
            .filter(|count| (1..=most).contains(count))
            .ok_or_else(wrong)
    };
    let mut threads = Vec::new();
    for part in list.split(',') {
        match part.split_once('-') {
            Some((from, to)) => threads.extend(number(from)?..=number(to)?),
            None => threads.push(number(part)?),
        }
    }
    threads.sort_unstable();
    threads.dedup();
    if threads.is_empty() {
        Err(wrong())
    } else {
        Ok(threads)
    }
}

fn parse_isas(list: &str) -> Result<Vec<Isa>, Failure> {
    let mut isas = Vec::new();
    for name in list.split(',') {
        let isa = Isa::forced(name.trim())
            .map_err(|error| Failure::wrong_use(format!("--isa {list}: {error}")))?;
        if !isas.contains(&isa) {
            isas.push(isa);
        }
    }
    Ok(isas)
}

/// All instruction sets, the one that trains in front.
fn forced_first(first: Isa) -> Vec<Isa> {
    let mut isas = Isa::available();
    isas.retain(|isa| *isa != first);
    isas.insert(0, first);
    isas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_lists_are_read_or_refused() {
        let parse = |list| parse_threads(list, 8).ok();
        assert_eq!(parse("4,1, 2"), Some(vec![1, 2, 4]));
        assert_eq!(parse("1-3,8,2"), Some(vec![1, 2, 3, 8]));
        for wrong in [
            "",
            "0",
            "9",
            "two",
            "3-1",
            "1-9",
            "1,,2",
            "-1",
            "99999999999999999999",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn many_threads_double() {
        assert_eq!(all_threads(4), [1, 2, 3, 4]);
        assert_eq!(all_threads(12), [1, 2, 4, 8, 12]);
        assert_eq!(all_threads(16), [1, 2, 4, 8, 16]);
    }

    #[test]
    fn the_isa_that_trains_comes_first() {
        let scalar = Isa::forced("scalar").unwrap();
        let isas = forced_first(scalar);
        assert_eq!((isas[0], isas.len()), (scalar, Isa::available().len()));
        assert!(parse_isas("scalar,scalar").is_ok_and(|isas| isas == [scalar]));
        assert!(parse_isas("avx9").unwrap_err().to_string().contains("avx9"));
    }

    #[test]
    fn case_names_are_parts_of_metric_names() {
        assert_eq!(case_name("configs/my run.v2.json"), "my_run_v2");
        assert_eq!(
            case_name("autoregressive_training"),
            "autoregressive_training"
        );
    }
}
