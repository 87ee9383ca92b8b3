"""Every step of the daemon's, met with a kill or a refusal of the disk: `tests/faults.py` tells how."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent.parent / "faults.py"
ENOUGH_STEPS = 60
"""Fewer would mean that the steps are no longer seen, and that nothing was tried."""


def tried(action: str) -> tuple[int, list[dict[str, object]]]:
    """How many faults were tried, and every line about a broken promise."""
    run = subprocess.run([sys.executable, FAULTS, action], capture_output=True, text=True, check=True)
    *lines, last = [json.loads(line) for line in run.stdout.splitlines()]
    return last["tried"], [line for line in lines if "broken" in line or not is_clear(str(line["ended"]))]


def is_clear(ended: str) -> bool:
    """Whether a daemon that could not start said why: these are dreamd's own errors."""
    return ended.startswith(("DreamdError: ", "SpaceError: ", "ConfigError: "))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("moment", ["kill-before", "kill-after"])
def test_a_kill_at_any_step_loses_no_picture_and_doubles_none(moment):
    steps, broken = tried(moment)
    assert steps >= ENOUGH_STEPS
    assert broken == []


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("refusal", ["ENOSPC", "EIO", "EACCES", "EROFS"])
def test_a_disk_that_refuses_any_step_loses_no_picture_and_doubles_none(refusal):
    steps, broken = tried(refusal)
    assert steps >= ENOUGH_STEPS
    assert broken == []
