//! Processes that train one model together, each a rank: what they add up, what they tell each other, and whether all are there.
//!
//! One thread of each process, [`Fleet`]'s, owns the engine that carries messages ([`Ranks`]) and takes jobs, so that the thread that
//! computes goes on while sums are on their way. A process that is alone has no fleet, and pays nothing.

mod line;
#[cfg(feature = "mpi")]
mod mpi;
mod ranks;
mod roll;
#[cfg(test)]
pub(crate) mod testing;
mod watch;

#[cfg(feature = "mpi")]
pub use self::mpi::{Mpi, MpiError};
pub use line::Fleet;
pub use ranks::{Ranks, share};
pub use roll::{Difference, Entry, difference};
pub use watch::{Farewell, Lost, Peer, Watch, WatchError};
