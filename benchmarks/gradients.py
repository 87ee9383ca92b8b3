"""Processes that compute a gradient of the embedded network whenever they are told to: what `embedded.py` measures.

    python -m benchmarks.gradients WAY HEIGHT WIDTH

The plain loop has torch's own threads and memory, as whoever writes it has. This engine has those of dreamd's own
processes. Each line that comes in is a gradient, and a line goes out when it is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType

PLAIN = "plain"
"""The way that anyone writes; others are precisions of this engine."""

_OF_DREAMD = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "THP_MEM_ALLOC_ENABLE")
"""The environment variables that dreamd sets for its processes, and which this one has."""


class Gradients:
    """A process that computes gradients in one way. A context manager: it ends with it."""

    def __init__(self, way: str, height: int, width: int) -> None:
        """Start the process.

        Args:
            way: `plain`, or a precision.
            height: of the picture in pixels.
            width: of it.
        """
        environment = {name: value for name, value in os.environ.items() if name not in _OF_DREAMD}
        if way == PLAIN:
            environment["THP_MEM_ALLOC_ENABLE"] = "0"  # the network comes out of dreamd, which would set it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gradients", way, str(height), str(width)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def compute(self) -> None:
        """Compute one gradient. Raises BenchmarkError when the process has ended."""
        from benchmarks.plan import BenchmarkError  # which loads torch, and the processes themselves choose when

        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        if not self._process.stdout.readline():
            raise BenchmarkError(f"a process for gradients ended with {self._process.wait()}")

    def __enter__(self) -> Gradients:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def main(way: str, height: int, width: int) -> None:
    """Compute a gradient for each line that comes in."""
    if way == PLAIN:
        import torch  # noqa: F401  # before the engine says how threads wait
    else:
        _have_what_dreamd_has()
    from benchmarks.embedded import gradient_in

    compute = gradient_in(way, height, width)
    for _ in sys.stdin:
        compute()
        print(flush=True)


def _have_what_dreamd_has() -> None:
    """Take the threads and the memory of dreamd's own processes."""
    import torch

    import dreamd.engine  # noqa: F401  # before torch
    from dreamd.worker.machine.device import count_threads, free_memory, use_threads
    from dreamd.worker.machine.heap import keep_freed_memory

    use_threads(count_threads())
    keep_freed_memory(free_memory(torch.device("cpu")))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
