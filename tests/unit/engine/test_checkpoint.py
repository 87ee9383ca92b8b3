"""A dream that was broken off goes on from its last finished ascent, and ends in the very same bytes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dreamd_plugins.article import article
from dreamd_plugins.l2 import l2
from dreamd_plugins.octaves import octaves
from torch import Tensor, nn

from dreamd.engine.ascents.ascent import AscentSettings
from dreamd.engine.ascents.scheduled_ascent import Ascend
from dreamd.engine.checkpoint import CheckpointFolder, FinishedAscent
from dreamd.engine.dream import Dreamed, dream
from dreamd.engine.dreamer import Dreamer, Progress
from dreamd.engine.network.backbone import Backbone
from dreamd.engine.objectives.objective import Objective, Term
from dreamd.engine.tiles.fitting import Fit


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Thousands of tiny steps: threads that wait for each other on a busy machine take minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


KEY = "a picture and a recipe"


class Excite(nn.Module):
    """Squeeze and excite: every cell looks at the whole picture, so that tiles must overlap."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).sigmoid()


def network(*between: nn.Module) -> Backbone:
    torch.manual_seed(0)
    modules = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), *between, nn.Conv2d(6, 8, 3, stride=2, padding=1)]
    backbone = Backbone(network=nn.Sequential(*modules), min_side=32)
    return replace(backbone, layers={"deep": str(len(modules) - 1)}, default_layer="deep").frozen()


def dreamer(backbone: Backbone, schedule: Callable[..., Any], **changes: Any) -> Dreamer:
    made = Dreamer(
        backbone=backbone,
        objective=Objective((Term(backbone.module_name("deep"), l2),)),
        settings=AscentSettings(iterations=3, lr=2.0, momentum=0.5, jitter=9),
        schedule=schedule,
    )
    return replace(made, **changes)


def in_octaves() -> Dreamer:
    return dreamer(network(), partial(octaves, num_octaves=3, octave_scale=1.3))


def in_the_articles_way() -> Dreamer:
    settings = AscentSettings(iterations=2, lr=20.0, momentum=1.0)
    return dreamer(network(), partial(article, num_octaves=4, octave_scale=3.0), settings=settings)


def in_tiles() -> Dreamer:
    return dreamer(network(), partial(octaves, num_octaves=3, octave_scale=1.3), memory=1)


def in_overlapped_tiles() -> Dreamer:
    return dreamer(network(Excite()), partial(octaves, num_octaves=3, octave_scale=1.3), memory=1)


def in_the_articles_way_in_overlapped_tiles() -> Dreamer:
    """Whose schedule ascends equal levels again once it has seen that tiles are shifted at random."""

    def black(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
        return article(torch.zeros_like(image), ascend, num_octaves=3, octave_scale=6.0)

    return dreamer(network(Excite()), black, settings=AscentSettings(iterations=1, lr=1e-9), memory=1)


def pictures(made: Dreamer) -> Tensor:
    """Two, larger than the smallest tile where they are to be cut up."""
    height, width = (56, 70) if made.memory is None else (150, 140)
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(5))


class Killed(BaseException):
    """Stands for the end of the process."""


class Log:
    """The iterations that a dream ran, by (ascent, iteration), and a kill before one of them."""

    def __init__(self, kill_in_ascent: int | None = None) -> None:
        self.seen: list[tuple[int, int]] = []
        self._kill_in_ascent = kill_in_ascent

    def __call__(self, progress: Progress) -> None:
        if progress.ascent == self._kill_in_ascent:
            raise Killed
        self.seen.append((progress.ascent, progress.iteration))

    @property
    def ascents(self) -> int:
        return self.seen[-1][0]


def dreamed(made: Dreamer, checkpoint: CheckpointFolder | None = None, log: Log | None = None) -> Dreamed:
    return dream(pictures(made), made, seeds=[3, 4], on_progress=log or Log(), checkpoint=checkpoint)


def broken_off(made: Dreamer, folder: Path, ascent: int, **options: Any) -> None:
    with pytest.raises(Killed):
        dreamed(made, checkpoint(folder, **options), Log(kill_in_ascent=ascent))


def checkpoint(folder: Path, key: str = KEY, after_seconds: float = 0.0) -> CheckpointFolder:
    return CheckpointFolder(folder, key, after_seconds=after_seconds)


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*"))


def assert_same(one: Dreamed, other: Dreamed) -> None:
    assert torch.equal(one.images, other.images)
    assert (one.loss_before, one.loss_after, one.tiling) == (other.loss_before, other.loss_after, other.tiling)


# Going on


@pytest.mark.parametrize(
    "kind",
    [in_octaves, in_the_articles_way, in_tiles, in_overlapped_tiles, in_the_articles_way_in_overlapped_tiles],
)
def test_a_dream_broken_off_in_any_ascent_ends_in_the_same_bytes(kind: Callable[[], Dreamer], tmp_path: Path) -> None:
    made, whole = kind(), Log()
    undisturbed = dreamed(made, log=whole)
    assert whole.ascents >= 3
    for ascent in range(2, whole.ascents + 1):
        folder = tmp_path / str(ascent)
        broken_off(made, folder, ascent)
        rest = Log()
        assert_same(dreamed(made, checkpoint(folder), rest), undisturbed)
        last = made.settings.iterations
        taken_up = [(number, last) for number in range(1, ascent)]
        assert rest.seen == [*taken_up, *(step for step in whole.seen if step[0] >= ascent)]


def test_a_dream_may_be_broken_off_again_and_again(tmp_path: Path) -> None:
    made = in_octaves()
    for ascent in (2, 3, 3):
        broken_off(made, tmp_path, ascent)
    assert_same(dreamed(made, checkpoint(tmp_path)), dreamed(made))


def test_a_dream_with_a_checkpoint_is_the_dream_without_one(tmp_path: Path) -> None:
    made = in_octaves()
    assert_same(dreamed(made, checkpoint(tmp_path)), dreamed(made))
    assert files(tmp_path) == ["ascent-00001.npz", "ascent-00002.npz", "ascent-00003.npz"]


def test_what_was_found_out_about_memory_is_taken_up_but_no_more_memory_than_there_is(tmp_path: Path) -> None:
    made = in_tiles()
    dreamed(made, checkpoint(tmp_path))
    kept = checkpoint(tmp_path).load(3)
    assert kept is not None
    assert kept.fit == Fit(memory=1, tiling="128 px, halo 2")
    assert dreamed(replace(made, memory=8 * 10**9), checkpoint(tmp_path)).tiling == "128 px, halo 2"


# What may lie in the folder


def flipped(file: Path) -> None:
    """One byte of the picture's values differs."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def text(file: Path) -> None:
    file.write_text("no archive at all")


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def an_array(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))


def pickled(file: Path) -> None:
    with file.open("wb") as stream:
        np.savez(stream, format=np.array([Path], dtype=object))


def changed(file: Path, **members: Any) -> None:
    with np.load(file) as values:
        members = {**values, **members}
    with file.open("wb") as stream:
        np.savez(stream, **members)


def of_other_pictures(file: Path) -> None:
    changed(file, images=np.zeros((1, 3, 4, 4), np.float32))


def in_double_precision(file: Path) -> None:
    changed(file, first_loss=np.zeros(2))


def without_random_state(file: Path) -> None:
    changed(file, generators=np.zeros((2, 7), np.uint8))


def of_a_later_format(file: Path) -> None:
    changed(file, format="dreamd finished ascent 2")


def with_a_list_inside(file: Path) -> None:
    changed(file, about="[]")


@pytest.mark.parametrize(
    "spoil",
    [flipped, torn, emptied, text, an_array, pickled, of_other_pictures, in_double_precision, without_random_state,
     of_a_later_format, with_a_list_inside],
)  # fmt: skip
def test_a_file_that_is_not_what_it_should_be_is_ignored(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    made, rest = in_octaves(), Log()
    broken_off(made, tmp_path, 3)
    spoil(tmp_path / "ascent-00002.npz")
    assert_same(dreamed(made, checkpoint(tmp_path), rest), dreamed(made))
    assert [step for step in rest.seen if step[0] < 3] == [(1, 3), (2, 1), (2, 2), (2, 3)]
    again = Log()
    assert_same(dreamed(made, checkpoint(tmp_path), again), dreamed(made))
    assert again.seen == [(1, 3), (2, 3), (3, 3)]  # it was written anew


def test_a_folder_in_a_files_place_is_ignored_and_the_dream_goes_on(tmp_path: Path) -> None:
    made = in_octaves()
    broken_off(made, tmp_path, 3)
    a_folder(tmp_path / "ascent-00002.npz")
    assert_same(dreamed(made, checkpoint(tmp_path)), dreamed(made))


def test_no_damage_to_a_file_gets_further_than_being_ignored(tmp_path: Path) -> None:
    broken_off(in_octaves(), tmp_path, 2)
    file = tmp_path / "ascent-00001.npz"
    whole, source = file.read_bytes(), random.Random(0)
    expected = checkpoint(tmp_path).load(1)
    assert expected is not None
    for _ in range(400):
        data = bytearray(whole)
        # Most of the file is pixels; what could go wrong in other ways lies at its ends.
        places = [*range(600), *range(len(whole) - 600, len(whole)), source.randrange(len(whole))]
        for place in source.sample(places, 3):
            data[place] = source.randrange(256)
        file.write_bytes(data)
        kept = checkpoint(tmp_path).load(1)
        assert kept is None or torch.equal(kept.images, expected.images)


def test_another_dreams_state_is_ignored(tmp_path: Path) -> None:
    made, rest = in_octaves(), Log()
    broken_off(made, tmp_path, 3)
    assert_same(dreamed(made, checkpoint(tmp_path, key="another recipe"), rest), dreamed(made))
    assert len(rest.seen) == 3 * made.settings.iterations


def test_an_ascent_that_starts_from_other_pictures_is_climbed_anew(tmp_path: Path) -> None:
    broken_off(in_octaves(), tmp_path, 3)
    changed_schedule = replace(in_octaves(), schedule=partial(octaves, num_octaves=3, octave_scale=1.31))
    assert_same(dreamed(changed_schedule, checkpoint(tmp_path)), dreamed(changed_schedule))


def test_a_draft_that_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    made = in_octaves()
    broken_off(made, tmp_path, 2)
    (tmp_path / "ascent-00002.part").write_bytes(b"half an ascent")
    assert_same(dreamed(made, checkpoint(tmp_path)), dreamed(made))


# When it is written


def test_a_short_dream_never_touches_the_disk(tmp_path: Path) -> None:
    dreamed(in_octaves(), checkpoint(tmp_path / "state", after_seconds=60))
    assert not (tmp_path / "state").exists()


def test_everything_so_far_is_written_once_a_dream_turns_out_to_be_long(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path, KEY, after_seconds=60)
    ascents = [finished(number) for number in (1, 2, 3)]
    folder.keep(ascents[0])
    folder.keep(ascents[1])
    assert files(tmp_path) == []
    folder._writes_from = time.monotonic()
    folder.keep(ascents[2])
    assert files(tmp_path) == ["ascent-00001.npz", "ascent-00002.npz", "ascent-00003.npz"]


def test_a_dream_that_was_broken_off_before_is_written_at_once(tmp_path: Path) -> None:
    made = in_octaves()
    broken_off(made, tmp_path, 2)
    broken_off(made, tmp_path, 3, after_seconds=60)
    assert files(tmp_path) == ["ascent-00001.npz", "ascent-00002.npz"]


@pytest.mark.parametrize("change", [lambda images: images.mul_(0.5), lambda images: images.numpy().__imul__(0.5)])
def test_pictures_that_the_schedule_changes_before_they_are_written_are_not_written(
    change: Callable[[Tensor], object], tmp_path: Path
) -> None:
    def schedule(image: Tensor, ascend: Ascend) -> Iterator[Tensor]:
        small = ascend(image)
        change(small)
        yield ascend(small, overwrite=True)

    made, late = in_octaves(), CheckpointFolder(tmp_path, KEY, after_seconds=60)
    made = replace(made, schedule=schedule)
    undisturbed = dreamed(made)

    def long_at_last(progress: Progress) -> None:
        late._writes_from = time.monotonic() if progress.ascent == 2 else late._writes_from

    dream(pictures(made), made, seeds=[3, 4], on_progress=long_at_last, checkpoint=late)
    assert files(tmp_path) == ["ascent-00002.npz"]
    assert_same(dreamed(made, checkpoint(tmp_path)), undisturbed)


def test_no_more_than_so_many_bytes_wait_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamd.engine.checkpoint._MOST_WAITING", 2 * 3 * 4 * 4 * 4)
    folder = CheckpointFolder(tmp_path, KEY, after_seconds=60)
    for number in (1, 2, 3):
        folder.keep(finished(number))
    folder._writes_from = time.monotonic()
    folder.keep(finished(4))
    assert files(tmp_path) == ["ascent-00002.npz", "ascent-00003.npz", "ascent-00004.npz"]


def finished(number: int) -> FinishedAscent:
    return FinishedAscent(
        number=number,
        given=number,
        images=torch.rand(1, 3, 4, 4),
        first_loss=torch.rand(1),
        last_loss=torch.rand(1),
        generators=torch.Generator().get_state()[None],
    )


def test_what_is_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    ascent = replace(finished(7), fit=Fit(memory=5, largest_tile=100, deterministic=False, tiling="100 px"))
    checkpoint(tmp_path).keep(ascent)
    back = checkpoint(tmp_path).load(7)
    assert back is not None
    assert (back.number, back.given, back.fit) == (7, 7, ascent.fit)
    for name in ("images", "first_loss", "last_loss", "generators"):
        assert torch.equal(getattr(back, name), getattr(ascent, name))
    assert checkpoint(tmp_path).load(6) is None


# Disks


def test_a_full_disk_does_not_stop_the_dream_and_leaves_no_half_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    made = in_octaves()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (20_000, before[1])
    )  # the kernel refuses to write more, as if it were full
    try:
        result = dreamed(made, checkpoint(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert_same(result, dreamed(made))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{tmp_path}: the dream goes on, but its state is not kept: File too large" in caplog.text
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_made_does_not_stop_the_dream(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    made = in_octaves()
    assert_same(dreamed(made, checkpoint(tmp_path / "file" / "state")), dreamed(made))


# A real end


IN_A_PROCESS = """
    import sys
    from pathlib import Path
    import torch
    from torch import nn
    from dreamd.engine.ascents.ascent import AscentSettings
    from dreamd.engine.network.backbone import Backbone
    from dreamd.engine.checkpoint import CheckpointFolder
    from dreamd.engine.dream import dream
    from dreamd.engine.dreamer import Dreamer
    from dreamd.engine.objectives.objective import Objective, Term
    from dreamd_plugins.l2 import l2

    def many(image, ascend):
        for _ in range(150):
            image = ascend(image)
            yield image

    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))
    dreamer = Dreamer(
        backbone=Backbone(network=network, layers={"0": "0"}, default_layer="0", min_side=4).frozen(),
        objective=Objective((Term("0", l2),)),
        settings=AscentSettings(iterations=2, lr=0.01, jitter=5),
        schedule=many,
    )
    seen = set()
    def report(progress):
        seen.add((progress.ascent, progress.iteration))
        print(progress.ascent, flush=True)
    checkpoint = CheckpointFolder(Path(sys.argv[1]), "key", after_seconds=0) if sys.argv[1] else None
    picture = torch.linspace(0, 1, 3 * 40 * 50).view(1, 3, 40, 50)
    end = dream(picture, dreamer, seeds=[9], on_progress=report, checkpoint=checkpoint)
    print("end", end.images.double().sum().item().hex(), len(seen))
"""


@pytest.mark.slow
def test_a_killed_process_is_gone_on_from_by_the_next(tmp_path: Path) -> None:
    first = started(tmp_path)
    assert first.stdout is not None
    for line in first.stdout:
        if int(line) >= 60:
            break
    first.kill()
    first.communicate()
    assert len(files(tmp_path)) >= 59
    _, whole_sum, whole_steps = ended(started(""))
    _, own_sum, own_steps = ended(started(tmp_path))
    assert own_sum == whole_sum
    assert int(whole_steps) == 300
    assert int(own_steps) <= 300 - 59


def started(folder: Path | str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(IN_A_PROCESS), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return output.splitlines()[-1].split()
