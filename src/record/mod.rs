//! `run.json`: what a run measured, in a form that outlives the program. The only room with serde on results.
//!
//! Everything a page shows is here, with its unit and its provenance; a number that could not be had stays in the list
//! with `value: null` and the reason in `how`.

mod machine;
mod optimization;
mod profile;
mod reason;
mod seal;
mod timeline;
mod upgrade;
mod verification;

pub use machine::{Cache, Cpu, Fact, Feature, Machine, Summary};
pub use optimization::{OPTIMIZATIONS, optimization};
pub use profile::{PROFILE_SCHEMA, Profile, Workload};
pub use reason::reason;
pub use seal::sealed;
pub use timeline::{Kept, Moment, Timeline};
pub use upgrade::{ReadError, read};
pub use verification::{Check, Verdict, Verification};

use serde::{Deserialize, Serialize};

/// The schema that this version writes.
pub const SCHEMA: &str = "loopos.run/2";

/// One run of `loopos bench`: the whole document.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Run {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Unique and sortable: UTC start time and a short hash of machine and command.
    pub id: String,
    /// Start of the run, RFC 3339, UTC.
    pub started: String,
    /// Wall seconds from start to the writing of this document.
    pub elapsed_seconds: f64,
    /// The command line as typed.
    pub command: Vec<String>,
    /// The suites that were asked for, `all` for all of them.
    pub suites: Vec<String>,
    /// How much of them: `quick`, `normal`, `full`.
    pub effort: String,
    /// Version of loopos that measured.
    pub version: String,
    /// Source revision it was built from, with `-dirty` where the sources had changed since; `None` where unknown.
    pub commit: Option<String>,
    /// The probe's findings.
    pub machine: Machine,
    /// The effective configuration, as the trainer used it.
    pub config: serde_json::Value,
    /// Every single number, flat: `suite.case[.variant].tN.quantity`.
    pub metrics: Vec<Metric>,
    /// Every curve.
    pub series: Vec<Series>,
    /// What a reader must know to believe the numbers: conditions, refusals, fallbacks.
    pub notes: Vec<Note>,
    /// Every process of a run by several, that of the document first; empty where there was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fleet: Vec<Member>,
}

/// One of several processes that measured the same at the same time.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Member {
    /// Its host and process.
    pub name: String,
    /// Where it ran.
    pub machine: Summary,
    /// What it found; those of the first are the document's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provenance {
    /// Read from a clock or a counter in this run.
    Measured,
    /// Computed from measured numbers by a stated formula.
    Derived,
    /// From a simulation of the machine.
    Simulated,
    /// From a model or a declared cost, not from the machine.
    Estimated,
    /// Not to be had here; `how` says why.
    Unavailable,
}

/// Which direction is an improvement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// A fact without a direction.
    Neither,
}

/// One number.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Metric {
    /// `suite.case[.variant].tN.quantity`.
    pub name: String,
    /// `None` where it could not be had.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval, where one was computed.
    pub low: Option<f64>,
    /// Upper end of the 95 % interval.
    pub high: Option<f64>,
    /// Unit: `tokens/s`, `ratio`, `bytes`, `seconds`, `GFLOP/s`, `GB/s`, `GHz`, `nats`, `count`.
    pub unit: String,
    /// Which direction is better.
    pub better: Better,
    /// Where it comes from.
    pub provenance: Provenance,
    /// How it was obtained, or why it is missing; one sentence.
    pub how: String,
}

/// One curve: `x[i]` against `y[i]`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Series {
    /// Same naming as metrics, ending in the quantity of `y`.
    pub name: String,
    /// Unit of `y`.
    pub unit: String,
    /// Unit of `x`.
    pub x_unit: String,
    /// Abscissae.
    pub x: Vec<f64>,
    /// Ordinates, as many as `x`; `null` where missing.
    pub y: Vec<Option<f64>>,
    /// Lower ends of intervals, empty or as many as `x`; `null` where missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub low: Vec<Option<f64>>,
    /// Upper ends of intervals, empty or as many as `x`; `null` where missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub high: Vec<Option<f64>>,
    /// Where it comes from.
    pub provenance: Provenance,
    /// How it was obtained; one sentence.
    pub how: String,
}

/// A condition of the run in words.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Note {
    /// What it is about: `machine`, `data`, `method`, `counters`, `advice`, ...
    pub topic: String,
    /// One or two sentences.
    pub text: String,
}
