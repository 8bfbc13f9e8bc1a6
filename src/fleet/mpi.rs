//! Ranks that `mpirun` or `srun` started, by the MPI library that this program was linked with.
//!
//! Collectives are started and then looked after with short sleeps: a blocking one polls, and takes a core from the kernels for as long as
//! the slowest rank needs.

use std::io;
use std::thread::{sleep, yield_now};
use std::time::Duration;

use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::request::{Request, Scope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

use super::Ranks;

/// Looks at a request before the thread sleeps between them: what is short is done at once.
const LOOKS: usize = 20;

/// Between two looks.
const PAUSE: Duration = Duration::from_micros(20);

/// Why there is no MPI.
#[derive(Debug, thiserror::Error)]
pub enum MpiError {
    /// It did not start, or had been started.
    #[error("MPI cannot be initialised")]
    NotStarted,
    /// It forbids a thread that calls it.
    #[error("this MPI allows no threads beside the one that calls it ({0:?})")]
    Threads(Threading),
    /// No thread to call it from.
    #[error("no thread for MPI: {0}")]
    Thread(#[from] io::Error),
}

/// The world that this process was started in.
pub struct Mpi {
    world: SimpleCommunicator,
    /// What others' blocks are received in.
    spare: Vec<f32>,
    /// Finalizes MPI when it is dropped: last.
    _universe: Universe,
}

impl Mpi {
    /// Initialises MPI: once in a process, on the thread that will call it.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn connect() -> Result<Mpi, MpiError> {
        let (universe, threading) =
            mpi::initialize_with_threading(Threading::Funneled).ok_or(MpiError::NotStarted)?;
        if threading < Threading::Funneled {
            return Err(MpiError::Threads(threading));
        }
        Ok(Mpi {
            world: universe.world(),
            spare: Vec::new(),
            _universe: universe,
        })
    }

    /// The name and version of the library.
    pub fn library() -> String {
        let name = mpi::environment::library_version().unwrap_or_default();
        name.split(',').next().unwrap_or_default().trim().to_owned()
    }
}

/// Until it is done.
fn wait<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) {
    for look in 0.. {
        match request.test() {
            Ok(_) => return,
            Err(pending) => request = pending,
        }
        if look < LOOKS {
            yield_now();
        } else {
            sleep(PAUSE);
        }
    }
}

impl Ranks for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn tell(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        // With one byte more: the pointer of an empty slice of bytes is 1, which is OpenMPI's MPI_IN_PLACE.
        let bytes = &[bytes, &[0]].concat()[..];
        let own = bytes.len() as i32;
        let mut lengths = vec![0_i32; self.size()];
        scope(|scope| {
            wait(
                self.world
                    .immediate_all_gather_into(scope, &own, &mut lengths[..]),
            )
        });
        let starts: Vec<i32> = lengths
            .iter()
            .scan(0, |end, length| Some(std::mem::replace(end, *end + length)))
            .collect();
        let mut all = vec![0_u8; lengths.iter().map(|length| *length as usize).sum()];
        {
            let mut parts = PartitionMut::new(&mut all[..], &lengths[..], &starts[..]);
            scope(|scope| {
                wait(
                    self.world
                        .immediate_all_gather_varcount_into(scope, bytes, &mut parts),
                )
            });
        }
        let of_rank =
            |(start, length): (&i32, &i32)| all[*start as usize..][..*length as usize - 1].to_vec();
        starts.iter().zip(&lengths).map(of_rank).collect()
    }

    fn sum_own(&mut self, values: &mut [f32]) {
        let block = self.block(values.len());
        self.spare.resize(values.len(), 0.0);
        let (own, blocks) = (&values[..], &mut self.spare[..]);
        // By pieces that everybody adds up alike: what a library's reduction adds first, depends on library, size and number of ranks.
        scope(|scope| wait(self.world.immediate_all_to_all_into(scope, own, blocks)));
        let mut blocks = self.spare.chunks_exact(block.len().max(1));
        let sums = &mut values[block];
        if let Some(first) = blocks.next() {
            sums.copy_from_slice(first);
        }
        for of_rank in blocks {
            for (sum, value) in sums.iter_mut().zip(of_rank) {
                *sum += value;
            }
        }
    }

    fn gather(&mut self, values: &mut [f32]) {
        let block = self.block(values.len());
        self.spare.clear();
        self.spare.extend_from_slice(&values[block]);
        let own = &self.spare[..];
        scope(|scope| wait(self.world.immediate_all_gather_into(scope, own, values)));
    }

    fn spread(&mut self, values: &mut [f32]) {
        let first = self.world.process_at_rank(0);
        scope(|scope| wait(first.immediate_broadcast_into(scope, values)));
    }
}
