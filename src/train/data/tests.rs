//! How a corpus is cut into batches: nothing lost, nothing twice, the same for the same seed.

use super::*;

const END: u32 = 0;

/// Documents of the given lengths (end of text included), whose ids count up from 1.
fn corpus(lengths: &[usize]) -> Arc<Tokens> {
    let mut next = 0;
    let document = |length: &usize| {
        let ids = (1..*length as u32).map(|id| next + id).collect();
        next += *length as u32 - 1;
        ids
    };
    let documents: Vec<Vec<u32>> = lengths.iter().map(document).collect();
    Arc::new(Tokens::from_documents(&documents, END, [0; 32]))
}

fn cut(length: usize, batch: usize, validation: f64) -> Cut {
    Cut {
        length,
        batch,
        validation,
        seed: 7,
    }
}

/// The first input of each row: it identifies the sequence, where no sequence begins with an end of text.
fn rows(batch: &Batch) -> Vec<u32> {
    batch
        .inputs
        .chunks(batch.length)
        .map(|row| row[0])
        .collect()
}

#[test]
fn targets_are_the_next_tokens_but_for_those_that_begin_a_document() {
    let mut data = Dataset::new(corpus(&[5, 4]), cut(3, 2, 0.0)).unwrap();
    // The stream is 1 2 3 4 | 5 6 7 |: two sequences, the last two tokens are targets only.
    assert_eq!(data.sequences(), 2);
    let batch = data.batch(0);
    let row = usize::from(batch.inputs[0] != 1);
    assert_eq!(batch.inputs[row * 3..][..3], [1, 2, 3]);
    assert_eq!(batch.targets[row * 3..][..3], [2, 3, 4]);
    let other = 1 - row;
    assert_eq!(batch.inputs[other * 3..][..3], [4, END, 5]);
    assert_eq!(batch.targets[other * 3..][..3], [END, IGNORED, 6]);
    assert_eq!(batch.counted(), 5);
}

#[test]
fn no_target_is_the_first_token_of_a_document_wherever_the_sequences_are_cut() {
    let lengths: Vec<usize> = (0..40).map(|document| 2 + document * 7 % 11).collect();
    let tokens = corpus(&lengths);
    let begins: Vec<usize> = (0..40)
        .map(|document| tokens.document(document).start)
        .collect();
    for length in [1, 3, 8, 50] {
        let data = Dataset::new(tokens.clone(), cut(length, 1, 0.3)).unwrap();
        for stream in [&data.train, &data.validation] {
            // The corpus position of each token of the stream.
            let places: Vec<usize> = stream.ranges(0, stream.len).flatten().collect();
            assert_eq!(places.len(), stream.len);
            for sequence in 0..stream.sequences(length) {
                let mut batch = Batch::new(1, length);
                stream.fill(&tokens, sequence, 0, &mut batch);
                for (index, target) in batch.targets.iter().enumerate() {
                    let place = places[sequence * length + index + 1];
                    assert_eq!(*target == IGNORED, begins.contains(&place));
                }
            }
        }
    }
}

#[test]
fn every_epoch_shows_each_sequence_once_in_another_order() {
    let mut data = Dataset::new(corpus(&[1_001]), cut(10, 7, 0.0)).unwrap();
    let epoch = data.sequences();
    assert_eq!(epoch, 100);
    assert_eq!([data.steps(1), data.steps(7), data.steps(0)], [15, 100, 0]);
    // 7 epochs of 100 sequences are exactly 100 batches of 7.
    let seen: Vec<u32> = (0..100).flat_map(|step| rows(&data.batch(step))).collect();
    let first: Vec<u32> = (0..100).map(|sequence| sequence * 10 + 1).collect();
    let mut orders = Vec::new();
    for order in seen.chunks(epoch) {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, first);
        assert!(!orders.contains(&order));
        orders.push(order);
    }
}

#[test]
fn a_batch_is_a_function_of_its_step_and_the_seed() {
    let tokens = corpus(&[300, 200, 500]);
    let plan = cut(8, 4, 0.1);
    let mut straight = Dataset::new(tokens.clone(), plan).unwrap();
    let batches: Vec<Batch> = (0..200).map(|step| straight.batch(step)).collect();
    let mut resumed = Dataset::new(tokens.clone(), plan).unwrap();
    for step in [199, 0, 57, 58, 57] {
        assert_eq!(resumed.batch(step), batches[step]);
    }
    let mut other = Dataset::new(tokens, Cut { seed: 8, ..plan }).unwrap();
    assert_ne!(other.batch(0), batches[0]);
    assert_eq!(other.validation_batch(0), resumed.validation_batch(0));
}

#[test]
fn validation_takes_whole_documents_and_never_shares_them() {
    let lengths: Vec<usize> = (0..60).map(|document| 20 + document % 17).collect();
    let tokens = corpus(&lengths);
    let data = Dataset::new(tokens.clone(), cut(4, 3, 0.2)).unwrap();
    let [train, validation] = data.tokens();
    assert_eq!(train + validation, tokens.len());
    let share = validation as f64 / tokens.len() as f64;
    assert!((0.17..=0.2).contains(&share), "{share}");
    for piece in &data.validation.pieces {
        assert!(
            (0..60)
                .any(|document| tokens.document(document) == (piece.from..piece.from + piece.len))
        );
        assert!(
            data.train
                .pieces
                .iter()
                .all(|other| other.from != piece.from)
        );
    }
}

#[test]
fn a_single_document_is_split_at_its_end() {
    let data = Dataset::new(corpus(&[1_000]), cut(10, 4, 0.1)).unwrap();
    assert_eq!(data.tokens(), [900, 100]);
    assert_eq!(rows(&data.validation_batch(0)), [901, 911, 921, 931]);
}

#[test]
fn validation_batches_cover_the_part_once_and_pad_with_ignored_targets() {
    let data = Dataset::new(corpus(&[1_000]), cut(10, 4, 0.1)).unwrap();
    assert_eq!(data.validation_batches(), 3);
    let last = data.validation_batch(2);
    assert_eq!((last.sequences, last.counted()), (4, 10));
    assert!(last.targets[10..].iter().all(|&target| target == IGNORED));
    let all: usize = (0..3)
        .map(|index| data.validation_batch(index).counted())
        .sum();
    assert_eq!(all, 90);
    assert_eq!(data.validation_batch(99).counted(), 0);
    assert_eq!(data.validation_sample(2).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(data.validation_sample(9).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn too_little_text_is_refused_with_its_size() {
    let refusal =
        |lengths: &[usize], plan| Dataset::new(corpus(lengths), plan).unwrap_err().to_string();
    assert!(
        refusal(&[8], cut(8, 1, 0.0))
            .starts_with("the training text has 8 tokens, and one sequence needs 9")
    );
    assert!(refusal(&[], cut(8, 1, 0.0)).contains("has 0 tokens"));
    assert!(refusal(&[50], cut(8, 1, 0.1)).contains("the validation text has 5 tokens"));
    for plan in [
        cut(0, 1, 0.0),
        cut(1, 0, 0.0),
        cut(1, 1, 1.0),
        cut(1, 1, f64::NAN),
    ] {
        assert_eq!(
            Dataset::new(corpus(&[50]), plan).unwrap_err(),
            DataError::Cut
        );
    }
    assert!(Dataset::new(corpus(&[9]), cut(8, 64, 0.0)).is_ok());
}

#[test]
fn the_unigram_loss_is_that_of_the_frequencies() {
    // Training: 90 ones, 9 twos and the end would be one document; validation is the tail of a single document.
    let mut ids = vec![1; 90];
    ids.extend([2; 29]);
    let tokens = Arc::new(Tokens::from_documents(&[ids], END, [0; 32]));
    let data = Dataset::new(tokens, cut(4, 1, 0.17)).unwrap();
    // 100 train (90 x 1, 10 x 2), 20 validation (19 x 2, the end): 16 targets, all 2.
    assert_eq!(data.tokens(), [100, 20]);
    let loss = data.unigram_entropy(3).unwrap();
    assert!((loss - (103.0f64 / 11.0).ln()).abs() < 1e-12, "{loss}");
    let without = Dataset::new(corpus(&[50]), cut(4, 1, 0.0)).unwrap();
    assert_eq!(without.unigram_entropy(3), None);
}
