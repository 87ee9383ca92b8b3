"""The names in a tree and where things lie in it. Nothing else knows them. Knows no file's content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamd.settings.config import Config

HOUSE = ".dreamd"
"""dreamd's own folder in the inbox and in the outbox has this name."""

UPLOADS = "uploads"
"""The folder in the inbox's `.dreamd` where a browser's pictures are written."""

WORK = "work"
"""The folder in the inbox's `.dreamd` where claimed pictures wait; a daemon that shares adds its own name."""

DRAFTS = "drafts"
"""What the folders for results that are not whole yet begin with, in the outbox's `HOUSE`."""

TRASH = "trash"
"""The folder in the outbox's `.dreamd` where deleted results lie, each in a folder named by its job."""

LOCK = "lock"
"""The file in the inbox's `.dreamd` that a running daemon has locked; a daemon that shares has one of its own too."""

MARK = "inbox-id"
"""The file in the inbox's `.dreamd` that tells this inbox from any other folder."""

SIDECAR = ".json"
"""A result's sidecar has the result's name with this ending."""

STEPS = ".steps.jpg"
"""A result's film strip has the result's name with this ending."""

REASON = ".reason.txt"
"""The file beside a failed original that says why has the original's name with this ending."""


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where pictures go.

    Attributes:
        inbox: where they arrive; the claimed ones wait in `.dreamd/work` below it.
        outbox: where results appear; drafts of them are in `.dreamd` below it.
        failed: where the originals of failed jobs go, each with its reason beside it.
        done: where the originals of done jobs go; None to delete them.
    """

    inbox: Path
    outbox: Path
    failed: Path
    done: Path | None

    @classmethod
    def of(cls, config: Config) -> Folders:
        """Return the folders that a config names."""
        return cls(inbox=config.inbox, outbox=config.outbox, failed=config.failed, done=config.originals)


@dataclass(frozen=True)
class StateFolder:
    """Where things lie in the folder `state`.

    Attributes:
        path: the folder.
    """

    path: Path

    @property
    def journal(self) -> Path:
        """The journal's database; its log and index lie beside it."""
        return self.path / "journal.sqlite3"

    @property
    def identity(self) -> Path:
        """What tells the inbox that this state folder belongs to, and the name of its daemon."""
        return self.path / "tree.json"

    @property
    def loading(self) -> Path:
        """What says which plugin the daemon is loading, and which ones ended it by that."""
        return self.path / "loading.json"

    @property
    def lock(self) -> Path:
        """The file that the daemon has locked while it runs; it says which process that is."""
        return self.path / "lock"

    @property
    def status(self) -> Path:
        """The daemon's state, for `dreamd status` and the page."""
        return self.path / "status.json"

    @property
    def catalogue(self) -> Path:
        """What the plugins bring, as the last worker said."""
        return self.path / "catalogue.json"

    @property
    def schema(self) -> Path:
        """The JSON Schema of recipes, for editors."""
        return self.path / "recipe.schema.json"

    @property
    def checkpoints(self) -> Path:
        """The state of long dreams, one folder a job."""
        return self.path / "checkpoints"

    @property
    def previews(self) -> Path:
        """Small pictures of the dreams that go on, `JOB.jpg`."""
        return self.path / "preview"

    @property
    def receipts(self) -> Path:
        """What the API has given out for the pictures that it took, one file each."""
        return self.path / "receipts"

    @property
    def comparisons(self) -> Path:
        """Which jobs are looked at side by side on the page, one file a comparison."""
        return self.path / "comparisons"

    @property
    def fetches(self) -> Path:
        """What persons want of weights that are not here, one file a backbone."""
        return self.path / "fetches"

    @property
    def thumbnails(self) -> Path:
        """Small pictures for the page."""
        return self.path / "thumbnails"

    @property
    def sheets(self) -> Path:
        """The dreams of `dreamd atlas` and `dreamd sweep`, small, with what is known of each sheet."""
        return self.path / "sheets"


def lock_file(inbox: Path, share: str | None = None) -> Path:
    """Return the file that a daemon has locked while it runs; with `share`, the one of a daemon that shares."""
    return inbox / HOUSE / (LOCK if share is None else f"{LOCK}-{share}")


def attempts_name(share: str) -> str:
    """Return the name of the file in the inbox's `.dreamd` that tells how often a daemon's jobs were begun."""
    return f"attempts-{share}"


def work_name(share: str | None) -> str:
    """Return the name of a daemon's work folder in the inbox's `.dreamd`."""
    return WORK if share is None else f"{WORK}-{share}"


def drafts_name(daemon: str) -> str:
    """Return the name of the folder, in the outbox's `.dreamd`, in which a daemon's results are written."""
    return f"{DRAFTS}-{daemon}"


def sidecar_name(result: str) -> str:
    """Return the name of a result's sidecar."""
    return f"{result}{SIDECAR}"


def steps_name(result: str) -> str:
    """Return the name of a result's film strip."""
    return f"{result}{STEPS}"


def trash_folder(job_id: str) -> PurePosixPath:
    """Return where a job's result lies once it was deleted, relative to the outbox."""
    return PurePosixPath(HOUSE, TRASH, job_id)


def reason_name(picture: str) -> str:
    """Return the name of the file that says why a picture failed."""
    return f"{picture}{REASON}"


def draft_name(job_id: str) -> str:
    """Return the name of a job's draft in a folder of results or originals, which a kill may leave there."""
    return f"{HOUSE}-{job_id}"
