//! A command that several processes run together: how they find each other, what must be the same for all, and how they end.

mod launch;
mod roll_call;

use std::sync::Arc;
use std::time::Duration;

use super::environment;
use super::outcome::{self, Exit, Failure};
use crate::fleet::{Farewell, Fleet, Lost, Watch};
use crate::parallel;
use crate::probe::Machine;
use roll_call::Place;
pub(crate) use roll_call::{fingerprint, own_part, program};

/// A failed rank speaks after rank 0 had the time to: where both failed of the same, one is enough.
const AFTER_YOU: Duration = Duration::from_millis(700);

/// The processes that run this command: most often one.
#[derive(Default)]
pub(crate) struct Ranks {
    together: Option<Together>,
}

struct Together {
    fleet: Arc<Fleet>,
    watch: Watch,
    place: Place,
    names: Vec<String>,
}

impl Ranks {
    /// Joins the others that a launcher started; alone where there is no launcher. `wanted` is how many there must be, where the user
    /// says so.
    ///
    /// # Errors
    /// When this program cannot be one of several, was started by the launcher of another MPI, or does not reach the others.
    pub(crate) fn join(wanted: Option<usize>) -> Result<Ranks, Failure> {
        let Some(fleet) = launch::connect(wanted)? else {
            if environment::launched().is_some() {
                roll_call::warn_if_bound(&Machine::detect(), 1);
            }
            return Ok(Ranks::default());
        };
        let (name, addresses) = launch::own_name_and_addresses();
        if fleet.rank() > 0 {
            outcome::speak_as(format!("rank {} ({name})", fleet.rank()));
        }
        let watch = Watch::start(&fleet, &name, &addresses, end_without)
            .map_err(|error| Failure::failed(error).help(
                "the ranks watch each other over TCP, beside MPI: let them reach the ports of rank 0's host",
            ))?;
        let names = fleet.tell(name.into_bytes());
        let names = names
            .iter()
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect();
        let place = roll_call::place(&fleet);
        Ok(Ranks {
            together: Some(Together {
                fleet: Arc::new(fleet),
                watch,
                place,
                names,
            }),
        })
    }

    /// The other processes, where there are any.
    pub(crate) fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.together.as_ref().map(|together| &together.fleet)
    }

    /// Whether this process speaks and keeps for all.
    pub(crate) fn is_first(&self) -> bool {
        self.fleet().is_none_or(|fleet| fleet.rank() == 0)
    }

    /// How many processes there are.
    pub(crate) fn count(&self) -> usize {
        self.fleet().map_or(1, |fleet| fleet.size())
    }

    /// Which of the processes that may use the same CPUs this is, and of how many.
    pub(crate) fn place(&self) -> (usize, usize) {
        self.together
            .as_ref()
            .map_or((0, 1), |together| together.place.among)
    }

    /// Whether no rank before this one runs on the same system.
    pub(crate) fn is_first_here(&self) -> bool {
        let place = self.together.as_ref().map(|together| &together.place);
        place.is_none_or(|place| place.is_first_here)
    }

    /// Does something on this process's share of the CPUs, and with threads that start there.
    pub(crate) fn placed<R>(&self, f: impl FnOnce() -> R) -> R {
        match &self.together {
            Some(together) => parallel::placed(&together.place.cpus, f),
            None => f(),
        }
    }

    /// Each rank for people.
    pub(crate) fn names(&self) -> Vec<String> {
        let together = self.together.as_ref();
        together.map_or_else(Vec::new, |together| together.names.clone())
    }

    /// A rank for people.
    pub(crate) fn name(&self, rank: usize) -> String {
        let name = self
            .together
            .as_ref()
            .and_then(|together| together.names.get(rank));
        name.map_or_else(
            || format!("rank {rank}"),
            |name| format!("rank {rank} ({name})"),
        )
    }

    /// Refuses where a rank has something else than rank 0 under the same name.
    ///
    /// # Errors
    /// On all ranks, with the rank and the name.
    pub(crate) fn same(&self, entries: &[(String, String)]) -> Result<(), Failure> {
        let Some(fleet) = self.fleet() else {
            return Ok(());
        };
        roll_call::same(fleet, entries).map_or(Ok(()), |other| {
            let (who, what) = (self.name(other.rank), &other.what);
            Err(Failure::wrong_use(format!(
                "{who} is not like rank 0: its {what} is {}, not {}",
                other.here, other.first
            ))
            .help("give every host the same program, the same configuration and the same text; LOOPOS_ISA forces one instruction set"))
        })
    }

    /// What rank 0 says.
    pub(crate) fn hear(&self, bytes: Vec<u8>) -> Vec<u8> {
        match self.fleet() {
            None => bytes,
            Some(fleet) => fleet.hear(bytes),
        }
    }

    /// Ends with the others, or makes them end too.
    pub(crate) fn part(self, is_well: bool) {
        let Some(Together { fleet, watch, .. }) = self.together else {
            return;
        };
        if is_well {
            fleet.leave();
            watch.end(Farewell::Done);
            return;
        }
        let first = fleet.rank() == 0;
        watch.end(Farewell::Failed);
        if !first {
            std::thread::sleep(AFTER_YOU);
        }
    }
}

/// Ends this process, for it cannot go on without who is lost. Nothing is half-written: files appear by a rename.
fn end_without(lost: Lost) {
    if !matches!(&lost, Lost::Failed(peer) if peer.rank == 0) {
        outcome::last_words(format!(
            "{lost}; the run ends here, and its newest checkpoint is whole: start again with --resume"
        ));
    }
    // Without the exit handlers: those of MPI would wait for the lost rank.
    signal_hook::low_level::exit(i32::from(Exit::Failed.code()));
}
