"""Films from end to end: dropped into an inbox, killed in the middle, hostile, and by the command."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from dreamd.cli import main
from tests.films import panning, sound_of, times_of, with_streams, write_film

UNLUCKY_WIDTH = 13
"""Pictures so wide meet the mood of their folder."""

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Warm = tuple[Tree, RunningDaemon]
    Run = Callable[..., RunningDaemon]


QUICK_TURNS = """
from dreamd.api import hookimpl
from dreamd.worker.films import turn

turn._TURN_SECONDS = 0.0


@hookimpl
def dreamd_losses(register):
    pass
"""
"""A plugin by which a film's turn is over after each frame."""


def animation(count: int = 3, width: int = 64) -> bytes:
    data = io.BytesIO()
    first, *rest = [Image.fromarray(pixels) for pixels in panning(count, width)]
    first.save(
        data,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=[(40, 80, 120)[number % 3] for number in range(count)],
        loop=2,
    )
    return data.getvalue()


def test_films_and_animations_come_out_with_frames_times_and_sound(warm: Warm, tmp_path: Path) -> None:
    tree, _ = warm
    source = write_film(tmp_path / "a.mp4", panning(4)).read_bytes()
    tree.drop("clips/pan.mp4", source)
    tree.drop("clips/pan.gif", animation())
    film = tree.result("clips/pan.mp4").read_bytes()
    assert times_of(film) == times_of(source)
    assert sound_of(film) == sound_of(source)
    assert tree.sidecar("clips/pan.mp4")["frames"] == 4
    with Image.open(tree.result("clips/pan.gif")) as result:
        assert (result.n_frames, result.info["loop"]) == (3, 2)  # type: ignore[attr-defined]
    assert (tree.done / "clips" / "pan.mp4").read_bytes() == source
    tree.wait_for(lambda: not tree.files(tree.state / "checkpoints"), "what was kept of the films to be removed")


def test_a_folder_may_make_films_out_of_its_pictures(warm: Warm) -> None:
    tree, _ = warm
    tree.recipe("zooms", "film: {frames: 5, fps: 24, back: true}\noutput: {film: gif}\n")
    tree.drop("zooms/cat.png")
    with Image.open(tree.result("zooms/cat.gif")) as result:
        assert result.n_frames == 8  # type: ignore[attr-defined]
    assert tree.sidecar("zooms/cat.gif")["frames"] == 8


def test_a_film_whose_worker_is_killed_goes_on_and_has_the_same_bytes(warm: Warm, tmp_path: Path) -> None:
    tree, daemon = warm
    tree.recipe("long", "ascent: {iterations: 12, jitter: 4}\nschedule: {name: octaves, num_octaves: 3}\n")
    source = write_film(tmp_path / "a.mp4", panning(40, 128, 96)).read_bytes()
    tree.drop("long/one.mp4", source)

    tree.wait_for(lambda: 2 <= tree.finished_frames() < 38, "a film in the middle")
    os.kill(daemon.worker("busy"), signal.SIGKILL)
    broken = tree.result("long/one.mp4").read_bytes()
    tree.drop("long/two.mp4", source)
    assert tree.result("long/two.mp4").read_bytes() == broken
    assert len(times_of(broken)) == 40


def test_pictures_have_their_turn_while_a_film_goes_on(tree: Tree, run_daemon: Run) -> None:
    (tree.root / "plugins" / "quick_turns.py").write_text(QUICK_TURNS)
    gate = tree.mood("long", "wait")
    tree.drop("long/pan.gif", animation(20, UNLUCKY_WIDTH))
    daemon = run_daemon(tree)
    tree.wait_for(gate.with_name(f"{gate.name}.waiting").exists, "the first frame to be dreamed")
    tree.drop("later/cat.png")
    tree.wait_for(lambda: len(tree.jobs()) == 2, "the picture to be taken")
    gate.touch()
    picture = tree.result("later/cat.png").stat().st_mtime_ns
    film = tree.result("long/pan.gif")
    assert picture < film.stat().st_mtime_ns
    with Image.open(film) as result:
        assert result.n_frames == 20  # type: ignore[attr-defined]
    assert daemon.stop() == 0


def test_hostile_films_end_in_failed_with_a_reason(warm: Warm, tmp_path: Path) -> None:
    tree, daemon = warm
    whole = write_film(tmp_path / "a.mp4", panning(6)).read_bytes()
    silent = write_film(tmp_path / "b.mp4", panning(2), sound=None).read_bytes()
    pid = daemon.worker()
    reasons = {
        "cut.mp4": (whole[: len(whole) // 2], "cut off"),
        "noise.mkv": (os.urandom(5000), "no film that can be read"),
        "list.mp4": (b"#EXTM3U\nfile:///etc/passwd\n", "no film that can be read"),
        "streams.mp4": (with_streams(silent, 100_000), "too many streams"),
        "huge.gif": (_huge_later_frame(), "limits.max_pixels"),
    }
    for name, (data, _) in reasons.items():
        tree.drop(f"hostile/{name}", data)
    for name, (_, reason) in reasons.items():
        assert reason in tree.failure(f"hostile/{name}"), name
    assert daemon.worker() == pid


def _huge_later_frame() -> bytes:
    """An animation whose second frame says that it is 65535 pixels wide and high."""
    data = bytearray(animation())
    second = data.index(b"\x21\xf9\x04", data.index(b"\x21\xf9\x04") + 3) + 8
    data[second + 5 : second + 9] = b"\xff\xff\xff\xff"
    return bytes(data)


def test_the_command_dreams_a_film_into_another_format_and_makes_one_out_of_a_picture(
    warm: Warm, tmp_path: Path
) -> None:
    tree, _ = warm
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(yaml.safe_load(tree.config.read_text())["defaults"]))
    words = ["--recipe", str(recipe), "--plugins", str(tree.root / "plugins")]
    source, picture = write_film(tmp_path / "a.mp4", panning(3)), tmp_path / "a.png"
    Image.fromarray(panning(1)[0]).save(picture)

    def dream(*arguments: object) -> Any:
        return CliRunner().invoke(main, ["dream", *map(str, arguments), *words])

    assert dream(source, tmp_path / "out.gif").exit_code == 0
    with Image.open(tmp_path / "out.gif") as result:
        assert result.n_frames == 3  # type: ignore[attr-defined]
    assert dream(picture, tmp_path / "zoom.mp4", "--set", "film.frames=4").exit_code == 0
    with av.open(tmp_path / "zoom.mp4") as film:
        assert len(list(film.decode(video=0))) == 4
    refused = dream(picture, tmp_path / "still.mp4")
    assert refused.exit_code == 2
    assert "film.frames=300" in refused.output
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".dreamd")]


@pytest.mark.parametrize("format_", ["webm", "apng"])
def test_the_result_of_a_film_has_the_format_of_its_recipe(warm: Warm, tmp_path: Path, format_: str) -> None:
    tree, _ = warm
    tree.recipe(f"as-{format_}", f"output: {{film: {format_}}}\n")
    tree.drop(f"as-{format_}/pan.gif", animation())
    tree.result(f"as-{format_}/pan.{format_}")
    assert tree.sidecar(f"as-{format_}/pan.{format_}")["frames"] == 3
