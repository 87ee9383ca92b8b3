"""`dreamd prune`: what goes, what stays, and that nothing else is touched."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path, PurePosixPath

import pytest
from click.testing import CliRunner

from dreamd.cli import main
from dreamd.commands.init import make_tree
from dreamd.commands.prune import empty_trash, parse_age, parse_size, remove_originals
from dreamd.errors import ConfigError, UsageError
from dreamd.job import Job, JobState
from dreamd.settings.config import Config, load_config
from dreamd.tree.journal import Journal
from dreamd.tree.steps.trash import Trash
from dreamd.tree.tables.marks import Way

DAY = timedelta(days=1)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    make_tree(tmp_path / "tree")
    return load_config(tmp_path / "tree" / "config.yaml")


def put_away(config: Config, name: str, size: int = 10) -> Path:
    """An original, put into `done` later than all before it, with a camera's time of long ago."""
    assert config.originals is not None
    file = config.originals / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    os.utime(file, (0, 0))
    before = file.stat().st_ctime_ns
    while (now := tick(file)) == before:  # the kernel's clock of files goes in steps
        pass
    assert now > before
    return file


def tick(file: Path) -> int:
    """The time of a change of a file, which this is."""
    probe = file.with_name(f".probe-{file.name}")
    probe.touch()
    now = probe.stat().st_ctime_ns
    probe.unlink()
    return now


def test_the_oldest_go_until_the_rest_fits_and_the_cameras_time_counts_for_nothing(config: Config) -> None:
    files = [put_away(config, f"cats/{number}.jpg") for number in range(5)]
    os.utime(files[0], (0, time.time() + 1000))  # touched last: it is the newest now
    pruned = remove_originals(config, older_than=None, keep_bytes=25)
    assert [file.exists() for file in files] == [True, False, False, False, True]
    assert (pruned.files, pruned.bytes, pruned.kept_files, pruned.kept_bytes) == (3, 30, 2, 20)


def test_what_was_put_away_too_long_ago_goes(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    file = put_away(config, "old.jpg")
    assert remove_originals(config, older_than=DAY, keep_bytes=None).files == 0
    now = time.time()
    monkeypatch.setattr("dreamd.commands.prune.time.time", lambda: now + 2 * 86_400)
    assert remove_originals(config, older_than=DAY, keep_bytes=None).files == 1
    assert not file.exists()


def test_a_dry_run_tells_the_same_and_changes_nothing(config: Config) -> None:
    files = [put_away(config, f"{number}.jpg") for number in range(3)]
    with Journal.open(config.state / "journal.sqlite3") as journal:
        journal.save([job(1, JobState.DONE)])
    told = remove_originals(config, older_than=timedelta(), keep_bytes=None, dry_run=True)
    assert all(file.exists() for file in files)
    assert told == remove_originals(config, older_than=timedelta(), keep_bytes=None)
    assert (told.files, told.jobs) == (3, 1)


def test_only_regular_files_in_done_are_removed(config: Config, tmp_path: Path) -> None:
    assert config.originals is not None
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.jpg").touch()
    (config.originals / "folder").symlink_to(outside)
    (config.originals / "file.jpg").symlink_to(outside / "mine.jpg")
    os.mkfifo(config.originals / "pipe.jpg")
    kept = [config.failed / "a.jpg", config.outbox / "a.jpg", config.inbox / "a.jpg"]
    for file in kept:
        file.touch()
    put_away(config, "a.jpg")
    assert remove_originals(config, older_than=timedelta(), keep_bytes=None).files == 1
    assert all(file.exists() for file in [*kept, outside / "mine.jpg"])
    assert sorted(path.name for path in config.originals.iterdir()) == ["file.jpg", "folder", "pipe.jpg"]


def job(number: int, state: JobState, finished_at: float | None = 1.0) -> Job:
    return Job(id=f"{number:013}", folder=PurePosixPath("."), name="a.jpg", state=state, finished_at=finished_at)


def test_the_journal_forgets_what_was_done_and_nothing_that_is_of_use(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamd.tree.journal._FORGET_ROWS", 2)
    with Journal.open(config.state / "journal.sqlite3") as journal:
        journal.save([job(number, JobState.DONE) for number in range(5)])
        stays = [
            job(10, JobState.DONE, finished_at=time.time()),
            job(11, JobState.FAILED),
            job(12, JobState.QUEUED, finished_at=None),
        ]
        journal.save(stays)
        assert remove_originals(config, older_than=DAY, keep_bytes=None).jobs == 5
        assert sorted(journal.jobs(), key=lambda job: job.id) == stays


def test_without_a_journal_or_originals_there_is_nothing_to_do(config: Config) -> None:
    assert str(remove_originals(config.model_copy(update={"originals": None}), older_than=DAY, keep_bytes=1)) == (
        "0 originals (0 MB) and 0 jobs; 0 originals (0 MB) stay"
    )
    assert not config.state.exists()


def test_originals_that_hold_another_folder_are_refused(config: Config) -> None:
    assert config.originals is not None
    mixed = config.model_copy(update={"outbox": config.originals / "out"})
    put_away(config, "out/result.jpg")
    with pytest.raises(ConfigError, match=r"originals: .*done holds outbox, which is not to be pruned"):
        remove_originals(mixed, older_than=timedelta(), keep_bytes=None)
    assert (config.originals / "out" / "result.jpg").exists()


@pytest.mark.parametrize(
    ("text", "age"),
    [("30d", 30 * DAY), ("12h", DAY / 2), ("2w", 14 * DAY), ("90min", timedelta(minutes=90)), ("3mo", 90 * DAY)],
)
def test_ages_are_read(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["30", "d", "-3d", "3 days", "", "9999999d"])
def test_what_is_no_age_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="write 30d"):
        parse_age(text)


def test_an_m_is_refused_as_it_may_be_minutes_or_months() -> None:
    with pytest.raises(UsageError, match="write 1min or 1mo"):
        parse_age("1m")


@pytest.mark.parametrize("text", ["50", "GB", "-1GB", "", "50 apples"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="write 50GB"):
        parse_size(text)


def test_sizes_are_read() -> None:
    assert [parse_size("50GB"), parse_size("1.5 MiB")] == [50_000_000_000, 1_572_864]


def test_the_command_says_what_it_did(config: Config) -> None:
    put_away(config, "a.jpg", 2_000_000)
    runner, options = CliRunner(), ["--config", str(config.file)]
    told = runner.invoke(main, ["prune", "--keep", "1MB", "--dry-run", *options])
    assert told.output == "would remove 1 originals (2 MB) and 0 jobs; 0 originals (0 MB) stay\n"
    assert runner.invoke(main, ["prune", "--keep", "1MB", *options]).output.startswith("removed 1 originals (2 MB)")


def test_dreams_that_no_sheet_has_shown_for_long_go_by_age(config: Config) -> None:
    cells = config.state / "sheets" / "cells"
    cells.mkdir(parents=True)
    old, new = cells / "old.webp", cells / "new.webp"
    for file, days in ((old, 40), (new, 2)):
        file.write_bytes(b"x" * 200_000)
        os.utime(file, (0, time.time() - days * 86_400))
    arguments = ["prune", "--older-than", "30d", "--config", str(config.file)]
    dry = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert "would remove 0.2 MB of sheets" in dry.output
    assert old.exists()
    assert "removed 0.2 MB of sheets" in CliRunner().invoke(main, arguments).output
    assert (old.exists(), new.exists()) == (False, True)
    assert "sheets" not in CliRunner().invoke(main, arguments).output


def deleted(config: Config, id_: str) -> Job:
    """A result that was deleted on the page."""
    job = Job(id=id_, folder=PurePosixPath("sea"), name=f"{id_}.png", state=JobState.DONE, result=f"sea/{id_}.png",
              finished_at=1.0)  # fmt: skip
    (config.outbox / "sea").mkdir(exist_ok=True)
    (config.outbox / "sea" / f"{id_}.png").write_bytes(b"x" * 10)
    (config.outbox / "sea" / f"{id_}.png.json").write_text(f'{{"job": "{id_}"}}')
    Trash(config.outbox).put(job)
    with Journal.open(config.state / "journal.sqlite3") as journal:
        journal.save([job])
        journal.marks.put_away([id_], Way.TRASHED)
    return job


def test_what_was_deleted_long_ago_goes_for_good_and_its_thumbnails_with_it(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [deleted(config, id_) for id_ in ("j1", "j2")]
    thumbnails = config.state / "thumbnails"
    thumbnails.mkdir()
    for name in ("j1-after-small.webp", "j10-after-small.webp"):
        (thumbnails / name).touch()
    assert empty_trash(config).results == 0
    later = time.time() + 31 * DAY.total_seconds()
    monkeypatch.setattr("dreamd.commands.prune.time.time", lambda: later)
    told = empty_trash(config, dry_run=True)
    assert [Trash(config.outbox).has(job) for job in jobs] == [True, True]
    assert empty_trash(config) == told
    assert (told.results, told.bytes > 20, told.kept) == (2, True, 0)
    assert [Trash(config.outbox).has(job) for job in jobs] == [False, False]
    assert [file.name for file in thumbnails.iterdir()] == ["j10-after-small.webp"]
    with Journal.open(config.state / "journal.sqlite3") as journal:
        assert journal.marks.put_away_among(["j1", "j2"]) == {"j1": Way.DISMISSED, "j2": Way.DISMISSED}


def test_without_an_option_only_the_trash_is_emptied(config: Config) -> None:
    original = put_away(config, "a.jpg")
    deleted(config, "j1")
    config.file.write_text(config.file.read_text().replace("keep: 30d  ", "keep: null "))
    result = CliRunner().invoke(main, ["prune", "--config", str(config.file)], catch_exceptions=False)
    assert result.output == "removed 0 deleted results (0 MB); 1 stay in the trash\n"
    assert original.exists()


def test_the_list_of_jobs_says_whose_results_are_in_the_trash(config: Config) -> None:
    deleted(config, "j1")
    runner, options = CliRunner(), ["--config", str(config.file)]
    assert runner.invoke(main, ["jobs", *options]).output.endswith("→ sea/j1.png (in the trash)\n")
    assert json.loads(runner.invoke(main, ["jobs", "--json", *options]).output)[0]["put_away"] == "trashed"
