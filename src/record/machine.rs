//! The machine as it stands in `run.json` and in `loopos probe --json`.

use serde::{Deserialize, Serialize};

/// The probe's findings, flat enough for scripts and complete enough for a page.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Machine {
    /// What identifies it at a glance.
    pub summary: Summary,
    /// Each logical CPU and where it sits.
    pub cpus: Vec<Cpu>,
    /// Each cache instance and who shares it.
    pub caches: Vec<Cache>,
    /// Each instruction-set feature by name.
    pub features: Vec<Feature>,
    /// Every other fact, in reading order: `cpu.stepping`, `clock.base_hertz`, `memory.total_bytes`, `perf.hardware`, ...
    pub facts: Vec<Fact>,
}

/// What identifies a machine at a glance.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Summary {
    /// The processor's own name, trimmed.
    pub brand: String,
    /// `GenuineIntel`, `AuthenticAMD`, ...
    pub vendor: String,
    /// `Tiger Lake`, `Zen 3`, ...; `None` where the table does not know family and model.
    pub microarchitecture: Option<String>,
    /// Name of the hypervisor, `None` on bare metal.
    pub hypervisor: Option<String>,
    /// Sockets.
    pub packages: u32,
    /// Physical cores that are online.
    pub cores: u32,
    /// Logical CPUs that are online.
    pub threads: u32,
    /// CPUs that this process may use at once: affinity and cgroup quota applied.
    pub usable_threads: u32,
    /// Widest ISA of loopos' kernels that runs here: `avx512`, `avx2`, `scalar`.
    pub isa: String,
    /// SHA-256 over what makes two machines comparable (CPU, caches, microcode, memory), first 16 hex digits.
    pub fingerprint: String,
}

/// One logical CPU.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cpu {
    /// The system's number.
    pub id: u32,
    /// Core within the package.
    pub core: u32,
    /// Package.
    pub package: u32,
    /// NUMA node.
    pub node: u32,
    /// This process may run on it.
    pub usable: bool,
    /// `performance` or `efficiency` on hybrid machines.
    pub kind: Option<String>,
}

/// One cache instance.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cache {
    /// 1, 2, 3.
    pub level: u32,
    /// `data`, `instruction`, `unified`.
    pub kind: String,
    /// Size.
    pub bytes: u64,
    /// Associativity; `None` where unknown.
    pub ways: Option<u32>,
    /// Line size.
    pub line_bytes: u32,
    /// Logical CPUs that share it.
    pub shared_by: Vec<u32>,
    /// `sysfs`, `cpuid`, or `sysfs and cpuid` where both say the same.
    pub source: String,
    /// What the other source says, where it differs.
    pub disagreement: Option<String>,
}

/// One instruction-set feature.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Feature {
    /// Linux' spelling: `avx512_vnni`, `fma`, ...
    pub name: String,
    /// CPUID announces it.
    pub cpu: bool,
    /// The system saves its registers (XCR0), so a program may use it.
    pub os: bool,
}

/// One fact, known or unknown with its reason.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Fact {
    /// Dotted key, unit last: `memory.total_bytes`.
    pub key: String,
    /// What a person calls it: `memory, total`.
    pub label: String,
    /// Number, text, list or bool; `None` where unknown.
    pub value: Option<serde_json::Value>,
    /// The value as a person reads it: `23.4 GiB`; empty where unknown.
    pub text: String,
    /// Where it was read: `cpuid 0x16`, `/sys/..`, `/proc/meminfo`.
    pub source: String,
    /// Why it is unknown.
    pub reason: Option<String>,
}
