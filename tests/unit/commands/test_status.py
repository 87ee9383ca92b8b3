"""`dreamd status` and `dreamd jobs`: what they read, and how they say it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from click.testing import CliRunner

from dreamd.cli import main
from dreamd.commands.jobs import show_jobs
from dreamd.commands.status import show_status
from dreamd.commands.terminal.printing import doing
from dreamd.errors import ConfigError, DreamdError
from dreamd.job import Job, JobState
from dreamd.tree import snapshot
from dreamd.tree.journal import Journal
from dreamd.tree.lock import lock
from dreamd.tree.snapshot import Fetch, Hold, Left, RunningJob, Snapshot, WorkerStatus

RUNNING = RunningJob(job="1abc", picture="slow/cat.jpg", ascent=2, ascents=4, iteration=3, iterations=10, share=0.325)
IDLE = Snapshot(
    state="running",
    pid=1234,
    version="0.1.0",
    started_at=1_000_000.0,
    inbox="/nowhere",
    lock="/nowhere/.dreamd/lock",
    watching="inotify",
    found_by_rescan_only=0,
    overflows=0,
    queued=3,
    running=1,
    held=0,
    done=7,
    failed=1,
    folders={"slow": 3},
    done_per_hour=120.4,
    eta_seconds=90.0,
    paused=[],
    workers=[WorkerStatus(device="cpu", device_name="x86_64", precision="fp32", state="busy", pid=9, error=None)],
    holds=[],
    plugins_not_loaded={},
)


class Place:
    """A config with its folders, and what a daemon has written there."""

    def __init__(self, root: Path) -> None:
        self.config = root / "config.yaml"
        self.config.write_text("state: memory\n")
        self.state = root / "memory"
        self.state.mkdir()
        self.inbox = root / "inbox"
        (self.inbox / ".dreamd").mkdir(parents=True)
        self.lock = self.inbox / ".dreamd" / "lock"
        self.lock.touch()

    def write(self, shown: Snapshot) -> None:
        replace(shown, inbox=str(self.inbox), lock=str(self.lock)).write(self.state)

    def add(self, *jobs: Job) -> None:
        with Journal.open(self.state / "journal.sqlite3") as journal:
            journal.save(jobs)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def locked(place: Place) -> Any:
    """The inbox is taken, as by a daemon that runs."""
    with lock(place.lock, taken="{holder}"):
        yield


def told(capsys: pytest.CaptureFixture[str], place: Place, **options: bool) -> str:
    show_status(place.config, **{"as_json": False, "follow": False, **options})
    return capsys.readouterr().out


# The file


def test_a_daemon_that_never_ran_has_no_snapshot(tmp_path: Path) -> None:
    assert snapshot.read(tmp_path) is None


@pytest.mark.usefixtures("locked")
def test_what_a_running_daemon_wrote_is_read_as_it_was_written(place: Place) -> None:
    place.write(IDLE)
    assert snapshot.read(place.state) == asdict(replace(IDLE, inbox=str(place.inbox), lock=str(place.lock)))


def test_a_daemon_that_was_killed_is_stopped_and_what_it_ran_waits(place: Place) -> None:
    place.write(IDLE)
    values = snapshot.read(place.state)
    assert values is not None
    assert [values[name] for name in ("state", "queued", "running", "workers", "eta_seconds")] == [
        "stopped", 4, 0, [], None,
    ]  # fmt: skip


def test_without_a_daemon_the_journal_tells_what_has_ended(place: Place) -> None:
    place.write(replace(IDLE, done=7, failed=100))  # and `dreamd retry` has given all of those back since
    job = Job(id="1", folder=PurePosixPath("."), name="cat.png")
    place.add(replace(job, state=JobState.DONE), replace(job, id="2", state=JobState.FAILED))
    values = snapshot.read(place.state)
    assert values is not None
    assert (values["done"], values["failed"]) == (1, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "is no status of dreamd"),
        ("[]", "is no status of dreamd"),
        ("\xff", "is no status of dreamd"),
        ('{"state": "running"}', "is of another version of dreamd"),
    ],
)
def test_a_file_that_is_no_snapshot_is_named(place: Place, text: str, problem: str) -> None:
    (place.state / "status.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DreamdError) as raised:
        snapshot.read(place.state)
    assert str(raised.value) == f"{place.state}/status.json: {problem}; start the daemon anew"


def test_a_snapshot_that_cannot_be_read_is_named(place: Place) -> None:
    (place.state / "status.json").mkdir()
    with pytest.raises(DreamdError, match=r"status\.json: cannot be read: Is a directory"):
        snapshot.read(place.state)


# The config


def test_the_state_folder_is_relative_to_the_config(place: Place) -> None:
    assert snapshot.state_folder_of(place.config) == place.state
    place.config.write_text("inbox: x\n")
    assert snapshot.state_folder_of(place.config) == place.config.parent / "state"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\nstate: 3\n", "config.yaml:2: state: 3 is not the path of a folder"),
        ("state: ~no-such-user-here/x\n", "config.yaml:1: state: '~no-such-user-here/x' is not the path of a folder"),
        ("a: [\n", "config.yaml:2: is not YAML"),
        ("- a\n", "config.yaml:1: must be a mapping"),
    ],
)
def test_a_config_that_names_no_state_folder_is_refused_with_its_line(place: Place, text: str, problem: str) -> None:
    place.config.write_text(text)
    with pytest.raises(ConfigError) as raised:
        snapshot.state_folder_of(place.config)
    assert problem in str(raised.value)


def test_without_a_config_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist; `dreamd init DIR` makes one"):
        snapshot.state_folder_of(tmp_path / "config.yaml")


# For people


def test_a_daemon_that_never_ran_is_said_to_have_never_run(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    assert told(capsys, place) == f"dreamd has never run with {place.config}\n"
    assert told(capsys, place, as_json=True) == '{"state": "never started"}\n'


@pytest.mark.usefixtures("locked")
def test_the_queue_the_rate_and_the_time_to_go_are_told(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    place.write(IDLE)
    assert told(capsys, place).splitlines() == [
        "dreamd 0.1.0: running (pid 1234)",
        f"inbox    {place.inbox} (inotify)",
        "jobs     3 queued, 1 running, 0 held, 7 done, 1 failed",
        "rate     120 pictures an hour, about 1 min to go",
        "worker   cpu x86_64: busy, fp32",
    ]


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize(
    ("job", "line"),
    [
        (RUNNING, "          32% slow/cat.jpg  octave 2/4, iteration 3/10"),
        (RunningJob(job="1", picture="a.png"), "           0% a.png  waiting"),
        (RunningJob(job="1", picture="a\n\x1b[2J\udcff.png"), "           0% a\\n\\x1b[2J\\udcff.png  waiting"),
    ],
)  # fmt: skip
def test_what_a_job_is_at_is_told_on_one_line(
    capsys: pytest.CaptureFixture[str], place: Place, job: RunningJob, line: str
) -> None:
    place.write(replace(IDLE, workers=[replace(IDLE.workers[0], jobs=[job])]))
    assert told(capsys, place).splitlines()[-1] == line


FETCH = Fetch(
    backbone="vgg19", state="fetching", done=12_000_000, total=574_700_000, bytes_per_second=3e6, eta_seconds=187.6,
    problem=None, url="https://h/w.pth", sha256="dcbb9e9d", path="/cache/w.pth", may_fetch=True,
)  # fmt: skip


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize(
    ("fetch", "line"),
    [
        (FETCH, "weights  vgg19: on their way, 12 of 575 MB, 3.0 MB/s, about 3 min to go"),
        (
            replace(FETCH, state="cancelled", bytes_per_second=None, eta_seconds=None),
            "weights  vgg19: not here, their download was cancelled, 12 of 575 MB",
        ),
        (
            replace(FETCH, state="failed", total=None, done=0, bytes_per_second=None, eta_seconds=None),
            "weights  vgg19: not here, the last try failed, 0 MB",
        ),
    ],
)
def test_missing_weights_are_told_with_how_much_of_them_is_here(
    capsys: pytest.CaptureFixture[str], place: Place, fetch: Fetch, line: str
) -> None:
    place.write(replace(IDLE, fetches=[fetch]))
    assert line in told(capsys, place).splitlines()


@pytest.mark.usefixtures("locked")
def test_what_is_held_is_told_with_its_reason_and_what_to_do(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    holds = [
        Hold(folder=".", cause="weights", reason="they are not here.\nFetch them.", jobs=2),
        Hold(folder="dogs", cause="recipe", reason="recipe.yaml:3: lss: is not a field", jobs=1),
    ]
    place.write(replace(IDLE, holds=holds))
    assert told(capsys, place).splitlines()[-5:] == [
        "held     2 in the inbox: they are not here.",
        "         Fetch them.",
        "         → fetch the weights, or put the file where the recipe says; it goes on by itself",
        "held     1 in dogs: recipe.yaml:3: lss: is not a field",
        "         → mend the recipe, or the plugin it asks for; it goes on by itself",
    ]


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("cause", ["recipe", "weights", "plugin", "space", "folder"])
def test_there_is_something_to_do_for_every_cause(capsys: pytest.CaptureFixture[str], place: Place, cause: str) -> None:
    place.write(replace(IDLE, holds=[Hold(folder="a", cause=cause, reason="no", jobs=1)]))
    assert told(capsys, place).splitlines()[-1].startswith("         → ")


@pytest.mark.usefixtures("locked")
def test_what_is_left_in_the_inbox_is_told_with_its_reason(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    left = [Left(folder="usb", reason="no; unmount it", files=3), Left(folder=".", reason="a link", files=1)]
    place.write(replace(IDLE, left=left))
    assert told(capsys, place).splitlines()[-2:] == [
        "left     3 in usb: no; unmount it",
        "left     1 in the inbox: a link",
    ]


@pytest.mark.usefixtures("locked")
def test_pauses_missed_files_troubles_and_broken_plugins_are_told(
    capsys: pytest.CaptureFixture[str], place: Place
) -> None:
    worker = WorkerStatus(device="cuda:0", device_name="", precision="", state="stopped", pid=None, error="it died")
    place.write(
        replace(IDLE, paused=["."], found_by_rescan_only=2, workers=[worker], plugins_not_loaded={"mine": "line 3: no"})
    )
    assert told(capsys, place).splitlines()[-4:] == [
        "watch    2 files were missed by the watch and found by a rescan",
        "paused   the inbox",
        "worker   cuda:0: stopped (last trouble: it died)",
        "plugin   mine is not used: line 3: no",
    ]


@pytest.mark.usefixtures("locked")
def test_what_a_worker_has_of_the_machine_is_told(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    worker = WorkerStatus(
        device="cpu", device_name="x86_64", precision="bf16", state="busy", pid=9, error=None, busy_share=0.5,
        threads=1, processors="0,4", memory_limit=7_250_000_000,
    )  # fmt: skip
    card = replace(worker, device="cuda:0", device_name="a card", threads=None, processors="", busy_share=0)
    alone = replace(worker, processors="3", threads=2)
    place.write(replace(IDLE, workers=[worker, alone, card]))
    assert told(capsys, place).splitlines()[-3:] == [
        "worker   cpu x86_64: busy, bf16, 1 thread on processors 0,4, up to 7.2 GB, 50% busy",
        "worker   cpu x86_64: busy, bf16, 2 threads on processor 3, up to 7.2 GB, 50% busy",
        "worker   cuda:0 a card: busy, bf16, up to 7.2 GB",
    ]


@pytest.mark.usefixtures("locked")
def test_the_machine_of_a_worker_and_why_none_can_be_had_is_told(
    capsys: pytest.CaptureFixture[str], place: Place
) -> None:
    worker = WorkerStatus(
        device="cuda:0", device_name="a card", precision="bf16", state="idle", pid=None, error=None, node="garden"
    )
    place.write(replace(IDLE, workers=[worker], fleet_problem="the head does not answer"))
    assert told(capsys, place).splitlines()[-2:] == [
        "worker   garden cuda:0 a card: idle, bf16",
        "workers  none can be had: the head does not answer",
    ]


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59.6, "1 min"), (61, "1 min"), (3599, "59 min"), (3661, "1 h 1 min"), (90_000, "25 h 0 min")],
)
def test_the_time_to_go_is_told_in_words(
    capsys: pytest.CaptureFixture[str], place: Place, seconds: float, words: str
) -> None:
    place.write(replace(IDLE, eta_seconds=seconds))
    assert f"about {words} to go" in told(capsys, place)


@pytest.mark.usefixtures("locked")
def test_without_work_or_without_a_rate_no_time_is_told(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    for shown in (replace(IDLE, queued=0, running=0), replace(IDLE, eta_seconds=None)):
        place.write(shown)
        assert "to go" not in told(capsys, place)


def test_the_manual_names_every_field_of_status_and_jobs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    manual = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    place.add(Job(id="1", folder=PurePosixPath(), name="a.png"))
    show_jobs(place.config, state=None, limit=1, as_json=True)
    names = set(json.loads(capsys.readouterr().out)[0])
    for model in (Snapshot, WorkerStatus, RunningJob, Hold):
        names |= {field.name for field in fields(model)}
    assert {name for name in names if f"`{name}`" not in manual} == set()


def test_following_ends_with_ctrl_c_and_nothing_went_wrong(place: Place) -> None:
    place.write(IDLE)
    command = [sys.executable, "-m", "dreamd", "status", "--json", "--follow", "--config", str(place.config)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    place.write(replace(IDLE, done=8))
    second = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert (first["done"], second["done"], rest, errors, process.returncode) == (7, 8, b"", b"", 0)


# Jobs


def jobs_of(capsys: pytest.CaptureFixture[str], place: Place, **options: Any) -> tuple[str, str]:
    show_jobs(place.config, **{"state": None, "limit": 50, "as_json": False, **options})
    output = capsys.readouterr()
    return output.out, output.err


def test_jobs_are_told_one_a_line_the_newest_first(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    folder = PurePosixPath("dogs")
    place.add(
        Job(id="1", folder=folder, name="a.png", state=JobState.DONE, finished_at=6.0, result="dogs/a.png", seconds=2),
        Job(id="2", folder=folder, name="b\n.png", state=JobState.FAILED, finished_at=61.0, reason="no\npicture"),
        Job(id="3", folder=PurePosixPath(), name="c\udcff.png", claimed_at=62.0),
    )  # fmt: skip
    lines, errors = jobs_of(capsys, place)
    assert [line.split(None, 3)[0] for line in lines.splitlines()] == ["3", "2", "1"]
    assert [line.split(None, 3)[3] for line in lines.splitlines()] == [
        "queued            c\\udcff.png",
        "failed            dogs/b\\n.png  no picture",
        "done       2.0 s  dogs/a.png  → dogs/a.png",
    ]
    assert errors == ""


def test_jobs_are_chosen_by_state_and_number(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    place.add(*(Job(id=str(number), folder=PurePosixPath(), name=f"{number}.png") for number in range(5)))
    assert len(jobs_of(capsys, place, limit=2)[0].splitlines()) == 2
    assert jobs_of(capsys, place, state="failed") == ("", "no failed jobs\n")


def test_without_a_journal_there_are_no_jobs(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    assert jobs_of(capsys, place) == ("", "no jobs yet\n")
    assert jobs_of(capsys, place, as_json=True) == ("[]\n", "")


def test_a_journal_that_cannot_be_read_is_not_taken_for_an_empty_one(
    capsys: pytest.CaptureFixture[str], place: Place
) -> None:
    (place.state / "journal.sqlite3").write_bytes(os.urandom(5000))
    with pytest.raises(DreamdError, match=r"journal\.sqlite3: cannot be read as a journal"):
        jobs_of(capsys, place)


def test_the_recipe_of_a_job_is_json_and_no_text(capsys: pytest.CaptureFixture[str], place: Place) -> None:
    place.add(Job(id="1", folder=PurePosixPath(), name="a.png", recipe='{"seed": 3}'))
    assert json.loads(jobs_of(capsys, place, as_json=True)[0])[0]["recipe"] == {"seed": 3}


def test_a_page_that_is_not_served_is_told_and_is_nothing_to_open(place: Place) -> None:
    with lock(place.lock, taken="taken"):
        place.write(replace(IDLE, page_problem="status.listen: 127.0.0.1:80: Permission denied; choose another"))
        told = CliRunner().invoke(main, ["status", "--config", str(place.config)]).output
        opened = CliRunner().invoke(main, ["open", "--config", str(place.config)])
    problem = "not served, and tried again by itself: status.listen: 127.0.0.1:80: Permission denied; choose another"
    assert f"page     {problem}\n" in told
    assert (opened.exit_code, opened.output) == (1, f"dreamd: the page is {problem}\n")


def test_a_slow_format_is_said_while_it_is_written() -> None:
    writing = replace(RUNNING, share=1.0, writing="writing avif: 24 megapixels take about 7 times as long as in jpeg")
    assert doing(asdict(writing)) == writing.writing


def test_frames_of_a_film_and_pages_of_a_file_are_counted_while_they_run() -> None:
    step = {"ascent": 1, "ascents": 2, "iteration": 1, "iterations": 4}
    film = RunningJob(job="1", picture="a.mp4", frame=3, frames=9, eta_seconds=70.0, **step)
    scan = RunningJob(job="2", picture="a.tif", page=2, pages=5, **step)
    assert doing(asdict(film)) == "frame 3/9, about 1 min to go"
    assert doing(asdict(scan)) == "page 2/5"
