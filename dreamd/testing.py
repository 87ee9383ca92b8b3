"""For the tests of plugins: a pytest plugin, loaded wherever dreamd and pytest are installed.

One line takes in the whole contract, a test for each of its clauses:

    test_contract = dreamd.testing.contract("contrast")       # or "../contrast.py", a drop-in file

Fixtures: `tiny_backbone`, a network of a few hundred numbers; `tiny_picture`, `[1, 3, 40, 56]` in [0, 1]; `tiny_dream`,
which dreams with them in milliseconds. Torch is imported when one of these is first used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from torch import Tensor

    from dreamd.api import Backbone


def contract(plugin: str, *, names: Sequence[str] = (), samples: Sequence[str | Path] = ()) -> Callable[..., None]:
    """Make a test that holds a plugin to its contract, on the processor and, where there is one, on a GPU.

    Args:
        plugin: the name of an installed plugin, or a drop-in, `NAME.py` or `./NAME/`, relative to the file of the test.
        names: check these of its names alone; a family of backbones (`timm/*`) needs one to be told.
        samples: picture files for a decoder, relative to the file of the test.
    """
    from dreamd.plugin_tools.contract import Check, checks_of, devices

    folder = Path(sys._getframe(1).f_globals["__file__"]).parent
    place = str(folder / plugin) if plugin.endswith(".py") or "/" in plugin else plugin
    files = [folder / sample for sample in samples]
    cases = [
        pytest.param(check, id=f"{check.subject} {check.words} ({device.type})".replace("[", "(").replace("]", ")"))
        for device in devices()
        for check in checks_of(place, names=names, samples=files, device=device)
    ]

    @pytest.mark.parametrize("check", cases)
    def test_contract(check: Check) -> None:
        failure = check.run()
        if failure is not None:
            pytest.fail(f"{check.subject} ({check.words}): {failure}", pytrace=False)

    return test_contract


@pytest.fixture
def tiny_backbone() -> Backbone:
    """Make a frozen network of a few hundred numbers, with conv1, relu1, pool1, conv2, relu2; relu2 is the default."""
    from dreamd.plugin_tools.tiny import tiny_backbone as backbone

    return backbone()


@pytest.fixture
def tiny_picture() -> Tensor:
    """Make a picture `[1, 3, 40, 56]` in [0, 1], always the same."""
    import torch

    return torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def tiny_dream() -> Callable[..., Any]:
    """Dream pictures for two iterations: `tiny_dream(pictures, loss=…, schedule=…, steps=…, backbone=…)`."""
    from dreamd.plugin_tools.tiny import tiny_dream as dream

    return dream
