"""Files below a folder: what cannot lead out of it, and what is never replaced."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from dreamd.errors import UsageError
from dreamd.files.durable import copy_new, draft_of, only_draft_of, rename_new, replace, write_new
from dreamd.files.names import free_names, parts_of, split_name
from dreamd.files.nofollow import Entry, folders_below, opened_file, opened_folder


@pytest.mark.parametrize(
    "path", ["..", "a/..", "/a", "a//b", "a/", ".hidden", "a/.b", "a\0b", "x" * 256, "a/" * 40 + "a"]
)
def test_a_path_that_leads_elsewhere_is_none(path: str) -> None:
    with pytest.raises(UsageError):
        parts_of(path)


def test_paths_are_names_below_the_folder() -> None:
    assert (parts_of("."), parts_of(""), parts_of("a/b c/ü")) == ((), (), ("a", "b c", "ü"))


def test_a_symlink_is_followed_nowhere_on_the_way(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "out")
    (root / "a" / "file").symlink_to(tmp_path / "out" / "secret")
    for path in ("link/secret", "a/file"):
        with pytest.raises(OSError, match=r"symbolic|Not a directory"):
            opened_file(root, PurePosixPath(path))
    with pytest.raises(OSError, match="Not a directory"), opened_folder(root, ("link", "new"), make=True):
        pass
    assert not (tmp_path / "out" / "new").exists()


def test_what_is_no_file_is_not_read_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match="is no regular file"):
            opened_file(tmp_path, PurePosixPath(name))


def test_folders_are_listed_in_order_and_so_many(tmp_path: Path) -> None:
    for name in ("b", "a/deep", ".hidden/x", "a-b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert folders_below(tmp_path, 100) == [".", "a", "a/deep", "a-b", "b"]
    assert folders_below(tmp_path, 4) == [".", "a", "a-b", "b"]
    assert folders_below(tmp_path / "missing", 4) == ["."]


def test_a_file_is_moved_over_no_other(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    (tmp_path / "old").write_text("old")
    with opened_folder(tmp_path, ()) as folder:
        with pytest.raises(FileExistsError):
            rename_new(Entry(folder, "new"), Entry(folder, "old"))
        assert (tmp_path / "old").read_text() == "old"
        rename_new(Entry(folder, "new"), Entry(folder, "free"))
    assert (tmp_path / "free").read_text() == "new"


def test_a_file_is_written_over_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with opened_folder(tmp_path, ()) as folder:
        with pytest.raises(OSError, match="directory"):
            replace(Entry(folder, "target"), b"data")
        assert [file.name for file in tmp_path.iterdir()] == ["target"]
        replace(Entry(folder, "file"), b"one")
        replace(Entry(folder, "file"), b"two")
    assert (tmp_path / "file").read_bytes() == b"two"


def test_a_device_is_never_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "device")
    (tmp_path / "file").write_bytes(b"data")
    with opened_folder(tmp_path) as folder:
        with pytest.raises(FileExistsError):
            write_new(Entry(folder, "device"), b"data")
        with pytest.raises(FileExistsError):
            copy_new(Entry(folder, "file"), Entry(folder, "device"))
    assert (tmp_path / "device").is_fifo()


def test_a_draft_takes_the_place_of_its_target_when_it_is_whole_and_leaves_nothing_when_it_is_not(
    tmp_path: Path,
) -> None:
    for durable in (True, False):
        target = tmp_path / "file"
        target.write_bytes(b"old")
        with pytest.raises(TypeError), draft_of(target, durable=durable) as draft, draft.open("wb") as file:
            file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
        assert target.read_bytes() == b"old"
        with draft_of(target, durable=durable) as draft:
            draft.write_bytes(b"new")
            assert target.read_bytes() == b"old"
        assert target.read_bytes() == b"new"
        assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(("taken", "free"), [(0, 1), (1, 2), (17, 18), (1000, 1001), (50_000, 50_001)])
def test_a_free_number_follows_a_taken_one_and_is_found_in_few_looks(taken: int, free: int) -> None:
    looks: list[str] = []

    def is_taken(name: str) -> bool:
        looks.append(name)
        number = 1 if name == "cat.jpg" else int(name.removeprefix("cat-").removesuffix(".jpg"))
        return number <= taken

    assert next(free_names("cat", ".jpg", is_taken)) == ("cat.jpg" if free == 1 else f"cat-{free}.jpg")
    assert len(looks) <= 50


def test_a_name_that_somebody_else_took_meanwhile_is_not_tried_again() -> None:
    names = free_names("cat", ".jpg", lambda name: name == "cat.jpg")
    assert [next(names), next(names), next(names)] == ["cat-2.jpg", "cat-3.jpg", "cat-4.jpg"]


def test_the_draft_that_a_kill_leaves_is_where_one_looks_for_it(tmp_path: Path) -> None:
    target = tmp_path / "job.jpg"
    with draft_of(target, durable=False) as draft:
        assert draft == only_draft_of(target)
        assert draft.suffix != ".jpg", "nobody takes it for a picture"
        draft.touch()


@pytest.mark.parametrize(
    ("name", "numbered"),
    [("cat.jpg", "cat-2.jpg"), ("cat.dream.yaml", "cat-2.dream.yaml"), ("Cat.DREAM.yml", "Cat-2.DREAM.yml")],
)
def test_a_numbered_name_says_what_the_file_is_still(name: str, numbered: str) -> None:
    assert next(free_names(*split_name(name), lambda tried: tried == name)) == numbered
