"""The folders: claim a picture, publish its result, put the original away.

The folders are the truth. Each step is one rename, or a draft that is written, synced and then renamed into place, so
that a picture is in exactly one of inbox, work, done and failed, whatever is killed and whenever. After a kill the
daemon asks `claimed` what is in work, and `recover_result` which of those have their result already. The order of the
steps, and what a kill between any two of them leaves, stands beside them.

Knows folders and jobs. Knows no journal, recipe, watch or picture format, and takes names for bytes: they may be no
UTF-8, hold newlines or start with a dash.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from dreamd.errors import ConfigError, DreamdError
from dreamd.files.problems import os_errors_explained, refusal, shown
from dreamd.job import Job, JobState
from dreamd.tree.layout import DRAFTS, HOUSE, WORK, Folders, drafts_name, lock_file, work_name
from dreamd.tree.lock import Lock, lock, lock_if_free
from dreamd.tree.steps.attempts import SharedAttempts
from dreamd.tree.steps.drafts import Drafts
from dreamd.tree.steps.failure_search import failed_among
from dreamd.tree.steps.originals import Failures, is_on_another_disk, put_into_done
from dreamd.tree.steps.results import Results
from dreamd.tree.steps.sidecars import SidecarIndex
from dreamd.tree.steps.together import Placed, Together, Wanted
from dreamd.tree.steps.work import Taken, Work

log = logging.getLogger(__name__)


class Spool:
    """The steps of a picture through the folders.

    Paths of pictures are relative to the inbox; one that is absolute or holds `..` is refused with a `DreamdError`.
    Every step raises `SpaceError` when a disk or quota is full, and a `FolderError` that names the path when it has no
    right to a folder, the disk fails or the share is away. Every step may be tried again, after a kill or an error, and
    then goes on.
    """

    def __init__(
        self,
        folders: Folders,
        *,
        share: str | None = None,
        most_carried: int | None = None,
        drafts: str = DRAFTS,
    ) -> None:
        """Set up the spool of a daemon.

        Args:
            folders: the folders.
            share: a name of this daemon's own when several share the inbox; each keeps what it claimed apart, so that
                none takes another's work for something that a crash left. None: this daemon is alone.
            most_carried: of an original, no more bytes than this are copied to another filesystem; None: any number.
            drafts: the name of the folder for drafts in the outbox's `.dreamd`, which no other daemon has.
        """
        self.folders = folders
        self.share = share
        self._come: list[str] = []
        self._work = Work(folders.inbox, work_name(share))
        self._attempts = SharedAttempts(folders.inbox, share)
        self.drafts = Drafts(folders.outbox, drafts)
        self._results = Results(folders.outbox, self.drafts)
        self._failures = Failures(folders.failed, most_carried=most_carried)
        self.most_carried = most_carried
        self._together = Together(folders, self._results, self.drafts, self._work, most_carried=most_carried)

    def prepare(self) -> None:
        """Make every folder but the inbox, which may be a disk that is not mounted.

        Raises:
            ConfigError: the inbox is not there.
        """
        inbox = self.folders.inbox
        with os_errors_explained("prepare the folders of", inbox):
            if not inbox.is_dir():
                raise ConfigError(
                    f"the folder {shown(inbox)} is not there: make it, or mount its disk", field=("inbox",)
                )
            for folder in (self.folders.outbox, self.folders.failed, self.folders.done):
                if folder is not None:
                    folder.mkdir(parents=True, exist_ok=True)
            self._results.prepare()
            self._work.prepare()

    def has_worked(self) -> bool:
        """Tell whether pictures were claimed here before, by the folders that are made for them."""
        return any((self.folders.inbox / HOUSE).glob(f"{WORK}*"))

    def lock(self) -> Lock:
        """Take the inbox for this process, after `prepare`, and take over what daemons that are gone had claimed.

        A daemon that shares holds the inbox's lock together with the others, and one of its own. A daemon that does not
        is alone.

        Raises:
            DreamdError: another daemon has it, and one of the two does not share.
        """
        inbox = self.folders.inbox
        taken = (
            f"another dreamd ({{holder}}) works on {shown(inbox)}: stop it, give this one an inbox of its own, "
            "or run both with --share and a state folder each"
        )
        held = lock(lock_file(inbox), shared=self.share is not None, taken=taken)
        try:
            if self.share is not None:
                held += lock(lock_file(inbox, self.share), taken=taken)
            with os_errors_explained("prepare", self._work.path):
                self._work.prepare()  # until the lock was had, another daemon could take the folder for a left one
                self._attempts.read_own()
            self._come.extend(self._moved_over())
        except BaseException:
            held.close()
            raise
        return held

    @property
    def is_shared(self) -> bool:
        """Whether other daemons may work on the inbox beside this one."""
        return self.share is not None

    def take_over(self) -> Iterator[str]:
        """Move what daemons that are gone had claimed into this one's work; yields the jobs' ids, and of those first
        that came when the lock was taken.

        One that is alive has its own file locked. Nobody works in the folder of a daemon that does not share while this
        one has the inbox's lock.
        """
        while self._come:
            yield self._come.pop()
        yield from self._moved_over()

    def _moved_over(self) -> Iterator[str]:
        house = self.folders.inbox / HOUSE
        with os_errors_explained("take over", house):
            for other in sorted(house.glob(f"{WORK}*")):
                if other == self._work.path:
                    continue
                if other.name == WORK:
                    yield from self._work.take_over(other.name)
                    continue
                file = lock_file(self.folders.inbox, other.name.removeprefix(f"{WORK}-"))
                if (free := lock_if_free(file)) is not None:
                    name = other.name.removeprefix(f"{WORK}-")
                    with free:
                        self._attempts.take_over(name)
                        yield from self._work.take_over(other.name)
                        self._attempts.drop(name)
                        self._clear_drafts_of(drafts_name(name))
                        file.unlink()

    def note_attempts(self, job: Job) -> None:
        """Take note of a job that has changed, for the daemons that might take it over."""
        self._attempts.note(job)

    def write_attempts(self) -> None:
        """Write down for other daemons how often jobs were begun; before a worker hears of one. Nothing when alone."""
        with os_errors_explained("write", self.folders.inbox / HOUSE):
            self._attempts.write()

    def attempts_of(self, job_id: str, *, known: int | None) -> int:
        """Return how often a claimed job was begun, by whichever daemon.

        Args:
            job_id: the job.
            known: what this daemon's own journal says; None: nothing.
        """
        return self._attempts.of(job_id, known=known)

    # In work

    def claim(self, path: PurePosixPath, job_id: str) -> bool:
        """Take a picture out of the inbox: one rename to `.dreamd/work/<job_id>/<path>`.

        Nothing is synced: should a power cut undo the rename, then the picture is in the inbox again, and is claimed
        again. A kill before the rename leaves an empty job folder, which `tidy` removes.

        Args:
            path: the picture, relative to the inbox.
            job_id: new; no two claims may share one.

        Returns:
            False when the file is gone, or is no regular file. Symlinks are never followed, on no part of the way.
        """
        with os_errors_explained("claim", self.folders.inbox / path):
            return self._work.take(path, job_id)

    def claim_all(self, paths: Iterable[PurePosixPath]) -> Taken:
        """Take pictures out of the inbox together: a rename each, to `.dreamd/work/<batch>/<path>`.

        What holds for `claim` holds for each of them. A kill between two renames leaves the first one claimed, and the
        second one in the inbox.
        """
        with os_errors_explained("claim pictures of", self.folders.inbox):
            return self._work.take_all(paths)

    def work_path(self, job: Job) -> Path:
        """Return where a claimed picture waits."""
        return self._work.path_of(job)

    def check_there(self) -> None:
        """Raise a `FolderError` when the work folder is not there: the share or disk of the inbox is away then."""
        with os_errors_explained("look for", self._work.path):
            self._work.check_there()

    def is_claimed(self, job: Job) -> bool:
        """Tell whether a job's picture is in work."""
        with os_errors_explained("look for", self.work_path(job)), self._work.opened(job) as original:
            return original is not None

    def is_with_another(self, job: Job) -> bool:
        """Tell whether a daemon that shares the inbox has taken over a job's picture."""
        with os_errors_explained("look for", self.work_path(job)):
            return self._work.is_with_another(job)

    def claimed(self) -> Iterator[tuple[str, PurePosixPath]]:
        """Yield everything in work: job ids, oldest first, with the picture's path relative to the inbox.

        This is what recovery goes by. A job that the journal has and this has not was never claimed, or its original
        is put away already. A job that is done in the journal and still here needs `finish` once more.
        """
        with os_errors_explained("read", self._work.path):
            yield from self._work.claimed()

    def tidy(self) -> None:
        """Remove what a kill leaves: empty folders and drafts in work, and the drafts of results."""
        with os_errors_explained("tidy", self._work.path):
            self._work.tidy()
            homes = self._work.homes()
        self.drop_drafts()
        self._clear_drafts_of(*homes)  # an earlier version kept drafts by the jobs' ids

    def drop_drafts(self) -> None:
        """Remove all drafts of this daemon, for which no worker runs."""
        self.drafts.forget()
        self._clear_drafts_of(self.drafts.name)

    def _clear_drafts_of(self, *names: str) -> None:
        """Remove folders of drafts, unless the outbox is away: that is no reason not to go on."""
        try:
            for name in names:
                self.drafts.clear_of(name)
        except OSError as error:
            log.debug("drafts stay in the outbox: %s", refusal(error))

    # Results

    def temporary(self, job: Job) -> Path:
        """Make a fresh, empty folder for a worker's result, on the outbox's filesystem."""
        with os_errors_explained("make drafts in", self.folders.outbox / HOUSE):
            return self.drafts.give(job.id)

    def result_name(self, job: Job, stem: str, extension: str, *, has_steps: bool = False) -> PurePosixPath:
        """Return a free name for a result, relative to the outbox: `cat.jpg`, else `cat-2.jpg`, and so on.

        A name is taken when the picture or its sidecar is there, or the film strip of one that has such. A stem that
        is too long is cut, at a character, so that all their names fit.

        Args:
            job: its folder is the result's folder.
            stem: the name without extension.
            extension: "jpg" or ".jpg".
            has_steps: whether the result has a film strip.
        """
        with os_errors_explained("look for a free name in", self.folders.outbox / job.folder):
            return self._results.free_name(job, stem, extension, has_steps=has_steps)

    def publish(
        self, job: Job, result: PurePosixPath, file: str, sidecar: bytes, *, steps: str | None = None
    ) -> PurePosixPath:
        """Put a result into the outbox, whole and never over another file.

        All files are synced before they get their names. The sidecar, which names the job, comes first, and a film
        strip second: a kill before the picture has its name leaves those alone, which `recover_result` removes, and a
        kill after it leaves a result that `recover_result` finds. So a job never gets a second result.

        Args:
            job: the job.
            result: the name it shall have, from `result_name`.
            file: the name of the finished picture in the folder from `temporary`.
            sidecar: the sidecar's JSON, whose field `job` is the job's id, and whose field `steps` says whether there
                is a film strip.
            steps: the name of the film strip in that folder; None for none.

        Returns:
            The name it got: the next free one, if `result` was taken meanwhile. Publishing again, after a kill or an
            error, gives the name that the job's result has already.
        """
        with os_errors_explained("publish", self.folders.outbox / result):
            return self._results.publish(job, result, file, sidecar, steps)

    def publish_together(self, wanted: Iterable[Wanted]) -> list[Placed]:
        """Publish results as `publish` does, and put their originals away as `finish` does, for many jobs at once.

        Each job has no result and never failed. What goes wrong with one is said of that one, and the others go on.
        """
        with os_errors_explained("publish in", self.folders.outbox):
            return self._together.publish(wanted)

    def recover_result(self, job: Job, stem: str, index: SidecarIndex | None = None) -> PurePosixPath | None:
        """Return the job's result in the outbox, if it is there; a sidecar of the job without its picture is removed.

        Without `job.result` it looks through the sidecars of the folder that begin with `stem`, which reads the folder.

        Args:
            job: the job.
            stem: that its result was to be named by.
            index: reads each folder once, for whoever asks for many jobs before anything is published.
        """
        with os_errors_explained("look for the result of", self.folders.inbox / job.path):
            return self._results.recover(job, stem, index)

    # Originals

    def finish(self, job: Job) -> None:
        """Put the original of a published job into `done`, or delete it, and tidy up. Doing it twice is harmless.

        The draft goes first, so that a kill before the rename leaves the original in work and its result in the
        outbox, for `recover_result` and `finish` again, and a kill after it leaves empty folders only.
        """
        with os_errors_explained("put away", self.work_path(job)):
            self.drafts.drop(job.id)
            with self._work.opened(job) as original:
                if original is not None:
                    self._failures.drop_trace(job, original)
                    if self.folders.done is None:
                        original.unlink()
                    else:
                        put_into_done(original, job, self.folders.done, most_carried=self.most_carried)
            self._work.drop_folder(job)

    def is_slow_to_put_away(self, job: Job) -> bool:
        """Tell whether putting away a finished job's original takes a copy to another filesystem."""
        root = self.folders.done if job.state is JobState.DONE else self.folders.failed
        with os_errors_explained("put away", self.work_path(job)), self._work.opened(job) as original:
            return root is not None and original is not None and is_on_another_disk(original, root)

    def fail(self, job: Job, reason: str) -> Path:
        """Put the original into `failed`, with `<name>.reason.txt` beside it. Doing it twice is harmless.

        The reason comes first: a kill after it leaves the original in work, still claimable, and a reason that names
        the job, which the next `fail` takes over and `finish` removes. So nothing is in `failed` unexplained.

        Returns:
            Where the original is now.

        Raises:
            DreamdError: the original is not in work.
        """
        with os_errors_explained("put away", self.work_path(job)):
            self.drafts.discard(job.id)
            with self._work.opened(job) as original:
                kept = self._failures.find(job) if original is None else self._failures.put(original, job, reason)
            if kept is None:
                raise DreamdError(f"{shown(self.work_path(job))} is gone: somebody took it while it was worked on")
            self._work.drop_folder(job)
            return kept

    def failed_among(self, jobs: Iterable[Job]) -> frozenset[str]:
        """Return the ids of those jobs whose originals are among the failed ones still, for `dreamd retry` to find."""
        with os_errors_explained("look through", self.folders.failed):
            return failed_among(jobs, self.folders.failed)
