"""Folders of drop-in plugins as bytes, so that seats elsewhere have the same as the daemon."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from dreamd.plugin_host.finding.drop_ins import paths_of

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in a bundle, so that equal plugins are equal bytes."""

_WRITABLE_BY_OTHERS = 0o022
"""The mode of what others could have written; it is not run, here or elsewhere."""


def packed_plugins(folders: Sequence[Path]) -> tuple[bytes, str]:
    """Pack folders of plugins.

    Returns:
        The bundle, in which the folders have the names 0, 1, 2 …; and its SHA-256. Equal plugins give equal bytes.

    Raises:
        OSError: a file cannot be read.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as bundle:
        for number, folder in enumerate(folders):
            for path in paths_of(folder) if folder.is_dir() else ():
                _add(bundle, path, f"{number}/{path.relative_to(folder)}" if path != folder else str(number))
    data = packed.getvalue()
    return data, hashlib.sha256(data).hexdigest()


def _add(bundle: zipfile.ZipFile, path: Path, name: str) -> None:
    status = path.stat()
    is_folder = stat.S_ISDIR(status.st_mode)
    member = zipfile.ZipInfo(name + ("/" if is_folder else ""), _EPOCH)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (0, os.getuid()):
        mode |= _WRITABLE_BY_OTHERS
    member.external_attr = mode << 16
    bundle.writestr(member, b"" if is_folder else path.read_bytes())


def unpacked_plugins(data: bytes, digest: str, count: int, below: Path) -> tuple[Path, ...]:
    """Unpack a bundle, unless that was done before; return its folders.

    Args:
        data: the bundle.
        digest: its SHA-256.
        count: how many folders it is of.
        below: where bundles are kept, each below its digest.

    Raises:
        OSError: it cannot be written.
    """
    home = below / digest
    if not home.is_dir():
        below.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(tempfile.mkdtemp(prefix=".bundle-", dir=below))
        try:
            _unpack(data, draft)
            draft.rename(home)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not home.is_dir():  # else another seat of this machine was faster
                raise
    return tuple(home / str(number) for number in range(count))


def _unpack(data: bytes, folder: Path) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            bundle.extractall(folder)
            for member in bundle.infolist():
                (folder / member.filename).chmod(member.external_attr >> 16)
    except zipfile.BadZipFile as error:
        raise OSError(errno.EIO, "the plugins were damaged on their way") from error
