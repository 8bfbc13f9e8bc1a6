//! Opens a counter of each kind once, over a few thousand instructions, to learn what this process may count.
#![allow(
    unsafe_code,
    reason = "perf-event's own read asserts on the kernel's times and can panic; the file is read here instead"
)]

use perf_event::events::{Hardware, Software};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, IntoRawFd};

/// What is tried.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Event {
    /// Core cycles, in user mode.
    Cycles,
    /// Instructions retired, in user mode.
    Instructions,
    /// The kernel's own clock of this thread: needs no counter in the CPU.
    TaskClock,
}

impl Event {
    /// Every event, in the order of their trial.
    pub(super) const ALL: [Event; 3] = [Event::Cycles, Event::Instructions, Event::TaskClock];

    /// The name that `perf` gives it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Event::Cycles => "cycles",
            Event::Instructions => "instructions",
            Event::TaskClock => "task-clock",
        }
    }
}

/// What became of a trial.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It counted this much; `running` is false where it never got onto the CPU.
    Counted {
        /// The count over the trial's work.
        count: u64,
        /// It was on the CPU for some time.
        running: bool,
    },
    /// The system refused with this error number.
    Refused(i32),
}

/// Tries every event on the calling thread.
pub(super) fn all() -> BTreeMap<Event, Outcome> {
    Event::ALL
        .into_iter()
        .map(|event| (event, attempt(event)))
        .collect()
}

fn attempt(event: Event) -> Outcome {
    match count(event) {
        Ok([count, _, running]) => Outcome::Counted {
            count,
            running: running > 0,
        },
        Err(error) => Outcome::Refused(error.raw_os_error().unwrap_or(libc::EIO)),
    }
}

/// Opens the event, works a little, and reads count, time enabled and time running.
fn count(event: Event) -> std::io::Result<[u64; 3]> {
    let builder = perf_event::Builder::new();
    let builder = match event {
        Event::Cycles => builder.kind(Hardware::CPU_CYCLES),
        Event::Instructions => builder.kind(Hardware::INSTRUCTIONS),
        Event::TaskClock => builder.kind(Software::TASK_CLOCK),
    };
    let mut counter = builder.build()?;
    counter.enable()?;
    for step in 0..100_000_u32 {
        std::hint::black_box(step);
    }
    counter.disable()?;
    // SAFETY: `into_raw_fd` hands over a descriptor that is open and owned by nobody else.
    let mut file = unsafe { File::from_raw_fd(counter.into_raw_fd()) };
    let mut bytes = [0_u8; 24];
    file.read_exact(&mut bytes)?;
    let word = |index: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
        u64::from_ne_bytes(word)
    };
    Ok([word(0), word(1), word(2)])
}
