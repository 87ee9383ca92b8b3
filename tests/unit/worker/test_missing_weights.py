"""Weights that are not here, where nobody may fetch them: in a worker of the daemon, and where a recipe is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.plugin_host.catalogue import Entry
from dreamd.plugin_host.host import Registered
from dreamd.plugin_host.kinds import Kind
from dreamd.settings.recipes.recipe import BackboneChoice
from dreamd.weights.sources import Download, MissingWeightsError
from dreamd.worker.recipes.backbones import load_backbone

SOURCE = Download(url="https://example.invalid/big-01234567.pth", sha256="01234567", size=3)


def test_missing_weights_are_told_and_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DREAMD_WEIGHTS", str(tmp_path))
    entry = Entry(kind=Kind.BACKBONE, name="big", plugin="big", origin="test")
    registered = Registered(entry=entry, function=lambda: None, weights=SOURCE)
    with pytest.raises(MissingWeightsError, match="`dreamd weights fetch big` gets them") as caught:
        load_backbone(registered, BackboneChoice(name="big"), 0, may_fetch=False)
    assert (caught.value.backbone, caught.value.source) == ("big", SOURCE)
    assert list(tmp_path.iterdir()) == []
