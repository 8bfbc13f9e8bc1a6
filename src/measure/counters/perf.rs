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

/// What the kernel gives for one event.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Times {
    value: u64,
    enabled: u64,
    running: u64,
}

impl Counting {
    /// Opens `group` on each of `threads` (the system's thread numbers; see [`crate::measure::process::threads`]).
    /// Never fails: a counter that could not be opened is missing in the readings, with its reason.
    pub fn open(group: &'static Group, threads: &[u32]) -> Self {
        Self {
            group,
            threads: threads
                .iter()
                .filter_map(|thread| Thread::open(group, *thread))
                .collect(),
        }
    }

    /// Starts counting.
    pub fn start(&mut self) {
        for thread in &mut self.threads {
            for event in thread.events.iter_mut().flatten() {
                event.before = event.read().unwrap_or_default();
            }
            thread.switch(sys::ioctls::ENABLE);
        }
    }

    /// Stops counting: one reading per counter, summed over the threads, of what happened since [`Counting::start`].
    pub fn stop(&mut self) -> Vec<Reading> {
        for thread in &mut self.threads {
            thread.switch(sys::ioctls::DISABLE);
        }
        let reading = |(index, counter): (usize, &'static Counter)| Reading {
            counter,
            tally: total(
                counter,
                self.threads.iter_mut().map(|thread| thread.tally(index)),
            ),
        };
        self.group
            .counters
            .iter()
            .enumerate()
            .map(reading)
            .collect()
    }
}

impl Thread {
    /// `None` if the thread has ended.
    fn open(group: &Group, thread: u32) -> Option<Self> {
        let mut leader = None;
        let mut events = Vec::new();
        for counter in group.counters {
            let event = Open::new(counter, thread, leader);
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
        let now = event.read().map_err(|error| reason(&error))?;
        let before = event.before;
        let times = Times {
            value: now.value.wrapping_sub(before.value),
            enabled: now.enabled.wrapping_sub(before.enabled),
            running: now.running.wrapping_sub(before.running),
        };
        Ok((times, event.scope))
    }
}

impl Open {
    fn new(counter: &Counter, thread: u32, leader: Option<i32>) -> Result<Self, Missing> {
        let with = |scope| {
            let file =
                open(counter.event, thread, leader, scope).map_err(|error| reason(&error))?;
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

    fn read(&mut self) -> io::Result<Times> {
        let mut bytes = [0u8; 24];
        self.file.read_exact(&mut bytes)?;
        Ok(parse(&bytes))
    }
}

/// Switches and migrations happen while the kernel runs: counting user mode alone would give a false zero.
fn in_kernel(event: Event) -> bool {
    use sys::bindings::{PERF_COUNT_SW_CONTEXT_SWITCHES, PERF_COUNT_SW_CPU_MIGRATIONS};
    matches!(event, Event::Software(config)
        if config == u64::from(PERF_COUNT_SW_CONTEXT_SWITCHES) || config == u64::from(PERF_COUNT_SW_CPU_MIGRATIONS))
}

fn open(event: Event, thread: u32, leader: Option<i32>, scope: Scope) -> io::Result<File> {
    let mut attributes = sys::bindings::perf_event_attr {
        size: size_of::<sys::bindings::perf_event_attr>() as u32,
        ..Default::default()
    };
    (attributes.type_, attributes.config) = match event {
        Event::Software(config) => (sys::bindings::PERF_TYPE_SOFTWARE, config),
        Event::Hardware(config) => (sys::bindings::PERF_TYPE_HARDWARE, config),
        Event::Raw(config) => (sys::bindings::PERF_TYPE_RAW, config),
    };
    attributes.read_format = u64::from(
        sys::bindings::PERF_FORMAT_TOTAL_TIME_ENABLED
            | sys::bindings::PERF_FORMAT_TOTAL_TIME_RUNNING,
    );
    attributes.set_disabled(u64::from(leader.is_none()));
    attributes.set_exclude_kernel(u64::from(scope == Scope::User));
    attributes.set_exclude_hv(1);
    let (any_cpu, close_on_exec) = (-1, u64::from(sys::bindings::PERF_FLAG_FD_CLOEXEC));
    // SAFETY: `attributes` is a valid, sized structure that outlives the call; the other arguments are plain numbers.
    let descriptor = unsafe {
        sys::perf_event_open(
            &mut attributes,
            thread as i32,
            any_cpu,
            leader.unwrap_or(-1),
            close_on_exec,
        )
    };
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
            value += times.value as f64 * (times.enabled as f64 / times.running as f64);
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
fn reason(error: &io::Error) -> Missing {
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
mod tests {
    use super::super::tables::SOFTWARE;
    use super::*;
    use crate::measure::process;

    fn counter() -> &'static Counter {
        &SOFTWARE.counters[0]
    }

    fn ran(value: u64, enabled: u64, running: u64) -> Result<(Times, Scope), Missing> {
        Ok((
            Times {
                value,
                enabled,
                running,
            },
            Scope::User,
        ))
    }

    #[test]
    fn recorded_readings_add_up() {
        let mut bytes = [0u8; 24];
        for (index, word) in [1_000u64, 40, 20].iter().enumerate() {
            bytes[index * 8..][..8].copy_from_slice(&word.to_ne_bytes());
        }
        assert_eq!(
            parse(&bytes),
            Times {
                value: 1_000,
                enabled: 40,
                running: 20
            }
        );

        let tally = total(
            counter(),
            [ran(1_000, 40, 40), ran(500, 60, 60)].into_iter(),
        )
        .unwrap();
        assert_eq!(
            (tally.value, tally.share, tally.scope),
            (1_500.0, 1.0, Scope::User)
        );
        // Half of the time counted: extrapolated, and it shows.
        let tally = total(counter(), [ran(1_000, 40, 20)].into_iter()).unwrap();
        assert_eq!((tally.value, tally.share), (2_000.0, 0.5));
        // An idle thread adds nothing; a weight turns instructions into FLOP.
        let tally = total(counter(), [ran(7, 9, 9), ran(0, 0, 0)].into_iter()).unwrap();
        assert_eq!((tally.value, tally.share), (7.0, 1.0));
        let flop = Counter {
            weight: 16.0,
            ..*counter()
        };
        assert_eq!(
            total(&flop, [ran(3, 1, 1)].into_iter()).unwrap().value,
            48.0
        );
    }

    #[test]
    fn never_counting_is_not_zero() {
        assert_eq!(
            total(counter(), [ran(0, 50, 0)].into_iter()),
            Err(Missing::Busy)
        );
        assert_eq!(total(counter(), [].into_iter()), Err(Missing::NoThread));
        assert_eq!(
            total(counter(), [ran(1, 1, 1), Err(Missing::Invalid)].into_iter()),
            Err(Missing::Invalid)
        );
    }

    #[test]
    fn the_kernel_counts_page_faults_of_this_thread() {
        let own = std::fs::read_link("/proc/thread-self").unwrap();
        let own: u32 = own.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let mut counting = Counting::open(&SOFTWARE, &[own]);
        let pages = 2_000;
        counting.start();
        let before = process::usage().unwrap().minor_faults;
        let mut block = vec![0u8; pages * 4_096];
        for page in 0..pages {
            block[page * 4_096] = page as u8;
        }
        std::hint::black_box(&mut block);
        let faults = process::usage().unwrap().minor_faults - before;
        let readings = counting.stop();
        assert_eq!(block[4_096], 1);
        let tally = |name: &str| {
            readings
                .iter()
                .find(|reading| reading.counter.name == name)
                .map(|reading| reading.tally.clone())
                .unwrap()
        };
        match tally("page_faults") {
            // With transparent huge pages 512 small ones come with one fault.
            Ok(tally) => assert!(
                tally.value >= (pages / 512) as f64 && tally.value > 0.0,
                "{tally:?} {faults}"
            ),
            Err(missing) => assert!(
                !matches!(missing, Missing::NotOffered | Missing::Invalid),
                "{missing}"
            ),
        }
        if let Ok(clock) = tally("task_clock") {
            assert!(clock.value > 0.0 && clock.share == 1.0);
        }
    }

    /// Lets `perf_event_open` fail with `errno` on the calling thread from here on: a seccomp filter of four instructions.
    fn refuse_perf_events(errno: i32) {
        let step = |code: u32, jt, jf, k| libc::sock_filter {
            code: code as u16,
            jt,
            jf,
            k,
        };
        let mut filter = [
            // The number of the system call is the first word of what a filter is given.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(
                libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                0,
                1,
                libc::SYS_perf_event_open as u32,
            ),
            step(
                libc::BPF_RET | libc::BPF_K,
                0,
                0,
                libc::SECCOMP_RET_ERRNO | errno as u32,
            ),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog {
            len: filter.len() as u16,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the first call takes plain numbers; the second copies the program, which lives until it returns.
        let installed = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
        };
        assert!(installed, "{}", io::Error::last_os_error());
    }

    #[test]
    fn a_kernel_that_refuses_becomes_a_reason_and_never_a_zero() {
        let refused = |errno: i32| {
            let on_its_own_thread = std::thread::spawn(move || {
                let own = std::fs::read_link("/proc/thread-self").unwrap();
                let own = own.file_name().unwrap().to_str().unwrap().parse().unwrap();
                refuse_perf_events(errno);
                let mut counting = Counting::open(&SOFTWARE, &[own]);
                counting.start();
                let readings = counting.stop();
                let reasons = readings
                    .into_iter()
                    .map(|reading| reading.tally.unwrap_err());
                reasons.collect::<Vec<Missing>>()
            });
            on_its_own_thread.join().unwrap()
        };
        let paranoid = paranoid();
        for (errno, missing) in [
            (libc::ENOENT, Missing::NotOffered),
            (libc::EOPNOTSUPP, Missing::NotOffered),
            (libc::EMFILE, Missing::TooManyFiles),
            (libc::EINVAL, Missing::Invalid),
            (libc::EBUSY, Missing::Busy),
            (libc::ENOSYS, Missing::NoPerf),
            (libc::EIO, Missing::Refused { errno: libc::EIO }),
        ] {
            let reasons = refused(errno);
            assert_eq!(reasons, vec![missing; SOFTWARE.counters.len()], "{errno}");
        }
        for errno in [libc::EACCES, libc::EPERM] {
            for (reason, counter) in refused(errno).into_iter().zip(SOFTWARE.counters) {
                let expected = if in_kernel(counter.event) {
                    Missing::KernelOnly
                } else {
                    Missing::NotPermitted { paranoid }
                };
                assert_eq!(reason, expected, "{}", counter.name);
            }
        }
    }

    #[test]
    fn a_second_pass_starts_at_zero() {
        let threads = process::threads().unwrap();
        let mut counting = Counting::open(&SOFTWARE, &threads);
        counting.start();
        let mut block = vec![1u8; 32 << 20];
        std::hint::black_box(&mut block)[5] = 2;
        let first = counting.stop();
        counting.start();
        let second = counting.stop();
        let faults = |readings: &[Reading]| readings[0].tally.clone().map(|tally| tally.value);
        if let (Ok(first), Ok(second)) = (faults(&first), faults(&second)) {
            assert!(second < first, "{second} after {first}, {}", block[5]);
        }
    }

    #[test]
    fn a_thread_that_does_not_exist_is_a_reason() {
        let mut counting = Counting::open(&SOFTWARE, &[u32::MAX >> 1]);
        counting.start();
        assert!(
            counting
                .stop()
                .iter()
                .all(|reading| reading.tally == Err(Missing::NoThread))
        );
    }
}
