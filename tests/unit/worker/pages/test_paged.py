"""Every page is dreamed as it would be alone, into one TIFF, and a kill changes no byte of it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

import dreamd.worker.films.turn
import dreamd.worker.session
from dreamd.engine.checkpoint import CheckpointFolder
from dreamd.errors import PictureError
from dreamd.messages import Done, Order, Yielded
from dreamd.settings.recipes.recipe import Recipe
from dreamd.worker.answers import Answers
from dreamd.worker.cancels import Cancels, StoppedError
from dreamd.worker.films.film_dream import FilmProgress, Watching
from dreamd.worker.films.turn import FilmTurn
from dreamd.worker.pages.paged import DreamedPages
from dreamd.worker.previews import Previews
from dreamd.worker.session import Session
from tests.unit.pictures.kit import read_deep
from tests.unit.pictures.paging import kit as files
from tests.unit.worker.films import kit as films
from tests.unit.worker.kit import fill, plugins_in, session_in


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("tiny")
    fill(folder)
    return session_in(folder, plugins_in(folder))


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    path = tmp_path / "scan.tif"
    path.write_bytes(files.mixed_tiff())
    return path


def recipe(**fields: Any) -> Recipe:
    return films.recipe(**{**fields, "image": {"pages": "all", **fields.get("image", {})}})


@contextmanager
def opened(session: Session, file: Path, wanted: Recipe, folder: Path) -> Iterator[DreamedPages]:
    pages = session.pages(file, wanted)
    assert pages is not None
    with pages:
        yield films.job(session, wanted, folder).paged(pages)


def dream(session: Session, file: Path, folder: Path, *, wanted: Recipe, is_over: bool = False) -> bytes:
    return films.run(lambda: opened(session, file, wanted, folder), folder, lambda: is_over)


def levels(data: bytes) -> list[np.ndarray]:
    """The values of each page, as they stand in the file."""
    count = pyvips.Image.tiffload_buffer(data).get("n-pages")
    return [pyvips.Image.tiffload_buffer(data, page=number).numpy() for number in range(count)]


def test_pages_come_back_in_order_in_their_sizes_with_all_their_levels(
    session: Session, scan: Path, tmp_path: Path
) -> None:
    wanted = recipe(ascent={"iterations": 1, "lr": 0, "jitter": 0})
    first, second, third = levels(dream(session, scan, tmp_path / "kept", wanted=wanted))
    given = levels(scan.read_bytes())
    assert (first.dtype, first.shape) == (np.uint8, (40, 60, 3))
    assert np.array_equal(first, given[0])
    assert (second.dtype, second.shape) == (np.uint16, (47, 33, 3))
    assert np.abs(second.astype(int) - files.ramp(33, 47)).max() <= 1
    assert len(np.unique(second)) > 1500
    assert np.abs(third.astype(int) - files.ramp(21, 19)).max() <= 1
    assert len(np.unique(third)) > 390


def test_a_page_is_dreamed_as_it_would_be_alone(session: Session, scan: Path, tmp_path: Path) -> None:
    wanted = recipe()
    dreamt = levels(dream(session, scan, tmp_path / "kept", wanted=wanted))
    (tmp_path / "alone.tif").write_bytes(scan.read_bytes())  # of several pages, the first is dreamed
    picture = session.read(tmp_path / "alone.tif", films.recipe())
    (alone,) = session.dream([picture], session.build(films.recipe()), on_progress=lambda _step: None)
    assert np.array_equal(dreamt[0], alone.picture.pixels)
    assert not np.array_equal(dreamt[0], levels(scan.read_bytes())[0])


def test_pages_that_are_broken_off_after_each_have_the_same_bytes(session: Session, scan: Path, tmp_path: Path) -> None:
    whole = dream(session, scan, tmp_path / "a", wanted=recipe())
    assert dream(session, scan, tmp_path / "b", wanted=recipe(), is_over=True) == whole


def test_a_kill_in_the_middle_of_a_page_changes_no_byte(session: Session, scan: Path, tmp_path: Path) -> None:
    whole = dream(session, scan, tmp_path / "a", wanted=recipe())

    class Kill(BaseException):
        pass

    def die(progress: FilmProgress) -> None:
        if progress.frame == 2 and progress.step.share > 0.5:
            raise Kill

    with opened(session, scan, recipe(), tmp_path / "b") as pages, pytest.raises(Kill):
        pages.go_on(lambda: False, Watching(on_progress=die))
    assert [file.name for file in sorted((tmp_path / "b" / "pages").iterdir())] == ["00000.json", "00000.tif"]
    assert dream(session, scan, tmp_path / "b", wanted=recipe()) == whole


def test_a_page_that_took_long_goes_on_at_its_ascent(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.worker.session, "CheckpointFolder", partial(CheckpointFolder, after_seconds=0))
    scan = tmp_path / "alike.tif"
    scan.write_bytes(files.plain_tiff(2, 80, 60))
    told: list[tuple[int, int]] = []

    def note(progress: FilmProgress) -> None:
        told.append((progress.frame, progress.step.ascent))

    def die(progress: FilmProgress) -> None:
        note(progress)
        if progress.frame == 2 and progress.step.ascent == 2:
            raise StoppedError

    with opened(session, scan, recipe(), tmp_path / "a") as pages:
        pages.go_on(lambda: False, Watching(on_progress=note))
        pages.write(tmp_path / "whole.tif")
    whole = told.count((2, 1))
    told.clear()
    with opened(session, scan, recipe(), tmp_path / "b") as pages, pytest.raises(StoppedError):
        pages.go_on(lambda: False, Watching(on_progress=die))
    told.clear()
    with opened(session, scan, recipe(), tmp_path / "b") as pages:
        pages.go_on(lambda: False, Watching(on_progress=note))
        pages.write(tmp_path / "broken.tif")
        assert not pages.folder.checkpoint.exists()
    assert told.count((2, 1)) < whole
    assert (tmp_path / "broken.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_what_is_kept_of_other_files_recipes_or_is_lost_begins_anew(
    session: Session, scan: Path, tmp_path: Path
) -> None:
    def standing(wanted: Recipe, file: Path = scan) -> int:
        with opened(session, file, wanted, tmp_path / "kept") as pages:
            return pages.folder.standing.frames

    def begin() -> None:
        with opened(session, scan, recipe(), tmp_path / "kept") as pages:
            pages.go_on(lambda: True, Watching())

    begin()
    assert standing(recipe()) == 1
    assert standing(recipe(seed=1)) == 0
    begin()
    other = tmp_path / "other.tif"
    other.write_bytes(scan.read_bytes() + b"\0")
    assert standing(recipe(), other) == 0
    begin()
    (tmp_path / "kept" / "pages" / "00000.tif").unlink()
    assert standing(recipe()) == 0


def test_progress_is_told_in_pages_and_by_their_sizes(session: Session, scan: Path, tmp_path: Path) -> None:
    told: list[FilmProgress] = []
    with opened(session, scan, recipe(), tmp_path / "kept") as pages:
        assert pages.go_on(lambda: False, Watching(on_progress=told.append))
    assert [(each.unit, each.frames) for each in told] == [("page", 3)] * len(told)
    assert [number for number in (1, 2, 3) if number in {each.frame for each in told}] == [1, 2, 3]
    shares = [each.share for each in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    areas = [60 * 40, 33 * 47, 21 * 19]
    last_of_first = max(each.share for each in told if each.frame == 1)
    assert last_of_first == pytest.approx(areas[0] / sum(areas))


def test_the_sidecar_tells_each_page_and_what_became_of_other_formats(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "pair.mpo"
    file.write_bytes(files.mpo((files.FOR_TWO_EYES, files.blue())))
    wanted = recipe(image={"max_side": 32}, output={"steps": True})
    with opened(session, file, wanted, tmp_path / "kept") as pages:
        pages.go_on(lambda: False, Watching())
        result = pages.write(tmp_path / "out.tif")
    assert [page.size for page in result.pages] == [(32, 24), (32, 13)]
    assert result.size == (32, 24)
    assert any("pages of a TIFF" in note for note in result.notes)
    assert any("film strip" in note for note in result.notes)
    assert [page.shape for page in levels((tmp_path / "out.tif").read_bytes())] == [(24, 32, 3), (13, 32, 3)]


def test_pages_are_none_where_the_recipe_wants_the_first_or_a_film(session: Session, scan: Path) -> None:
    assert session.pages(scan, films.recipe()) is None
    assert session.pages(scan, recipe(film={"frames": 3})) is None
    assert "it holds 3 pages: the first was dreamed" in read_deep(scan).notes


def test_pages_beyond_the_limits_are_refused_before_any_is_dreamed(session: Session, scan: Path) -> None:
    for limit, most in {"max_pages": 2, "max_pages_pixels": 4000, "max_pixels": 2000, "max_bytes": 1000}.items():
        tight = Session.__new__(Session)
        vars(tight).update(vars(session) | {"bounds": replace(session.bounds, **{limit: most})})
        with pytest.raises(PictureError, match=rf"limits\.{limit} allows"):
            tight.pages(scan, recipe())


def test_pages_take_turns_and_are_told_in_the_answers(
    session: Session, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.worker.films.turn, "_TURN_SECONDS", 0.0)
    order = Order(job="1", source=scan, folder=tmp_path, checkpoint=tmp_path / "kept")
    messages: list[Done | Yielded] = []
    said: list[Any] = []
    while not messages or isinstance(messages[-1], Yielded):
        out, cancels, pages = io.BytesIO(), Cancels(), session.pages(scan, recipe())
        assert pages is not None
        with pages, cancels.dreaming(["1"]):
            messages.append(FilmTurn(session, Answers(out), Previews(None), cancels, 1).take(order, recipe(), pages))
        said.append([json.loads(line) for line in out.getvalue().splitlines()])
    done = messages[-1]
    assert isinstance(done, Done)
    assert [lines[0]["page"] for lines in said if lines] == [1, 2, 3]
    assert {line["pages"] for lines in said for line in lines} == {3}
    assert {line["frame"] for lines in said for line in lines} == {0}
    assert (done.file, done.sidecar.frames, len(done.sidecar.pages)) == ("result.tif", None, 3)
    assert [page.size for page in done.sidecar.pages] == [(60, 40), (33, 47), (21, 19)]
    assert done.sidecar.versions["pillow"]
    assert done.sidecar.input_sha256 == read_deep(scan).sha256


def test_one_page_at_a_time_is_decoded(
    session: Session, scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    wanted = recipe()
    with opened(session, scan, wanted, tmp_path / "kept") as dreamt:
        pages = dreamt._pages
        whole: Callable[[int], Any] = pages.read
        monkeypatch.setattr(pages, "read", lambda number: (read.append(number), whole(number))[1])
        dreamt.go_on(lambda: True, Watching())
    assert read == [0]
