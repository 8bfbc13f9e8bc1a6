//! Many independent products under one scheduling decision.

use super::{Caches, Epilogue, Matrix, MatrixMut, Right, Store, multiply, workspace_len};
use crate::kernels::{Isa, Solo, Team, team::Shared};

/// One product of a batch: `c = a b` or `c += a b`; shapes may differ from product to product.
#[derive(Debug)]
pub struct Product<'a> {
    /// m x k.
    pub a: Matrix<'a>,
    /// k x n.
    pub b: Matrix<'a>,
    /// m x n.
    pub c: MatrixMut<'a>,
}

/// Computes every product. Few large products are computed one after the other with the whole team on each; many small
/// ones are shared out whole, since a product that fits one core's caches loses more to being split than it gains.
///
/// `workspace` holds the workspace of the largest product ([`workspace_len`]) once for each worker.
///
/// # Panics
/// When shapes do not fit or the workspace is too short.
#[allow(
    unsafe_code,
    reason = "each task takes its own product and its worker's workspace"
)]
pub fn batched(
    isa: Isa,
    caches: Caches,
    team: &dyn Team,
    workspace: &mut [f32],
    products: &mut [Product<'_>],
    store: Store,
) {
    let one = |team: &dyn Team, workspace: &mut [f32], p: &mut Product<'_>| {
        multiply(
            isa,
            caches,
            team,
            workspace,
            p.a,
            Right::Plain(p.b),
            p.c.reborrow(),
            store,
            Epilogue::None,
        );
    };
    if products.len() < 2 * team.workers() {
        products.iter_mut().for_each(|p| one(team, workspace, p));
        return;
    }
    let share = workspace.len() / team.workers();
    let longest = products
        .iter()
        .map(|p| workspace_len(isa, p.a.rows, p.b.columns, p.a.columns, false))
        .max();
    assert!(
        share >= longest.unwrap_or(0),
        "workspace of {share} values a worker is too short"
    );
    let count = products.len();
    let group = group(team.workers(), products);
    let (products, workspace) = (Shared::new(products), Shared::new(workspace));
    team.run(count.div_ceil(group), &|task, worker| {
        let first = task * group;
        // SAFETY: each task runs once and takes the products of its numbers; workers that overlap have different numbers.
        let (products, workspace) = unsafe {
            (
                products.part(first..(first + group).min(count)),
                workspace.part(worker * share..(worker + 1) * share),
            )
        };
        for product in products {
            one(&Solo, workspace, product);
        }
    });
}

/// Products of one task: enough work that taking the task does not show, few enough that the last
/// tasks of all workers end together.
fn group(workers: usize, products: &[Product<'_>]) -> usize {
    const MULTIPLY_ADDS: usize = 1 << 18;
    let work: usize = products
        .iter()
        .map(|p| p.a.rows * p.a.columns * p.b.columns)
        .sum();
    let worth = MULTIPLY_ADDS / (work / products.len()).max(1);
    worth.clamp(1, (products.len() / (4 * workers)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{
        gemm::reference,
        testing::{self, assert_close},
    };

    #[test]
    fn ragged_batches_agree_with_the_reference() {
        for isa in testing::isas() {
            let shapes = [(5, 9, 4), (33, 2, 17), (1, 40, 8), (20, 20, 20)];
            let mut random = testing::Random::new(3);
            let data: Vec<_> = shapes
                .iter()
                .map(|&(m, n, k)| (random.vec(m * k), random.vec(k * n)))
                .collect();
            let mut results: Vec<_> = shapes.iter().map(|&(m, n, _)| vec![1.0; m * n]).collect();
            let mut products: Vec<_> = shapes
                .iter()
                .zip(&data)
                .zip(&mut results)
                .map(|((&(m, n, k), (a, b)), c)| Product {
                    a: Matrix::new(a, m, k),
                    b: Matrix::new(b, k, n),
                    c: MatrixMut::new(c, m, n),
                })
                .collect();
            let longest = shapes
                .iter()
                .map(|&(m, n, k)| workspace_len(isa, m, n, k, false))
                .max()
                .unwrap();
            batched(
                isa,
                Caches::default(),
                &Solo,
                &mut vec![0.0; longest],
                &mut products,
                Store::Add,
            );
            drop(products);
            for ((&(m, n, k), (a, b)), c) in shapes.iter().zip(&data).zip(&results) {
                for i in 0..m {
                    for j in 0..n {
                        let (sum, size) =
                            reference::element(Matrix::new(a, m, k), Matrix::new(b, k, n), i, j);
                        assert_close(c[i * n + j], sum + 1.0, size + 1.0, k + 1, "batched");
                    }
                }
            }
        }
    }
}
