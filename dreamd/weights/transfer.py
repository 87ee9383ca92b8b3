"""One file's way from a server into a part on the disk: resumed where it broke off, tried again, never spliced wrongly.

Knows no cache and no digest of the whole file: `fetching` decides what becomes of a part.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request

from dreamd.weights.cache import size_of
from dreamd.weights.digests import beside, on_disk
from dreamd.weights.web import Redirects, linked_digest, opener, proxy_words, reason_of, validator_of

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

OnBytes = Callable[[int, int | None], None]
"""Is called with the bytes that are here and the bytes of the whole file, None when the server does not say."""

_TIMEOUT_SECONDS = 30.0
"""A server that is silent for so many seconds counts as gone."""

_RETRY_WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""A connection that breaks off is tried again after each of these waits, in seconds."""

_PIECE_BYTES = 1 << 20
"""The most bytes that are read from a server before they are written."""

_USER_AGENT = "dreamd (Python urllib)"
"""Servers are told this name."""


class NoAnswerError(Exception):
    """The server cannot be reached, or refuses; the text is the reason."""


class _BrokenOffError(NoAnswerError):
    """The connection ended before the file did; another try may bring the rest."""


class _WholeError(Exception):
    """The part is as long as what the server has, and there is a SHA-256 that decides what it is."""


class _StaleError(Exception):
    """The part is not a beginning of what the server has now."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """The beginning of a download, and beside it a note of what it is the beginning of.

    Attributes:
        path: the file that holds the bytes.
        url: where they come from.
    """

    path: Path
    url: str

    @property
    def note_path(self) -> Path:
        """Where the note lies."""
        return beside(self.path, ".note")

    @property
    def size(self) -> int:
        """The bytes that are here."""
        return size_of(self.path)

    @property
    def validator(self) -> str:
        """The ETag or date that the part's server gave it; "" when there is none from this URL."""
        with on_disk("read", self.note_path):
            text = self.note_path.read_text(encoding="utf-8") if self.note_path.exists() else ""
        url, _, validator = text.rstrip("\n").partition("\n")
        return validator if url == self.url else ""

    def note(self, validator: str) -> None:
        """Write down what the part is the beginning of."""
        with on_disk("write", self.note_path):
            self.note_path.write_text(f"{self.url}\n{validator}\n", encoding="utf-8")

    def discard(self) -> None:
        """Remove the part and its note."""
        with on_disk("remove", self.path):
            self.path.unlink(missing_ok=True)
            self.note_path.unlink(missing_ok=True)


@dataclass(kw_only=True)
class Transfer:
    """One file on its way into its part.

    Attributes:
        part: where it goes.
        pinned: a SHA-256 is known, so that a part spliced from two versions would be found out.
        on_bytes: is told what is here.
        linked: the SHA-256 that the server gave, "" until it did.
        received: bytes that came in this process.
    """

    part: Part
    pinned: bool
    on_bytes: OnBytes | None
    linked: str = ""
    received: int = 0

    def run(self, pause: Callable[[float], None]) -> None:
        """Bring the whole file, in as many tries as are allowed.

        Args:
            pause: waits for the given seconds between two tries.

        Raises:
            NoAnswerError: it does not come.
            WeightsError: the disk refuses it.
            SpaceError: the disk is full.
        """
        for wait in _RETRY_WAITS_SECONDS:
            try:
                return self._try()
            except _BrokenOffError:
                pause(wait)
        return self._try()

    def _try(self) -> None:
        try:
            self._continue_from(self._resume_point())
        except _WholeError:
            self._report(self.part.size, self.part.size)
        except _StaleError:
            self.part.discard()
            self._continue_from(0)

    def _resume_point(self) -> int:
        # With neither a pin nor a validator nothing would notice that the file had changed in between.
        return self.part.size if self.pinned or self.linked or self.part.validator else 0

    def _continue_from(self, offset: int) -> None:
        with self._open(offset) as response:
            if not offset or response.status == 200:
                self._receive(response, 0)
            else:
                self._check_resumed(response, offset)
                self._receive(response, offset)

    def _open(self, offset: int) -> HTTPResponse:
        request = Request(self.part.url, headers=self._headers(offset))
        redirects = Redirects()
        try:
            response: HTTPResponse = opener(redirects).open(request, timeout=_TIMEOUT_SECONDS)
        except HTTPError as error:
            with error:
                if error.code == 416 and offset:
                    self.linked = linked_digest(error.headers) or redirects.linked or self.linked
                    raise self._nothing_behind(offset, error.headers) from error
                raise NoAnswerError(f"HTTP {error.code} {error.reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            # A redirect to nonsense is a ValueError. Once something came, a server that is silent is an interruption.
            kind = _BrokenOffError if self.received else NoAnswerError
            raise kind(reason_of(error) + proxy_words(request)) from error
        self.linked = linked_digest(response.headers) or redirects.linked or self.linked
        return response

    def _nothing_behind(self, offset: int, headers: Message) -> _WholeError | _StaleError:
        """Return what it means that the server has nothing behind the part (RFC 9110, 15.5.17)."""
        is_as_long = headers.get("Content-Range", "").strip() == f"bytes */{offset}"
        return _WholeError() if is_as_long and (self.pinned or self.linked) else _StaleError()

    def _headers(self, offset: int) -> dict[str, str]:
        headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.part.validator:
                headers["If-Range"] = self.part.validator
        return headers

    def _check_resumed(self, response: HTTPResponse, offset: int) -> None:
        """Raise _StaleError for another part than was asked for: some servers know Range and not If-Range."""
        noted, now = self.part.validator, validator_of(response.headers)
        is_right_place = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        if response.status != 206 or not is_right_place or (noted and now and noted != now):
            raise _StaleError

    def _receive(self, response: HTTPResponse, here: int) -> None:
        total = None if response.length is None else here + response.length
        if total is None and not response.chunked and not (self.pinned or self.linked):
            raise NoAnswerError("nobody gave a SHA-256 and the server gives no length, so half a file would pass")
        with on_disk("write", self.part.path):
            out = self.part.path.open("ab" if here else "wb", buffering=0)
        with out:
            if not here:
                self.part.note(validator_of(response.headers))
            here = self._write_pieces(response, out, here, total)
        if total is not None and here != total:
            raise _BrokenOffError(f"the connection broke off at {here:,} of {total:,} bytes, again and again")

    def _write_pieces(self, response: HTTPResponse, out: IO[bytes], here: int, total: int | None) -> int:
        """Write what comes to the disk; return how many bytes are there then."""
        self._report(here, total)
        for piece in _pieces(response):
            with on_disk("write", self.part.path):
                _write_all(out, piece)
            here += len(piece)
            self.received += len(piece)
            self._report(here, total)
        with on_disk("write", self.part.path):
            os.fsync(out.fileno())
        return here

    def _report(self, here: int, total: int | None) -> None:
        if self.on_bytes:
            self.on_bytes(here, total)


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            piece = response.read1(_PIECE_BYTES)  # what is here by now: a slow line shows that it moves
        except (OSError, HTTPException) as error:
            raise _BrokenOffError(f"the connection broke off, again and again: {reason_of(error)}") from error
        if not piece:
            return
        yield piece


def _write_all(out: IO[bytes], piece: bytes) -> None:
    rest = memoryview(piece)
    while rest:
        rest = rest[out.write(rest) :]
