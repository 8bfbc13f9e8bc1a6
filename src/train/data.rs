//! Batches of token sequences: which documents are trained on, in what order, and the baseline that a model must beat.
//!
//! The documents of the training part follow each other as one stream, cut into sequences of equal length. The first token of a
//! document is nobody's target: what ends does not tell what begins. Attention may look back across a boundary within a sequence,
//! as it does where GPT-2 is trained. Every epoch goes
//! through all sequences once, in an order of its own that depends on the seed and the epoch only. So a batch is a function of
//! its step number: a run that is resumed sees the batches that it would have seen.

use std::ops::Range;
use std::sync::Arc;

use super::order::{Order, shuffle, stream};
use crate::text::Tokens;

/// Marks a target that does not count.
pub const IGNORED: u32 = u32::MAX;

/// Some sequences of one length, row by row, with the token that follows each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Batch {
    /// Rows.
    pub sequences: usize,
    /// Tokens in a row.
    pub length: usize,
    /// `sequences` x `length` tokens.
    pub inputs: Vec<u32>,
    /// As many: the token after each input, or [`IGNORED`].
    pub targets: Vec<u32>,
}

impl Batch {
    /// A batch of zeros without any target that counts.
    pub fn new(sequences: usize, length: usize) -> Batch {
        Batch {
            sequences,
            length,
            inputs: vec![0; sequences * length],
            targets: vec![IGNORED; sequences * length],
        }
    }

    /// Number of targets that count.
    pub fn counted(&self) -> usize {
        self.targets
            .iter()
            .filter(|&&target| target != IGNORED)
            .count()
    }
}

/// At most `count` indices below `all`, spread evenly: always the same ones.
pub(super) fn spread(all: usize, count: usize) -> impl Iterator<Item = usize> + use<> {
    let count = count.min(all);
    (0..count).map(move |index| index * all / count)
}

/// How the tokens are cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Tokens in a sequence.
    pub length: usize,
    /// Sequences in a batch.
    pub batch: usize,
    /// Share of the tokens kept for validation; 0 for none.
    pub validation: f64,
    /// Seed of the order.
    pub seed: u64,
}

/// Why no batch can be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DataError {
    /// A part is shorter than one sequence.
    #[error(
        "the {part} text has {tokens} tokens, and one sequence needs {needed} (training.max_length and one more): give more text, \
         a smaller training.max_length{}", if *part == "validation" { ", or another training.validation_split (0 for none)" } else { "" }
    )]
    TooShort {
        /// `training` or `validation`.
        part: &'static str,
        /// Tokens that it has.
        tokens: usize,
        /// Tokens that a sequence takes.
        needed: usize,
    },
    /// A cut that makes no sequences.
    #[error(
        "training.max_length and training.batch_size must be at least 1, training.validation_split from 0 up to below 1"
    )]
    Cut,
    /// More sequences than can be put in order.
    #[error(
        "the training text makes {sequences} sequences, and at most {} can be shuffled: give less text or longer sequences",
        u32::MAX
    )]
    TooLong {
        /// Sequences of the training part.
        sequences: usize,
    },
}

/// A corpus cut into training and validation batches.
#[derive(Debug)]
pub struct Dataset {
    tokens: Arc<Tokens>,
    train: Stream,
    validation: Stream,
    cut: Cut,
    /// The order of the epoch used last.
    order: Order,
}

impl Dataset {
    /// Splits by documents, then cuts. Where there are too few documents to split, the end of the text becomes the validation part.
    pub fn new(tokens: Arc<Tokens>, cut: Cut) -> Result<Dataset, DataError> {
        if cut.length == 0 || cut.batch == 0 || !(0.0..1.0).contains(&cut.validation) {
            return Err(DataError::Cut);
        }
        let [train, validation] = split(&tokens, cut.validation);
        let too_short = |part, stream: &Stream| DataError::TooShort {
            part,
            tokens: stream.len,
            needed: cut.length + 1,
        };
        let sequences = train.sequences(cut.length);
        if sequences == 0 {
            return Err(too_short("training", &train));
        }
        if sequences > u32::MAX as usize {
            return Err(DataError::TooLong { sequences });
        }
        if cut.validation > 0.0 && validation.sequences(cut.length) == 0 {
            return Err(too_short("validation", &validation));
        }
        let order = Order::new(cut.seed, sequences);
        Ok(Dataset {
            tokens,
            train,
            validation,
            cut,
            order,
        })
    }

    /// Training sequences in one epoch.
    pub fn sequences(&self) -> usize {
        self.train.sequences(self.cut.length)
    }

    /// Tokens of the training part and of the validation part.
    pub fn tokens(&self) -> [usize; 2] {
        [self.train.len, self.validation.len]
    }

    /// Steps after which `epochs` epochs are complete.
    pub fn steps(&self, epochs: usize) -> usize {
        self.sequences()
            .saturating_mul(epochs)
            .div_ceil(self.cut.batch)
    }

    /// A batch to be filled.
    pub fn empty_batch(&self) -> Batch {
        Batch::new(self.cut.batch, self.cut.length)
    }

    /// The batch of a step, the first being 0.
    pub fn batch(&mut self, step: usize) -> Batch {
        let mut batch = Batch::new(self.cut.batch, self.cut.length);
        self.fill(step, &mut batch);
        batch
    }

    /// The same into a batch made by [`Batch::new`] for this cut, without allocating.
    pub fn fill(&mut self, step: usize, batch: &mut Batch) {
        let first = step as u64 * self.cut.batch as u64;
        for row in 0..batch.sequences {
            let position = first + row as u64;
            let sequence = self.order.item(position);
            self.train.fill(&self.tokens, sequence, row, batch);
        }
    }

    /// Batches that the whole validation part makes, the last one perhaps not full.
    pub fn validation_batches(&self) -> usize {
        self.validation
            .sequences(self.cut.length)
            .div_ceil(self.cut.batch)
    }

    /// The indices of at most `count` validation batches, spread evenly over the part: always the same ones.
    pub fn validation_sample(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        spread(self.validation_batches(), count)
    }

    /// A batch of the validation part, in the order of the text; rows beyond its end have no targets that count.
    pub fn validation_batch(&self, index: usize) -> Batch {
        let mut batch = Batch::new(self.cut.batch, self.cut.length);
        self.fill_validation(index, &mut batch);
        batch
    }

    /// The same into a batch made by [`Batch::new`] for this cut.
    pub fn fill_validation(&self, index: usize, batch: &mut Batch) {
        let sequences = self.validation.sequences(self.cut.length);
        for row in 0..batch.sequences {
            let sequence = index * self.cut.batch + row;
            if sequence < sequences {
                self.validation.fill(&self.tokens, sequence, row, batch);
            } else {
                let cells = row * batch.length..(row + 1) * batch.length;
                batch.inputs[cells.clone()].fill(0);
                batch.targets[cells].fill(IGNORED);
            }
        }
    }

    /// The loss, in nats per token, of always predicting by the token frequencies of the training part (each count raised by
    /// one), on the targets of the validation part. A model that has learnt nothing of order has this loss. `None` without
    /// a validation part.
    pub fn unigram_entropy(&self, vocab_size: usize) -> Option<f64> {
        let mut counts = vec![1u64; vocab_size];
        self.train.each(&self.tokens, 0..self.train.len, |id| {
            if let Some(count) = counts.get_mut(id as usize) {
                *count += 1;
            }
        });
        let total: u64 = counts.iter().sum();
        let losses: Vec<f64> = counts
            .iter()
            .map(|&count| (total as f64 / count as f64).ln())
            .collect();
        let (mut loss, mut targets) = (0.0, 0);
        let mut batch = Batch::new(1, self.cut.length);
        for sequence in 0..self.validation.sequences(self.cut.length) {
            self.validation.fill(&self.tokens, sequence, 0, &mut batch);
            for target in batch.targets.iter().filter(|target| **target != IGNORED) {
                let known = losses.get(*target as usize).copied();
                loss += known.unwrap_or_else(|| (total as f64).ln());
                targets += 1;
            }
        }
        (targets > 0).then(|| loss / f64::from(targets))
    }
}

/// Documents read as one text: pieces of the corpus with their place in the stream.
#[derive(Debug, Default)]
struct Stream {
    pieces: Vec<Piece>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Position in the stream.
    at: usize,
    /// Position in the corpus.
    from: usize,
    len: usize,
}

impl Stream {
    fn push(&mut self, from: usize, len: usize) {
        if len > 0 {
            self.pieces.push(Piece {
                at: self.len,
                from,
                len,
            });
            self.len += len;
        }
    }

    /// Sequences of this length, each with one token after it.
    fn sequences(&self, length: usize) -> usize {
        self.len.saturating_sub(1) / length
    }

    /// Where `len` tokens from a position of the stream are in the corpus, piece by piece.
    fn ranges(&self, at: usize, len: usize) -> impl Iterator<Item = Range<usize>> {
        let first = self
            .pieces
            .partition_point(|piece| piece.at + piece.len <= at);
        let end = at + len;
        self.pieces[first..]
            .iter()
            .take_while(move |piece| piece.at < end)
            .map(move |piece| {
                let from = piece.from + at.saturating_sub(piece.at);
                from..piece.from + piece.len.min(end - piece.at)
            })
    }

    /// Copies tokens from a position of the stream.
    fn copy(&self, tokens: &Tokens, at: usize, out: &mut [u32]) {
        let mut done = 0;
        for range in self.ranges(at, out.len()) {
            let len = range.len();
            tokens.copy(range.start, &mut out[done..done + len]);
            done += len;
        }
    }

    /// One sequence and its targets as a row of a batch.
    fn fill(&self, tokens: &Tokens, sequence: usize, row: usize, batch: &mut Batch) {
        let cells = row * batch.length..(row + 1) * batch.length;
        let at = sequence * batch.length;
        let (inputs, targets) = (&mut batch.inputs[cells.clone()], &mut batch.targets[cells]);
        self.copy(tokens, at, inputs);
        self.copy(tokens, at + 1, targets);
        let mut done = 0;
        for range in self.ranges(at + 1, targets.len()) {
            for beginning in tokens.beginnings(range.clone()) {
                targets[done + beginning - range.start] = IGNORED;
            }
            done += range.len();
        }
    }

    /// Calls `f` with each token of a range of the stream.
    fn each(&self, tokens: &Tokens, range: Range<usize>, mut f: impl FnMut(u32)) {
        let mut buffer = [0; 4096];
        let mut at = range.start;
        while at < range.end {
            let count = buffer.len().min(range.end - at);
            self.copy(tokens, at, &mut buffer[..count]);
            buffer[..count].iter().for_each(|&id| f(id));
            at += count;
        }
    }
}

/// The training and the validation part. Which documents are validated on depends on the corpus only, not on the run's seed, so
/// that runs can be compared.
fn split(tokens: &Tokens, share: f64) -> [Stream; 2] {
    let wanted = (tokens.len() as f64 * share) as usize;
    let mut validated = vec![false; tokens.documents()];
    let mut chosen = 0;
    let mut order: Vec<u32> = (0..tokens.documents().min(u32::MAX as usize) as u32).collect();
    shuffle(&mut order, &mut stream(0, u64::MAX));
    for document in order {
        let len = tokens.document(document as usize).len();
        if chosen + len <= wanted {
            chosen += len;
            validated[document as usize] = true;
        }
    }
    let mut parts = [Stream::default(), Stream::default()];
    if chosen < wanted / 2 {
        parts[0].push(0, tokens.len() - wanted);
        parts[1].push(tokens.len() - wanted, wanted);
        return parts;
    }
    for (index, validated) in validated.into_iter().enumerate() {
        let document = tokens.document(index);
        parts[usize::from(validated)].push(document.start, document.len());
    }
    parts
}

#[cfg(test)]
mod tests;
