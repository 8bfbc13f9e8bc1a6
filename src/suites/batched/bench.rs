//! A batch laid out in memory, and the ways to compute it.

use super::Case;
use crate::kernels::gemm::{
    self, Caches, Epilogue, Matrix, MatrixMut, Right, Store, multiply, workspace_len,
};
use crate::kernels::team::{Parts, for_parts};
use crate::kernels::{Isa, Solo, Team};
use crate::parallel::Pool;
use crate::suites::contest::{self, Contender, Task};
use crate::suites::operands::noise;
use crate::suites::peers::{Hands, Product};
use crate::tensor::{Arena, ArenaError, LINE, Region, padded};
use std::sync::{Mutex, PoisonError};

/// One way to compute a batch.
pub(in crate::suites) enum Who<'a> {
    /// Ours, under one scheduling decision.
    Batched(Isa),
    /// Our single product, once for each.
    Loop(Isa),
    /// A peer's single product once for each, or its function for batches.
    Peer { hands: &'a Hands<'a>, batch: bool },
}

impl Contender for Who<'_> {
    fn variant(&self) -> String {
        match self {
            Who::Batched(isa) => isa.name().to_owned(),
            Who::Loop(isa) => format!("{}_loop", isa.name()),
            Who::Peer { hands, batch: true } => format!("{}_batch", hands.peer().name()),
            Who::Peer { hands, .. } => hands.peer().name().to_owned(),
        }
    }

    fn isa(&self) -> Option<Isa> {
        match self {
            Who::Batched(isa) | Who::Loop(isa) => Some(*isa),
            Who::Peer { .. } => None,
        }
    }

    fn hands(&self) -> Option<&Hands<'_>> {
        match self {
            Who::Peer { hands, .. } => Some(hands),
            _ => None,
        }
    }

    fn what(&self) -> String {
        match self {
            Who::Batched(_) => "one call for the whole batch".to_owned(),
            Who::Loop(_) => "one call after the other, each on all threads".to_owned(),
            Who::Peer { hands, batch } => {
                let how = match (batch, hands.is_shared_out()) {
                    (true, _) => "its function for batches",
                    (_, true) => "products shared out, each on one thread",
                    _ => "one call after the other",
                };
                format!("{}, {how}, {}", hands.peer().about(), hands.place())
            }
        }
    }

    fn is_fair(&self) -> bool {
        matches!(self, Who::Batched(_))
    }
}

/// Operands and results of a batch, each product's at equal distances.
pub struct Batch<'a> {
    case: &'a Case,
    pool: &'a Pool,
    caches: Caches,
    a: Region,
    b: Region,
    c: Region,
    /// Our own results, that others are compared with.
    ours: Region,
    workspace: Region,
    slots: Slots,
}

/// Values from one product's operand to the next's.
#[derive(Clone, Copy)]
struct Slots {
    a: usize,
    b: usize,
    c: usize,
}

impl<'a> Batch<'a> {
    /// Lays `case` out for these instruction sets.
    ///
    /// # Errors
    /// When the system has no memory.
    pub fn new(
        case: &'a Case,
        isas: &[Isa],
        pool: &'a Pool,
        caches: Caches,
    ) -> Result<Self, ArenaError> {
        let slots = Slots {
            a: padded(case.largest(|(m, k, _)| m * k)),
            b: padded(case.largest(|(_, k, n)| k * n)),
            c: padded(case.largest(|(m, _, n)| m * n)),
        };
        let count = case.sizes.len();
        let needed = |isa: &Isa| case.largest(|(m, k, n)| workspace_len(*isa, m, n, k, false));
        let longest = isas.iter().map(needed).max().unwrap_or(0);
        // Each worker's part begins on a line of its own.
        let workspace = longest.next_multiple_of(LINE) * pool.workers();
        let mut arena = Arena::new(count * (slots.a + slots.b + 2 * slots.c) + padded(workspace))?;
        let mut batch = Self {
            case,
            pool,
            caches,
            a: arena.take(count * slots.a),
            b: arena.take(count * slots.b),
            c: arena.take(count * slots.c),
            ours: arena.take(count * slots.c),
            workspace: arena.take(workspace),
            slots,
        };
        noise(3, &mut batch.a);
        noise(4, &mut batch.b);
        Ok(batch)
    }

    /// The product of that number.
    fn product(&self, index: usize) -> Product<'_> {
        product(self.case, self.slots, &self.a, &self.b, index)
    }

    /// The whole batch by one call, `times` times.
    pub fn batched(&mut self, isa: Isa, times: usize) {
        let (case, slots, pool) = (self.case, self.slots, self.pool);
        let (a, b) = (&self.a, &self.b);
        let mut products: Vec<gemm::Product<'_>> = self
            .c
            .chunks_mut(slots.c)
            .enumerate()
            .map(|(index, c)| {
                let product = product(case, slots, a, b, index);
                let [left, right] = matrices(&product);
                gemm::Product {
                    a: left,
                    b: right,
                    c: MatrixMut::new(c, product.m, product.n),
                }
            })
            .collect();
        for _ in 0..times {
            gemm::batched(
                isa,
                self.caches,
                team(pool),
                &mut self.workspace,
                &mut products,
                Store::Set,
            );
        }
    }

    /// The whole batch by one call for each product, `times` times.
    pub fn one_by_one(&mut self, isa: Isa, times: usize) {
        let (case, slots) = (self.case, self.slots);
        for _ in 0..times {
            for (index, c) in self.c.chunks_mut(slots.c).enumerate() {
                let product = product(case, slots, &self.a, &self.b, index);
                let [left, right] = matrices(&product);
                multiply(
                    isa,
                    self.caches,
                    team(self.pool),
                    &mut self.workspace,
                    left,
                    Right::Plain(right),
                    MatrixMut::new(c, product.m, product.n),
                    Store::Set,
                    Epilogue::None,
                );
            }
        }
    }

    fn by_peer(&mut self, hands: &Hands<'_>, batch: bool, times: usize) -> Result<(), String> {
        let (case, slots) = (self.case, self.slots);
        let (a, b, c) = (&self.a, &self.b, &mut self.c);
        let single = |index: usize| product(case, slots, a, b, index);
        if batch {
            let products: Vec<Product<'_>> = (0..case.sizes.len()).map(single).collect();
            return hands.peer().multiply_batch(&products, c, slots.c, times);
        }
        if hands.is_shared_out() {
            let refused: Mutex<Result<(), String>> = Mutex::new(Ok(()));
            for _ in 0..times {
                for_parts(
                    self.pool,
                    [Parts::new(&mut c[..], slots.c)],
                    |index, [c]| {
                        if let Err(reason) = hands.peer().multiply(&single(index), c) {
                            *refused.lock().unwrap_or_else(PoisonError::into_inner) = Err(reason);
                        }
                    },
                );
            }
            return refused.into_inner().unwrap_or_else(PoisonError::into_inner);
        }
        for _ in 0..times {
            for (index, c) in c.chunks_mut(slots.c).enumerate() {
                hands.peer().multiply(&single(index), c)?;
            }
        }
        Ok(())
    }

    fn agree(&self, index: usize, place: usize, wanted: f64) -> Result<(), String> {
        let got = self.c[index * self.slots.c + place];
        let (_, k, n) = self.case.sizes[index];
        if contest::agree(got, wanted, k) {
            return Ok(());
        }
        Err(format!(
            "its result is wrong: element ({}, {}) of product {index} is {got}, not {wanted}",
            place / n,
            place % n
        ))
    }

    /// So that a peer which does nothing is found out.
    fn spoil(&mut self) {
        self.c.fill(f32::NAN);
    }
}

impl<'a> Task for Batch<'a> {
    type Who = Who<'a>;

    fn flops(&self) -> f64 {
        self.case.flops()
    }

    fn work(&mut self, who: &Who<'a>, times: usize) -> Result<(), String> {
        match who {
            Who::Batched(isa) => self.batched(*isa, times),
            Who::Loop(isa) => self.one_by_one(*isa, times),
            Who::Peer { hands, batch } => return self.by_peer(hands, *batch, times),
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), String> {
        for index in 0..self.case.sizes.len() {
            let product = self.product(index);
            // One element of each product, another one each time.
            let place = index * 769 % (product.m * product.n);
            let wanted = product.element(place / product.n, place % product.n);
            self.agree(index, place, wanted)?;
        }
        self.ours.copy_from_slice(&self.c);
        self.spoil();
        Ok(())
    }

    fn compare(&mut self) -> Result<(), String> {
        for (index, (m, _, n)) in self.case.sizes.iter().enumerate() {
            for place in 0..m * n {
                let wanted = f64::from(self.ours[index * self.slots.c + place]);
                self.agree(index, place, wanted)?;
            }
        }
        self.spoil();
        Ok(())
    }
}

/// One thread alone has nobody to share with.
fn team(pool: &Pool) -> &dyn Team {
    if pool.workers() == 1 { &Solo } else { pool }
}

fn product<'a>(case: &Case, slots: Slots, a: &'a [f32], b: &'a [f32], index: usize) -> Product<'a> {
    let (m, k, n) = case.sizes[index];
    Product {
        m,
        k,
        n,
        layout: case.layout,
        a: &a[index * slots.a..][..m * k],
        b: &b[index * slots.b..][..k * n],
    }
}

fn matrices<'a>(product: &Product<'a>) -> [Matrix<'a>; 2] {
    let Product {
        m,
        k,
        n,
        layout,
        a,
        b,
    } = *product;
    let left = match layout.a_transposed() {
        true => Matrix::new(a, k, m).transposed(),
        false => Matrix::new(a, m, k),
    };
    let right = match layout.b_transposed() {
        true => Matrix::new(b, n, k).transposed(),
        false => Matrix::new(b, k, n),
    };
    [left, right]
}

#[cfg(test)]
mod tests {
    use super::super::cases;
    use super::*;
    use crate::measure::clock::Clock;
    use crate::suites::peers::{self, Crew};

    #[test]
    fn every_way_gives_the_same_results() {
        let (isas, clock) = (Isa::available(), Clock::best());
        let found = peers::find();
        let cpu = crate::probe::Machine::detect().usable_cpus()[0];
        for cpus in [vec![cpu], vec![cpu, cpu]] {
            let pool = Pool::new(&cpus).unwrap();
            let crew = Crew::for_batches(&found.peers, &pool, &clock);
            for mut case in cases() {
                case.sizes.truncate(20);
                let mut batch = Batch::new(&case, &isas, &pool, Caches::default()).unwrap();
                batch.work(&Who::Batched(isas[0]), 1).unwrap();
                batch.accept().unwrap();
                for isa in &isas {
                    for who in [Who::Batched(*isa), Who::Loop(*isa)] {
                        batch.work(&who, 2).unwrap();
                        batch.compare().unwrap();
                    }
                }
                for hands in &crew.ready {
                    for batched in [false, hands.peer().has_batch()] {
                        let batch_of = Who::Peer {
                            hands,
                            batch: batched,
                        };
                        hands.run(|| batch.work(&batch_of, 2)).unwrap();
                        batch.compare().unwrap();
                    }
                }
                batch.work(&Who::Loop(isas[0]), 1).unwrap();
                batch.c[3] += 0.1;
                assert!(
                    batch
                        .compare()
                        .is_err_and(|why| why.contains("(0, 3) of product 0"))
                );
            }
        }
    }
}
