//! Ranks that share batches, as threads of one process: they learn what one process learns, and agree to the bit, whether each keeps all
//! moments or its part.

use std::sync::Arc;

use super::tests::{batch, plan};
use super::*;
use crate::fleet::Fleet;
use crate::fleet::testing::fleets;
use crate::kernels::Isa;
use crate::train::plan::Sharing;
use crate::train::tensor_file::Tensor;

const STEPS: usize = 12;

/// Losses and norms of some steps, and weights and moments after them.
type Learnt = (Vec<[f64; 2]>, [Vec<f32>; 2]);

/// As a checkpoint keeps them: the values of all tensors, weights and then moments.
fn kept(trainer: &mut Trainer) -> [Vec<f32>; 2] {
    let all = |tensors: Vec<Tensor<'_>>| tensors.iter().flat_map(|of| of.values.to_vec()).collect();
    trainer.tensors().map(all)
}

fn planned(ranks: usize, shares_optimizer: bool, dropout: f32) -> Plan {
    Plan {
        dropout,
        sharing: Sharing {
            ranks,
            optimizer: shares_optimizer,
        },
        ..plan(Isa::best(), 1, 2)
    }
}

/// What each of so many ranks learns; 0 for a process that is alone.
fn train(ranks: usize, shares_optimizer: bool, dropout: f32) -> Vec<Learnt> {
    let plan = planned(ranks, shares_optimizer, dropout);
    let learn = |fleet: Option<Arc<Fleet>>| {
        let pool = Arc::new(Pool::new(&[0]).unwrap());
        let mut trainer = Trainer::new(&plan, pool, 1).unwrap();
        if let Some(fleet) = &fleet {
            trainer.join(Arc::clone(fleet)).unwrap();
        }
        let batch = batch();
        let mut figures = Vec::new();
        for step in 0..STEPS {
            let report = trainer.step(&batch, 1e-2, &mut Unobserved);
            figures.push([report.loss, report.grad_norm]);
            if step == STEPS / 2 {
                // To keep a state leaves no trace.
                kept(&mut trainer);
            }
        }
        figures.push([trainer.evaluate(&batch), 0.0]);
        assert_eq!(trainer.stray(), None);
        let values = kept(&mut trainer);
        if let Some(fleet) = &fleet {
            fleet.leave();
        }
        (figures, values)
    };
    match ranks {
        0 => vec![learn(None)],
        count => fleets(count, |fleet| learn(Some(fleet))),
    }
}

#[test]
fn any_number_of_ranks_learns_what_one_process_learns() {
    for dropout in [0.0, 0.2] {
        let alone = &train(0, false, dropout)[0];
        assert!(
            alone.0[STEPS][0] < alone.0[0][0] - 0.5,
            "it learns: {:?}",
            alone.0
        );
        for ranks in [1, 2, 4, 6] {
            let found = train(ranks, false, dropout);
            for (rank, (figures, values)) in found.iter().enumerate() {
                assert_eq!(
                    (figures, values),
                    (&found[0].0, &found[0].1),
                    "rank {rank} of {ranks}"
                );
            }
            // Sums in another order: rounding alone is between them.
            for (a, b) in found[0].0.iter().zip(&alone.0) {
                let off = (a[0] - b[0]).abs() / b[0];
                assert!(off < 1e-4, "{ranks} ranks, dropout {dropout}: {off:e}");
            }
        }
    }
}

#[test]
fn the_same_ranks_come_to_the_same_bits_again() {
    assert_eq!(train(3, false, 0.1), train(3, false, 0.1));
}

#[test]
fn ranks_that_share_the_optimizer_come_to_the_same_bits() {
    for (ranks, dropout) in [(1, 0.0), (2, 0.0), (3, 0.2), (4, 0.0)] {
        assert!(
            train(ranks, true, dropout) == train(ranks, false, dropout),
            "{ranks} ranks"
        );
    }
}

/// Whatever ranks kept, others go on from: moments are cut and put together again.
#[test]
fn shared_moments_go_on_from_whole_ones() {
    let batch = batch();
    let go_on = |ranks: usize, shares_optimizer: bool, from: &[Vec<f32>; 3]| {
        let plan = planned(ranks, shares_optimizer, 0.0);
        let mut found = fleets(ranks, |fleet| {
            let pool = Arc::new(Pool::new(&[0]).unwrap());
            let mut trainer = Trainer::new(&plan, pool, 1).unwrap();
            let first = fleet.rank() == 0;
            for (index, (values, known)) in trainer.restore(5).into_iter().zip(from).enumerate() {
                // Of the moments, only rank 0 knows what was kept.
                if first || index == 0 || !shares_optimizer {
                    values.values.copy_from_slice(known);
                }
            }
            trainer.join(Arc::clone(&fleet)).unwrap();
            let before = kept(&mut trainer);
            trainer.step(&batch, 1e-2, &mut Unobserved);
            let after = kept(&mut trainer);
            let roles = trainer.memory();
            fleet.leave();
            (before, after, roles)
        });
        found.swap_remove(0)
    };
    let len = Layout::new(&planned(1, false, 0.0).shape).len;
    let value = |index: usize| (index % 11) as f32 / 100.0;
    let from = [0, 3, 5].map(|start| (0..len).map(|index| value(index * 7 + start)).collect());
    let (before, after, _) = go_on(3, false, &from);
    let (shared_before, shared_after, roles) = go_on(3, true, &from);
    assert!(before == shared_before && after == shared_after);
    let used = |role| roles.iter().find(|of| of.role == role).unwrap();
    let moments = used("moments");
    let third = 2 * used("parameters").planned / 3;
    assert!(
        (third..third + 256).contains(&moments.planned),
        "{moments:?}"
    );
    assert!(moments.used.unwrap() <= moments.planned, "{moments:?}");
    assert_eq!(used("exchange").used, Some(used("exchange").planned));
}

#[test]
fn a_rank_with_other_weights_is_named_on_all() {
    let found = fleets(3, |fleet| {
        let pool = Arc::new(Pool::new(&[0]).unwrap());
        let mut trainer = Trainer::new(&plan(Isa::best(), 1, 2), pool, 1).unwrap();
        if fleet.rank() == 1 {
            let value = &mut trainer.restore(0)[0].values[5];
            *value = f32::from_bits(value.to_bits() ^ 1);
        }
        trainer.join(Arc::clone(&fleet)).unwrap();
        let found = (
            trainer.stray(),
            trainer.any(fleet.rank() == 2),
            trainer.any(false),
        );
        fleet.leave();
        found
    });
    assert_eq!(found, vec![(Some(1), true, false); 3]);
}
