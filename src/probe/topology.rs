//! Which logical CPUs there are, and on which core, package and memory node each one sits.
//!
//! Sources: sysfs' `cpuN/topology` and, beside it, the APIC id with the shifts of CPUID leaf 0x1F or 0xB (Intel SDM volume 3A,
//! "Detecting hardware multi-threading"; AMD APM volume 3, Fn0000_000B), on older AMD CPUs leaf 0x8000_001E.

use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::leaves::Leaves;
use super::source::{Source, format_cpu_list};
use std::collections::{BTreeMap, BTreeSet};

/// The kind of core on a hybrid machine.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum CoreKind {
    /// A big core: Golden Cove and its successors.
    Performance,
    /// A small core: Gracemont and its successors.
    Efficiency,
}

impl CoreKind {
    /// `performance` or `efficiency`.
    pub fn name(self) -> &'static str {
        match self {
            CoreKind::Performance => "performance",
            CoreKind::Efficiency => "efficiency",
        }
    }
}

/// One logical CPU.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cpu {
    /// The system's number.
    pub id: u32,
    /// Core within the package, counted from 0 without gaps.
    pub core: u32,
    /// Package, as the system numbers it.
    pub package: u32,
    /// NUMA node; 0 where the system does not tell.
    pub node: u32,
    /// This process may run on it.
    pub usable: bool,
    /// The kind of its core on a hybrid machine, `None` on others.
    pub kind: Option<CoreKind>,
}

/// All logical CPUs that are online.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Ascending by id; never empty.
    pub cpus: Vec<Cpu>,
    /// Where cores and packages were read.
    pub placed_by: Fact<()>,
    /// What CPUID says of cores and packages where sysfs says otherwise.
    pub disagreement: Option<String>,
}

/// Where a CPU sits: package, then anything that tells its cores apart.
type Place = (u32, u32, u32);

/// Finds the CPUs and their places.
pub(super) fn read(source: &Source) -> Topology {
    let online = online(source);
    let sysfs = |&cpu: &u32| Some((cpu, sysfs_place(source, cpu)?));
    let cpuid = |&cpu: &u32| Some((cpu, cpuid_place(source.cpus.get(&cpu)?)?));
    let by_sysfs: BTreeMap<u32, Place> = online.iter().filter_map(sysfs).collect();
    let by_cpuid: BTreeMap<u32, Place> = online.iter().filter_map(cpuid).collect();
    let (places, placed_by) = if by_sysfs.len() == online.len() {
        (
            by_sysfs.clone(),
            Fact::known((), "/sys/devices/system/cpu/cpu*/topology"),
        )
    } else if by_cpuid.len() == online.len() {
        (by_cpuid.clone(), Fact::known((), "cpuid 0xb"))
    } else {
        let alone = online.iter().map(|&cpu| (cpu, (0, 0, cpu))).collect();
        (
            alone,
            Fact::unknown(
                "neither sysfs nor CPUID places every CPU; each is taken for a core of its own",
            ),
        )
    };
    let disagreement = disagreement(&by_sysfs, &by_cpuid);
    let cores = number_cores(&places);
    let nodes = nodes(source);
    let hybrid = [
        ("core", CoreKind::Performance),
        ("atom", CoreKind::Efficiency),
    ]
    .map(|(name, kind)| {
        let cpus = source.cpu_list(&format!("/sys/devices/cpu_{name}/cpus"));
        (cpus.value().cloned().unwrap_or_default(), kind)
    });
    let usable = source.affinity.value();
    let cpus = online.iter().map(|&id| Cpu {
        id,
        core: cores[&id],
        package: places[&id].0,
        node: nodes
            .iter()
            .find(|(_, cpus)| cpus.contains(&id))
            .map_or(0, |(node, _)| *node),
        usable: usable.is_none_or(|usable| usable.binary_search(&id).is_ok()),
        kind: source.cpus.get(&id).and_then(kind).or_else(|| {
            hybrid
                .iter()
                .find(|(cpus, _)| cpus.contains(&id))
                .map(|(_, kind)| *kind)
        }),
    });
    Topology {
        cpus: cpus.collect(),
        placed_by,
        disagreement,
    }
}

/// CPUs that are online: by sysfs, else by `/proc/cpuinfo`, else those that the process may use or that were visited.
fn online(source: &Source) -> Vec<u32> {
    let listed = source
        .cpu_list("/sys/devices/system/cpu/online")
        .value()
        .cloned()
        .unwrap_or_default();
    if !listed.is_empty() {
        return listed;
    }
    let cpuinfo = source.text("/proc/cpuinfo");
    let lines = cpuinfo
        .value()
        .map(String::as_str)
        .unwrap_or_default()
        .lines();
    let number = |line: &str| {
        line.strip_prefix("processor")?
            .split_once(':')?
            .1
            .trim()
            .parse::<u32>()
            .ok()
    };
    let mut cpus: BTreeSet<u32> = lines.filter_map(number).collect();
    if cpus.is_empty() {
        cpus.extend(source.affinity.value().into_iter().flatten());
        cpus.extend(source.cpus.keys());
    }
    if cpus.is_empty() {
        cpus.insert(0);
    }
    cpus.into_iter().collect()
}

fn sysfs_place(source: &Source, cpu: u32) -> Option<Place> {
    let folder = format!("/sys/devices/system/cpu/cpu{cpu}/topology");
    // Some machines say -1 for "there is only one".
    let number = |name: &str| {
        let text = source.text(&format!("{folder}/{name}"));
        text.value()?
            .parse::<i64>()
            .ok()
            .map(|number| u32::try_from(number).unwrap_or(0))
    };
    Some((
        number("physical_package_id")?,
        number("die_id").unwrap_or(0),
        number("core_id")?,
    ))
}

/// How the APIC id is cut: the shifts that drop the thread, and the whole core within the package.
pub(super) fn apic_shifts(leaves: &Leaves) -> Option<(u32, u32, u32)> {
    for leaf in [0x1F, 0xB] {
        let (mut thread, mut package, mut id) = (0, None, 0);
        for subleaf in 0..8 {
            let level = leaves.subleaf(leaf, subleaf);
            let kind = level.ecx >> 8 & 0xFF;
            if kind == 0 {
                break;
            }
            id = level.edx;
            package = Some(level.eax & 0x1F);
            if kind == 1 {
                thread = level.eax & 0x1F;
            }
        }
        if let Some(package) = package
            && leaves.subleaf(leaf, 0).ebx != 0
        {
            return Some((id, thread, package.max(thread)));
        }
    }
    amd_shifts(leaves)
}

/// AMD before leaf 0xB: the initial APIC id, threads per core from leaf 0x8000_001E, threads per package from 0x8000_0008.
fn amd_shifts(leaves: &Leaves) -> Option<(u32, u32, u32)> {
    let (unit, sizes) = (leaves.leaf(0x8000_001E), leaves.leaf(0x8000_0008));
    if unit.eax == 0 && unit.ebx == 0 {
        return None;
    }
    let threads = (unit.ebx >> 8 & 0xFF) + 1;
    let package = match sizes.ecx >> 12 & 0xF {
        0 => bits_for((sizes.ecx & 0xFF) + 1),
        bits => bits,
    };
    Some((unit.eax, bits_for(threads), package.max(bits_for(threads))))
}

/// Bits that number `count` things.
pub(super) fn bits_for(count: u32) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}

fn cpuid_place(leaves: &Leaves) -> Option<Place> {
    let (id, thread, package) = apic_shifts(leaves)?;
    let within = id & 1_u32.checked_shl(package).map_or(!0, |size| size - 1);
    Some((id.checked_shr(package).unwrap_or(0), 0, within >> thread))
}

/// The kind of core, only where the part is announced as hybrid: Intel's leaf 0x1A (SDM volume 2A: type 0x40 is Core, 0x20
/// Atom, on parts with the hybrid bit of leaf 7), AMD's 0x8000_0026 (APM volume 3: EAX bit 30, then the type in EBX 28-31).
fn kind(leaves: &Leaves) -> Option<CoreKind> {
    if leaves.leaf(7).edx >> 15 & 1 == 1 {
        return match leaves.leaf(0x1A).eax >> 24 {
            0x40 => Some(CoreKind::Performance),
            0x20 => Some(CoreKind::Efficiency),
            _ => None,
        };
    }
    let level = leaves.leaf(0x8000_0026);
    match (level.eax >> 30 & 1, level.ebx >> 28) {
        (1, 0) => Some(CoreKind::Performance),
        (1, 1) => Some(CoreKind::Efficiency),
        _ => None,
    }
}

/// Numbers each package's cores from 0, in the order of die and core id, so that cores of two dies never coincide.
fn number_cores(places: &BTreeMap<u32, Place>) -> BTreeMap<u32, u32> {
    let all: BTreeSet<Place> = places.values().copied().collect();
    let before = |place: &Place| all.range((place.0, 0, 0)..*place).count() as u32;
    places
        .iter()
        .map(|(&cpu, place)| (cpu, before(place)))
        .collect()
}

/// Compares how both sources group the CPUs that both know; the numbers themselves may differ.
fn disagreement(sysfs: &BTreeMap<u32, Place>, cpuid: &BTreeMap<u32, Place>) -> Option<String> {
    let both: Vec<u32> = sysfs
        .keys()
        .filter(|cpu| cpuid.contains_key(cpu))
        .copied()
        .collect();
    let package = |place: Place| (place.0, 0, 0);
    let core = |place: Place| place;
    let groups = |places: &BTreeMap<u32, Place>, key: fn(Place) -> Place| {
        let mut groups = BTreeMap::<Place, Vec<u32>>::new();
        both.iter()
            .for_each(|cpu| groups.entry(key(places[cpu])).or_default().push(*cpu));
        groups.into_values().collect::<BTreeSet<_>>()
    };
    [("core", core as fn(Place) -> Place), ("package", package)]
        .into_iter()
        .find_map(|(what, key)| {
            let (left, right) = (groups(sysfs, key), groups(cpuid, key));
            let list = |groups: &BTreeSet<Vec<u32>>| {
                groups
                    .iter()
                    .take(8)
                    .map(|cpus| format!("{{{}}}", format_cpu_list(cpus)))
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            (left != right).then(|| {
                format!(
                    "CPUs by {what}: sysfs {}, cpuid {}",
                    list(&left),
                    list(&right)
                )
            })
        })
}

/// NUMA nodes and their CPUs.
pub(super) fn nodes(source: &Source) -> Vec<(u32, Vec<u32>)> {
    let folder = "/sys/devices/system/node";
    let node = |name: &String| {
        let number = name.strip_prefix("node")?.parse().ok()?;
        Some((
            number,
            source
                .cpu_list(&format!("{folder}/{name}/cpulist"))
                .value()?
                .clone(),
        ))
    };
    let mut nodes: Vec<(u32, Vec<u32>)> = source.names(folder).iter().filter_map(node).collect();
    nodes.sort();
    nodes
}

impl Topology {
    /// Packages.
    pub fn packages(&self) -> usize {
        self.cpus
            .iter()
            .map(|cpu| cpu.package)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Physical cores.
    pub fn cores(&self) -> usize {
        self.cpus
            .iter()
            .map(|cpu| (cpu.package, cpu.core))
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Most logical CPUs on one core.
    pub fn threads_per_core(&self) -> usize {
        let mut cores = BTreeMap::<(u32, u32), usize>::new();
        self.cpus
            .iter()
            .for_each(|cpu| *cores.entry((cpu.package, cpu.core)).or_default() += 1);
        cores.into_values().max().unwrap_or(1)
    }

    /// The facts in reading order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::Topology;
        let count = |number: usize| {
            let fact = match &self.placed_by {
                Fact::Known { source, .. } => Fact::known(number as u64, source.as_str()),
                Fact::Unknown { reason } => Fact::unknown(reason.as_str()),
            };
            move |key: &str, label: &str| Entry::number(section, key, label, &fact)
        };
        let mut entries = vec![
            count(self.packages())("topology.packages", "packages"),
            count(self.cores())("topology.cores", "cores"),
            count(self.threads_per_core())("topology.threads_per_core", "threads per core"),
        ];
        if let Some(text) = &self.disagreement {
            let fact = Fact::known(text.clone(), "sysfs and cpuid");
            entries.push(Entry::text(
                section,
                "topology.disagreement",
                "sysfs and CPUID differ",
                &fact,
            ));
        }
        if self.cpus.iter().any(|cpu| cpu.kind.is_some()) {
            let fact = Fact::known(
                (),
                "cpuid 0x1a or 0x80000026, else /sys/devices/cpu_core and cpu_atom",
            );
            entries.push(Entry::new(
                section,
                "topology.kinds",
                "hybrid",
                &fact,
                |()| self.show_kinds(),
            ));
        }
        entries
    }

    /// Cores of each kind.
    fn show_kinds(&self) -> (Value, String) {
        let cores = |kind: CoreKind| {
            let mine = self.cpus.iter().filter(|cpu| cpu.kind == Some(kind));
            mine.map(|cpu| (cpu.package, cpu.core))
                .collect::<BTreeSet<_>>()
                .len()
        };
        let parts = [CoreKind::Performance, CoreKind::Efficiency]
            .map(|kind| format!("{} {} cores", cores(kind), kind.name()));
        (
            Value::List(parts.iter().cloned().map(Value::Text).collect()),
            parts.join(", "),
        )
    }

    /// The CPUs that this process may use, in the order in which threads should take them: one for each core before any core's
    /// second, performance cores before efficiency cores, then by package and number.
    pub fn usable_in_order(&self) -> Vec<usize> {
        let mut taken = BTreeMap::<(u32, u32), u32>::new();
        let mut ranked: Vec<_> = self
            .cpus
            .iter()
            .filter(|cpu| cpu.usable)
            .map(|cpu| {
                let sibling = taken.entry((cpu.package, cpu.core)).or_default();
                *sibling += 1;
                (*sibling, cpu.kind, cpu.package, cpu.id)
            })
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(.., id)| id as usize).collect()
    }
}
