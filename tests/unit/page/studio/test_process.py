"""The studio's process, where there can be none."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from dreamd.page.studio.process import StudioProcess
from dreamd.studio import AtlasOrder


def test_a_process_that_cannot_be_started_has_ended_and_the_next_order_tries_anew(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    ends = []
    studio = StudioProcess(Path("config.yaml"), lambda _answer: None, lambda: ends.append(1))

    async def order_twice() -> None:
        for _ in range(2):
            await studio.send(AtlasOrder(id="1", backbone="vgg19"))
        await studio.close()

    asyncio.run(order_twice())
    assert len(ends) == 2
