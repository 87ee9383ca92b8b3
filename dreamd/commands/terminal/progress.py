"""Progress for people: a bar on a terminal, plain lines elsewhere.

The only module that imports rich, and only where there is a terminal: it takes as long as a small dream.
"""

from __future__ import annotations

import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, TextIO

from dreamd.commands.terminal.printing import doing
from dreamd.logs import QUIET_VARIABLE
from dreamd.tree.snapshot import Snapshot
from dreamd.wording import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from dreamd.worker.display import Show

_STDERR = 2
"""The descriptor of the error stream, which child processes inherit."""

_PIPE_BYTES = 65536
"""The most bytes that are read from the log's pipe at a time."""

_LINE_SECONDS = 10.0
"""The pause between two lines where there is no terminal: a log is to be read, not filled."""


@contextmanager
def progress(title: str) -> Iterator[Show]:
    """Show a bar on the terminal's error stream, or a line every ten seconds where it is no terminal."""
    if _is_quiet():
        yield lambda _share, _words: None
        return
    if not sys.stderr.isatty():
        yield _line_by_line(title)
        return
    with _show(_bar()) as bar:
        task = bar.add_task(printable(title), total=1.0, words="")

        def show(share: float, words: str) -> None:
            bar.update(task, completed=share, words=words)

        yield show


@contextmanager
def drain_progress() -> Iterator[Callable[[Snapshot], None] | None]:
    """Show a bar for the whole inbox and one for each picture that runs; nothing where it is no terminal."""
    if _is_quiet() or not sys.stderr.isatty():
        yield None
        return
    with _error_stream_aside() as (terminal, log_lines):
        bar = _bar(terminal)
        with bar, _lines_above(bar, log_lines):
            yield _Bars(bar)


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Say at once, on a terminal, what takes its time inside; it goes away when that is over."""
    if _is_quiet() or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    with _show(Progress(*columns, console=Console(stderr=True), transient=True)) as bar:
        bar.add_task(printable(f"{words} …"), total=None)
        yield


def _is_quiet() -> bool:
    """Tell whether somebody has asked for no progress, with `--quiet`."""
    return bool(os.environ.get(QUIET_VARIABLE))


class _Bars:
    """The bars of the snapshots that it is called with."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._all = bar.add_task("all", total=None, words="")
        self._tasks: dict[str, TaskID] = {}
        self._before: int | None = None

    def __call__(self, snapshot: Snapshot) -> None:
        finished = snapshot.done + snapshot.failed + snapshot.held
        self._before = finished if self._before is None else self._before
        done = finished - self._before
        total = done + snapshot.queued + snapshot.running
        self._bar.update(self._all, completed=done, total=total or None, words=f"{done} of {total}")
        running = {job.job: job for worker in snapshot.workers for job in worker.jobs}
        for job_id in self._tasks.keys() - running.keys():
            self._bar.remove_task(self._tasks.pop(job_id))
        for job_id, job in running.items():
            if job_id not in self._tasks:
                self._tasks[job_id] = self._bar.add_task(printable(job.picture), total=1.0, words="")
            self._bar.update(self._tasks[job_id], completed=job.share, words=doing(asdict(job)))


def _bar(terminal: TextIO | None = None) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True) if terminal is None else Console(file=terminal),
        transient=True,
        redirect_stderr=terminal is None,
    )


@contextmanager
def _error_stream_aside() -> Iterator[tuple[TextIO, int]]:
    """Lead all that this process and those that it starts write to the error stream into a pipe, for a while.

    Workers and the page write their log to the stream that they inherit, and know of no bar.

    Yields:
        The terminal that was the error stream, and the end of the pipe to read from.
    """
    sys.stderr.flush()
    reader, writer = os.pipe()
    with os.fdopen(os.dup(_STDERR), "w", errors="backslashreplace") as terminal:
        os.dup2(writer, _STDERR)
        os.close(writer)
        try:
            yield terminal, reader
        finally:
            os.dup2(terminal.fileno(), _STDERR)


@contextmanager
def _lines_above(bar: Progress, log_lines: int) -> Iterator[None]:
    """Print what comes out of a pipe above a bar, line by line."""
    over, is_over = os.pipe()

    def copy() -> None:
        with os.fdopen(log_lines, "rb", buffering=0) as pipe:
            rest = b""
            while True:
                readable, _, _ = select.select([log_lines, over], [], [])
                if log_lines not in readable:
                    break
                if not (piece := pipe.read(_PIPE_BYTES)):
                    break
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    bar.console.out(line.decode(errors="backslashreplace"), highlight=False)
            if rest:
                bar.console.out(rest.decode(errors="backslashreplace"), highlight=False)

    thread = threading.Thread(target=copy, name="log lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.close(is_over)  # which wakes the thread when it has read all that is there
        thread.join()
        os.close(over)


@contextmanager
def _show(bar: Progress) -> Iterator[Progress]:
    """Show a bar on the terminal, with what is logged meanwhile above it and not across it."""
    log_to_stderr = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    ]
    before = sys.stderr
    with bar:
        for handler in log_to_stderr:
            handler.setStream(sys.stderr)  # rich's, while the bar is shown
        try:
            yield bar
        finally:
            for handler in log_to_stderr:
                handler.setStream(before)


def _line_by_line(title: str) -> Show:
    begin = time.monotonic()
    due = begin + _LINE_SECONDS

    def show(share: float, words: str) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + _LINE_SECONDS
            left = f"; {_rounded((now - begin) * (1 - share) / share)} left" if share else ""
            print(printable(f"{title}: {share:.0%} {words}{left}"), file=sys.stderr, flush=True)

    return show


def _rounded(seconds: float) -> str:
    """Write a time that is still to go as no more exact than it can be known."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.0f} h"
