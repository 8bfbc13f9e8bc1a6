//! What each node of memory is to each node of CPUs: bandwidth and latency, where there is more than one.
//!
//! Memory lies on the node of the thread that touches it first, which is the system's default; whether automatic balancing moves it
//! later is up to the system, hence short measurements right behind the first touch.

use crate::kernels::{Isa, vec};
use crate::parallel::Pool;
use crate::stats::bootstrap::median_interval;
use crate::suites::ceilings::latency::{Chain, LINE_BYTES, Pages};
use crate::suites::ceilings::windows::{together, total_rate};
use crate::suites::quantity::{GBPS, NANOSECONDS};
use crate::suites::{Context, SuiteError};
use crate::tensor::Region;
use crate::units::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Memory that is gone through: more than any cache holds, as far as there is so much.
const BYTES: u64 = 256 << 20;

/// Windows, and loads of one.
const WINDOWS: usize = 4;
const STEPS: usize = 20_000;

/// CPUs by node.
type Nodes = BTreeMap<u32, Vec<usize>>;

pub(super) fn matrix(context: &mut Context) -> Result<(), SuiteError> {
    let mut nodes = Nodes::new();
    for cpu in &context.machine.topology.cpus {
        if context.cpus(usize::MAX).contains(&(cpu.id as usize)) {
            nodes.entry(cpu.node).or_default().push(cpu.id as usize);
        }
    }
    if nodes.len() < 2 {
        let text =
            "Memory: the usable CPUs belong to one node, so that there is no matrix of nodes.";
        context.recorder.note("machine", text);
        return Ok(());
    }
    let free = context.machine.usable_memory_bytes().unwrap_or(BYTES);
    measure(context, &nodes, BYTES.min(free / 8))
}

fn measure(context: &mut Context, nodes: &Nodes, bytes: u64) -> Result<(), SuiteError> {
    let values = (bytes / 64 * 16) as usize;
    for (home, owners) in nodes {
        let owner = Pool::new(&owners[..1])?;
        let (mut region, mut chain) = (
            Pages::Large.region(values)?,
            Chain::new(bytes, Pages::Large)?,
        );
        owner.install(|| {
            region.fill(1.5);
            chain.lay(bytes, LINE_BYTES);
        });
        for (node, cpus) in nodes {
            if context.stopped() {
                return Ok(());
            }
            context.say(&format!("memory: node {node} reads from node {home}"));
            let pool = Pool::new(cpus)?;
            bandwidth(context, &pool, &region, (*node, *home));
            latency(context, &pool, &mut chain, (*node, *home));
        }
    }
    Ok(())
}

fn bandwidth(context: &mut Context, pool: &Pool, region: &Region, (node, home): (u32, u32)) {
    let threads = pool.cpus().len();
    let part = region.len() / threads / 16 * 16;
    let isa = Isa::best();
    let read = |thread: usize| vec::stream_read(isa, &region[thread * part..][..part], 1);
    let count = context.experiment.effort.samples(WINDOWS);
    let windows = together(pool, context.clock, count, &read, &|_| 0.0);
    let Some(rate) = total_rate(context.clock, &windows, (4 * part) as f64) else {
        return;
    };
    let how = format!(
        "{threads} threads of node {node} read {} that a thread of node {home} touched first",
        Bytes((4 * region.len()) as f64)
    );
    let subject = format!("memory.numa.n{node}.n{home}");
    let gbps = rate.map(|rate| rate / 1e9);
    context.recorder.measured(&subject, GBPS, gbps, how);
}

fn latency(context: &mut Context, pool: &Pool, chain: &mut Chain, (node, home): (u32, u32)) {
    let (clock, count) = (context.clock, context.experiment.effort.samples(WINDOWS));
    let chain = Mutex::new(chain);
    let samples: Vec<f64> = pool.install(|| {
        let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
        (0..count)
            .map(|_| chain.window(clock, STEPS) * 1e9)
            .collect()
    });
    let Some(interval) = median_interval(&samples, 33) else {
        return;
    };
    let how = format!(
        "dependent loads of a thread of node {node} in memory that a thread of node {home} touched first"
    );
    let subject = format!("memory.numa.n{node}.n{home}");
    context
        .recorder
        .measured(&subject, NANOSECONDS, interval, how);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::clock::Clock;
    use crate::probe::Machine;
    use crate::suites::testing::Quiet;
    use crate::suites::{Effort, Experiment};

    #[test]
    fn every_pair_of_nodes_gets_both_numbers() {
        let (machine, clock, host) = (Machine::detect(), Clock::best(), Quiet::default());
        let experiment = Experiment {
            effort: Effort::Quick,
            threads: vec![1],
            isas: vec![Isa::best()],
            counters: false,
            cases: Vec::new(),
            lessons: Vec::new(),
            seconds: None,
        };
        let mut context = Context::new(&machine, &experiment, &clock, &host);
        let cpu = context.cpus(1)[0];
        let invented = Nodes::from([(0, vec![cpu]), (2, vec![cpu, cpu])]);
        measure(&mut context, &invented, 1 << 16).unwrap();
        for (node, home) in [(0, 0), (0, 2), (2, 0), (2, 2)] {
            for quantity in ["gbps", "nanoseconds"] {
                let name = format!("memory.numa.n{node}.n{home}.{quantity}");
                assert!(
                    context
                        .recorder
                        .value(&name)
                        .is_some_and(|value| value > 0.0),
                    "{name}"
                );
            }
        }
    }
}
