//! What a command computes with: the instruction set, the caches and a pool of threads on the CPUs this process may use.

use std::sync::Arc;

use super::environment;
use super::outcome::Failure;
use super::ranks::own_part;
use crate::kernels::Isa;
use crate::kernels::gemm::Caches;
use crate::model::{Compute, Switches};
use crate::parallel::Pool;
use crate::probe::Machine;
use crate::suites;

/// The means of computing.
pub(crate) struct Workers {
    /// This machine.
    pub(crate) machine: Machine,
    /// The instruction set of every kernel.
    pub(crate) isa: Isa,
    /// Caches that a thread can count on.
    pub(crate) caches: Caches,
    /// One thread for each CPU it was built for.
    pub(crate) pool: Arc<Pool>,
}

impl Workers {
    /// As many threads as asked for, or as this process may use at once.
    ///
    /// # Errors
    /// When more are asked for than there are CPUs, or `LOOPOS_ISA` asks for what this machine does not have.
    pub(crate) fn new(threads: Option<usize>) -> Result<Workers, Failure> {
        Workers::among(threads, 0, 1)
    }

    /// The same for one of several processes that may use the same CPUs, on its share of them.
    ///
    /// # Errors
    /// As [`Workers::new`].
    pub(crate) fn among(
        threads: Option<usize>,
        process: usize,
        processes: usize,
    ) -> Result<Workers, Failure> {
        let isa = environment::isa()?;
        let machine = Machine::detect();
        let cpus = machine.usable_cpus();
        let cpus = own_part(&cpus, process, processes);
        let threads = threads.unwrap_or_else(|| machine.usable_threads().min(cpus.len()));
        if threads == 0 || threads > cpus.len() {
            let what = format!(
                "{threads} threads are asked for, and this process may use {} CPUs",
                cpus.len()
            );
            return Err(Failure::wrong_use(what)
                .help("more threads than CPUs only wait for each other; see `loopos probe`"));
        }
        let pool = Arc::new(Pool::new(&cpus[..threads]).map_err(Failure::failed)?);
        let caches = suites::caches(&machine, threads);
        Ok(Workers {
            machine,
            isa,
            caches,
            pool,
        })
    }

    /// What the model's operators ask for.
    pub(crate) fn compute(&self) -> Compute<'_> {
        Compute {
            isa: self.isa,
            caches: self.caches,
            team: &*self.pool,
            switches: Switches::default(),
        }
    }
}
