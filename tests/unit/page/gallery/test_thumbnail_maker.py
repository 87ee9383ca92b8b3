"""The process that makes small pictures may end at any time: it rests, or was ended for want of memory."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from PIL import Image

from dreamd.page.gallery import thumbnails
from dreamd.page.gallery.thumbnails import _Maker
from dreamd.settings.config import load_config


@pytest.fixture
def request_of(tmp_path: Path) -> dict[str, object]:
    """What is asked of the process: a picture, small."""
    Image.new("RGB", (40, 30)).save(tmp_path / "cat.png")
    source = {"places": [[str(tmp_path), "cat.png"]], "sha256": None, "film": None}
    target = str(tmp_path / "cat.webp")
    return {"sources": [source], "side": 20, "layout": None, "caption": "", "target": target}


@pytest.fixture
def maker(tmp_path: Path) -> _Maker:
    (tmp_path / "config.yaml").write_text("")
    return _Maker(load_config(tmp_path / "config.yaml"))


def test_a_picture_is_made_although_the_process_was_killed_just_before(
    maker: _Maker, request_of: dict[str, object]
) -> None:
    async def make() -> None:
        for _ in range(4):
            assert await maker.make(request_of) is None
            assert maker._process is not None
            os.kill(maker._process.pid, signal.SIGKILL)  # its pipes end before the loop knows that it has
        await maker.close()

    asyncio.run(make())


def test_the_process_is_ended_when_it_rests_and_another_begins_with_the_next_picture(
    maker: _Maker, request_of: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "_IDLE_SECONDS", 0.0)

    async def make() -> None:
        for _ in range(2):
            starting = asyncio.create_task(maker.make(request_of))
            while maker._process is None:
                await asyncio.sleep(0)
            process = maker._process
            assert await starting is None
            await asyncio.wait_for(process.wait(), 30)
            assert maker._process is None

    asyncio.run(make())
