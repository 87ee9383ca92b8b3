"""How a dream shows its progress to a person. Knows no terminal and no log: those who have one give it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Show(Protocol):
    """Shows how much of something is done, with a few words."""

    def __call__(self, share: float, words: str) -> None:
        """Show the share that is done, 0 to 1."""


OpenProgress = Callable[[str], AbstractContextManager[Show]]
"""Opens the display of a picture's progress, under its name."""
