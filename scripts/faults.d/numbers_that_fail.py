"""Numbers that go wrong, and numbers that must not differ: poisoned batches, and the same seed again."""

import json
import random

from place import said


def log_of(place, run):
    """The steps of a run's log."""
    lines = [json.loads(line) for line in place.path(f"{run}/metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def the_same_again(place, count):
    """The same seed, on one thread and on two: every loss the same, to the last digit."""
    wanted = None
    for trial in range(count):
        done = place.run(with_threads(place, 1 + trial % 2))
        if done.returncode != 0:
            yield f"run {trial}", said(done)
            continue
        losses = [(line["step"], line["loss"], line["gradient_norm"]) for line in log_of(place, "again")]
        wanted = wanted or (losses, place.digests("again"))
        yield f"run {trial}", None if (losses, place.digests("again")) == wanted else "other losses or weights"
        place.remove("again")


def with_threads(place, threads):
    command = place.train("again")
    command[command.index("--threads") + 1] = str(threads)
    return command


def poisoned_batches(place, count):
    """A stretch of random tokens in a text of one pattern: the batch that meets it is left out, and the run learns the pattern."""
    place.config["model"]["vocab_size"] = 64
    place.config["training"] |= {"max_steps": 150, "batch_size": 2, "validation_split": 0, "validation_every": None, "num_epochs": 1}
    place.write_config()
    left_out = 0
    for trial in range(count):
        pick = random.Random(trial)
        ids = [number % 8 for number in range(150 * 2 * 16 + 16)]
        # In the middle, past the steps in which every loss is large; the order of the batches is another.
        ids[2400:2432] = [pick.randrange(8, 64) for _ in range(32)]
        place.path("ids.txt").write_text(" ".join(map(str, ids)))
        command = place.train("poisoned", "--tokens", "ids.txt", "--set", f"training.seed={trial}")
        done = place.run(command)
        if done.returncode != 0:
            yield f"seed {trial}", said(done)
            continue
        log = log_of(place, "poisoned")
        skipped = [line["step"] for line in log if line["skipped"]]
        reasons = {line["skip_reason"].split(":")[0] for line in log if line["skipped"]}
        met_late = [line for line in log[60:] if line["loss"] > 1.0 and not line["skipped"]]
        wrong = None
        if met_late:
            wrong = f"learnt from a loss of {met_late[0]['loss']} at step {met_late[0]['step']}"
        elif log[-1]["loss"] > 0.5:
            wrong = f"the last loss is {log[-1]['loss']}"
        elif skipped and reasons != {"its loss is a spike"}:
            wrong = f"left out because {reasons}"
        left_out += bool(skipped)
        yield f"seed {trial}, left out {skipped}", wrong
        place.remove("poisoned")
    # The others met it among the first steps, where every loss is as large.
    yield "the guard", None if left_out > count // 3 else f"only {left_out} of {count} runs left a step out"


TESTS = [
    ("losses of the same seed", the_same_again, 10),
    ("poisoned batches", poisoned_batches, 20),
]
