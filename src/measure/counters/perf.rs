//! perf_event_open(2): opens a group of counters on each of several threads, starts, stops and reads it.
//!
//! Each event is read by itself (`value, time_enabled, time_running`); membership in a group makes the hardware count all of them
//! over the same stretch or none. Kernel work is counted where permitted, and each tally says whether it was.
#![allow(
    unsafe_code,
    reason = "perf_event_open and its ioctls have no safe interface that carries raw events"
)]

use super::event::{Counter, Event, Group, Missing, Reading, Scope, Tally};
use perf_event_open_sys as sys;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;

/// One group of counters on several threads.
#[derive(Debug)]
pub struct Counting {
    group: &'static Group,
    threads: Vec<Thread>,
}

/// The group on one thread: each counter open, or the reason.
#[derive(Debug)]
struct Thread {
    events: Vec<Result<Open, Missing>>,
}

#[derive(Debug)]
struct Open {
    file: File,
    scope: Scope,
    before: Times,
}

/// How an event is opened: on a thread, with the leader of its group, counting this scope. Tests hand in a kernel that fails.
type Opener = dyn Fn(Event, u32, Option<i32>, Scope) -> io::Result<File>;

/// What the kernel gives for one event.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Times {
    pub(super) value: u64,
    pub(super) enabled: u64,
    pub(super) running: u64,
}

impl Times {
    /// What came since `before`; counters wrap around.
    pub(super) fn since(self, before: Times) -> Times {
        Times {
            value: self.value.wrapping_sub(before.value),
            enabled: self.enabled.wrapping_sub(before.enabled),
            running: self.running.wrapping_sub(before.running),
        }
    }

    /// Share of the time during which the hardware counted; 1 where no time passed.
    pub(super) fn share(self) -> f64 {
        match self.enabled {
            0 => 1.0,
            enabled => self.running as f64 / enabled as f64,
        }
    }
}

impl Counting {
    /// Opens `group` on each of `threads` (the system's thread numbers; see [`crate::measure::process::threads`]).
    /// Never fails: a counter that could not be opened is missing in the readings, with its reason.
    pub fn open(group: &'static Group, threads: &[u32]) -> Self {
        Self::opened_by(&open, group, threads)
    }

    fn opened_by(system: &Opener, group: &'static Group, threads: &[u32]) -> Self {
        let open = |thread: &u32| Thread::open(system, group, *thread);
        Self {
            group,
            threads: threads.iter().filter_map(open).collect(),
        }
    }

    /// Starts counting.
    pub fn start(&mut self) {
        for thread in &mut self.threads {
            for event in thread.events.iter_mut().flatten() {
                event.before = read(&mut event.file).unwrap_or_default();
            }
            thread.switch(sys::ioctls::ENABLE);
        }
    }

    /// What was counted since [`Counting::start`]; counting goes on.
    pub fn so_far(&mut self) -> Vec<Reading> {
        let reading = |(index, counter): (usize, &'static Counter)| Reading {
            counter,
            tally: total(
                counter,
                self.threads.iter_mut().map(|thread| thread.tally(index)),
            ),
        };
        let counters = self.group.counters.iter().enumerate();
        counters.map(reading).collect()
    }

    /// Stops counting: one reading per counter, summed over the threads, of what happened since [`Counting::start`].
    pub fn stop(&mut self) -> Vec<Reading> {
        for thread in &mut self.threads {
            thread.switch(sys::ioctls::DISABLE);
        }
        self.so_far()
    }
}

impl Thread {
    /// `None` if the thread has ended.
    fn open(system: &Opener, group: &Group, thread: u32) -> Option<Self> {
        let mut leader = None;
        let mut events = Vec::new();
        for counter in group.counters {
            let event = Open::new(system, counter, thread, leader);
            match &event {
                Ok(open) if leader.is_none() => leader = Some(open.file.as_raw_fd()),
                Err(Missing::NoThread) => return None,
                _ => {}
            }
            events.push(event);
        }
        Some(Self { events })
    }

    /// Enables or disables the whole group through its leader.
    fn switch(&mut self, ioctl: unsafe fn(i32, u32) -> i32) {
        if let Some(leader) = self.events.iter().flatten().next() {
            // SAFETY: both ioctls take a descriptor of perf_event_open, which `file` holds open, and a flag by value.
            unsafe { ioctl(leader.file.as_raw_fd(), sys::bindings::PERF_IOC_FLAG_GROUP) };
        }
    }

    fn tally(&mut self, index: usize) -> Result<(Times, Scope), Missing> {
        let event = self.events[index]
            .as_mut()
            .map_err(|missing| missing.clone())?;
        let now = read(&mut event.file).map_err(|error| reason(&error))?;
        Ok((now.since(event.before), event.scope))
    }
}

impl Open {
    fn new(
        system: &Opener,
        counter: &Counter,
        thread: u32,
        leader: Option<i32>,
    ) -> Result<Self, Missing> {
        let with = |scope| {
            let opened = system(counter.event, thread, leader, scope);
            let file = opened.map_err(|error| reason(&error))?;
            Ok(Self {
                file,
                scope,
                before: Times::default(),
            })
        };
        match with(Scope::UserAndKernel) {
            Err(Missing::NotPermitted { .. }) if in_kernel(counter.event) => {
                Err(Missing::KernelOnly)
            }
            Err(Missing::NotPermitted { .. }) => with(Scope::User),
            other => other,
        }
    }
}

/// Reads an event.
pub(super) fn read(file: &mut File) -> io::Result<Times> {
    let mut bytes = [0u8; 24];
    file.read_exact(&mut bytes)?;
    Ok(parse(&bytes))
}

/// Switches and migrations happen while the kernel runs: counting user mode alone would give a false zero. The registers of `msr` cannot
/// leave it out.
fn in_kernel(event: Event) -> bool {
    use sys::bindings::{PERF_COUNT_SW_CONTEXT_SWITCHES, PERF_COUNT_SW_CPU_MIGRATIONS};
    matches!(event, Event::Msr(_))
        || matches!(event, Event::Software(config)
        if config == u64::from(PERF_COUNT_SW_CONTEXT_SWITCHES) || config == u64::from(PERF_COUNT_SW_CPU_MIGRATIONS))
}

/// Where the kernel lists its units.
pub(super) const UNITS: &str = "/sys/bus/event_source/devices";

/// The number under which the kernel knows a unit; ENODEV where it has none, or tells nonsense.
fn unit_type(units: &Path, name: &str) -> io::Result<u32> {
    let none = || io::Error::from_raw_os_error(libc::ENODEV);
    let text = std::fs::read_to_string(units.join(name).join("type")).map_err(|_| none())?;
    text.trim().parse().map_err(|_| none())
}

fn open(event: Event, thread: u32, leader: Option<i32>, scope: Scope) -> io::Result<File> {
    let (unit, config) = match event {
        Event::Software(config) => (sys::bindings::PERF_TYPE_SOFTWARE, config),
        Event::Hardware(config) => (sys::bindings::PERF_TYPE_HARDWARE, config),
        Event::Raw(config) => (sys::bindings::PERF_TYPE_RAW, config),
        Event::Msr(config) => (unit_type(Path::new(UNITS), "msr")?, config),
        // They count packages and no threads: see `Controllers`.
        Event::Controllers(_) => return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
    };
    let mut attributes = attributes(unit, config);
    attributes.set_disabled(u64::from(leader.is_none()));
    attributes.set_exclude_kernel(u64::from(scope == Scope::User));
    // The unit `msr` refuses every exclusion, this one too.
    attributes.set_exclude_hv(u64::from(!matches!(event, Event::Msr(_))));
    let any_cpu = -1;
    opened(
        &mut attributes,
        thread as i32,
        any_cpu,
        leader.unwrap_or(-1),
    )
}

/// Opens an event of a package for all programs, running; `cpu` is the one that the kernel names for the package. Such units refuse
/// every exclusion.
pub(super) fn open_on_cpu(unit: u32, config: u64, cpu: u32) -> io::Result<File> {
    let (any_thread, no_leader) = (-1, -1);
    let cpu = i32::try_from(cpu).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    opened(&mut attributes(unit, config), any_thread, cpu, no_leader)
}

/// An event that is read by itself, with its times.
fn attributes(unit: u32, config: u64) -> sys::bindings::perf_event_attr {
    sys::bindings::perf_event_attr {
        size: size_of::<sys::bindings::perf_event_attr>() as u32,
        type_: unit,
        config,
        read_format: u64::from(
            sys::bindings::PERF_FORMAT_TOTAL_TIME_ENABLED
                | sys::bindings::PERF_FORMAT_TOTAL_TIME_RUNNING,
        ),
        ..Default::default()
    }
}

fn opened(
    attributes: &mut sys::bindings::perf_event_attr,
    thread: i32,
    cpu: i32,
    leader: i32,
) -> io::Result<File> {
    let close_on_exec = u64::from(sys::bindings::PERF_FLAG_FD_CLOEXEC);
    // SAFETY: `attributes` is a valid, sized structure that outlives the call; the other arguments are plain numbers.
    let descriptor =
        unsafe { sys::perf_event_open(attributes, thread, cpu, leader, close_on_exec) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just created this descriptor and nobody else knows it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Three native-endian words: value, time enabled, time running.
fn parse(bytes: &[u8; 24]) -> Times {
    let word = |index: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[index * 8..][..8]);
        u64::from_ne_bytes(word)
    };
    Times {
        value: word(0),
        enabled: word(1),
        running: word(2),
    }
}

/// The sum over threads. One thread's refusal makes the sum meaningless; a thread that never ran adds nothing; if none of the
/// threads that ran was counted, the hardware's counters were taken.
fn total(
    counter: &Counter,
    threads: impl Iterator<Item = Result<(Times, Scope), Missing>>,
) -> Result<Tally, Missing> {
    let (mut value, mut enabled, mut running, mut scope) = (0.0, 0u64, 0u64, None);
    for thread in threads {
        let (times, of) = thread?;
        scope = Some(of);
        enabled += times.enabled;
        running += times.running;
        if times.running > 0 {
            value += times.value as f64 / times.share();
        }
    }
    let scope = scope.ok_or(Missing::NoThread)?;
    if running == 0 && enabled > 0 {
        return Err(Missing::Busy);
    }
    let share = if enabled == 0 {
        1.0
    } else {
        running as f64 / enabled as f64
    };
    Ok(Tally {
        value: value * counter.weight,
        scope,
        share,
    })
}

/// The kernel's error in the words of [`Missing`].
pub(super) fn reason(error: &io::Error) -> Missing {
    // A pinned event that could not be scheduled reads as the end of a file (perf_event_open(2), "pinned").
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Missing::Unreadable;
    }
    match error.raw_os_error().unwrap_or(0) {
        libc::EACCES | libc::EPERM => Missing::NotPermitted {
            paranoid: paranoid(),
        },
        libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP | libc::ENXIO => Missing::NotOffered,
        libc::EINVAL => Missing::Invalid,
        libc::EBUSY => Missing::Busy,
        libc::EMFILE | libc::ENFILE => Missing::TooManyFiles,
        libc::ENOSYS => Missing::NoPerf,
        libc::ESRCH => Missing::NoThread,
        errno => Missing::Refused { errno },
    }
}

fn paranoid() -> Option<i32> {
    std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
        .ok()?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests;
