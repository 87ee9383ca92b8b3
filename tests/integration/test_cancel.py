"""`dreamd cancel` and `dismiss` with a real daemon, and without one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from click.testing import CliRunner, Result

from dreamd.cli import main
from dreamd.job import JobState

if TYPE_CHECKING:
    from conftest import RunningDaemon, Tree

    Run = Callable[..., RunningDaemon]

UNLUCKY = 13


def dreamd(tree: Tree, *command: str) -> Result:
    return CliRunner().invoke(main, [*command, "--config", str(tree.config)])


def job_of(tree: Tree, name: str) -> str:
    return str(next(job.id for job in tree.jobs() if job.name == name))


def test_a_dream_that_runs_is_cancelled_and_can_be_taken_up_again(tree: Tree, run_daemon: Run) -> None:
    gate = tree.mood("slow", "wait")
    daemon = run_daemon(tree)
    pid = daemon.worker()
    tree.drop("slow/cat.png", tree.picture(UNLUCKY))
    tree.drop("dog.png")
    tree.wait_for(gate.with_name(f"{gate.name}.waiting").exists, "the dream to run")
    id_ = job_of(tree, "cat.png")
    begun = time.monotonic()
    said = dreamd(tree, "cancel", id_)
    assert (said.exit_code, said.stderr) == (0, "")
    assert said.stdout == f"slow/cat.png: cancelled (`dreamd retry {id_}` takes that back)\n"
    assert "cat.png was cancelled" in tree.failure("slow/cat.png")
    tree.result("dog.png")  # by another worker, since this one hung in a plugin
    assert time.monotonic() - begun < 20
    assert daemon.worker(other_than=pid)
    assert [(job.name, job.attempts) for job in tree.jobs(JobState.DONE)] == [("dog.png", 1)]
    assert dreamd(tree, "retry", "--all-failed").stdout == ""
    gate.touch()
    assert dreamd(tree, "retry", id_).stdout == "slow/cat.png: back in the inbox\n"
    tree.result("slow/cat.png")


def test_a_folder_is_cancelled_with_what_is_below_it(tree: Tree, run_daemon: Run) -> None:
    tree.recipe("sea", "lss: l2\n")
    for path in ("sea/a.png", "sea/deep/b.png", "seashore/c.png"):
        tree.drop(path)
    run_daemon(tree)
    tree.result("seashore/c.png")
    tree.wait_for(lambda: len(tree.jobs(JobState.HELD)) == 2, "the two to be held")
    said = dreamd(tree, "cancel", "--folder", "sea").stdout
    assert sorted(line.partition(" (")[0] for line in said.splitlines()) == [
        "sea/a.png: cancelled",
        "sea/deep/b.png: cancelled",
    ]
    assert {job.failure for job in tree.jobs(JobState.FAILED)} == {"cancelled"}
    assert dreamd(tree, "cancel", "--folder", "sea").stdout == "nothing waits or runs there\n"


def test_what_is_cancelled_while_no_daemon_runs_is_never_dreamed(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    tree.drop("busy.png")
    daemon = run_daemon(tree)
    tree.wait_for(lambda: tree.jobs(JobState.RUNNING), "the dream to run")
    daemon.process.kill()
    daemon.wait()
    id_ = job_of(tree, "busy.png")
    assert dreamd(tree, "cancel", id_).stdout == "busy.png: cancelled when dreamd runs again\n"
    (tree.root / "gate").touch()
    assert run_daemon(tree, "drain").wait() == 1
    assert "busy.png was cancelled" in tree.failure("busy.png")
    assert not (tree.outbox / "busy.png").exists()


def test_an_executor_that_cannot_stop_dreams_on_for_nothing(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    tree.drop("busy.png")
    daemon = run_daemon(tree)
    tree.wait_for(lambda: tree.jobs(JobState.RUNNING), "the dream to run")
    assert dreamd(tree, "cancel", job_of(tree, "busy.png")).exit_code == 0
    tree.failure("busy.png")
    (tree.root / "gate").touch()
    tree.drop("next.png")
    tree.result("next.png")
    assert daemon.stop() == 0
    assert not (tree.outbox / "busy.png").exists()


def test_what_has_ended_or_does_not_exist_is_not_cancelled(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    tree.drop("cat.png")
    assert run_daemon(tree, "drain").wait() == 0
    over = dreamd(tree, "cancel", job_of(tree, "cat.png"))
    assert (over.exit_code, "is done: there is nothing left to cancel" in over.stderr) == (2, True)
    unknown = dreamd(tree, "cancel", "nobody")
    assert (unknown.exit_code, "no job 'nobody'" in unknown.stderr) == (2, True)
    assert dreamd(tree, "cancel").exit_code == 2


def test_a_dismissed_failure_stays_so_until_it_fails_anew(tree: Tree, run_daemon: Run) -> None:
    tree.echo()
    tree.drop("broken.png")
    daemon = run_daemon(tree)
    tree.failure("broken.png")
    id_ = job_of(tree, "broken.png")
    assert dreamd(tree, "dismiss", id_).stdout == "dismissed: 1\n"
    assert daemon.stop() == 0
    daemon = run_daemon(tree)
    assert "(dismissed) it is broken" in dreamd(tree, "jobs").stdout
    assert dreamd(tree, "retry", "--all-failed").stdout == ""
    assert dreamd(tree, "retry", id_).stdout == "broken.png: back in the inbox\n"
    tree.wait_for(lambda: [job.id for job in tree.jobs(JobState.FAILED)] not in ([], [id_]), "it to fail anew")
    assert "(dismissed)" not in dreamd(tree, "jobs").stdout
    assert "is failed" not in dreamd(tree, "dismiss", job_of(tree, "broken.png")).stderr
