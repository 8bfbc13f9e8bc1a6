//! What a recording must not carry: names of control groups (they hold container and user ids), host-specific kernel names,
//! and the lines of `/proc` files that the probe does not need.

use super::memory_devices;
use super::source::Tree;
use std::collections::BTreeMap;

/// Files of which only the lines that start with one of these words are kept.
const KEPT_LINES: [(&str, &[&str]); 4] = [
    ("/proc/cpuinfo", &["processor", "microcode", "cpu MHz"]),
    (
        "/proc/meminfo",
        &["MemTotal", "MemFree", "MemAvailable", "SwapTotal"],
    ),
    ("/proc/self/limits", &["Max address space"]),
    ("/proc/self/status", &["VmSize", "Seccomp:", "CapEff:"]),
];

/// The same tree without what identifies the machine or its user.
pub(super) fn tree(mut tree: Tree) -> Tree {
    for (path, words) in KEPT_LINES {
        edit(&mut tree, path, |line| {
            words
                .iter()
                .any(|word| line.starts_with(word))
                .then(|| line.to_string())
        });
    }
    edit(&mut tree, memory_devices::UDEV, |line| {
        let (key, _) = line.strip_prefix("E:MEMORY_DEVICE_")?.split_once('=')?;
        let kept = memory_devices::KEPT.iter().any(|word| key.ends_with(word));
        kept.then(|| line.to_string())
    });
    // "6.18.44-customer-7" tells the customer; the numbers are enough.
    edit(&mut tree, "/proc/sys/kernel/osrelease", |line| {
        let end = line
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(line.len());
        Some(line[..end].to_string())
    });
    let mut names = Names::default();
    edit(&mut tree, "/proc/self/cgroup", |line| {
        let (front, path) = line.rsplit_once(':')?;
        Some(format!("{front}:{}", names.path(path)))
    });
    let mut points = Vec::new();
    edit(&mut tree, "/proc/self/mountinfo", |line| {
        let is_cgroup = line
            .split_once(" - ")
            .is_some_and(|(_, back)| back.starts_with("cgroup"));
        let mut fields: Vec<String> = line.split(' ').map(str::to_string).collect();
        if !is_cgroup || fields.len() < 5 {
            return None;
        }
        fields[3] = names.path(&fields[3]);
        points.push(fields[4].clone());
        Some(fields.join(" "))
    });
    tree.files = tree
        .files
        .into_iter()
        .map(|(path, content)| (names.file(&points, &path), content))
        .collect();
    tree
}

/// Rewrites a file line by line; a line that becomes `None` is dropped.
fn edit(tree: &mut Tree, path: &str, change: impl FnMut(&str) -> Option<String>) {
    if let Some(Ok(text)) = tree.files.get_mut(path) {
        *text = text
            .lines()
            .filter_map(change)
            .collect::<Vec<_>>()
            .join("\n");
    }
}

/// Control groups by number, in the order of their first appearance.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn part(&mut self, part: &str) -> String {
        if part.is_empty() || part == ".." {
            return part.to_string();
        }
        let next = format!("group-{}", self.0.len() + 1);
        self.0.entry(part.to_string()).or_insert(next).clone()
    }

    fn path(&mut self, path: &str) -> String {
        path.split('/')
            .map(|part| self.part(part))
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Renames the groups in the path of a file below one of the mount points.
    fn file(&mut self, points: &[String], path: &str) -> String {
        let below = |point: &String| {
            path.strip_prefix(point.as_str())
                .filter(|rest| rest.starts_with('/'))
        };
        let Some((point, rest)) = points
            .iter()
            .filter_map(|point| Some((point, below(point)?)))
            .max_by_key(|(point, _)| point.len())
        else {
            return path.to_string();
        };
        match rest.rsplit_once('/') {
            Some((groups, name)) => format!("{point}{}/{name}", self.path(groups)),
            None => path.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_lose_their_names_everywhere_alike() {
        let mut before = Tree::default();
        let mut put =
            |path: &str, text: &str| before.files.insert(path.to_string(), Ok(text.to_string()));
        put("/proc/self/cgroup", "4:memory:/alice/job-77\n0::/");
        put(
            "/proc/self/mountinfo",
            "9 1 8:1 / /home/alice rw - ext4 x rw\n31 1 0:2 /alice /cg rw - cgroup none rw,memory",
        );
        put("/cg/job-77/memory.limit_in_bytes", "5");
        put("/proc/sys/kernel/osrelease", "6.1.2-alice");
        put(
            "/proc/cpuinfo",
            "processor : 0\nmodel name : x\nmicrocode : 0x1",
        );
        let after = tree(before);
        let text = format!("{after:?}");
        assert!(
            !text.contains("alice") && !text.contains("job-77"),
            "{text}"
        );
        assert_eq!(
            after.files["/proc/self/cgroup"],
            Ok("4:memory:/group-1/group-2\n0::/".to_string())
        );
        assert_eq!(
            after.files["/cg/group-2/memory.limit_in_bytes"],
            Ok("5".to_string())
        );
        assert_eq!(
            after.files["/proc/sys/kernel/osrelease"],
            Ok("6.1.2".to_string())
        );
        assert_eq!(
            after.files["/proc/cpuinfo"],
            Ok("processor : 0\nmicrocode : 0x1".to_string())
        );
    }
}
