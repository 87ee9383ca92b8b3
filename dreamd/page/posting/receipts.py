"""Receipts: what a program is given for a picture that it posted, which leads to the picture's job later.

A receipt is a file of its own in the state folder, so that it outlives the page and the daemon, and no job has to know
of it. The daemon claims a picture by its path. So the job of a receipt is the first one that claimed this path after
the picture got it; a retry gives the picture back to the inbox, and leads to the next such job. Knows the journal and
the folders; knows no HTTP.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from dreamd.errors import DreamdError
from dreamd.files.durable import draft_of
from dreamd.job import Job, JobState, new_job_id
from dreamd.json_text import to_json
from dreamd.page.ids import IdKind
from dreamd.tree.journal import Journal
from dreamd.tree.layout import HOUSE, UPLOADS, StateFolder

KEPT_SECONDS = 30 * 86_400
"""The time in seconds for which a receipt is kept after it was last changed."""

_IDS = IdKind("p", 15)
"""A receipt's id is random, or a key's digest: nobody meets another's by chance."""

_RANDOM_DIGITS = 4
"""The last digits of a job's id, which are random; those before them are the time in milliseconds."""

_LARGEST_DIGIT = "z"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """One picture that was posted.

    Attributes:
        id: what the program was given.
        owner: the name of the token that posted it; "" for a person's.
        asked: what the program asked for, so that the same key is not taken for something else.
        path: the picture's path in the inbox.
        draft: the name of the upload's draft while it is not known whether it was renamed to that path; "" when it was.
        since: an id that only jobs which claimed the path earlier are below.
        job: the id of the picture's job, when it was last looked for; "" when there was none.
        is_done: whether that job was done then.
    """

    id: str
    owner: str
    asked: str
    path: str
    draft: str
    since: str
    job: str = ""
    is_done: bool = False


def receipt_id(owner: str, key: str | None) -> str:
    """Return the id of a receipt: by the key that its program chose for it, or a new one."""
    if key is None:
        return _IDS.new()
    return _IDS.of(hashlib.sha256(f"{owner}\0{key}".encode("utf-8", "surrogatepass")).hexdigest())


def is_receipt_id(text: str) -> bool:
    """Tell whether a text may be the id of a receipt, and so is a harmless name of a file."""
    return _IDS.has(text)


class Receipts:
    """The receipts of one tree. Reads and writes files: call it from a thread."""

    def __init__(self, state_folder: Path, inbox: Path) -> None:
        self._folder = StateFolder(state_folder).receipts
        self._uploads = inbox / HOUSE / UPLOADS

    def find(self, receipt_id: str) -> Receipt | None:
        """Return a receipt; None when there is none, or when its picture never came into the inbox."""
        if not is_receipt_id(receipt_id):
            return None
        try:
            receipt = Receipt(**json.loads(self._file(receipt_id).read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise DreamdError(f"the receipt {self._file(receipt_id)} cannot be read: {error}; remove it") from error
        return receipt if not receipt.draft else self._settled(receipt)

    def save(self, receipt: Receipt) -> None:
        """Keep a receipt, so that a power cut does not lose it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with draft_of(self._file(receipt.id), durable=True) as draft:
            draft.write_text(to_json(asdict(receipt)), encoding="utf-8")

    def remove(self, receipt_id: str) -> None:
        """Forget a receipt whose picture did not come."""
        self._file(receipt_id).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Forget old receipts, and find out what became of those that a kill left; do it before drafts are removed."""
        with suppress(FileNotFoundError):
            for entry in os.scandir(self._folder):
                if entry.stat().st_mtime < time.time() - KEPT_SECONDS:
                    Path(entry.path).unlink(missing_ok=True)
                else:
                    self.find(entry.name.removesuffix(".json"))

    def job(self, receipt: Receipt, journal: Journal) -> Job | None:
        """Find the job of a receipt's picture, and remember it. None when it is not claimed yet, or was forgotten."""
        job = journal.get(receipt.job) if receipt.job else None
        if job is None and not receipt.is_done:  # of those that are not done, a retry alone makes the journal forget
            job = journal.first_of(PurePosixPath(receipt.path), after=max(receipt.since, receipt.job))
        if job is not None:
            seen = replace(receipt, job=job.id, is_done=job.state is JobState.DONE)
            if seen != receipt:
                self.save(seen)
        return job

    def _settled(self, receipt: Receipt) -> Receipt | None:
        """Find out whether an upload got its path: a rename takes its draft away, and nothing else does."""
        if (self._uploads / receipt.draft).exists():
            self.remove(receipt.id)
            return None
        settled = replace(receipt, draft="")
        self.save(settled)
        return settled

    def _file(self, receipt_id: str) -> Path:
        return self._folder / f"{receipt_id}.json"


def latest_id_now() -> str:
    """Return an id for `Receipt.since`: jobs that have claimed by now have smaller ones, and later ones larger."""
    return new_job_id()[:-_RANDOM_DIGITS] + _LARGEST_DIGIT * _RANDOM_DIGITS


def is_in_inbox(inbox: Path, path: str) -> bool:
    """Tell whether a file lies in the inbox, unclaimed."""
    return os.path.lexists(inbox / path)
