//! Recorded units of machines with memory controllers, and kernels that refuse or give nonsense.

use super::*;
use crate::measure::counters::Tally;
use std::io::{Seek, Write};
use tempfile::TempDir;

/// Files of a unit, by their path within it.
type Unit<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// Tiger Lake: two controllers that count without being asked.
const TIGER_LAKE: [Unit<'static>; 3] = [
    ("cpu", &[("type", "4\n"), ("events/data_read", "event=0x1")]),
    ("uncore_imc_free_running_0", &FREE_RUNNING_UNIT),
    ("uncore_imc_free_running_1", &FREE_RUNNING_UNIT),
];

const FREE_RUNNING_UNIT: [(&str, &str); 12] = [
    ("type", "25\n"),
    ("cpumask", "0\n"),
    ("format/event", "config:0-7\n"),
    ("format/umask", "config:8-15\n"),
    ("events/data_total", "event=0xff,umask=0x10\n"),
    ("events/data_read", "event=0xff,umask=0x20\n"),
    ("events/data_read.scale", "6.103515625e-5\n"),
    ("events/data_read.unit", "MiB\n"),
    ("events/data_write", "event=0xff,umask=0x30\n"),
    ("events/data_write.scale", "6.103515625e-5\n"),
    ("events/data_write.unit", "MiB\n"),
    ("events/data_total.unit", "MiB\n"),
];

/// Ice Lake client.
const ICE_LAKE: [Unit<'static>; 1] = [(
    "uncore_imc",
    &[
        ("type", "13\n"),
        ("cpumask", "0\n"),
        ("format/event", "config:0-7\n"),
        ("events/data_reads", "event=0x01\n"),
        ("events/data_reads.scale", "6.103515625e-5\n"),
        ("events/data_reads.unit", "MiB\n"),
        ("events/data_writes", "event=0x02\n"),
        ("events/data_writes.scale", "6.103515625e-5\n"),
        ("events/data_writes.unit", "MiB\n"),
    ],
)];

/// A channel of a server with two packages.
const SERVER: [Unit<'static>; 1] = [(
    "uncore_imc_0",
    &[
        ("type", "31\n"),
        ("cpumask", "0,28\n"),
        ("format/event", "config:0-7\n"),
        ("format/umask", "config:8-15\n"),
        ("events/cas_count_read", "event=0x04,umask=0x0f\n"),
        ("events/cas_count_read.scale", "6.103515625e-5\n"),
        ("events/cas_count_read.unit", "MiB\n"),
    ],
)];

fn folder(units: &[Unit<'_>]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (unit, files) in units {
        for (path, text) in *files {
            let path = folder.path().join(unit).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
    folder
}

/// Readings that a counter gives one after the other: value, time enabled, time running.
fn prepared(readings: &[[u64; 3]]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    for word in readings.iter().flatten() {
        file.write_all(&word.to_ne_bytes()).unwrap();
    }
    file.seek(io::SeekFrom::Start(0)).unwrap();
    file
}

/// What both counters say on a machine with these units.
fn counted(units: &[Unit<'_>], system: &Opener<'_>) -> [Result<Tally, Missing>; 2] {
    let folder = folder(units);
    let mut controllers = Controllers::opened_by(folder.path(), system);
    controllers.start();
    let mut readings = controllers.stop().into_iter();
    let names: Vec<&str> = TRAFFIC
        .counters
        .iter()
        .map(|counter| counter.name)
        .collect();
    assert_eq!(names, ["memory_read_bytes", "memory_written_bytes"]);
    [(); 2].map(|()| readings.next().unwrap().tally)
}

#[test]
fn both_controllers_of_tiger_lake_add_up() {
    let system = |unit, config, cpu| {
        assert_eq!((unit, cpu), (25, 0));
        // umask 0x20 reads, 0x30 writes; a unit is 64 bytes.
        match config {
            0x20ff => Ok(prepared(&[[1_000, 0, 0], [3_000, 5, 5]])),
            0x30ff => Ok(prepared(&[[7, 0, 0], [107, 5, 5]])),
            other => panic!("config {other:#x}"),
        }
    };
    let [read, written] = counted(&TIGER_LAKE, &system);
    let tally = |value| {
        Ok(Tally {
            value,
            scope: Scope::Machine,
            share: 1.0,
        })
    };
    assert_eq!(read, tally(2.0 * 2_000.0 * 64.0));
    assert_eq!(written, tally(2.0 * 100.0 * 64.0));
}

#[test]
fn ice_lake_and_servers_have_other_names() {
    let of = |units: &[Unit<'_>], names: &[&str]| described(folder(units).path(), names);
    let Event::Controllers(read) = TRAFFIC.counters[0].event else {
        panic!("no names")
    };
    let expected = |unit, config, cpus: &[u32]| Described {
        unit,
        config,
        cpus: cpus.to_vec(),
        bytes_a_count: 64.0,
    };
    assert_eq!(of(&ICE_LAKE, read), [expected(13, 1, &[0])]);
    assert_eq!(of(&SERVER, read), [expected(31, 0x0f04, &[0, 28])]);
    // Where some count without being asked, the others would count the same bytes again.
    let both: Vec<Unit<'_>> = TIGER_LAKE.into_iter().chain(SERVER).collect();
    assert_eq!(of(&both, read).len(), 2);
    assert!(of(&both, read).iter().all(|event| event.unit == 25));
    // A server's channel has no writes under a name that we know: that counter alone is missing.
    let system = |_, _, _| Ok(prepared(&[[0, 0, 0], [10, 1, 1]]));
    let [read, written] = counted(&SERVER, &system);
    assert_eq!(read.unwrap().value, 2.0 * 640.0);
    assert_eq!(written, Err(Missing::NoController));
}

#[test]
fn refusals_are_reasons_and_never_zeros() {
    for (errno, missing) in [
        (libc::ENOENT, Missing::NotOffered),
        (libc::EINVAL, Missing::Invalid),
        (libc::EMFILE, Missing::TooManyFiles),
        (libc::EBUSY, Missing::Busy),
    ] {
        let system = move |_, _, _| Err(io::Error::from_raw_os_error(errno));
        let found = counted(&TIGER_LAKE, &system);
        assert_eq!(found, [Err(missing.clone()), Err(missing)], "{errno}");
    }
    let system = |_, _, _| Err(io::Error::from_raw_os_error(libc::EACCES));
    for refused in counted(&TIGER_LAKE, &system) {
        let missing = refused.unwrap_err();
        assert!(
            matches!(missing, Missing::NeedsMachine { .. }),
            "{missing:?}"
        );
        assert!(missing.to_string().contains("CAP_PERFMON"), "{missing}");
    }
    // One of two controllers refuses: half of the bytes would be a lie.
    let calls = std::cell::Cell::new(0);
    let system = |_, _, _| {
        calls.set(calls.get() + 1);
        match calls.get() % 2 {
            0 => Err(io::Error::from_raw_os_error(libc::ENODEV)),
            _ => Ok(prepared(&[[0, 0, 0], [1, 1, 1]])),
        }
    };
    assert_eq!(counted(&TIGER_LAKE, &system)[0], Err(Missing::NotOffered));
    assert_eq!(counted(&[], &system)[0], Err(Missing::NoController));
}

#[test]
fn readings_are_scaled_or_refused() {
    let of = |readings: &'static [[u64; 3]]| {
        counted(&ICE_LAKE, &move |_, _, _| Ok(prepared(readings)))[0].clone()
    };
    let quarter = of(&[[0, 0, 0], [10, 40, 10]]).unwrap();
    assert_eq!((quarter.value, quarter.share), (2_560.0, 0.25));
    assert_eq!(of(&[[0, 0, 0], [0, 40, 0]]), Err(Missing::Busy));
    assert_eq!(of(&[[1, 1, 1]]), Err(Missing::Unreadable));
    assert_eq!(of(&[]), Err(Missing::Unreadable));
    // A counter that wrapped around goes on.
    let wrapped = of(&[[u64::MAX, 1, 1], [1, 2, 2]]).unwrap();
    assert_eq!(wrapped.value, 128.0);
}

#[test]
fn units_that_tell_nonsense_have_no_counter() {
    let [(name, files)] = ICE_LAKE;
    for (file, text) in [
        ("type", "thirteen"),
        ("cpumask", ""),
        ("cpumask", "0-"),
        ("format/event", "config1:0-7"),
        ("format/event", "config:7-0"),
        ("format/event", "config:0-64"),
        ("events/data_reads", "event=0x100"),
        ("events/data_reads", "event=one"),
        ("events/data_reads", "unknown=1"),
        ("events/data_reads.scale", "-1"),
        ("events/data_reads.scale", "nan"),
        ("events/data_reads.unit", "Joules"),
    ] {
        let mut broken = files.to_vec();
        broken.retain(|(path, _)| *path != file);
        broken.push((file, text));
        let units = folder(&[(name, &broken)]);
        assert_eq!(
            described(units.path(), &["data_reads"]),
            [],
            "{file} {text}"
        );
    }
}

#[test]
fn this_machine_counts_or_says_why() {
    let mut controllers = Controllers::open();
    controllers.start();
    let readings = controllers.stop();
    assert_eq!(readings.len(), 2);
    for reading in readings {
        match reading.tally {
            Ok(tally) => assert_eq!(tally.scope, Scope::Machine),
            Err(missing) => assert!(missing.to_string().len() > 20, "{missing}"),
        }
    }
    assert_eq!(
        controllers.any(),
        controllers
            .stop()
            .iter()
            .any(|reading| reading.tally.is_ok())
    );
}
