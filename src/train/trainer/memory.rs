//! What a trainer takes of memory, role by role.

use super::Trainer;
use crate::train::exchange::Exchange;
use crate::train::plan::RoleMemory;

impl Trainer {
    /// The memory of each role: planned, in use now, and at most. Some system calls; not for every step.
    pub fn memory(&mut self) -> Vec<RoleMemory> {
        let roles = self.plan.memory().roles();
        self.peaks.resize(roles.len(), 0);
        let (arenas, exchange) = (&self.arenas, self.exchange.as_ref());
        let each = roles.into_iter().zip(&mut self.peaks);
        each.map(|((role, planned), peak)| {
            let of_role = arenas.iter().filter(|(of, _)| *of == role);
            let mut used: Option<usize> = of_role.map(|(_, arena)| arena.resident_bytes()).sum();
            if role == "exchange" {
                used = exchange.map(Exchange::used_bytes);
            }
            *peak = used.map_or(*peak, |used| used.max(*peak));
            RoleMemory {
                role,
                planned,
                used,
                peak: used.map(|_| *peak),
            }
        })
        .collect()
    }
}
