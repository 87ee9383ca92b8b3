"""The weights that are there: which file, and whether it is the right one."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import re
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.error import URLError

from dreamd.errors import SpaceError, WeightsError
from dreamd.weights.sources import Download, Packaged, Source

if TYPE_CHECKING:
    pass


WeightsState = Literal["cached", "packaged", "partial", "missing", "damaged"]

PIECE_BYTES = 1 << 20

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


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
        size = file_size(path)
        return WeightsStatus(path=path, state="packaged" if size else "missing", size=size, sha256=source.sha256)
    if not path.is_file():
        part = file_size(beside(path, ".part"))
        return WeightsStatus(path=path, state="partial" if part else "missing", size=part, sha256="")
    try:
        recorded = recorded_digest(path)
    except WeightsError:
        return WeightsStatus(path=path, state="damaged", size=file_size(path), sha256="")
    other = bool(recorded) and not matches_digest(recorded, source.sha256)
    state: WeightsState = "damaged" if other or not file_size(path) else "cached"
    return WeightsStatus(path=path, state=state, size=file_size(path), sha256=recorded)


def verify(source: Source) -> str:
    """Hash the file and compare it with its pin and its record.

    Returns:
        The file's whole SHA-256.

    Raises:
        WeightsError: it is missing, unreadable, or not what it should be.
    """
    return check_digest(source, cached_path(source), "dreamd weights fetch")


def sha256_of(path: Path) -> str:
    """A file's SHA-256, 64 hex digits.

    Raises:
        WeightsError: the file cannot be read.
    """
    with on_disk(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _package_folders(package: str) -> list[Path]:
    # Only the outermost package is looked up: to look up a nested one Python imports its parents.
    outermost, *nested = package.split(".")
    spec = importlib.util.find_spec(outermost)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return [Path(folder, *nested) for folder in folders] or [Path(sysconfig.get_path("purelib"), outermost, *nested)]


def check_digest(source: Source, path: Path, fetch_command: str) -> str:
    if isinstance(source, Packaged):
        remedy = f"install the Python package {source.package} again"
    else:
        remedy = f"`{fetch_command}` brings it anew"
    if not path.is_file():
        raise WeightsError(f"{path} is not there; {remedy}")
    digest, expected = sha256_of(path), expected_digest(source, path)
    if not matches_digest(digest, expected):
        raise WeightsError(
            f"{path} is damaged or another file: its SHA-256 is {digest}, expected {shown_digest(expected)}; {remedy}"
        )
    return digest


def expected_digest(source: Source, path: Path) -> str:
    """The digest to ask for: the record where it is of the pinned file, for it is whole; else the pin."""
    if isinstance(source, Packaged):
        return source.sha256
    recorded = "" if len(source.sha256) == 64 else recorded_digest(path)
    return recorded if matches_digest(recorded, source.sha256) else source.sha256


def matches_digest(digest: str, expected: str) -> bool:
    return digest.startswith(expected.lower())


def shown_digest(expected: str) -> str:
    return expected if len(expected) == 64 else f"one that begins with {expected}"


# Records: `FILE.sha256` beside the file, in the form that `sha256sum -c` reads


def recorded_digest(path: Path) -> str:
    record = beside(path, ".sha256")
    if not record.exists():
        return ""
    with on_disk(record):
        text = record.read_text(encoding="utf-8", errors="replace")
    if not re.fullmatch(rf"[0-9a-f]{{64}}  {re.escape(path.name)}\n", text):
        raise WeightsError(f"{record} is not a SHA-256 and the name {path.name}; remove it, then fetch the file again")
    return text[:64]


def _record_line(path: Path, digest: str) -> bytes:
    return f"{digest}  {path.name}\n".encode()


def write_record(path: Path, digest: str) -> None:
    record = beside(path, ".sha256")
    # Two processes may record the same file at once, each in a temporary file of its own.
    temporary = beside(path, f".sha256.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(_record_line(path, digest))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(record)


def record_found(source: Download, path: Path, digest: str) -> None:
    """Record a right file that a person put there by hand, or whose record is of another version."""
    record = beside(path, ".sha256")
    try:
        if not record.exists() or record.read_bytes() != _record_line(path, digest):
            write_record(path, digest)
    except OSError as error:
        # A cache that only others may write is a fine place for pinned files; an unpinned one has only its record.
        if not source.sha256:
            raise WeightsError(f"cannot record the SHA-256 of {path}: {reason_of(error)}") from error


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def file_size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def reason_of(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Say in words what the disk refused; nothing else may run inside."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            words = f"the disk is full: {path} does not fit; free some space, or set DREAMD_WEIGHTS to a larger disk"
            raise SpaceError(words) from error
        raise WeightsError(f"{error.filename or path}: {reason_of(error)}") from error


def fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
