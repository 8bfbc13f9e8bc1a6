"""Limits of the system: memory, processors, files, and what a bare container lacks."""

import contextlib
import ctypes
import os
import pathlib
import re
import resource
import subprocess
import time

from place import LeftOut, refused, said

GROUPS = pathlib.Path("/sys/fs/cgroup")


def ends_as(place, done, run, wanted):
    """Why a run did not end as the undisturbed one."""
    if done.returncode != 0:
        return said(done)
    return None if place.digests(run) == wanted else "other weights"


@contextlib.contextmanager
def group(kind, settings):
    """A control group with these settings, v1 or v2; a function that puts the calling process into it."""
    root = GROUPS / kind if (GROUPS / kind).is_dir() else GROUPS
    version = 1 if root != GROUPS else 2
    folder = root / "loopos-faults"
    try:
        folder.mkdir(exist_ok=True)
        for name, value in settings[version]:
            (folder / name).write_text(value)
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        raise LeftOut(f"control groups cannot be made here: {error}") from error
    try:
        yield lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
    finally:
        folder.rmdir()


def little_memory(place, _count):
    """Less memory than the plan: refused before the first step, in bytes; enough: trained."""
    wanted = place.whole()
    large = ("--set", "model.d_model=1024", "--set", "model.num_layers=8", "--set", "model.d_ff=4096")
    limit = 600 << 20
    done = place.run(place.train("small", *large), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
    yield "ulimit -v", refused(done, "memory", codes=(2,)) or ("trained a step" if place.path("small/metrics.jsonl").exists() else None)
    settings = {1: [("memory.limit_in_bytes", str(300 << 20))], 2: [("memory.max", str(300 << 20))]}
    with group("memory", settings) as enter:
        done = place.run(place.train("small", *large), preexec_fn=enter)
        yield "control group", refused(done, "memory", codes=(2,)) or ("trained a step" if place.path("small/metrics.jsonl").exists() else None)
        done = place.run(place.train("enough"), preexec_fn=enter)
        yield "control group, small model", ends_as(place, done, "enough", wanted)


def few_processors(place, _count):
    """The number of threads follows what the process may use; the weights do not."""
    wanted = place.whole()
    command = [part for part in place.train("few") if part not in ("--threads", "1")]

    def threads(done):
        found = re.search(rb"threads\s+(\d+)", done.stdout + done.stderr)
        return int(found[1]) if found else None

    one = lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    done = place.run([*command, "--explain"], preexec_fn=one)
    yield "one CPU", None if threads(done) == 1 else f"{threads(done)} threads: {said(done)}"
    done = place.run(command, preexec_fn=one)
    yield "one CPU, trained", ends_as(place, done, "few", wanted)
    place.remove("few")
    cores = len(os.sched_getaffinity(0))
    for quota in (0.5, 1, 1.5, 2):
        settings = {1: [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", str(int(quota * 100_000)))], 2: [("cpu.max", f"{int(quota * 100_000)} 100000")]}
        with group("cpu", settings) as enter:
            done = place.run([*command, "--explain"], preexec_fn=enter)
            most = min(cores, max(1, int(quota)))
            yield f"quota of {quota} CPUs", None if threads(done) == most else f"{threads(done)} threads: {said(done)}"
            done = place.run(command, preexec_fn=enter)
            yield f"quota of {quota} CPUs, trained", ends_as(place, done, "few", wanted)
            place.remove("few")


def changing_processors(place, _count):
    """Processors that are taken away and given back while a run goes on: it goes on, to the same weights."""
    place.config["training"] |= {"max_steps": 600}
    place.write_config()
    wanted = place.whole()
    command = [part for part in place.train("changed") if part not in ("--threads", "1")]
    every = sorted(os.sched_getaffinity(0))
    if len(every) < 2:
        raise LeftOut("there is one processor here")

    def moved(process, cpus):
        """As `taskset -a -p`; whether a thread was there to be moved."""
        reached = 0
        for thread in pathlib.Path(f"/proc/{process.pid}/task").glob("*"):
            # A thread may have ended since it was listed.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(thread.name), cpus)
                reached += 1
        return reached

    def limited(process, file, first, second):
        file.write_text(first)
        time.sleep(0.2)
        file.write_text(second)
        return process.poll() is None

    def ended(name, process, reached):
        if process.wait(timeout=60) != 0:
            return f"{name}: exit {process.returncode}"
        wrong = None if reached else "the run had ended before anything changed"
        return wrong or (None if place.digests("changed") == wanted else "other weights")

    for name, cpus in (("to one CPU", {every[0]}), ("to another CPU", {every[-1]}), ("to one CPU and back", {every[0]})):
        process = place.start(command)
        time.sleep(0.2)
        reached = moved(process, cpus)
        if name.endswith("back"):
            time.sleep(0.2)
            reached = moved(process, set(every))
        yield name, ended(name, process, reached)
        place.remove("changed")
    period = {1: [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "-1")], 2: [("cpu.max", "max 100000")]}
    with group("cpu", period) as enter:
        folder = (GROUPS / "cpu" if (GROUPS / "cpu").is_dir() else GROUPS) / "loopos-faults"
        file = next(file for file in (folder / "cpu.cfs_quota_us", folder / "cpu.max") if file.exists())
        process = place.start(command, preexec_fn=enter)
        time.sleep(0.2)
        yield "a quota of half a CPU, then of one", ended("quota", process, limited(process, file, "50000", "100000"))
        place.remove("changed")


def bare_surroundings(place, _count):
    """What a container may lack: a home, a terminal, huge pages, files to open, /sys, /proc/cpuinfo, names in UTF-8."""
    wanted = place.whole()
    bare = {"PATH": os.environ["PATH"]}
    yield "no HOME", ends_as(place, place.run(place.train("a"), env=bare), "a", wanted)
    yield "HOME that is not there", ends_as(place, place.run(place.train("b"), env=bare | {"HOME": "/nowhere"}), "b", wanted)
    done = place.run(place.train("c"), stdin=subprocess.DEVNULL, start_new_session=True)
    yield "no terminal", ends_as(place, done, "c", wanted)
    thp_disable = 41
    done = place.run(place.train("d"), preexec_fn=lambda: ctypes.CDLL(None).prctl(thp_disable, 1, 0, 0, 0))
    yield "no huge pages", ends_as(place, done, "d", wanted)
    for most in (64, 24, 12):
        done = place.run(place.train("e"), preexec_fn=lambda most=most: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
        yield f"{most} open files", ends_as(place, done, "e", wanted) if done.returncode == 0 else refused(done)
        place.remove("e")
    name = os.fsdecode(b"odd \xff name\nof two lines")
    done = place.run(place.train(name))
    yield "a name that is not UTF-8", ends_as(place, done, name, wanted) if done.returncode == 0 else refused(done, codes=(1, 2))
    if os.geteuid() != 0:
        raise LeftOut("hiding /sys and /proc/cpuinfo needs root")
    for hidden in ("mount -t tmpfs none /sys", "mount --bind /dev/null /proc/cpuinfo", "mount -t tmpfs none /sys; mount --bind /dev/null /proc/cpuinfo"):
        command = ["unshare", "-m", "sh", "-c", f'{hidden} && exec "$@"', "sh", *place.train("f")]
        yield hidden.replace("mount ", ""), ends_as(place, place.run(command), "f", wanted)
        place.remove("f")


TESTS = [
    ("memory limits", little_memory, 0),
    ("processor limits", few_processors, 0),
    ("processors changed while running", changing_processors, 0),
    ("bare surroundings", bare_surroundings, 0),
]
