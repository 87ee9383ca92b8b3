"""The loop: an inbox that goes away while what is in work is taken up, and snapshots."""

from __future__ import annotations

import queue
from dataclasses import fields
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from dreamd.daemon.loop import Loop, Parts
from dreamd.errors import FolderError
from dreamd.tree.attachment import Attachment
from dreamd.tree.layout import Folders, StateFolder
from dreamd.tree.spool import Spool


class House:
    """An inbox, and a loop whose other parts do nothing."""

    def __init__(self, root: Path) -> None:
        state = StateFolder(root / "state")
        state.path.mkdir()
        (root / "inbox").mkdir()
        folders = Folders(inbox=root / "inbox", outbox=root / "out", failed=root / "failed", done=root / "done")
        self.spool = Spool(folders)
        self.tree = Attachment(self.spool, state, has_unfinished=lambda: False)
        self.life = MagicMock(waiting=0, running={}, ends=MagicMock(moving={}))
        self.recovery = MagicMock()
        others = [each.name for each in fields(Parts) if each.name not in ("life", "tree", "recovery")]
        mocks = {name: MagicMock() for name in others}
        self.events, self.report = mocks["events"], mocks["report"]
        self.loop = Loop(Parts(life=self.life, tree=self.tree, recovery=self.recovery, **mocks))

    def look(self, now: float) -> None:
        self.loop._look_for_inbox(now)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_an_inbox_that_goes_away_while_its_work_is_taken_up_is_waited_for_and_recovered_again(house):
    with house.tree:
        house.recovery.recover.side_effect = FolderError("cannot read the work folder")
        assert not house.loop.recover()
        assert house.tree.problem == "cannot read the work folder"
        house.look(1e6)
        assert house.tree.problem == "cannot read the work folder"
        house.life.look_at_all.assert_not_called()
        house.recovery.take_over.assert_not_called()
        house.recovery.recover.side_effect = None
        house.look(2e6)
        assert house.tree.problem is None
        assert house.recovery.recover.call_count == 3
        house.life.look_at_all.assert_called_once()


def test_an_inbox_that_is_let_go_is_free_for_another_daemon(house):
    with house.tree:
        house.tree.let_go(FolderError("away"))
        house.spool.lock().close()


def test_what_is_being_moved_is_not_taken_up_a_second_time(house):
    house.life.ends.moving = {"job": "a job"}
    with house.tree:
        assert house.loop.recover()
    house.recovery.recover.assert_not_called()


def test_a_turn_that_writes_a_snapshot_does_nothing_else(house):
    house.report.write_if_due.return_value = True
    house.loop._turn()
    house.events.get.assert_not_called()
    house.report.look.assert_not_called()
    house.report.write_if_due.return_value = False
    house.events.get.side_effect = queue.Empty
    for part in ("roster", "life", "service", "report", "ledger", "fetches"):
        getattr(house.loop._parts, part).next_deadline.return_value = None
    stopping = house.loop._parts.stopping
    stopping.by, stopping.is_wanted = None, True
    house.loop._turn()
    house.report.look.assert_called_once_with("draining")
