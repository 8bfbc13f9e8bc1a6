//! Memory: how much there is, how much this process may take, and in which pages.

use super::cgroup;
use super::entry::{Entry, Section, Value};
use super::fact::Fact;
use super::source::Source;
use super::topology;
use crate::units::Bytes;

/// What the machine and its limits say about memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// Bytes installed, as the kernel counts them.
    pub total: Fact<u64>,
    /// Bytes that can be taken without swapping, now.
    pub available: Fact<u64>,
    /// Bytes of swap space.
    pub swap: Fact<u64>,
    /// The tightest control group's limit in bytes; `None` where there is none.
    pub limit: Fact<Option<u64>>,
    /// Bytes left below the control groups' limits, now.
    pub limit_room: Fact<Option<u64>>,
    /// Bytes of address space left below `ulimit -v`; `None` where it is unlimited.
    pub address_room: Fact<Option<u64>>,
    /// NUMA nodes and the bytes of each.
    pub nodes: Fact<Vec<(u32, u64)>>,
    /// How far each NUMA node is from each, by the firmware: 10 is at home, 20 takes twice as long.
    pub distances: Fact<Vec<Vec<u32>>>,
    /// Sizes of the huge pages that the kernel knows, in bytes, with how many of each are reserved.
    pub huge_pages: Fact<Vec<(u64, u64)>>,
    /// Transparent huge pages: `always`, `madvise` or `never`.
    pub transparent: Fact<String>,
    /// What a page fault does to find a huge page.
    pub defrag: Fact<String>,
}

/// Reads the facts about memory.
pub(super) fn read(source: &Source, limits: &cgroup::Limits) -> Memory {
    let transparent = |name: &str| {
        let path = format!("/sys/kernel/mm/transparent_hugepage/{name}");
        source
            .text(&path)
            .read("a choice in brackets", |text| chosen(text))
    };
    Memory {
        total: meminfo(source, "MemTotal"),
        available: meminfo(source, "MemAvailable").or(|| meminfo(source, "MemFree")),
        swap: meminfo(source, "SwapTotal"),
        limit: limits.memory.clone(),
        limit_room: limits.room.clone(),
        address_room: address_room(source),
        nodes: nodes(source),
        distances: distances(source),
        huge_pages: huge_pages(source),
        transparent: transparent("enabled"),
        defrag: transparent("defrag"),
    }
}

impl Memory {
    /// What this process may take now: the least of available memory, room in the control groups, and address space.
    pub fn usable(&self) -> Fact<u64> {
        let mut best: Option<(u64, String)> = None;
        let limits = [&self.limit_room, &self.address_room]
            .map(|fact| (fact.value().copied().flatten(), fact.source()));
        let known = limits
            .into_iter()
            .chain([(self.available.value().copied(), self.available.source())]);
        for (bytes, source) in known {
            if let Some(bytes) = bytes
                && best.as_ref().is_none_or(|(least, _)| bytes < *least)
            {
                best = Some((bytes, source.to_string()));
            }
        }
        match best {
            Some((bytes, source)) => Fact::known(bytes, source),
            None => Fact::unknown(
                self.available
                    .reason()
                    .unwrap_or("no source tells")
                    .to_string(),
            ),
        }
    }
}

impl Memory {
    /// The facts in reading order.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let section = Section::Memory;
        let size = |&bytes: &u64| (Value::count(bytes), Bytes(bytes as f64).to_string());
        let limit = |limit: &Option<u64>| match limit {
            Some(bytes) => size(bytes),
            None => (Value::Nothing, "none".to_string()),
        };
        let mut entries = vec![
            Entry::new(section, "memory.total_bytes", "total", &self.total, size),
            Entry::new(
                section,
                "memory.available_bytes",
                "available",
                &self.available,
                size,
            ),
            Entry::new(
                section,
                "memory.usable_bytes",
                "usable here",
                &self.usable(),
                size,
            ),
            Entry::new(
                section,
                "memory.cgroup_limit_bytes",
                "cgroup limit",
                &self.limit,
                limit,
            ),
            Entry::new(
                section,
                "memory.address_room_bytes",
                "ulimit -v",
                &self.address_room,
                limit,
            ),
            Entry::new(section, "memory.swap_bytes", "swap", &self.swap, size),
            Entry::new(
                section,
                "memory.huge_page_bytes",
                "huge pages",
                &self.huge_pages,
                |sizes| {
                    let list = sizes
                        .iter()
                        .map(|(bytes, _)| Value::count(*bytes))
                        .collect();
                    let text = sizes.iter().map(|(bytes, reserved)| {
                        format!("{} ({reserved} reserved)", Bytes(*bytes as f64))
                    });
                    (Value::List(list), text.collect::<Vec<_>>().join(", "))
                },
            ),
            Entry::text(
                section,
                "memory.transparent_huge_pages",
                "transparent huge pages",
                &self.transparent,
            ),
            Entry::text(
                section,
                "memory.huge_page_defrag",
                "defrag on fault",
                &self.defrag,
            ),
        ];
        // Between the sizes and the pages.
        entries.splice(6..6, self.node_entries());
        // Without a limit there is no room to speak of.
        if matches!(self.limit.value(), Some(Some(_))) {
            entries.insert(
                4,
                Entry::new(
                    section,
                    "memory.cgroup_room_bytes",
                    "cgroup room",
                    &self.limit_room,
                    limit,
                ),
            );
        }
        entries
    }

    /// The NUMA nodes and how far they are from each other.
    fn node_entries(&self) -> [Entry; 2] {
        let section = Section::Memory;
        [
            Entry::new(
                section,
                "memory.node_bytes",
                "NUMA nodes",
                &self.nodes,
                |nodes| {
                    let list = nodes
                        .iter()
                        .map(|(_, bytes)| Value::count(*bytes))
                        .collect();
                    let text = nodes
                        .iter()
                        .map(|(node, bytes)| format!("node {node}: {}", Bytes(*bytes as f64)));
                    (Value::List(list), text.collect::<Vec<_>>().join(", "))
                },
            ),
            Entry::new(
                section,
                "memory.node_distances",
                "NUMA distances",
                &self.distances,
                |rows| show_distances(rows),
            ),
        ]
    }
}

/// One line of `/proc/meminfo`, in bytes.
fn meminfo(source: &Source, name: &str) -> Fact<u64> {
    line_number(source, "/proc/meminfo", name)
        .read("a plausible size", |kilobytes| kilobytes.checked_mul(1024))
}

/// The first number of the line that starts with `name:`.
fn line_number(source: &Source, path: &str, name: &str) -> Fact<u64> {
    match source.text(path) {
        Fact::Known {
            value: text,
            source,
        } => {
            let rest = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
            match rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok()) {
                Some(number) => Fact::known(number, source),
                None => Fact::unknown(format!("{source} has no number for {name}")),
            }
        }
        Fact::Unknown { reason } => Fact::unknown(reason),
    }
}

/// `ulimit -v` less what the process has mapped.
fn address_room(source: &Source) -> Fact<Option<u64>> {
    let path = "/proc/self/limits";
    let limit = source.text(path).read("a limit of address space", |text| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Max address space"))?;
        match line.split_whitespace().next()? {
            "unlimited" => Some(None),
            bytes => bytes.parse::<u64>().ok().map(Some),
        }
    });
    let mapped = || {
        line_number(source, "/proc/self/status", "VmSize")
            .value()
            .copied()
            .unwrap_or(0)
    };
    limit.map(|limit| limit.map(|bytes| bytes.saturating_sub(mapped().saturating_mul(1024))))
}

fn huge_pages(source: &Source) -> Fact<Vec<(u64, u64)>> {
    let folder = "/sys/kernel/mm/hugepages";
    let size = |name: &String| {
        let kilobytes: u64 = name
            .strip_prefix("hugepages-")?
            .strip_suffix("kB")?
            .parse()
            .ok()?;
        let reserved = source
            .number(&format!("{folder}/{name}/nr_hugepages"))
            .value()
            .copied()
            .unwrap_or(0);
        Some((kilobytes.checked_mul(1024)?, reserved))
    };
    let mut sizes: Vec<(u64, u64)> = source.names(folder).iter().filter_map(size).collect();
    sizes.sort_unstable();
    match sizes.is_empty() {
        true => Fact::unknown(format!("{folder}: no such folder, or none listed")),
        false => Fact::known(sizes, folder),
    }
}

/// Bytes of each NUMA node: `Node 0 MemTotal: 24684096 kB`.
fn nodes(source: &Source) -> Fact<Vec<(u32, u64)>> {
    let folder = "/sys/devices/system/node";
    let bytes = |node: u32| {
        let text = source.text(&format!("{folder}/node{node}/meminfo"));
        let line = text
            .value()?
            .lines()
            .find_map(|line| line.split_once("MemTotal:"))?
            .1;
        line.split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()?
            .checked_mul(1024)
    };
    let nodes: Vec<(u32, u64)> = topology::nodes(source)
        .into_iter()
        .map(|(node, _)| (node, bytes(node).unwrap_or(0)))
        .collect();
    match nodes.is_empty() {
        true => Fact::unknown(format!("{folder} lists none")),
        false => Fact::known(nodes, folder),
    }
}

/// The rows of the kernel's table of distances, in the order of the nodes.
fn distances(source: &Source) -> Fact<Vec<Vec<u32>>> {
    let folder = "/sys/devices/system/node";
    let row = |node: u32| {
        let text = source.text(&format!("{folder}/node{node}/distance"));
        let numbers = text.value()?.split_whitespace();
        numbers.map(|number| number.parse().ok()).collect()
    };
    let rows: Option<Vec<Vec<u32>>> = topology::nodes(source)
        .into_iter()
        .map(|(node, _)| row(node))
        .collect();
    match rows {
        Some(rows) if !rows.is_empty() => Fact::known(rows, format!("{folder}/node*/distance")),
        _ => Fact::unknown(format!("{folder}/node*/distance: not there for every node")),
    }
}

/// `10 21 | 21 10`: a row for each node.
fn show_distances(rows: &[Vec<u32>]) -> (Value, String) {
    let list = |row: &Vec<u32>| Value::List(row.iter().map(|&far| Value::count(far)).collect());
    let text = |row: &Vec<u32>| row.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let texts: Vec<String> = rows.iter().map(text).collect();
    (
        Value::List(rows.iter().map(list).collect()),
        texts.join(" | "),
    )
}

/// The word in brackets: `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_string())
}
