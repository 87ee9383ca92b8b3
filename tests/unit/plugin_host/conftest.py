"""What several tests of the plugin host need."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.plugin_host.catalogue import Catalogue
from tests.unit.plugin_host.kit import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    plugins = tmp_path / "plugins"
    plugins.mkdir(mode=0o755)
    return plugins


@pytest.fixture(scope="session")
def first_party() -> Catalogue:
    return load().catalogue
