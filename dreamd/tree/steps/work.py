"""The folder in which a daemon's claimed pictures wait: `.dreamd/work/<home>/<path in the inbox>`.

The home is the job's id, or that of the batch of pictures that were claimed together. The path below it is the
picture's own, and gives with its batch the job's id, so that the folders alone tell what is claimed by which job and
where it came from.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
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
    remove_if_empty_upwards,
)
from dreamd.files.problems import os_error_explained, shown
from dreamd.files.syncs import sync_folder
from dreamd.job import home_of, id_in_batch, is_batch_id, new_batch_id
from dreamd.tree.layout import HOUSE, WORK, draft_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dreamd.job import Job


@dataclass(frozen=True)
class Taken:
    """What became of pictures that were to be claimed together. One that is in neither is gone, or no regular file.

    Attributes:
        jobs: the ids of the jobs, by the pictures' paths.
        refused: why others, which are still in the inbox, could not be claimed.
        ids: the ids of the jobs.
    """

    jobs: dict[PurePosixPath, str]
    refused: dict[PurePosixPath, DreamdError]
    ids: set[str] = field(default_factory=set)


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
        return self.path.joinpath(one_name(home_of(job.id)), *relative_parts(job.path))

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

    def take_all(self, paths: Iterable[PurePosixPath]) -> Taken:
        """Move pictures from the inbox into the folder of one batch; `take` says what becomes of each."""
        taken = Taken({}, {})
        if not self._inbox.is_dir():
            return taken
        by_folder: dict[PurePosixPath, list[PurePosixPath]] = {}
        for path in paths:
            by_folder.setdefault(path.parent, []).append(path)
        with opened_folder(self._inbox, self._parts, make=True) as work:
            batch = new_batch_id()
            os.mkdir(batch, dir_fd=work)  # it fails where it exists
            try:
                for folder, some in by_folder.items():
                    self._take_of_folder(work, batch, folder, some, taken)
            finally:
                if len({path.parent for path in taken.jobs}) < len(by_folder):
                    remove_empty_folders(Entry(work, batch))
        return taken

    def _take_of_folder(
        self, work: int, batch: str, folder: PurePosixPath, paths: list[PurePosixPath], taken: Taken
    ) -> None:
        """Move pictures of one folder into its batch, and note what has become of each."""
        try:
            parts = folder_parts(folder)
            if parts[:1] == [HOUSE]:
                raise DreamdError(f"{shown(folder)} is dreamd's own: nothing of it can be claimed")
            with opened_folder_if_there(self._inbox, parts) as source:
                if source is None:
                    return
                with opened_folder(work, [batch, *parts], make=True, durable=False) as home:
                    for path in paths:
                        self._take_into(Entry(source, one_name(path.name)), home, batch, path, taken)
        except (OSError, DreamdError) as error:
            for path in paths:
                if path not in taken.jobs:
                    taken.refused.setdefault(path, self._explained(error, path))

    def _take_into(self, picture: Entry, home: int, batch: str, path: PurePosixPath, taken: Taken) -> None:
        job_id = id_in_batch(batch, path)
        try:
            # One that would have another's id is found again, and has another batch then.
            if job_id in taken.ids or not picture.is_regular():
                return
            _check_readable(picture, path)
            if self._move(picture, home, path):
                taken.jobs[path] = job_id
                taken.ids.add(job_id)
        except (OSError, DreamdError) as error:
            taken.refused[path] = self._explained(error, path)

    def _explained(self, error: OSError | DreamdError, path: PurePosixPath) -> DreamdError:
        return error if isinstance(error, DreamdError) else os_error_explained(error, "claim", self._inbox / path)

    def _take(self, picture: Entry, work: int, home_parts: list[str], path: PurePosixPath) -> bool:
        with opened_folder(work, home_parts, make=True, durable=False) as home:
            return self._move(picture, home, path)

    def _move(self, picture: Entry, home: int, path: PurePosixPath) -> bool:
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
        parts = [one_name(home_of(job.id)), *folder_parts(job.folder)]
        with opened_folder(self._inbox, self._parts) as work, opened_folder_if_there(work, parts) as folder:
            original = None if folder is None else Entry(folder, one_name(job.name))
            yield original if original is not None and original.is_regular() else None

    def drop_folder(self, job: Job) -> None:
        """Remove a job's folder once its picture is out of it; a batch's goes with the last one."""
        home = one_name(home_of(job.id))
        with opened_folder(self._inbox, self._parts) as work:
            if home == job.id:
                remove_empty_folders(Entry(work, home))
            else:
                remove_if_empty_upwards(work, [home, *folder_parts(job.folder)])

    def claimed(self) -> Iterator[tuple[str, PurePosixPath]]:
        """Yield everything in work: job ids, oldest first, with the picture's path relative to the inbox."""
        with opened_folder(self._inbox, self._parts) as work:
            for home in names_in(work):
                yield from _jobs_of(work, home)

    def homes(self) -> list[str]:
        """Return the names of the folders of jobs and batches."""
        with opened_folder(self._inbox, self._parts) as work:
            return names_in(work)

    @contextmanager
    def opened_all(self) -> Iterator[int]:
        """Open the work folder. Raises OSError when it is not there."""
        with opened_folder(self._inbox, self._parts) as work:
            yield work

    def tidy(self) -> None:
        """Remove what a kill leaves: empty job folders, and drafts, whose originals are still elsewhere."""
        with opened_folder(self._inbox, self._parts) as work:
            for name in names_in(work):
                with opened_folder_if_there(work, [name]) as home:
                    if home is None:
                        continue
                    for _, _, names, folder in os.fwalk(".", dir_fd=home):
                        for draft in names:
                            if draft.startswith(draft_name(name)):
                                Entry(folder, draft).unlink()
                remove_empty_folders(Entry(work, name))

    def is_with_another(self, job: Job) -> bool:
        """Tell whether another daemon's work folder has the job's picture, or a folder of the job's own."""
        home = one_name(home_of(job.id))
        parts = [home, *folder_parts(job.folder)] if home != job.id else [home]
        with opened_folder(self._inbox, [HOUSE]) as house:
            for other in names_in(house):
                if other.startswith(WORK) and other != self._parts[1]:
                    with opened_folder_if_there(house, [other, *parts]) as folder:
                        if folder is not None and (home == job.id or Entry(folder, one_name(job.name)).is_there()):
                            return True
        return False

    def take_over(self, other: str) -> Iterator[str]:
        """Move all that another daemon had claimed into this work folder, and remove its own; yields the jobs' ids."""
        with (
            opened_folder(self._inbox, [HOUSE]) as house,
            opened_folder_if_there(house, [other]) as left,
            opened_folder(self._inbox, self._parts) as work,
        ):
            for home in () if left is None else names_in(left):
                try:
                    os.rename(home, home, src_dir_fd=left, dst_dir_fd=work)
                except FileNotFoundError:  # another daemon that looks at the same time takes its share
                    continue
                if is_batch_id(home):
                    yield from (job_id for job_id, _ in _jobs_of(work, home))
                else:
                    yield home
            sync_folder(work)
            remove_empty_folders(Entry(house, other))


def _jobs_of(work: int, home: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Yield the jobs whose pictures are in a folder of the work folder, with the pictures' paths in order."""
    with opened_folder_if_there(work, [home]) as folder:
        pictures = [] if folder is None else sorted(files_below(folder))
    is_batch = is_batch_id(home)
    for picture in pictures:
        if not picture.name.startswith(draft_name(home)):
            yield id_in_batch(home, picture) if is_batch else home, picture


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
