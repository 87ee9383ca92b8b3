"""`dreamd logs` and `--quiet`: the log where it goes, and what is known of one job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Tree


def dreamd(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "dreamd", *words], capture_output=True, text=True)


def test_the_log_of_a_running_daemon_is_read_from_its_file_and_a_jobs_lines_are_picked(
    tree: Tree, tmp_path: Path
) -> None:
    tree.echo()
    log = tmp_path / "log"
    with log.open("w") as stderr:
        daemon = subprocess.Popen([sys.executable, "-m", "dreamd", "run", "--config", tree.config], stderr=stderr)
    try:
        tree.drop("a.png")
        tree.drop("b.png")
        tree.result("a.png")
        tree.result("b.png")
        tree.wait_for(lambda: all(job.state == "done" for job in tree.jobs()) and len(tree.jobs()) == 2, "both")
        job = next(job for job in tree.jobs() if job.name == "a.png")
        tree.wait_for(lambda: "a.png dreamed" in log.read_text(), "the log")
        every = dreamd("logs", "--config", str(tree.config))
        last = dreamd("logs", "--config", str(tree.config), "--lines", "1")
        one = dreamd("logs", job.id, "--config", str(tree.config))
    finally:
        daemon.terminate()
        daemon.wait()
    assert every.returncode == one.returncode == 0
    assert "a.png dreamed in" in every.stdout
    assert "b.png dreamed in" in every.stdout
    assert len(last.stdout.splitlines()) == 1
    assert one.stdout.startswith(f"a.png  {job.id}\n")
    assert "claimed\n" in one.stdout
    assert "started, attempt 1\n" in one.stdout
    assert "→ a.png" in one.stdout
    assert "a.png dreamed in" in one.stdout
    assert "b.png" not in one.stdout


@pytest.mark.skipif(Path("/run/systemd/journal").is_dir(), reason="here the journal has the log")
def test_without_a_log_it_says_where_it_goes_and_a_job_is_told_all_the_same(tree: Tree) -> None:
    from dreamd.job import Job, JobState
    from dreamd.tree.journal import Journal

    with Journal.open(tree.state / "journal.sqlite3") as journal:
        journal.save([Job(id="7x", folder=Path("sea"), name="a.png", state=JobState.HELD, reason="no weights")])
    nothing = dreamd("logs", "--config", str(tree.config))
    assert nothing.returncode == 2
    assert "`dreamd run 2>> dreamd.log` writes a file" in nothing.stderr
    told = dreamd("logs", "7x", "--config", str(tree.config))
    assert (told.returncode, told.stdout.splitlines()[-1]) == (0, "now held: no weights")
    assert "there is no job '8y'" in dreamd("logs", "8y", "--config", str(tree.config)).stderr


def test_quiet_leaves_warnings_of_the_daemon_and_its_workers_alone(tree: Tree, tmp_path: Path) -> None:
    tree.drop("a.png")
    tree.drop("text.png", b"no picture at all")
    process = dreamd("--quiet", "drain", "--config", str(tree.config))
    assert process.returncode == 1
    assert "text.png" in process.stderr
    assert "dreamed in" not in process.stderr
    assert "worker ready" not in process.stderr
