"""Every step of the daemon's, met with a kill, a refusal of the disk or a share that goes away (`tests/faults.py`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent.parent / "faults.py"
ENOUGH_STEPS = 80
"""Fewer would mean that the steps are no longer seen, and that nothing was tried."""

OWN_ERRORS = ("DreamdError", "SpaceError", "ConfigError", "FolderError", "AwayError")
"""A daemon that could not start says why with one of these errors."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def broken_by(action: str, tree: str, *, some: int | None = None) -> list[dict[str, object]]:
    """Every line about a broken promise, or about an end that is no error of dreamd's own."""
    command = [sys.executable, FAULTS, action, "--tree", tree, *([] if some is None else ["--some", str(some)])]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    *lines, last = [json.loads(line) for line in run.stdout.splitlines()]
    assert last["tried"] >= (some or ENOUGH_STEPS)
    return [line for line in lines if "broken" in line or str(line["ended"]).partition(":")[0] not in OWN_ERRORS]


@pytest.mark.parametrize("tree", ["near", "far", "delete"])
@pytest.mark.parametrize("moment", ["kill-before", "kill-after"])
def test_a_kill_at_any_step_loses_no_picture_and_doubles_none(moment, tree):
    assert broken_by(moment, tree) == []


@pytest.mark.parametrize("tree", ["near", "far"])
def test_a_second_kill_while_the_first_is_recovered_from_loses_no_picture_and_doubles_none(tree):
    assert broken_by("kill-twice", tree) == []


@pytest.mark.parametrize(
    ("refusal", "tree"),
    [
        ("ENOSPC", "near"),
        ("EIO", "near"),
        ("EACCES", "near"),
        ("EROFS", "near"),
        ("ENOSPC", "far"),
        ("ESTALE", "delete"),
    ],
)
def test_a_disk_that_refuses_any_step_loses_no_picture_and_doubles_none(refusal, tree):
    assert broken_by(refusal, tree) == []


@pytest.mark.parametrize(
    ("share", "tree"), [("inbox", "near"), ("inbox", "delete"), ("outbox", "far"), ("done", "far"), ("failed", "far")]
)
def test_a_share_that_goes_away_at_any_step_and_comes_back_loses_no_picture_and_doubles_none(share, tree):
    assert broken_by(f"away-{share}", tree) == []


@pytest.mark.parametrize(
    ("action", "tree"),
    [
        ("kill-before", "crowd"),
        ("kill-after", "far-crowd"),
        ("kill-publisher", "crowd"),
        ("kill-twice", "crowd"),
        ("ENOSPC", "crowd"),
        ("EIO", "far-crowd"),
        ("away-outbox", "far-crowd"),
    ],
)
def test_what_is_claimed_and_published_together_keeps_every_promise(action, tree):
    """Some of the steps only, since there are hundreds; `python tests/faults.py ACTION --tree crowd` tries them all."""
    assert broken_by(action, tree, some=8) == []
