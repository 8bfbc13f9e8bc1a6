"""Disks that fail: calls that come back with an error or half done, disks that are full, folders that cannot be written or are gone."""

import contextlib
import os
import subprocess
import time

from kills import calls_into, go_on
from place import LeftOut, refused, said

FAILING = {"openat": ("ENOSPC", "EIO"), "mkdir": ("ENOSPC", "EIO"), "write": ("ENOSPC", "EIO"), "fsync": ("EIO",), "rename": ("ENOSPC", "EIO")}

# Every second write of a file is cut in half, and every third call interrupted, as POSIX allows both.
HALF_DONE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>
static unsigned calls, syncs;
ssize_t write(int file, const void *data, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  if (file < 3) return real(file, data, size);
  if (++calls % 3 == 0) { errno = EINTR; return -1; }
  return real(file, data, calls % 2 && size > 1 ? size / 2 : size);
}
int fsync(int file) {
  static int (*real)(int);
  if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
  if (++syncs % 2) { errno = EINTR; return -1; }
  return real(file);
}
"""


def wrong_end(place, run, done, wanted):
    """Why a run that met an error did not end as it should: with the cause named, and what was saved whole.

    A run may also do without what it could not open, and end as if nothing had been. What could not be removed is gone after the next."""
    if done.returncode == 0 and place.digests(run) == wanted:
        return None
    return refused(done, f"{run}") or go_on(place, run, wanted)


def failing_calls(place, _count):
    """Every call on a file of the run fails once, with each error."""
    wanted = place.whole()
    for call, errors in FAILING.items():
        for number in calls_into(place, "failing", call):
            for error in errors:
                inject = f"inject={call}:error={error}:when={number}"
                command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, *place.train("failing")]
                yield f"{call} {number} {error}", wrong_end(place, "failing", place.run(command), wanted)
                place.remove("failing")


def half_done_calls(place, _count):
    """Writes come back short or interrupted, syncs interrupted: nothing is wrong with that."""
    source, library = place.path("half_done.c"), place.path("half_done.so")
    source.write_text(HALF_DONE)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    wanted = place.whole()
    done = place.run(place.train("half"), env=place.environment(LD_PRELOAD=str(library)))
    wrong = said(done) if done.returncode != 0 else None
    yield "short and interrupted writes", wrong or (None if place.digests("half") == wanted else "other weights")


@contextlib.contextmanager
def mounted(place, name, options):
    """A file system in memory on a folder of the place."""
    if os.geteuid() != 0:
        raise LeftOut("mounting needs root")
    target = place.path(name)
    target.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", target], capture_output=True)
    if done.returncode != 0:
        raise LeftOut(done.stderr.decode().strip())
    try:
        yield target
    finally:
        subprocess.run(["umount", "-l", target], check=True)


def full_disks(place, _count):
    """Disks of every size between nothing and enough: refused before the first step, or ended with what was saved whole."""
    wanted = place.whole()
    for kib in (4, 64, 256, 448, 512, 640, 768, 896, 1024, 2048):
        with mounted(place, "disk", f"size={kib}k"):
            done = place.run(place.train("disk/run"))
            if done.returncode == 0:
                wrong = None if place.digests("disk/run") == wanted else "other weights"
            elif wrong := refused(done, "disk"):
                pass
            elif left := [name for name in place.leftovers("disk/run") if name.endswith(".tmp")] if place.path("disk/run").exists() else []:
                wrong = f"left over: {left}"
        yield f"{kib} KiB", wrong
    with mounted(place, "disk", "size=8m"):
        # The disk fills up while the run is on: the last checkpoint must stay.
        running = place.start(place.train("disk/run", "--set", "training.max_steps=1000000"), stderr=subprocess.PIPE)
        while not place.path("disk/run/checkpoints").exists() or not place.digests("disk/run"):
            time.sleep(0.01)
        with contextlib.suppress(OSError), open(place.path("disk/other"), "wb") as other:
            while True:
                other.write(b"0" * 4096)
                other.flush()
        error = running.communicate(timeout=900)[1]
        done = subprocess.CompletedProcess([], running.returncode, b"", error)
        wrong = refused(done, "disk/run")
        place.path("disk/other").unlink()
        step = int((place.digests("disk/run") or ["step-0"])[0].split("-")[1])
        more = place.run(place.train("disk/run", "--resume", "--set", f"training.max_steps={step + 7}"))
        wrong = wrong or (said(more) if more.returncode != 0 else None)
        straight = place.run(place.train("straight", "--set", f"training.max_steps={step + 7}"))
        same = straight.returncode == 0 and place.digests("straight") == place.digests("disk/run")
        yield "filled while running", wrong or (None if same else "other weights after resuming")


def unusable_folders(place, _count):
    """Read-only, not a folder, gone while running, taken by another run."""
    place.whole()
    with mounted(place, "disk", "size=8m"):
        subprocess.run(["mount", "-o", "remount,ro", place.path("disk")], check=True)
        yield "read-only", refused(place.run(place.train("disk/run")), "disk/run")
    place.path("file").write_text("in the way")
    yield "a file in the way", refused(place.run(place.train("file")), "file", codes=(1, 2))
    endless = ("--set", "training.max_steps=1000000")
    running = place.start(place.train("gone", *endless), stderr=subprocess.PIPE)
    while not place.path("gone/checkpoints").exists() or not place.digests("gone"):
        time.sleep(0.01)
    place.path("gone").rename(place.path("elsewhere"))
    error = running.communicate(timeout=900)[1]
    yield "gone while running", refused(subprocess.CompletedProcess([], running.returncode, b"", error), "gone")
    running = place.start(place.train("taken", *endless))
    while not place.path("taken/metrics.jsonl").exists():
        time.sleep(0.01)
    yield "taken by another run", refused(place.run(place.train("taken", *endless)), "taken")
    running.kill()
    running.wait()


TESTS = [
    ("ENOSPC and EIO at every call on a file of the run", failing_calls, 0),
    ("short and interrupted writes and syncs", half_done_calls, 0),
    ("full disks", full_disks, 0),
    ("folders that cannot be used", unusable_folders, 0),
]
