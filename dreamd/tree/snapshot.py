"""The daemon's state as one small JSON file, `<state>/status.json`, replaced whole whenever it changes.

`dreamd status` must answer at once, also while the daemon is busy, stopped in a debugger or gone. So it reads a file
and asks nobody, and this module imports nothing heavy.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from dreamd.errors import ConfigError, DreamdError
from dreamd.files.durable import draft_of
from dreamd.files.problems import refusal, shown
from dreamd.job import JobState
from dreamd.json_text import to_json
from dreamd.tree.layout import StateFolder
from dreamd.tree.lock import is_locked


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    """A job that is being dreamed.

    Attributes:
        share: how much of it is done, 0 to 1.
        eta_seconds: until it is done; None when that cannot be told.
        writing: the slow format that its result is being written in, in words; None for none.
        frame: the frame of a film that is dreamed, from 1; 0 for a picture.
        frames: how many frames it has, as far as is known.
        page: the page that is dreamed, of a file of several, from 1; 0 for one picture.
        pages: how many pages it has.
    """

    job: str
    picture: str
    ascent: int = 0
    ascents: int = 0
    iteration: int = 0
    iterations: int = 0
    share: float = 0.0
    eta_seconds: float | None = None
    writing: str | None = None
    frame: int = 0
    frames: int = 0
    page: int = 0
    pages: int = 0


@dataclass(frozen=True, kw_only=True)
class WaitingJob:
    """A job that waits for a worker.

    Attributes:
        eta_seconds: until it is done; None when that cannot be told.
    """

    job: str
    picture: str
    eta_seconds: float | None


@dataclass(kw_only=True)  # not frozen: a thousand of those take three times as long to make
class WorkerStatus:
    """A worker: its device, what it is doing, and what went wrong with it last.

    Attributes:
        jobs: that it has in hand; those without progress wait for their turn in it.
        node: the machine that it is on; empty for this one.
        busy_share: the part of the last minute that its device was dreaming, 0 to 1; 0 when it has nothing to do.
        threads: how many threads it computes with; None on a GPU, or where that is not known.
        processors: those that it runs on, as `0-3,8`; empty on a GPU, or where that is not known.
        memory_limit: the bytes that it may hold; None where that is not known.
    """

    device: str
    device_name: str
    precision: str
    state: str
    pid: int | None
    error: str | None
    node: str = ""
    busy_share: float = 0.0
    threads: int | None = None
    processors: str = ""
    memory_limit: int | None = None
    jobs: list[RunningJob] = field(default_factory=list)


FetchState = Literal["missing", "fetching", "failed", "cancelled"]
"""What becomes of weights that are not here: nothing yet, they are on their way, the last try failed, or a person does
not want them fetched."""


@dataclass(frozen=True, kw_only=True)
class Fetch:
    """Weights that are not here, and what becomes of them.

    Attributes:
        backbone: whose weights.
        state: missing, fetching, failed or cancelled.
        done: the bytes that are here.
        total: the bytes of the whole file, or about so many; None when nobody knows.
        bytes_per_second: how fast they come; None when they do not, or as long as it is not known.
        eta_seconds: until they are here, at that rate.
        problem: why the last try failed.
        url: where they come from.
        sha256: the file's SHA-256 or its first digits; "" when nobody knows.
        path: where the file is to be, for whoever puts it there by hand.
        may_fetch: whether the config allows to fetch them.
    """

    backbone: str
    state: FetchState
    done: int
    total: int | None
    bytes_per_second: float | None
    eta_seconds: float | None
    problem: str | None
    url: str
    sha256: str
    path: str
    may_fetch: bool


@dataclass(frozen=True, kw_only=True)
class Hold:
    """Held jobs of one folder and reason.

    Attributes:
        cause: recipe, weights, plugin, space or folder.
        jobs: how many.
        backbone: whose weights they wait for; None where they wait for none that can be fetched.
    """

    folder: str
    cause: str
    reason: str
    jobs: int
    backbone: str | None = None


@dataclass(frozen=True, kw_only=True)
class Left:
    """Files of one folder that are left in the inbox for one reason.

    Attributes:
        files: how many.
    """

    folder: str
    reason: str
    files: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """All of it. The fields are the output of `dreamd status --json`, and stable.

    Attributes:
        state: starting, running, draining or stopped.
        pid: of the daemon.
        started_at: seconds since the epoch.
        lock: the file that the daemon has locked while it runs.
        watching: how the inbox is watched.
        found_by_rescan_only: files that the watch missed and a rescan found: more than 0 calls for a look.
        overflows: how often the system lost events of the watch; a rescan made up for it each time.
        queued, running, held, done, failed: jobs by state; pictures that have settled and are about to be claimed
            count as queued.
        folders: the queued and held jobs by folder.
        done_per_hour: from the last ten minutes.
        eta_seconds: until the queue is empty, at that rate; None when it cannot be told.
        plugins_not_loaded: name → reason.
        left: what is left in the inbox though somebody may have meant it to be taken: pictures that cannot be claimed,
            links; the most frequent first.
        waiting: the jobs that start next, in their order; a hundred at most, and none of a paused folder.
        fetches: the weights that are not here, and what becomes of them.
        fleet_problem: why no workers can be had on other machines; None: they can, or nobody wants them.
        page_problem: why the page is not served; None: it is, or nobody wants it. The daemon tries again by itself.
    """

    state: str
    pid: int
    version: str
    started_at: float
    inbox: str
    lock: str
    watching: str
    found_by_rescan_only: int
    overflows: int
    queued: int
    running: int
    held: int
    done: int
    failed: int
    folders: dict[str, int]
    done_per_hour: float
    eta_seconds: float | None
    paused: list[str]
    workers: list[WorkerStatus]
    holds: list[Hold]
    plugins_not_loaded: dict[str, str]
    left: list[Left] = field(default_factory=list)
    waiting: list[WaitingJob] = field(default_factory=list)
    fetches: list[Fetch] = field(default_factory=list)
    page_problem: str | None = None
    fleet_problem: str | None = None

    def write(self, state_folder: Path) -> None:
        """Replace the file. Not synced: after a power cut it says nothing that is still true."""
        with draft_of(StateFolder(state_folder).status, durable=False) as draft:
            draft.write_text(self._text(), encoding="utf-8")

    def _text(self) -> str:
        """Write it as JSON. `asdict` copies every value, which takes a tenth of a second for a thousand workers."""
        try:
            return json.dumps(vars(self), default=vars, allow_nan=False)
        except ValueError:  # an infinite number, which is rare
            return to_json(asdict(self))


def read(state_folder: Path) -> dict[str, Any] | None:
    """The snapshot as JSON values, None when there is none.

    When its daemon is gone, `state` is "stopped", no worker is left, what was running counts as queued, and the journal
    tells what is done and what has failed: `dreamd retry` may have changed that since.

    Raises:
        DreamdError: the file cannot be read, or is of another version of dreamd.
    """
    file = StateFolder(state_folder).status
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        missing = {item.name for item in fields(Snapshot)} - values.keys()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DreamdError(f"{shown(file)}: cannot be read: {refusal(error)}") from error
    except (ValueError, AttributeError) as error:
        raise DreamdError(f"{shown(file)}: is no status of dreamd; start the daemon anew") from error
    if missing:
        raise DreamdError(f"{shown(file)}: is of another version of dreamd; start the daemon anew")
    if not _is_alive(values):
        queued = values["queued"] + values["running"]
        values |= {
            "state": "stopped",
            "queued": queued,
            "running": 0,
            "workers": [],
            "eta_seconds": None,
            "page_problem": None,
            "waiting": [],
            "fleet_problem": None,
            "fetches": [],
        }
        values |= _ended_jobs(state_folder)
    return values


def _ended_jobs(state_folder: Path) -> dict[str, int]:
    """Count what the journal has as done and failed; nothing is counted where it cannot be read."""
    from dreamd.tree.journal import Journal  # on demand: SQLite is not needed while a daemon tells

    journal = Journal.open_readonly(StateFolder(state_folder).journal)
    if journal is None:
        return {}
    with journal:
        counts = journal.counts()
    return {state.value: counts[state] for state in (JobState.DONE, JobState.FAILED)}


def _is_alive(values: dict[str, Any]) -> bool:
    """Tell whether the daemon that wrote a snapshot still runs."""
    try:
        return is_locked(Path(values["lock"]))
    except PermissionError:  # another user's, whose processes can still be seen
        try:
            return b"dreamd" in Path(f"/proc/{values['pid']}/cmdline").read_bytes()
        except OSError:
            return False


def state_folder_of(config_file: Path) -> Path:
    """Find the state folder of a config, without checking the rest: that takes longer than all of `status`."""
    from dreamd.settings.whereabouts import missing_config
    from dreamd.settings.yamlfile import read_document

    if not config_file.exists():
        raise missing_config(config_file)
    document = read_document(config_file, ConfigError)
    state = document.data.get("state", "state")
    try:
        return (config_file.absolute().parent / Path(state).expanduser()).absolute()
    except (TypeError, RuntimeError) as error:
        problem = f"{state!r} is not the path of a folder"
        line = document.line(("state",))
        raise ConfigError(problem, file=config_file, line=line, field=("state",)) from error
