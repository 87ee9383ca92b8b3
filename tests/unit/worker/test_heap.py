"""Freed memory is kept for the next iteration, up to a bound."""

from __future__ import annotations

import subprocess
import sys

import pytest

ITERATIONS = """
import resource
import torch
from dreamd.worker.heap import keep_freed_memory

keep_freed_memory(8 << 30)

def iterate(count):
    alive = [torch.ones(count, 1 << 20) for _ in range(10)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(3):
    iterate(5)
anew = []
for _ in range(3):
    before = faults()
    iterate(5)
    anew.append(faults() - before)
print(min(anew))  # a system that is short of memory may take some back meanwhile
"""


def faults() -> int:
    """The pages that a later iteration of ten times 20 MB gets anew from the system."""
    done = subprocess.run([sys.executable, "-c", ITERATIONS], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.slow
def test_an_iteration_gets_no_memory_anew_that_the_one_before_it_freed() -> None:
    assert faults() < 500  # of 51,200 pages
