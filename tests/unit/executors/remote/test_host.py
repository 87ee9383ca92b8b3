"""The host of a seat: the files of its machine, and what it says without a worker."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamd.errors import DreamdError
from dreamd.executors.remote.cluster import Ended, Glimpse, Opening
from dreamd.executors.remote.home import MachineFiles, SeatHome
from dreamd.executors.remote.host import SeatHost
from dreamd.messages import Settings
from dreamd.tree.looking import is_looked_at


@pytest.fixture
def machine(tmp_path: Path) -> MachineFiles:
    return MachineFiles(tmp_path / "machine", tmp_path / "weights")


def opening(tmp_path: Path, protocol: str) -> Opening:
    settings = Settings(
        protocol=protocol, device="cpu", plugin_folders=(), disable=(), max_pixels=1, max_bytes=1, memory=None,
        previews=tmp_path / "near",
    )  # fmt: skip
    return Opening(settings=settings, plugins=b"", plugins_digest="none")


@pytest.fixture
def host(tmp_path: Path, machine: MachineFiles) -> Iterator[SeatHost]:
    """A host of another version than the daemon, so that it has no worker."""
    host = SeatHost(opening(tmp_path, "another"), device="cpu", sharers=1, machine=machine)
    yield host
    host._home.remove()


def test_another_dreamd_than_the_daemons_does_not_begin(host: SeatHost) -> None:
    (ended,) = host.poll(10.0, is_looked_at=False)
    assert isinstance(ended, Ended)
    assert "another dreamd than the daemon" in ended.reason
    assert ended.failure is None


def test_previews_are_made_while_somebody_looks_and_sent_once(host: SeatHost) -> None:
    host.poll(10.0, is_looked_at=False)
    assert not is_looked_at(host._home.previews)
    host.poll(0.0, is_looked_at=True)
    assert is_looked_at(host._home.previews)
    (host._home.previews / "1.jpg").write_bytes(b"a dream")
    assert host.poll(0.0, is_looked_at=True) == [Glimpse(name="1.jpg", data=b"a dream")]
    assert host.poll(0.0, is_looked_at=True) == []


def test_a_file_comes_in_pieces_and_is_kept_once_it_is_what_it_should_be(host: SeatHost, machine: MachineFiles) -> None:
    digest = hashlib.sha256(b"guide").hexdigest()
    name = f"{digest}.png"
    assert host.lacks([name]) == [name]
    host.write("guide", 0, b"gui")
    host.write("guide", 3, b"de")
    host.keep("guide", digest, ".png")
    assert host.lacks([name, f"{digest}.jpg"]) == [f"{digest}.jpg"]
    assert machine.named_file(name).read_bytes() == b"guide"


def test_a_file_that_no_recipe_has_named_for_long_is_removed_by_the_next_seat(
    host: SeatHost, machine: MachineFiles
) -> None:
    for name in ("used.png", "unused.png"):
        machine.named_file(name).write_bytes(b"guide")
        os.utime(machine.named_file(name), (0, 0))
    assert host.lacks(["used.png"]) == []
    SeatHome(machine).remove()
    assert [file.name for file in machine.named.iterdir()] == ["used.png"]


def test_a_file_that_was_changed_on_its_way_is_not_kept(host: SeatHost, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"net").hexdigest()
    host.write("net", 0, b"not")
    with pytest.raises(DreamdError, match="changed on its way"):
        host.keep_weights("net", "net.pth", digest)
    assert host.lacks_weights("net.pth")
    host.write("net", 0, b"net")
    host.keep_weights("net", "net.pth", digest)
    assert not host.lacks_weights("net.pth")
    assert (tmp_path / "weights" / "net.pth.sha256").read_text() == f"{digest}  net.pth\n"


def test_no_name_from_afar_leads_out_of_the_machines_folders(host: SeatHost, tmp_path: Path) -> None:
    with pytest.raises(DreamdError, match="cannot be the name"):
        host.lacks_weights("../../etc/passwd")
    host.write("../../evil", 0, b"evil")
    assert not (tmp_path / "evil").exists()


def test_what_a_killed_seat_left_is_removed_by_the_next(machine: MachineFiles) -> None:
    living, killed = SeatHome(machine), SeatHome(machine)
    os.close(killed._lock)  # as the end of its process does
    another = SeatHome(machine)
    assert living.path.is_dir()
    assert not killed.path.exists()
    for home in (living, another):
        home.remove()
