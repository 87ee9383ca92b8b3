"""A film out of one picture: it goes on evenly, keeps its tone, and a kill changes no byte of it."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

import dreamd.worker.films.film_dream
from dreamd.errors import PictureError
from dreamd.plugin_host.host import Plugins
from dreamd.plugin_host.kinds import Kind
from dreamd.worker.films.film_dream import FilmDream, Watching
from dreamd.worker.films.made import held_to
from dreamd.worker.session import Session
from tests.films import panning, write_film
from tests.unit.worker.films import kit as films
from tests.unit.worker.kit import fill, picture, plugins_in, session_in


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("tiny")
    fill(folder)
    return session_in(folder, plugins_in(folder))


def make(session: Session, folder: Path, **fields: Any) -> AbstractContextManager[FilmDream]:
    recipe = films.recipe(film={"frames": 4, **fields.pop("film", {})}, **fields)
    return nullcontext(films.job(session, recipe, folder).made(picture()))


def test_a_film_has_its_frames_at_its_rate(session: Session, tmp_path: Path) -> None:
    data = films.run(lambda: make(session, tmp_path / "film", film={"fps": 24}), tmp_path / "film", lambda: False)
    with av.open(io.BytesIO(data)) as film:
        times = [frame.time for frame in film.decode(video=0)]
    assert times == pytest.approx([0, 1 / 24, 2 / 24, 3 / 24], abs=1e-4)


def test_a_film_that_is_broken_off_after_every_frame_has_the_same_bytes(session: Session, tmp_path: Path) -> None:
    for name, film in {"plain": {}, "back": {"back": True}}.items():
        whole = films.run(lambda f=film: make(session, tmp_path / "a", film=f), tmp_path / "a", lambda: False)  # type: ignore[misc]
        broken = films.run(lambda f=film: make(session, tmp_path / "b", film=f), tmp_path / "b", lambda: True)  # type: ignore[misc]
        assert whole == broken, name
        for folder in ("a", "b"):
            (tmp_path / folder / "standing.json").unlink()


def test_a_film_whose_last_frame_was_torn_by_a_loss_of_power_begins_anew(session: Session, tmp_path: Path) -> None:
    def dream(is_over: bool) -> None:
        with make(session, tmp_path / "film") as film:
            film.go_on(lambda: is_over, Watching())

    dream(is_over=True)
    (tmp_path / "film" / "last-0.npy").write_bytes(b"torn")
    with pytest.raises(RuntimeError, match="gone or broken"):
        dream(is_over=True)
    dream(is_over=False)


def test_what_frames_freed_is_given_back(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(dreamd.worker.films.film_dream, "give_back_freed_memory", lambda: given_back.append(1))
    films.run(lambda: make(session, tmp_path / "film", film={"frames": 6}), tmp_path / "film", lambda: True)
    assert len(given_back) == 1


def test_a_film_is_made_out_of_a_picture_and_not_out_of_a_film(session: Session, tmp_path: Path) -> None:
    film = write_film(tmp_path / "a.mp4", panning(2))
    with pytest.raises(PictureError, match=r"a\.mp4 is a film, and film\.frames makes one out of a picture"):
        session.read(film, films.recipe(film={"frames": 4}))


def test_a_film_runs_back_so_that_it_can_go_round(session: Session, tmp_path: Path) -> None:
    fields = {"film": {"back": True, "loop": 0}, "output": {"film": "apng"}}
    data = films.run(lambda: make(session, tmp_path / "film", **fields), tmp_path / "film", lambda: False)
    with Image.open(io.BytesIO(data)) as film:
        frames = []
        for number in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")))
        assert film.info["loop"] == 0
    assert len(frames) == 6
    assert np.array_equal(frames[4], frames[2])
    assert np.array_equal(frames[5], frames[1])


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_the_zoom_is_about_the_true_centre_and_as_fast_at_any_rate(fps: int) -> None:
    zoom = Plugins("dreamd.engine", only=()).get(Kind.TRANSFORM, "zoom").function
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(90.0), indexing="ij")
    ramp = torch.stack([across / 90, down / 64, across * 0])[None]
    seconds = 0.2
    image = ramp
    for _ in range(round(fps * seconds)):
        image = zoom(image, fps=float(fps), closer=1.03)
    middle = (slice(24, 40), slice(35, 55))
    whole = 1.03 ** (30 * seconds)
    x = ((across - 44.5) / whole + 44.5) / 90
    y = ((down - 31.5) / whole + 31.5) / 64
    for error in ((image[0, 0] - x)[middle], (image[0, 1] - y)[middle]):
        assert abs(float(error.mean())) < 1e-5  # half a pixel off the centre a frame would be 0.03
        assert float(error.abs().max()) < 0.01


def test_the_tone_of_300_frames_stays_where_it_was() -> None:
    image = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    tone = torch.stack([image.mean((2, 3), keepdim=True), image.std((2, 3), keepdim=True)])
    for _ in range(300):
        burnt = (image * 1.03 + 0.005).clamp(0, 1)  # each frame a little brighter and harder
        image = held_to(burnt, tone, 0.5)
    assert float((image.mean((2, 3)) - tone[0, 0, :, 0, 0]).abs().max()) < 0.03
    assert float((image.std((2, 3)) - tone[1, 0, :, 0, 0]).abs().max()) < 0.03
