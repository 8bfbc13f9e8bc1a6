//! What of an operator and pass was counted or seen beside its time: bytes by level of the cache, and the frequency.

use crate::suites::Recorder;
use crate::suites::quantity::{BYTES_FROM_MEMORY, BYTES_INTO_L1, BYTES_INTO_L2, GHZ, Quantity};
use crate::suites::training::findings::Findings;

/// Bytes of a line.
const LINE: f64 = 64.0;

/// Counters of misses with what they become.
const LEVELS: [(&str, Quantity); 3] = [
    ("l1d_misses", BYTES_INTO_L1),
    ("l2_misses", BYTES_INTO_L2),
    ("l3_misses", BYTES_FROM_MEMORY),
];

/// Records both for one operator and pass on the most threads.
pub(in crate::suites::training) fn record(
    recorder: &mut Recorder,
    findings: &Findings,
    threads: usize,
    (operator, pass): (&'static str, &'static str),
) {
    let subject = format!("training.{}.{operator}.{pass}.t{threads}", findings.case);
    for (name, quantity) in LEVELS {
        let mut levels = findings.counters.misses.iter();
        let counted = match levels.find(|level| level.0 == name) {
            None => Err("no step was counted".to_owned()),
            Some((_, Err(reason))) => Err(reason.clone()),
            Some((_, Ok(counted))) => {
                let mut parts = counted.iter();
                parts
                    .find(|part| part.operator == operator && part.pass == pass)
                    .ok_or_else(|| "the step that was counted did not come to it".to_owned())
            }
        };
        match counted {
            Ok(counted) => {
                let how = "lines that the level lacked times 64, all threads, one step";
                recorder.reading(&subject, quantity, LINE * counted.amount, how);
            }
            Err(reason) => recorder.missing(&subject, quantity, reason),
        }
    }
    let mut seen = findings.counters.hertz.iter();
    match seen.find(|seen| seen.operator == operator && seen.pass == pass) {
        Some(seen) => {
            let how = format!(
                "median of {} short windows of dependent additions directly after it, on the thread that leads the others",
                seen.windows
            );
            let ghz = seen.hertz.map(|hertz| hertz / 1e9);
            recorder.measured(&subject, GHZ, ghz, how);
        }
        None => {
            let reason = "the step whose frequency was looked at did not come to it";
            recorder.missing(&subject, GHZ, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Interval;
    use crate::suites::training::findings::sample;
    use crate::suites::training::operator_clocks::OperatorHertz;
    use crate::suites::training::operator_counts::Counted;

    #[test]
    fn lines_become_bytes_and_what_was_not_counted_says_why() {
        let mut findings = sample::findings();
        let counted = Counted {
            operator: "qkv",
            pass: "forward",
            amount: 1000.0,
        };
        findings.counters.misses = vec![
            ("l1d_misses", Ok(vec![counted])),
            ("l2_misses", Err("denied".into())),
        ];
        findings.counters.hertz = vec![OperatorHertz {
            operator: "qkv",
            pass: "forward",
            hertz: Interval::exactly(2.5e9),
            windows: 24,
        }];
        let mut recorder = Recorder::default();
        record(&mut recorder, &findings, 2, ("qkv", "forward"));
        record(&mut recorder, &findings, 2, ("qkv", "backward"));
        let value = |pass: &str, quantity: &str| {
            recorder.value(&format!("training.small.qkv.{pass}.t2.{quantity}"))
        };
        assert_eq!(value("forward", "bytes_into_l1"), Some(64_000.0));
        assert_eq!(value("forward", "ghz"), Some(2.5));
        for (pass, quantity, reason) in [
            ("forward", "bytes_into_l2", "denied"),
            ("forward", "bytes_from_memory", "no step"),
            ("backward", "bytes_into_l1", "did not come"),
            ("backward", "ghz", "did not come"),
        ] {
            let name = format!("training.small.qkv.{pass}.t2.{quantity}");
            let mut all = recorder.metrics().iter();
            let metric = all.find(|metric| metric.name == name).unwrap();
            assert!(
                metric.value.is_none() && metric.how.contains(reason),
                "{name}: {}",
                metric.how
            );
        }
    }
}
