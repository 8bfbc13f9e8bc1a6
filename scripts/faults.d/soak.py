"""Hours in miniature: runs are trained, benched, killed, stopped and starved in a loop, and nothing may pile up."""

import json
import os
import pathlib
import random
import resource
import signal
import threading
import time

from place import said

# Seconds of the whole, between two looks at a run, and between two at the clock.
WHOLE, LOOK, TICK = 45 * 60, 0.05, 0.1
# Memory may grow by this from the first look at a warm run to the last: the allocator's pages, never a model.
GROWTH = 4 << 20


def used(process):
    """Memory, open files and threads of a running process; `None` where it has ended."""
    folder = pathlib.Path(f"/proc/{process.pid}")
    try:
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) << 10, len(os.listdir(folder / "fd")), int(status["Threads"])
    except (OSError, KeyError, ValueError):
        return None


def flat(looks):
    """Why what a run used was not flat; `None` where it was. The first half is for warming up."""
    warm = looks[len(looks) // 2 :]
    if len(warm) < 3:
        return None
    (memory, files, threads), last = warm[0], warm[-1]
    if last[0] > memory + GROWTH:
        return f"memory grew from {memory >> 10} to {last[0] >> 10} KiB"
    # A checkpoint that is being written has a file open more; a run that ends or is killed has fewer threads.
    return None if last[1] <= files + 2 and last[2] <= threads else f"files {files} to {last[1]}, threads {threads} to {last[2]}"


def harm(process, pick):
    """Does one thing to a run that it may meet in a night; the exit status that is right then, beside 0 for one that was done."""
    kind = pick.choice(("nothing", "kill", "term", "stop", "one CPU", "few files"))
    match kind:
        case "kill":
            process.kill()
            return kind, -signal.SIGKILL
        case "term":
            process.terminate()
            return kind, 143
        case "stop":
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.2)
            process.send_signal(signal.SIGCONT)
        case "one CPU":
            for thread in pathlib.Path(f"/proc/{process.pid}/task").glob("*"):
                try:
                    os.sched_setaffinity(int(thread.name), {pick.choice(sorted(os.sched_getaffinity(0)))})
                except OSError:
                    pass
        case "few files":
            # Room for those that are open and a few more, as a save needs.
            try:
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (64, 64))
            except OSError:
                pass
    return kind, 0


def trained(place, pick, run):
    """One run, harmed at a random moment and then resumed to its end: what happened, and why it is wrong."""
    process, looks = place.start(place.train(run)), []
    moment, began, harmed, right = pick.uniform(0.0, 1.2), time.monotonic(), "nothing", 0
    while process.poll() is None:
        # A run that still starts opens files and threads.
        if place.path(f"{run}/metrics.jsonl").exists():
            looks.append(used(process))
        if harmed == "nothing" and time.monotonic() - began > moment:
            harmed, right = harm(process, pick)
            moment = float("inf")
        time.sleep(LOOK)
    # Nobody heeds a signal before a run has begun.
    begun = place.path(f"{run}/metrics.jsonl").exists()
    if process.returncode not in (0, right) and (begun or process.returncode != -signal.SIGTERM):
        return harmed, f"exit {process.returncode}"
    return harmed, flat([look for look in looks if look])


def benched(place):
    """A short benchmark: why its run.json is not valid; `None` where it is."""
    done = place.run([place.program, "bench", "--suite", "ceilings", "--quick", "--out", "reports"], timeout=1800)
    if done.returncode != 0:
        return said(done)
    run = json.loads(place.path("reports/latest/run.json").read_text())
    if not run["schema"].startswith("loopos.run/") or not run["metrics"]:
        return "run.json has no metrics"
    done = place.run([place.program, "report", "reports/latest", "--out", "page"])
    return said(done) if done.returncode else None


class Clock:
    """Seconds on the clock, less those in which this script, and so the runs beside it, stood still."""

    def __init__(self):
        self.seconds, self.over = 0.0, threading.Event()
        threading.Thread(target=self.tick, daemon=True).start()

    def tick(self):
        last = time.monotonic()
        while not self.over.wait(TICK):
            now = time.monotonic()
            # However busy the machine is, a thread that sleeps is late by less.
            self.seconds += min(now - last, 10 * TICK)
            last = now


def soak(place, seconds):
    """Runs until the time is over; each must end in the weights of the undisturbed run, and leave nothing behind."""
    # Long enough to be met in the middle: a second or two.
    place.config["training"] |= {"max_steps": 1500, "validation_every": 200, "checkpoint_every": 100}
    place.write_config()
    wanted, pick, number = place.whole(), random.Random(90), 0
    before = len(os.listdir(place.path("cache"))) if place.path("cache").exists() else 0
    began, clock = time.monotonic(), Clock()
    while clock.seconds < seconds:
        number += 1
        if number % 20 == 0:
            passed = time.monotonic() - began
            print(f"  run {number} after {clock.seconds / 60:.1f} minutes, of {passed / 60:.1f} on the clock", flush=True)
            yield f"bench {number}", benched(place)
            place.remove("reports")
        harmed, wrong = trained(place, pick, "soaked")
        more = ("--resume",) if place.path("soaked/.lock").exists() else ()
        done = place.run(place.train("soaked", *more))
        if not wrong and done.returncode:
            wrong = f"gone on with: {said(done)}"
        if not wrong and place.digests("soaked") != wanted:
            wrong = "other weights"
        if not wrong and place.leftovers("soaked"):
            wrong = f"left over: {place.leftovers('soaked')}"
        yield f"run {number}, {harmed}", wrong
        place.remove("soaked")
    clock.over.set()
    now = len(os.listdir(place.path("cache"))) if place.path("cache").exists() else 0
    yield "the cache", f"{before} entries became {now}" if now != before else None


TESTS = [("the soak", soak, WHOLE)]
