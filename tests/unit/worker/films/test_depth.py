"""Films of more than 8 bits: they keep them where the result has room for them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from dreamd.errors import PictureError
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.films.film_dream import FilmDream, Watching
from dreamd.worker.session import Session
from tests.films import panning, ten_bits, write_film
from tests.unit.worker.films import kit
from tests.unit.worker.kit import fill, plugins_in, session_in

PQ = 16
"""A transfer function, by its number in ITU-T H.273."""

DEEP = {"pixel_format": "yuv420p10le", "quality": 100}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("tiny")
    fill(folder)
    return session_in(folder, plugins_in(folder))


def undreamed(**output: Any) -> Recipe:
    return kit.recipe(ascent={"iterations": 1, "lr": 0}, schedule="single", output=output)


def written(folder: Path, data: bytes) -> Path:
    path = folder / "a.mp4"
    path.write_bytes(data)
    return path


def levels_of(film: bytes) -> NDArray[np.uint16]:
    """The brightness of a row of the first frame, as it is stored."""
    with av.open(io.BytesIO(film)) as container:
        frame = next(container.decode(video=0))
        plane = frame.planes[0]
        kind = np.dtype(np.uint16 if frame.format.components[0].bits > 8 else np.uint8)
        rows = np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // kind.itemsize)
        return rows[plane.height // 2, : plane.width].astype(np.uint16)


def test_a_gradient_of_ten_bits_keeps_its_levels_where_the_result_holds_them(session: Session, tmp_path: Path) -> None:
    film = written(tmp_path, ten_bits())
    before = levels_of(film.read_bytes())
    deep = levels_of(kit.dream(session, film, undreamed(**DEEP), tmp_path / "deep"))
    shallow = levels_of(kit.dream(session, film, undreamed(quality=100), tmp_path / "shallow"))
    assert len(set(deep)) > 500
    assert len(set(shallow)) <= 256
    assert np.abs(deep.astype(int) - before).max() <= 2


def test_hdr_on_an_ordinary_screen_keeps_more_than_256_levels(session: Session, tmp_path: Path) -> None:
    film = written(tmp_path, ten_bits(primaries=9, transfer=PQ, matrix=9))
    assert len(set(levels_of(kit.dream(session, film, undreamed(**DEEP), tmp_path / "deep")))) > 256


def test_frames_that_are_shrunk_keep_their_levels(session: Session, tmp_path: Path) -> None:
    film = written(tmp_path, ten_bits())
    recipe = undreamed(**DEEP).model_copy(update={"image": kit.recipe(image={"max_side": 600}).image})
    deep = levels_of(kit.dream(session, film, recipe, tmp_path / "deep"))
    assert len(deep) == 600
    assert len(set(deep)) > 500


@pytest.mark.parametrize("film_fields", [{}, {"every": 2}, {"keep": 0}])
def test_a_deep_film_that_is_broken_off_after_every_frame_has_the_same_bytes(
    session: Session, tmp_path: Path, film_fields: dict[str, Any]
) -> None:
    film = write_film(tmp_path / "a.mp4", panning(4))
    recipe = kit.recipe(output=DEEP, film=film_fields)
    whole = kit.dream(session, film, recipe, tmp_path / "whole")
    parts = kit.run(lambda: kit.opened(session, film, recipe, tmp_path / "parts"), tmp_path / "parts", lambda: True)
    assert parts == whole
    with av.open(io.BytesIO(whole)) as container:
        assert container.streams.video[0].format.name == "yuv420p10le"


@pytest.mark.parametrize("fields", [{"pixel_format": "yuv999p"}, {"pixel_format": "gbrp", "codec": "hevc"}])
def test_a_format_of_pixels_that_the_codec_has_not_is_refused_before_a_frame_is_dreamed(
    session: Session, tmp_path: Path, fields: dict[str, str]
) -> None:
    film = write_film(tmp_path / "a.mp4", panning(2))

    def start() -> FilmDream:
        with kit.opened(session, film, undreamed(**fields), tmp_path / "kept") as dream:
            dream.go_on(lambda: False, Watching())
            return dream

    with pytest.raises(PictureError, match=r"output\.pixel_format .*yuv420p10le"):
        start()
    assert not (tmp_path / "kept").exists()
