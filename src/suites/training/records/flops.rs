//! Three numbers for the arithmetic of an operator that should be one: what the model's formula needs, what the operator declares, and
//! what the hardware counted; and what lies between them, by name.

use crate::suites::Recorder;
use crate::suites::quantity::{COUNTED_FLOPS, FLOPS_RESIDUAL, MODEL_FLOPS};
use crate::suites::training::findings::Findings;

/// How far what is counted may lie from what is declared.
const TOLERANCE: f64 = 0.01;

/// One operator in one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::suites::training) struct Three {
    pub(in crate::suites::training) operator: &'static str,
    pub(in crate::suites::training) pass: &'static str,
    /// By the model's formula.
    pub(in crate::suites::training) model: f64,
    /// By the operator.
    pub(in crate::suites::training) declared: f64,
}

/// Records all three of an operator on the most threads.
pub(in crate::suites::training) fn record(
    recorder: &mut Recorder,
    findings: &Findings,
    threads: usize,
    three: &Three,
) {
    let Three {
        operator,
        pass,
        model,
        declared,
    } = *three;
    let subject = format!("training.{}.{operator}.{pass}.t{threads}", findings.case);
    let how = "by the model's formula, one step: matrix products alone, attention in full";
    recorder.estimated(&subject, MODEL_FLOPS, model, how);
    if model > 0.0 {
        let how = format!(
            "declared over the formula, less one: {}",
            difference(operator)
        );
        recorder.computed(&subject, FLOPS_RESIDUAL, declared / model - 1.0, how);
    }
    let counted = match &findings.counters.operators {
        Ok(counted) => counted,
        Err(reason) => {
            recorder.missing(&subject, COUNTED_FLOPS, reason.clone());
            return;
        }
    };
    let mut of = counted.iter();
    match of.find(|counted| counted.operator == operator && counted.pass == pass) {
        Some(counted) => {
            let how = verdict(counted.amount, declared);
            recorder.reading(&subject, COUNTED_FLOPS, counted.amount, how);
        }
        None => {
            let reason = "the step that was counted did not come to it";
            recorder.missing(&subject, COUNTED_FLOPS, reason);
        }
    }
}

/// What an operator does beyond the formula, or leaves out.
fn difference(operator: &str) -> &'static str {
    match operator {
        "attention" => "the masked half of the scores is not computed, and softmax is no product",
        "head" => {
            "softmax and cross-entropy are no products, and the logits are not computed twice"
        }
        _ => "bias, GELU and residual, applied while a tile is in L1, are no products",
    }
}

/// What the count says about the declaration.
fn verdict(counted: f64, declared: f64) -> String {
    let single =
        "single-precision instructions of every width times their lanes, all threads, one step";
    if declared <= 0.0 {
        return format!("{single}; the operator declares none");
    }
    let off = counted / declared - 1.0;
    let percent = off * 100.0;
    match off.abs() <= TOLERANCE {
        true => format!("{single}; {percent:+.2} % from what the operator declares"),
        false if off > 0.0 => format!(
            "{single}; {percent:+.1} % from what the operator declares: lanes of partial tiles, approximations of exp and tanh, or \
             the kernel's work for others of its threads"
        ),
        false => format!(
            "{single}; {percent:+.1} % from what the operator declares: instructions that the counter does not know, or a declaration \
             that is too high"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::training::findings::sample;
    use crate::suites::training::operator_counts::Counted;

    const QKV: Three = Three {
        operator: "qkv",
        pass: "forward",
        model: 3.0e9,
        declared: 3.2e9,
    };

    fn recorded(counted: Result<Vec<Counted>, String>) -> Recorder {
        let mut findings = sample::findings();
        findings.counters.operators = counted;
        let mut recorder = Recorder::default();
        record(&mut recorder, &findings, 2, &QKV);
        recorder
    }

    fn how(recorder: &Recorder, quantity: &str) -> String {
        let name = format!("training.small.qkv.forward.t2.{quantity}");
        let mut metrics = recorder.metrics().iter();
        metrics
            .find(|metric| metric.name == name)
            .unwrap()
            .how
            .clone()
    }

    fn counted(flops: f64) -> Result<Vec<Counted>, String> {
        Ok(vec![Counted {
            operator: "qkv",
            pass: "forward",
            amount: flops,
        }])
    }

    #[test]
    fn the_difference_to_the_formula_has_a_name() {
        let recorder = recorded(Err("no PMU".into()));
        let name = "training.small.qkv.forward.t2.flops_residual";
        assert!((recorder.value(name).unwrap() - (3.2 / 3.0 - 1.0)).abs() < 1e-12);
        assert!(how(&recorder, "flops_residual").contains("bias, GELU"));
        assert_eq!(how(&recorder, "counted_flops"), "no PMU");
    }

    #[test]
    fn a_count_within_one_per_cent_agrees_and_another_is_named() {
        assert!(how(&recorded(counted(3.21e9)), "counted_flops").contains("+0.31 %"));
        assert!(how(&recorded(counted(4.0e9)), "counted_flops").contains("partial tiles"));
        assert!(how(&recorded(counted(1.0e9)), "counted_flops").contains("too high"));
        assert!(how(&recorded(Ok(Vec::new())), "counted_flops").contains("did not come"));
    }
}
