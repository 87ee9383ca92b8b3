"""The folders of a host: what its machine keeps for all of its seats, and what this one seat has in hand."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from dreamd.errors import DreamdError
from dreamd.files.caches import user_cache
from dreamd.files.durable import draft_of
from dreamd.weights.cache import cache_folder
from dreamd.weights.digests import sha256_of, write_record

_UNUSED_SECONDS = 30 * 86400.0
"""A file that no recipe has named for so many seconds is removed, so that a machine is not filled up by them."""


class MachineFiles:
    """What a machine keeps for all of its seats: plugins and files that recipes name, by their digests; and weights.

    Attributes:
        plugins: a folder of bundles of plugins.
        named: a folder of the pictures, vectors and weights that recipes name.
    """

    def __init__(self, root: Path | None = None, weights: Path | None = None) -> None:
        """Keep it below `root`, and files of weights in `weights`; None: where they always are on this machine."""
        self.root = root or user_cache() / "seats"
        self._weights = weights or cache_folder()
        self.plugins = self.root / "plugins"
        self.named = self.root / "named"
        for folder in (self.plugins, self.named):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def named_file(self, name: str) -> Path:
        """Return where a file that recipes name is, or would be; `name`: as `NearFile.name` has it."""
        return self.named / name

    def use_named(self, name: str) -> bool:
        """Note that a file that recipes name is used now; return whether it is here."""
        try:
            os.utime(self.named_file(name))
        except FileNotFoundError:
            return False
        return True

    def remove_unused(self) -> None:
        """Remove the files that no recipe has named for long."""
        oldest = time.time() - _UNUSED_SECONDS
        for file in self.named.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another seat was faster
                if file.stat().st_mtime < oldest:
                    file.unlink()

    def keep_named(self, file: Path, digest: str, suffix: str) -> None:
        """Take a file that has come whole. Raises DreamdError: it is another than was said."""
        _check(file, digest)
        file.replace(self.named_file(digest + suffix))

    def lacks_weights(self, name: str) -> bool:
        """Return whether a file of weights is not in the cache."""
        return not (self._weights / name).is_file()

    def keep_weights(self, file: Path, name: str, digest: str) -> None:
        """Put a file of weights that has come whole into the cache. Raises DreamdError: it is another than was said."""
        _check(file, digest)
        target = self._weights / name
        target.parent.mkdir(parents=True, exist_ok=True)
        write_record(target, digest)  # first: a file must never be in its place with nothing to check it by
        with draft_of(target, durable=True) as draft:
            shutil.copyfile(file, draft)
        file.unlink()


def _check(file: Path, digest: str) -> None:
    if (found := sha256_of(file)) != digest:
        file.unlink()
        raise DreamdError(f"a file was changed on its way: its SHA-256 is {found}, expected {digest}")


class SeatHome:
    """What one seat has in hand. The folder is removed with the seat, or by the next one when it was killed.

    Attributes:
        previews: a folder for the worker's previews.
    """

    def __init__(self, machine: MachineFiles) -> None:
        """Make the folders, and remove those of seats that were killed, and what the machine keeps for nothing."""
        homes = machine.root / "homes"
        homes.mkdir(exist_ok=True, mode=0o700)
        making = os.open(machine.root / "homes.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(making, fcntl.LOCK_EX)  # a home that is being made has no lock yet, and shall not be swept away
            _sweep(homes)
            machine.remove_unused()
            self.path = Path(tempfile.mkdtemp(prefix="seat-", dir=homes))
            self._lock = _lock_of(self.path)
        finally:
            os.close(making)
        self.previews = self.path / "previews"
        self._coming, self._jobs = self.path / "coming", self.path / "jobs"
        for folder in (self.previews, self._coming, self._jobs):
            folder.mkdir()

    def coming(self, name: str) -> Path:
        """Return where a file is put together that comes in pieces."""
        return self._coming / _name_of(name)

    def job(self, job: str) -> Path:
        """Return the folder of a job."""
        return self._jobs / _name_of(job)

    def source(self, job: str, name: str) -> Path:
        """Return where the picture of a job is."""
        return self.job(job) / "source" / name

    def result(self, job: str) -> Path:
        """Return the folder for the result of a job."""
        return self.job(job) / "result"

    def checkpoint(self, job: str) -> Path:
        """Return the folder for the checkpoint of a job."""
        return self.job(job) / "checkpoint"

    def forget(self, job: str) -> None:
        """Remove what there is of a job."""
        shutil.rmtree(self.job(job), ignore_errors=True)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _name_of(text: str) -> str:
    """Return a name for a folder that no text can lead out of."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _lock_of(home: Path) -> int:
    """Take the lock of a home. Raises OSError: its seat has it, or there is no such home any more."""
    descriptor = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep(homes: Path) -> None:
    """Remove the homes whose seats are no more, which is seen by their locks."""
    for home in homes.iterdir():
        try:
            os.close(_lock_of(home))
        except OSError:  # its seat is alive, or it has been removed meanwhile
            continue
        shutil.rmtree(home, ignore_errors=True)
