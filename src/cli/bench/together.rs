//! A measurement by several processes: what must be the same for all, and what each found, gathered by rank 0.

use super::super::environment;
use super::super::outcome::Failure;
use super::super::ranks::{Ranks, program};
use super::Arguments;
use crate::record::{Member, Run};
use crate::suites::fleet::Companions;

/// The suite that is about several processes.
const FLEET: &str = "fleet";

/// Refuses what cannot be measured by so many processes, and processes that are not alike.
///
/// # Errors
/// For the suite of several processes in one, and for other programs or commands on other ranks.
pub(super) fn check(arguments: &Arguments, ranks: &Ranks) -> Result<(), Failure> {
    if ranks.count() == 1 && arguments.suite == FLEET {
        let what = "the suite fleet is about several processes, and this is one";
        return Err(Failure::wrong_use(what)
            .help("start it by mpirun -n 2 or srun, in a build with --features mpi"));
    }
    if ranks.count() > 1 {
        let words: Vec<String> = environment::command_line().skip(1).collect();
        ranks.same(&[program()?, ("command line".to_owned(), words.join(" "))])?;
    }
    Ok(())
}

/// The others, for the suites.
pub(super) fn companions(ranks: &Ranks) -> Option<Companions> {
    Some(Companions {
        fleet: ranks.fleet()?.clone(),
        names: ranks.names(),
    })
}

/// Every rank as a member of the document of rank 0, whose own numbers are there already; none where there is one process. All ranks
/// call this together.
///
/// # Errors
/// When what a rank says is no member.
pub(super) fn members(ranks: &Ranks, own: &Run) -> Result<Vec<Member>, Failure> {
    let Some(fleet) = ranks.fleet() else {
        return Ok(Vec::new());
    };
    let member = Member {
        name: ranks.names().swap_remove(fleet.rank()),
        machine: own.machine.summary.clone(),
        metrics: match fleet.rank() {
            0 => Vec::new(),
            _ => own.metrics.clone(),
        },
    };
    let json = serde_json::to_vec(&member).map_err(Failure::failed)?;
    let all = fleet.tell(json);
    all.iter()
        .map(|bytes| serde_json::from_slice(bytes).map_err(Failure::failed))
        .collect()
}
