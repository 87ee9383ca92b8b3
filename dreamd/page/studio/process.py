"""The studio's process, as the page sees it: orders go in, answers come out, and it may end at any time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from dreamd.files.problems import refusal
from dreamd.studio import LINE_BYTES, CancelOrder, Ended, StudioAnswer, StudioOrder, read_answer

log = logging.getLogger(__name__)

_IDLE_SECONDS = 120.0
"""The time in seconds after which the process is ended, when every order has ended."""


class StudioProcess:
    """Starts the process when there is an order, passes on what it answers, and ends it when it rests.

    It is ended from here, where orders come from: one that ended by itself could be given an order just then.
    """

    def __init__(
        self, config_file: Path, on_answer: Callable[[StudioAnswer], None], on_end: Callable[[], None], *, nice: int = 0
    ) -> None:
        """Start nothing yet.

        Args:
            config_file: the config that it works by.
            on_answer: is given every answer.
            on_end: is called when the process has ended, whatever was waiting for it.
            nice: by how much its priority is lower than the page's (nice(2)).
        """
        arguments = (str(config_file), str(os.getpid()), str(nice))
        self._command = (sys.executable, "-m", "dreamd.sheets.studio.main", *arguments)
        self._on_answer = on_answer
        self._on_end = on_end
        self._process: Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._open: set[str] = set()
        self._rest: asyncio.TimerHandle | None = None

    async def send(self, order: StudioOrder) -> None:
        """Send an order, to a new process where there is none; one that cannot be started has ended."""
        if not isinstance(order, CancelOrder):
            self._stop_resting()
            self._open.add(order.id)
        try:
            process = await self._started()
        except OSError as error:
            log.warning("the studio cannot be started: %s", refusal(error))
            self._note_end()
            return
        assert process.stdin is not None
        process.stdin.write(order.line())
        with contextlib.suppress(ConnectionError):  # it ends just now, which its reader tells
            await process.stdin.drain()

    async def _started(self) -> Process:
        """Return the process, started where there is none. Raises OSError."""
        async with self._starting:
            if self._process is None:
                if self._reader is not None:
                    await self._reader
                self._process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=PIPE, stdout=PIPE, limit=LINE_BYTES
                )
                self._reader = asyncio.create_task(self._read(self._process))
            return self._process

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """End the process, and wait until it has ended."""
        self._stop_resting()
        self.kill()
        if self._reader is not None:
            await self._reader

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._take(read_answer(line))
        except ValueError as error:  # pydantic's ValidationError is one: a line is too long, or no answer
            log.warning("the studio is ended: %s", "it sent no answer" if isinstance(error, ValidationError) else error)
            process.kill()
        await process.wait()
        if self._process is process:
            self._process = None
            self._note_end()

    def _take(self, answer: StudioAnswer) -> None:
        if isinstance(answer, Ended):
            self._open.discard(answer.id)
            if not self._open:
                self._stop_resting()
                self._rest = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._end_resting)
        self._on_answer(answer)

    def _note_end(self) -> None:
        self._open.clear()
        self._on_end()

    def _stop_resting(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _end_resting(self) -> None:
        """End a process that has nothing to do; the next order starts another."""
        self.kill()
        self._process = None
