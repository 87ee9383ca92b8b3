"""Fixtures for the tests of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from dreamd.pictures.picture import Picture
from tests.unit.pictures.kit import Opened, read


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Reads bytes as a file called `picture`."""

    def open_bytes(data: bytes, name: str = "picture", **limits: int) -> Picture:
        path = tmp_path / name
        path.write_bytes(data)
        return read(path, **limits)

    return open_bytes
