"""The engine runs on a machine that has torch and numpy and nothing else that dreamd needs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

CODE = """
    import importlib.abc, pkgutil, sys

    ALLOWED = {"torch", "torchvision", "timm", "numpy"}
    MISSING = {"pydantic", "pydantic_core", "watchdog", "pluggy", "yaml", "click", "rich", "PIL", "safetensors",
               "jsonschema", "pytest", "dreamd_plugins"}

    class Bare(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name.partition(".")[0] in MISSING:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Bare())

    import dreamd.engine
    modules = [module.name for module in pkgutil.walk_packages(dreamd.engine.__path__, "dreamd.engine.")]
    for name in modules:
        importlib.import_module(name)

    import tempfile
    from pathlib import Path
    import torch
    from torch import nn
    from dreamd.engine.ascents.ascent import AscentSettings
    from dreamd.engine.network.backbone import Backbone
    from dreamd.engine.checkpoint import CheckpointFolder
    from dreamd.engine.dream import batch_size, dream
    from dreamd.engine.dreamer import Dreamer
    from dreamd.engine.objectives.objective import Objective, Term

    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    dreamer = Dreamer(
        backbone=Backbone(network=network, min_side=8).frozen(),
        objective=Objective((Term("1", lambda seen: seen.flatten(1).norm(dim=1)),)),
        settings=AscentSettings(iterations=2, lr=1.0),
        schedule=lambda image, ascend: [ascend(image)],
        memory=10**10,
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = CheckpointFolder(Path(folder) / "state", "key", after_seconds=0)
        images = torch.rand(2, 3, 40, 40)
        assert dream(images, dreamer, seeds=[0, 1], checkpoint=checkpoint).images.shape == images.shape
        assert batch_size(dreamer, 40, 40, most=8) == 8
    ours = {name for name in sys.modules if name.partition(".")[0] == "dreamd"}
    print(len(modules), *sorted(ours - {"dreamd", "dreamd.errors", "dreamd.wording", "dreamd.engine", *modules}))
"""


def test_the_engine_needs_torch_and_numpy_and_nothing_else_that_dreamd_needs() -> None:
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CODE)], capture_output=True, text=True, timeout=100, check=False
    )
    assert run.returncode == 0, run.stderr
    count, *others = run.stdout.split()
    assert int(count) >= 13
    assert others == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "PASSIVE 2000"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE None"),
        ({"OMP_WAIT_POLICY": "passive"}, "passive 2000"),
        ({"GOMP_SPINCOUNT": "0"}, "PASSIVE 0"),
    ],
)
def test_threads_soon_sleep_while_they_wait_unless_somebody_says_otherwise(
    given: dict[str, str], expected: str
) -> None:
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    code = f"import os, dreamd.engine; print(*(os.environ.get(name) for name in {names}))"
    environment = {name: value for name, value in os.environ.items() if name not in names}
    said = subprocess.check_output([sys.executable, "-c", code], env={**environment, **given}, text=True, timeout=60)
    assert said.strip() == expected
