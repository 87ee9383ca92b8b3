"""Waiting for jobs: nothing is missed, nobody waits for ever, and no client takes every place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from dreamd.page.api import following
from dreamd.page.api.following import FOLLOWERS, FOLLOWERS_OF_A_CLIENT, Following
from dreamd.page.api.models import ApiJob, State
from dreamd.page.handlers.answers import FullError, NotThereError


def job(state: State = State.QUEUED) -> ApiJob:
    return ApiJob(id="p-1", job=None, state=state, folder=".", name="cat.jpg")


def states(*told: State) -> Callable[[], ApiJob]:
    """Looks that see one state after the other, and the last one again and again."""
    left = list(told)
    return lambda: job(left.pop(0) if len(left) > 1 else left[0])


@pytest.fixture
def following_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Following:
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.01)
    return Following(tmp_path)


async def _until(told: asyncio.Task[ApiJob], journal: Path) -> ApiJob:
    """Writes to the journal again and again until a wait is over."""
    while not told.done():
        journal.write_bytes(b"x" * (journal.stat().st_size + 1 if journal.exists() else 1))
        await asyncio.sleep(0.02)
    return told.result()


def test_who_waits_is_told_when_the_journal_has_changed(following_: Following, tmp_path: Path) -> None:
    async def wait() -> ApiJob:
        look = states(State.QUEUED, State.RUNNING, State.DONE)
        return await _until(asyncio.create_task(following_.until_over("a", look, 60)), tmp_path / "journal.sqlite3")

    assert asyncio.run(wait()).state is State.DONE


def test_a_wait_ends_in_time(following_: Following) -> None:
    assert asyncio.run(following_.until_over("a", states(State.HELD), 0.1)).state is State.HELD
    assert asyncio.run(following_.until_over("a", states(State.HELD), 0)).state is State.HELD


def test_a_change_while_somebody_looks_is_not_missed(following_: Following, tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite3"
    seen: list[State] = []

    def look() -> ApiJob:
        if not seen:
            journal.write_bytes(b"it changes after this look has begun")
            known = following_._number
            while following_._number == known:  # the news comes before the look is over
                pass
        seen.append(State.DONE if seen else State.QUEUED)
        return job(seen[-1])

    assert asyncio.run(asyncio.wait_for(following_.until_over("a", look, 4), 3)).state is State.DONE


def test_every_state_is_told_once_until_the_job_is_over(following_: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_REFRESH_SECONDS", 0.02)
    look = states(State.RECEIVED, State.RECEIVED, State.RUNNING, State.DONE)

    async def follow() -> list[State | None]:
        return [told and told.state async for told in following_.changes("a", look)]

    assert asyncio.run(follow()) == [State.RECEIVED, None, State.RUNNING, State.DONE]


def test_no_client_takes_every_place_and_a_place_is_given_back(following_: Following) -> None:
    async def fill() -> None:
        async with AsyncExitStack() as stack:
            for number in range(FOLLOWERS):
                client = "greedy" if number < FOLLOWERS_OF_A_CLIENT else f"client {number}"
                changes = await stack.enter_async_context(aclosing(following_.changes(client, states(State.QUEUED))))
                await anext(changes)
                if number == FOLLOWERS_OF_A_CLIENT - 1:
                    with pytest.raises(FullError):
                        await following_.until_over("greedy", states(State.QUEUED), 1)
            with pytest.raises(FullError):
                await following_.until_over("another", states(State.QUEUED), 1)
            assert (await following_.until_over("another", states(State.QUEUED), 0)).state is State.QUEUED
        assert (await following_.until_over("greedy", states(State.DONE), 1)).state is State.DONE

    asyncio.run(fill())


def test_what_a_look_cannot_find_is_told_and_takes_no_place(following_: Following) -> None:
    def look() -> ApiJob:
        raise NotThereError("there is no job")

    async def ask() -> None:
        for _ in range(FOLLOWERS + 1):
            with pytest.raises(NotThereError):
                await following_.until_over("a", look, 1)

    asyncio.run(ask())
