//! What this machine is, as a value: processor, topology, caches, instruction sets, clocks, memory, system and counters.
//!
//! The probe never fails: each fact is known with its source, or unknown with the reason ([`Fact`]). It reads through one
//! [`Source`], which is the live machine or a recording of another one, so every machine that was ever recorded is a test.

mod anonymous;
mod caches;
mod cgroup;
mod cpuid;
mod fact;
mod leaves;
mod memory;
mod recording;
mod source;
mod topology;
mod trial;

pub use caches::{Cache, CacheKind};
pub use fact::Fact;
pub use memory::Memory;
pub use recording::{RecordingError, parse as parse_recording, write as write_recording};
pub use source::{Source, format_cpu_list, parse_cpu_list};
pub use topology::{CoreKind, Cpu, Topology};

/// Everything that the probe found.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Logical CPUs and their places.
    pub topology: Topology,
    /// Every cache instance.
    pub caches: Fact<Vec<Cache>>,
    /// CPUs' worth of time that the control groups grant; `None` where they set no limit.
    pub quota: Fact<Option<f64>>,
    /// Memory and its limits.
    pub memory: Memory,
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
            caches: caches::read(source, &topology),
            memory: memory::read(source, &limits),
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
        self.cache(3).map_or(0, |l3| {
            threads
                .iter()
                .filter(|&&cpu| l3.shared_by.contains(&(cpu as u32)))
                .count()
        })
    }

    /// The data or unified cache of that level that the first usable CPU sees.
    pub fn cache(&self, level: u32) -> Option<&Cache> {
        let cpu = *self.usable_cpus().first()? as u32;
        let mine = |cache: &&Cache| {
            cache.level == level
                && cache.kind != CacheKind::Instruction
                && cache.shared_by.contains(&cpu)
        };
        self.caches.value()?.iter().find(mine)
    }

    /// Bytes that this process may take now: the least of available memory, the room that control groups leave, and `ulimit -v`.
    pub fn usable_memory_bytes(&self) -> Option<u64> {
        self.memory.usable().value().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_live_machine_can_be_used() {
        let machine = Machine::detect();
        assert!(
            machine.usable_threads() >= 1
                && machine.usable_threads() <= machine.usable_cpus().len()
        );
        assert!(machine.topology.cores() <= machine.topology.cpus.len());
    }
}
