"""The hold on the inbox: an inbox that is away is waited for, and another folder is not taken for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dreamd.errors import ConfigError, DreamdError, FolderError
from dreamd.tree.attachment import Attachment, AwayError
from dreamd.tree.identity import check_is_known, own_identity
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.spool import Spool


class House:
    """A tree and its state folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = StateFolder(root / "state")
        self.state.path.mkdir()
        self.inbox = root / "inbox"
        self.inbox.mkdir()
        self.has_unfinished = False

    def attachment(self, inbox: str = "inbox", *, waits: bool = True, share: str | None = None) -> Attachment:
        folders = Folders(
            inbox=self.root / inbox, outbox=self.root / "out", failed=self.root / "failed", done=self.root / "done"
        )
        spool = Spool(folders, share=share)
        return Attachment(spool, self.state, has_unfinished=lambda: self.has_unfinished, waits=waits)

    def unmount(self) -> None:
        """Leave the empty mount point of the inbox's disk."""
        self.inbox.rename(self.root / "disk")
        self.inbox.mkdir()

    def mount(self) -> None:
        shutil.rmtree(self.inbox)
        (self.root / "disk").rename(self.inbox)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def used(house: House) -> House:
    """A tree that has been worked on, with claimed pictures in it."""
    with house.attachment():
        pass
    house.has_unfinished = True
    return house


def test_an_inbox_gets_a_mark_and_keeps_it(house):
    for _ in range(2):
        with house.attachment() as tree:
            assert tree.problem is None
            assert not tree.look()
    mark = (house.inbox / ".dreamd" / "inbox-id").read_text().strip()
    assert own_identity(house.state).mark == mark
    assert len(mark) == 24


def test_an_empty_mount_point_is_waited_for_and_nothing_is_made_in_it(used):
    used.unmount()
    with used.attachment() as tree:
        assert "is its disk mounted?" in tree.problem
        assert not tree.look()
        assert list(used.inbox.iterdir()) == []
        used.mount()
        assert tree.look()
        assert tree.problem is None
        assert not tree.look()


def test_a_folder_that_is_not_the_inbox_gets_nothing_from_others_either(used):
    used.unmount()
    with pytest.raises(FolderError, match="is its disk mounted"):
        check_is_known(used.inbox, used.state)
    used.mount()
    check_is_known(used.inbox, used.state)


def test_who_does_not_wait_is_told_that_the_inbox_is_away(used):
    used.unmount()
    with pytest.raises(AwayError, match="is its disk mounted"), used.attachment(waits=False):
        pass


def test_a_start_without_the_path_of_a_known_inbox_waits_for_it(used):
    used.inbox.rename(used.root / "away")
    with used.attachment() as tree:
        assert tree.problem is not None
        assert not tree.look()
        (used.root / "away").rename(used.inbox)
        assert tree.look()
        assert tree.problem is None


def test_who_does_not_wait_is_told_that_the_path_of_a_known_inbox_is_missing(used):
    used.inbox.rename(used.root / "away")
    with pytest.raises(AwayError), used.attachment(waits=False):
        pass


def test_a_first_start_without_an_inbox_is_an_error(house):
    house.inbox.rmdir()
    with pytest.raises(ConfigError, match="make it, or mount its disk"), house.attachment():
        pass


def test_an_inbox_that_goes_away_at_work_is_waited_for_with_its_lock_kept(used):
    with used.attachment() as tree:
        used.inbox.rename(used.root / "away")
        assert not tree.look()
        assert tree.problem is not None
        (used.root / "away").rename(used.inbox)
        assert tree.look()
        with pytest.raises(DreamdError, match="another dreamd"), used.attachment():
            pass


def test_pictures_in_an_empty_mount_point_do_not_make_it_the_inbox_while_claimed_ones_are_missing(used):
    used.unmount()
    (used.inbox / "cat.jpg").touch()
    with used.attachment() as tree:
        assert tree.problem is not None
        assert not tree.look()


def test_an_inbox_that_is_replaced_when_nothing_is_claimed_is_worked_on_and_locked(used):
    used.has_unfinished = False
    with used.attachment() as tree:
        used.unmount()
        assert not tree.look(), "an empty folder has nothing to do, and may be a mount point"
        (used.inbox / "cat.jpg").touch()
        assert tree.look()
        with pytest.raises(DreamdError, match="another dreamd"), used.attachment():
            pass


def test_a_mark_that_somebody_removed_from_the_same_folder_is_given_anew(used):
    with used.attachment() as tree:
        shutil.rmtree(used.inbox / ".dreamd")
        assert tree.look()
        check_is_known(used.inbox, used.state)


def test_a_state_folder_refuses_another_tree(used):
    (used.root / "other").mkdir()
    used.has_unfinished = False
    with pytest.raises(ConfigError, match="a state folder of its own") as caught, used.attachment("other"):
        pass
    assert str(used.inbox) in str(caught.value)
    assert list((used.root / "other").iterdir()) == []


def test_a_tree_that_was_moved_is_still_known(used):
    used.inbox.rename(used.root / "moved")
    with used.attachment("moved") as tree:
        assert tree.problem is None
    assert own_identity(used.state).inbox == str(used.root / "moved")


def test_an_inbox_of_a_version_without_marks_is_known_by_its_work_folder(house):
    house.has_unfinished = True
    with house.attachment() as tree:
        assert tree.problem is not None, "it was never worked on, and something is claimed"
    (house.inbox / ".dreamd" / "work").mkdir(parents=True)
    with house.attachment() as tree:
        assert tree.problem is None


def test_a_state_folder_that_cannot_be_read_is_like_a_new_one(used):
    used.state.identity.write_text("{")
    with used.attachment() as tree:
        assert tree.problem is None


def test_daemons_that_share_know_one_inbox_by_one_mark(house):
    with house.attachment():
        pass
    other = StateFolder(house.root / "other-state")
    other.path.mkdir()
    spool = Spool(Folders(inbox=house.inbox, outbox=house.root / "out", failed=house.root / "failed", done=None))
    with Attachment(spool, other, has_unfinished=lambda: True):
        assert own_identity(other).mark == own_identity(house.state).mark
        assert own_identity(other).daemon != own_identity(house.state).daemon


def test_a_daemon_that_shares_takes_a_replaced_lock_anew_though_its_own_file_stays(used):
    with used.attachment(share="a") as tree:
        (used.inbox / ".dreamd" / "lock").unlink()
        assert tree.look()
        assert tree.problem is None
        assert not tree.look()
