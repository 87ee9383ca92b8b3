"""Many results published together: each step is done for all of them, and synced for all at once, before the next.

The steps of one job are those of `Results.publish` and `Spool.finish`, in the same order, so that a kill between any
two of them leaves what `recover_result` and `finish` know:

1. the sidecars are written, and the bytes of all sidecars and pictures are synced;
2. the sidecars get their names, and their folders are synced;
3. the pictures get their names, and their folders are synced;
4. the drafts go, then the originals leave work.

Where the originals go is not synced: should a power cut undo such a rename, then the original is in work again, where
its result is found. Knows folders and jobs; knows no journal. Its threads do nothing but sync.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from dreamd.errors import DreamdError
from dreamd.files.durable import place_new, rename_new, set_mode
from dreamd.files.names import folder_parts, free_names, one_name
from dreamd.files.nofollow import Entry, opened_folder, opened_folder_if_there, remove_if_empty_upwards
from dreamd.files.problems import os_error_explained
from dreamd.files.syncs import sync_folder
from dreamd.job import home_of
from dreamd.tree.layout import HOUSE, SIDECAR, sidecar_name
from dreamd.tree.steps.drafts import Drafts
from dreamd.tree.steps.originals import put_into_done
from dreamd.tree.steps.results import DRAFT_SIDECAR, Results, is_taken

if TYPE_CHECKING:
    from dreamd.job import Job
    from dreamd.tree.layout import Folders
    from dreamd.tree.steps.work import Work

_THREADS = 16
"""The number of threads that sync. A disk syncs many files in little more time than one."""

T = TypeVar("T")

_RECORD = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PICTURE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A result that is to be published, of a job that has none and never failed: nothing of it is anywhere.

    Attributes:
        job: the job.
        stem: what the result is to be named by.
        file: the picture's name in the job's draft folder.
        sidecar: the sidecar's JSON, whose field `job` is the job's id.
        draft: where the job's draft folder is, as `Drafts.place_of` says it.
    """

    job: Job
    stem: str
    file: str
    sidecar: bytes
    draft: str


@dataclass(kw_only=True)
class Placed:
    """What became of a result.

    Attributes:
        wanted: what was to be published.
        name: where it is in the outbox, or is perhaps; None: it has got no name.
        is_out: whether it is there, and on the disk.
        problem: why it is not out; or, when it is, why its original is in work still.
        is_left: whether its original is in work still and nothing is wrong: it has to be copied to another disk.
    """

    wanted: Wanted
    name: PurePosixPath | None = None
    is_out: bool = False
    problem: DreamdError | None = None
    is_left: bool = False

    @property
    def job(self) -> Job:
        """The job."""
        return self.wanted.job


@dataclass
class _Group:
    """Results on their way, and the folders that are open for them.

    Attributes:
        placed: what became of each so far.
        house: the outbox's own folder, with the drafts.
        folders: the outbox's folders, by their paths.
    """

    placed: list[Placed]
    house: int
    folders: dict[PurePosixPath, int] = field(default_factory=dict)

    @property
    def well(self) -> list[Placed]:
        """Those with which nothing is wrong so far."""
        return [one for one in self.placed if one.problem is None]

    def draft(self, one: Placed, name: str) -> Entry:
        """Return a file in a job's draft folder, into which dreamd alone can write."""
        return Entry(self.house, f"{one.wanted.draft}/{name}")

    def target(self, one: Placed) -> Entry:
        """Return the name that a result has got."""
        assert one.name is not None
        return Entry(self.folders[one.job.folder], one.name.name)


class Together:
    """Publishes results together."""

    def __init__(
        self, folders: Folders, results: Results, drafts: Drafts, work: Work, *, most_carried: int | None
    ) -> None:
        """Take the folders, and those whose steps are done for one job when it must go alone."""
        self._folders = folders
        self._results = results
        self._drafts = drafts
        self._work = work
        self._most_carried = most_carried
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="sync")

    def publish(self, wanted: Iterable[Wanted]) -> list[Placed]:
        """Publish results and put their originals away; return what became of each, in their order.

        Raises:
            OSError: the outbox cannot be used at all; nothing was done.
        """
        with ExitStack() as stack:
            house = stack.enter_context(opened_folder(self._folders.outbox, [HOUSE]))
            group = _Group([Placed(wanted=one) for one in wanted], house)
            self._sync_bytes(group)
            self._open_folders(group, stack)
            self._name_sidecars(group)
            self._sync_folders(group)
            self._name_pictures(group)
            self._sync_folders(group)
            for one in group.well:
                one.is_out = True
            self._drop_drafts(group)
            self._put_away(group)
            return group.placed

    # Bytes

    def _sync_bytes(self, group: _Group) -> None:
        """Write the sidecars, and have all bytes on the disk."""
        files = []
        for one in group.placed:
            with _problems_of(one, "publish", self._folders.outbox / one.job.path):
                files.append((one, *self._opened_draft(group, one)))

        def sync(file: tuple[Placed, int, int]) -> OSError | None:
            try:
                os.fsync(file[1])
                os.fsync(file[2])
            except OSError as error:
                return error
            finally:
                os.close(file[1])
                os.close(file[2])
            return None

        for (one, _, _), error in zip(files, self._in_threads(sync, files), strict=True):
            _note(one, error, "publish", self._folders.outbox / one.job.path)

    def _opened_draft(self, group: _Group, one: Placed) -> tuple[int, int]:
        """Write a sidecar's draft; return it and the picture's, open, with the same mode."""
        record, picture = group.draft(one, DRAFT_SIDECAR), group.draft(one, one_name(one.wanted.file))
        record.unlink()
        written = os.open(record.name, _RECORD, 0o666, dir_fd=record.folder)
        try:
            _write(written, one.wanted.sidecar)
            read = os.open(picture.name, _PICTURE, dir_fd=picture.folder)
        except BaseException:
            os.close(written)
            raise
        try:
            status = os.fstat(read)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "is no regular file", one.wanted.file)
            set_mode(read, status, os.fstat(written))
        except BaseException:
            os.close(written)
            os.close(read)
            raise
        return written, read

    # Names

    def _open_folders(self, group: _Group, stack: ExitStack) -> None:
        for one in group.well:
            folder = one.job.folder
            if folder not in group.folders:
                with _problems_of(one, "publish", self._folders.outbox / folder):
                    opened = opened_folder(self._folders.outbox, folder_parts(folder), make=True)
                    group.folders[folder] = stack.enter_context(opened)

    def _name_sidecars(self, group: _Group) -> None:
        for one in group.well:
            with _problems_of(one, "publish", self._folders.outbox / one.job.path):
                self._name_sidecar(group, one)

    def _name_sidecar(self, group: _Group, one: Placed) -> None:
        folder, suffix = group.folders[one.job.folder], PurePosixPath(one.wanted.file).suffix
        one_name(one.wanted.stem + suffix)
        names = free_names(
            one.wanted.stem, suffix, lambda name: is_taken(Entry(folder, name), has_steps=False), reserve=len(SIDECAR)
        )
        for name in names:
            # Known before it is done: whether it was done is asked of the folder when something goes wrong.
            one.name = one.job.folder / name
            try:
                place_new(group.draft(one, DRAFT_SIDECAR), Entry(folder, sidecar_name(name)))
            except FileExistsError:
                continue
            return

    def _name_pictures(self, group: _Group) -> None:
        for one in group.well:
            with _problems_of(one, "publish", self._folders.outbox / one.job.path):
                target = group.target(one)
                try:
                    place_new(group.draft(one, one.wanted.file), target)
                except FileExistsError:  # somebody has put a file there meanwhile
                    target.beside(sidecar_name(target.name)).unlink()
                    self._publish_alone(one)
                except OSError:
                    target.beside(sidecar_name(target.name)).unlink()
                    raise

    def _publish_alone(self, one: Placed) -> None:
        assert one.name is not None
        self._drafts.adopt(one.job.id, one.wanted.draft)
        one.name = self._results.publish(one.job, one.name, one.wanted.file, one.wanted.sidecar, None)

    def _sync_folders(self, group: _Group) -> None:
        wanted = list({one.job.folder: group.folders[one.job.folder] for one in group.well}.items())

        def sync(folder: tuple[PurePosixPath, int]) -> OSError | None:
            try:
                sync_folder(folder[1])
            except OSError as error:
                return error
            return None

        errors = dict(zip((folder for folder, _ in wanted), self._in_threads(sync, wanted), strict=True))
        for one in group.well:
            _note(one, errors[one.job.folder], "publish in", self._folders.outbox / one.job.folder)

    # Afterwards

    def _drop_drafts(self, group: _Group) -> None:
        for one in group.well:
            with _problems_of(one, "put away", self._work.path_of(one.job)):
                for name in (DRAFT_SIDECAR, one.wanted.file):
                    group.draft(one, name).unlink()
                self._drafts.adopt(one.job.id, one.wanted.draft)
                self._drafts.empty(one.job.id)

    def _put_away(self, group: _Group) -> None:
        """Put the originals away, folder by folder."""
        together: dict[tuple[str, PurePosixPath], list[Placed]] = {}
        for one in group.well:
            together.setdefault((home_of(one.job.id), one.job.folder), []).append(one)
        for (home, folder), some in together.items():
            try:
                self._put_away_of(home, folder, some)
            except (OSError, DreamdError) as error:
                for one in some:
                    if one.problem is None and not one.is_left:
                        _note(one, error, "put away", self._work.path_of(one.job))

    def _put_away_of(self, home: str, folder: PurePosixPath, some: Sequence[Placed]) -> None:
        parts = [one_name(home), *folder_parts(folder)]
        with self._work.opened_all() as work:
            with ExitStack() as stack:
                source = stack.enter_context(opened_folder_if_there(work, parts))
                if source is None:
                    return
                target = None
                if self._folders.done is not None:
                    target = stack.enter_context(opened_folder(self._folders.done, folder_parts(folder), make=True))
                for one in some:
                    with _problems_of(one, "put away", self._work.path_of(one.job)):
                        self._move(one, Entry(source, one_name(one.job.name)), target)
            remove_if_empty_upwards(work, parts)

    def _move(self, one: Placed, original: Entry, done: int | None) -> None:
        if done is None:
            original.unlink()
            return
        try:
            rename_new(original, Entry(done, original.name))
        except FileNotFoundError:  # somebody has put it away
            return
        except FileExistsError:
            assert self._folders.done is not None
            put_into_done(original, one.job, self._folders.done, most_carried=self._most_carried)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            one.is_left = True

    def _in_threads(self, sync: Callable[[T], OSError | None], things: Sequence[T]) -> list[OSError | None]:
        """Sync things, in threads where there are several."""
        return list(map(sync, things) if len(things) < 2 else self._threads.map(sync, things))


@contextmanager
def _problems_of(one: Placed, doing: str, path: Path) -> Iterator[None]:
    """Note what goes wrong inside with one result; the others go on."""
    try:
        yield
    except (OSError, DreamdError) as error:
        _note(one, error, doing, path)


def _note(one: Placed, error: OSError | DreamdError | None, doing: str, path: Path) -> None:
    if error is not None:
        one.problem = os_error_explained(error, doing, path) if isinstance(error, OSError) else error


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
