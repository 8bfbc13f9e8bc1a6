"""Commands that are killed while they write what is no run: an export, a page, a history, kept tokens."""

import hashlib
import os
import shutil
import time

from damage import benched
from kills import CALLS, calls_into, killed_at
from place import said

# SQLite writes by others, and syncs data alone.
ALL_CALLS = (*CALLS, "pwrite64", "fdatasync")
LONG_AGO = 30 * 24 * 3600


def contents(folder):
    """The files of a folder and of those in it, with what is in them; where there is none, nothing."""
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def aged(folder):
    """Makes what is there as old as where somebody comes back to it: what was written just now may have a living writer elsewhere."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - LONG_AGO,) * 2, follow_symlinks=False)


def again(place, _count):
    """`kill -9` when a command makes its k-th call of each kind on what it writes, for every k: the same command once more leaves what the
    undisturbed one does, and nothing else."""
    place.whole()
    record = str(benched(place))
    place.run([place.program, "history", "add", "reports/latest", "--file", "history.sqlite"])
    file = ("--file", "killed/history.sqlite")
    one_step = [*place.train("again"), "--set", "training.max_steps=1"]
    commands = {
        "export": ["export", "--model", "whole", "--out", "killed/model"],
        "report": ["report", record, "--out", "killed"],
        "probe --svg": ["probe", "--svg", "killed/topology.svg"],
        "history export": ["history", "export", "killed/rows.jsonl", "--file", "history.sqlite"],
        "history add": ["history", "add", "reports/latest", *file],
        "kept tokens": one_step[1:],
    }
    place.environment = lambda given=place.environment, **more: given(**{"XDG_CACHE_HOME": str(place.path("killed"))} | more)

    def left(name):
        """What there is; of a history its rows, since SQLite's pages may lie otherwise."""
        found = contents(place.path("killed"))
        if name == "history add":
            done = place.run([place.program, "history", "export", "rows.jsonl", *file])
            found = sorted(found), place.path("rows.jsonl").read_bytes() if done.returncode == 0 else said(done)
        for folder in ("killed", "again"):
            shutil.rmtree(place.path(folder), ignore_errors=True)
        return found

    for name, arguments in commands.items():
        command = [place.program, *arguments]
        done = place.run(command)
        assert done.returncode == 0, said(done)
        wanted = left(name)
        for call in ALL_CALLS:
            place.remove("killed")
            numbers = calls_into(place, "killed", call, command)
            left(name)
            for number in numbers:
                missed = killed_at(place, call, number, command)
                aged(place.path("killed"))
                # The run beside the cache is not what is tried here.
                place.remove("again")
                # What was whole already may be refused to be written once more.
                done = place.run(command)
                found = left(name)
                yield f"{name}, {call} {number}", missed or (None if found == wanted else f"{found} instead of {wanted}, {said(done)}")


TESTS = [("kill -9 at every call on what another command writes", again, 0)]
