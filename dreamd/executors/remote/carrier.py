"""What carries bytes between the daemon's folders and one seat: a thread that tells the host, and one that listens.

Lives in the bridge. Knows files and a `Host`. Knows not what carries the bytes.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from dreamd.errors import DreamdError, WeightsError, hold_cause
from dreamd.executors.executor import Fault
from dreamd.executors.remote.arrivals import write_preview, write_result
from dreamd.executors.remote.cluster import (
    PIECE_BYTES,
    Ended,
    FarBatch,
    FarNews,
    FarOrder,
    Glimpse,
    Host,
    HostLostError,
    NearFile,
    Place,
    Saying,
    Standing,
)
from dreamd.executors.remote.near_files import NamedFiles, opened_source, pieces_of
from dreamd.executors.remote.standings import apply_standing, files_of
from dreamd.executors.remote.words import Heard, SeatGone, SeatOpened, SeatSaid
from dreamd.files.problems import os_error_explained
from dreamd.inbox.dream_files import is_dream_file
from dreamd.messages import Batch, Done, NotDone, Order, Said, Yielded, from_worker
from dreamd.tree.looking import is_looked_at
from dreamd.weights import cache
from dreamd.weights.digests import sha256_of
from dreamd.weights.sources import Download

log = logging.getLogger(__name__)

_POLL_SECONDS = 2.0
"""The longest wait of a host for news, in seconds; it must be shorter than what a host takes for having been left."""


@dataclass
class Shared:
    """What all carriers of a bridge share.

    Attributes:
        say: tells the daemon something.
        readable: the folders out of which what recipes name may be read.
        previews: the daemon's folder for previews; None: nobody looks.
        named: the files that recipes name.
        kept_at: at which seat a job was that had its turn and goes on, by its id: what it needs is there.
        sending: a lock for each machine, so that a file goes there once.
    """

    say: Callable[[Heard], None]
    readable: tuple[Path, ...] = ()
    previews: Path | None = None
    named: NamedFiles = field(default_factory=NamedFiles)
    kept_at: dict[str, str] = field(default_factory=dict)
    sending: dict[str, threading.Lock] = field(default_factory=dict)

    def sending_to(self, node: str) -> AbstractContextManager[object]:
        """Return the lock of a machine."""
        return self.sending.setdefault(node, threading.Lock())


@dataclass
class _Given:
    """A job that the seat has in hand; `has_sent_weights`: whether weights went there for its sake."""

    recipe: str
    order: Order
    has_sent_weights: bool = False


class Carrier:
    """The carrier of one seat.

    Attributes:
        place: where the seat is.
        host: its host.
    """

    def __init__(
        self, place: Place, host: Host, shared: Shared, on_end: Callable[[Carrier, SeatGone | None], None]
    ) -> None:
        """Begin to carry; `on_end` is called last of all, with what is to be told; None: it was never told of."""
        self.place, self.host = place, host
        self._shared = shared
        self._on_end = on_end
        self._given: dict[str, _Given] = {}
        self._is_dropped = False
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        for work in (self._tell_all, self._listen):
            threading.Thread(target=work, name=f"{work.__name__}-{place.seat}", daemon=True).start()

    # What the daemon tells it

    def give(self, batch: Batch) -> None:
        """Give the seat a batch."""
        kept = [self._shared.kept_at.pop(order.job, None) == self.place.seat for order in batch.orders]
        for order in batch.orders:
            self._given[order.job] = _Given(batch.recipe, order)
        self._tasks.put(partial(self._send_batch, batch.recipe, batch.orders, kept))

    def stop(self, jobs: Sequence[str]) -> None:
        """Have the seat stop working on jobs."""
        self._tasks.put(partial(self.host.cancel, tuple(jobs)))

    def forget(self, job: str) -> None:
        """Have the host remove what it keeps of a job that goes on elsewhere."""
        self._tasks.put(partial(self.host.forget, job))

    def note_drop(self) -> None:
        """Take note that the seat is closed because the daemon wants it."""
        self._is_dropped = True

    def end(self) -> None:
        """Have the worker end by itself."""
        self._tasks.put(self.host.end)

    # The thread that tells

    def _tell_all(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                task()
            except HostLostError:
                log.debug("%s does not take what it is told", self.place.seat)  # who listens will know
            except DreamdError as error:
                log.warning("%s: %s", self.place.seat, error)

    def _send_batch(self, recipe: str, orders: Sequence[Order], kept: Sequence[bool]) -> None:
        with self._answering_for(orders):
            named = self._shared.named.of(recipe, self._shared.readable)
            self._send_named(named)
            far = [self._far_order(order, is_kept) for order, is_kept in zip(orders, kept, strict=True)]
            self.host.order(FarBatch(recipe=recipe, named=named, orders=tuple(far)))

    @contextmanager
    def _answering_for(self, orders: Sequence[Order]) -> Iterator[None]:
        """Answer for jobs that the seat could not be given by what is inside, each as its worker would have."""
        try:
            yield
        except HostLostError:
            raise
        except (OSError, DreamdError) as error:
            told = os_error_explained(error, "read", orders[0].source) if isinstance(error, OSError) else error
            for job in (order.job for order in orders):
                if self._given.pop(job, None) is not None:
                    self._say(NotDone(job=job, hold=hold_cause(told), final=False, reason=str(told), failure="error"))

    def _send_named(self, named: Sequence[NearFile]) -> None:
        """Send the files that a recipe names, unless the machine has them."""
        files = {each.name: each for each in named}
        if not files or not self.host.lacks(list(files)):
            return
        with self._shared.sending_to(self.place.node):
            for name in self.host.lacks(list(files)):  # again: another seat of the machine may have had them sent
                self._send_file(Path(files[name].path), name)
                self.host.keep(name, files[name].digest, files[name].suffix)

    def _send_file(self, path: Path, name: str) -> None:
        with path.open("rb") as file:
            for offset, piece in pieces_of(file):
                self.host.write(name, offset, piece)

    def _far_order(self, order: Order, is_kept: bool) -> FarOrder:
        name, near = order.source.name, str(order.source)
        checkpoint = None if order.checkpoint is None else {} if is_kept else files_of(order.checkpoint)
        data = None if is_kept else b"" if is_dream_file(name) else self._send_source(order)
        return FarOrder(job=order.job, near=near, name=name, data=data, checkpoint=checkpoint, is_kept=is_kept)

    def _send_source(self, order: Order) -> bytes | None:
        """Return the bytes of a picture, or send them in pieces and return None when they are many."""
        with opened_source(order) as file:
            pieces = pieces_of(file)
            _, first = next(pieces)
            if len(first) < PIECE_BYTES:
                return first
            self.host.write(order.job, 0, first)
            for offset, piece in pieces:
                self.host.write(order.job, offset, piece)
        self.host.keep_source(order.job, order.job, order.source.name)
        return None

    def _send_weights(self, source: Download, given: _Given) -> None:
        """Send weights to the machine that it lacks, and the job again that needs them."""
        name = source.cache_name
        with self._answering_for([given.order]):
            file = cache.find(source)
            with self._shared.sending_to(self.place.node):
                if self.host.lacks_weights(name):
                    log.info("%s: %s is sent to %s", self.place.seat, name, self.place.node)
                    self._send_file(file.path, name)
                    self.host.keep_weights(name, name, file.sha256 or sha256_of(file.path))
        self._send_batch(given.recipe, [given.order], [False])

    # The thread that listens

    def _listen(self) -> None:
        ended = Ended(reason="it was closed", failure=None)
        fault: Fault = "worker"
        is_open = False
        try:
            while True:
                looked_at = self._shared.previews is not None and is_looked_at(self._shared.previews)
                news = self.host.poll(_POLL_SECONDS, is_looked_at=looked_at)
                if not is_open:
                    is_open = True
                    self._say_opened()
                for each in news:
                    self._take(each)
                if (last := next((each for each in news if isinstance(each, Ended)), None)) is not None:
                    ended = last
                    break
        except HostLostError as error:
            ended, fault = Ended(reason=str(error), failure=None), "worker" if self._is_dropped else "node"
        except (DreamdError, ValidationError) as error:  # it could not begin there, or sent what is no message
            ended = Ended(reason=str(error), failure=None)
            if not is_open:
                is_open = True
                self._say_opened()
        self._tasks.put(None)
        gone = SeatGone(seat=self.place.seat, why=ended.reason, fault=fault, failure=ended.failure)
        self._on_end(self, gone if is_open else None)

    def _say_opened(self) -> None:
        place = self.place
        self._shared.say(SeatOpened(seat=place.seat, device=place.device, node=place.node))

    def _take(self, news: FarNews) -> None:
        match news:
            case Saying():
                self._take_saying(news)
            case Glimpse():
                if self._shared.previews is not None and news.name.removesuffix(".jpg") in self._given:
                    write_preview(news, self._shared.previews)
            case Standing():
                given = self._given.get(news.job)
                if given is not None and given.order.checkpoint is not None:
                    self._apply(news, given.order.checkpoint)
            case Ended():
                pass

    def _take_saying(self, saying: Saying) -> None:
        said = from_worker(saying.line)
        if isinstance(said, Done):
            said = self._take_done(said, saying)
        elif isinstance(said, NotDone) and self._can_send_weights(said):
            return
        if isinstance(said, Yielded):
            self._shared.kept_at[said.job] = self.place.seat
        if isinstance(said, Done | NotDone | Yielded):
            self._given.pop(said.job, None)
        self._say(said)

    def _take_done(self, done: Done, saying: Saying) -> Done | NotDone:
        """Write a result into its folder; return what is to be said of it."""
        if (given := self._given.get(done.job)) is None:
            return done
        folder = given.order.folder
        try:
            write_result(saying, folder, partial(self.host.read, done.job))
        except OSError as error:
            explained = os_error_explained(error, "write", folder)
            return NotDone(job=done.job, hold=hold_cause(explained), final=False, reason=str(explained))
        if saying.lengths:
            self.forget(done.job)
        return done

    def _can_send_weights(self, answer: NotDone) -> bool:
        """Return whether the weights that a job waits for are beside the daemon; they go to the machine then, once."""
        given, missing = self._given.get(answer.job), answer.weights
        if given is None or missing is None or given.has_sent_weights:
            return False
        try:
            source = Download(url=missing.url, sha256=missing.sha256, filename=missing.filename, size=missing.size)
            if cache.find(source).state != "cached":
                return False
        except WeightsError:
            return False
        given.has_sent_weights = True
        self._tasks.put(partial(self._send_weights, source, given))
        return True

    def _apply(self, standing: Standing, folder: Path) -> None:
        try:
            apply_standing(standing, folder)
        except OSError as error:  # the dream goes on all the same, and would only begin anew elsewhere
            log.warning("%s", os_error_explained(error, "keep", folder))

    def _say(self, said: Said) -> None:
        self._shared.say(SeatSaid(seat=self.place.seat, said=said))
