"""A film takes turns: it ends one after a while, and goes on at the next."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import dreamd.worker.films.turn
from dreamd.messages import Done, Order, Yielded
from dreamd.worker.answers import Answers
from dreamd.worker.cancels import Cancels, StoppedError
from dreamd.worker.films.opening import open_source
from dreamd.worker.films.turn import FilmTurn
from dreamd.worker.previews import Previews
from dreamd.worker.session import Session
from tests.films import panning, write_film
from tests.unit.worker.films import kit as films
from tests.unit.worker.kit import fill, plugins_in, session_in


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("tiny")
    fill(folder)
    return session_in(folder, plugins_in(folder))


def take(session: Session, film: Path, folder: Path, cancels: Cancels) -> tuple[Done | Yielded, list[Any]]:
    said = io.BytesIO()
    turn = FilmTurn(session, Answers(said), Previews(None), cancels, 1)
    (folder / "out").mkdir(exist_ok=True)
    order = Order(job="1", source=film, folder=folder / "out", checkpoint=folder / "kept")
    source = open_source(session.plugins, session.bounds, film, None)
    assert source is not None
    with source, cancels.dreaming(["1"]):
        message = turn.take(order, films.recipe(), source)
    return message, [json.loads(line) for line in said.getvalue().splitlines()]


def test_a_film_yields_after_its_turn_and_tells_its_frames(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.worker.films.turn, "_TURN_SECONDS", 0.0)
    film = write_film(tmp_path / "a.mp4", panning(3))
    turns = []
    while not turns or not isinstance(turns[-1][0], Done):
        turns.append(take(session, film, tmp_path, Cancels()))
    assert [type(message) for message, _ in turns] == [Yielded, Yielded, Yielded, Done]
    assert [said[0]["frame"] for _, said in turns[:3]] == [1, 2, 3]
    assert turns[0][1][0]["frames"] == 3
    done = turns[-1][0]
    assert isinstance(done, Done)
    assert (done.file, done.sidecar.frames) == ("result.mp4", 3)


def test_a_film_that_nobody_wants_any_more_stops(session: Session, tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", panning(3))
    cancels = Cancels()
    cancels.enter("1")
    with cancels.dreaming(["1"]):
        cancels.add(["1"])
    with pytest.raises(StoppedError):
        take(session, film, tmp_path, cancels)
