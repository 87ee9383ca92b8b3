"""Where the log goes, and what it carries: lines for a person, JSON lines, or fields in systemd's journal.

Daemon and workers write to one place: a worker inherits the standard error stream and `DREAMD_LOG`. A message about a
job is logged with `extra=job.about`, from which its fields come.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from enum import StrEnum

from dreamd.json_text import to_json
from dreamd.wording import printable

STYLE_VARIABLE = "DREAMD_LOG"
"""The environment variable that names the style."""

QUIET_VARIABLE = "DREAMD_QUIET"
"""The environment variable that has workers and the page write no more than warnings and errors, when not empty."""

_FIELDS = ("job", "folder")
"""What a record may know beside its message, from `extra=job.about`."""

_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
"""The priority of each level, as in syslog(3)."""

_NOISY = ("PIL", "watchdog", "timm", "urllib3")
"""These libraries say more than anybody wants to read."""


class LogStyle(StrEnum):
    """How the log is written. `auto` is `journal` where systemd's journal reads standard error, else `human`."""

    AUTO = "auto"
    HUMAN = "human"
    JSON = "json"
    JOURNAL = "journal"


def configure(style: LogStyle, *, human: str, level: int = logging.INFO) -> None:
    """Set up logging for this process.

    Args:
        style: how the log is written; `journal` without cysystemd is `human`.
        human: the format of a line for a person.
        level: messages below this level are not written.
    """
    if style is LogStyle.AUTO:
        style = LogStyle.JOURNAL if _systemd_reads_stderr() else LogStyle.HUMAN
    handler: logging.Handler | None = _systemd_handler() if style is LogStyle.JOURNAL else None
    if handler is None:
        handler = logging.StreamHandler(sys.stderr)
        for_a_person = logging.Formatter(human, datefmt="%H:%M:%S")
        handler.setFormatter(_JsonFormatter() if style is LogStyle.JSON else for_a_person)
    logging.basicConfig(level=level, handlers=[handler])
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def inherited_style() -> LogStyle:
    """Return the style that the daemon has left for its workers."""
    try:
        return LogStyle(os.environ.get(STYLE_VARIABLE, LogStyle.AUTO))
    except ValueError:
        return LogStyle.AUTO


def inherited_level() -> int:
    """Return the level that the daemon has left for those that it starts."""
    return logging.WARNING if os.environ.get(QUIET_VARIABLE) else logging.INFO


def _systemd_reads_stderr() -> bool:
    """Whether standard error is the stream that systemd has connected to its journal (systemd.exec(5))."""
    try:
        stderr = os.fstat(2)
    except OSError:  # it is closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


def _systemd_handler() -> logging.Handler | None:
    """Make a handler that writes into systemd's journal; None without cysystemd."""
    try:
        from cysystemd.journal import send
    except ImportError:
        return None
    return _SystemdHandler(send)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    """Return the fields that a record has."""
    return {name: printable(str(getattr(record, name))) for name in _FIELDS if hasattr(record, name)}


def _sayable(text: str) -> str:
    """Escape the bytes of a file name that are no text, which systemd's journal could not carry."""
    return text.encode("utf-8", "backslashreplace").decode()


class _JsonFormatter(logging.Formatter):
    """Writes an object a line: time, level, logger, message, and job, folder and traceback where there are any."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        values = {
            "time": f"{moment}.{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return to_json(values)


class _SystemdHandler(logging.Handler):
    """Writes into systemd's journal: each message with its priority, DREAMD_JOB and DREAMD_FOLDER."""

    def __init__(self, send: Callable[..., object]) -> None:
        super().__init__()
        self._send = send
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(
                message=_sayable(self.format(record)),
                priority=_PRIORITIES.get(record.levelno, _PRIORITIES[logging.INFO]),
                syslog_identifier="dreamd",
                dreamd_logger=record.name,
                **{f"dreamd_{name}": value for name, value in _fields(record).items()},
            )
        except Exception:  # noqa: BLE001 (as every handler: a log that fails must not end what it tells of)
            self.handleError(record)
