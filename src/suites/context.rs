//! What a suite is given: the machine, the experiment, the clock, threads, and a host that watches.

use super::fleet::Companions;
use super::{Lesson, Recorder, SuiteError};
use crate::kernels::Isa;
use crate::kernels::gemm::Caches;
use crate::measure::clock::{Clock, Ticks};
use crate::parallel::Pool;
use crate::probe::Machine;
use crate::text::Tokens;
use crate::train::Plan;
use crate::train::data::Cut;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long to measure.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Effort {
    /// All of it within two minutes on two slow cores.
    Quick,
    /// Minutes: intervals of about one per cent.
    Normal,
    /// Everything, every configuration.
    Full,
}

impl Effort {
    /// As it stands in run.json.
    pub fn name(self) -> &'static str {
        match self {
            Effort::Quick => "quick",
            Effort::Normal => "normal",
            Effort::Full => "full",
        }
    }

    /// The one of three that is for it.
    pub fn of<T>(self, quick: T, normal: T, full: T) -> T {
        match self {
            Effort::Quick => quick,
            Effort::Normal => normal,
            Effort::Full => full,
        }
    }

    /// `quick` samples of a quick run, three times as many of a normal one, eight times of a full one.
    pub fn samples(self, quick: usize) -> usize {
        match self {
            Effort::Quick => quick,
            Effort::Normal => 3 * quick,
            Effort::Full => 8 * quick,
        }
    }
}

/// One configuration to be measured.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name in the metrics: the configuration file's stem.
    pub name: String,
    /// The effective configuration, for the record.
    pub config: serde_json::Value,
    /// Sizes and memory on the most threads of the experiment.
    pub plan: Plan,
    /// How the text is cut into batches.
    pub cut: Cut,
    /// The learning rate at its highest.
    pub learning_rate: f32,
    /// The text in tokens.
    pub tokens: Arc<Tokens>,
    /// Where the text comes from, for people.
    pub source: String,
}

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// How long to measure.
    pub effort: Effort,
    /// Thread counts, ascending, each at most the number of usable CPUs.
    pub threads: Vec<usize>,
    /// Instruction sets, widest first.
    pub isas: Vec<Isa>,
    /// Whether hardware counters are tried.
    pub counters: bool,
    /// Configurations of the suites that train.
    pub cases: Vec<Case>,
    /// Configurations of post-training, for the training suite.
    pub lessons: Vec<Lesson>,
    /// Seconds that all suites together should take; `None` to take the time that the effort needs.
    pub seconds: Option<f64>,
}

/// The caches that each of `threads` can count on, as the probe found them, the third level shared out; for an unknown one what any
/// core has.
pub fn caches(machine: &Machine, threads: usize) -> Caches {
    let least = Caches::default();
    let bytes = |found: Option<u64>, least: usize| found.map_or(least, |bytes| bytes as usize);
    let sharers = machine.l3_threads().clamp(1, threads.max(1));
    Caches {
        l1: bytes(machine.l1d_bytes(), least.l1),
        l2: bytes(machine.l2_bytes(), least.l2),
        l3: bytes(
            machine.l3_bytes().map(|bytes| bytes / sharers as u64),
            least.l3,
        ),
    }
}

/// Who runs the suites: is told what happens, may stop it, and keeps the results.
pub trait Host {
    /// A line about what happens now.
    fn say(&self, text: &str);
    /// That share of the suite's work is done: for the time left.
    fn reached(&self, _share: f64) {}
    /// Whether the user wants to stop.
    fn stopped(&self) -> bool;
    /// Keeps what was recorded so far.
    ///
    /// # Errors
    /// Why it could not be kept.
    fn keep(&self, recorder: &Recorder) -> Result<(), String>;
}

/// What a suite works with.
pub struct Context<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// What the user asked for.
    pub experiment: &'a Experiment,
    /// The clock of every measurement.
    pub clock: &'a Clock,
    /// The other processes that measure the same at the same time, where there are any.
    pub companions: Option<Companions>,
    /// What was found so far.
    pub recorder: Recorder,
    host: &'a dyn Host,
    begin: Ticks,
    cpus: Vec<usize>,
    pools: BTreeMap<usize, Arc<Pool>>,
}

impl<'a> Context<'a> {
    /// A context without results.
    pub fn new(
        machine: &'a Machine,
        experiment: &'a Experiment,
        clock: &'a Clock,
        host: &'a dyn Host,
    ) -> Self {
        let (cpus, begin) = (machine.usable_cpus(), clock.now());
        Self {
            machine,
            experiment,
            clock,
            companions: None,
            recorder: Recorder::default(),
            host,
            begin,
            cpus,
            pools: BTreeMap::new(),
        }
    }

    /// The CPUs of a team of `threads`: one per physical core first, then their siblings.
    pub fn cpus(&self, threads: usize) -> &[usize] {
        &self.cpus[..threads.clamp(1, self.cpus.len())]
    }

    /// A team of `threads` on those CPUs, started once and then kept.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub fn pool(&mut self, threads: usize) -> Result<Arc<Pool>, SuiteError> {
        if let Some(pool) = self.pools.get(&threads) {
            return Ok(Arc::clone(pool));
        }
        let pool = Arc::new(Pool::new(self.cpus(threads))?);
        self.pools.insert(threads, Arc::clone(&pool));
        Ok(pool)
    }

    /// Seconds left for the suites; infinite where there is no limit.
    pub fn seconds_left(&self) -> f64 {
        let limit = self.experiment.seconds.unwrap_or(f64::INFINITY);
        (limit - self.clock.since(self.begin)).max(0.0)
    }

    /// Tells the host what happens now.
    pub fn say(&self, text: &str) {
        self.host.say(text);
    }

    /// Tells the host that `done` of `all` equal parts of the suite's work are done.
    pub fn reached(&self, done: usize, all: usize) {
        self.host.reached(done as f64 / all.max(1) as f64);
    }

    /// Whether the user wants to stop.
    pub fn stopped(&self) -> bool {
        self.host.stopped()
    }

    /// The host, for closures that ask it while the context is borrowed.
    pub fn host(&self) -> &'a dyn Host {
        self.host
    }

    /// Has the host keep what was recorded so far.
    ///
    /// # Errors
    /// If it cannot.
    pub fn keep(&self) -> Result<(), SuiteError> {
        self.host.keep(&self.recorder).map_err(SuiteError::Keep)
    }
}
