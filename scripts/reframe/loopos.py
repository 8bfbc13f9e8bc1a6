"""Checks of a lab: training by several ranks, and the suite of several processes with its numbers kept over time.

    pip install reframe-hpc
    reframe -C scripts/reframe/settings.py -c scripts/reframe/loopos.py -S loopos=target/release/loopos -r --performance-report

`loopos` is a program built with `--features mpi`. References are a lab's own: `-S '*.reference_...'` or a file beside this one.
"""

import json
import os
from pathlib import Path

import reframe as rfm
import reframe.utility.sanity as sn
from reframe.core.builtins import deferrable, parameter, performance_function, run_after, run_before, sanity_function, variable

ROOT = Path(__file__).resolve().parent.parent.parent


class Loopos(rfm.RunOnlyRegressionTest):
    """The program on some ranks, with a model that any machine trains in seconds."""

    loopos = variable(str, value=str(ROOT / "target/release/loopos"))
    config = variable(str, value="autoregressive_training_tiny")
    threads = variable(int, value=1)
    ranks = parameter([1, 2])

    valid_systems = ["*"]
    valid_prog_environs = ["*"]

    @run_after("setup")
    def start_ranks(self):
        self.executable = os.path.abspath(self.loopos)
        self.num_tasks = self.ranks
        self.num_cpus_per_task = self.threads
        if self.current_partition.launcher_type.registered_name == "mpirun":
            # More ranks than cores is right for a check, and loopos binds its threads itself.
            self.job.launcher.options = ["--oversubscribe", "--bind-to", "none"]
            if os.geteuid() == 0:
                self.job.launcher.options.append("--allow-run-as-root")


@rfm.simple_test
class Training(Loopos):
    """A short run whose loss falls as it should, whatever the ranks."""

    shares_optimizer = parameter(["false", "true"])
    loss = variable(float, value=5.0)
    tolerance = variable(float, value=1.0)

    @run_before("run")
    def train(self):
        self.executable_opts = ["train", "--config", self.config, "--data", str(ROOT / "README.md"), "--out", "run", "--threads", str(self.threads)]
        for setting in ("max_steps=20", "num_epochs=1000", "validation_batches=1", f"shard_optimizer={self.shares_optimizer}"):
            self.executable_opts += ["--set", f"training.{setting}"]

    def steps(self):
        lines = map(json.loads, Path(self.stagedir, "run/metrics.jsonl").read_text().splitlines())
        return [line for line in lines if "loss" in line]

    @deferrable
    def last(self, key):
        return self.steps()[-1][key]

    @sanity_function
    def it_learnt(self):
        # The last loss is the same for any number of ranks but for rounding.
        return sn.all([sn.assert_eq(self.last("step"), 20), sn.assert_lt(self.last("loss"), self.loss + self.tolerance)])

    @performance_function("tokens/s")
    def speed(self):
        found = sorted(line["tokens_per_second"] for line in self.steps())
        return found[len(found) // 2]


@rfm.simple_test
class Fleet(Loopos):
    """Sums over ranks, and training by all of them."""

    ranks = parameter([2])

    @run_before("run")
    def measure(self):
        self.executable_opts = ["bench", "--suite", "fleet", "--quick", "--config", self.config, "--data", str(ROOT / "README.md")]
        self.executable_opts += ["--threads", str(self.threads), "--out", "reports"]

    def value(self, name):
        run = json.loads(Path(self.stagedir, "reports/latest/run.json").read_text())
        return next(metric["value"] for metric in run["metrics"] if metric["name"] == name)

    @deferrable
    def members(self):
        return len(json.loads(Path(self.stagedir, "reports/latest/run.json").read_text())["fleet"])

    @sanity_function
    def all_ranks_took_part(self):
        return sn.assert_eq(self.members(), self.ranks)

    @performance_function("GB/s")
    def sums(self):
        return self.value(f"fleet.network.r{self.ranks}.t1.gbps")

    @performance_function("us")
    def latency(self):
        return self.value(f"fleet.network.r{self.ranks}.t1.latency_seconds") * 1e6

    @performance_function("ratio")
    def efficiency(self):
        return self.value(f"fleet.{self.config}.weak.r{self.ranks}.t{self.threads}.efficiency")
