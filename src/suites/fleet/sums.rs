//! Sums of messages of all sizes, from latency to bandwidth, and the law fitted to them.

use std::time::Instant;

use super::super::quantity::{FIT_ERROR, GBPS, LATENCY_SECONDS, SECONDS};
use super::super::{Context, Curve, Effort};
use super::{Companions, Names};
use crate::stats::bootstrap::median_interval;
use crate::stats::fits::{AllReduce, all_reduce::Timed};

/// Values of the messages: each four times the one before.
fn lengths(effort: Effort) -> impl Iterator<Item = usize> {
    let most = if effort == Effort::Quick { 22 } else { 24 };
    (6..=most).step_by(2).map(|octave| 1 << octave)
}

/// Bytes of the messages that a law is fitted to: those that cost their latency, and those of the size of buckets. Between them libraries
/// change how they send, and what a network holds on the way hides its rate.
const SMALL: f64 = 1024.0;
const LARGE: f64 = (1 << 20) as f64;

/// Sums that are done before one is timed.
const WARM: usize = 2;

/// Times sums of every size, records them, and returns the law that they follow. Every rank learns the same law.
pub(super) fn measure(context: &mut Context, companions: &Companions) -> Option<AllReduce> {
    let fleet = &companions.fleet;
    let (ranks, names) = (
        fleet.size(),
        Names {
            ranks: fleet.size(),
        },
    );
    let samples = context.experiment.effort.samples(7);
    let (mut seconds, mut gbps) = (Curve::over("bytes"), Curve::over("bytes"));
    let mut points = Vec::new();
    for length in lengths(context.experiment.effort) {
        if fleet.any(context.stopped()) {
            break;
        }
        let length = length.next_multiple_of(ranks);
        let bytes = (length * size_of::<f32>()) as f64;
        context.say(&format!("fleet: sums of {bytes} bytes over {ranks} ranks"));
        let slowest = slowest(companions, &times(companions, length, samples));
        let Some(interval) = median_interval(&slowest, 61) else {
            continue;
        };
        points.push(Timed {
            ranks,
            bytes,
            seconds: interval.estimate,
        });
        seconds.push(bytes, interval);
        gbps.push(bytes, interval.map(|seconds| bytes / seconds / 1e9));
    }
    let subject = format!("{}.t1", names.all_reduce());
    let how = format!(
        "a message of f32 added up over {ranks} ranks, {samples} times after {WARM} that do not count; the slowest rank's time"
    );
    points.retain(|point| point.bytes <= SMALL || point.bytes >= LARGE);
    let law = AllReduce::fit(&points);
    let recorder = &mut context.recorder;
    recorder.curve(&subject, SECONDS, seconds, how.clone());
    recorder.curve(
        &subject,
        GBPS,
        gbps,
        format!("bytes of the message over its time: {how}"),
    );
    let subject = format!("{}.t1", names.network());
    match law {
        Some(law) => {
            let how = "fitted to sums of up to 1 KiB and from 1 MiB on: T = 2 (N - 1) a + 2 (N - 1) / N n b";
            recorder.computed(&subject, LATENCY_SECONDS, law.latency, format!("a, {how}"));
            recorder.computed(&subject, GBPS, 1e-9 / law.per_byte, format!("1 / b, {how}"));
            let error = law.error(&points).unwrap_or(f64::NAN);
            let how = "median over the sizes of how far the law is from what was measured";
            recorder.computed(&subject, FIT_ERROR, error, how);
        }
        None => {
            let reason = "too few sums were timed for a law, or long ones took no longer than short ones: others computed meanwhile";
            for quantity in [LATENCY_SECONDS, GBPS, FIT_ERROR] {
                recorder.missing(&subject, quantity, reason);
            }
        }
    }
    law
}

/// Seconds of this rank for each sum.
fn times(companions: &Companions, length: usize, samples: usize) -> Vec<f64> {
    companions.fleet.ask(move |ranks| {
        let mut values = vec![1.0_f32; length];
        let mut time = |_| {
            // All begin together.
            ranks.tell(&[]);
            let begin = Instant::now();
            ranks.sum(&mut values);
            let seconds = begin.elapsed().as_secs_f64();
            values.fill(1.0);
            seconds
        };
        let all: Vec<f64> = (0..WARM + samples).map(&mut time).collect();
        all[WARM..].to_vec()
    })
}

/// Of each time, that of the slowest rank; the same on all ranks.
pub(super) fn slowest(companions: &Companions, own: &[f64]) -> Vec<f64> {
    let all = by_rank(companions, own);
    let of = |index: usize| all.iter().map(move |of_rank| of_rank[index]);
    (0..own.len())
        .map(|index| of(index).fold(0.0, f64::max))
        .collect()
}

/// What each rank has, as many numbers on all.
pub(super) fn by_rank(companions: &Companions, own: &[f64]) -> Vec<Vec<f64>> {
    let bytes = own.iter().flat_map(|value| value.to_le_bytes()).collect();
    let numbers = |bytes: &Vec<u8>| {
        let all = bytes.as_chunks().0.iter();
        all.map(|value| f64::from_le_bytes(*value)).collect()
    };
    companions.fleet.tell(bytes).iter().map(numbers).collect()
}
