//! Control groups, version 1 and 2: where this process hangs in each hierarchy, and the tightest limit on the way to the root.
//!
//! Sources: the kernel's admin guide, `cgroup-v2` and `cgroup-v1/memory`; proc(5) for `/proc/self/cgroup` and `mountinfo`.

use super::fact::Fact;
use super::source::Source;

/// A version 1 limit at or above this means "none": the kernel stores no limit as the largest multiple of the page size.
const UNLIMITED: u64 = 1 << 62;

/// What the control groups leave to this process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limits {
    /// CPUs' worth of time, as in 1.5; `None` where no group limits it.
    pub cpus: Fact<Option<f64>>,
    /// Smallest memory limit in bytes; `None` where no group limits it.
    pub memory: Fact<Option<u64>>,
    /// Bytes that may still be taken before the first group's limit is met, its clean file pages counted as free.
    pub room: Fact<Option<u64>>,
}

/// The folders that govern one resource, from the process's own group up to the mount.
#[derive(Clone, Debug, PartialEq)]
struct Chain {
    /// Version 2's file names, or version 1's.
    unified: bool,
    /// Folders, innermost first.
    folders: Vec<String>,
}

/// Reads the limits of the process.
pub(super) fn read(source: &Source) -> Limits {
    let chains = |controller| match chains(source, controller) {
        Ok(chains) if chains.is_empty() => Err(format!(
            "no cgroup hierarchy with the {controller} controller is mounted"
        )),
        other => other,
    };
    Limits {
        cpus: smallest(
            chains("cpu"),
            |unified, folder| quota(source, unified, folder),
            f64::total_cmp,
        ),
        memory: smallest(
            chains("memory"),
            |unified, folder| limit(source, unified, folder),
            u64::cmp,
        ),
        room: smallest(
            chains("memory"),
            |unified, folder| room(source, unified, folder),
            u64::cmp,
        ),
    }
}

/// The smallest limit along all chains, with the folder it was found in.
fn smallest<T: Copy>(
    chains: Result<Vec<Chain>, String>,
    read: impl Fn(bool, &str) -> Option<T>,
    order: impl Fn(&T, &T) -> std::cmp::Ordering,
) -> Fact<Option<T>> {
    let chains = match chains {
        Ok(chains) => chains,
        Err(reason) => return Fact::unknown(reason),
    };
    let mut best: Option<(T, &str)> = None;
    for chain in &chains {
        for folder in &chain.folders {
            if let Some(found) = read(chain.unified, folder)
                && best.is_none_or(|(value, _)| order(&found, &value).is_lt())
            {
                best = Some((found, folder));
            }
        }
    }
    match best {
        Some((value, folder)) => Fact::known(Some(value), folder),
        None => Fact::known(None, chains[0].folders[0].as_str()),
    }
}

/// Version 2: `cpu.max` holds quota (or `max`) and period; version 1 has a file for each and -1 for none.
fn quota(source: &Source, unified: bool, folder: &str) -> Option<f64> {
    let (quota, period) = if unified {
        let text = source.text(&format!("{folder}/cpu.max")).value()?.clone();
        let (quota, period) = text.split_once(' ')?;
        (
            quota.parse::<f64>().ok()?,
            period.trim().parse::<f64>().ok()?,
        )
    } else {
        let read = |name: &str| {
            source
                .text(&format!("{folder}/{name}"))
                .value()?
                .parse::<f64>()
                .ok()
        };
        (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?)
    };
    let cpus = quota / period;
    (cpus.is_finite() && cpus > 0.0).then_some(cpus)
}

/// Version 2: the lower of `memory.max` and `memory.high`, above which the kernel throttles; version 1: `memory.limit_in_bytes`.
fn limit(source: &Source, unified: bool, folder: &str) -> Option<u64> {
    let names: &[&str] = if unified {
        &["memory.max", "memory.high"]
    } else {
        &["memory.limit_in_bytes"]
    };
    let read = |name: &&str| source.number(&format!("{folder}/{name}")).value().copied();
    names
        .iter()
        .filter_map(read)
        .filter(|&bytes| bytes < UNLIMITED)
        .min()
}

/// Limit less usage, with the inactive file pages that the kernel drops first given back.
fn room(source: &Source, unified: bool, folder: &str) -> Option<u64> {
    let limit = limit(source, unified, folder)?;
    let (usage, droppable) = if unified {
        ("memory.current", "inactive_file")
    } else {
        ("memory.usage_in_bytes", "total_inactive_file")
    };
    let used = source
        .number(&format!("{folder}/{usage}"))
        .value()
        .copied()
        .unwrap_or(0);
    let statistics = source.text(&format!("{folder}/memory.stat"));
    let dropped = statistics.value().and_then(|text| {
        text.lines().find_map(|line| {
            line.strip_prefix(droppable)?
                .strip_prefix(' ')?
                .trim()
                .parse::<u64>()
                .ok()
        })
    });
    Some(limit.saturating_sub(used.saturating_sub(dropped.unwrap_or(0))))
}

/// The chains that govern `controller`: version 1's if it is mounted, and version 2's.
fn chains(source: &Source, controller: &str) -> Result<Vec<Chain>, String> {
    let known = |fact: Fact<String>| match fact {
        Fact::Known { value, .. } => Ok(value),
        Fact::Unknown { reason } => Err(reason),
    };
    let groups = known(source.text("/proc/self/cgroup"))?;
    let mounts = known(source.text("/proc/self/mountinfo"))?;
    let mut chains = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let unified = controllers.is_empty();
        if !unified && !controllers.split(',').any(|name| name == controller) {
            continue;
        }
        let mount = mounts
            .lines()
            .filter_map(Mount::parse)
            .find(|mount| match unified {
                true => mount.kind == "cgroup2",
                false => {
                    mount.kind == "cgroup"
                        && mount.options.split(',').any(|option| option == controller)
                }
            });
        if let Some(mount) = mount {
            chains.push(Chain {
                unified,
                folders: mount.folders(path),
            });
        }
    }
    Ok(chains)
}

/// One line of `mountinfo`.
#[derive(Debug)]
struct Mount<'a> {
    /// The group that the mount shows as its root.
    root: String,
    /// Where it is mounted.
    point: String,
    kind: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    /// `id parent major:minor root point options [tags] - kind device super-options`.
    fn parse(line: &str) -> Option<Mount<'_>> {
        let (front, back) = line.split_once(" - ")?;
        let mut front = front.split(' ').skip(3);
        let (root, point) = (front.next()?, front.next()?);
        let mut back = back.split(' ');
        let (kind, _device, options) = (back.next()?, back.next()?, back.next()?);
        Some(Mount {
            root: unescape(root),
            point: unescape(point),
            kind,
            options,
        })
    }

    /// The folders from group `path` up to the mount point, innermost first. A namespace shows groups above its root as `..`:
    /// those cannot be seen and are left out.
    fn folders(&self, path: &str) -> Vec<String> {
        let below = match path.strip_prefix(self.root.as_str()) {
            Some(below) if self.root == "/" || below.is_empty() || below.starts_with('/') => below,
            _ => path,
        };
        let parts: Vec<&str> = below
            .split('/')
            .filter(|part| !part.is_empty() && *part != "..")
            .take(64)
            .collect();
        let point = self.point.trim_end_matches('/');
        (0..=parts.len())
            .rev()
            .map(|depth| {
                let inner = parts[..depth].join("/");
                if inner.is_empty() {
                    point.to_string()
                } else {
                    format!("{point}/{inner}")
                }
            })
            .collect()
    }
}

/// Undoes mountinfo's octal escapes of space, tab, newline and backslash.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .into_iter()
    .fold(text.to_string(), |text, (code, letter)| {
        text.replace(code, letter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::recording::parse;

    /// A machine with nothing but the given files; each is `path = content`, `\n` in the content spelled `|`.
    fn limits(files: &[&str]) -> Limits {
        let mut text = String::from("loopos machine 1\n");
        for file in files {
            let (path, content) = file.split_once(" = ").unwrap();
            text.push_str(&format!("file {path}\n"));
            content
                .split('|')
                .for_each(|line| text.push_str(&format!("|{line}\n")));
        }
        read(&parse(&text).unwrap())
    }

    const V2: [&str; 2] = [
        "/proc/self/cgroup = 0::/outer/inner",
        "/proc/self/mountinfo = 25 1 0:22 / / rw - ext4 /dev/x rw|31 25 0:28 / /sys/fs/cgroup rw - cgroup2 none rw",
    ];
    const V1: [&str; 2] = [
        "/proc/self/cgroup = 4:memory:/jail/one|3:cpu,cpuacct:/jail/one|0::/",
        "/proc/self/mountinfo = 30 1 0:1 /jail /cg/cpu rw master:1 - cgroup none rw,cpu,cpuacct|\
         31 1 0:2 / /cg/mem\\040ory rw - cgroup none rw,memory",
    ];

    #[test]
    fn version_2_takes_the_tightest_of_nested_groups() {
        let mut files = V2.to_vec();
        files.push("/sys/fs/cgroup/outer/cpu.max = 150000 100000");
        files.push("/sys/fs/cgroup/outer/inner/cpu.max = max 100000");
        files.push("/sys/fs/cgroup/outer/inner/memory.max = 1000000");
        files.push("/sys/fs/cgroup/outer/memory.max = 900000");
        files.push("/sys/fs/cgroup/outer/memory.high = max");
        files.push("/sys/fs/cgroup/outer/memory.current = 500000");
        files.push("/sys/fs/cgroup/outer/memory.stat = anon 1|inactive_file 100000|active_file 7");
        files.push("/sys/fs/cgroup/outer/inner/memory.current = 950000");
        let limits = limits(&files);
        assert_eq!(limits.cpus, Fact::known(Some(1.5), "/sys/fs/cgroup/outer"));
        assert_eq!(
            limits.memory,
            Fact::known(Some(900_000), "/sys/fs/cgroup/outer")
        );
        assert_eq!(
            limits.room,
            Fact::known(Some(50_000), "/sys/fs/cgroup/outer/inner"),
            "the inner group is nearly full"
        );
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each_controller() {
        let mut files = V1.to_vec();
        files.push("/cg/cpu/one/cpu.cfs_quota_us = 50000");
        files.push("/cg/cpu/one/cpu.cfs_period_us = 100000");
        files.push("/cg/cpu/cpu.cfs_quota_us = -1");
        files.push("/cg/cpu/cpu.cfs_period_us = 100000");
        files.push("/cg/mem ory/jail/one/memory.limit_in_bytes = 9223372036854771712");
        files.push("/cg/mem ory/jail/memory.limit_in_bytes = 536870912");
        files.push("/cg/mem ory/jail/memory.usage_in_bytes = 36870912");
        let limits = limits(&files);
        assert_eq!(limits.cpus, Fact::known(Some(0.5), "/cg/cpu/one"));
        assert_eq!(
            limits.memory,
            Fact::known(Some(536_870_912), "/cg/mem ory/jail")
        );
        assert_eq!(limits.room.value(), Some(&Some(500_000_000)));
    }

    #[test]
    fn no_limit_is_known_and_no_cgroup_is_a_reason() {
        let free = limits(&V2);
        assert_eq!(free.cpus, Fact::known(None, "/sys/fs/cgroup/outer/inner"));
        assert_eq!(free.memory.value(), Some(&None));
        let none = limits(&["/proc/self/mountinfo = x"]);
        assert_eq!(none.cpus.reason(), Some("/proc/self/cgroup: no such file"));
        let unmounted = limits(&["/proc/self/mountinfo = x", "/proc/self/cgroup = 0::/"]);
        assert_eq!(
            unmounted.memory.reason(),
            Some("no cgroup hierarchy with the memory controller is mounted")
        );
    }

    #[test]
    fn garbage_is_no_limit() {
        for text in [
            "",
            "max",
            "1",
            "a b",
            "-5 100000",
            "5 0",
            "0 0",
            "nan 1",
            "inf 1",
            "1e999 1",
        ] {
            let file = format!("/sys/fs/cgroup/cpu.max = {text}");
            let mut files = V2.to_vec();
            files.push(&file);
            assert_eq!(limits(&files).cpus.value(), Some(&None), "{text}");
        }
    }

    #[test]
    fn a_namespaced_path_stays_below_the_mount() {
        let mount =
            Mount::parse("1 2 0:1 /docker/abc /sys/fs/cgroup rw - cgroup2 none rw").unwrap();
        assert_eq!(
            mount.folders("/docker/abc/x"),
            ["/sys/fs/cgroup/x", "/sys/fs/cgroup"]
        );
        assert_eq!(
            mount.folders("/docker/abcdef"),
            [
                "/sys/fs/cgroup/docker/abcdef",
                "/sys/fs/cgroup/docker",
                "/sys/fs/cgroup"
            ]
        );
        assert_eq!(
            mount.folders("/../../other"),
            ["/sys/fs/cgroup/other", "/sys/fs/cgroup"]
        );
    }
}
