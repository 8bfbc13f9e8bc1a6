//! Invented machines.

use serde_json::json;

use crate::record::{Cache, Cpu, Fact, Feature, Machine, Summary};

/// `cores` cores in `packages` packages, `smt` threads each; half of the threads may be used where there are two.
pub(super) fn machine(cores: u32, smt: u32, packages: u32) -> Machine {
    let count = cores * smt;
    let cpu = |id: u32| {
        let core = id % cores;
        Cpu {
            id,
            core: core % (cores / packages),
            package: core / (cores / packages),
            node: core / (cores / packages),
            usable: id < cores,
            kind: None,
        }
    };
    let cpus: Vec<Cpu> = (0..count).map(cpu).collect();
    let caches = caches(cores, smt, &cpus);
    Machine {
        summary: Summary {
            brand: "Invented(R) Sample(R) Processor 8259 @ 2.50GHz".to_owned(),
            vendor: "GenuineIntel".to_owned(),
            microarchitecture: Some("Cascade Lake".to_owned()),
            hypervisor: Some("KVM".to_owned()),
            packages,
            cores,
            threads: count,
            usable_threads: cores,
            isa: "avx512".to_owned(),
            fingerprint: "0123456789abcdef".to_owned(),
        },
        cpus,
        caches,
        features: features(),
        facts: facts(),
    }
}

fn caches(cores: u32, smt: u32, cpus: &[Cpu]) -> Vec<Cache> {
    let siblings = |core: u32| {
        (0..smt)
            .map(|thread| core + thread * cores)
            .collect::<Vec<u32>>()
    };
    let cache = |level: u32, kind: &str, bytes: u64, shared_by: Vec<u32>| Cache {
        level,
        kind: kind.to_owned(),
        bytes,
        ways: Some(8 * level),
        line_bytes: 64,
        shared_by,
        source: "sysfs and cpuid".to_owned(),
        disagreement: None,
    };
    let mut caches = Vec::new();
    for core in 0..cores {
        caches.push(cache(1, "data", 32 << 10, siblings(core)));
        caches.push(cache(1, "instruction", 32 << 10, siblings(core)));
        caches.push(cache(2, "unified", 1 << 20, siblings(core)));
    }
    let packages = cpus.iter().map(|cpu| cpu.package).max().unwrap_or(0);
    for package in 0..=packages {
        let shared = cpus
            .iter()
            .filter(|cpu| cpu.package == package)
            .map(|cpu| cpu.id)
            .collect();
        caches.push(cache(3, "unified", 33 << 20, shared));
    }
    caches
}

fn features() -> Vec<Feature> {
    let feature = |name: &str, cpu: bool, os: bool| Feature {
        name: name.to_owned(),
        cpu,
        os,
    };
    vec![
        feature("sse4_2", true, true),
        feature("avx2", true, true),
        feature("fma", true, true),
        feature("avx512f", true, true),
        feature("avx512_vnni", true, true),
        feature("amx_tile", true, false),
        feature("avx512_fp16", false, false),
    ]
}

fn facts() -> Vec<Fact> {
    let fact = |key: &str, label: &str, text: &str, source: &str, reason: Option<&str>| Fact {
        key: key.to_owned(),
        label: label.to_owned(),
        value: reason.is_none().then(|| json!(text)),
        text: text.to_owned(),
        source: source.to_owned(),
        reason: reason.map(str::to_owned),
    };
    vec![
        fact(
            "memory.total_bytes",
            "memory, total",
            "23.4 GiB",
            "/proc/meminfo",
            None,
        ),
        fact(
            "clock.base_hertz",
            "clock, base",
            "2.50 GHz",
            "cpuid 0x16",
            None,
        ),
        fact(
            "clock.governor",
            "frequency governor",
            "",
            "/sys",
            Some("the virtual machine has no cpufreq"),
        ),
    ]
}
