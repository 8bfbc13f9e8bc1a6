//! Counting against the kernel's real software events, and against a kernel that refuses or gives nonsense.

use super::super::tables::{MSR, SOFTWARE};
use super::*;
use crate::measure::process;
use std::io::{Seek, Write};

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
    // A mapping of its own: what the allocator hands out may have been in memory already.
    let mut block = memmap2::MmapMut::map_anon(pages * 4_096).unwrap();
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
fn a_unit_has_the_number_that_the_kernel_lists() {
    let units = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::create_dir(units.path().join(name)).unwrap();
        std::fs::write(units.path().join(name).join("type"), text).unwrap();
    };
    write("msr", "9\n");
    write("broken", "nine\n");
    assert_eq!(unit_type(units.path(), "msr").unwrap(), 9);
    for name in ["broken", "absent"] {
        let error = unit_type(units.path(), name).unwrap_err();
        assert_eq!(reason(&error), Missing::NotOffered, "{name}");
    }
}

#[test]
fn performance_registers_are_counted_or_have_a_reason() {
    let threads = process::threads().unwrap();
    let mut counting = Counting::open(&MSR, &threads);
    counting.start();
    for reading in counting.stop() {
        match reading.tally {
            Ok(tally) => assert_eq!(tally.scope, Scope::UserAndKernel),
            // Never as user mode alone, which the kernel would refuse: the reason is the first refusal.
            Err(missing) => assert!(
                [Missing::KernelOnly, Missing::NotOffered, Missing::Invalid].contains(&missing),
                "{}: {missing}",
                reading.counter.name
            ),
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

/// A kernel whose events read as prepared: each event is a file of readings, one after the other.
fn prepared(readings: &[[u64; 3]]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    for words in readings {
        for word in words {
            file.write_all(&word.to_ne_bytes()).unwrap();
        }
    }
    file.seek(io::SeekFrom::Start(0)).unwrap();
    file
}

/// What each counter of the software group says when every event reads like this at the start and at the end.
fn counted(readings: &'static [[u64; 3]]) -> Vec<Result<Tally, Missing>> {
    let system = move |_, _, _, _| Ok(prepared(readings));
    let mut counting = Counting::opened_by(&system, &SOFTWARE, &[1]);
    counting.start();
    let readings = counting.stop().into_iter();
    readings.map(|reading| reading.tally).collect()
}

#[test]
fn readings_that_the_kernel_gives_are_scaled_or_refused() {
    let tally = |value, share| {
        let scope = Scope::UserAndKernel;
        Ok(Tally {
            value,
            scope,
            share,
        })
    };
    // Counted all the time; since the start, not since it was opened.
    let all = counted(&[[5, 10, 10], [105, 30, 30]]);
    assert_eq!(all, vec![tally(100.0, 1.0); SOFTWARE.counters.len()]);
    // Multiplexed: a quarter of the time, extrapolated, and the share tells.
    let part = counted(&[[0, 0, 0], [100, 40, 10]]);
    assert_eq!(part[0], tally(400.0, 0.25));
    // Enabled and never on the hardware: no zero.
    assert_eq!(counted(&[[0, 0, 0], [0, 40, 0]])[0], Err(Missing::Busy));
    // Counters that stay 0 are what the self-test is for: here they are zero.
    assert_eq!(counted(&[[0, 0, 0], [0, 40, 40]])[0], tally(0.0, 1.0));
    // The end of the file instead of a reading: the kernel put the event into its error state.
    assert_eq!(counted(&[[1, 1, 1]])[0], Err(Missing::Unreadable));
    assert_eq!(counted(&[])[0], Err(Missing::Unreadable));
    // A counter that wrapped around goes on.
    let wrapped = counted(&[[u64::MAX - 4, 1, 1], [5, 2, 2]]);
    assert_eq!(wrapped[0], tally(10.0, 1.0));
}

#[test]
fn a_kernel_that_allows_user_mode_alone_is_asked_again() {
    let system = |event, _, _, scope| match scope {
        Scope::UserAndKernel => Err(io::Error::from_raw_os_error(libc::EACCES)),
        Scope::User if in_kernel(event) => panic!("a kernel event was asked for in user mode"),
        Scope::User => Ok(prepared(&[[0, 0, 0], [7, 1, 1]])),
        Scope::Machine => panic!("a thread counts itself"),
    };
    let mut counting = Counting::opened_by(&system, &SOFTWARE, &[1]);
    counting.start();
    for reading in counting.stop() {
        match reading.tally {
            Ok(tally) => assert_eq!((tally.value, tally.scope), (7.0, Scope::User)),
            Err(missing) => assert_eq!(missing, Missing::KernelOnly),
        }
    }
}

#[test]
fn an_event_that_is_refused_leaves_the_others_of_its_group() {
    let refused = SOFTWARE.counters[0].event;
    let system = move |event, _, leader: Option<i32>, _| {
        if event == refused {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        // The first that opens leads.
        assert_eq!(leader.is_none(), event == SOFTWARE.counters[1].event);
        Ok(prepared(&[[0, 0, 0], [3, 1, 1]]))
    };
    let mut counting = Counting::opened_by(&system, &SOFTWARE, &[1]);
    counting.start();
    let readings = counting.stop();
    assert_eq!(readings[0].tally, Err(Missing::NotOffered));
    assert!(readings[1..].iter().all(|reading| reading.tally.is_ok()));
}

#[test]
fn the_events_of_a_real_group_share_their_time() {
    let threads = process::threads().unwrap();
    let mut counting = Counting::open(&SOFTWARE, &threads);
    counting.start();
    std::hint::black_box(vec![3u8; 8 << 20]);
    let tallies: Vec<Tally> = counting
        .stop()
        .into_iter()
        .filter_map(|reading| reading.tally.ok())
        .collect();
    assert!(
        tallies.iter().all(|tally| tally.share == 1.0),
        "{tallies:?}"
    );
}
