//! Ranks that `mpirun` or `srun` started, by the MPI library that this program was linked with.
//!
//! Collectives are started and then looked after with short sleeps: a blocking one polls, and takes a core from the kernels for as long as
//! the slowest rank needs. Long messages travel in pieces, each a collective of its own, some of them on their way at the same time.

use std::collections::VecDeque;
use std::io;
use std::iter::zip;
use std::thread::sleep;
use std::time::Duration;

use mpi::Threading;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::request::{Request, Scope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};

use super::Ranks;

/// Looks at a request before the thread sleeps between them: a message of a few bytes, which everybody waits for, is back by then, and a
/// piece of a long one takes the time of the kernels. It never yields instead: to a thread that computes on the same CPU that gives a whole
/// turn of the scheduler, milliseconds, while who has slept is woken at once. Sums of 3 MB beside such a thread took 24 ms with yields and
/// 5 without.
const LOOKS: usize = 500;
const LOOKS_OF_PIECES: usize = 20;

/// Between two looks.
const PAUSE: Duration = Duration::from_micros(50);

/// Values of a rank's block in a piece: 60 KB. Up to 64 KB OpenMPI sends over TCP at once; beyond, the two ends first agree, and both ways
/// together get little more than one (on a wire of 1 Gbit/s 0.075 GB/s instead of 0.12; with a second connection, `btl_tcp_links 2`, 0.12
/// again). MPICH gets 0.12 either way.
const PIECE: usize = 15 * 1024;

/// Pieces on their way at the same time: enough to fill a wire while the slowest is waited for.
const FLIGHT: usize = 32;

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
    /// Blocks in the order in which they travel, where a rank's block is to lie in one.
    sorted: Vec<f32>,
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
            sorted: Vec::new(),
            _universe: universe,
        })
    }

    /// The name and version of the library.
    pub fn library() -> String {
        let name = mpi::environment::library_version().unwrap_or_default();
        name.split(',').next().unwrap_or_default().trim().to_owned()
    }
}

/// Until it is done; with sleeps after so many looks.
fn wait<'a, D: ?Sized, S: Scope<'a>>(looks: usize, mut request: Request<'a, D, S>) {
    for look in 0.. {
        match request.test() {
            Ok(_) => return,
            Err(pending) => request = pending,
        }
        if look >= looks {
            sleep(PAUSE);
        }
    }
}

/// Gives every rank its block of each piece of `own`, and receives those of all.
fn trade(world: &SimpleCommunicator, own: &[f32], blocks: &mut [f32]) {
    let piece = PIECE * world.size() as usize;
    let looks = looks(own.len(), piece);
    scope(|scope| {
        let pieces = zip(own.chunks(piece), blocks.chunks_mut(piece));
        in_flight(
            looks,
            pieces.map(|(own, blocks)| world.immediate_all_to_all_into(scope, own, blocks)),
        );
    });
}

/// Gives all ranks the first block of each piece of `own`, and receives theirs.
fn share_out(world: &SimpleCommunicator, own: &[f32], all: &mut [f32]) {
    let size = world.size() as usize;
    let looks = looks(own.len(), PIECE * size);
    scope(|scope| {
        let pieces = zip(own.chunks(PIECE * size), all.chunks_mut(PIECE * size));
        in_flight(
            looks,
            pieces.map(|(own, all)| {
                world.immediate_all_gather_into(scope, &own[..own.len() / size], all)
            }),
        );
    });
}

/// Starts some requests and the others as these are done, in their order.
fn in_flight<'a, D: ?Sized + 'a, S: Scope<'a>>(
    looks: usize,
    requests: impl Iterator<Item = Request<'a, D, S>>,
) {
    let mut flying = VecDeque::with_capacity(FLIGHT);
    for request in requests {
        if flying.len() == FLIGHT {
            let oldest = flying.pop_front();
            oldest.into_iter().for_each(|oldest| wait(looks, oldest));
        }
        flying.push_back(request);
    }
    flying.into_iter().for_each(|oldest| wait(looks, oldest));
}

/// How often to look for each part of a message that is so long, in values.
fn looks(message: usize, piece: usize) -> usize {
    if message > piece {
        LOOKS_OF_PIECES
    } else {
        LOOKS
    }
}

/// Adds all blocks of each piece to its first, in the order of the ranks, whatever a library would add first.
fn add_up(blocks: &mut [f32], ranks: usize) {
    for piece in blocks.chunks_mut(PIECE * ranks) {
        let (sums, others) = piece.split_at_mut(piece.len() / ranks);
        for of_rank in others.chunks_exact(sums.len()) {
            for (sum, value) in zip(&mut *sums, of_rank) {
                *sum += value;
            }
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
                LOOKS,
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
                    LOOKS,
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
        let (size, block) = (self.size(), self.block(values.len()));
        if values.is_empty() {
            return;
        }
        self.spare.resize(values.len(), 0.0);
        self.sorted.clear();
        // By pieces, and of each the blocks of all ranks.
        for begin in (0..block.len()).step_by(PIECE) {
            for of_rank in values.chunks_exact(block.len()) {
                let end = of_rank.len().min(begin + PIECE);
                self.sorted.extend_from_slice(&of_rank[begin..end]);
            }
        }
        trade(&self.world, &self.sorted, &mut self.spare);
        add_up(&mut self.spare, size);
        let pieces = self.spare.chunks(PIECE * size);
        for (sums, piece) in zip(values[block].chunks_mut(PIECE), pieces) {
            sums.copy_from_slice(&piece[..sums.len()]);
        }
    }

    fn gather(&mut self, values: &mut [f32]) {
        let (size, block) = (self.size(), self.block(values.len()));
        if values.is_empty() {
            return;
        }
        self.spare.resize(values.len(), 0.0);
        self.sorted.resize(values.len(), 0.0);
        let pieces = self.spare.chunks_mut(PIECE * size);
        for (own, piece) in zip(values[block.clone()].chunks(PIECE), pieces) {
            piece[..own.len()].copy_from_slice(own);
        }
        share_out(&self.world, &self.spare, &mut self.sorted);
        for (index, piece) in self.sorted.chunks(PIECE * size).enumerate() {
            let blocks = piece.chunks_exact(piece.len() / size);
            for (of_rank, values) in zip(blocks, values.chunks_exact_mut(block.len())) {
                values[index * PIECE..][..of_rank.len()].copy_from_slice(of_rank);
            }
        }
    }

    fn sum(&mut self, values: &mut [f32]) {
        // Whose block a value is in, is nobody's concern here: each piece is cut by itself.
        let size = self.size();
        self.block(values.len());
        self.spare.resize(values.len(), 0.0);
        trade(&self.world, values, &mut self.spare);
        add_up(&mut self.spare, size);
        share_out(&self.world, &self.spare, values);
    }

    fn spread(&mut self, values: &mut [f32]) {
        let first = self.world.process_at_rank(0);
        scope(|scope| wait(LOOKS, first.immediate_broadcast_into(scope, values)));
    }
}
