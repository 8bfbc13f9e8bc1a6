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


TESTS = [
    ("a bit of the newest checkpoint flipped", flipped_checkpoints, 1000),
    ("the newest checkpoint cut off", cut_checkpoints, 100),
    ("a bit of every checkpoint flipped, resumed", both_checkpoints, 25),
    ("a bit of every checkpoint flipped, generating", models, 25),
    ("a cache flipped or cut off", caches, 60),
]
