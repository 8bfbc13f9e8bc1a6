//! What the hardware and the kernel counted, through perf events: events are data, a missing counter is a reason.
//!
//! The kernel's own counters (faults, switches) are there on every machine. Hardware counters depend on the
//! microarchitecture (tables in [`tables`]; a CPU without a table has cycles and instructions), on permission and on a hypervisor's
//! goodwill, and some count nothing without saying so: [`selftest`] has code with known counts run before a counter is believed.
//! [`formulas`] makes quantities of several counts. Groups are small enough for the hardware, so that
//! nothing is multiplexed: one group per pass over the same work.

mod controllers;
pub mod described;
pub mod event;
pub mod formulas;
mod perf;
pub mod selftest;
pub mod tables;

pub use controllers::Controllers;
pub use event::{Counter, Event, Group, Known, Missing, Processor, Reading, Scope, Tally};
pub use perf::Counting;
