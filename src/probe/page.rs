//! The machine as a page of text for a terminal: grouped, aligned, every unknown with its reason.

use super::caches::Cache;
use super::entry::{Entry, Section};
use super::features::Group;
use super::source::format_cpu_list;
use super::topology::{CoreKind, Cpu};
use super::{Fact, Machine};
use crate::units::Bytes;
use std::collections::BTreeMap;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns; at least 60 are used.
    pub width: usize,
    /// Use ANSI colours.
    pub colour: bool,
    /// Name each fact's source.
    pub explain: bool,
}

/// Columns before the text of a fact.
const LABEL: usize = 26;
/// More cores than this are listed instead of drawn.
const DRAWN_CORES: usize = 64;

/// Draws the page.
pub fn page(machine: &Machine, style: Style) -> String {
    let mut page = Page {
        style: Style {
            width: style.width.max(60),
            ..style
        },
        text: String::new(),
    };
    let unnamed = "a processor without a name".to_string();
    page.words(
        1,
        vec![(
            machine.processor.brand.value().unwrap_or(&unnamed).clone(),
            Paint::Bold,
        )],
    );
    page.words(1, split(&machine.headline(), Paint::Plain));
    let entries = machine.entries();
    let sections = [
        Section::Processor,
        Section::Topology,
        Section::Caches,
        Section::Instructions,
        Section::Clocks,
        Section::Memory,
        Section::System,
        Section::Counters,
    ];
    for section in sections {
        page.heading(section.title());
        match section {
            Section::Caches => page.caches(machine),
            Section::Instructions => page.features(machine),
            _ => {}
        }
        // The name stands above already.
        let shown = |entry: &&Entry| {
            entry.section == section && (entry.key != "cpu.brand" || style.explain)
        };
        entries
            .iter()
            .filter(shown)
            .for_each(|entry| page.entry(entry));
        if section == Section::Topology {
            page.cores(machine);
        }
    }
    page.text
}

/// How a word is painted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Paint {
    Plain,
    Bold,
    Dim,
    Good,
    Warn,
}

type Word = (String, Paint);

fn split(text: &str, paint: Paint) -> Vec<Word> {
    text.split_whitespace()
        .map(|word| (word.to_string(), paint))
        .collect()
}

/// A word in pieces that fit: only a path is ever longer than a line.
fn pieces(word: &str, room: usize) -> impl Iterator<Item = String> {
    let letters: Vec<char> = word.chars().collect();
    let pieces: Vec<String> = letters
        .chunks(room)
        .map(|piece| piece.iter().collect())
        .collect();
    pieces.into_iter()
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The CPUs of each core, by the core's number.
type Cores<'a> = BTreeMap<u32, Vec<&'a Cpu>>;

struct Page {
    style: Style,
    text: String,
}

impl Page {
    fn paint(&self, text: &str, paint: Paint) -> String {
        let code = match paint {
            Paint::Plain => return text.to_string(),
            _ if !self.style.colour => return text.to_string(),
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Good => "32",
            Paint::Warn => "33",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Words from column `indent` on, broken at the page's width.
    fn words(&mut self, indent: usize, words: Vec<Word>) {
        self.labelled("", indent, words);
    }

    /// A label, then words from column `indent` on, broken at the page's width.
    fn labelled(&mut self, label: &str, indent: usize, words: Vec<Word>) {
        let mut line = format!("{label:indent$}");
        let mut column = indent.max(columns(label));
        let mut fresh = true;
        let room = self.style.width.saturating_sub(indent).max(1);
        for (word, paint) in words
            .iter()
            .flat_map(|(word, paint)| pieces(word, room).map(|piece| (piece, *paint)))
        {
            let size = columns(&word);
            if !fresh && column + 1 + size > self.style.width {
                let done = std::mem::replace(&mut line, " ".repeat(indent));
                self.line(&done);
                (column, fresh) = (indent, true);
            }
            if !fresh {
                line.push(' ');
                column += 1;
            }
            line.push_str(&self.paint(&word, paint));
            column += size;
            fresh = false;
        }
        self.line(&line);
    }

    fn heading(&mut self, title: &str) {
        let rule = "\u{2500}".repeat(self.style.width.saturating_sub(columns(title) + 2));
        let line = format!(
            " {} {}",
            self.paint(title, Paint::Bold),
            self.paint(&rule, Paint::Dim)
        );
        self.line("");
        self.line(&line);
    }

    fn entry(&mut self, entry: &Entry) {
        let mut words = match &entry.reason {
            Some(reason) => {
                let mut words = vec![("unknown:".to_string(), Paint::Warn)];
                words.extend(split(reason, Paint::Dim));
                words
            }
            None => split(&entry.text, Paint::Plain),
        };
        if self.style.explain && !entry.source.is_empty() {
            words.extend(split(&format!("[{}]", entry.source), Paint::Dim));
        }
        self.labelled(&format!("   {}", entry.label), LABEL, words);
    }

    /// One row for each shape of cache.
    fn caches(&mut self, machine: &Machine) {
        let Some(caches) = machine.caches.value() else {
            return;
        };
        let mut shapes: Vec<Vec<&Cache>> = Vec::new();
        for cache in caches {
            let shape = |cache: &Cache| {
                (
                    cache.level,
                    cache.kind,
                    cache.bytes,
                    cache.ways,
                    cache.line_bytes,
                    cache.shared_by.len(),
                )
            };
            match shapes
                .iter_mut()
                .find(|others| shape(others[0]) == shape(cache))
            {
                Some(others) => others.push(cache),
                None => shapes.push(vec![cache]),
            }
        }
        let head = format!(
            "   {:5}{:>10}{:>7}{:>6}{:>8}   {}",
            "", "size", "ways", "line", "count", "CPUs that share one"
        );
        let head = self.paint(&head, Paint::Dim);
        self.line(&head);
        for shape in &shapes {
            let first = shape[0];
            let ways = first
                .ways
                .map_or("full".to_string(), |ways| ways.to_string());
            let size = Bytes(first.bytes as f64).to_string();
            let front = format!(
                "   {:5}{size:>10}{ways:>7}{:>6}{:>8}",
                first.name(),
                first.line_bytes,
                shape.len()
            );
            let sharers: Vec<String> = shape
                .iter()
                .map(|cache| format_cpu_list(&cache.shared_by))
                .collect();
            let sharers = if first.shared_by.len() == 1 {
                "one CPU each".to_string()
            } else {
                sharers.join(" | ")
            };
            let mut words = split(&sharers, Paint::Plain);
            words.extend(split(&format!("({})", first.source), Paint::Dim));
            self.labelled(&format!("{front}   "), 42, words);
            let mut notes: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
            for cache in shape {
                if let Some(note) = &cache.disagreement {
                    notes.entry(note).or_default().extend(&cache.shared_by);
                }
            }
            for (note, mut cpus) in notes {
                cpus.sort_unstable();
                let text = format!(
                    "{} on CPU {} differs: {note}",
                    first.name(),
                    format_cpu_list(&cpus)
                );
                self.words(8, split(&text, Paint::Warn));
            }
        }
    }

    /// Every instruction set with its mark.
    fn features(&mut self, machine: &Machine) {
        for group in Group::ALL {
            let words = machine
                .features
                .list
                .iter()
                .filter(|feature| feature.group == group)
                .map(|feature| {
                    let (mark, paint) = match (feature.cpu, feature.os) {
                        (_, true) => ("\u{25cf}", Paint::Good),
                        (true, false) => ("\u{25cb}", Paint::Warn),
                        (false, false) => ("\u{b7}", Paint::Dim),
                    };
                    (format!("{mark}{} ", feature.title), paint)
                });
            let words = words.collect();
            self.labelled(&format!("   {}", group.title()), 18, words);
        }
        let legend =
            "\u{25cf} usable   \u{25cb} in the CPU, not enabled by the system   \u{b7} absent";
        let legend = format!("{:18}{}", "", self.paint(legend, Paint::Dim));
        self.line(&legend);
    }

    /// The cores, drawn as boxes under the cache that they share.
    fn cores(&mut self, machine: &Machine) {
        let topology = &machine.topology;
        let mut islands: BTreeMap<(u32, Vec<u32>), Cores<'_>> = BTreeMap::new();
        for cpu in &topology.cpus {
            let island = (
                cpu.package,
                last_level(machine, cpu.id).map_or(Vec::new(), |cache| cache.shared_by.clone()),
            );
            islands
                .entry(island)
                .or_default()
                .entry(cpu.core)
                .or_default()
                .push(cpu);
        }
        for ((package, sharers), cores) in islands {
            let cache = sharers.first().and_then(|&cpu| last_level(machine, cpu));
            let first = cores.values().next().map(|cpus| cpus[0]);
            let node = first.map_or(0, |cpu| cpu.node);
            let shared = cache.map_or(String::new(), |cache| {
                format!(", {} {}", cache.name(), Bytes(cache.bytes as f64))
            });
            let title = format!("   package {package}, node {node}{shared}");
            let title = self.paint(&title, Paint::Dim);
            self.line("");
            self.line(&title);
            if topology.cores() > DRAWN_CORES {
                let cpus: Vec<u32> = cores.values().flatten().map(|cpu| cpu.id).collect();
                let text = format!(
                    "{} cores: CPU {}",
                    cores.len(),
                    format_cpu_list(&sorted(cpus))
                );
                self.words(3, split(&text, Paint::Plain));
            } else {
                self.boxes(&cores);
            }
        }
    }

    fn boxes(&mut self, cores: &Cores<'_>) {
        let cells: Vec<(String, String)> =
            cores.iter().map(|(core, cpus)| cell(*core, cpus)).collect();
        let inner = cells
            .iter()
            .map(|(title, content)| columns(title).max(columns(content)))
            .max()
            .unwrap_or(0)
            + 2;
        let per_row = ((self.style.width - 3) / (inner + 3)).max(1);
        for row in cells.chunks(per_row) {
            let rule = |count: usize| "\u{2500}".repeat(count);
            let top = row.iter().map(|(title, _)| {
                format!(
                    "\u{250c} {title} {}\u{2510} ",
                    rule(inner - columns(title) - 2)
                )
            });
            let middle = row.iter().map(|(_, cpus)| {
                format!(
                    "\u{2502} {cpus}{}\u{2502} ",
                    " ".repeat(inner - columns(cpus) - 1)
                )
            });
            let bottom = row
                .iter()
                .map(|_| format!("\u{2514}{}\u{2518} ", rule(inner)));
            for line in [top.collect::<String>(), middle.collect(), bottom.collect()] {
                self.line(&format!("   {line}"));
            }
        }
    }
}

/// Title and content of a core's box; CPUs that this process may not use stand in parentheses.
fn cell(core: u32, cpus: &[&Cpu]) -> (String, String) {
    let title = match cpus[0].kind {
        Some(CoreKind::Performance) => format!("P {core}"),
        Some(CoreKind::Efficiency) => format!("E {core}"),
        None => format!("core {core}"),
    };
    let names = cpus.iter().map(|cpu| {
        if cpu.usable {
            cpu.id.to_string()
        } else {
            format!("({})", cpu.id)
        }
    });
    (title, names.collect::<Vec<_>>().join(" "))
}

/// The cache of the highest level that this CPU sees.
fn last_level(machine: &Machine, cpu: u32) -> Option<&Cache> {
    let Fact::Known { value: caches, .. } = &machine.caches else {
        return None;
    };
    caches
        .iter()
        .filter(|cache| cache.shared_by.contains(&cpu))
        .max_by_key(|cache| cache.level)
}

fn sorted(mut cpus: Vec<u32>) -> Vec<u32> {
    cpus.sort_unstable();
    cpus
}
