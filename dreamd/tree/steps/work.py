"""The folder in which a daemon's claimed pictures wait: `.dreamd/work/<job id>/<path in the inbox>`.

A job's id is the name of its folder, and the path below it is the picture's own, so that the folders alone tell what is
claimed and where it came from.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dreamd.errors import DreamdError, FolderError
from dreamd.files.durable import rename_new
from dreamd.files.names import folder_parts, free_names, one_name, relative_parts, split_name
from dreamd.files.nofollow import (
    Entry,
    files_below,
    make_private,
    names_in,
    opened_folder,
    opened_folder_if_there,
    remove_empty_folders,
)
from dreamd.files.problems import shown
from dreamd.files.syncs import sync_folder
from dreamd.tree.layout import HOUSE, WORK, draft_name

if TYPE_CHECKING:
    from dreamd.job import Job


class Work:
    """The work folder of one daemon."""

    def __init__(self, inbox: Path, name: str) -> None:
        """Set up the work folder `name` in the inbox's `.dreamd`."""
        self._inbox = inbox
        self._parts = (HOUSE, name)
        self.path = inbox.joinpath(*self._parts)

    def prepare(self) -> None:
        """Make the folder, and let nobody else into the inbox's `.dreamd`.

        Who may write into the inbox could otherwise swap what is claimed.
        """
        with opened_folder(self._inbox, [HOUSE], make=True) as house:
            make_private(house, heritable=False)
        with opened_folder(self._inbox, self._parts, make=True):
            return

    def check_there(self) -> None:
        """Raise an `OSError` when the folder is not there, or cannot be opened."""
        with opened_folder(self._inbox, self._parts):
            pass

    def path_of(self, job: Job) -> Path:
        """Return where a claimed picture waits."""
        return self.path.joinpath(one_name(job.id), *relative_parts(job.path))

    def take(self, path: PurePosixPath, job_id: str) -> bool:
        """Move a picture from the inbox into a job's folder; False when it is gone, or is no regular file.

        Raises:
            DreamdError: it may not be read: it stays where its owner can change that.
        """
        parts = relative_parts(path)
        if parts[0] == HOUSE:
            raise DreamdError(f"{shown(path)} is dreamd's own: it cannot be claimed")
        if not self._inbox.is_dir():  # a share that is away: its pictures are found again
            return False
        with opened_folder_if_there(self._inbox, parts[:-1]) as source:
            if source is None or not Entry(source, parts[-1]).is_regular():
                return False
            _check_readable(Entry(source, parts[-1]), path)
            with opened_folder(self._inbox, self._parts, make=True) as work:
                # It fails where it exists: a rename into another job's folder could replace its picture.
                os.mkdir(one_name(job_id), dir_fd=work)
                is_taken = False
                try:
                    is_taken = self._take(Entry(source, parts[-1]), work, [job_id, *parts[:-1]], path)
                finally:
                    if not is_taken:
                        remove_empty_folders(Entry(work, job_id))
                return is_taken

    def _take(self, picture: Entry, work: int, home_parts: list[str], path: PurePosixPath) -> bool:
        with opened_folder(work, home_parts, make=True, durable=False) as home:
            try:
                os.rename(picture.name, picture.name, src_dir_fd=picture.folder, dst_dir_fd=home)
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno == errno.EXDEV:
                    raise _another_filesystem(path) from error
                raise
            taken = Entry(home, picture.name)
            if taken.is_regular():
                return True
            # Somebody put a symlink there between the look and the rename.
            self._put_back(taken, path)
            return False

    def _put_back(self, original: Entry, path: PurePosixPath) -> None:
        """Move a picture back to its place in the inbox, under another name if its own is taken."""
        parts = relative_parts(path)
        with opened_folder(self._inbox, parts[:-1], make=True) as folder:
            for name in free_names(*split_name(parts[-1]), lambda name: Entry(folder, name).is_there()):
                try:
                    rename_new(original, Entry(folder, name))
                    break
                except FileExistsError:
                    continue
            sync_folder(folder)

    @contextmanager
    def opened(self, job: Job) -> Iterator[Entry | None]:
        """Open the folder of a job's picture; yields the picture, None when it is not there.

        Raises:
            OSError: the work folder itself is not there, so that nothing can be said about the picture.
        """
        parts = [one_name(job.id), *folder_parts(job.folder)]
        with opened_folder(self._inbox, self._parts) as work, opened_folder_if_there(work, parts) as folder:
            original = None if folder is None else Entry(folder, one_name(job.name))
            yield original if original is not None and original.is_regular() else None

    def drop_folder(self, job: Job) -> None:
        """Remove a job's folder once its picture is out of it."""
        with opened_folder(self._inbox, self._parts) as work:
            remove_empty_folders(Entry(work, one_name(job.id)))

    def claimed(self) -> Iterator[tuple[str, PurePosixPath]]:
        """Yield everything in work: job ids, oldest first, with the picture's path relative to the inbox."""
        with opened_folder(self._inbox, self._parts) as work:
            for job_id in names_in(work):
                with opened_folder_if_there(work, [job_id]) as home:
                    pictures = [] if home is None else sorted(files_below(home))
                for picture in pictures:
                    if picture.name != draft_name(job_id):
                        yield job_id, picture

    def tidy(self) -> None:
        """Remove what a kill leaves: empty job folders, and drafts, whose originals are still elsewhere."""
        with opened_folder(self._inbox, self._parts) as work:
            for job_id in names_in(work):
                with opened_folder_if_there(work, [job_id]) as home:
                    if home is None:
                        continue
                    for _, _, names, folder in os.fwalk(".", dir_fd=home):
                        if draft_name(job_id) in names:
                            Entry(folder, draft_name(job_id)).unlink()
                remove_empty_folders(Entry(work, job_id))

    def is_with_another(self, job: Job) -> bool:
        """Tell whether another daemon's work folder has a folder of the job's."""
        with opened_folder(self._inbox, [HOUSE]) as house:
            for other in names_in(house):
                if other.startswith(WORK) and other != self._parts[1]:
                    with opened_folder_if_there(house, [other, one_name(job.id)]) as home:
                        if home is not None:
                            return True
        return False

    def take_over(self, other: str) -> Iterator[str]:
        """Move all that another daemon had claimed into this work folder, and remove its own; yields the jobs' ids."""
        with (
            opened_folder(self._inbox, [HOUSE]) as house,
            opened_folder_if_there(house, [other]) as left,
            opened_folder(self._inbox, self._parts) as work,
        ):
            for job_id in () if left is None else names_in(left):
                try:
                    os.rename(job_id, job_id, src_dir_fd=left, dst_dir_fd=work)
                except FileNotFoundError:  # another daemon that looks at the same time takes its share
                    continue
                yield job_id
            sync_folder(work)
            remove_empty_folders(Entry(house, other))


def _another_filesystem(path: PurePosixPath) -> FolderError:
    return FolderError(
        f"cannot claim {shown(path)}: its folder is on another filesystem than the inbox, and a picture is claimed by "
        "a rename; mount the whole inbox as one filesystem, or make that folder the inbox of a dreamd of its own"
    )


def _check_readable(picture: Entry, path: PurePosixPath) -> None:
    """Raise a DreamdError when a picture may not be read, which says what its owner can do about it."""
    try:
        picture.open().close()
    except PermissionError as error:
        status = picture.status()
        if status is None:  # it is gone again, as the claim will find
            return
        is_in_group = status.st_gid in (os.getegid(), *os.getgroups())
        remedy = "`chmod g+r` it" if is_in_group else "`chmod a+r` it, or give it a group that dreamd is in"
        mode = stat.S_IMODE(status.st_mode)
        raise DreamdError(
            f"{shown(path)}: its owner ({_user_name(status.st_uid)}) lets dreamd ({_user_name(os.geteuid())}) not read "
            f"it (mode {mode:04o}): {remedy}, and it is taken by itself"
        ) from error
    except FileNotFoundError:  # as the claim will find too
        return


def _user_name(uid: int) -> str:
    """Return the name of a user, or the number of one who has none here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
