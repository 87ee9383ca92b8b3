"""Freed memory is kept for the next iteration, up to a bound."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ITERATIONS = """
import resource
import sys
import torch
from dreamd.worker.machine.heap import keep_freed_memory

if sys.argv[1] == "keeping":
    keep_freed_memory(8 << 30)

def iterate(count):
    alive = [torch.ones(count, 1 << 20) for _ in range(10)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):
    iterate(5)
before = faults()
for _ in range(3):
    iterate(5)
print(faults() - before)
"""


def faults(way: str) -> int:
    """The pages that three later iterations of ten times 20 MB get anew, with huge pages as a worker has them."""
    environment = {**os.environ, "THP_MEM_ALLOC_ENABLE": "1"}
    command = [sys.executable, "-c", ITERATIONS, way]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.slow
def test_an_iteration_gets_less_memory_anew_where_what_the_one_before_it_freed_is_kept() -> None:
    assert faults("keeping") < 0.8 * faults("as glibc does")


PIECES = """
from pathlib import Path
from dreamd.worker.machine.heap import give_back_freed_memory, keep_freed_memory

keep_freed_memory(8 << 30)
pieces = [bytes(200_000) for _ in range(500)]
between = pieces[::10]
del pieces

def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))

before = resident()
give_back_freed_memory()
print(before - resident())
"""


def test_what_was_freed_between_what_is_held_is_given_back() -> None:
    command = [sys.executable, "-c", PIECES]
    kilobytes = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert kilobytes > 60_000
