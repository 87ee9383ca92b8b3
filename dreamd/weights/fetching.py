"""Fetching: have a file of weights here and checked, brought from the network where it must be."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from dreamd.errors import WeightsError
from dreamd.files.nofollow import opened_folder
from dreamd.files.syncs import sync_folder
from dreamd.weights.cache import cached_path, verify
from dreamd.weights.digests import (
    beside,
    described,
    expected_digest,
    keep_record,
    matches,
    on_disk,
    recorded_digest,
    sha256_of,
    write_record,
)
from dreamd.weights.known import known_sha256
from dreamd.weights.sources import Download, Packaged, Source, check_address
from dreamd.weights.transfer import NoAnswerError, OnBytes, Part, Transfer


def ready(source: Source, *, backbone: str, on_bytes: OnBytes | None = None) -> Path:
    """Return the file, checked by its digest; it is fetched when it is not here.

    Args:
        source: the weights.
        backbone: whose weights they are, for the messages.
        on_bytes: is told how a fetch goes.

    Raises:
        WeightsError: it cannot be had, or is not what it should be.
        SpaceError: the disk is full.
    """
    path = cached_path(source)
    if isinstance(source, Download) and not path.is_file():
        return fetch(source, backbone=backbone, on_bytes=on_bytes)
    digest = verify(source, f"dreamd weights fetch {backbone}", known_sha256)
    if isinstance(source, Download):
        keep_record(source, path, digest)
    return path


def fetch(
    source: Source,
    *,
    backbone: str,
    on_bytes: OnBytes | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Path:
    """Bring the file into the cache, unless it is there and right; a damaged one is replaced.

    A fetch that was cut short goes on where it ended. Of two processes that fetch one file the second waits for the
    first. `$DREAMD_WEIGHTS_MIRROR`, when set, is asked instead of the source's own host. A packaged file is checked.

    Args:
        source: the weights.
        backbone: whose weights they are, for the messages.
        on_bytes: is told how the fetch goes.
        pause: waits for the given seconds between two tries.

    Raises:
        WeightsError: it cannot be had, or what came is not what it should be.
        SpaceError: the disk is full.
    """
    path = cached_path(source)
    if isinstance(source, Packaged):
        verify(source)
        return path
    with _locked(path):
        if path.is_file() and matches(digest := sha256_of(path), expected_digest(source, path)):
            keep_record(source, path, digest)
        else:
            _download(source, path, backbone, on_bytes, pause)
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file's lock. The lock file stays, for to remove it would let two holders in."""
    with on_disk("make", path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    with on_disk("lock", path):
        lock = beside(path, ".lock").open("ab")
    with lock:
        with on_disk("lock", path):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _download(
    source: Download, path: Path, backbone: str, on_bytes: OnBytes | None, pause: Callable[[float], None]
) -> None:
    expected = expected_digest(source, path)
    url = _mirrored(source)
    part = Part(path=beside(path, ".part"), url=url)
    transfer = Transfer(part=part, pinned=bool(expected), on_bytes=on_bytes)
    try:
        transfer.run(pause)
    except NoAnswerError as error:
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


def _accept(part: Part, path: Path, *, pin: str, expected: str) -> None:
    """Move a whole download to its place, or remove it when it is not what it should be."""
    digest = sha256_of(part.path)
    if not matches(digest, expected):
        part.discard()
        raise WeightsError(
            f"{part.url} brought a wrong file: its SHA-256 is {digest}, expected {described(expected)}.\n"
            f"Nothing of it was kept{_advice_about_record(path, pin)}"
        )
    with on_disk("write", path):
        # The record comes first: a file must never be in its place with nothing to check it by.
        write_record(path, digest)
        part.path.replace(path)
        part.note_path.unlink(missing_ok=True)
        with opened_folder(path.parent) as folder:
            sync_folder(folder)


def _advice_about_record(path: Path, pin: str) -> str:
    if pin or not recorded_digest(path):
        return ""
    return f". To trust the new file, remove {beside(path, '.sha256')}"
