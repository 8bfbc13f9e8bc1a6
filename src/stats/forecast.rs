//! How long a step takes on more hosts than there are: what one host computes, what the network adds, and what of it computing hides.
//!
//! `step(N) = compute + moving(N) + exposed(N) + told(N)`. Backward completes gradients bucket by bucket; a bucket is added up over all ranks once
//! it is complete and the one before it is done. What is still on its way when backward ends is exposed, and so is the part that could be
//! hidden and is not, because the same processors move bytes and compute: `1 - overlap` of it. What is hidden is not free either: `moving`
//! is what computing loses to copies of gradients and to the CPU that sends and adds, by the byte sent. `told` are a few messages of some
//! bytes.
//! The schedule of buckets is that of S. Li et al., "PyTorch Distributed", VLDB 13 (2020), section 3.2.3.

use super::fits::AllReduce;

/// A part of the gradients that travels by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Its bytes.
    pub bytes: f64,
    /// Seconds of backward that are left when it is complete.
    pub left: f64,
}

/// What a host does in a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Seconds of computing.
    pub compute: f64,
    /// In the order in which backward completes them.
    pub buckets: Vec<Bucket>,
    /// Of the communication that computing could hide, the part that it does: 0 to 1.
    pub overlap: f64,
    /// Seconds of computing that each byte takes that is sent.
    pub moving: f64,
    /// Messages of a few bytes from everybody to everybody.
    pub told: f64,
}

/// A step on several hosts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Seconds of all of it.
    pub seconds: f64,
    /// Of them, what computing loses to what moves bytes.
    pub moving: f64,
    /// Seconds of communication, hidden or not.
    pub communication: f64,
    /// Of it, what the step waits for.
    pub exposed: f64,
}

impl Work {
    /// A step of so many ranks over this network.
    pub fn step(&self, ranks: usize, network: &AllReduce) -> Step {
        let cost = |bucket: &Bucket| network.seconds(ranks, bucket.bytes);
        let summing: f64 = self.buckets.iter().map(cost).sum();
        let told = self.told * network.seconds_to_tell(ranks);
        let least = self.least_exposed(ranks, network);
        let exposed = summing - self.overlap.clamp(0.0, 1.0) * (summing - least) + told;
        let moving = self.moving * self.moved(ranks);
        Step {
            seconds: self.compute + moving + exposed,
            moving,
            communication: summing + told,
            exposed,
        }
    }

    /// Bytes that a rank sends in a step among so many.
    pub fn moved(&self, ranks: usize) -> f64 {
        let moved = |bucket: &Bucket| AllReduce::moved(ranks, bucket.bytes);
        self.buckets.iter().map(moved).sum()
    }

    /// Seconds that sums need after backward where moving bytes takes nothing from computing.
    fn least_exposed(&self, ranks: usize, network: &AllReduce) -> f64 {
        // Time runs from the end of backward, so that what is before is negative.
        let end = self.buckets.iter().fold(f64::NEG_INFINITY, |free, bucket| {
            free.max(-bucket.left) + network.seconds(ranks, bucket.bytes)
        });
        end.max(0.0)
    }

    /// The overlap by which this law has a step wait for sums as long as one did that was measured, as far as it can. `None` where nothing
    /// could have been hidden.
    pub fn overlap_of(&self, ranks: usize, network: &AllReduce, waiting: f64) -> Option<f64> {
        let cost = |bucket: &Bucket| network.seconds(ranks, bucket.bytes);
        let predicted: f64 = self.buckets.iter().map(cost).sum();
        let could = predicted - self.least_exposed(ranks, network);
        let did = predicted - waiting;
        (could > 1e-9 * predicted && did.is_finite()).then(|| (did / could).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: AllReduce = AllReduce {
        latency: 0.0,
        per_byte: 1e-9,
    };

    /// Two buckets of a second each between two ranks, the first a second and a half before the end of backward.
    fn work(overlap: f64) -> Work {
        let bucket = |left| Bucket { bytes: 1e9, left };
        Work {
            compute: 10.0,
            buckets: vec![bucket(1.5), bucket(0.0)],
            overlap,
            moving: 0.0,
            told: 3.0,
        }
    }

    #[test]
    fn what_backward_hides_is_not_waited_for() {
        let step = work(1.0).step(2, &NETWORK);
        assert_eq!(
            (step.seconds, step.communication, step.exposed),
            (11.0, 2.0, 1.0)
        );
        // Nothing hidden: all of it is waited for.
        assert_eq!(work(0.0).step(2, &NETWORK).exposed, 2.0);
        assert_eq!(work(0.5).step(2, &NETWORK).exposed, 1.5);
        assert_eq!(work(1.0).step(1, &NETWORK).seconds, 10.0);
    }

    #[test]
    fn bytes_take_from_computing_by_how_many_are_sent() {
        let moving = |ranks| {
            Work {
                moving: 1e-10,
                ..work(1.0)
            }
            .step(ranks, &NETWORK)
        };
        // Two buckets of 1 GB: each rank sends as much as they hold, and half as much again among four.
        assert!((moving(2).moving - 0.2).abs() < 1e-12);
        assert!((moving(2).seconds - 11.2).abs() < 1e-12);
        assert!((moving(4).moving - 0.3).abs() < 1e-12);
        assert_eq!(moving(1).moving, 0.0);
    }

    #[test]
    fn a_bucket_waits_for_the_one_before() {
        let slow = AllReduce {
            per_byte: 2e-9,
            ..NETWORK
        };
        // The first takes two seconds and ends half a second late; then the second.
        assert_eq!(work(1.0).step(2, &slow).exposed, 2.5);
    }

    #[test]
    fn messages_of_a_few_bytes_grow_with_the_ranks() {
        let network = AllReduce {
            latency: 1e-3,
            per_byte: 0.0,
        };
        let alone = Work {
            buckets: Vec::new(),
            ..work(1.0)
        };
        assert_eq!(alone.step(1, &network).exposed, 0.0);
        let step = alone.step(5, &network);
        assert!((step.exposed - 3.0 * 4e-3).abs() < 1e-15, "{step:?}");
    }

    #[test]
    fn the_overlap_of_a_measured_step_comes_back() {
        for overlap in [0.0, 0.3, 1.0] {
            let work = work(overlap);
            let exposed = work.step(2, &NETWORK).exposed;
            let found = work.overlap_of(2, &NETWORK, exposed).unwrap();
            assert!((found - overlap).abs() < 1e-12);
        }
        // Longer than all sums, and shorter than what cannot be hidden.
        assert_eq!(work(1.0).overlap_of(2, &NETWORK, 9.0), Some(0.0));
        assert_eq!(work(1.0).overlap_of(2, &NETWORK, 0.5), Some(1.0));
        let late = Work {
            buckets: vec![Bucket {
                bytes: 1e9,
                left: 0.0,
            }],
            ..work(1.0)
        };
        assert_eq!(late.overlap_of(2, &NETWORK, 1.0), None);
    }
}
