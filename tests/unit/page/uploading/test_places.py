"""Places for uploads: each has a deadline and a rate to keep, and the slowest gives way when others wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace

import pytest

from dreamd.page.uploading import places
from dreamd.page.uploading.places import Place, Places, SlowError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in its only item; the event loop's goes on as ever."""
    now = [1000.0]
    monkeypatch.setattr(places, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def upload(clock: list[float], length: int, chunks: Iterable[tuple[int, float]]) -> int:
    """Take chunks, each of so many bytes after so many seconds; how many bytes came."""

    async def stream() -> AsyncIterator[bytes]:
        for size, seconds in chunks:
            clock[0] += seconds
            yield bytes(size)

    async def take() -> int:
        place = Place(length)
        async for _ in place.chunks(stream()):
            pass
        return place.size

    return asyncio.run(take())


def test_an_upload_may_be_slow_but_not_slower_than_eight_kilobytes_a_second(clock: list[float]) -> None:
    begun = clock[0]
    assert upload(clock, 500_000_000, [(9_000, 1.0)] * 300) == 2_700_000
    begun = clock[0]
    with pytest.raises(SlowError, match="too slowly"):
        upload(clock, 500_000_000, [(7_000, 1.0)] * 1000)
    assert 30 < clock[0] - begun < 300


def test_an_upload_has_a_deadline_that_grows_with_its_length(clock: list[float]) -> None:
    for length, least, most in ((1_000, 30, 40), (500_000_000, 3_600, 4_200)):
        begun = clock[0]
        with pytest.raises(SlowError, match="not come to its end in time"):
            upload(clock, length, [(10_000, 1.0)] * 100_000)
        assert least < clock[0] - begun < most


def test_the_slowest_gives_way_to_who_waits_and_nobody_else(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "AT_ONCE", 3)
    ended: list[str] = []

    async def hold(everybody: Places, name: str, size: int, there: asyncio.Event) -> None:
        async def silent() -> AsyncIterator[bytes]:
            yield bytes(size)
            there.set()
            await asyncio.Event().wait()

        async with everybody.take(10**9) as place:
            try:
                async for _ in place.chunks(silent()):
                    pass
            except SlowError as error:
                ended.append(f"{name}: {error}")

    async def run() -> None:
        everybody = Places()
        arrivals = [(name, size, asyncio.Event()) for name, size in (("quick", 900), ("slow", 5), ("middling", 100))]
        tasks = [asyncio.create_task(hold(everybody, *arrival)) for arrival in arrivals]
        await asyncio.gather(*(there.wait() for _, _, there in arrivals))
        clock[0] += 60
        async with asyncio.timeout(10), everybody.take(10):
            assert ended == ["slow: others wait, and this was the slowest; try again later"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert len(ended) == 1


def test_an_upload_that_waits_too_long_is_refused(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "AT_ONCE", 1)
    monkeypatch.setattr(places, "_WAIT_SECONDS", 0.05)

    async def run() -> None:
        everybody = Places()
        async with everybody.take(10):  # it has come this very moment, and keeps its place for a while
            with pytest.raises(SlowError, match="too many uploads at once"):
                async with everybody.take(10):
                    raise AssertionError("there was no place")
        async with everybody.take(10):
            pass

    asyncio.run(run())
