//! A machine as one text file: CPUID answers per CPU, XCR0, affinity, counter trials and the small files that the probe read.
//!
//! ```text
//! loopos machine 1
//! # a comment
//! affinity 0-1
//! cpu 0
//! leaf 00000000 0 00000016 756e6547 6c65746e 49656e69     leaf, subleaf, EAX, EBX, ECX, EDX, hexadecimal; zero answers left out
//! xcr0 e7                                                 absent where it cannot be read
//! cpu 1 like 0                                            starts as a copy; its own lines follow, `leaf L S -` removes one
//! trial cycles refused 2                                  or: counted COUNT, idle COUNT (never got onto the CPU)
//! file /proc/meminfo
//! |MemTotal: 24684096 kB
//! refused /proc/secret permission denied
//! folder /sys/devices/system/node node0 node1
//! ```

use super::fact::Fact;
use super::leaves::{Leaves, Registers};
use super::source::{MOST_CPUS, Source, Tree, format_cpu_list, parse_cpu_list};
use super::trial::{Event, Outcome};
use std::collections::BTreeMap;
use std::fmt::Write;

/// First line of every recording.
const HEADER: &str = "loopos machine 1";

/// A recording that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error(
    "machine recording, line {line}: {problem}; record the machine again with `loopos probe --record FILE`"
)]
pub struct RecordingError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads a recording.
///
/// # Errors
/// The first line that does not follow the format.
pub fn parse(text: &str) -> Result<Source, RecordingError> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        let outcome = if index == 0 && line.trim_end() != HEADER {
            Err(format!("a recording starts with `{HEADER}`"))
        } else if index == 0 {
            Ok(())
        } else {
            reader.line(line)
        };
        outcome.map_err(|problem| RecordingError {
            line: index + 1,
            problem,
        })?;
    }
    if text.trim().is_empty() {
        return Err(RecordingError {
            line: 1,
            problem: "the file is empty".to_string(),
        });
    }
    let affinity = reader.affinity.map_or_else(
        || Fact::unknown("the recording holds no affinity mask"),
        |cpus| Fact::known(cpus, "sched_getaffinity"),
    );
    Ok(Source::recorded(
        reader.cpus,
        affinity,
        reader.trials,
        reader.tree,
    ))
}

#[derive(Default)]
struct Reader {
    cpus: BTreeMap<u32, Leaves>,
    affinity: Option<Vec<u32>>,
    trials: BTreeMap<Event, Outcome>,
    tree: Tree,
    cpu: Option<u32>,
    file: Option<String>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(content) = line.strip_prefix('|') {
            let path = self.file.as_ref().ok_or("content without a file")?;
            if let Some(Ok(text)) = self.tree.files.get_mut(path) {
                text.push_str(content);
                text.push('\n');
            }
            return Ok(());
        }
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "affinity" => self.affinity = Some(parse_cpu_list(rest).ok_or("not a list of CPUs")?),
            "cpu" => self.begin_cpu(rest)?,
            "leaf" => self.leaf(rest)?,
            "xcr0" if rest == "-" => self.current()?.xcr0 = None,
            "xcr0" => {
                self.current()?.xcr0 =
                    Some(u64::from_str_radix(rest, 16).map_err(|_| "not hexadecimal")?)
            }
            "trial" => self.trial(rest)?,
            "file" => {
                self.tree.files.insert(rest.to_string(), Ok(String::new()));
                self.file = Some(rest.to_string());
            }
            "refused" => {
                let (path, reason) = rest
                    .split_once(' ')
                    .ok_or("a refused file needs a reason")?;
                self.tree
                    .files
                    .insert(path.to_string(), Err(reason.to_string()));
            }
            "folder" => {
                let mut words = rest.split_whitespace().map(str::to_string);
                let path = words.next().ok_or("a folder needs a path")?;
                self.tree.folders.insert(path, words.collect());
            }
            other => {
                return Err(format!(
                    "unknown word `{}`",
                    other.chars().take(40).collect::<String>()
                ));
            }
        }
        Ok(())
    }

    fn current(&mut self) -> Result<&mut Leaves, String> {
        let cpu = self.cpu.ok_or("a leaf without a CPU")?;
        Ok(self.cpus.entry(cpu).or_default())
    }

    fn begin_cpu(&mut self, rest: &str) -> Result<(), String> {
        let number = |text: &str| {
            text.parse::<u32>()
                .ok()
                .filter(|&cpu| cpu < MOST_CPUS)
                .ok_or("not a CPU")
        };
        let (cpu, model) = match rest.split_once(" like ") {
            Some((cpu, model)) => (number(cpu)?, Some(number(model)?)),
            None => (number(rest)?, None),
        };
        let leaves = match model {
            Some(model) => self
                .cpus
                .get(&model)
                .cloned()
                .ok_or("like a CPU that was not recorded before")?,
            None => Leaves::default(),
        };
        self.cpus.insert(cpu, leaves);
        self.cpu = Some(cpu);
        Ok(())
    }

    fn leaf(&mut self, rest: &str) -> Result<(), String> {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let number = |text: &str| {
            u32::from_str_radix(text, 16).map_err(|_| format!("`{text}` is not hexadecimal"))
        };
        match words.as_slice() {
            [leaf, subleaf, "-"] => {
                let key = (number(leaf)?, number(subleaf)?);
                self.current()?.answers.remove(&key);
            }
            [leaf, subleaf, eax, ebx, ecx, edx] => {
                let key = (number(leaf)?, number(subleaf)?);
                let answer = Registers {
                    eax: number(eax)?,
                    ebx: number(ebx)?,
                    ecx: number(ecx)?,
                    edx: number(edx)?,
                };
                self.current()?.answers.insert(key, answer);
            }
            _ => return Err("a leaf needs leaf, subleaf and four registers".to_string()),
        }
        Ok(())
    }

    fn trial(&mut self, rest: &str) -> Result<(), String> {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let &[name, outcome, number] = words.as_slice() else {
            return Err("a trial needs event, outcome and number".to_string());
        };
        let event = Event::ALL
            .into_iter()
            .find(|event| event.name() == name)
            .ok_or("an unknown event")?;
        let outcome = match outcome {
            "refused" => number
                .parse()
                .map(Outcome::Refused)
                .map_err(|_| "not an error number")?,
            "counted" | "idle" => {
                let count = number.parse().map_err(|_| "not a count")?;
                Outcome::Counted {
                    count,
                    running: outcome == "counted",
                }
            }
            _ => return Err("an unknown outcome".to_string()),
        };
        self.trials.insert(event, outcome);
        Ok(())
    }
}

/// Writes what `source` holds and what has been read through it, without what would name this very machine.
pub fn write(source: &Source) -> String {
    let mut text = format!("{HEADER}\n");
    if let Some(cpus) = source.affinity.value() {
        put(&mut text, &format!("affinity {}", format_cpu_list(cpus)));
    }
    let mut model: Option<(u32, &Leaves)> = None;
    for (&cpu, leaves) in &source.cpus {
        write_cpu(&mut text, cpu, leaves, model);
        model = model.or(Some((cpu, leaves)));
    }
    for (event, outcome) in &source.trials {
        let outcome = match outcome {
            Outcome::Counted {
                count,
                running: true,
            } => format!("counted {count}"),
            Outcome::Counted {
                count,
                running: false,
            } => format!("idle {count}"),
            Outcome::Refused(number) => format!("refused {number}"),
        };
        put(&mut text, &format!("trial {} {outcome}", event.name()));
    }
    let tree = super::anonymous::tree(source.tree());
    for (path, content) in &tree.files {
        match content {
            Ok(content) => {
                put(&mut text, &format!("file {path}"));
                content
                    .trim_end()
                    .lines()
                    .for_each(|line| put(&mut text, &format!("|{line}")));
            }
            Err(reason) if reason == "no such file" => {}
            Err(reason) => put(&mut text, &format!("refused {path} {reason}")),
        }
    }
    for (path, names) in tree.folders.iter().filter(|(_, names)| !names.is_empty()) {
        put(&mut text, &format!("folder {path} {}", names.join(" ")));
    }
    text
}

fn put(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// All answers of a CPU, or only how it differs from the first one.
fn write_cpu(text: &mut String, cpu: u32, leaves: &Leaves, model: Option<(u32, &Leaves)>) {
    let empty = Leaves::default();
    let base = match model {
        Some((first, base)) => {
            put(text, &format!("cpu {cpu} like {first}"));
            base
        }
        None => {
            put(text, &format!("cpu {cpu}"));
            &empty
        }
    };
    for (key, answer) in leaves
        .answers
        .iter()
        .filter(|(key, answer)| base.answers.get(key) != Some(answer))
    {
        let Registers { eax, ebx, ecx, edx } = answer;
        let _ = writeln!(
            text,
            "leaf {:08x} {:x} {eax:08x} {ebx:08x} {ecx:08x} {edx:08x}",
            key.0, key.1
        );
    }
    for key in base
        .answers
        .keys()
        .filter(|key| !leaves.answers.contains_key(key))
    {
        put(text, &format!("leaf {:08x} {:x} -", key.0, key.1));
    }
    if base.xcr0 != leaves.xcr0 {
        put(
            text,
            &leaves
                .xcr0
                .map_or("xcr0 -".to_string(), |xcr0| format!("xcr0 {xcr0:x}")),
        );
    }
}
