"""What several tests of the settings need."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.plugin_host.catalogue import Catalogue
from dreamd.plugin_host.host import Plugins


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Plugins("dreamd.engine").catalogue


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder
