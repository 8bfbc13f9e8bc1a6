//! The file that cachegrind writes, summed up by kernel.
//!
//! It counts by function and source line. What the compiler put into a function keeps the source file that it came from, while the
//! function is the one that was compiled: a function belongs to the kernel whose files made most of its accesses, with all that
//! it inlined of the vocabulary of instructions.

use std::collections::BTreeMap;

/// Where the kernels' sources are.
const KERNELS: &str = "src/kernels/";

/// Their files that stand for no kernel: instructions, threads, bounds.
const SHARED: [&str; 5] = ["isa", "team", "bounds", "mod", "cost"];

/// Counts by kernel.
pub(super) type Kernels<const N: usize> = BTreeMap<String, [f64; N]>;

/// What one run counted: accesses, misses of the first level, misses of the last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Counts {
    pub(super) whole: [f64; 3],
    pub(super) kernels: Kernels<3>,
}

impl Counts {
    /// What this run counted beyond `fewer`.
    pub(super) fn less(self, fewer: &Counts) -> Counts {
        let difference = |more: [f64; 3], fewer: [f64; 3]| {
            let mut rest = more;
            rest.iter_mut()
                .zip(fewer)
                .for_each(|(rest, fewer)| *rest = (*rest - fewer).max(0.0));
            rest
        };
        let kernel = |(name, counts): (String, [f64; 3])| {
            let before = fewer.kernels.get(&name).copied().unwrap_or_default();
            (name, difference(counts, before))
        };
        Counts {
            whole: difference(self.whole, fewer.whole),
            kernels: self.kernels.into_iter().map(kernel).collect(),
        }
    }
}

/// Reads the file: its lines `events:` and `summary:`, and the lines of each function.
pub(super) fn parse(text: &str) -> Option<Counts> {
    let events: Vec<&str> = text
        .lines()
        .find_map(|line| line.strip_prefix("events:"))?
        .split_ascii_whitespace()
        .collect();
    let summary = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("summary:"))?;
    let columns = Columns::of(&events)?;
    let whole = columns.counts(summary)?;
    let (mut kernels, mut function, mut kernel) = (Kernels::new(), Function::default(), None);
    for line in text.lines() {
        if let Some(file) = line.strip_prefix("fl=") {
            kernel = kernel_of(file);
        } else if line.starts_with("fn=") {
            // The same function comes again for each file that it has lines of, one after the other.
            if function.name != line {
                std::mem::take(&mut function).add_to(&mut kernels);
                line.clone_into(&mut function.name);
            }
        } else if let Some((number, values)) = line.split_once(' ')
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            function.add(kernel.as_deref(), columns.counts(values)?);
        }
    }
    function.add_to(&mut kernels);
    Some(Counts { whole, kernels })
}

/// The kernel that a source file is of.
fn kernel_of(file: &str) -> Option<String> {
    let (_, inside) = file.rsplit_once(KERNELS)?;
    let mut parts = inside.trim_end_matches(".rs").split('/');
    let first = parts.next().filter(|first| !SHARED.contains(first))?;
    let name = match first {
        "vec" => parts.next()?,
        room => room,
    };
    Some(name.to_owned()).filter(|name| !SHARED.contains(&name.as_str()))
}

/// Where the counts stand in a line.
struct Columns([[usize; 2]; 3]);

impl Columns {
    fn of(events: &[&str]) -> Option<Self> {
        let of = |names: [&str; 2]| {
            let place = |name: &str| events.iter().position(|event| *event == name);
            Some([place(names[0])?, place(names[1])?])
        };
        Some(Self([
            of(["Dr", "Dw"])?,
            of(["D1mr", "D1mw"])?,
            of(["DLmr", "DLmw"])?,
        ]))
    }

    /// Reads and writes together. Zeros at the end of a line may be left out.
    fn counts(&self, line: &str) -> Option<[f64; 3]> {
        let values = line.split_ascii_whitespace().map(str::parse);
        let values: Vec<f64> = values.collect::<Result<_, _>>().ok()?;
        let value = |place: usize| values.get(place).copied().unwrap_or(0.0);
        Some(self.0.map(|[reads, writes]| value(reads) + value(writes)))
    }
}

/// A function on the way to its kernel.
#[derive(Default)]
struct Function {
    name: String,
    counts: [f64; 3],
    /// Accesses from the files of each kernel.
    files: BTreeMap<String, f64>,
}

impl Function {
    fn add(&mut self, kernel: Option<&str>, counts: [f64; 3]) {
        let sums = self.counts.iter_mut().zip(counts);
        sums.for_each(|(sum, count)| *sum += count);
        if let Some(kernel) = kernel {
            *self.files.entry(kernel.to_owned()).or_default() += counts[0];
        }
    }

    fn add_to(self, kernels: &mut Kernels<3>) {
        let most = self
            .files
            .into_iter()
            .max_by(|one, other| one.1.total_cmp(&other.1));
        let name = most.map_or_else(|| "outside_of_kernels".to_owned(), |(kernel, _)| kernel);
        let sums = kernels.entry(name).or_default().iter_mut();
        sums.zip(self.counts).for_each(|(sum, count)| *sum += count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str =
        "desc: D1 cache\ncmd: loopos\nevents: Ir I1mr ILmr Dr D1mr DLmr Dw D1mw DLmw\n";

    #[test]
    fn the_summary_is_read_by_its_names() {
        let text = format!("{EVENTS}summary: 900 1 2 300 30 3 100 10 1\n");
        assert_eq!(parse(&text).unwrap().whole, [400.0, 40.0, 4.0]);
        assert_eq!(parse("events: Ir\nsummary: 5\n"), None);
        assert_eq!(parse(""), None);
        assert_eq!(
            parse(&format!("{EVENTS}fl=a\nfn=b\n1 x\nsummary: 1\n")),
            None
        );
    }

    #[test]
    fn a_function_belongs_to_the_kernel_that_it_was_written_for() {
        let text = format!(
            "{EVENTS}\
             fl=/there/src/kernels/vec/gelu.rs\nfn=one\n10 5 0 0 10 2 1\n\
             fl=/rustc/library/core_arch/avx.rs\nfn=one\n7 5 0 0 90 8 0 100 4 2\n\
             fl=/there/src/kernels/gemm/tile.rs\nfn=two\n1 1 0 0 7 1\n\
             fl=/there/src/kernels/vec/gelu.rs\nfn=two\n1 1 0 0 3\n\
             fl=/there/src/kernels/team.rs\nfn=three\n1 1 0 0 5 5 5\n\
             summary: 1 0 0 115 16 6 100 4 2\n"
        );
        let counts = parse(&text).unwrap();
        assert_eq!(counts.kernels["gelu"], [200.0, 14.0, 3.0]);
        assert_eq!(counts.kernels["gemm"], [10.0, 1.0, 0.0]);
        assert_eq!(counts.kernels["outside_of_kernels"][0], 5.0);
        let kernels = counts.kernels.values();
        let sum: f64 = kernels.map(|counts| counts[0]).sum();
        assert_eq!(sum, counts.whole[0]);
        let none = counts.clone().less(&counts);
        assert_eq!(none.kernels["gelu"], [0.0; 3]);
    }

    #[test]
    fn files_of_kernels_are_known_and_shared_ones_are_not() {
        let of = |file: &str| kernel_of(&format!("/x/src/kernels/{file}"));
        assert_eq!(of("attention/forward.rs").as_deref(), Some("attention"));
        assert_eq!(of("vec/layernorm.rs").as_deref(), Some("layernorm"));
        assert_eq!(of("isa/avx2.rs"), None);
        assert_eq!(of("team.rs"), None);
        assert_eq!(kernel_of("/x/src/model/ops/head.rs"), None);
    }
}
