//! Steps of a small model: learning, the same bits however the work is cut, and nothing left behind.

use super::*;
use crate::{
    kernels::{Isa, gemm::Caches, testing::isas},
    model::Switches,
    train::plan::{Optimizer, RoleMemory, Sharing},
};

const SHAPE: Shape = Shape {
    vocab_size: 50,
    context: 12,
    d_model: 24,
    heads: 3,
    layers: 2,
    d_ff: 40,
    tied: true,
    scalar_head: false,
};

pub(super) fn plan(isa: Isa, workers: usize, micro_batch: usize) -> Plan {
    Plan {
        shape: SHAPE,
        batch: 6,
        length: 12,
        micro_batch,
        optimizer: Optimizer::default(),
        dropout: 0.0,
        recompute: false,
        by_sequences: false,
        isa,
        caches: Caches::default(),
        workers,
        switches: Switches::default(),
        sharing: Sharing::default(),
    }
}

fn planned(plan: Plan) -> Trainer {
    let pool = Arc::new(Pool::new(&vec![0; plan.workers]).expect("threads"));
    Trainer::new(&plan, pool, 1).expect("a trainer")
}

fn trainer(isa: Isa, workers: usize, micro_batch: usize) -> Trainer {
    planned(plan(isa, workers, micro_batch))
}

/// A sequence that a small model learns: each token is its predecessor plus seven.
pub(super) fn batch() -> Batch {
    let inputs: Vec<u32> = (0..72).map(|i| (i / 12 * 5 + i % 12 * 7) % 50).collect();
    let targets = inputs.iter().map(|token| (token + 7) % 50).collect();
    Batch {
        sequences: 6,
        length: 12,
        inputs,
        targets,
    }
}

fn train(mut trainer: Trainer, steps: usize) -> (Vec<f64>, Trainer) {
    let batch = batch();
    let losses = (0..steps)
        .map(|_| trainer.step(&batch, 1e-2, &mut Unobserved).loss)
        .collect();
    (losses, trainer)
}

#[test]
fn learns_what_can_be_learned() {
    for isa in isas() {
        let (losses, mut trainer) = train(trainer(isa, 1, 2), 60);
        assert!(
            (losses[0] - 50_f64.ln()).abs() < 0.1,
            "{}: starts at {}",
            isa.name(),
            losses[0]
        );
        assert!(losses[59] < 0.3, "{}: ends at {}", isa.name(), losses[59]);
        let evaluated = trainer.evaluate(&batch());
        assert!(
            evaluated <= losses[59] + 0.05,
            "{}: {evaluated}",
            isa.name()
        );
    }
}

#[test]
fn losses_are_the_same_to_the_bit_for_any_number_of_threads() {
    let isa = Isa::best();
    let (one, a) = train(trainer(isa, 1, 2), 5);
    for workers in [2, 3] {
        let (more, b) = train(trainer(isa, workers, 2), 5);
        assert_eq!(one, more);
        assert_eq!(*a.parameters().values, *b.parameters().values);
    }
}

#[test]
fn threads_may_change_between_steps() {
    let isa = Isa::best();
    let (steady, a) = train(trainer(isa, 2, 2), 4);
    let mut b = trainer(isa, 2, 2);
    let changing: Vec<f64> = [1, 2, 2, 1]
        .into_iter()
        .map(|threads| {
            b.use_pool(Arc::new(Pool::new(&vec![0; threads]).expect("threads")));
            b.step(&batch(), 1e-2, &mut Unobserved).loss
        })
        .collect();
    assert_eq!(steady, changing);
    assert_eq!(*a.parameters().values, *b.parameters().values);
}

#[test]
fn micro_batches_are_the_same_mathematics() {
    let isa = Isa::best();
    let (whole, _) = train(trainer(isa, 1, 6), 10);
    for micro_batch in [1, 2, 3] {
        let (parts, _) = train(trainer(isa, 1, micro_batch), 10);
        for (a, b) in whole.iter().zip(parts) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }
}

#[test]
fn every_simple_path_is_the_same_mathematics() {
    let on = Switches::default();
    let simple = [
        Switches {
            batched_products: false,
            ..on
        },
        Switches {
            blocked_products: false,
            ..on
        },
        Switches {
            aligned_pages: false,
            ..on
        },
        Switches {
            planned_memory: false,
            ..on
        },
        Switches {
            fused_passes: false,
            ..on
        },
        Switches {
            batched_products: false,
            blocked_products: false,
            aligned_pages: false,
            planned_memory: false,
            fused_passes: false,
        },
    ];
    for isa in isas() {
        let (whole, a) = train(trainer(isa, 2, 3), 4);
        for switches in simple {
            let plan = Plan {
                switches,
                ..*a.plan()
            };
            let b = Trainer::new(&plan, Arc::clone(&a.pool), 1).expect("a trainer");
            let (losses, b) = train(b, 4);
            for (one, other) in whole.iter().zip(losses) {
                let name = isa.name();
                assert!(
                    (one - other).abs() < 1e-4,
                    "{name} {switches:?}: {one} {other}"
                );
            }
            // Where the same products are summed in the same order, the bits are the same.
            if switches.whole_products() {
                assert_eq!(*a.parameters().values, *b.parameters().values);
            }
        }
    }
}

#[test]
fn a_broken_gradient_changes_nothing() {
    let mut trainer = trainer(Isa::best(), 1, 2);
    trainer.restore(0)[0].values[3] = f32::NAN;
    let before: Vec<u32> = trainer
        .parameters()
        .values
        .iter()
        .map(|x| x.to_bits())
        .collect();
    let report = trainer.step(&batch(), 1e-2, &mut Unobserved);
    assert!(report.skipped == Some(Skip::NotFinite), "{report:?}");
    assert!(
        trainer
            .parameters()
            .values
            .iter()
            .map(|x| x.to_bits())
            .eq(before)
    );
}

#[test]
fn a_step_takes_its_own_gradient_alone() {
    let isa = Isa::best();
    let (losses, steady) = train(trainer(isa, 1, 2), 3);
    // A gradient that was asked for, and one that was no number, are gone by the next step.
    let mut disturbed = trainer(isa, 1, 2);
    let intact = disturbed.parameters().values[3];
    for (step, loss) in losses.iter().enumerate() {
        if step == 0 {
            disturbed.restore(0)[0].values[3] = f32::NAN;
            let broken = disturbed.step(&batch(), 1e-2, &mut Unobserved);
            assert!(broken.skipped.is_some());
            disturbed.restore(0)[0].values[3] = intact;
        }
        disturbed.gradient(&batch());
        assert_eq!(disturbed.gradient(&batch()), *loss);
        assert_eq!(disturbed.step(&batch(), 1e-2, &mut Unobserved).loss, *loss);
    }
    assert_eq!(*steady.parameters().values, *disturbed.parameters().values);
    assert!(disturbed.gradients().values.iter().all(|x| *x == 0.0));
}

/// A plan that drops a fifth.
fn dropping(workers: usize, micro_batch: usize) -> Plan {
    Plan {
        dropout: 0.2,
        ..plan(Isa::best(), workers, micro_batch)
    }
}

#[test]
fn dropout_is_the_same_to_the_bit_for_any_number_of_threads() {
    let (losses, a) = train(planned(dropping(1, 2)), 4);
    let (again, b) = train(planned(dropping(3, 2)), 4);
    assert_eq!(losses, again);
    assert_eq!(*a.parameters().values, *b.parameters().values);
    let (without, _) = train(trainer(Isa::best(), 1, 2), 4);
    assert_ne!(losses, without);
}

#[test]
fn dropout_drops_the_same_values_in_any_micro_batch() {
    let mut whole = planned(dropping(1, 6));
    let loss = whole.gradient(&batch());
    for micro_batch in [1, 2, 3] {
        let mut parts = planned(dropping(1, micro_batch));
        // Sums are taken in another order; another mask would move the loss by percents.
        assert!((parts.gradient(&batch()) - loss).abs() < 1e-6);
        let gradients = parts
            .gradients()
            .values
            .iter()
            .zip(&*whole.gradients().values);
        for (a, b) in gradients {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}

#[test]
fn the_gradient_with_dropout_agrees_with_differences() {
    let mut trainer = planned(dropping(2, 3));
    trainer.gradient(&batch());
    let gradients = trainer.gradients().values.to_vec();
    let tensors = trainer.parameters().layout.tensors.clone();
    for tensor in &tensors {
        let range = tensor.range.clone();
        // The place in each tensor where the loss changes most, and one in its middle.
        let steepest = range
            .clone()
            .max_by(|a, b| gradients[*a].abs().total_cmp(&gradients[*b].abs()));
        for place in [steepest.unwrap(), range.start + range.len() / 2] {
            let mut loss_at = |value: f32| {
                trainer.restore(0)[0].values[place] = value;
                trainer.gradient(&batch())
            };
            let value = planned(dropping(1, 3)).parameters().values[place];
            let step = 1e-2;
            let expected = (loss_at(value + step) - loss_at(value - step)) / f64::from(2.0 * step);
            loss_at(value);
            let error = (f64::from(gradients[place]) - expected).abs();
            assert!(
                error < 2e-4 + 2e-2 * expected.abs(),
                "{} at {place}: {} against {expected}",
                tensor.name,
                gradients[place]
            );
        }
    }
}

#[test]
fn evaluation_drops_nothing() {
    let (mut plain, mut dropping) = (trainer(Isa::best(), 1, 2), planned(dropping(1, 2)));
    assert_eq!(plain.evaluate(&batch()), dropping.evaluate(&batch()));
    assert_eq!(plain.logits(&batch()), dropping.logits(&batch()));
}

#[test]
fn recomputed_activations_are_the_same_bits_in_less_memory() {
    for isa in isas() {
        for dropout in [0.0, 0.2] {
            let keep = Plan {
                dropout,
                shape: Shape { layers: 4, ..SHAPE },
                ..plan(isa, 2, 3)
            };
            let recompute = Plan {
                recompute: true,
                ..keep
            };
            let (mut a, mut b) = (planned(keep), planned(recompute));
            assert_eq!(a.gradient(&batch()), b.gradient(&batch()));
            assert_eq!(*a.gradients().values, *b.gradients().values);
            let ((losses, a), (again, b)) = (train(a, 4), train(b, 4));
            assert_eq!(losses, again, "{}", isa.name());
            assert_eq!(*a.parameters().values, *b.parameters().values);
            let (kept, recomputed) = (keep.memory().activations, recompute.memory().activations);
            assert!(recomputed * 2 < kept, "{recomputed} of {kept} bytes");
        }
    }
}

#[test]
fn memory_is_planned_before_and_used_from_the_first_step_on() {
    let mut trainer = trainer(Isa::best(), 1, 2);
    let of = |memory: &[RoleMemory], role| *memory.iter().find(|of| of.role == role).unwrap();
    let before = trainer.memory();
    assert_eq!(of(&before, "gradients").used, Some(0));
    assert_eq!(of(&before, "moments").used, Some(0));
    trainer.step(&batch(), 1e-2, &mut Unobserved);
    let after = trainer.memory();
    let planned: usize = after.iter().map(|role| role.planned).sum();
    assert_eq!(planned, trainer.plan().memory().total());
    for role in &after {
        assert!(role.used.unwrap() > 0, "{role:?}");
        assert!(role.used.unwrap() <= role.planned, "{role:?}");
        assert!(role.peak >= role.used, "{role:?}");
    }
    for role in ["parameters", "gradients", "moments"] {
        assert_eq!(of(&after, role).used, Some(of(&after, role).planned));
    }
}

fn by_sequences(workers: usize, micro_batch: usize) -> Plan {
    Plan {
        by_sequences: true,
        ..dropping(workers, micro_batch)
    }
}

#[test]
fn threads_with_sequences_of_their_own_do_the_same_mathematics() {
    let (reference, by_operators) = train(planned(dropping(1, 1)), 8);
    // Six sequences: threads have equally many, one of them less, or nothing at all.
    for (workers, micro_batch) in [(2, 1), (2, 3), (3, 2), (4, 1), (4, 2), (2, 6)] {
        let (losses, trainer) = train(planned(by_sequences(workers, micro_batch)), 8);
        for (one, other) in reference.iter().zip(&losses) {
            assert!((one - other).abs() < 1e-4, "{workers}: {one} {other}");
        }
        let pairs = by_operators.parameters().values.iter();
        let pairs = pairs.zip(&*trainer.parameters().values);
        assert!(
            pairs
                .into_iter()
                .all(|(one, other)| (one - other).abs() < 1e-3)
        );
    }
}

#[test]
fn shares_of_sequences_are_added_up_in_their_order_whoever_computes_them() {
    let plan = by_sequences(3, 1);
    let (losses, steady) = train(planned(plan), 4);
    let mut changing = planned(plan);
    for (threads, loss) in [3, 1, 2, 1].into_iter().zip(losses) {
        changing.use_pool(Arc::new(Pool::new(&vec![0; threads]).expect("threads")));
        // A gradient that was asked for is gone by the step after it.
        changing.gradient(&batch());
        assert_eq!(changing.step(&batch(), 1e-2, &mut Unobserved).loss, loss);
    }
    assert_eq!(*steady.parameters().values, *changing.parameters().values);
    let memory = changing.memory();
    let planned: usize = memory.iter().map(|role| role.planned).sum();
    assert_eq!(planned, plan.memory().total());
    for role in memory {
        assert!(role.used.unwrap() <= role.planned, "{role:?}");
        if role.role == "gradients" {
            assert_eq!(role.used, Some(role.planned));
        }
    }
}
