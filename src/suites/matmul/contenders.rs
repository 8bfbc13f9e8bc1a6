//! Who computes a product: we, with B packed within the call or before, and the peers.

use super::Table;
use crate::kernels::gemm::Caches;
use crate::kernels::{Isa, Solo, Team};
use crate::parallel::Pool;
use crate::suites::contest::{Contender, Task};
use crate::suites::peers::Hands;

/// One way to compute a product.
pub(super) enum Who<'a> {
    /// Ours; `row` where A has a single one.
    Ours { isa: Isa, packed: bool, row: bool },
    /// A peer's.
    Peer(&'a Hands<'a>),
}

impl Contender for Who<'_> {
    fn variant(&self) -> String {
        match self {
            Who::Ours { isa, packed, .. } if *packed => format!("{}_packed", isa.name()),
            Who::Ours { isa, .. } => isa.name().to_owned(),
            Who::Peer(hands) => hands.peer().name().to_owned(),
        }
    }

    fn isa(&self) -> Option<Isa> {
        match self {
            Who::Ours { isa, .. } => Some(*isa),
            Who::Peer(_) => None,
        }
    }

    fn hands(&self) -> Option<&Hands<'_>> {
        match self {
            Who::Ours { .. } => None,
            Who::Peer(hands) => Some(hands),
        }
    }

    fn what(&self) -> String {
        match self {
            Who::Ours { packed: true, .. } => "B packed before, as weights are".to_owned(),
            Who::Ours { row: true, .. } => "vector times matrix, nothing packed".to_owned(),
            Who::Ours { .. } => "both operands packed within the call".to_owned(),
            Who::Peer(hands) => format!("{}, {}", hands.peer().about(), hands.place()),
        }
    }

    fn is_fair(&self) -> bool {
        matches!(self, Who::Ours { packed: false, .. })
    }
}

/// A product on the table and what ours is computed with.
pub(super) struct Product<'a> {
    pub(super) table: Table,
    pub(super) pool: &'a Pool,
    pub(super) caches: Caches,
}

impl<'a> Product<'a> {
    pub(super) fn new(mut table: Table, pool: &'a Pool, caches: Caches) -> Self {
        pool.assemble(|| table.pack(pool));
        Self {
            table,
            pool,
            caches,
        }
    }
}

impl<'a> Task for Product<'a> {
    type Who = Who<'a>;

    fn flops(&self) -> f64 {
        self.table.case().flops()
    }

    fn work(&mut self, who: &Who<'a>, times: usize) -> Result<(), String> {
        match who {
            Who::Ours { isa, packed, .. } => {
                // One thread alone has nobody to share with.
                let team: &dyn Team = if self.pool.cpus().len() == 1 {
                    &Solo
                } else {
                    self.pool
                };
                for _ in 0..times {
                    self.table.multiply(*isa, self.caches, team, *packed);
                }
                Ok(())
            }
            Who::Peer(hands) => (0..times).try_for_each(|_| self.table.multiply_by(hands)),
        }
    }

    fn accept(&mut self) -> Result<(), String> {
        self.table.accept()
    }

    fn compare(&mut self) -> Result<(), String> {
        self.table.compare()
    }
}
