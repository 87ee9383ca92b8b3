"""A film that is dreamed: nothing of it is lost, it does not flicker, and a kill changes no byte of it."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import dreamd.worker.films.keeping
from dreamd.errors import PictureError, RecipeError
from dreamd.worker.films.film_dream import FilmProgress, Watching
from dreamd.worker.films.motion import motion_between, warped
from dreamd.worker.films.opening import open_source
from dreamd.worker.pixels import to_image
from dreamd.worker.session import Session
from tests.films import panning, sound_of, times_of, write_film
from tests.unit.worker.films import kit as films
from tests.unit.worker.kit import fill, plugins_in, session_in


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("tiny")
    fill(folder)
    return session_in(folder, plugins_in(folder))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    times = [0, 512, 1024, 1400, 2048, 2600, 3072]
    return write_film(tmp_path_factory.mktemp("film") / "pan.mp4", panning(7), times=times)


PRESET_PICTURES = Path(dreamd.__file__).parent / "presets" / "pictures"


def frames_of(film: bytes) -> list[Any]:
    with av.open(io.BytesIO(film)) as opened:
        return [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_dreamed_film_has_the_frames_the_times_and_the_sound_of_its_source(
    session: Session, film: Path, tmp_path: Path, every: int
) -> None:
    result = films.dream(session, film, films.recipe(film={"every": every}), tmp_path / "film")
    assert times_of(result) == times_of(film.read_bytes())
    assert sound_of(result) == sound_of(film.read_bytes())
    changes = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames_of(result), panning(7), strict=True)]
    assert min(changes) > 0.5 * max(changes) > 0.5


@pytest.mark.parametrize("fields", [{"every": 1}, {"every": 3}, {"keep": 0.0}])
def test_a_film_that_is_broken_off_after_every_frame_has_the_same_bytes(
    session: Session, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    monkeypatch.setattr(dreamd.worker.films.keeping, "PART_FRAMES", 3)
    recipe = films.recipe(film=fields)
    whole = films.dream(session, film, recipe, tmp_path / "whole")
    broken = films.run(lambda: films.opened(session, film, recipe, tmp_path / "film"), tmp_path / "film", lambda: True)
    assert broken == whole


def test_frames_that_do_not_depend_on_each_other_are_dreamed_together_to_the_same_bytes(
    session: Session, film: Path, tmp_path: Path
) -> None:
    recipe = films.recipe(film={"keep": 0})
    alone = films.dream(session, film, recipe, tmp_path / "alone")
    assert films.dream(session, film, recipe, tmp_path / "together", together=3) == alone


def test_what_was_kept_by_another_recipe_is_not_gone_on_with(session: Session, film: Path, tmp_path: Path) -> None:
    with films.opened(session, film, films.recipe(), tmp_path / "film") as dream:
        dream.go_on(lambda: True, Watching())
    with films.opened(session, film, films.recipe(seed=1), tmp_path / "film") as other:
        assert other.folder.standing.frames == 0


@pytest.mark.parametrize("left", ["", "0 ", "0 1/25\n1/2"])
def test_a_film_whose_times_were_torn_by_a_loss_of_power_begins_anew(
    session: Session, film: Path, tmp_path: Path, left: str
) -> None:
    with films.opened(session, film, films.recipe(), tmp_path / "film") as dream:
        over = iter([False, True])
        dream.go_on(lambda: next(over), Watching())
        assert dream.folder.standing.frames == 2
    (tmp_path / "film" / "timings").write_text(left)
    with films.opened(session, film, films.recipe(), tmp_path / "film") as again:
        assert again.folder.standing.frames == 0


@pytest.mark.slow
def test_carried_frames_flicker_less_than_half_as_much_at_an_equal_dream(session: Session, tmp_path: Path) -> None:
    with Image.open(PRESET_PICTURES / "street.jpg") as street:
        whole = np.asarray(street.convert("RGB").resize((320, 240)))
    pan = [np.ascontiguousarray(whole[60:156, 40 + 5 * n : 168 + 5 * n]) for n in range(5)]
    path = write_film(tmp_path / "a.mp4", pan, sound=None)
    source = frames_of(path.read_bytes())
    motions = [motion_between(now, before) for before, now in pairwise(source)]
    flicker, amount = {}, {}
    for keep in (0.0, 0.9):
        recipe = films.recipe(
            backbone="efficientnet_lite0",
            layers="blocks.4.2",
            film={"keep": keep},
            ascent={"iterations": 10, "jitter": 32},
            output={"quality": 100, "pixel_format": "yuv444p"},
        )
        dreams = frames_of(films.dream(session, path, recipe, tmp_path / f"keep{keep}"))
        amount[keep] = np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(dreams, source, strict=True)])
        flicker[keep] = 0.0
        for (before, now), motion in zip(pairwise(dreams), motions, strict=True):
            jump = (to_image(now) - warped(to_image(before), motion.flow)).abs() * motion.reliable
            flicker[keep] += float(jump.mean()) * 255
    assert flicker[0.9] < flicker[0.0] / 2
    assert amount[0.9] == pytest.approx(amount[0.0], rel=0.25)


def test_a_cut_begins_anew(session: Session, tmp_path: Path) -> None:
    shots = [*panning(3), *(255 - frame[::-1] for frame in panning(3, step=1))]
    path = write_film(tmp_path / "a.mp4", shots, sound=None)
    recipe = films.recipe()
    whole = frames_of(films.dream(session, path, recipe, tmp_path / "whole"))
    second = write_film(tmp_path / "b.mp4", shots[3:], sound=None)
    alone = frames_of(films.dream(session, second, recipe, tmp_path / "second"))
    assert np.abs(whole[3].astype(int) - alone[0]).mean() < 3  # but for what compression makes of both


def test_progress_is_told_in_frames_with_what_is_left(session: Session, film: Path, tmp_path: Path) -> None:
    told: list[FilmProgress] = []
    with films.opened(session, film, films.recipe(), tmp_path / "film") as dream:
        dream.go_on(lambda: False, Watching(on_progress=told.append))
    assert [each.frame for each in told] == sorted(each.frame for each in told)
    assert {each.frame for each in told} == set(range(1, 8))
    assert {each.frames for each in told} == {7}
    assert told[0].left_seconds is None
    assert told[-1].share == 1.0
    assert told[-1].left_seconds == 0.0


def test_frames_that_a_file_does_not_count_are_reckoned_from_its_length(session: Session, tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mkv", panning(7), sound=None, ticks=Fraction(1, 1000))
    told: list[FilmProgress] = []
    with films.opened(session, path, films.recipe(), tmp_path / "film") as dream:
        dream.go_on(lambda: False, Watching(on_progress=told.append))
    assert {each.frames for each in told if each.frame <= 2} == {0}  # one frame alone tells no rate
    assert {each.frames for each in told if each.frame > 2} == {7}


def test_memory_and_disk_do_not_grow_with_the_film(
    session: Session, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dreamd.worker.films.keeping, "PART_FRAMES", 2)
    with films.opened(session, film, films.recipe(), tmp_path / "film") as dream:
        while not dream.go_on(lambda: True, Watching()):
            assert len(list((tmp_path / "film" / "frames").iterdir())) <= 4


@pytest.mark.parametrize("fields", [{"every": 1}, {"every": 3}, {"every": 4}, {"keep": 0.0}])
def test_what_frames_freed_is_given_back_however_many_are_finished_together(
    session: Session, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    given_back: list[int] = []
    monkeypatch.setattr(dreamd.worker.films.film_dream, "give_back_freed_memory", lambda: given_back.append(1))
    films.dream(session, film, films.recipe(film=fields), tmp_path / "film", together=3)
    assert len(given_back) == 1


def test_frames_are_shrunk_to_even_sides(session: Session, film: Path, tmp_path: Path) -> None:
    result = films.dream(session, film, films.recipe(image={"max_side": 45}), tmp_path / "film")
    assert frames_of(result)[0].shape == (34, 46, 3) or frames_of(result)[0].shape == (34, 44, 3)


def test_an_animation_keeps_its_clear_parts_and_may_become_a_film(session: Session, tmp_path: Path) -> None:
    alpha = np.where(np.arange(64) < 20, 0, 255).astype(np.uint8)[None].repeat(48, 0)
    first, *rest = [Image.fromarray(np.dstack([pixels, alpha])) for pixels in panning(3)]
    path = tmp_path / "a.webp"
    first.save(path, save_all=True, append_images=rest, duration=[50, 70, 90], loop=2, lossless=True)
    folder = tmp_path / "film"
    with Image.open(io.BytesIO(films.dream(session, path, films.recipe(), folder))) as result:
        assert (result.format, result.n_frames, result.info["loop"]) == ("WEBP", 3, 2)  # type: ignore[attr-defined]
        result.seek(2)
        assert np.array_equal(np.asarray(result.convert("RGBA"))[:, :, 3], alpha)
    as_film = films.dream(session, path, films.recipe(output={"film": "mp4"}), tmp_path / "mp4")
    assert [round(float(time), 3) for time in times_of(as_film)] == [0, 0.05, 0.12]


# What is refused


def test_a_film_beyond_the_limits_is_refused_with_the_limit(session: Session, film: Path) -> None:
    cases = {
        "limits.max_frames": replace(session.bounds, max_frames=6),
        "limits.max_film_seconds": replace(session.bounds, max_film_seconds=0.1),
        "limits.max_pixels": replace(session.bounds, max_pixels=1000),
        "limits.max_film_bytes": replace(session.bounds, max_film_bytes=1000),
    }
    for limit, bounds in cases.items():
        with pytest.raises(PictureError, match=limit):
            open_source(session.plugins, bounds, film, None)


def test_a_film_that_is_longer_than_it_says_is_stopped_at_the_limit(session: Session, film: Path) -> None:
    source = open_source(session.plugins, session.bounds, film, None)
    assert source is not None
    liar = replace(source, _bounds=replace(session.bounds, max_frames=3))
    with source, pytest.raises(PictureError, match=r"pan\.mp4: 4 frames, more than limits\.max_frames"):
        list(liar.frames())


def test_a_film_is_too_long_at_a_later_turn_as_well(session: Session, film: Path) -> None:
    source = open_source(session.plugins, session.bounds, film, None)
    assert source is not None
    with source:
        times = [frame.timing.time for frame in source.frames()]
        short = replace(source, _bounds=replace(session.bounds, max_film_seconds=float(times[3] - times[0])))
        with pytest.raises(PictureError, match=r"limits\.max_film_seconds"):
            list(short.frames(times[2], first=2, begin=times[0]))


def test_an_animation_beyond_the_bytes_of_a_film_is_refused(session: Session, tmp_path: Path) -> None:
    first, *rest = [Image.fromarray(pixels) for pixels in panning(3)]
    path, still = tmp_path / "a.gif", tmp_path / "b.gif"
    first.save(path, save_all=True, append_images=rest)
    first.save(still)
    bounds = replace(session.bounds, max_film_bytes=1000)
    with pytest.raises(PictureError, match=r"limits\.max_film_bytes"):
        open_source(session.plugins, bounds, path, None)
    assert open_source(session.plugins, bounds, still, None) is None


def test_a_format_that_nothing_writes_is_a_fault_of_the_recipe(session: Session, film: Path, tmp_path: Path) -> None:
    recipe = films.recipe(output={"film": "mp5"})
    with (
        pytest.raises(RecipeError, match=r"no kind of film 'mp5'; did you mean mp4\?"),
        films.opened(session, film, recipe, tmp_path / "film"),
    ):
        pass
