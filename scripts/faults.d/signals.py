"""Signals: asked to end, told to end, stopped for a while, nobody listening any more."""

import json
import os
import signal
import subprocess
import time

from place import said

ENDLESS = ("--set", "training.max_steps=1000000")


def started(place, run, **more):
    """An endless run that has made some steps."""
    running = place.start(place.train(run, *ENDLESS), **more)
    while not place.path(f"{run}/metrics.jsonl").exists() or len(place.path(f"{run}/metrics.jsonl").read_bytes()) < 2000:
        if running.poll() is not None:
            raise AssertionError(f"the run ended by itself: {running.returncode}")
        time.sleep(0.005)
    return running


def last_step(place, run):
    """The newest checkpoint's step, and the last that was logged."""
    lines = place.path(f"{run}/metrics.jsonl").read_text().splitlines()
    logged = int(lines[-1].split('"step":')[1].split(",")[0])
    return int(place.digests(run)[0].split("-")[1]), logged


def asked_to_end(place, count):
    """SIGINT and SIGTERM: the step at hand is finished and saved, the exit status says why, and the run can go on."""
    for trial in range(count):
        number, code = ((signal.SIGINT, 130), (signal.SIGTERM, 143))[trial % 2]
        running = started(place, "asked")
        began = time.monotonic()
        running.send_signal(number)
        ended = running.wait(timeout=900)
        took = time.monotonic() - began
        saved, logged = last_step(place, "asked")
        wrong = None
        if ended != code:
            wrong = f"exit {ended}"
        elif saved != logged:
            wrong = f"saved step {saved} of {logged}"
        elif took > 5:
            wrong = f"took {took:.1f} s"
        yield number.name, wrong or goes_on(place, "asked", saved)
        place.remove("asked")


def goes_on(place, run, saved):
    """Why a run that ended before its time does not go on as one that never did."""
    more = ("--set", f"training.max_steps={saved + 7}")
    resumed, straight = place.run(place.train(run, "--resume", *more)), place.run(place.train("straight", *more))
    same = place.digests(run) == place.digests("straight")
    place.remove("straight")
    if resumed.returncode or straight.returncode:
        return said(resumed) + said(straight)
    return None if same else "other weights after resuming"


def time_is_over(place, count):
    """`--max-seconds`: the step at hand is finished and saved, exit status 0, and the run can go on."""
    for trial in range(count):
        seconds = 0.1 + 0.1 * trial
        began = time.monotonic()
        done = place.run(place.train("timed", *ENDLESS, "--max-seconds", f"{seconds}"))
        took = time.monotonic() - began
        wrong, saved = said(done) if done.returncode else None, 0
        if not wrong:
            saved, logged = last_step(place, "timed")
            wrong = None if saved == logged and seconds <= took < seconds + 50 else f"saved step {saved} of {logged} after {took:.1f} s"
        yield f"after {seconds:.1f} s", wrong or goes_on(place, "timed", saved)
        place.remove("timed")


def asked_twice(place, count):
    """A second signal ends the run at once."""
    for trial in range(count):
        running = started(place, "twice")
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGTERM)
        ended = running.wait(timeout=900)
        wrong = None if ended in (130, 143) else f"exit {ended}"
        yield f"twice {trial}", wrong
        place.remove("twice")


def stopped_for_a_while(place, count):
    """SIGSTOP and, later, SIGCONT: the same weights in the end."""
    wanted = place.whole()
    for trial in range(count):
        running = place.start(place.train("stopped"))
        time.sleep(0.05 + 0.02 * (trial % 10))
        running.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        running.send_signal(signal.SIGCONT)
        ended = running.wait(timeout=900)
        yield f"stopped {trial}", f"exit {ended}" if ended else None if place.digests("stopped") == wanted else "other weights"
        place.remove("stopped")


def stopped_while_measuring(place, count):
    """SIGSTOP for five seconds in the middle of a step that is measured: the page says so, and no average holds it."""
    place.config["model"] |= {"d_model": 128, "num_layers": 2, "d_ff": 512}
    place.config["training"] |= {"batch_size": 32, "max_length": 64, "validation_split": 0.1}
    place.write_config()
    for trial in range(count):
        command = [place.program, "bench", "--suite", "training", "--quick", "--config", "config.json", "--out", "reports"]
        running = place.start(command, stderr=subprocess.PIPE)
        for line in running.stderr:
            if b"in turn" in line:
                break
        time.sleep(2 + 0.3 * trial)
        running.send_signal(signal.SIGSTOP)
        time.sleep(5)
        running.send_signal(signal.SIGCONT)
        running.stderr.read()
        if running.wait(timeout=600) != 0:
            yield f"stopped {trial}", f"exit {running.returncode}"
            continue
        run = json.loads(place.path("reports/latest/run.json").read_text())
        notes = " ".join(note["text"] for note in run["notes"])
        times = [time for series in run["series"] if series["name"].endswith("step_seconds") for time in series["y"]]
        if "stopped by a signal and continued" not in notes:
            wrong = "the page does not say that it was stopped"
        elif not times or max(times) > 4:
            wrong = f"a step of five seconds is among the measured ones, or there is none: {times}"
        else:
            wrong = None
        yield f"stopped {trial}", wrong
        place.remove("reports")


def nobody_listens(place, _count):
    """A closed standard output or error, as of a terminal that is gone or `| head -1`: training goes on to its end."""
    wanted = place.whole()
    for name in ("stdout", "stderr", "both"):
        reading, writing = os.pipe()
        os.close(reading)
        gone = {"stdout": writing, "stderr": writing} if name == "both" else {name: writing}
        done = place.start(place.train("deaf"), **gone)
        os.close(writing)
        ended = done.wait(timeout=900)
        yield f"{name} closed", f"exit {ended}" if ended else None if place.digests("deaf") == wanted else "other weights"
        place.remove("deaf")
    command = " ".join([*place.train("piped"), "| head -1"])
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=place.folder, env=place.environment(), capture_output=True)
    wrong = "panicked" if b"panicked" in done.stderr else None
    yield "| head -1", wrong or (None if place.digests("piped") == wanted else f"not trained to the end: {said(done)}")


TESTS = [
    ("SIGINT and SIGTERM", asked_to_end, 20),
    ("--max-seconds", time_is_over, 10),
    ("a second signal", asked_twice, 10),
    ("SIGSTOP for half a second", stopped_for_a_while, 20),
    ("SIGSTOP for five seconds in a benchmark", stopped_while_measuring, 3),
    ("nobody reads the output", nobody_listens, 0),
]
