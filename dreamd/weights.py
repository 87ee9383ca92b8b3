"""Files of network weights: where they lie, how they are fetched, checked and read.

A file is used only when its SHA-256 is the one that the plugin's author pinned or, where nobody pinned one, the one
that was recorded when the file first came. Once it is in the cache nothing here needs a network. Knows no network
architecture, recipe or plugin. Works without torch, which only `load_state_dict` imports: the command line and the
daemon's own process use the rest.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import os
import re
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import quote, unquote, urlsplit
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

from dreamd.errors import SpaceError, WeightsError

if TYPE_CHECKING:
    from http.client import HTTPMessage

    from torch import Tensor

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes of the whole file, None when the server does not say."""

WeightsState = Literal["cached", "packaged", "partial", "missing", "damaged"]

_TIMEOUT_SECONDS = 30.0
_RETRY_WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
_PIECE_BYTES = 1 << 20
_USER_AGENT = "dreamd (Python urllib)"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file of weights on the network.

    Attributes:
        url: where it is; http or https.
        sha256: its SHA-256, whole (64 hex digits) or its first eight, which torchvision and timm put into their file
            names; "" when nobody pinned it: then what the first fetch brings is recorded and checked ever after.
        filename: its name in the cache; "" means the last part of the URL. Give one where that part is as common as
            `model.safetensors`: all weights share one folder.

    Raises:
        WeightsError: a field is not what it should be.
    """

    url: str
    sha256: str = ""
    filename: str = ""

    def __post_init__(self) -> None:
        _check_address(self.url)
        if not re.fullmatch(r"([0-9a-f]{8}|[0-9a-f]{64})?", self.sha256, re.IGNORECASE):
            raise WeightsError(f"{self.sha256!r} is no SHA-256: give its 64 hex digits, the first 8 of them, or none")
        name = self.cache_name
        if name in ("", ".", "..") or "/" in name or not name.isprintable():
            raise WeightsError(f"{name!r} cannot be a file name in the cache; give {self.url} a plain `filename`")

    @property
    def cache_name(self) -> str:
        """The file's name in the cache."""
        return self.filename or unquote(PurePosixPath(urlsplit(self.url).path).name)


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """A file of weights inside an installed Python package, which is found without importing it.

    Attributes:
        package: the package's import name.
        path: the file's path inside the package.
        sha256: the file's SHA-256, 64 hex digits.

    Raises:
        WeightsError: a field is not what it should be.
    """

    package: str
    path: str
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256, re.IGNORECASE):
            raise WeightsError(f"{self.sha256!r} is no SHA-256 of {self.package}/{self.path}: give all 64 hex digits")
        if not all(name.isidentifier() for name in self.package.split(".")):
            raise WeightsError(f"{self.package!r} is no import name of a Python package")


Source = Download | Packaged


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsStatus:
    """What can be said of a file of weights without reading it.

    Attributes:
        path: where the file is or would be.
        state: `partial`: a fetch was cut short, the next goes on from there. `damaged`: the file is empty, or its
            record is unreadable or is of other weights than the pinned ones; only `verify` finds changed bytes.
        size: bytes on the disk, of the part when partial, 0 when missing.
        sha256: the recorded SHA-256, for packaged weights the pinned one; "" when there is none.
    """

    path: Path
    state: WeightsState
    size: int
    sha256: str


# The cache


def cache_folder() -> Path:
    """`$DREAMD_WEIGHTS`, else `$XDG_CACHE_HOME/dreamd/weights`, else `~/.cache/dreamd/weights`. May not exist yet."""
    try:
        if own := os.environ.get("DREAMD_WEIGHTS"):
            return Path(own).expanduser().absolute()
        caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The XDG specification says to ignore a relative one.
        return (caches if caches.is_absolute() else Path.home() / ".cache") / "dreamd" / "weights"
    except RuntimeError as error:
        raise WeightsError("no folder for weights: this user has no home folder; set DREAMD_WEIGHTS to one") from error


def cached_path(source: Source) -> Path:
    """Where the file is, or would be once it is fetched or its package installed."""
    if isinstance(source, Download):
        return cache_folder() / source.cache_name
    candidates = [folder / source.path for folder in _package_folders(source.package)]
    return next((path for path in candidates if path.is_file()), candidates[0])


def status(source: Source) -> WeightsStatus:
    """What is here of the file; fast, for it is not read.

    Raises:
        WeightsError: there is no cache folder to look in.
    """
    path = cached_path(source)
    if isinstance(source, Packaged):
        size = _size(path)
        return WeightsStatus(path=path, state="packaged" if size else "missing", size=size, sha256=source.sha256)
    if not path.is_file():
        part = _size(_beside(path, ".part"))
        return WeightsStatus(path=path, state="partial" if part else "missing", size=part, sha256="")
    try:
        recorded = _recorded(path)
    except WeightsError:
        return WeightsStatus(path=path, state="damaged", size=_size(path), sha256="")
    other = bool(recorded) and not _matches(recorded, source.sha256)
    state: WeightsState = "damaged" if other or not _size(path) else "cached"
    return WeightsStatus(path=path, state=state, size=_size(path), sha256=recorded)


def verify(source: Source) -> str:
    """Hash the file and compare it with its pin and its record.

    Returns:
        The file's whole SHA-256.

    Raises:
        WeightsError: it is missing, unreadable, or not what it should be.
    """
    return _check(source, cached_path(source), "dreamd weights fetch")


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
    digest = _check(source, path, f"dreamd weights fetch {backbone}")
    if isinstance(source, Download):
        _record_found(source, path, digest)
    return path


def sha256_of(path: Path) -> str:
    """A file's SHA-256, 64 hex digits.

    Raises:
        WeightsError: the file cannot be read.
    """
    with _on_disk(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _package_folders(package: str) -> list[Path]:
    # Only the outermost package is looked up: to look up a nested one Python imports its parents.
    outermost, *nested = package.split(".")
    spec = importlib.util.find_spec(outermost)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return [Path(folder, *nested) for folder in folders] or [Path(sysconfig.get_path("purelib"), outermost, *nested)]


def _check(source: Source, path: Path, fetch_command: str) -> str:
    if isinstance(source, Packaged):
        remedy = f"install the Python package {source.package} again"
    else:
        remedy = f"`{fetch_command}` brings it anew"
    if not path.is_file():
        raise WeightsError(f"{path} is not there; {remedy}")
    digest, expected = sha256_of(path), _expected(source, path)
    if not _matches(digest, expected):
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 is {digest}, expected {_shown(expected)}; {remedy}"
        )
    return digest


def _expected(source: Source, path: Path) -> str:
    """The digest to ask for: the record where it is of the pinned file, for it is whole; else the pin."""
    if isinstance(source, Packaged):
        return source.sha256
    recorded = "" if len(source.sha256) == 64 else _recorded(path)
    return recorded if _matches(recorded, source.sha256) else source.sha256


def _matches(digest: str, expected: str) -> bool:
    return digest.startswith(expected.lower())


def _shown(expected: str) -> str:
    return expected if len(expected) == 64 else f"one that begins with {expected}"


# Records: `FILE.sha256` beside the file, in the form that `sha256sum -c` reads


def _recorded(path: Path) -> str:
    record = _beside(path, ".sha256")
    if not record.exists():
        return ""
    with _on_disk(record):
        text = record.read_text(encoding="utf-8", errors="replace")
    if not re.fullmatch(rf"[0-9a-f]{{64}}  {re.escape(path.name)}\n", text):
        raise WeightsError(f"{record} is not a SHA-256 and the name {path.name}; remove it, then fetch the file again")
    return text[:64]


def _record_line(path: Path, digest: str) -> bytes:
    return f"{digest}  {path.name}\n".encode()


def _write_record(path: Path, digest: str) -> None:
    record = _beside(path, ".sha256")
    # Two processes may record the same file at once, each in a temporary file of its own.
    temporary = _beside(path, f".sha256.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(_record_line(path, digest))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(record)


def _record_found(source: Download, path: Path, digest: str) -> None:
    """Record a right file that a person put there by hand, or whose record is of another version."""
    record = _beside(path, ".sha256")
    try:
        if not record.exists() or record.read_bytes() != _record_line(path, digest):
            _write_record(path, digest)
    except OSError as error:
        # A cache that only others may write is a fine place for pinned files; an unpinned one has only its record.
        if not source.sha256:
            raise WeightsError(f"cannot record the SHA-256 of {path}: {_reason(error)}") from error


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


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
        _check(source, path, "")
        return path
    with _locked(path):
        if path.is_file() and _matches(digest := sha256_of(path), _expected(source, path)):
            _record_found(source, path, digest)
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
    expected = _expected(source, path)
    url = _mirrored(source)
    part = _Part(path=_beside(path, ".part"), url=url)
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
    _check_address(url)
    return url


def _check_address(url: str) -> None:
    words = f"{url!r} is no address to fetch weights from; it must be a plain http:// or https:// one"
    try:
        host = urlsplit(url).hostname
    except ValueError as error:
        raise WeightsError(words) from error
    if not host or not re.fullmatch(r"https?://[!-~]+", url):
        raise WeightsError(words)


def _accept(part: _Part, path: Path, *, pin: str, expected: str) -> None:
    """Move a whole download to its place, or remove it when it is not what it should be."""
    digest = sha256_of(part.path)
    if not _matches(digest, expected):
        part.discard()
        recorded = f". To trust the new file, remove {_beside(path, '.sha256')}" if not pin and _recorded(path) else ""
        raise WeightsError(
            f"{part.url} brought a wrong file: its SHA-256 is {digest}, expected {_shown(expected)}.\n"
            f"Nothing of it was kept{recorded}"
        )
    with _on_disk(path):
        # The record comes first: a file must never be in its place with nothing to check it by.
        _write_record(path, digest)
        part.path.replace(path)
        part.note_path.unlink(missing_ok=True)
        _fsync_folder(path.parent)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The beginning of a download, and beside it a note of what it is the beginning of."""

    path: Path
    url: str

    @property
    def note_path(self) -> Path:
        return _beside(self.path, ".note")

    @property
    def size(self) -> int:
        return _size(self.path)

    @property
    def validator(self) -> str:
        """The ETag or date that the part's server gave it; "" when there is none from this URL."""
        with _on_disk(self.note_path):
            text = self.note_path.read_text(encoding="utf-8") if self.note_path.exists() else ""
        url, _, validator = text.rstrip("\n").partition("\n")
        return validator if url == self.url else ""

    def note(self, validator: str) -> None:
        with _on_disk(self.note_path):
            self.note_path.write_text(f"{self.url}\n{validator}\n", encoding="utf-8")

    def discard(self) -> None:
        with _on_disk(self.path):
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
            raise kind(_reason(error) + _proxy_of(request)) from error
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
        with _on_disk(self.part.path):
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
            with _on_disk(self.part.path):
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
            piece = response.read(_PIECE_BYTES)
        except (OSError, HTTPException) as error:
            raise _BrokenOffError(f"the connection broke off, again and again: {_reason(error)}") from error
        if not piece:
            return
        yield piece


def _write(out: IO[bytes], piece: bytes, path: Path) -> None:
    rest = memoryview(piece)
    with _on_disk(path):
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


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__


def _proxy_of(request: Request) -> str:
    return "" if request.host == urlsplit(request.full_url).netloc else f", through the proxy {request.host}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock; the lock file stays, for to remove it would let two holders in."""
    with _on_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _beside(path, ".lock").open("ab")
    with lock:
        with _on_disk(path):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    """Say in words what the disk refused; nothing else may run inside."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            words = f"the disk is full: {path} does not fit; free some space, or set DREAMD_WEIGHTS to a larger disk"
            raise SpaceError(words) from error
        raise WeightsError(f"{error.filename or path}: {_reason(error)}") from error


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Reading


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict onto the CPU, without running code from the file.

    A checkpoint that keeps it under `state_dict` or `model` is unwrapped, and the `module.` that DataParallel puts
    before every name is dropped.

    Args:
        path: a `.safetensors` file, or one that `torch.save` wrote, in its zip or its older form.

    Returns:
        Tensors by name. Those of a zip file may be mapped from it: do not write into the file while they are used.

    Raises:
        WeightsError: the file is missing or broken, or holds other things than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path} is not there")
    loaded = _load_safetensors(path) if path.suffix == ".safetensors" else _load_pickle(path)
    return _without_module(_tensors(_unwrapped(loaded), path))


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as safetensors: {error}") from error


def _load_pickle(path: Path) -> object:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except Exception as error:
        # A broken pickle can raise nearly anything. torch's own words advise `weights_only=False`: never pass them on.
        found = re.search(r"GLOBAL (\S+)", str(error))
        if not found:
            raise WeightsError(f"{path} is broken, or is no file of weights ({type(error).__name__})") from error
        raise WeightsError(
            f"{path} holds more than plain tensors: it asks for {found[1]}, and to read it would run code.\n"
            "Save only the state dict, as safetensors or by `torch.save(network.state_dict(), ...)`"
        ) from error


def _is_zip(path: Path) -> bool:
    # torch decides by these bytes too; `zipfile.is_zipfile` looks at the end, where an old pickle may look like one.
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _unwrapped(checkpoint: object) -> object:
    if isinstance(checkpoint, Mapping):
        for key in ("state_dict", "model"):
            if isinstance(nested := checkpoint.get(key), Mapping):
                return nested
    return checkpoint


def _tensors(loaded: object, path: Path) -> dict[str, Tensor]:
    from torch import Tensor

    if not isinstance(loaded, Mapping) or not loaded:
        raise WeightsError(f"{path} holds no state dict: it must map names to tensors")
    if others := [key for key, value in loaded.items() if not (isinstance(key, str) and isinstance(value, Tensor))]:
        raise WeightsError(f"{path} holds no state dict: {others[0]!r} is not a name with a tensor")
    return dict(loaded)


def _without_module(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if not all(name.startswith("module.") for name in tensors):
        return tensors
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
