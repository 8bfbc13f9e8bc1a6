"""Control groups of version 2, in a machine of their own: the emulated one of scripts/tigerlake, whose kernel has no other."""

import pathlib
import re
import shutil
import subprocess

from place import LeftOut

TIGERLAKE = pathlib.Path(__file__).resolve().parents[1] / "tigerlake"

# The guest's part: each trial in a group with one limit, its end told by a line.
GUEST = r"""
mount -t cgroup2 none /sys/fs/cgroup && cd /place || exit
echo '+memory +cpu' >/sys/fs/cgroup/cgroup.subtree_control
# within NAME FILE=VALUE COMMAND..
within() {
  name=$1 limit=$2 group=/sys/fs/cgroup/$1
  shift 2
  mkdir $group
  echo ${limit#*=} >$group/${limit%%=*}
  echo "begin $name"
  (echo 0 >$group/cgroup.procs && exec "$@")
  echo "end $name: exit $?"
}
train='loopos train --config config.json --set training.max_steps=3'
large='--set model.d_model=384 --set model.num_layers=4 --set model.d_ff=1536'
within memory.max memory.max=209715200 $train --out a $large
within memory.high memory.high=209715200 $train --out b $large
within enough memory.max=209715200 $train --out c
ls c/checkpoints
within half cpu.max='50000 100000' loopos probe
within none cpu.max='max 100000' loopos probe
ls a/metrics.jsonl b/metrics.jsonl
"""


def version_2(place, _count):
    """Memory and processors limited by groups of version 2: refused before the first step, and trained where there is enough."""
    missing = subprocess.run([TIGERLAKE, "missing"], capture_output=True, text=True, check=True).stdout.split()
    if missing:
        raise LeftOut(f"not installed: {' '.join(missing)}")
    root = place.path("guest")
    (root / "bin").mkdir(parents=True)
    shutil.copytree(place.path("text"), root / "place/text")
    shutil.copy(place.path("config.json"), root / "place")
    subprocess.run(["strip", "-o", root / "bin/loopos", place.program], check=True)
    # Minutes on an idle machine.
    done = subprocess.run([TIGERLAKE, "-t", "3000", root, GUEST], capture_output=True, text=True, errors="replace")
    said = done.stdout.replace("\r", "")

    def of(name):
        found = re.search(rf"^begin {re.escape(name)}\n(.*?)^end {re.escape(name)}: exit (\d+)$", said, re.M | re.S)
        return (found[1], int(found[2])) if found else (f"{said[-300:]} {done.stderr[-300:]}", None)

    for name in ("memory.max", "memory.high"):
        text, code = of(name)
        # Of the 200 MiB the program has some already.
        named = re.search(r"needs .* of memory, .* of the (199|200) MiB", text)
        yield name, None if code == 2 and named else f"exit {code}: {text[-400:]}"
    text, code = of("enough")
    yield "memory.max, small model", None if code == 0 and "step-000003" in said else f"exit {code}: {text[-400:]}"
    text, code = of("half")
    yield "cpu.max of half a CPU", None if code == 0 and re.search(r"\b0\.5 CPU", text) else f"exit {code}: {text[-400:]}"
    text, code = of("none")
    yield "cpu.max without a limit", None if code == 0 and not re.search(r"\b0\.5 CPU", text) else f"exit {code}: {text[-400:]}"
    yield "no step of what was refused", "trained a step" if re.search(r"^[ab]/metrics.jsonl$", said, re.M) else None


TESTS = [("control groups of version 2, emulated", version_2, 0)]
