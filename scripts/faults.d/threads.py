"""Threads that share work: ThreadSanitizer watches a crew whose threads come late again and again."""

import os
import pathlib
import subprocess

from place import said

HERE = pathlib.Path(__file__).resolve().parent
JOBS = 20_000


def races(place, count):
    """Jobs on four threads, each task done once and nothing touched by two threads without an order between them."""
    program = place.path("threads")
    # The sanitizer is unstable, and the standard library that comes with the compiler is not built with it.
    flags = ["-Zsanitizer=thread", "-Cunsafe-allow-abi-mismatch=sanitizer", "--target", "x86_64-unknown-linux-gnu"]
    command = ["rustc", "--edition", "2024", "-O", "-g", *flags, HERE / "threads.rs", "-o", program]
    subprocess.run(command, env=os.environ | {"RUSTC_BOOTSTRAP": "1"}, check=True)
    for trial in range(count):
        done = place.run([program, str(JOBS)], timeout=600)
        yield f"run {trial}, {JOBS} jobs", said(done) if done.returncode else None


TESTS = [("jobs of four threads under ThreadSanitizer", races, 10)]
