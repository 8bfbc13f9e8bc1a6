//! Packages, shared caches, cores and threads as nested boxes, from the probe's flat lists.

use std::collections::BTreeMap;

use crate::record::{Cache, Cpu, Machine};
use crate::report::draw::{Ink, clean};
use crate::report::values::{claim, many};

/// A box with what it holds.
pub(super) enum Node<'a> {
    /// A package, or a cache that several cores share.
    Group {
        /// What it is.
        label: String,
        /// Its colour.
        ink: Ink,
        /// What it holds.
        children: Vec<Node<'a>>,
    },
    /// A physical core.
    Core(Core<'a>),
}

/// A physical core.
pub(super) struct Core<'a> {
    /// Its threads.
    pub(super) cpus: Vec<&'a Cpu>,
    /// `L1d 48 KiB` and so on: the caches that it has for itself.
    pub(super) caches: Vec<String>,
}

impl Core<'_> {
    /// `core 3 efficiency`.
    pub(super) fn title(&self) -> String {
        let Some(first) = self.cpus.first() else {
            return String::new();
        };
        format!("core {} {}", first.core, self.kind())
            .trim_end()
            .to_owned()
    }

    /// `performance`, `efficiency`, or nothing.
    fn kind(&self) -> String {
        let kind = self.cpus.first().and_then(|cpu| cpu.kind.as_deref());
        kind.map(clean).unwrap_or_default()
    }
}

/// The cache instance of a level that serves data to a CPU.
fn serving(machine: &Machine, cpu: &Cpu, level: u32) -> Option<usize> {
    let serves = |cache: &Cache| {
        cache.level == level && cache.kind != "instruction" && cache.shared_by.contains(&cpu.id)
    };
    machine.caches.iter().position(serves)
}

fn grouped<'a, K: Ord>(cpus: &[&'a Cpu], key: impl Fn(&Cpu) -> K) -> Vec<(K, Vec<&'a Cpu>)> {
    let mut groups: BTreeMap<K, Vec<&'a Cpu>> = BTreeMap::new();
    for cpu in cpus {
        groups.entry(key(cpu)).or_default().push(cpu);
    }
    groups.into_iter().collect()
}

/// One box per package.
pub(super) fn packages(machine: &Machine) -> Vec<Node<'_>> {
    let all: Vec<&Cpu> = machine.cpus.iter().collect();
    let mut packages = Vec::new();
    for (package, cpus) in grouped(&all, |cpu| cpu.package) {
        let nodes = grouped(&cpus, |cpu| cpu.node);
        let nodes: Vec<String> = nodes.iter().map(|node| node.0.to_string()).collect();
        let label = format!("package {package}, memory node {}", nodes.join(", "));
        let children = level3(machine, &cpus);
        packages.push(Node::Group {
            label,
            ink: Ink::Quiet,
            children,
        });
    }
    packages
}

/// The L3 caches of a package, or what is in it where it has none.
fn level3<'a>(machine: &'a Machine, cpus: &[&'a Cpu]) -> Vec<Node<'a>> {
    let mut nodes = Vec::new();
    for (cache, cpus) in grouped(cpus, |cpu| serving(machine, cpu, 3)) {
        let children = level2(machine, &cpus);
        match cache.map(|index| shared(&machine.caches[index])) {
            Some(label) => nodes.push(Node::Group {
                label,
                ink: Ink::Purple,
                children,
            }),
            None => nodes.extend(children),
        }
    }
    nodes
}

/// The cores, within an L2 cache where several share one.
fn level2<'a>(machine: &'a Machine, cpus: &[&'a Cpu]) -> Vec<Node<'a>> {
    let mut nodes = Vec::new();
    for (cache, cpus) in grouped(cpus, |cpu| serving(machine, cpu, 2)) {
        let cores = grouped(&cpus, |cpu| cpu.core);
        let cache = cache.filter(|_| cores.len() > 1);
        let own = if cache.is_some() { 1 } else { 2 };
        let children = cores
            .into_iter()
            .map(|(_, cpus)| core(machine, cpus, own))
            .collect();
        match cache.map(|index| shared(&machine.caches[index])) {
            Some(label) => nodes.push(Node::Group {
                label,
                ink: Ink::Sky,
                children,
            }),
            None => nodes.extend::<Vec<Node<'a>>>(children),
        }
    }
    nodes
}

/// `L3 33 MiB, 8 CPUs`.
fn shared(cache: &Cache) -> String {
    let sharers = many(cache.shared_by.len(), "CPU");
    let other = if cache.disagreement.is_some() {
        ", sources disagree"
    } else {
        ""
    };
    format!(
        "L{} {}, {sharers}{other}",
        cache.level,
        claim(cache.bytes as f64)
    )
}

/// A core with its caches up to level `own`, the largest first.
fn core<'a>(machine: &'a Machine, cpus: Vec<&'a Cpu>, own: u32) -> Node<'a> {
    let first = cpus.first().map_or(0, |cpu| cpu.id);
    let kind = |cache: &Cache| match (cache.level, cache.kind.as_str()) {
        (1, "data") => "d",
        (1, "instruction") => "i",
        _ => "",
    };
    let own = |cache: &&Cache| cache.level <= own && cache.shared_by.contains(&first);
    let told = |cache: &Cache| {
        let text = format!(
            "L{}{} {}",
            cache.level,
            kind(cache),
            claim(cache.bytes as f64)
        );
        (std::cmp::Reverse(cache.level), text)
    };
    let mut caches: Vec<_> = machine.caches.iter().filter(own).map(told).collect();
    caches.sort();
    caches.dedup();
    Node::Core(Core {
        cpus,
        caches: caches.into_iter().map(|cache| cache.1).collect(),
    })
}

/// What each kind of core has for itself, for boxes too small to say it.
pub(super) fn captions(packages: &[Node<'_>]) -> Vec<String> {
    let mut cores = Vec::new();
    packages
        .iter()
        .for_each(|package| gather(package, &mut cores));
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for core in cores {
        let kind = core.kind();
        let space = if kind.is_empty() { "" } else { " " };
        let caches = match &core.caches[..] {
            [] => "no cache known".to_owned(),
            some => some.join(", "),
        };
        let text = format!("each {kind}{space}core: {caches}");
        match kinds.iter_mut().find(|known| known.0 == text) {
            Some(known) => known.1 += 1,
            None => kinds.push((text, 1)),
        }
    }
    let told = kinds.into_iter().take(4);
    told.map(|(text, count)| format!("{text} ({})", many(count, "core")))
        .collect()
}

fn gather<'n, 'a>(node: &'n Node<'a>, into: &mut Vec<&'n Core<'a>>) {
    match node {
        Node::Core(core) => into.push(core),
        Node::Group { children, .. } => children.iter().for_each(|child| gather(child, into)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn shared_caches_hold_their_cores_and_private_ones_are_named_in_the_core() {
        let run = sample::large();
        let packages = packages(&run.machine);
        assert_eq!(packages.len(), 2);
        let Node::Group {
            label, children, ..
        } = &packages[1]
        else {
            panic!("a package is a group")
        };
        assert_eq!(label, "package 1, memory node 1");
        let [
            Node::Group {
                label, children, ..
            },
        ] = &children[..]
        else {
            panic!("one L3 cache")
        };
        assert_eq!(label, "L3 33 MiB, 32 CPUs");
        assert_eq!(children.len(), 16);
        let Node::Core(core) = &children[3] else {
            panic!("a core")
        };
        assert_eq!(core.caches, ["L2 1 MiB", "L1d 32 KiB", "L1i 32 KiB"]);
        assert_eq!(
            core.cpus.iter().map(|cpu| cpu.id).collect::<Vec<_>>(),
            [19, 51]
        );
        assert_eq!(
            captions(&packages),
            ["each core: L2 1 MiB, L1d 32 KiB, L1i 32 KiB (32 cores)"]
        );
    }

    #[test]
    fn a_shared_level_2_cache_becomes_a_box() {
        let mut run = sample::typical();
        run.machine.caches.retain(|cache| cache.level == 1);
        let mut shared = run.machine.caches[0].clone();
        (shared.level, shared.kind, shared.shared_by) = (2, "unified".to_owned(), vec![0, 1]);
        run.machine.caches.push(shared);
        let packages = packages(&run.machine);
        let Node::Group { children, .. } = &packages[0] else {
            panic!("a package is a group")
        };
        let [
            Node::Group {
                label, children, ..
            },
        ] = &children[..]
        else {
            panic!("one L2 cache")
        };
        assert_eq!((label.as_str(), children.len()), ("L2 32 KiB, 2 CPUs", 2));
    }
}
