//! One product laid out in memory, and everything that can be called on it.

use super::Case;
use crate::kernels::gemm::{
    Caches, Epilogue, Matrix, MatrixMut, PackedRight, Right, Store, gemv, multiply, pack_right,
    packed_right_len, workspace_len,
};
use crate::kernels::{Isa, Team};
use crate::suites::contest;
use crate::suites::operands::noise;
use crate::suites::peers::{Hands, Layout, Product};
use crate::tensor::{Arena, ArenaError, Region, padded};

/// Elements of a result that are computed again in f64.
const SAMPLED: usize = 64;

/// Operands, result and workspace of one case. Every implementation reads and writes the same memory.
pub struct Table {
    case: Case,
    a: Region,
    b: Region,
    c: Region,
    /// Our own result, that others are compared with.
    ours: Region,
    workspace: Region,
    /// B packed, for each instruction set.
    packed: Vec<(Isa, Region)>,
}

impl Table {
    /// Bytes that [`Table::new`] takes.
    pub fn bytes(case: &Case, isas: &[Isa]) -> u64 {
        4 * values(case, isas) as u64
    }

    /// Lays `case` out for these instruction sets.
    ///
    /// # Errors
    /// When the system has no memory.
    pub fn new(case: Case, isas: &[Isa]) -> Result<Self, ArenaError> {
        let Case { m, k, n, .. } = case;
        let mut arena = Arena::new(values(&case, isas))?;
        let mut table = Self {
            case,
            a: arena.take(m * k),
            b: arena.take(k * n),
            c: arena.take(m * n),
            ours: arena.take(m * n),
            workspace: arena.take(workspace(&case, isas)),
            packed: Vec::new(),
        };
        for isa in isas {
            let room = arena.take(packed_right_len(*isa, k, n));
            table.packed.push((*isa, room));
        }
        noise(1, &mut table.a);
        noise(2, &mut table.b);
        Ok(table)
    }

    /// What lies on it.
    pub fn case(&self) -> Case {
        self.case
    }

    /// Packs B for our "packed" variant; outside of what is timed.
    pub fn pack(&mut self, team: &dyn Team) {
        let b = right(&self.case, &self.b);
        for (isa, room) in &mut self.packed {
            pack_right(*isa, team, b, room);
        }
    }

    /// Our product; `packed` takes B as [`Table::pack`] left it, otherwise it is packed within the call. A single row is multiplied
    /// without packing anything, unless B is packed already.
    pub fn multiply(&mut self, isa: Isa, caches: Caches, team: &dyn Team, packed: bool) {
        let Case {
            m, k, n, layout, ..
        } = self.case;
        let a = match layout.a_transposed() {
            true => Matrix::new(&self.a, k, m).transposed(),
            false => Matrix::new(&self.a, m, k),
        };
        if m == 1 && !packed {
            let b = right(&self.case, &self.b);
            return gemv(isa, team, &self.a, b, &[], &mut self.c);
        }
        let room = self.packed.iter().find(|(of, _)| packed && *of == isa);
        let b = match room {
            Some((isa, room)) => Right::Packed(PackedRight::new(*isa, room, k, n)),
            None => Right::Plain(right(&self.case, &self.b)),
        };
        multiply(
            isa,
            caches,
            team,
            &mut self.workspace,
            a,
            b,
            MatrixMut::new(&mut self.c, m, n),
            Store::Set,
            Epilogue::None,
        );
    }

    /// The same product by a peer.
    ///
    /// # Errors
    /// What the peer refused.
    pub fn multiply_by(&mut self, hands: &Hands<'_>) -> Result<(), String> {
        let product = product(&self.case, &self.a, &self.b);
        hands.peer().multiply(&product, &mut self.c)
    }

    /// Takes what is in C as the result to compare with, after computing some of its elements again in f64.
    ///
    /// # Errors
    /// The first element that is wrong.
    pub fn accept(&mut self) -> Result<(), String> {
        let (all, product) = (self.c.len(), product(&self.case, &self.a, &self.b));
        let step = (all / SAMPLED).max(1);
        for place in (0..all).step_by(step).chain([all - 1]) {
            let (i, j) = (place / self.case.n, place % self.case.n);
            self.agree(place, product.element(i, j))?;
        }
        self.ours.copy_from_slice(&self.c);
        self.spoil();
        Ok(())
    }

    /// Compares all of C with the accepted result, and spoils it for the next one.
    ///
    /// # Errors
    /// The first element that differs by more than the order of sums explains.
    pub fn compare(&mut self) -> Result<(), String> {
        for place in 0..self.c.len() {
            self.agree(place, f64::from(self.ours[place]))?;
        }
        self.spoil();
        Ok(())
    }

    fn agree(&self, place: usize, wanted: f64) -> Result<(), String> {
        let got = self.c[place];
        if contest::agree(got, wanted, self.case.k) {
            return Ok(());
        }
        Err(format!(
            "its result is wrong: element ({}, {}) is {got}, not {wanted}",
            place / self.case.n,
            place % self.case.n
        ))
    }

    /// So that a peer which does nothing is found out.
    fn spoil(&mut self) {
        self.c.fill(f32::NAN);
    }
}

fn product<'a>(case: &Case, a: &'a [f32], b: &'a [f32]) -> Product<'a> {
    let Case { m, k, n, layout } = *case;
    Product {
        m,
        k,
        n,
        layout,
        a,
        b,
    }
}

fn right<'a>(case: &Case, b: &'a [f32]) -> Matrix<'a> {
    match case.layout {
        Layout::Nt => Matrix::new(b, case.n, case.k).transposed(),
        Layout::Nn | Layout::Tn => Matrix::new(b, case.k, case.n),
    }
}

fn workspace(case: &Case, isas: &[Isa]) -> usize {
    let needed = |isa: &Isa| workspace_len(*isa, case.m, case.n, case.k, false);
    isas.iter().map(needed).max().unwrap_or(0)
}

fn values(case: &Case, isas: &[Isa]) -> usize {
    let Case { m, k, n, .. } = *case;
    let packed = |isa: &Isa| padded(packed_right_len(*isa, k, n));
    padded(m * k)
        + padded(k * n)
        + 2 * padded(m * n)
        + padded(workspace(case, isas))
        + isas.iter().map(packed).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Solo;

    #[test]
    fn a_single_row_is_right_in_every_layout() {
        for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
            let (m, k, n) = (1, 65, 130);
            let isas = Isa::available();
            let mut table = Table::new(Case { m, k, n, layout }, &isas).unwrap();
            table.pack(&Solo);
            table.multiply(isas[0], Caches::default(), &Solo, true);
            table.accept().unwrap();
            table.multiply(isas[0], Caches::default(), &Solo, false);
            table.compare().unwrap();
        }
    }

    #[test]
    fn right_results_are_accepted_and_wrong_ones_found() {
        let isas = Isa::available();
        for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
            let case = Case {
                m: 37,
                k: 129,
                n: 53,
                layout,
            };
            let mut table = Table::new(case, &isas).unwrap();
            assert!(table.accept().is_err(), "nothing was computed");
            table.pack(&Solo);
            table.multiply(isas[0], Caches::default(), &Solo, false);
            table.accept().unwrap();
            for isa in &isas {
                for packed in [false, true] {
                    table.multiply(*isa, Caches::default(), &Solo, packed);
                    table.compare().unwrap();
                    assert!(table.compare().is_err(), "an old result was compared");
                }
            }
            table.multiply(isas[0], Caches::default(), &Solo, false);
            table.c[777] += 0.01;
            let error = table.compare().unwrap_err();
            assert!(error.contains("element (14, 35)"), "{error}");
        }
    }
}
