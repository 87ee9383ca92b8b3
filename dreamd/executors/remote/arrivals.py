"""Results and previews that come from a seat elsewhere, written where the daemon looks for them."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path

from dreamd.executors.remote.cluster import Glimpse, Saying
from dreamd.files.durable import draft_of
from dreamd.files.names import one_name
from dreamd.files.problems import refusal

log = logging.getLogger(__name__)


def write_result(saying: Saying, folder: Path, read: Callable[[str, int], bytes]) -> None:
    """Write the files of a result, each whole and on disk.

    Args:
        saying: what was said of it.
        folder: the folder of its order.
        read: reads a piece of a file that did not come along, from an offset on.

    Raises:
        OSError: the folder cannot be written.
        HostLostError: the machine is gone before all of it has come.
    """
    for name, data in saying.files.items():
        with draft_of(folder / one_name(name), durable=True) as draft:
            draft.write_bytes(data)
    for name, length in saying.lengths.items():
        with draft_of(folder / one_name(name), durable=True) as draft, draft.open("wb") as file:
            while file.tell() < length:
                if not (piece := read(name, file.tell())):
                    raise OSError(errno.EIO, "it ended too early on its way", name)
                file.write(piece)


def write_preview(glimpse: Glimpse, folder: Path) -> None:
    """Write a preview. One that cannot be written is none: it ends no dream."""
    try:
        with draft_of(folder / one_name(glimpse.name), durable=False) as draft:
            draft.write_bytes(glimpse.data)
    except OSError as error:
        log.warning("no preview: %s", refusal(error))
