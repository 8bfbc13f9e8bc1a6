//! What adding up a message over all ranks costs: `T(N, n) = 2 (N - 1) a + 2 (N - 1) / N n b`, with the latency `a` of a message and the
//! seconds `b` that a byte takes.
//!
//! It is the cost of a sum in two halves: each rank sends every other its block and adds up its own (pairwise exchange), then all
//! collect the blocks (ring). No all-reduce sends fewer bytes. R. Thakur, R. Rabenseifner and W. Gropp, "Optimization of Collective
//! Communication Operations in MPICH", Int. J. High Perform. Comput. Appl. 19 (2005), sections 4.1 and 4.5; a message of `n` bytes costs
//! `a + n b` after R. Hockney, Parallel Computing 20 (1994). The additions themselves, a byte read a byte sent, are part of `b`.

use crate::stats::summary::median;

/// The law with its two constants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AllReduce {
    /// Seconds that a message of no bytes takes.
    pub latency: f64,
    /// Seconds that a byte takes.
    pub per_byte: f64,
}

/// A sum that was timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// Ranks that took part, more than one.
    pub ranks: usize,
    /// Bytes of the message.
    pub bytes: f64,
    /// Seconds of the slowest rank.
    pub seconds: f64,
}

impl AllReduce {
    /// Seconds for a message of so many bytes; none among one rank.
    pub fn seconds(&self, ranks: usize, bytes: f64) -> f64 {
        let (latencies, moved) = terms(ranks, bytes);
        latencies * self.latency + moved * self.per_byte
    }

    /// Bytes that a rank sends, and as many that it receives, to add up a message of so many.
    pub fn moved(ranks: usize, bytes: f64) -> f64 {
        terms(ranks, bytes).1
    }

    /// Seconds in which every rank hears a few bytes of every other: half of a sum of nothing.
    pub fn seconds_to_tell(&self, ranks: usize) -> f64 {
        self.seconds(ranks, 0.0) / 2.0
    }

    /// Least squares of the relative errors, for sizes over decades; the latency is not negative. `None` without two points that tell
    /// the constants apart, if a time is not positive, or where long messages take no longer than short ones.
    pub fn fit(points: &[Timed]) -> Option<AllReduce> {
        let (mut uu, mut uv, mut vv, mut u1, mut v1) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for point in points {
            if !(point.seconds > 0.0 && point.seconds.is_finite()) || point.ranks < 2 {
                return None;
            }
            let (latencies, moved) = terms(point.ranks, point.bytes);
            let (u, v) = (latencies / point.seconds, moved / point.seconds);
            uu += u * u;
            uv += u * v;
            vv += v * v;
            u1 += u;
            v1 += v;
        }
        let determinant = uu * vv - uv * uv;
        if determinant <= 1e-9 * uu * vv {
            return None;
        }
        let (latency, per_byte) = (
            (u1 * vv - v1 * uv) / determinant,
            (v1 * uu - u1 * uv) / determinant,
        );
        if per_byte <= 0.0 {
            return None;
        }
        // Below zero the best is on the edge, where the bytes alone have to do.
        Some(match latency < 0.0 {
            true => AllReduce {
                latency: 0.0,
                per_byte: v1 / vv,
            },
            false => AllReduce { latency, per_byte },
        })
    }

    /// The median of the relative errors of the law at these points.
    pub fn error(&self, points: &[Timed]) -> Option<f64> {
        let error = |point: &Timed| {
            let seconds = self.seconds(point.ranks, point.bytes);
            (seconds / point.seconds - 1.0).abs()
        };
        median(&points.iter().map(error).collect::<Vec<_>>())
    }
}

/// How often the latency counts, and how many bytes a rank sends.
fn terms(ranks: usize, bytes: f64) -> (f64, f64) {
    let others = ranks.saturating_sub(1) as f64;
    (2.0 * others, 2.0 * others / ranks as f64 * bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAW: AllReduce = AllReduce {
        latency: 25e-6,
        per_byte: 8.5e-9,
    };

    fn points(ranks: &[usize], off: impl Fn(usize) -> f64) -> Vec<Timed> {
        let sizes = (8..26).step_by(3).map(|octave| f64::from(1 << octave));
        let of_size = |bytes: f64| {
            ranks.iter().map(move |ranks| Timed {
                ranks: *ranks,
                bytes,
                seconds: LAW.seconds(*ranks, bytes),
            })
        };
        let mut all: Vec<Timed> = sizes.flat_map(of_size).collect();
        for (index, point) in all.iter_mut().enumerate() {
            point.seconds *= off(index);
        }
        all
    }

    #[test]
    fn costs_are_those_of_the_formula() {
        // Two ranks: one message each way twice, of half of the bytes.
        assert_eq!(LAW.seconds(2, 1e6), 2.0 * 25e-6 + 1e6 * 8.5e-9);
        assert_eq!(LAW.seconds(1, 1e6), 0.0);
        assert_eq!(LAW.seconds_to_tell(4), 3.0 * 25e-6);
        // Bytes never cost more than twice, however many ranks.
        assert!(LAW.seconds(512, 1e9) - LAW.seconds(512, 0.0) < 2e9 * 8.5e-9);
    }

    #[test]
    fn constants_come_back_and_predict_other_numbers_of_ranks() {
        let exact = AllReduce::fit(&points(&[2], |_| 1.0)).unwrap();
        assert!((exact.latency / LAW.latency - 1.0).abs() < 1e-9);
        assert!((exact.per_byte / LAW.per_byte - 1.0).abs() < 1e-9);
        assert!(exact.error(&points(&[4, 64], |_| 1.0)).unwrap() < 1e-9);
        let noisy = points(&[2, 4], |index| [1.0, 1.1, 0.9][index % 3]);
        let fit = AllReduce::fit(&noisy).unwrap();
        assert!((fit.per_byte / LAW.per_byte - 1.0).abs() < 0.1, "{fit:?}");
        assert!((fit.latency / LAW.latency - 1.0).abs() < 0.1, "{fit:?}");
        assert!(fit.error(&noisy).unwrap() < 0.12);
    }

    #[test]
    fn no_constant_is_negative_and_bytes_cost_something() {
        let at = |bytes, seconds| Timed {
            ranks: 2,
            bytes,
            seconds,
        };
        // Small messages that are faster than the line through the large ones allows.
        let fit = AllReduce::fit(&[at(1e3, 1e-7), at(1e6, 1e-3)]).unwrap();
        assert!(fit.latency == 0.0 && fit.per_byte > 0.0, "{fit:?}");
        assert_eq!(AllReduce::fit(&[at(1e3, 1e-3), at(1e6, 1e-4)]), None);
    }

    #[test]
    fn one_size_or_one_rank_says_nothing() {
        let at = |ranks, bytes, seconds| Timed {
            ranks,
            bytes,
            seconds,
        };
        assert_eq!(AllReduce::fit(&[]), None);
        assert_eq!(AllReduce::fit(&[at(2, 1e3, 1e-3); 3]), None);
        assert_eq!(AllReduce::fit(&[at(1, 1e3, 1e-3), at(1, 1e6, 1.0)]), None);
        assert_eq!(AllReduce::fit(&[at(2, 1e3, 0.0), at(2, 1e6, 1.0)]), None);
    }
}
