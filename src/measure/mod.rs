//! The instrument, ignorant of what it times: clocks, counters, frequency, this process, and the plan of a measurement.
//!
//! | question | answered by |
//! |---|---|
//! | what time is it, and how well do we know | [`clock`] |
//! | how fast does this core run right now | [`frequency`] |
//! | what did the hardware and the kernel count | [`counters`] |
//! | what does this process hold, and who else is here | [`process`] |
//! | how much CPU time others took from it meanwhile | [`taken`] |
//! | which other programs used the CPUs | [`neighbours`] |
//! | in which order, how often, for how long | [`session`] |
//! | does another measurement run on this machine | [`turn`] |

pub mod clock;
pub mod counters;
pub mod frequency;
pub mod neighbours;
pub mod process;
pub mod session;
pub mod taken;
pub mod turn;
