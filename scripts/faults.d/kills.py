"""Runs that are killed: at every system call that touches their folder, and at random moments."""

import collections
import functools
import random
import signal
import time

from place import KINDS, PPO, PRETRAINING, said

CALLS = ("openat", "mkdir", "write", "ftruncate", "fsync", "rename", "unlink", "unlinkat")


def calls_into(place, run, call, command=None):
    """The numbers, from one on, of the calls of this name that concern the folder of a run; strace counts each thread's own. The run is
    one of training unless another command is given, which writes into that folder."""
    log = place.path("log")
    done = place.run(["strace", "-f", "-y", "-qq", "-o", str(log), "-e", f"trace={call}", *(command or place.train(run))])
    assert done.returncode == 0, said(done)
    lines = [line.partition(" ") for line in log.read_text(errors="replace").splitlines() if f"{call}(" in line]
    place.remove(run)
    counts, found = collections.Counter(), set()
    for thread, _, line in lines:
        counts[thread] += 1
        if f"/{run}" in line or f'"{run}' in line:
            found.add(counts[thread])
    return sorted(found)


def go_on(place, run, wanted):
    """Why a killed run does not come to the undisturbed end; one that saved nothing yet is started anew."""
    if place.path(run).exists() and place.digests(run):
        return place.resumes_to(run, wanted)
    done = place.run(place.train(run))
    if done.returncode != 0:
        return f"starting anew failed: {said(done)}"
    if place.digests(run) != wanted:
        return "other weights after starting anew"
    extra = place.leftovers(run)
    return f"left over: {extra}" if extra else None


def at_every_call(kind, place, _count):
    """`kill -9` when the run makes its k-th call of each kind on a file of its folder, for every k."""
    place.become(kind)
    wanted = place.whole()
    for call in CALLS:
        for number in calls_into(place, "killed", call):
            missed = killed_at(place, call, number, place.train("killed"))
            yield f"{call} {number}", missed or go_on(place, "killed", wanted)
            place.remove("killed")


def killed_at(place, call, number, command):
    """Kills a command when it makes its k-th call of this name; why it was not killed, `None` where it was."""
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    done = place.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, *command])
    return None if done.returncode == -signal.SIGKILL else f"not killed: {said(done)}"


def at_random_moments(kind, place, count):
    """`kill -9` after a random part of the run's time."""
    place.become(kind)
    began = time.monotonic()
    wanted = place.whole()
    usual = time.monotonic() - began
    pick = random.Random(2)
    for trial in range(count):
        killed = place.start(place.train("killed"))
        time.sleep(pick.uniform(0, usual))
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        yield f"moment {trial}", go_on(place, "killed", wanted)
        place.remove("killed")


TESTS = [
    (f"kill -9 at every call on a file of the run: {kind}", functools.partial(at_every_call, kind), 0) for kind in (PRETRAINING, PPO)
] + [
    (f"kill -9 at a random moment: {kind}", functools.partial(at_random_moments, kind), 200) for kind in KINDS
]
