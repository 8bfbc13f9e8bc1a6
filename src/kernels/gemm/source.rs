//! Where the tasks of a product get the lines of an operand from: they lie ready, or each task packs its own.
#![allow(unsafe_code, reason = "tasks pack into parts of one workspace")]

use std::ops::Range;

use super::{
    ahead::Coming,
    matrix::Matrix,
    operand::Operand,
    pack::{self, PackPanels},
};
use crate::kernels::{Isa, Team, isa::Simd, team::Shared};

/// Tasks that may pack the same lines, each for itself: with more, packing them once before is less work.
pub(crate) const PACKERS: usize = 2;

/// An operand, for all tasks of a product.
pub(crate) enum Source<'a> {
    /// Panels, or the matrix as it lies.
    Ready(Operand<'a>),
    /// The matrix, and room of so many values for each worker: a task packs what it needs.
    Own(Matrix<'a>, Shared<'a, f32>, usize),
}

impl<'a> Source<'a> {
    /// The rows of `m` where they lie, if they are `plain`; else in panels of `width`. Where only a few tasks, `readers`, read the same
    /// rows, each packs `share` values at a time: it reads them from its core's caches, whereas a large operand that is packed before the
    /// first task goes to memory and comes back.
    pub(crate) fn new(
        isa: Isa,
        team: &dyn Team,
        (m, width): (Matrix<'a>, usize),
        plain: bool,
        (readers, share): (usize, usize),
        room: &'a mut [f32],
    ) -> Source<'a> {
        if !plain && readers <= PACKERS && share * team.workers() <= room.len() {
            Source::Own(m, Shared::new(room), share)
        } else {
            Source::Ready(Operand::new(isa, team, (m, width), plain, room))
        }
    }

    /// For a task of `worker`.
    pub(crate) fn lines(&self, worker: usize) -> Lines<'_> {
        match self {
            Source::Ready(operand) => Lines::Ready(*operand),
            Source::Own(m, room, share) => {
                let own = worker * share..(worker + 1) * share;
                // SAFETY: workers whose tasks overlap in time have different numbers.
                Lines::Own(*m, unsafe { room.part(own) })
            }
        }
    }
}

/// An operand, for one task of a product.
pub(crate) enum Lines<'a> {
    /// They lie ready: in panels, or where they are.
    Ready(Operand<'a>),
    /// The task packs what it needs, when it needs it: the lines, and room of its own that stays in its caches.
    Own(Matrix<'a>, &'a mut [f32]),
}

impl<'a> Lines<'a> {
    /// The operand, where it lies ready.
    pub(crate) fn ready(&self) -> Option<Operand<'a>> {
        match self {
            Lines::Ready(operand) => Some(*operand),
            Lines::Own(..) => None,
        }
    }

    /// What a task that reads the steps `steps` of the lines `lines` from elsewhere than L2 would wait for: panels, or what it packs. What
    /// tiles read where it lies is not worth fetching.
    pub(crate) fn coming(&self, lines: Range<usize>, steps: Range<usize>) -> Coming {
        match self {
            Lines::Ready(operand) if operand.is_packed() => operand.coming(lines, steps),
            _ => self.to_pack(lines, steps),
        }
    }

    /// What a task that packs the steps `steps` of the lines `lines` would wait for; nothing where they lie ready.
    pub(crate) fn to_pack(&self, lines: Range<usize>, steps: Range<usize>) -> Coming {
        match self {
            Lines::Ready(_) => Coming::nothing(),
            Lines::Own(matrix, _) => Operand::plain(*matrix).coming(lines, steps),
        }
    }

    /// The panels of `width` lines that hold the lines `lines`, with the steps `steps` alone where the task packs them.
    #[inline(always)]
    pub(crate) fn panels<S: Simd>(
        &mut self,
        s: S,
        width: usize,
        lines: Range<usize>,
        steps: Range<usize>,
    ) -> Panels<'_> {
        match self {
            Lines::Ready(operand) => Panels {
                operand: *operand,
                line: 0,
                step: 0,
            },
            Lines::Own(matrix, room) => {
                // The matrix's rows and columns of this task are the first of what it packs.
                let m = matrix.rows(lines.clone()).columns(steps.clone());
                let panels = m.rows.div_ceil(width);
                let to = pack::Panels::new(room, width, m.columns, panels);
                // SAFETY: the room is the task's own.
                s.run(unsafe { PackPanels::new(m, 0..panels, 0..m.columns, to) });
                Panels {
                    operand: Operand::panels(room, width, m.columns),
                    line: lines.start,
                    step: steps.start,
                }
            }
        }
    }
}

/// Lines that lie ready, counted as those of the whole matrix.
pub(crate) struct Panels<'a> {
    operand: Operand<'a>,
    /// The matrix's line and step that come first in `operand`.
    line: usize,
    step: usize,
}

impl Panels<'_> {
    /// As [`Operand::is_packed`].
    pub(crate) fn is_packed(&self) -> bool {
        self.operand.is_packed()
    }

    /// As [`Operand::ahead`].
    #[inline(always)]
    pub(crate) fn ahead(&self, line: usize, from: usize, depth: usize) -> (*const f32, usize) {
        let (line, from) = (line - self.line, from - self.step);
        self.operand.ahead(line, from, depth)
    }

    /// As [`Operand::at`].
    #[inline(always)]
    pub(crate) fn at(
        &self,
        line: usize,
        lines: usize,
        from: usize,
        depth: usize,
    ) -> (*const f32, usize, usize) {
        self.operand
            .at(line - self.line, lines, from - self.step, depth)
    }
}
