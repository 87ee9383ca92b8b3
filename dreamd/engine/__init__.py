"""The engine: dreams tensors, by gradient ascent at one scale after another.

Knows torch, numpy and `dreamd.errors`. Knows no file, no recipe and nothing else of dreamd, so that it runs alone.
"""

import gc
import os

# Activations are hundreds of megabytes that are mapped anew each time. In huge pages, where Linux has them on demand,
# they cost a five-hundredth of the page faults, and large pictures take 0.75 to 0.95 times as long. torch asks for
# them when this is set before its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# Threads that wait for each other spin for milliseconds by default. On a busy machine they keep the one that they wait
# for from running, and a dream takes up to forty times as long; threads that sleep at once take a quarter longer on a
# machine at rest (`python -m benchmarks --only loaded`). So they spin for twenty to ninety microseconds, longer than
# most waits, and sleep then. The library behind torch's threads reads this when it is loaded; libgomp heeds the count,
# others the policy, which is to sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if os.environ["OMP_WAIT_POLICY"].upper() == "PASSIVE":
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# With a workspace for each stream, a GPU's matrix products add up in the same order each time. cuBLAS reads this when
# it is first used.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def _load_torch() -> None:
    """Load torch, the first time, without Python's search for circles of garbage.

    That would look through torch's quarter of a million objects again and again, which takes a fifth of the time, and
    throw nothing away. What is loaded here is left out of every later search too.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        if collects:
            gc.enable()


_load_torch()
