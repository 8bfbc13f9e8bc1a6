//! What this machine is, as a value: processor, topology, caches, instruction sets, clocks, memory, system and counters.
//!
//! The probe never fails: each fact is known with its source, or unknown with the reason ([`Fact`]). It reads through one
//! [`Source`], which is the live machine or a recording of another one, so every machine that was ever recorded is a test.
//! To add a source of facts: one file with `read(&Source)` and `entries()`, its field in [`Machine`], its row in `entries`.

mod anonymous;
mod caches;
mod cgroup;
mod clocks;
mod counters;
mod cpufreq;
mod cpuid;
mod entry;
mod fact;
mod feature_table;
mod features;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;
mod leaves;
mod memory;
mod memory_devices;
mod microarchitecture;
mod page;
mod processor;
mod recording;
mod source;
mod system;
mod thermal;
mod tlb;
mod topology;
mod trial;

pub use caches::{Cache, CacheKind};
pub use clocks::Clocks;
pub use counters::Counters;
pub use entry::{Entry, Section, Value};
pub use fact::Fact;
pub use features::{Feature, Features, Group, State};
pub use memory::Memory;
pub use memory_devices::{Device, MemoryDevices};
pub use page::{Style, page};
pub use processor::Processor;
pub use recording::{RecordingError, parse as parse_recording, write as write_recording};
pub use source::{Source, format_cpu_list, parse_cpu_list};
pub use system::System;
pub use thermal::Thermal;
pub use tlb::Tlb;
pub use topology::{CoreKind, Cpu, Topology};

use crate::units::Bytes;
use sha2::{Digest, Sha256};

/// CPUs' worth of time that the control groups grant this process now; `None` where they set no limit. A dozen small files are read.
pub fn quota() -> Fact<Option<f64>> {
    cgroup::read(&Source::files()).cpus
}

/// Everything that the probe found.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Vendor, name, family, hypervisor.
    pub processor: Processor,
    /// Logical CPUs and their places.
    pub topology: Topology,
    /// The CPUs of this process's affinity mask.
    pub affinity: Fact<Vec<u32>>,
    /// CPUs' worth of time that the control groups grant; `None` where they set no limit.
    pub quota: Fact<Option<f64>>,
    /// Every cache instance.
    pub caches: Fact<Vec<Cache>>,
    /// The translation caches for data.
    pub tlbs: Fact<Vec<Tlb>>,
    /// Instruction sets, in the CPU and enabled by the system.
    pub features: Features,
    /// Frequencies as stated.
    pub clocks: Clocks,
    /// What heat limits.
    pub thermal: Thermal,
    /// Memory and its limits.
    pub memory: Memory,
    /// The modules that memory is made of.
    pub memory_devices: MemoryDevices,
    /// Kernel and mitigations.
    pub system: System,
    /// What perf offers.
    pub counters: Counters,
}

impl Machine {
    /// The machine that this process runs on, now. Visits each allowed CPU once, which takes about a millisecond each.
    pub fn detect() -> Machine {
        Machine::read(&Source::live())
    }

    /// The machine behind `source`.
    pub fn read(source: &Source) -> Machine {
        let topology = topology::read(source);
        let limits = cgroup::read(source);
        Machine {
            processor: processor::read(source),
            caches: caches::read(source, &topology),
            tlbs: tlb::read(source),
            features: features::read(source),
            clocks: clocks::read(source, &topology),
            thermal: thermal::read(source, &topology),
            memory: memory::read(source, &limits),
            memory_devices: memory_devices::read(source),
            system: system::read(source),
            counters: counters::read(source),
            affinity: source.affinity.clone(),
            quota: limits.cpus,
            topology,
        }
    }

    /// The CPUs that this process may use, in the order in which threads should take them: one for each physical core first,
    /// performance cores before efficiency cores, then the SMT siblings. Never empty. Take the first [`Self::usable_threads`].
    pub fn usable_cpus(&self) -> Vec<usize> {
        let mut cpus = self.topology.usable_in_order();
        if cpus.is_empty() {
            cpus.push(0);
        }
        cpus
    }

    /// How many threads may run at once: the CPUs of the affinity mask, or fewer under a quota (1.5 CPUs are one thread:
    /// a second one would be stopped half of the time). At least 1.
    pub fn usable_threads(&self) -> usize {
        let cpus = self.usable_cpus().len();
        match self.quota.value() {
            Some(Some(quota)) => (*quota as usize).clamp(1, cpus),
            _ => cpus,
        }
    }

    /// Bytes of the first level's data cache of the first usable CPU.
    pub fn l1d_bytes(&self) -> Option<u64> {
        self.cache(1).map(|cache| cache.bytes)
    }

    /// Bytes of one instance of the second level cache.
    pub fn l2_bytes(&self) -> Option<u64> {
        self.cache(2).map(|cache| cache.bytes)
    }

    /// Bytes of one instance of the third level cache. Shared: see [`Self::l3_threads`].
    pub fn l3_bytes(&self) -> Option<u64> {
        self.cache(3).map(|cache| cache.bytes)
    }

    /// How many of the first [`Self::usable_threads`] CPUs share the third level cache of the first one; 0 without one.
    pub fn l3_threads(&self) -> usize {
        let cpus = self.usable_cpus();
        let threads = &cpus[..self.usable_threads()];
        let sharers = self.cache(3).map_or(&[][..], |l3| &l3.shared_by);
        threads
            .iter()
            .filter(|&&cpu| sharers.contains(&(cpu as u32)))
            .count()
    }

    /// The data or unified cache of that level that the first usable CPU sees.
    pub fn cache(&self, level: u32) -> Option<&Cache> {
        let cpu = *self.usable_cpus().first()? as u32;
        let holds_data =
            |cache: &Cache| cache.level == level && cache.kind != CacheKind::Instruction;
        self.caches
            .value()?
            .iter()
            .find(|cache| holds_data(cache) && cache.shared_by.contains(&cpu))
    }

    /// Bytes that this process may take now: the least of available memory, the room that control groups leave, and `ulimit -v`.
    pub fn usable_memory_bytes(&self) -> Option<u64> {
        self.memory.usable().value().copied()
    }

    /// The widest instruction set that loopos' kernels may use here: `avx512` (F, DQ, BW and VL), `avx2` (with FMA) or `scalar`.
    pub fn widest_isa(&self) -> &'static str {
        let all = |names: &[&str]| names.iter().all(|name| self.features.has(name));
        if all(&["avx512f", "avx512dq", "avx512bw", "avx512vl", "fma"]) {
            "avx512"
        } else if all(&["avx2", "fma"]) {
            "avx2"
        } else {
            "scalar"
        }
    }

    /// SHA-256, first 16 hex digits, over what makes two machines comparable: processor, microcode, hypervisor, counts of
    /// packages, cores and CPUs, cache shapes, usable instruction sets, and memory to the nearest GiB. Not over what changes
    /// from run to run: affinity, quota, frequencies, available memory.
    pub fn fingerprint(&self) -> String {
        let Processor {
            vendor,
            brand,
            family,
            model,
            stepping,
            microcode,
            hypervisor,
            ..
        } = &self.processor;
        let topology = &self.topology;
        let counts = (topology.packages(), topology.cores(), topology.cpus.len());
        let caches: Vec<_> = self
            .caches
            .value()
            .into_iter()
            .flatten()
            .map(|c| (c.level, c.kind, c.bytes, c.ways))
            .collect();
        let features: Vec<_> = self
            .features
            .list
            .iter()
            .filter(|feature| feature.os)
            .map(|feature| feature.name)
            .collect();
        let gibibytes = self
            .memory
            .total
            .value()
            .map(|bytes| bytes.saturating_add(1 << 29) >> 30);
        let identity = (
            vendor.value(),
            brand.value(),
            family.value(),
            model.value(),
            stepping.value(),
        );
        let text = format!(
            "{identity:?} {:?} {:?} {counts:?} {caches:?} {features:?} {gibibytes:?}",
            microcode.value(),
            hypervisor.value()
        );
        Sha256::digest(text.as_bytes())
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Every fact in reading order, except the lists of CPUs, caches and instruction sets, which have a form of their own.
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = self.processor.entries();
        entries.extend(self.topology.entries());
        entries.extend(self.limit_entries());
        if let Fact::Unknown { .. } = &self.caches {
            let nothing = |_: &Vec<Cache>| (Value::Nothing, String::new());
            entries.push(Entry::new(
                Section::Caches,
                "caches",
                "caches",
                &self.caches,
                nothing,
            ));
        }
        entries.extend(tlb::entries(&self.tlbs));
        entries.extend(self.features.entries());
        entries.extend(self.clocks.entries());
        entries.extend(self.thermal.entries());
        entries.extend(self.memory.entries());
        entries.extend(self.memory_devices.entries());
        entries.extend(self.system.entries());
        entries.extend(self.counters.entries());
        entries
    }

    /// What this process may use of the CPUs.
    fn limit_entries(&self) -> Vec<Entry> {
        let section = Section::Topology;
        let usable = Fact::known(self.usable_threads() as u64, "affinity and quota");
        vec![
            Entry::new(
                section,
                "limits.affinity",
                "affinity",
                &self.affinity,
                |cpus| {
                    (
                        Value::List(cpus.iter().map(|&cpu| Value::count(cpu)).collect()),
                        format!("CPU {}", format_cpu_list(cpus)),
                    )
                },
            ),
            Entry::new(
                section,
                "limits.quota_cpus",
                "cgroup quota",
                &self.quota,
                |quota| match quota {
                    Some(cpus) => (Value::Real(*cpus), format!("{cpus} CPUs")),
                    None => (Value::Nothing, "none".to_string()),
                },
            ),
            Entry::number(
                section,
                "limits.usable_threads",
                "threads usable here",
                &usable,
            ),
        ]
    }

    /// One line that tells it from others: `Tiger Lake · 4 cores, 8 threads · AVX-512 · 15.5 GiB`.
    pub fn headline(&self) -> String {
        let topology = &self.topology;
        let plural = |count: usize, what: &str| {
            format!("{count} {what}{}", if count == 1 { "" } else { "s" })
        };
        let mut parts: Vec<String> = self
            .processor
            .microarchitecture
            .value()
            .cloned()
            .into_iter()
            .collect();
        if let Some(Some(name)) = self.processor.hypervisor.value() {
            parts.push(format!("{name} guest"));
        }
        let (threads, usable) = (topology.cpus.len(), self.usable_threads());
        let here = if usable == threads {
            String::new()
        } else {
            format!(", {usable} usable")
        };
        parts.push(format!(
            "{}, {}{here}",
            plural(topology.cores(), "core"),
            plural(threads, "thread")
        ));
        let refused = self.features.in_cpu("avx512f") && !self.features.has("avx512f");
        parts.push(match (self.widest_isa(), refused) {
            ("avx512", _) => "AVX-512".to_string(),
            (isa, true) => format!("{}, AVX-512 refused by the system", isa.to_uppercase()),
            (isa, false) => isa.to_uppercase(),
        });
        parts.extend(
            self.memory
                .total
                .value()
                .map(|&bytes| Bytes(bytes as f64).to_string()),
        );
        parts.join(" \u{b7} ")
    }
}
