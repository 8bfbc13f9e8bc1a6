"""Files from strangers: what a program must read is cut, spliced and rewritten. It may be refused or read; nothing else may happen."""

import os
import pathlib
import random
import shutil
import subprocess

from place import said

# What parsers stumble over.
PIECES = [
    b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"18446744073709551616", b"4294967295",
    b"\x00", b"\xff\xfe", "\u202e".encode(), b"<script>alert(1)</script>", b"../../../../etc/passwd", b"'; DROP TABLE runs; --", b"[" * 200, b"\n",
]
# Runs that are kept beside the program.
REPORTS = pathlib.Path(__file__).resolve().parents[2] / "reports"
# Memory that any file may cost beside twice its size: buffers, and what reading a right one takes more or less of.
SLACK = 24 << 20


def mutated(data, others, pick):
    """One to eight changes: bits, bytes, pieces, cuts, copies of its own parts and of other files'."""
    data = bytearray(data)
    for _ in range(pick.randint(1, 8)):
        at = pick.randrange(len(data) + 1)
        match pick.randrange(7):
            case 0 if data:
                data[min(at, len(data) - 1)] ^= 1 << pick.randrange(8)
            case 1:
                data[at:at] = pick.choice(PIECES)
            case 2:
                data[at : at + pick.randint(1, 64)] = pick.choice(PIECES)
            case 3:
                del data[at : at + pick.randint(1, 1 << pick.randrange(12))]
            case 4:
                part = data[at : at + pick.randint(1, 256)]
                data[at:at] = part * pick.randint(1, 8)
            case 5:
                other = pick.choice(others)
                start = pick.randrange(len(other) + 1)
                data[at : at + pick.randint(0, 64)] = other[start : start + pick.randint(1, 256)]
            case 6 if pick.random() < 0.2:
                del data[at:]
    return bytes(data)


def survives(place, command, size, usual):
    """Why a program did not survive a file: ended by a signal, panicked, hung, or took far more memory than the file is large."""
    with open(place.path("said"), "wb") as out:
        running = subprocess.Popen(command, cwd=place.folder, env=place.environment(), stdout=subprocess.DEVNULL, stderr=out)
        _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    error = place.path("said").read_bytes()
    done = subprocess.CompletedProcess(command, running.returncode, b"", error)
    if running.returncode not in (0, 1, 2, 3, 4):
        return said(done)
    if b"panicked" in error:
        return said(done)
    if running.returncode and not error.strip():
        return f"exit {running.returncode} without a word"
    taken = used.ru_maxrss * 1024
    return f"took {taken >> 20} MiB for {size} bytes, {usual >> 20} MiB usually" if taken > usual + 2 * size + SLACK else None


def usual_memory(place, command):
    """What the program takes for the right file."""
    running = subprocess.Popen(command, cwd=place.folder, env=place.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = running.stderr.read()
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, error
    return used.ru_maxrss * 1024


def trials(place, count, seed, file, command, others=()):
    """Runs `command` on so many mutations of a file, which is put right again afterwards."""
    pick, right = random.Random(seed), file.read_bytes()
    usual = usual_memory(place, command)
    for trial in range(count):
        bad = mutated(right, [right, *others], pick)
        file.write_bytes(bad)
        wrong = survives(place, command, len(bad), usual)
        if wrong:
            kept = f"/tmp/hostile-{file.name}-{seed}-{trial}"
            shutil.copy(file, kept)
            wrong = f"{wrong} (kept as {kept})"
        yield f"{file.name} {trial}", wrong
    file.write_bytes(right)


def configurations(place, count):
    command = [place.program, "configs", "show", "config.json"]
    return trials(place, count, 10, place.path("config.json"), command)


def exported(place):
    """A folder in Hugging Face's layout, and the command that reads all of it."""
    place.whole()
    done = place.run([place.program, "export", "--model", "whole", "--out", "hf"])
    assert done.returncode == 0, said(done)
    return [place.program, "generate", "--model", "hf", "--prompt", "the river", "--max-tokens", "2"]


def models(place, count):
    command = exported(place)
    for seed, name in enumerate(("model.safetensors", "config.json", "tokenizer.json"), 20):
        yield from trials(place, count, seed, place.path("hf") / name, command)


def recordings(place, count):
    done = place.run([place.program, "probe", "--record", "machine.txt"])
    assert done.returncode == 0, said(done)
    return trials(place, count, 30, place.path("machine.txt"), [place.program, "probe", "--from", "machine.txt"])


def kept_run(place):
    """A folder with a right run.json: the smallest of the kept ones, curves, notes and all."""
    found = sorted(REPORTS.glob("*/*/run.json"), key=lambda file: file.stat().st_size)
    place.path("kept").mkdir()
    return pathlib.Path(shutil.copy(found[0], place.path("kept")))


def records(place, count):
    """A run.json that somebody sent: its page, and its tables."""
    file = kept_run(place)
    yield from trials(place, count, 40, file, [place.program, "report", "kept", "--out", "page"])
    yield from trials(place, count // 4, 41, file, [place.program, "report", "kept", "--out", "page", "--format", "csv"])


def histories(place, count):
    """A history of another, shown as a page, and runs to be imported."""
    file = kept_run(place)
    for command in ("add", "kept"), ("export", "runs.jsonl"):
        done = place.run([place.program, "history", *command, "--file", "history.sqlite"])
        assert done.returncode == 0, said(done)
    show = [place.program, "history", "--file", "history.sqlite", "--html", "history.html", "--only", "*"]
    for case in trials(place, count, 60, place.path("history.sqlite"), show):
        yield case
        # What SQLite keeps beside a file belongs to that file.
        for beside in place.folder.glob("history.sqlite-*"):
            beside.unlink()
    take = [place.program, "history", "import", "runs.jsonl", "--file", "new.sqlite"]
    for case in trials(place, count, 61, place.path("runs.jsonl"), take):
        yield case
        for old in place.folder.glob("new.sqlite*"):
            old.unlink()


def texts(place, count):
    """Text to train on is any bytes; a run on it is short."""
    command = place.train("any", "--data", "text/00.txt", "--set", "training.max_steps=1", "--set", "training.validation_split=0")
    for case in trials(place, count, 50, place.path("text/00.txt"), command):
        place.remove("any")
        yield case


TESTS = [
    ("hostile configurations", configurations, 4000),
    ("hostile models: safetensors, config.json, tokenizer.json", models, 2000),
    ("hostile recordings of machines", recordings, 4000),
    ("hostile run.json", records, 1000),
    ("hostile histories and imports", histories, 500),
    ("hostile texts", texts, 300),
]
