"""What goes along with a picture: its bytes, and what its recipe names."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest

from dreamd.executors.remote import near_files
from dreamd.executors.remote.near_files import NamedFiles, opened_source, pieces_of
from dreamd.messages import Order


def test_a_recipe_s_files_are_found_in_the_folders_that_may_be_read(tmp_path: Path) -> None:
    readable = tmp_path / "recipes"
    readable.mkdir()
    (readable / "guide.png").write_bytes(b"guide")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (readable / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "mine.pth").write_bytes(b"weights")
    recipe = {
        "losses": [
            {"name": "guide", "picture": str(readable / "guide.png")},
            {"picture": str(tmp_path / "secret.png")},
        ],
        "link": str(readable / "link.png"),
        "backbone": {"name": "vgg19", "weights": str(tmp_path / "mine.pth")},
        "words": "/no/such/file",
    }
    found = NamedFiles().of(json.dumps(recipe), [readable])
    assert {(Path(each.path).name, each.suffix) for each in found} == {("guide.png", ".png"), ("mine.pth", ".pth")}
    assert found[0].digest == hashlib.sha256(b"guide").hexdigest()


def test_a_changed_file_has_another_digest(tmp_path: Path) -> None:
    named = NamedFiles()
    file = tmp_path / "guide.png"
    file.write_bytes(b"one")
    recipe = json.dumps({"picture": str(file)})
    (first,) = named.of(recipe, [tmp_path])
    file.write_bytes(b"other")
    assert named.of(recipe, [tmp_path])[0].digest != first.digest


def test_a_picture_s_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "cat.png").write_bytes(b"cat")
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "f").symlink_to(tmp_path / "outside")
    source = tmp_path / "inbox" / "f" / "cat.png"
    order = Order(job="1", source=source, root=tmp_path / "inbox", folder=tmp_path)
    with pytest.raises(OSError), opened_source(order):
        pass


@pytest.mark.parametrize(("length", "expected"), [(0, [0]), (3, [3]), (4, [4]), (5, [4, 1]), (8, [4, 4])])
def test_a_file_goes_in_pieces_without_a_gap(length: int, expected: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_files, "PIECE_BYTES", 4)
    pieces = list(pieces_of(io.BytesIO(b"x" * length)))
    assert [len(piece) for _, piece in pieces] == expected
    assert [offset for offset, _ in pieces] == [sum(expected[:number]) for number in range(len(expected))]
