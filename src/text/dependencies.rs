//! The default corpus: the source text of this program's own dependencies, which cargo has unpacked on any machine that built it.
//!
//! What is taken depends on Cargo.lock only, not on what else cargo has downloaded: the crates that a Linux build of the program
//! needs, without those of the tests; the same share of bytes of each; files in the order of their names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::files;

const LOCK: &str = include_str!("../../Cargo.lock");
const MANIFEST: &str = include_str!("../../Cargo.toml");

/// Longer files are mostly generated tables.
const LONGEST_FILE: usize = 64 << 10;

/// Beginnings of the names of crates that only other systems build: whether they are unpacked here is chance.
const ELSEWHERE: [&str; 15] = [
    "anstyle-wincon",
    "encode_unicode",
    "js-sys",
    "ntapi",
    "objc2",
    "once_cell_polyfill",
    "r-efi",
    "wasi",
    "wasm-",
    "web-",
    "winapi",
    "windows",
    "wit-",
    "futures-",
    "zerocopy-derive",
];

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) documents: Vec<String>,
    pub(super) crates: usize,
    pub(super) missing: usize,
}

/// Reads at most `limit` bytes from below cargo's home.
pub(super) fn read(cargo_home: &Path, limit: usize) -> Found {
    let registries = folders(&cargo_home.join("registry").join("src"));
    let mut found = Found::default();
    let mut crates = Vec::new();
    for name in needed(LOCK, MANIFEST) {
        match registries
            .iter()
            .map(|registry| registry.join(&name))
            .find(|path| path.is_dir())
        {
            Some(path) => crates.push(sources(&path)),
            None => found.missing += 1,
        }
    }
    let sizes: Vec<usize> = crates
        .iter()
        .map(|files| files.iter().map(|file| file.1).sum())
        .collect();
    let share = share(&sizes, limit);
    for files in crates {
        let mut left = share;
        let before = found.documents.len();
        for (path, size) in files {
            if size > left {
                continue;
            }
            let text = fs::read(path).ok().and_then(files::text);
            if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
                left -= size;
                found.documents.push(text);
            }
        }
        found.crates += usize::from(found.documents.len() > before);
    }
    found
}

/// `name-version` of the crates that the program needs, in order.
fn needed(lock: &str, manifest: &str) -> BTreeSet<String> {
    let packages: Vec<Package<'_>> = lock
        .split("[[package]]")
        .skip(1)
        .filter_map(Package::parse)
        .collect();
    let direct: BTreeSet<&str> = section(manifest, "[dependencies]")
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .collect();
    let mut needed = BTreeSet::new();
    let mut open: Vec<&str> = packages
        .iter()
        .filter(|package| !package.from_registry)
        .flat_map(|package| package.dependencies.iter().copied())
        .filter(|dependency| direct.contains(dependency.split(' ').next().unwrap_or_default()))
        .collect();
    while let Some(dependency) = open.pop() {
        // A version follows the name where the lock holds several.
        let (name, version) = dependency
            .split_once(' ')
            .map_or((dependency, None), |(name, version)| (name, Some(version)));
        let wanted = |package: &&Package<'_>| {
            package.name == name && version.is_none_or(|version| package.version == version)
        };
        let Some(package) = packages.iter().find(wanted) else {
            continue;
        };
        let elsewhere = ELSEWHERE
            .iter()
            .any(|prefix| package.name.starts_with(prefix));
        if package.from_registry
            && !elsewhere
            && needed.insert(format!("{}-{}", package.name, package.version))
        {
            open.extend(&package.dependencies);
        }
    }
    needed
}

/// One entry of Cargo.lock.
struct Package<'t> {
    name: &'t str,
    version: &'t str,
    from_registry: bool,
    dependencies: Vec<&'t str>,
}

impl<'t> Package<'t> {
    fn parse(text: &'t str) -> Option<Package<'t>> {
        let value = |key: &str| {
            text.lines().find_map(|line| {
                line.strip_prefix(key)?
                    .strip_prefix(" = \"")?
                    .strip_suffix('"')
            })
        };
        let listed = |line: &'t str| line.strip_prefix(" \"")?.strip_suffix("\",");
        Some(Package {
            name: value("name")?,
            version: value("version")?,
            from_registry: value("source").is_some_and(|source| source.starts_with("registry+")),
            dependencies: text.lines().filter_map(listed).collect(),
        })
    }
}

/// The lines of one table of a manifest.
fn section<'t>(manifest: &'t str, header: &str) -> impl Iterator<Item = &'t str> {
    let after = manifest
        .lines()
        .skip_while(move |line| *line != header)
        .skip(1);
    after.take_while(|line| !line.starts_with('['))
}

/// The most that every crate may give so that all together give no more than `limit`.
fn share(sizes: &[usize], limit: usize) -> usize {
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable();
    let mut left = limit;
    for (index, size) in sorted.iter().enumerate() {
        let even = left / (sorted.len() - index);
        if *size > even {
            return even;
        }
        left -= size;
    }
    limit
}

/// The Rust files of a crate with their sizes.
fn sources(folder: &Path) -> Vec<(PathBuf, usize)> {
    let mut found = Vec::new();
    let mut keep = |path: &Path| {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let size = fs::metadata(path).map_or(usize::MAX, |data| data.len() as usize);
            if size <= LONGEST_FILE {
                found.push((path.to_owned(), size));
            }
        }
    };
    // A folder that cannot be read gives nothing.
    let _ = files::walk(folder, &mut keep);
    found
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_names_what_a_linux_build_needs() {
        let needed = needed(LOCK, MANIFEST);
        let has = |name: &str| {
            needed.iter().any(|entry| {
                entry
                    .rsplit_once('-')
                    .is_some_and(|(crate_name, _)| crate_name == name)
            })
        };
        for name in ["serde", "serde_core", "tokenizers", "rayon-core", "libc"] {
            assert!(has(name), "{name} is not in {needed:?}");
        }
        for name in ["loopos", "windows-sys", "proptest", "criterion", "js-sys"] {
            assert!(!has(name), "{name}");
        }
        assert!(needed.len() > 80, "{}", needed.len());
    }

    #[test]
    fn a_dependency_of_a_test_is_left_out_and_versions_are_told_apart() {
        let manifest =
            "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\n[dev-dependencies]\nd = \"1\"\n";
        let package = |name: &str, version: &str, dependencies: &str| {
            format!(
                "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"registry+here\"\ndependencies = [\n{dependencies}]\n\n"
            )
        };
        let lock = [
            "[[package]]\nname = \"x\"\nversion = \"0.1.0\"\ndependencies = [\n \"a\",\n \"d\",\n]\n\n".to_owned(),
            package("a", "1.0.0", " \"b 2.0.0\",\n \"windows-sys\",\n"),
            package("b", "1.0.0", ""),
            package("b", "2.0.0", " \"a\",\n"),
            package("d", "1.0.0", " \"b 1.0.0\",\n"),
            package("windows-sys", "1.0.0", ""),
        ];
        let names: Vec<String> = needed(&lock.concat(), manifest).into_iter().collect();
        assert_eq!(names, ["a-1.0.0", "b-2.0.0"]);
    }

    #[test]
    fn shares_are_equal_and_fill_the_limit() {
        assert_eq!(share(&[10, 100, 1_000], 210), 100);
        assert_eq!(share(&[10, 100, 1_000], 90), 40);
        assert_eq!(share(&[10, 100], 1_000), 1_000);
        assert_eq!(share(&[], 5), 5);
    }

    #[test]
    fn text_is_read_in_order_and_what_is_absent_is_counted() {
        let home = tempfile::tempdir().unwrap();
        let needed = needed(LOCK, MANIFEST);
        let mut names = needed.iter();
        for name in [names.next().unwrap(), names.next().unwrap()] {
            let folder = home
                .path()
                .join("registry/src/index-1")
                .join(name)
                .join("src");
            fs::create_dir_all(&folder).unwrap();
            for (file, text) in [
                ("b.rs", "fn b() {}"),
                ("a.rs", "fn a() {}"),
                ("c.txt", "no"),
                ("d.rs", " "),
                ("e.rs", "\0"),
            ] {
                fs::write(folder.join(file), text).unwrap();
            }
            fs::write(folder.join("long.rs"), "x".repeat(LONGEST_FILE + 1)).unwrap();
        }
        let found = read(home.path(), 1 << 20);
        assert_eq!(
            found.documents,
            ["fn a() {}", "fn b() {}", "fn a() {}", "fn b() {}"]
        );
        assert_eq!((found.crates, found.missing), (2, needed.len() - 2));
        assert_eq!(read(home.path(), 20).documents, ["fn a() {}", "fn a() {}"]);
        assert_eq!(read(Path::new("/no/such/home"), 20).missing, needed.len());
    }
}
