"""The worker's pipeline, in this process: what goes in by lines comes out by lines, whatever overlaps."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image

from dreamd.messages import Advanced, Batch, Done, Importing, NotDone, Order, Ready, Said, Settings, Unable, from_worker
from dreamd.settings.recipes.merging import resolve, set_fields
from dreamd.settings.recipes.recipe_book import RecipeBook
from dreamd.worker.answers import Answers, Meter
from dreamd.worker.machine.bounds import Room
from dreamd.worker.machine.device import BrokenDeviceError
from dreamd.worker.main import Worker
from dreamd.worker.pipeline import Pipeline
from dreamd.worker.session import Session

if TYPE_CHECKING:
    from conftest import Tree

WIDTH, HEIGHT = 40, 24
POISON = 77
"""The grey that the dream of a poisoned picture does not bear."""


def _grey() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (WIDTH, HEIGHT), (POISON,) * 3).save(data, "PNG")
    return data.getvalue()


KINDS = {"bad": b"no picture", "poison": _grey()}


@pytest.fixture
def recipe() -> str:
    settings = ["backbone.name=tiny", "backbone.weights=random", "schedule=moody", "ascent.iterations=2"]
    settings += ["ascent.jitter=4", "precision=fp32", "gradient=[]"]
    return resolve([*RecipeBook(None).documents_of_name("classic"), set_fields(settings)]).json


@pytest.fixture
def dreamt(tree: Tree, tmp_path: Path, recipe: str) -> Callable[..., list[Said]]:
    """Has a worker dream pictures of these widths or kinds. Results lie in `tmp_path/NUMBER`."""

    def run(widths: Sequence[int | str], *, batch: int | None = None, **changes: Any) -> list[Said]:
        orders = []
        for number, width in enumerate(widths):
            source, folder = tmp_path / f"{number}.png", tmp_path / str(number)
            folder.mkdir(exist_ok=True)
            source.write_bytes(KINDS[width] if isinstance(width, str) else tree.picture(width, HEIGHT))
            orders.append(Order(job=str(number), source=source, folder=folder))
        output = io.BytesIO()
        worker = Worker(tree.worker_settings(batch=batch, **changes), Answers(output))
        worker.run(io.BytesIO(Batch(recipe=recipe, orders=tuple(orders)).line()))
        return [from_worker(line) for line in output.getvalue().splitlines()]

    return run


def answers(said: Sequence[Said]) -> dict[str, Done | NotDone]:
    return {message.job: message for message in said if isinstance(message, Done | NotDone)}


def pixels(tmp_path: Path, count: int) -> list[np.ndarray]:
    return [np.asarray(Image.open(tmp_path / str(number) / "result.png")) for number in range(count)]


def test_every_order_is_answered_once_and_the_worker_ends_with_its_input(dreamt: Callable[..., list[Said]]) -> None:
    said = dreamt([WIDTH, 30, "bad", WIDTH, 50])
    assert isinstance(next(message for message in said if not isinstance(message, Importing)), Ready)
    told = [message.job for message in said if isinstance(message, Done | NotDone)]
    assert sorted(told) == ["0", "1", "2", "3", "4"]
    refused = answers(said)["2"]
    assert isinstance(refused, NotDone)
    assert refused.final
    assert sum(isinstance(answer, Done) for answer in answers(said).values()) == 4


def test_no_plugin_of_dreamds_own_is_suspected_while_it_is_loaded(dreamt: Callable[..., list[Said]]) -> None:
    announced = [message.plugin for message in dreamt([]) if isinstance(message, Importing)]
    assert {name for name in announced if name is not None} == {"tiny"}
    assert announced[0] is None
    assert announced[-1] is None


def test_a_picture_is_reached_through_no_symlink_below_the_inbox(tree: Tree, tmp_path: Path, recipe: str) -> None:
    """Who may write into a folder on the way must not have the worker read what only the worker may read."""
    for folder in ("private", "inbox", "out"):
        (tmp_path / folder).mkdir()
    (tmp_path / "private" / "cat.png").write_bytes(tree.picture(WIDTH, HEIGHT))
    (tmp_path / "inbox" / "job").symlink_to(tmp_path / "private")
    source = tmp_path / "inbox" / "job" / "cat.png"
    order = Order(job="j", source=source, root=tmp_path / "inbox", folder=tmp_path / "out")
    settings = Settings(
        device="cpu",
        plugin_folders=(tree.root / "plugins",),
        disable=("timm", "torchvision", "vgg", "efficientnet_lite0"),
        max_pixels=1_000_000,
        max_bytes=1_000_000,
        memory=1_000_000_000,
    )
    output = io.BytesIO()
    Worker(settings, Answers(output)).run(io.BytesIO(Batch(recipe=recipe, orders=(order,)).line()))
    answer = answers([from_worker(line) for line in output.getvalue().splitlines()])["j"]
    assert isinstance(answer, NotDone)
    assert (answer.hold, answer.final) == ("folder", False)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_picture_that_goes_away_is_the_folders_fault_and_not_its_own(
    dreamt: Callable[..., list[Said]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Session.read

    def read(session: Session, source: Path, *more: Any) -> Any:
        (tmp_path / "0.png").unlink()
        return real(session, source, *more)

    monkeypatch.setattr(Session, "read", read)
    answer = answers(dreamt([WIDTH]))["0"]
    assert isinstance(answer, NotDone)
    assert (answer.hold, answer.final) == ("folder", False)


def test_pictures_dreamed_together_come_out_as_each_alone(dreamt: Callable[..., list[Said]], tmp_path: Path) -> None:
    dreamt([WIDTH] * 5, batch=1)
    alone = pixels(tmp_path, 5)
    together = dreamt([WIDTH] * 5, batch=4)
    for one, other in zip(alone, pixels(tmp_path, 5), strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert all(isinstance(answer, Done) for answer in answers(together).values())


def test_only_pictures_of_one_shape_are_dreamed_together(
    dreamt: Callable[..., list[Said]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = groups(monkeypatch)
    answered = answers(dreamt([WIDTH, 30, WIDTH, 30, WIDTH], batch=8))
    assert all(isinstance(answer, Done) for answer in answered.values())
    assert sum(sizes) == 5
    assert max(sizes) <= 3


def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that will be dreamed; the first waits until everything is decoded."""
    sizes: list[int] = []
    real, next_tasks = Session.dream, Pipeline._next_tasks

    def dream(self: Any, pictures: Sequence[Any], *args: Any, **named: Any) -> Any:
        sizes.append(len(pictures))
        return real(self, pictures, *args, **named)

    def when_all_are_decoded(self: Pipeline) -> Any:
        if not sizes and not self._waiting:
            for thread in threading.enumerate():
                if thread.name == "decode":
                    thread.join()
        return next_tasks(self)

    monkeypatch.setattr(Session, "dream", dream)
    monkeypatch.setattr(Pipeline, "_next_tasks", when_all_are_decoded)
    return sizes


def test_a_picture_that_breaks_its_batch_fails_alone(
    dreamt: Callable[..., list[Said]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = groups(monkeypatch)
    real = Session.dream

    def dream(self: Any, pictures: Sequence[Any], *args: Any, **named: Any) -> Any:
        dreams = real(self, pictures, *args, **named)
        if any((picture.pixels == POISON).all() for picture in pictures):
            raise ValueError("poison")
        return dreams

    monkeypatch.setattr(Session, "dream", dream)
    answered = answers(dreamt([WIDTH, WIDTH, "poison", WIDTH, WIDTH], batch=8))
    refused = answered.pop("2")
    assert isinstance(refused, NotDone)
    assert not refused.final
    assert "poison" in refused.reason
    assert all(isinstance(answer, Done) for answer in answered.values())
    assert sizes[0] == 5


def test_a_broken_gpu_ends_the_worker_after_its_answer_and_costs_no_other_picture(
    dreamt: Callable[..., list[Said]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said = until_broken(dreamt, monkeypatch, [30, "poison", 50, 60])
    answered = answers(said)
    refused = answered.pop("1")
    assert isinstance(refused, NotDone)
    assert not refused.final
    assert "device-side assert" in refused.reason
    assert [(job, type(answer)) for job, answer in answered.items()] == [("0", Done)]
    assert (tmp_path / "0" / "result.png").exists()


def test_of_a_batch_that_broke_the_gpu_nobody_is_said_to_have_failed(
    dreamt: Callable[..., list[Said]], monkeypatch: pytest.MonkeyPatch
) -> None:
    groups(monkeypatch)
    assert answers(until_broken(dreamt, monkeypatch, [WIDTH, "poison", WIDTH], batch=8)) == {}


def until_broken(
    dreamt: Callable[..., list[Said]], monkeypatch: pytest.MonkeyPatch, widths: list[int | str], **changes: Any
) -> list[Said]:
    """What a worker says until a poisoned picture breaks its GPU."""
    real = Session.dream

    def dream(self: Any, pictures: Sequence[Any], *args: Any, **named: Any) -> Any:
        if any((picture.pixels == POISON).all() for picture in pictures):
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")
        return real(self, pictures, *args, **named)

    monkeypatch.setattr(Session, "dream", dream)
    said: list[Said] = []
    monkeypatch.setattr(Answers, "send", lambda _self, message: said.append(message))
    with pytest.raises(BrokenDeviceError, match=r"can do nothing more for this process .*device-side assert"):
        dreamt(widths, **changes)
    return said


def test_progress_and_results_say_how_long_the_device_has_dreamed(dreamt: Callable[..., list[Said]]) -> None:
    said = dreamt([WIDTH] * 3)
    busy = [message.busy_seconds for message in said if isinstance(message, Advanced)]
    busy += [max(message.busy_seconds for message in said if isinstance(message, Done))]
    assert busy == sorted(busy)
    assert busy[-1] > 0


def test_a_room_lets_one_of_any_size_in_and_no_other_until_it_has_gone() -> None:
    room = Room(100)
    room.enter("large")
    room.hold("large", 10_000)
    entered = threading.Event()
    thread = threading.Thread(target=lambda: (room.enter("small"), entered.set()))
    thread.start()
    assert not entered.wait(0.1)
    room.leave("large")
    assert entered.wait(30)
    thread.join()


def test_a_room_lets_small_ones_in_beside_each_other() -> None:
    room = Room(100)
    for name in ("a", "b", "c"):
        room.enter(name)  # would wait for ever
        room.hold(name, 40)
    room.leave("a")
    room.enter("d")


def test_a_meter_counts_what_runs_and_not_what_rests() -> None:
    meter = Meter()
    assert meter.seconds == 0
    with meter.running():
        while meter.seconds <= 0:
            pass
    rested = meter.seconds
    assert rested > 0
    assert meter.seconds == rested


def test_a_folder_that_goes_away_holds_the_picture_and_is_no_fault_of_it(
    dreamt: Callable[..., list[Said]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inbox's share before the picture is read, the outbox's before its result is written."""
    real = Session.read

    def read(self: Session, source: Path, recipe: Any) -> Any:
        if source.name == "0.png":
            source.unlink()
        if source.name == "1.png":
            raise OSError(errno.EIO, "Input/output error")
        if source.name == "2.png":
            (tmp_path / "2").rmdir()
        return real(self, source, recipe)

    monkeypatch.setattr(Session, "read", read)
    answered = answers(dreamt([WIDTH, WIDTH, WIDTH, WIDTH]))
    for job in "012":
        refusal = answered[job]
        assert isinstance(refusal, NotDone)
        assert (refusal.hold, refusal.final) == ("folder", False)
    assert isinstance(answered["3"], Done)


def test_a_worker_whose_thread_dies_ends_at_once_and_says_why() -> None:
    """Else the process goes on, and its jobs are waited for until limits.timeout_seconds."""
    program = (
        "import sys\nfrom dreamd.worker.answers import Answers\nfrom dreamd.worker.machine.bounds import Room\n"
        "from dreamd.worker.pipeline import Pipeline\n"
        "pipeline = Pipeline(None, Answers(sys.stdout.buffer), previews=None, together=1, room=Room(1))\n"
        "pipeline.run(1 / 0 for _ in [0])\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1
    last = from_worker(ended.stdout.splitlines()[-1])
    assert isinstance(last, Unable)
    assert last.reason == "the worker is broken: ZeroDivisionError: division by zero"
