"""Prints the mean seconds of an iteration of the embedded network on 640×427 pixels: what `loaded.py` measures with.

    python -m benchmarks.iteration SECONDS

Imports the engine before torch, as dreamd's own processes do, because the engine says how threads wait.
"""

from __future__ import annotations

import sys
import time
from functools import partial

from dreamd.engine.objectives.objective import Objective, Term, WholeGradient
from dreamd.engine.speed.precision import cast, fastest
from dreamd.plugin_host.host import Plugins
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.worker.machine.device import count_threads, use_threads
from dreamd.worker.recipes.backbones import Backbones

import torch  # isort: skip

_SIZE = (427, 640)
"""The picture's height and width in pixels."""

_FIRST = 3
"""The iterations that are not counted."""


def main(seconds: float) -> None:
    """Iterate for so many seconds."""
    use_threads(count_threads())
    recipe = resolve([set_fields(["backbone=efficientnet_lite0", "layers=blocks.4.2"])]).recipe
    device = torch.device("cpu")
    precision = fastest(device)
    backbone = Backbones(Plugins("dreamd.engine"), device).get(recipe, precision).backbone
    objective = Objective((Term("blocks.4.2", lambda seen: seen.flatten(1).float().norm(dim=1)),))
    x = torch.rand(1, 3, *_SIZE)
    prepare = partial(cast, precision=precision)
    with WholeGradient(backbone.network, objective) as gradient:
        for _ in range(_FIRST):
            gradient(x, prepare)
        start, count = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < seconds:
            gradient(x, prepare)
            count += 1
    print(elapsed / count)


if __name__ == "__main__":
    main(float(sys.argv[1]))
