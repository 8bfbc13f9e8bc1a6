"""Limits of the system: memory, processors, files, and what a bare container lacks."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import resource
import subprocess
import time

from place import LESSONS, PPO, REWARDS, LeftOut, Place, refused, said

GROUPS = pathlib.Path("/sys/fs/cgroup")
# The program's own source, as a text of more than a few words.
SOURCE = pathlib.Path(__file__).resolve().parents[2] / "src"


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
    node = {1: [("cpuset.cpus", str(min(os.sched_getaffinity(0)))), ("cpuset.mems", "0")], 2: [("cpuset.cpus", str(min(os.sched_getaffinity(0))))]}
    with group("cpuset", node) as enter:
        done = place.run([*command, "--explain"], preexec_fn=enter)
        yield "cpuset of one CPU", None if threads(done) == 1 else f"{threads(done)} threads: {said(done)}"
        done = place.run(command, preexec_fn=enter)
        yield "cpuset of one CPU, trained", ends_as(place, done, "few", wanted)


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
        if process.wait(timeout=900) != 0:
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


def processors_taken_away(place, _count):
    """Processors that are taken away, moved or given back, or less time on them, by whoever may: the run says so, with its step."""
    every = sorted(os.sched_getaffinity(0))
    if len(every) < 2:
        raise LeftOut("there is one processor here")
    command = [part for part in place.train("told", "--set", "training.max_steps=1000000") if part not in ("--threads", "1")]

    def told(change, back, *words, **more):
        """Why a run did not say these words after a change, and after it was taken back."""
        process = place.start(command, stderr=subprocess.PIPE, **more)
        while not place.path("told/metrics.jsonl").exists():
            time.sleep(0.01)
        for step in (change, back):
            # Threads are looked at once a second, on the clock of a machine that may be busy.
            time.sleep(3)
            step(process)
        time.sleep(3)
        process.terminate()
        error = process.communicate(timeout=900)[1]
        place.remove("told")
        missing = [word for word in words if word.encode() not in error]
        if process.returncode != 143:
            return f"exit {process.returncode}"
        return f"did not say {missing}: {error.decode()[-600:]}" if missing else None

    def moved(cpus):
        def move(process):
            for thread in pathlib.Path(f"/proc/{process.pid}/task").glob("*"):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(thread.name), cpus)

        return move

    whole = "CPU " + ("-".join(str(cpu) for cpu in (every[0], every[-1])) if len(every) == every[-1] - every[0] + 1 else "")
    yield "taskset to one CPU and back", told(moved({every[0]}), moved(set(every)), f"may now use CPU {every[0]}", "--resume", whole)
    period = {1: [("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "-1")], 2: [("cpu.max", "max 100000")]}
    with group("cpu", period) as enter:
        folder = (GROUPS / "cpu" if (GROUPS / "cpu").is_dir() else GROUPS) / "loopos-faults"
        file = next(file for file in (folder / "cpu.cfs_quota_us", folder / "cpu.max") if file.exists())
        less, more = (lambda _: file.write_text("50000")), (lambda _: file.write_text("-1" if file.name.endswith("us") else "max"))
        yield "a quota of half a CPU, and none", told(less, more, "now grants 0.5 CPUs", "no longer limits", preexec_fn=enter)
    all_cpus, node = ",".join(str(cpu) for cpu in every), "0"
    sets = {1: [("cpuset.cpus", all_cpus), ("cpuset.mems", node)], 2: [("cpuset.cpus", all_cpus)]}
    with group("cpuset", sets) as enter:
        file = (GROUPS / "cpuset" if (GROUPS / "cpuset").is_dir() else GROUPS) / "loopos-faults/cpuset.cpus"
        less, more = (lambda _: file.write_text(str(every[-1]))), (lambda _: file.write_text(all_cpus))
        yield "a cpuset of one CPU, and of all", told(less, more, f"may now use CPU {every[-1]}", "--resume", preexec_fn=enter)


# Every look at the clock on the wall is a year from the one before; the other clocks are as they are.
JUMPING = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static long looks;
static long jump(void) { return (__atomic_fetch_add(&looks, 1, __ATOMIC_RELAXED) % 2 ? 1 : -1) * 31536000L; }
int clock_gettime(clockid_t clock, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, at);
  if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) at->tv_sec += jump();
  return result;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
"""


def clock_jumps(place, _count):
    """The clock on the wall jumps by a year at every look: neither weights nor times nor deadlines follow it."""
    source, library = place.path("jumping.c"), place.path("jumping.so")
    source.write_text(JUMPING)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    wanted, jumping = place.whole(), place.environment(LD_PRELOAD=str(library))
    seen = subprocess.run(["date", "+%s"], env=jumping, capture_output=True, text=True, check=True).stdout
    yield "the clock does jump", None if abs(int(seen) - time.time()) > 1e7 else "date is right"
    yield "training", ends_as(place, place.run(place.train("jumped"), env=jumping), "jumped", wanted)
    log = [json.loads(line) for line in place.path("jumped/metrics.jsonl").read_text().splitlines()]
    odd = [line for line in log if not 0 <= line.get("seconds", line.get("validation_seconds")) < 60]
    yield "times of steps", f"{odd}" if odd else None
    began = time.monotonic()
    done = place.run(place.train("limited", "--set", "training.max_steps=100000000", "--max-seconds", "2"), env=jumping)
    took = time.monotonic() - began
    yield "--max-seconds", said(done) if done.returncode else None if 2 <= took < 50 else f"took {took:.1f} s"
    bench = [place.program, "bench", "--suite", "ceilings", "--quick", "--out", "reports"]
    began = time.monotonic()
    done = place.run(bench, timeout=600, env=jumping)
    took = time.monotonic() - began
    if done.returncode:
        yield "a benchmark", said(done)
        return
    run = json.loads(place.path("reports/latest/run.json").read_text())
    yield "a benchmark's time", None if 0 < run["elapsed_seconds"] <= took else f"{run['elapsed_seconds']} s of {took} s"
    odd = [metric["name"] for metric in run["metrics"] if metric["unit"] in ("seconds", "GFLOP/s") and metric["value"] is not None and not 0 <= metric["value"] < 1e5]
    yield "a benchmark's samples", f"{odd}" if odd else None


def memory_forecast(place, _count):
    """What a run says that it will take, beside what it takes at most of memory that is no file's: within 5 %."""
    models = {"width 32": (32, 1, 300), "tiny": (96, 3, 400), "few tokens": (256, 2, 300), "small": (256, 2, 10_000), "base": (384, 4, 14_000)}
    for name, (width, layers, words) in models.items():
        for threads in (1, 2):
            sizes = {"d_model": width, "num_layers": layers, "d_ff": 4 * width, "vocab_size": words, "num_heads": 4}
            more = [part for key, value in sizes.items() for part in ("--set", f"model.{key}={value}")]
            more += ["--set", "training.batch_size=32", "--set", "training.max_length=128", "--set", "training.max_steps=3"]
            more += ["--data", str(SOURCE), "--set", f"training.threads={threads}"]
            yield f"{name}, {threads} threads", forecast_missed(place, f"{name}, {threads} threads", more)
    for kind in (LESSONS, REWARDS, PPO):
        with Place(place.program) as other:
            other.config["model"] |= {"d_model": 256, "num_layers": 2, "d_ff": 1024}
            other.become(kind)
            yield kind, forecast_missed(other, kind, [])


def forecast_missed(place, name, more):
    """Why the forecast of a run was wrong; `None` where it was right. The first run makes tokenizer and tokens."""
    train = lambda *more_still: [part for part in place.train(*more_still, *more) if part not in ("--threads", "1")]
    done = place.run(train("first"), timeout=600)
    told = re.search(rb"memory +about ([\d.]+) (KiB|MiB|GiB):", place.run(train("first", "--explain")).stdout)
    place.remove("first")
    if done.returncode or not told:
        return said(done)
    forecast = float(told[1]) * {b"KiB": 1 / 1024, b"MiB": 1, b"GiB": 1024}[told[2]]
    running, most = place.start(train("second")), 0
    while running.poll() is None:
        with contextlib.suppress(OSError):
            status = pathlib.Path(f"/proc/{running.pid}/status").read_text()
            found = re.search(r"RssAnon:\s+(\d+)", status)
            most = max(most, int(found[1]) / 1024 if found else 0)
        time.sleep(0.002)
    place.remove("second")
    print(f"  {name}: {forecast:.1f} MiB forecast, {most:.1f} MiB taken, {most / forecast - 1:+.1%}", flush=True)
    return None if abs(most / forecast - 1) <= 0.05 else f"{forecast} MiB forecast, {most:.1f} MiB taken"


def bare_surroundings(place, _count):
    """What a container may lack: a home, a terminal, huge pages, files to open, /sys, /proc/cpuinfo."""
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
    if os.geteuid() != 0:
        raise LeftOut("hiding /sys and /proc/cpuinfo needs root")
    for hidden in ("mount -t tmpfs none /sys", "mount --bind /dev/null /proc/cpuinfo", "mount -t tmpfs none /sys; mount --bind /dev/null /proc/cpuinfo"):
        command = ["unshare", "-m", "sh", "-c", f'{hidden} && exec "$@"', "sh", *place.train("f")]
        yield hidden.replace("mount ", ""), ends_as(place, place.run(command), "f", wanted)
        place.remove("f")


def odd_names(place, _count):
    """Paths that are not UTF-8, of two lines, wherever a path may be given: all is as with plain ones, or, where the path becomes part of a
    run's configuration, refused."""
    place.whole()
    odd = os.fsdecode(b"odd \xff name\nof two lines")
    loopos = lambda *arguments: place.run([place.program, *arguments])
    refusals = {
        "a configuration": loopos("train", "--config", f"{odd}.json", "--out", "none"),
        "a text": loopos("train", "--config", "config.json", "--data", odd, "--out", "none"),
        "a run": place.run(place.train(f"run {odd}")),
    }
    for name, done in refusals.items():
        yield name, refused(done, "UTF-8", codes=(2,)) or (f"made {odd}" if place.path(f"run {odd}").exists() else None)
    # Renamed afterwards it is a folder as any other.
    place.path("whole").rename(place.path(f"run {odd}"))
    ends = {
        "writing with a run": loopos("generate", "--model", f"run {odd}", "--prompt", "the", "--max-tokens", "2"),
        "exporting it": loopos("export", "--model", f"run {odd}", "--out", f"hf {odd}"),
        "writing with what was exported": loopos("generate", "--model", f"hf {odd}", "--prompt", "the", "--max-tokens", "2"),
        "its page": loopos("report", f"run {odd}", "--out", f"page {odd}"),
        "recording a machine": loopos("probe", "--record", f"machine {odd}"),
        "reading it": loopos("probe", "--from", f"machine {odd}"),
        "benchmarking": loopos("bench", "--suite", "ceilings", "--quick", "--out", f"reports {odd}"),
        "its history": loopos("history", "add", f"reports {odd}", "--file", f"history {odd}"),
        "the history's page": loopos("history", "--file", f"history {odd}", "--html", f"history {odd}.html"),
    }
    for name, done in ends.items():
        yield name, said(done) if done.returncode else None
    made = ("hf {}/model.safetensors", "page {}/report.html", "machine {}", "reports {}/latest/run.json", "history {}.html")
    missing = [name for name in made if not place.path(name.format(odd)).exists()]
    yield "all of it is there", f"missing: {missing}" if missing else None
    left = [path.name for path in place.folder.rglob("*") if path.name.endswith(".tmp")]
    yield "nothing else is", f"left over: {left}" if left else None


TESTS = [
    ("memory limits", little_memory, 0),
    ("processor limits", few_processors, 0),
    ("processors changed while running", changing_processors, 0),
    ("processors taken away are told", processors_taken_away, 0),
    ("clock jumps", clock_jumps, 0),
    ("memory forecast within 5 %", memory_forecast, 0),
    ("bare surroundings", bare_surroundings, 0),
    ("names that are not UTF-8", odd_names, 0),
]
