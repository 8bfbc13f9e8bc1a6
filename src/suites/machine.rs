//! The probe's machine in the form of run.json: every fact flat, with its source or its reason.

use crate::probe;
use crate::record;
use serde_json::{Number, Value};

/// Converts the probe's findings. What a recorded machine does not tell stays `null` with its reason; a name that is unknown
/// becomes `unknown`.
pub fn record_machine(machine: &probe::Machine) -> record::Machine {
    let features = machine.features.list.iter();
    let caches = machine.caches.value().into_iter().flatten();
    record::Machine {
        summary: summary(machine),
        cpus: machine.topology.cpus.iter().map(cpu).collect(),
        caches: caches.map(cache).collect(),
        features: features
            .map(|feature| record::Feature {
                name: feature.name.to_string(),
                cpu: feature.cpu,
                os: feature.os,
            })
            .collect(),
        facts: machine.entries().into_iter().map(fact).collect(),
    }
}

fn summary(machine: &probe::Machine) -> record::Summary {
    let named = |fact: &probe::Fact<String>| {
        fact.value()
            .cloned()
            .unwrap_or_else(|| "unknown".to_string())
    };
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let processor = &machine.processor;
    record::Summary {
        brand: named(&processor.brand),
        vendor: named(&processor.vendor),
        microarchitecture: processor.microarchitecture.value().cloned(),
        hypervisor: processor.hypervisor.value().cloned().flatten(),
        packages: count(machine.topology.packages()),
        cores: count(machine.topology.cores()),
        threads: count(machine.topology.cpus.len()),
        usable_threads: count(machine.usable_threads()),
        isa: machine.widest_isa().to_string(),
        fingerprint: machine.fingerprint(),
    }
}

fn cpu(cpu: &probe::Cpu) -> record::Cpu {
    record::Cpu {
        id: cpu.id,
        core: cpu.core,
        package: cpu.package,
        node: cpu.node,
        usable: cpu.usable,
        kind: cpu.kind.map(|kind| kind.name().to_string()),
    }
}

fn cache(cache: &probe::Cache) -> record::Cache {
    record::Cache {
        level: cache.level,
        kind: cache.kind.name().to_string(),
        bytes: cache.bytes,
        ways: cache.ways,
        line_bytes: cache.line_bytes,
        shared_by: cache.shared_by.clone(),
        source: cache.source.to_string(),
        disagreement: cache.disagreement.clone(),
    }
}

fn fact(entry: probe::Entry) -> record::Fact {
    record::Fact {
        key: entry.key,
        label: entry.label,
        value: entry.value.map(value),
        text: entry.text,
        source: entry.source,
        reason: entry.reason,
    }
}

fn value(value: probe::Value) -> Value {
    match value {
        probe::Value::Bool(yes) => Value::Bool(yes),
        probe::Value::Integer(number) => Value::Number(number.into()),
        probe::Value::Real(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        probe::Value::Text(text) => Value::String(text),
        probe::Value::List(list) => Value::Array(list.into_iter().map(self::value).collect()),
        // A limit that is known not to be set: the text says so, as JSON's null alone would read as unknown.
        probe::Value::Nothing => Value::String("none".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_and_the_document_survives_json() {
        let machine = probe::Machine::detect();
        let record = record_machine(&machine);
        assert_eq!(record.cpus.len(), machine.topology.cpus.len());
        assert_eq!(record.features.len(), machine.features.list.len());
        for fact in &record.facts {
            let known = fact.value.is_some() && !fact.source.is_empty() && fact.reason.is_none();
            let unknown = fact.value.is_none()
                && fact
                    .reason
                    .as_ref()
                    .is_some_and(|reason| !reason.is_empty());
            assert!(known || unknown, "{fact:?}");
        }
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(
            serde_json::from_str::<record::Machine>(&text).unwrap(),
            record
        );
    }

    #[test]
    fn every_key_is_there_once() {
        let record = record_machine(&probe::Machine::detect());
        for (index, fact) in record.facts.iter().enumerate() {
            assert!(
                record.facts[..index]
                    .iter()
                    .all(|other| other.key != fact.key),
                "{}",
                fact.key
            );
        }
    }
}
