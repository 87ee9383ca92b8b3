"""The studio's process, where there can be none."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from dreamd.page.studio import process
from dreamd.page.studio.process import StudioProcess
from dreamd.studio import AtlasOrder, StudioAnswer


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


_ANSWERING = """
import sys
from dreamd.studio import Ended, read_order
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(Ended(id=read_order(line).id).line())
    sys.stdout.buffer.flush()
"""
"""A studio that has done every order at once."""


def test_a_process_that_rests_is_ended_and_an_order_that_comes_just_then_is_done_by_another(monkeypatch):
    monkeypatch.setattr(process, "_IDLE_SECONDS", 0.0)
    ends: list[int] = []

    async def order_again_and_again() -> None:
        answers: asyncio.Queue[StudioAnswer] = asyncio.Queue()
        studio = StudioProcess(Path("config.yaml"), answers.put_nowait, lambda: ends.append(1))
        studio._command = (sys.executable, "-c", _ANSWERING)
        seen = set()
        for number in range(6):
            await studio.send(AtlasOrder(id=str(number), backbone="vgg19"))
            begun = studio._process
            assert begun is not None
            seen.add(begun.pid)
            assert (await asyncio.wait_for(answers.get(), 30)).id == str(number)
            if number % 2:  # else the next order comes before the rest has begun
                await asyncio.wait_for(begun.wait(), 30)
        assert len(seen) >= 3
        assert ends == []
        await studio.close()

    asyncio.run(order_again_and_again())
