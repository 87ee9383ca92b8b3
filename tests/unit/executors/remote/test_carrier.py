"""A carrier over a host that does what the test says, and a bridge over a cluster of such hosts."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dreamd.errors import DreamdError
from dreamd.executors.remote import bridge as bridge_module
from dreamd.executors.remote.bridge import Bridge
from dreamd.executors.remote.carrier import Carrier, Shared
from dreamd.executors.remote.cluster import (
    ClusterError,
    Ended,
    FarBatch,
    FarNews,
    Glimpse,
    HostLostError,
    Opening,
    Place,
    Saying,
    Standing,
)
from dreamd.executors.remote.words import (
    Drop,
    Give,
    Heard,
    Renew,
    SeatGone,
    SeatOpened,
    SeatSaid,
    Trouble,
    Want,
    read_heard,
)
from dreamd.messages import Batch, Done, MissingWeights, NotDone, Order, Settings, Sidecar, Yielded

SIDECAR = Sidecar(
    job="1", picture="cat.png", input_sha256="", recipe={}, versions={}, weights_sha256=None, device="cpu",
    precision="fp32", seed=0, size=(1, 1), tiling=None, seconds=0.0, loss_before=None, loss_after=None,
)  # fmt: skip
PLACE = Place(seat="a/0", node="a", device="cpu")
WAIT = 10.0


class Played:
    """A host whose news the test plays, and which remembers what it was told."""

    def __init__(self) -> None:
        self.news: queue.SimpleQueue[FarNews | DreamdError] = queue.SimpleQueue()
        self.batches: queue.SimpleQueue[FarBatch] = queue.SimpleQueue()
        self.told: list[tuple[str, Any]] = []
        self.weights: set[str] = set()
        self.refusal: DreamdError | None = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *values: self.told.append((name, values))

    def lacks(self, names: Sequence[str]) -> list[str]:
        return list(names)

    def lacks_weights(self, name: str) -> bool:
        return name not in self.weights

    def keep_weights(self, name: str, cache_name: str, digest: str) -> None:
        self.weights.add(cache_name)

    def order(self, batch: FarBatch) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.batches.put(batch)

    def poll(self, seconds: float, *, is_looked_at: bool) -> list[FarNews]:
        try:
            news = self.news.get(timeout=0.01)
        except queue.Empty:
            return []
        if isinstance(news, DreamdError):
            raise news
        return [news]

    def say(self, message: Any, **files: bytes) -> None:
        self.news.put(Saying(line=message.line(), files={name.replace("_", "."): data for name, data in files.items()}))


@pytest.fixture
def host() -> Iterator[Played]:
    host = Played()
    yield host
    host.news.put(HostLostError("the test is over"))


@pytest.fixture
def heard() -> queue.SimpleQueue[Heard]:
    return queue.SimpleQueue()


@pytest.fixture
def carrier(host: Played, heard: queue.SimpleQueue[Heard]) -> Carrier:
    def take_end(_: Carrier, gone: SeatGone | None) -> None:
        assert gone is not None
        heard.put(gone)

    carrier = Carrier(PLACE, host, Shared(say=heard.put), take_end)
    assert isinstance(heard.get(timeout=WAIT), SeatOpened)
    return carrier


def order(tmp_path: Path, job: str = "1") -> Order:
    source = tmp_path / "cat.png"
    source.write_bytes(b"cat")
    folder = tmp_path / f"draft-{job}"
    folder.mkdir()
    return Order(job=job, source=source, folder=folder, checkpoint=tmp_path / f"checkpoint-{job}")


def batch(*orders: Order) -> Batch:
    return Batch(recipe="{}", orders=orders)


def test_a_result_is_in_its_folder_before_it_is_told(
    carrier: Carrier, host: Played, heard: queue.SimpleQueue[Heard], tmp_path: Path
) -> None:
    carrier.give(batch(order(tmp_path)))
    (sent,) = host.batches.get(timeout=WAIT).orders
    assert (sent.data, sent.name, sent.checkpoint) == (b"cat", "cat.png", {})
    host.say(Done(job="1", file="cat.png", sidecar=SIDECAR), cat_png=b"dream")
    told = heard.get(timeout=WAIT)
    assert isinstance(told, SeatSaid)
    assert isinstance(told.said, Done)
    assert (tmp_path / "draft-1" / "cat.png").read_bytes() == b"dream"


def test_a_result_cannot_lead_out_of_its_folder(
    carrier: Carrier, host: Played, heard: queue.SimpleQueue[Heard], tmp_path: Path
) -> None:
    carrier.give(batch(order(tmp_path)))
    done = Done(job="1", file="../evil.png", sidecar=SIDECAR)
    host.news.put(Saying(line=done.line(), files={"../evil.png": b"evil"}))
    gone = heard.get(timeout=WAIT)
    assert isinstance(gone, SeatGone)
    assert not (tmp_path / "evil.png").exists()


def test_a_lost_machine_is_no_picture_s_fault(carrier: Carrier, host: Played, heard: queue.SimpleQueue[Heard]) -> None:
    host.news.put(HostLostError("a does not answer"))
    gone = heard.get(timeout=WAIT)
    assert isinstance(gone, SeatGone)
    assert (gone.fault, gone.failure) == ("node", None)


def test_a_dead_worker_is_told_with_what_its_end_says_of_its_pictures(
    carrier: Carrier, host: Played, heard: queue.SimpleQueue[Heard]
) -> None:
    host.news.put(Ended(reason="the worker was killed by SIGSEGV", failure="crash"))
    gone = heard.get(timeout=WAIT)
    assert isinstance(gone, SeatGone)
    assert (gone.fault, gone.failure) == ("worker", "crash")


def test_a_machine_that_cannot_take_a_picture_answers_for_it(
    carrier: Carrier, host: Played, heard: queue.SimpleQueue[Heard], tmp_path: Path
) -> None:
    host.refusal = ClusterError("a: No space left on device")
    carrier.give(batch(order(tmp_path)))
    told = heard.get(timeout=WAIT)
    assert isinstance(told, SeatSaid)
    assert isinstance(told.said, NotDone)
    assert "No space left" in told.said.reason


def test_weights_beside_the_daemon_go_to_the_machine_and_the_picture_is_dreamed_then(
    carrier: Carrier,
    host: Played,
    heard: queue.SimpleQueue[Heard],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DREAMD_WEIGHTS", str(tmp_path / "weights"))
    missing = MissingWeights(backbone="net", url="https://example.org/net.pth", sha256="", filename="", size=0)
    answer = NotDone(job="1", hold="weights", final=False, reason="not here", weights=missing)
    carrier.give(batch(order(tmp_path)))
    host.batches.get(timeout=WAIT)
    host.say(answer)
    told = heard.get(timeout=WAIT)
    assert isinstance(told, SeatSaid)  # they are not beside the daemon either, which may fetch them
    assert told.said == answer
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "net.pth").write_bytes(b"net")
    carrier.give(batch(order(tmp_path, "2")))
    host.batches.get(timeout=WAIT)
    host.say(answer.model_copy(update={"job": "2"}))
    assert host.batches.get(timeout=WAIT).orders[0].job == "2"
    assert host.weights == {"net.pth"}
    assert heard.empty()
    host.say(answer.model_copy(update={"job": "2"}))
    assert isinstance(heard.get(timeout=WAIT), SeatSaid)  # it does not go round in a circle


def test_what_a_film_has_come_to_lies_beside_the_daemon_when_its_turn_is_over(
    carrier: Carrier, host: Played, heard: queue.SimpleQueue[Heard], tmp_path: Path
) -> None:
    film = order(tmp_path)
    carrier.give(batch(film))
    host.batches.get(timeout=WAIT)
    host.news.put(Standing(job="1", names=("standing.json",), changed={"standing.json": b"7"}))
    host.say(Yielded(job="1"))
    assert isinstance(heard.get(timeout=WAIT), SeatSaid)
    assert film.checkpoint is not None
    assert (film.checkpoint / "standing.json").read_bytes() == b"7"
    carrier.give(batch(film))
    (sent,) = host.batches.get(timeout=WAIT).orders
    assert sent.is_kept  # it goes on where it was, and nothing of it is sent again
    assert sent.data is None


def test_a_preview_of_a_dream_that_goes_on_is_shown_and_no_other(host: Played, tmp_path: Path) -> None:
    heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
    previews = tmp_path / "preview"
    previews.mkdir()
    shared = Shared(say=heard.put, previews=previews)
    carrier = Carrier(PLACE, host, shared, lambda _, gone: None)
    heard.get(timeout=WAIT)
    carrier.give(batch(order(tmp_path)))
    host.news.put(Glimpse(name="over.jpg", data=b"old"))
    host.news.put(Glimpse(name="1.jpg", data=b"new"))
    host.say(Done(job="1", file="cat.png", sidecar=SIDECAR), cat_png=b"dream")
    heard.get(timeout=WAIT)
    assert {file.name: file.read_bytes() for file in previews.iterdir()} == {"1.jpg": b"new"}


# The bridge


class Scripted:
    """A cluster with the places that the test says."""

    missing = "there is no machine"

    def __init__(self, *seats: str) -> None:
        self.seats = list(seats)
        self.error: ClusterError | None = None
        self.hosts: dict[str, Played] = {}
        self.asked: list[int] = []
        self.openings: list[Opening] = []

    def connect(self) -> None:
        if self.error is not None:
            raise self.error

    def places(self) -> list[Place]:
        return [Place(seat=seat, node=seat, device="cpu") for seat in self.seats]

    def ask_for(self, seats: int) -> None:
        self.asked.append(seats)

    def open(self, place: Place, opening: Opening) -> Played:
        self.openings.append(opening)
        self.hosts[place.seat] = Played()
        return self.hosts[place.seat]

    def close(self, host: Played) -> None:
        host.news.put(HostLostError("it was closed"))


class Daemon:
    """The daemon's side of a bridge in threads of this process."""

    def __init__(self, cluster: Scripted) -> None:
        (commands, self._in), (answers, output) = os.pipe(), os.pipe()
        self._commands, self._output = os.fdopen(commands, "rb"), os.fdopen(output, "wb")
        self._answers = os.fdopen(answers, "rb")
        self._thread = threading.Thread(target=Bridge(cluster, self._output).run, args=[self._commands])
        self._thread.start()

    def tell(self, *told: Any) -> None:
        for each in told:
            os.write(self._in, each.line())

    def hear(self) -> Heard:
        return read_heard(self._answers.readline())

    def close(self) -> None:
        os.close(self._in)
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        for thread in threading.enumerate():
            if thread.name.startswith("_listen"):
                thread.join(WAIT)
        for file in (self._commands, self._output, self._answers):
            file.close()


RENEW = Renew(
    settings=Settings(device="auto:0", plugin_folders=(), disable=(), max_pixels=1, max_bytes=1, memory=None),
    readable=(),
)


@pytest.fixture
def daemon_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Scripted], Daemon]]:
    monkeypatch.setattr(bridge_module, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(bridge_module, "_CONNECT_SECONDS", 0.02)
    made: list[Daemon] = []

    def make(cluster: Scripted) -> Daemon:
        made.append(Daemon(cluster))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()


def test_seats_are_opened_where_there_are_places_as_many_as_are_worth_it(
    daemon_of: Callable[[Scripted], Daemon],
) -> None:
    cluster = Scripted("a", "b", "c", "d")
    daemon = daemon_of(cluster)
    daemon.tell(RENEW, Want(jobs=2, barred=("b",)))
    opened = [daemon.hear() for _ in range(3)]
    assert {each.seat for each in opened if isinstance(each, SeatOpened)} == {"a", "c", "d"}
    assert 3 in cluster.asked
    assert len({id(opening) for opening in cluster.openings}) == 1  # it goes to each machine once


def test_a_cluster_that_is_not_there_is_told_of_once_and_looked_for_again(
    daemon_of: Callable[[Scripted], Daemon],
) -> None:
    cluster = Scripted("a")
    cluster.error = ClusterError("no cluster at a:1")
    daemon = daemon_of(cluster)
    daemon.tell(RENEW, Want(jobs=1))
    assert daemon.hear() == Trouble(text="no cluster at a:1")
    cluster.error = None
    assert {type(daemon.hear()), type(daemon.hear())} == {Trouble, SeatOpened}


def test_a_cluster_without_machines_is_trouble(daemon_of: Callable[[Scripted], Daemon]) -> None:
    daemon = daemon_of(Scripted())
    daemon.tell(RENEW, Want(jobs=1))
    assert daemon.hear() == Trouble(text="there is no machine")


def test_a_lost_machine_s_seat_is_opened_again_when_it_is_back_and_a_worker_s_when_the_daemon_says_so(
    daemon_of: Callable[[Scripted], Daemon],
) -> None:
    cluster = Scripted("a")
    daemon = daemon_of(cluster)
    daemon.tell(RENEW, Want(jobs=1))
    assert isinstance(daemon.hear(), SeatOpened)
    cluster.hosts["a"].news.put(HostLostError("a is gone"))
    assert isinstance(daemon.hear(), SeatGone)
    assert isinstance(daemon.hear(), SeatOpened)
    cluster.hosts["a"].news.put(Ended(reason="the worker ended", failure="worker"))
    assert isinstance(daemon.hear(), SeatGone)
    opened = len(cluster.openings)
    daemon.tell(Want(jobs=1))
    assert isinstance(daemon.hear(), SeatOpened)
    assert len(cluster.openings) == opened + 1


def test_a_seat_that_the_daemon_drops_is_told_to_be_gone_by_no_machine_s_fault(
    daemon_of: Callable[[Scripted], Daemon],
) -> None:
    daemon = daemon_of(Scripted("a"))
    daemon.tell(RENEW, Want(jobs=1))
    assert isinstance(daemon.hear(), SeatOpened)
    daemon.tell(Drop(seat="a", now=True))
    gone = daemon.hear()
    assert isinstance(gone, SeatGone)
    assert gone.fault == "worker"


def test_a_batch_goes_to_its_seat(daemon_of: Callable[[Scripted], Daemon], tmp_path: Path) -> None:
    cluster = Scripted("a")
    daemon = daemon_of(cluster)
    daemon.tell(RENEW, Want(jobs=1))
    assert isinstance(daemon.hear(), SeatOpened)
    daemon.tell(Give(seat="a", batch=batch(order(tmp_path))), Give(seat="gone", batch=batch()))
    assert cluster.hosts["a"].batches.get(timeout=WAIT).orders[0].job == "1"
