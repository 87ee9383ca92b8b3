"""Fixtures for every folder of tests."""

from __future__ import annotations

import importlib.util
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

# The networks of most tests are so small that torch's threads only wait for each other, for minutes on a busy machine.
# Set before torch is imported, it counts for the processes that tests start, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Have Ctrl-C reach the processes that tests start, also when a shell runs the tests in its background.

    A shell without job control has its background ignore SIGINT, and every child inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def badfiles() -> ModuleType:
    """The generator of odd files, `tests/badfiles.py`; importlib mode puts no folder of tests on the path."""
    spec = importlib.util.spec_from_file_location("badfiles", Path(__file__).with_name("badfiles.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
