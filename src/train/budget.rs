//! Whether a run fits in memory, decided before its first step, and what would fit where it does not.

use crate::units::{Bytes, Ratio};

/// The share of the usable memory that a run may plan for: the rest is for the text, the system and other programs.
const SHARE: f64 = 0.8;

/// The settings of a run that its memory depends on and that leave the model as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sizes {
    /// Sequences in one optimizer step.
    pub batch_size: usize,
    /// Sequences computed at a time; divides `batch_size`.
    pub micro_batch: usize,
    /// Tokens in one sequence.
    pub max_length: usize,
}

/// A run that does not fit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "this run needs {} of memory, and may take {}: {} of the {} that this process can have",
    Bytes(*wanted as f64), Bytes(*allowed as f64), Ratio(SHARE), Bytes(*usable as f64)
)]
pub struct TooLarge {
    /// Bytes that the plan needs.
    pub wanted: u64,
    /// Bytes that it may take.
    pub allowed: u64,
    /// Bytes that this process can have.
    pub usable: u64,
    /// The nearest settings that fit, where any do.
    pub fitting: Option<Sizes>,
}

/// Accepts a run that takes at most four fifths of `usable` bytes; `plan` says what given sizes need.
///
/// # Errors
/// [`TooLarge`], with the sizes nearest to the ones asked for that fit: first a smaller micro-batch, which changes nothing else,
/// then a smaller batch, then shorter sequences.
pub fn check(sizes: Sizes, usable: u64, plan: impl Fn(Sizes) -> u64) -> Result<(), TooLarge> {
    let allowed = (usable as f64 * SHARE) as u64;
    let wanted = plan(sizes);
    if wanted <= allowed {
        return Ok(());
    }
    let fitting = smaller(sizes).find(|sizes| plan(*sizes) <= allowed);
    Err(TooLarge {
        wanted,
        allowed,
        usable,
        fitting,
    })
}

/// Smaller sizes, nearest first.
fn smaller(sizes: Sizes) -> impl Iterator<Item = Sizes> {
    let Sizes {
        batch_size,
        micro_batch,
        max_length,
    } = sizes;
    let micro = (1..micro_batch)
        .rev()
        .filter(move |micro| batch_size.is_multiple_of(*micro))
        .map(move |micro_batch| Sizes {
            micro_batch,
            ..sizes
        });
    let batch = halves(batch_size).map(move |batch_size| Sizes {
        batch_size,
        micro_batch: 1,
        max_length,
    });
    let length = halves(max_length).map(|max_length| Sizes {
        batch_size: 1,
        micro_batch: 1,
        max_length,
    });
    micro.chain(batch).chain(length)
}

fn halves(size: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(size / 2), |size| Some(size / 2)).take_while(|size| *size > 0)
}

impl TooLarge {
    /// What the reader can do, in the keys of the configuration.
    pub fn advice(&self, asked: Sizes) -> String {
        let Some(fit) = self.fitting else {
            return "not even one sequence of one token fits: choose a smaller model.d_model, model.num_layers or \
                    model.vocab_size, or free memory"
                .to_owned();
        };
        let keys = [
            ("training.micro_batch", asked.micro_batch, fit.micro_batch),
            ("training.batch_size", asked.batch_size, fit.batch_size),
            ("training.max_length", asked.max_length, fit.max_length),
        ];
        let settings: Vec<_> = keys
            .iter()
            .filter(|(_, asked, fit)| asked != fit)
            .map(|(key, _, fit)| format!("--set {key}={fit}"))
            .collect();
        format!("the nearest that fits: {}", settings.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Sizes = Sizes {
        batch_size: 12,
        micro_batch: 12,
        max_length: 128,
    };

    fn plan(sizes: Sizes) -> u64 {
        let tokens = sizes.micro_batch * sizes.max_length;
        (1000 + tokens * 10 + sizes.batch_size * sizes.max_length) as u64
    }

    #[test]
    fn what_fits_in_four_fifths_is_accepted() {
        let wanted = plan(ASKED);
        assert_eq!(check(ASKED, wanted * 5 / 4 + 1, plan), Ok(()));
        assert!(check(ASKED, wanted * 5 / 4 - 2, plan).is_err());
    }

    #[test]
    fn a_smaller_micro_batch_is_the_first_advice() {
        let error = check(ASKED, 13_000, plan).unwrap_err();
        assert_eq!(
            error.fitting,
            Some(Sizes {
                micro_batch: 6,
                ..ASKED
            })
        );
        assert_eq!(
            error.advice(ASKED),
            "the nearest that fits: --set training.micro_batch=6"
        );
        assert!(
            error
                .to_string()
                .starts_with("this run needs 17.5 KiB of memory, and may take 10.2 KiB"),
            "{error}"
        );
    }

    #[test]
    fn then_the_batch_and_the_length_shrink() {
        let error = check(ASKED, 3_500, plan).unwrap_err();
        assert_eq!(
            error.fitting,
            Some(Sizes {
                batch_size: 3,
                micro_batch: 1,
                max_length: 128
            })
        );
        let error = check(ASKED, 1_500, plan).unwrap_err();
        assert_eq!(
            error.fitting,
            Some(Sizes {
                batch_size: 1,
                micro_batch: 1,
                max_length: 16
            })
        );
        let advice = error.advice(ASKED);
        assert!(
            advice.ends_with(
                "micro_batch=1 --set training.batch_size=1 --set training.max_length=16"
            ),
            "{advice}"
        );
        let error = check(ASKED, 1_000, plan).unwrap_err();
        assert!(error.advice(ASKED).contains("smaller model.d_model"));
    }
}
