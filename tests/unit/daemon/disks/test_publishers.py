"""Results on their way to the outbox: by threads where they come singly, by a process where they come in crowds."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import pytest

from dreamd.daemon.disks import publisher_process, publishers
from dreamd.daemon.disks.publishers import Publishers
from dreamd.daemon.events import Event
from dreamd.daemon.jobs.publishing import Publication, Published, PublishedTogether, publish_result
from dreamd.errors import SpaceError
from dreamd.job import Job, JobState
from dreamd.messages import Done, Sidecar
from dreamd.tree.layout import Folders
from dreamd.tree.lock import is_locked, lock
from dreamd.tree.publisher.lines import outcome_line, read_outcomes
from dreamd.tree.spool import Spool
from dreamd.tree.steps.together import Placed, Wanted

NAMES = ("a.png", "b\udcff.png", "c.png")


class Desk:
    """A spool with claimed pictures whose results are there, and the events that are told."""

    def __init__(self, root: Path) -> None:
        self.folders = Folders(inbox=root / "inbox", outbox=root / "outbox", failed=root / "failed", done=root / "done")
        self.folders.inbox.mkdir()
        for name in NAMES:
            (self.folders.inbox / name).write_bytes(b"original")
        self.spool = Spool(self.folders)
        self.spool.prepare()
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def publications(self, *, is_first: bool = True) -> list[Publication]:
        taken = self.spool.claim_all([PurePosixPath(name) for name in NAMES])
        return [self._publication(path, job, is_first=is_first) for path, job in taken.jobs.items()]

    def _publication(self, path: PurePosixPath, job_id: str, *, is_first: bool) -> Publication:
        job = Job(id=job_id, folder=path.parent, name=path.name, state=JobState.RUNNING, attempts=1)
        (self.spool.temporary(job) / "result.png").write_bytes(b"dream")
        sidecar = Sidecar(
            job=job_id, picture="a", input_sha256="", recipe={}, versions={}, weights_sha256=None, device="none",
            precision="fp32", seed=0, size=(8, 8), tiling=None, seconds=0.5, loss_before=0.0, loss_after=None,
        )  # fmt: skip
        message = Done(job=job_id, file="result.png", sidecar=sidecar)
        return Publication(
            self.spool, job, message, partial(publish_result, self.spool, job, message), is_first=is_first
        )

    def publish(self, *, is_first: bool = True) -> list[Publication]:
        """Have all results published, and wait until they are."""
        made = self.publications(is_first=is_first)
        with Publishers(self.spool, self.events.put) as doing:
            for one in made:
                doing.publish(one)
        return made

    def told(self) -> Iterator[Published]:
        for _ in iter(self.events.empty, True):
            event = self.events.get()
            yield from event.outcomes if isinstance(event, PublishedTogether) else [event]  # type: ignore[list-item]

    def assert_all_are_out_once(self) -> None:
        outcomes = list(self.told())
        assert [outcome.problem for outcome in outcomes] == [None] * len(NAMES)
        assert {outcome.job.seconds for outcome in outcomes} == {0.5}
        assert {str(outcome.result) for outcome in outcomes} == set(NAMES)
        out = sorted(path.name for path in self.folders.outbox.iterdir() if path.name != ".dreamd")
        assert out == sorted(f"{name}{end}" for name in NAMES for end in ("", ".json"))
        assert sorted(path.name for path in self.folders.done.iterdir()) == sorted(NAMES)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def _everything_is_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishers, "CROWD", 0)


def run_instead_of_the_publisher(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    real = publisher_process.command
    monkeypatch.setattr(publisher_process, "command", lambda parent: [*real(parent)[:1], "-c", program])


def test_a_few_results_are_published_by_threads(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_process, "command", lambda parent: pytest.fail(f"a process for {parent}"))
    desk.publish()
    desk.assert_all_are_out_once()


@pytest.mark.usefixtures("_everything_is_a_crowd")
def test_a_crowd_is_published_by_a_process_with_the_same_sidecars(desk: Desk) -> None:
    made = desk.publish()
    desk.assert_all_are_out_once()
    assert (desk.folders.outbox / "a.png.json").read_text() == made[0].message.sidecar.text()


@pytest.mark.usefixtures("_everything_is_a_crowd")
def test_what_may_have_a_result_already_is_published_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_process, "command", lambda parent: pytest.fail(f"a process for {parent}"))
    desk.publish(is_first=False)
    desk.assert_all_are_out_once()


@pytest.mark.usefixtures("_everything_is_a_crowd")
@pytest.mark.parametrize("program", ["raise SystemExit", "import sys; sys.stdin.readline(); print('no answer')"])
def test_a_process_that_dies_over_results_has_them_published_one_by_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    run_instead_of_the_publisher(monkeypatch, program)
    desk.publish()
    desk.assert_all_are_out_once()


@pytest.mark.usefixtures("_everything_is_a_crowd")
def test_results_that_were_out_when_the_process_was_killed_are_not_published_twice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import os, signal, sys\n"
        "from dreamd.tree.publisher import lines\n"
        "spool = lines.read_spool(sys.stdin.buffer.readline())\n"
        "spool.publish_together(lines.read_lot(sys.stdin.buffer.readline()))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run_instead_of_the_publisher(monkeypatch, program)
    desk.publish()
    desk.assert_all_are_out_once()


@pytest.mark.usefixtures("_everything_is_a_crowd")
def test_the_daemons_lock_is_kept_until_its_publisher_has_ended(desk: Desk, tmp_path: Path) -> None:
    held = lock(tmp_path / "lock", taken="taken")
    with Publishers(desk.spool, desk.events.put, locks=held.descriptors) as doing:
        doing.publish(desk.publications()[0])
        desk.events.get(timeout=30)
        process = doing._crowd._popen
        assert process is not None
        os.kill(process.pid, signal.SIGTERM)  # systemd stops a daemon with all its processes, and results go out first
        held.close()
        assert is_locked(tmp_path / "lock")
    assert process.returncode == 0
    assert not is_locked(tmp_path / "lock")


def test_what_went_wrong_comes_back_with_its_kind(desk: Desk) -> None:
    wanted = Wanted(job=Job(id="a", folder=PurePosixPath(), name="a"), stem="a", file="a", sidecar=b"", draft="d/1")
    told = [
        Placed(wanted=wanted, name=PurePosixPath("b\udcff/a.png"), is_out=True, is_left=True),
        Placed(wanted=wanted, problem=SpaceError("it is full")),
    ]
    first, second = read_outcomes(outcome_line(told))
    assert first == ("b\udcff/a.png", True, True, None)
    assert (second.name, second.is_out) == (None, False)
    assert isinstance(second.problem, SpaceError)
    assert str(second.problem) == "it is full"
