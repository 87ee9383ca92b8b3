"""Many results as one ZIP."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from dreamd.job import Job, JobState
from dreamd.page.gallery.zipping import zipped


def published(outbox: Path, id_: str, result: str, data: bytes, finished_at: float = 1.7e9) -> Job:
    target = outbox / result
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    target.with_name(f"{target.name}.json").write_text(json.dumps({"job": id_}))
    path = PurePosixPath(result)
    return Job(id=id_, folder=path.parent, name=path.name, state=JobState.DONE, result=result, finished_at=finished_at)


def unpacked(jobs: list[Job], outbox: Path) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(zipped(jobs, outbox))))
    assert archive.testzip() is None
    assert {entry.compress_type for entry in archive.infolist()} <= {zipfile.ZIP_STORED}
    return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def test_pictures_come_out_of_it_in_their_folders_as_they_were(tmp_path: Path) -> None:
    jobs = [published(tmp_path, str(n), f"sea/day {n}/ünï.png", bytes([n]) * 300_000) for n in range(3)]
    assert unpacked(jobs, tmp_path) == {f"sea/day {n}/ünï.png": bytes([n]) * 300_000 for n in range(3)}


def test_no_two_have_one_name_wherever_they_are_unpacked(tmp_path: Path) -> None:
    names = (
        "sea/cat.png",
        "sea/CAT.png",
        "Sea/cat.png",
        "sea/a:b.png",
        "sea/a?b.png",
        "u\u0308.png",
        "ü.png",
        "\udcff.png",
    )
    jobs = [published(tmp_path, str(number), name, b"x") for number, name in enumerate(names)]
    found = list(unpacked(jobs, tmp_path))
    assert found[:5] == ["sea/cat.png", "sea/CAT-2.png", "Sea/cat-3.png", "sea/a_b.png", "sea/a_b-2.png"]
    assert len({name.casefold() for name in found}) == len(names)


def test_what_was_taken_away_or_is_somebody_elses_is_left_out(tmp_path: Path) -> None:
    jobs = [published(tmp_path, str(n), f"{n}.png", b"x") for n in range(4)]
    (tmp_path / "1.png").unlink()
    published(tmp_path, "other", "2.png", b"secret")
    (tmp_path / "3.png").unlink()
    (tmp_path / "3.png").symlink_to("/etc/hostname")
    assert unpacked(jobs, tmp_path) == {"0.png": b"x"}
    assert unpacked([], tmp_path) == {}


@pytest.mark.parametrize("moment", [0.0, 1.7e9])
def test_a_picture_of_any_time_can_be_packed(tmp_path: Path, moment: float) -> None:
    assert unpacked([published(tmp_path, "1", "a.png", b"x", moment)], tmp_path) == {"a.png": b"x"}


def test_a_large_picture_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    job = published(tmp_path, "1", "large.png", bytes(64 << 20))
    tracemalloc.start()
    total = sum(map(len, zipped([job], tmp_path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total > 64 << 20
    assert peak < 4 << 20
