//! Ranks that share batches, as threads of one process: they learn what one process learns, and agree to the bit.

use std::sync::Arc;

use super::tests::{batch, plan};
use super::*;
use crate::fleet::Fleet;
use crate::fleet::testing::fleets;
use crate::kernels::Isa;

const STEPS: usize = 12;

/// Losses and norms of some steps, and weights and moments after them.
type Learnt = (Vec<[f64; 2]>, [Vec<f32>; 3]);

/// What each of so many ranks learns; 0 for a process that is alone.
fn train(ranks: usize, dropout: f32) -> Vec<Learnt> {
    let plan = Plan {
        dropout,
        ..plan(Isa::best(), 1, 2)
    };
    let learn = |fleet: Option<Arc<Fleet>>| {
        let pool = Arc::new(Pool::new(&[0]).unwrap());
        let mut trainer = Trainer::new(&plan, pool, 1).unwrap();
        if let Some(fleet) = &fleet {
            trainer.join(Arc::clone(fleet));
        }
        let batch = batch();
        let step = |_| {
            let report = trainer.step(&batch, 1e-2, &mut Unobserved);
            [report.loss, report.grad_norm]
        };
        let mut figures: Vec<_> = (0..STEPS).map(step).collect();
        figures.push([trainer.evaluate(&batch), 0.0]);
        assert_eq!(trainer.stray(), None);
        let [first, second] = trainer.moments();
        let values = [trainer.parameters(), first, second].map(|values| values.values.to_vec());
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
        let alone = &train(0, dropout)[0];
        assert!(
            alone.0[STEPS][0] < alone.0[0][0] - 0.5,
            "it learns: {:?}",
            alone.0
        );
        for ranks in [1, 2, 4, 6] {
            let found = train(ranks, dropout);
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
    assert_eq!(train(3, 0.1), train(3, 0.1));
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
        trainer.join(Arc::clone(&fleet));
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
