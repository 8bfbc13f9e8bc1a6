//! How long one load takes, over working sets: a chain of loads through every cache line in random order.

use super::bandwidth::sizes;
use crate::kernels::vec;
use crate::stats::bootstrap::median_interval;
use crate::suites::quantity::NANOSECONDS;
use crate::suites::{Context, Curve, SuiteError};
use crate::tensor::Arena;

/// Loads in one window: half a millisecond to two in memory, 25 us in L1.
const STEPS: usize = 20_000;

/// Loads that bring a working set into its caches.
const MOST_WARMING: usize = 1 << 20;

/// Largest working set.
const LARGEST: u64 = 1 << 30;

/// L3 assumed where the machine does not tell.
const UNKNOWN_L3: u64 = 32 << 20;

pub(super) fn measure(context: &mut Context) -> Result<(), SuiteError> {
    context.say("ceilings: latency over working sets");
    let memory = context.machine.usable_memory_bytes().unwrap_or(LARGEST) / 4;
    let l3 = context.machine.l3_bytes().unwrap_or(UNKNOWN_L3);
    let largest = (4 * l3).min(memory).min(LARGEST);
    let values = (largest / 4) as usize;
    let mut buffer = Arena::new(values.next_multiple_of(16))?.take(values);
    let pool = context.pool(1)?;
    let count = context.experiment.effort.samples(5);
    let mut curve = Curve::over("bytes");
    for bytes in sizes(largest, context.experiment.effort) {
        if context.stopped() {
            break;
        }
        let (clock, part) = (context.clock, &mut buffer[..(bytes / 4) as usize]);
        let samples = pool.install(|| {
            vec::chase_links(part, bytes);
            let mut place = vec::chase(part, 0, (part.len() / 16).min(MOST_WARMING));
            let window = |_| {
                let start = clock.now();
                place = vec::chase(part, place, STEPS);
                clock.since(start) / STEPS as f64 * 1e9
            };
            let samples: Vec<f64> = (0..count).map(window).collect();
            std::hint::black_box(place);
            samples
        });
        if let Some(interval) = median_interval(&samples, bytes) {
            curve.push(bytes as f64, interval);
        }
    }
    record(context, curve);
    Ok(())
}

/// The curve, and each level's latency: that of the largest working set of at most half its size.
fn record(context: &mut Context, curve: Curve) {
    let sizes = [
        ("l1", context.machine.l1d_bytes()),
        ("l2", context.machine.l2_bytes()),
        ("l3", context.machine.l3_bytes()),
    ];
    for (name, size) in sizes {
        let subject = format!("ceiling.latency.{name}.t1");
        let Some(size) = size else {
            context.recorder.missing(
                &subject,
                NANOSECONDS,
                "the machine does not tell the size of the cache",
            );
            continue;
        };
        let place = curve
            .x
            .iter()
            .rposition(|bytes| *bytes <= size as f64 / 2.0);
        if let Some(place) = place {
            let how = "dependent loads through half of the cache in random order, one thread";
            context
                .recorder
                .measured(&subject, NANOSECONDS, curve.intervals[place], how);
        }
    }
    if let Some(last) = curve.intervals.last() {
        let how = "dependent loads through the largest working set in random order, one thread, translation included";
        context
            .recorder
            .measured("ceiling.latency.dram.t1", NANOSECONDS, *last, how);
    }
    let how = "one load that waits for the one before, through every cache line of the working set in random order; median of windows";
    context
        .recorder
        .curve("ceiling.latency.staircase", NANOSECONDS, curve, how);
}
