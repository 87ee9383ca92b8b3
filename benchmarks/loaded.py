"""How much a busy machine slows a dream: seconds an iteration alone, and beside processes that never rest.

    python -m benchmarks.loaded [--busy 1] [--seconds 8]

Each figure is of a process of its own, once with threads that sleep while they wait for each other, as dreamd has them
(OMP_WAIT_POLICY is PASSIVE), and once with threads that spin (ACTIVE).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

_WAYS = {"threads sleep": "PASSIVE", "threads spin": "ACTIVE"}
"""What OMP_WAIT_POLICY is for each way."""

_FIRST = 3
"""The iterations that are not counted."""


def main() -> None:
    """Print the figures of both ways, alone and beside busy processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=1, help="the processes that never rest")
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each figure is measured")
    parser.add_argument("--dream", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.dream:
        print(_seconds_an_iteration(arguments.seconds))
        return
    for way, policy in _WAYS.items():
        alone = _measure(policy, arguments.seconds, busy=0)
        beside = _measure(policy, arguments.seconds, busy=arguments.busy)
        print(f"{way}: {alone:.3f} s alone, {beside:.3f} s beside {arguments.busy} busy: {beside / alone:.1f} times")


def _measure(policy: str, seconds: float, *, busy: int) -> float:
    """Return the seconds an iteration that a fresh process measures beside so many busy ones."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        command = [sys.executable, "-m", "benchmarks.loaded", "--dream", "--seconds", str(seconds)]
        environment = {**os.environ, "OMP_WAIT_POLICY": policy}
        return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    finally:
        for other in others:
            other.kill()
            other.wait()


def _seconds_an_iteration(seconds: float) -> float:
    """Return the mean seconds of an iteration of a small VGG in this process."""
    import torch
    from torch import nn

    from dreamd.engine.objective import Objective, Term, WholeGradient

    modules: list[nn.Module] = [nn.Conv2d(3, 32, 3, padding=1)]
    for _ in range(12):
        modules += [nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1)]
    network = nn.Sequential(*modules).requires_grad_(False)
    x = torch.rand(1, 3, 160, 160)
    with WholeGradient(network, Objective((Term("24", lambda seen: seen.flatten(1).norm(dim=1)),))) as gradient:
        for _ in range(_FIRST):
            gradient(x)
        start, count = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < seconds:
            gradient(x)
            count += 1
    return elapsed / count


if __name__ == "__main__":
    main()
