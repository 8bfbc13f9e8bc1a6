//! Every cache instance: its size, ways, line and who shares it, from sysfs and from CPUID side by side.
//!
//! CPUID leaf 4 (Intel SDM volume 2A) and 0x8000_001D (AMD APM volume 3) share one format; which CPUs share an instance
//! follows from the APIC ids, cut by the number of ids that the leaf reserves for it.

use super::fact::Fact;
use super::leaves::Leaves;
use super::source::{Source, format_cpu_list};
use super::topology::{Topology, apic_shifts, bits_for};
use crate::units::Bytes;
use std::collections::BTreeMap;

/// What a cache holds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum CacheKind {
    /// Data only.
    Data,
    /// Instructions only.
    Instruction,
    /// Both.
    Unified,
}

impl CacheKind {
    /// `data`, `instruction` or `unified`.
    pub fn name(self) -> &'static str {
        match self {
            CacheKind::Data => "data",
            CacheKind::Instruction => "instruction",
            CacheKind::Unified => "unified",
        }
    }
}

/// One cache instance.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cache {
    /// 1, 2, 3, ...
    pub level: u32,
    /// What it holds.
    pub kind: CacheKind,
    /// Size in bytes.
    pub bytes: u64,
    /// Associativity; `None` where unknown or full.
    pub ways: Option<u32>,
    /// Line size in bytes.
    pub line_bytes: u32,
    /// Logical CPUs that share it, ascending.
    pub shared_by: Vec<u32>,
    /// `sysfs`, `cpuid`, or `sysfs and cpuid` where both say the same.
    pub source: &'static str,
    /// What CPUID says, where it differs from sysfs.
    pub disagreement: Option<String>,
}

impl Cache {
    /// `L1d`, `L1i`, `L2`, ...
    pub fn name(&self) -> String {
        let letter = match self.kind {
            CacheKind::Data => "d",
            CacheKind::Instruction => "i",
            CacheKind::Unified => "",
        };
        format!("L{}{letter}", self.level)
    }
}

/// Finds every cache, ordered by level, kind and first CPU.
pub(super) fn read(source: &Source, topology: &Topology) -> Fact<Vec<Cache>> {
    let online: Vec<u32> = topology.cpus.iter().map(|cpu| cpu.id).collect();
    let (by_sysfs, by_cpuid) = (from_sysfs(source, &online), from_cpuid(source, &online));
    let visited: Vec<u32> = online
        .iter()
        .copied()
        .filter(|cpu| source.cpus.contains_key(cpu))
        .collect();
    let (mut caches, from) = match (by_sysfs.is_empty(), by_cpuid.is_empty()) {
        (true, true) => return Fact::unknown(absent(source)),
        (true, false) => (by_cpuid, "cpuid"),
        (false, true) => (by_sysfs, "sysfs"),
        (false, false) => {
            let compared = by_sysfs
                .into_iter()
                .map(|cache| compare(cache, &by_cpuid, &visited))
                .collect();
            (compared, "sysfs and cpuid")
        }
    };
    caches.sort_by(|a, b| (a.level, a.kind, &a.shared_by).cmp(&(b.level, b.kind, &b.shared_by)));
    Fact::known(caches, from)
}

fn absent(source: &Source) -> String {
    let sysfs = source.text("/sys/devices/system/cpu/cpu0/cache/index0/size");
    let reason = sysfs
        .reason()
        .unwrap_or("sysfs holds no complete cache")
        .to_string();
    format!("{reason}; and CPUID has no cache leaf")
}

/// Puts CPUID's word beside sysfs'. Only CPUs that were visited can speak, so the sharing sets are compared among those.
fn compare(mut cache: Cache, by_cpuid: &[Cache], visited: &[u32]) -> Cache {
    let heard = |cpus: &[u32]| {
        cpus.iter()
            .copied()
            .filter(|cpu| visited.binary_search(cpu).is_ok())
            .collect::<Vec<_>>()
    };
    let sharers = heard(&cache.shared_by);
    let Some(&speaker) = sharers.first() else {
        return cache;
    };
    let twin = by_cpuid.iter().find(|other| {
        other.level == cache.level && other.kind == cache.kind && other.shared_by.contains(&speaker)
    });
    cache.disagreement = match twin {
        None => Some("cpuid: absent".to_string()),
        Some(twin) => difference(&cache, &sharers, twin),
    };
    if cache.disagreement.is_none() {
        cache.source = "sysfs and cpuid";
    }
    cache
}

fn difference(cache: &Cache, sharers: &[u32], twin: &Cache) -> Option<String> {
    let mut parts = Vec::new();
    if twin.bytes != cache.bytes {
        parts.push(Bytes(twin.bytes as f64).to_string());
    }
    if cache.ways.is_some() && twin.ways.is_some() && twin.ways != cache.ways {
        parts.push(format!("{} ways", twin.ways.unwrap_or(0)));
    }
    if twin.line_bytes != cache.line_bytes {
        parts.push(format!("{}-byte lines", twin.line_bytes));
    }
    if twin.shared_by != sharers {
        parts.push(format!("shared by {}", format_cpu_list(&twin.shared_by)));
    }
    (!parts.is_empty()).then(|| format!("cpuid: {}", parts.join(", ")))
}

fn from_sysfs(source: &Source, online: &[u32]) -> Vec<Cache> {
    let mut caches: Vec<Cache> = Vec::new();
    for &cpu in online {
        let folder = format!("/sys/devices/system/cpu/cpu{cpu}/cache");
        for name in source
            .names(&folder)
            .iter()
            .filter(|name| name.starts_with("index"))
            .take(16)
        {
            let Some(cache) = sysfs_cache(source, &format!("{folder}/{name}"), cpu, online) else {
                continue;
            };
            let seen = |other: &Cache| {
                (other.level, other.kind) == (cache.level, cache.kind)
                    && other.shared_by == cache.shared_by
            };
            if !caches.iter().any(seen) {
                caches.push(cache);
            }
        }
    }
    caches
}

fn sysfs_cache(source: &Source, folder: &str, cpu: u32, online: &[u32]) -> Option<Cache> {
    let number = |name: &str| {
        source
            .number(&format!("{folder}/{name}"))
            .value()
            .and_then(|&n| u32::try_from(n).ok())
    };
    let kind = match source.text(&format!("{folder}/type")).value()?.as_str() {
        "Data" => CacheKind::Data,
        "Instruction" => CacheKind::Instruction,
        "Unified" => CacheKind::Unified,
        _ => return None,
    };
    let listed = source
        .cpu_list(&format!("{folder}/shared_cpu_list"))
        .value()
        .cloned()
        .unwrap_or_default();
    let mut shared_by: Vec<u32> = listed
        .into_iter()
        .filter(|cpu| online.binary_search(cpu).is_ok())
        .collect();
    if !shared_by.contains(&cpu) {
        shared_by = vec![cpu];
    }
    Some(Cache {
        level: number("level")?,
        kind,
        bytes: parse_size(source.text(&format!("{folder}/size")).value()?)?,
        ways: number("ways_of_associativity").filter(|&ways| ways > 0),
        line_bytes: number("coherency_line_size").unwrap_or(64),
        shared_by,
        source: "sysfs",
        disagreement: None,
    })
}

/// `48K`, `2M`: how sysfs writes a size. Zero is no size.
fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) => (digits, &text[digits.len()..]),
        None => (text, ""),
    };
    let shift = ["", "K", "M", "G"].iter().position(|&name| name == unit)? * 10;
    digits
        .parse::<u64>()
        .ok()?
        .checked_mul(1 << shift)
        .filter(|&bytes| bytes > 0)
}

fn from_cpuid(source: &Source, online: &[u32]) -> Vec<Cache> {
    let mut instances = BTreeMap::<(u32, CacheKind, u32), Cache>::new();
    for &cpu in online {
        let Some(leaves) = source.cpus.get(&cpu) else {
            continue;
        };
        for (instance, cache) in cpuid_caches(leaves) {
            instances
                .entry((cache.level, cache.kind, instance))
                .or_insert(cache)
                .shared_by
                .push(cpu);
        }
    }
    instances.into_values().collect()
}

/// The caches of one CPU, each with the number of its instance.
fn cpuid_caches(leaves: &Leaves) -> Vec<(u32, Cache)> {
    let amd = leaves.leaf(0x8000_0001).ecx >> 22 & 1 == 1;
    let leaf = if amd { 0x8000_001D } else { 4 };
    // Without leaf 0xB the initial APIC id of leaf 1 does: it has 8 bits.
    let id = apic_shifts(leaves).map_or(leaves.leaf(1).ebx >> 24, |(id, ..)| id);
    let mut caches = Vec::new();
    for subleaf in 0..16 {
        let answer = leaves.subleaf(leaf, subleaf);
        let kind = match answer.eax & 0x1F {
            1 => CacheKind::Data,
            2 => CacheKind::Instruction,
            3 => CacheKind::Unified,
            _ => break,
        };
        let ways = (answer.ebx >> 22) + 1;
        let partitions = (answer.ebx >> 12 & 0x3FF) + 1;
        let line_bytes = (answer.ebx & 0xFFF) + 1;
        let sets = u64::from(answer.ecx) + 1;
        let fully_associative = answer.eax >> 9 & 1 == 1;
        let cache = Cache {
            level: answer.eax >> 5 & 7,
            kind,
            bytes: (u64::from(ways) * u64::from(partitions) * u64::from(line_bytes))
                .saturating_mul(sets),
            ways: (!fully_associative).then_some(ways),
            line_bytes,
            shared_by: Vec::new(),
            source: "cpuid",
            disagreement: None,
        };
        caches.push((id >> bits_for((answer.eax >> 14 & 0xFFF) + 1), cache));
    }
    caches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_sysfs_writes_them() {
        assert_eq!(parse_size("48K"), Some(48 << 10));
        assert_eq!(parse_size("36608K"), Some(36608 << 10));
        assert_eq!(parse_size("2M"), Some(2 << 20));
        assert_eq!(parse_size("512"), Some(512));
        for text in [
            "",
            "K",
            "0K",
            "-1K",
            "99999999999999999999K",
            "18446744073709551615G",
            "12KK",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
