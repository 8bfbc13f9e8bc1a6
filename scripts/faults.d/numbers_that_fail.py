"""Numbers that go wrong, and numbers that must not differ: poisoned batches and memory, and the same seed again."""

import json
import math
import os
import random
import signal
import time

from memory import SHORTEST, found, held, is_finite, is_zero, put, tensors
from place import LeftOut, said


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


def stopped_after_a_save(place, process, run, first, only=None):
    """Stops a run right after it has saved step `first` or a later one, before the next update: the addresses of a value of its
    weights, of the tensor `only` if that matters, and of the same value of its gradients and both moments, and the step. `None` where
    the run has ended."""
    seen = set()
    while process.poll() is None:
        saved = {path for path in place.path(run).glob("checkpoints/step-*") if int(path.name[5:]) >= first} - seen
        if not saved:
            time.sleep(0.0005)
            continue
        process.send_signal(signal.SIGSTOP)
        newest, pick, parts = max(saved), random.Random(first), held(process)
        weights, moments = tensors(newest / "model.safetensors"), tensors(newest / "optimizer.safetensors")
        names = [only] if only else [name for name, values in weights.items() if len(values) >= 4 * SHORTEST]
        for name in pick.sample(names, len(names)):
            places = [found(parts, values) for values in (weights[name], moments[f"m.{name}"], moments[f"v.{name}"])]
            if None in places:
                continue
            # Gradients, which an update clears, lie in a mapping between those of the weights and of the first moments.
            weight, first_moment, second_moment = places
            gradient = (weight + first_moment) // 2
            if not is_zero(parts, gradient, len(weights[name])):
                continue
            at = 4 * pick.randrange(len(weights[name]) // 4)
            places = {"weight": weight, "gradient": gradient, "first moment": first_moment, "second moment": second_moment}
            return {what: place + at for what, place in places.items()}, int(newest.name[5:])
        # The next update had begun.
        seen |= saved
        process.send_signal(signal.SIGCONT)
    return None, None


def poisoned_memory(place, count):
    """A number in the memory of a run becomes none, or very large, right after a save: in a gradient one step is left out; in weights
    and moments the run ends after the stated number of steps, keeps nothing that is not finite, and goes on to the undisturbed bits."""
    if os.geteuid() != 0:
        raise LeftOut("writing to the memory of a process needs root")
    place.config["model"] |= {"d_model": 96, "num_layers": 2, "d_ff": 384, "num_heads": 4}
    # Every loss after the fiftieth is compared with those before.
    place.config["training"] |= {"max_steps": 90, "batch_size": 16, "max_length": 64, "validation_every": 40}
    # Where any checkpoint may be the last before the harm shows, and where there are two.
    often = ("--set", "training.checkpoint_every=1", "--set", "training.keep_checkpoints=1")
    place.write_config()
    wanted = {kind: (place.run(place.train("whole", *kind)), place.digests("whole"), place.remove("whole"))[1] for kind in ((), often)}
    harms = [(where, number) for where in ("gradient", "weight", "first moment") for number in (float("nan"), float("inf"), -3e38)]
    harms += [("second moment", float("nan")), ("second moment", float("inf"))]
    for trial in range(count):
        where, number = harms[trial % len(harms)]
        kind, pick = ((), often)[trial // len(harms) % 2], random.Random(trial)
        process = place.start(place.train("struck", *kind), stderr=open(place.path("said"), "wb"))
        # Elsewhere a large number may hide behind a normalisation; here every loss meets it.
        only = "wte.weight" if where == "weight" and math.isfinite(number) else None
        places, step = stopped_after_a_save(place, process, "struck", pick.randrange(60, 75), only)
        name = f"{number} in a {where} after step {step}, {'one checkpoint' if kind else 'two checkpoints'} kept"
        if places is None:
            yield name, "the run ended before it was struck"
            continue
        put(process, places[where], number)
        process.send_signal(signal.SIGCONT)
        code = process.wait(timeout=900)
        yield name, judged(place, where, step, code, kind, wanted[kind])
        place.remove("struck")


def judged(place, where, step, code, kind, wanted):
    """What is wrong with how a run that was struck has ended."""
    error = place.path("said").read_text(errors="replace")
    log = log_of(place, "struck")
    skipped = [line["step"] for line in log if line["skipped"]]
    kept = sorted(place.path("struck").glob("checkpoints/step-*"))
    spoilt = [file for path in kept for file in path.glob("*.safetensors") if not is_finite(file)]
    if spoilt:
        return f"kept {spoilt[0]} with numbers that are none"
    if where == "gradient":
        if code != 0 or skipped != [step + 1]:
            return f"exit {code}, left out {skipped}: {error[-300:]}"
        return None
    if code != 1 or "is lost" not in error and "are lost" not in error or "panicked" in error:
        return f"exit {code}, left out {skipped}: {error[-300:]}"
    if "the loss is lost" in error and (len(skipped) != 5 or skipped[-1] != log[-1]["step"]):
        return f"ended after {skipped} were left out"
    if not kept or str(kept[-1].relative_to(place.folder)) not in error:
        return f"the last good checkpoint is not named: {error[-300:]}"
    done = place.run(place.train("struck", "--resume", *kind))
    if done.returncode != 0:
        return f"resuming failed: {said(done)}"
    return None if place.digests("struck") == wanted else "other weights after resuming"


TESTS = [
    ("losses of the same seed", the_same_again, 10),
    ("poisoned batches", poisoned_batches, 20),
    ("NaN, infinity and 3e38 put into a run's memory at a step", poisoned_memory, 44),
]
