"""A folder with a tiny training run in it, and what every trial asks of the program."""

import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile

WORDS = "the river runs under a bridge of stone and never stops its song while rain falls far away".split()
STEPS = 20

# What a run may be, and how each further kind changes the configuration of the one that it starts from.
PRETRAINING, LESSONS, REWARDS, PPO = KINDS = ("pretraining", "chain of thought", "a reward model", "PPO")


class Place:
    """A temporary folder: a configuration, a text, a cache, and runs beside one another."""

    def __init__(self, program):
        self.program = str(program)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="faults-"))
        pick = random.Random(1)
        (self.folder / "text").mkdir()
        for document in range(20):
            text = " ".join(pick.choice(WORDS) for _ in range(600))
            (self.folder / "text" / f"{document:02}.txt").write_text(text)
        self.config = {
            "model": {"type": "transformer", "d_model": 32, "num_heads": 2, "num_layers": 1, "d_ff": 64, "vocab_size": 300},
            "computation": {"mode": "pretraining", "method": "autoregressive", "description": "a trial of faults"},
            "training": {
                "learning_rate": 0.01, "schedule": {"kind": "constant"}, "batch_size": 4, "max_length": 16,
                "num_epochs": 1_000_000, "max_steps": STEPS, "validation_every": 7, "validation_batches": 1,
                "checkpoint_every": 5, "keep_checkpoints": 2, "validation_split": 0.1,
            },
            "data": {"input_file": "text", "output_dir": "run"},
        }
        self.write_config()

    def write_config(self):
        (self.folder / "config.json").write_text(json.dumps(self.config))

    def become(self, kind):
        """Makes the runs of this place be of this kind, after the models that they start from."""
        for number, name in enumerate(KINDS[: KINDS.index(kind) + 1]):
            if number:
                before = KINDS[number - 1].replace(" ", "-")
                if number == 1:
                    self.config["training"]["max_length"] = 24
                    self.write_config()
                done = self.run(self.train(before))
                assert done.returncode == 0, said(done)
                self.teach(name, before)

    def teach(self, kind, start):
        """The configuration of a kind that starts from the run `start`."""
        training, data = self.config["training"], {"output_dir": "run", "pretrained_weights": start}
        if kind != LESSONS:
            # The taught model has the four tokens that tell the parts of examples.
            self.config["model"] |= {"vocab_size": 304}
        method = "chain_of_thought" if kind == LESSONS else "rlhf"
        self.config["computation"] = {"mode": "posttraining", "method": method, "description": "a trial of faults"}
        post = {"examples": 60, "difficulty": 1}
        if kind == REWARDS:
            post["algorithm"] = "reward_model"
        if kind == PPO:
            # The policy is the taught model; the model before it judges.
            data["pretrained_weights"] = LESSONS.replace(" ", "-")
            post |= {"algorithm": "ppo", "reward_model": start, "rollouts": 8, "response_length": 8, "update_epochs": 2}
            training |= {"max_steps": 6, "checkpoint_every": 2, "validation_every": None}
        self.config |= {"data": data, "posttraining": post}
        self.write_config()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, **more):
        """That of the trials: the cache in this folder, no colours, nothing else of the caller's that changes what is done.

        Benchmarks take turns by a file in the folder for temporary files: with one of their own, a trial that is stopped stops nobody."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LOOPOS_")}
        own = {"XDG_CACHE_HOME": str(self.folder / "cache"), "XDG_CONFIG_HOME": str(self.folder), "TMPDIR": str(self.folder)}
        return kept | own | {"NO_COLOR": "1"} | more

    def train(self, out, *more):
        """The command that trains into the folder `out`."""
        return [self.program, "train", "--config", "config.json", "--threads", "1", "--out", str(out), *more]

    def run(self, command, timeout=900, **more):
        """Runs a command to its end; a run past its time, long enough for a machine that is busy, counts as hung."""
        options = {"cwd": self.folder, "env": self.environment(), "capture_output": True} | more
        try:
            done = subprocess.run(command, timeout=timeout, **options)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, None, b"", b"it did not end")
        return done

    def start(self, command, **more):
        """Starts a command whose end the caller sees to."""
        options = {"cwd": self.folder, "env": self.environment(), "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | more
        return subprocess.Popen(command, **options)

    def path(self, name):
        return self.folder / name

    def copy(self, source, target):
        """Copies a run, so that a trial may harm it."""
        shutil.rmtree(self.path(target), ignore_errors=True)
        shutil.copytree(self.path(source), self.path(target))

    def remove(self, name):
        shutil.rmtree(self.path(name), ignore_errors=True)

    def whole(self, name="whole"):
        """The digests of a run that nothing disturbs."""
        done = self.run(self.train(name))
        assert done.returncode == 0, said(done)
        return self.digests(name)

    def digests(self, run):
        """Step and SHA-256 of the newest checkpoint's weights and moments; `None` where there is none."""
        found = sorted(self.path(run).glob("checkpoints/step-*"))
        if not found:
            return None
        files = [found[-1] / name for name in ("model.safetensors", "optimizer.safetensors")]
        return found[-1].name, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)

    def leftovers(self, run):
        """Files and folders of a run that are neither its own nor a whole checkpoint's."""
        known = {".lock", "checkpoints", "config.json", "metrics.jsonl", "tokenizer.json"}
        names = [entry.name for entry in self.path(run).iterdir()]
        inside = [entry.name for entry in self.path(run).glob("checkpoints/*")]
        return [name for name in names if name not in known] + [name for name in inside if not name.startswith("step-")]

    def resumes_to(self, run, wanted):
        """Why a run, gone on with to its end, is not the undisturbed one; `None` where it is."""
        done = self.run(self.train(run, "--resume"))
        if done.returncode != 0:
            return f"resuming failed: {said(done)}"
        if self.digests(run) != wanted:
            return "other weights after resuming"
        extra = self.leftovers(run)
        return f"left over: {extra}" if extra else None


def said(done):
    """What a program that ended said, and how it ended."""
    return f"exit {done.returncode}: {done.stderr.decode(errors='replace').strip()[-400:]}"


def refused(done, *names, codes=(1,)):
    """Why an end is not a clean refusal that names these things; `None` where it is."""
    text = done.stderr.decode(errors="replace")
    if done.returncode not in codes:
        return f"not refused: {said(done)}"
    if "panicked" in text:
        return f"panicked: {said(done)}"
    missing = [name for name in names if str(name) not in text]
    return f"does not name {missing}: {text.strip()[-400:]}" if missing else None


class LeftOut(Exception):
    """A test that cannot be run here, with the reason."""
