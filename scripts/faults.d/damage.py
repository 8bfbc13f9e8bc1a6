"""Files that are damaged: bits flipped, ends cut off. None may be believed; what there is before them is used, and said to be."""

import random

from place import refused, said

PARTS = ("model.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS")


def flip(file, pick):
    """Flips one bit."""
    data = bytearray(file.read_bytes())
    at = pick.randrange(len(data))
    data[at] ^= 1 << pick.randrange(8)
    file.write_bytes(data)
    return f"bit of byte {at} of {len(data)}"


def cut(file, pick):
    """Cuts the end off."""
    data = file.read_bytes()
    left = pick.randrange(len(data))
    file.write_bytes(data[:left])
    return f"{left} of {len(data)} bytes left"


def checkpoints(place, count, harm):
    """One part of the newest checkpoint is damaged: the one before it is used, with a warning, and leads to the same end."""
    pick, wanted = random.Random(3), place.whole()
    for trial in range(count):
        place.copy("whole", "harmed")
        part = PARTS[trial % len(PARTS)]
        what = harm(place.path("harmed/checkpoints/step-000020") / part, pick)
        done = place.run(place.train("harmed", "--resume"))
        warned = b"step-000020" in done.stderr
        if done.returncode != 0:
            wrong = said(done)
        elif place.digests("harmed") != wanted:
            wrong = "other weights"
        else:
            wrong = None if warned else "believed: no word about the damaged checkpoint"
        yield f"{part}, {what}", wrong


def flipped_checkpoints(place, count):
    return checkpoints(place, count, flip)


def cut_checkpoints(place, count):
    return checkpoints(place, count, cut)


def both_checkpoints(place, count):
    """All checkpoints are damaged: refused, each named."""
    pick = random.Random(4)
    place.whole()
    for _ in range(count):
        place.copy("whole", "harmed")
        for step in ("step-000015", "step-000020"):
            flip(place.path(f"harmed/checkpoints/{step}/model.safetensors"), pick)
        yield "both", refused(place.run(place.train("harmed", "--resume")), "step-000015", "step-000020")


def caches(place, count):
    """The kept tokens or tokenizer of the text are damaged: made again from the text, to the same end."""
    pick, wanted = random.Random(5), place.whole()
    kept = {file: file.read_bytes() for file in place.path("cache").rglob("*") if file.is_file()}
    assert kept, "nothing is kept"
    for trial in range(count):
        file = sorted(kept)[trial % len(kept)]
        what = (flip, cut)[trial % 3 == 0](file, pick)
        place.remove("again")
        done = place.run(place.train("again"))
        wrong = said(done) if done.returncode != 0 else None
        yield f"{file.name}, {what}", wrong or (None if place.digests("again") == wanted else "other weights")
        for file, data in kept.items():
            file.write_bytes(data)


def models(place, count):
    """The weights that a model is written with are damaged: it writes nothing, and says which file."""
    pick = random.Random(6)
    place.whole()
    for _ in range(count):
        place.copy("whole", "harmed")
        for step in ("step-000015", "step-000020"):
            flip(place.path(f"harmed/checkpoints/{step}/model.safetensors"), pick)
        command = [place.program, "generate", "--model", "harmed", "--prompt", "the", "--max-tokens", "3"]
        yield "generate", refused(place.run(command), "step-0000")


def own_files(place, count):
    """The tokenizer or the configuration that a run keeps is damaged: no text is written with another tokenizer, and the run goes on to
    the same end or is refused."""
    pick, wanted = random.Random(7), place.whole()
    for trial in range(count):
        place.copy("whole", "harmed")
        name = ("tokenizer.json", "config.json")[trial % 2]
        what = (flip, cut)[trial % 5 == 0](place.path("harmed") / name, pick)
        done = place.run([place.program, "train", "--resume", "--out", "harmed", "--threads", "1", "--data", "text"])
        wrong = None
        if done.returncode != 0:
            wrong = refused(done, "harmed", codes=(1, 2))
        elif place.digests("harmed") != wanted:
            wrong = "other weights"
        if not wrong and name == "tokenizer.json" and done.returncode != 0:
            done = place.run([place.program, "generate", "--model", "harmed", "--prompt", "the", "--max-tokens", "3"])
            wrong = refused(done, "tokenizer.json")
        yield f"{name}, {what}", wrong


def benched(place):
    """The run.json of a short benchmark."""
    done = place.run([place.program, "bench", "--suite", "ceilings", "--quick", "--out", "reports"])
    assert done.returncode == 0, said(done)
    return place.path("reports/latest/run.json")


def believed(place, file, count, cuts, commands, outputs):
    """Damages a file again and again: each time some command refuses it, or all that they write is as it was."""
    pick, right = random.Random(8), file.read_bytes()

    def tried():
        for output in outputs:
            place.path(output).unlink(missing_ok=True)
        ends = [place.run(command) for command in commands]
        bad = [done for done in ends if done.returncode != 0]
        return bad, [place.path(output).read_bytes() if place.path(output).exists() else None for output in outputs]

    bad, wanted = tried()
    assert not bad and None not in wanted, [said(done) for done in bad]
    for trial in range(count + cuts):
        what = (flip if trial < count else cut)(file, pick)
        bad, found = tried()
        if bad:
            wrong = next((wrong for done in bad if (wrong := refused(done, file.name, codes=(1, 2, 4)))), None)
        else:
            wrong = None if found == wanted else "believed: other numbers"
        yield f"{file.name}, {what}", wrong
        file.write_bytes(right)
        # What SQLite keeps beside a file belongs to that file.
        for beside in file.parent.glob(f"{file.name}-*"):
            beside.unlink()


def records(place, count):
    command = [place.program, "report", str(benched(place)), "--out", "page"]
    return believed(place, place.path("reports/latest/run.json"), count, count // 10, [command], ["page/report.html"])


def histories(place, count):
    benched(place)
    file = ("--file", "history.sqlite")
    done = place.run([place.program, "history", "add", "reports/latest", *file])
    assert done.returncode == 0, said(done)
    commands = [[place.program, "history", *file, "--html", "page.html", "--only", "*"], [place.program, "history", "export", "out.jsonl", *file]]
    return believed(place, place.path("history.sqlite"), count, count // 10, commands, ["page.html", "out.jsonl"])


TESTS = [
    ("a bit of the newest checkpoint flipped", flipped_checkpoints, 1000),
    ("the newest checkpoint cut off", cut_checkpoints, 100),
    ("a bit of every checkpoint flipped, resumed", both_checkpoints, 25),
    ("a bit of every checkpoint flipped, generating", models, 25),
    ("a cache flipped or cut off", caches, 200),
    ("a run's tokenizer or configuration flipped or cut off", own_files, 100),
    ("run.json flipped or cut off", records, 1000),
    ("a history flipped or cut off", histories, 1000),
]
