//! What a run of the suite `fleet` knows of a network and of a configuration.

use super::super::outcome::Failure;
use super::network::Network;
use crate::record::{Metric, Run};
use crate::stats::fits::AllReduce;
use crate::suites::fleet::{Names, Pace};

/// Of a run by so many ranks.
pub(super) struct Measured<'a> {
    run: &'a Run,
    names: Names,
}

impl<'a> Measured<'a> {
    /// A run by several ranks.
    ///
    /// # Errors
    /// Wrong use, for any other.
    pub(super) fn of(run: &'a Run) -> Result<Measured<'a>, Failure> {
        let ranks = run.fleet.len();
        if ranks < 2 {
            let what = format!("the run {} is not by several processes", run.id);
            return Err(
                Failure::wrong_use(what).help("mpirun -n 2 loopos bench --suite fleet makes one")
            );
        }
        let names = Names { ranks };
        Ok(Measured { run, names })
    }

    /// The number of that quantity, on as many threads as its ranks had.
    fn value(&self, subject: &str, quantity: &str) -> Result<f64, Failure> {
        let name = format!("{subject}.tN.{quantity}");
        let named = |metric: &&Metric| {
            let rest = metric.name.strip_prefix(subject);
            let threads = rest.and_then(|rest| {
                rest.strip_prefix(".t")?
                    .strip_suffix(quantity)?
                    .strip_suffix('.')
            });
            threads.is_some_and(|threads| threads.parse::<usize>().is_ok())
        };
        match self.run.metrics.iter().find(named) {
            Some(metric) => metric.value.ok_or_else(|| {
                Failure::wrong_use(format!(
                    "the run {} could not measure {name}: {}",
                    self.run.id, metric.how
                ))
            }),
            None => Err(
                Failure::wrong_use(format!("the run {} has no {name}", self.run.id))
                    .help("mpirun -n 2 loopos bench --suite fleet --config CONFIG measures it"),
            ),
        }
    }

    /// Its network.
    ///
    /// # Errors
    /// When it has no law of sums.
    pub(super) fn network(&self) -> Result<Network, Failure> {
        let (subject, ranks) = (self.names.network(), self.names.ranks);
        let gbps = self.value(&subject, "gbps")?;
        Ok(Network {
            name: self.run.id.clone(),
            law: AllReduce {
                latency: self.value(&subject, "latency_seconds")?,
                per_byte: 1e-9 / gbps,
            },
            how: format!("measured between {ranks} ranks by the run {}", self.run.id),
        })
    }

    /// How long its ranks take for this configuration by themselves.
    ///
    /// # Errors
    /// When it did not measure the configuration.
    pub(super) fn pace(&self, case: &str) -> Result<Pace, Failure> {
        let part = |part| self.value(&self.names.case(case, part), "seconds");
        Ok(Pace {
            fixed: part("alone_fixed")?,
            sequence: part("alone_sequence")?,
        })
    }

    /// Of the communication that backward can hide, the part that it does there; `None` where nothing could be hidden.
    pub(super) fn overlap(&self, case: &str) -> Option<f64> {
        self.value(&self.names.case(case, "weak"), "overlap").ok()
    }

    /// How many ranks it had, and the seconds that computing lost there to what moves bytes; `None` where an older program measured.
    pub(super) fn moving(&self, case: &str) -> Option<(usize, f64)> {
        let seconds = self.value(&self.names.case(case, "weak_moving"), "seconds");
        Some((self.names.ranks, seconds.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::runs::testing::document;
    use crate::record::read;
    use serde_json::{Value, json};

    fn run(ranks: usize, metrics: &[(&str, Option<f64>)]) -> Run {
        let mut text = document();
        let summary = text["machine"]["summary"].clone();
        let metric = |(name, value): &(&str, Option<f64>)| {
            json!({ "name": name, "value": value, "low": null, "high": null, "unit": "seconds", "better": "lower",
                "provenance": "measured", "how": "one size" })
        };
        text["metrics"] = metrics.iter().map(metric).collect();
        text["fleet"] = Value::Array(vec![json!({ "name": "a", "machine": summary }); ranks]);
        read(text).unwrap()
    }

    #[test]
    fn law_pace_and_overlap_are_read_by_name() {
        let all = [
            ("fleet.network.r2.t1.latency_seconds", Some(2e-5)),
            ("fleet.network.r2.t1.gbps", Some(0.5)),
            ("fleet.small.alone_fixed.r2.t4.seconds", Some(0.25)),
            ("fleet.small.alone_sequence.r2.t4.seconds", Some(0.125)),
            ("fleet.small.weak.r2.t4.overlap", Some(0.75)),
            ("fleet.small.weak_moving.r2.t4.seconds", Some(0.5)),
        ];
        let found = run(2, &all);
        let measured = Measured::of(&found).unwrap();
        let law = measured.network().unwrap().law;
        assert_eq!((law.latency, law.per_byte), (2e-5, 2e-9));
        assert_eq!(measured.pace("small").unwrap().seconds(2.0), 0.5);
        assert_eq!(measured.overlap("small"), Some(0.75));
        assert_eq!(measured.overlap("large"), None);
        assert_eq!(measured.moving("small"), Some((2, 0.5)));
        assert_eq!(measured.moving("large"), None);
        let error = measured.pace("large").unwrap_err().to_string();
        assert!(
            error.contains("fleet.large.alone_fixed.r2.tN.seconds"),
            "{error}"
        );
    }

    #[test]
    fn what_was_not_measured_is_refused_with_the_reason() {
        assert!(Measured::of(&run(0, &[])).is_err());
        let found = run(3, &[("fleet.network.r3.t1.gbps", None)]);
        let error = Measured::of(&found)
            .unwrap()
            .network()
            .unwrap_err()
            .to_string();
        assert!(error.contains("one size"), "{error}");
    }
}
