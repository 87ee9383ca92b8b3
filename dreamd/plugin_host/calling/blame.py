"""What went wrong in a plugin, in one line, and whether it is the plugin's fault at all.

Knows errors and tracebacks. Never imports torch: its errors are known by name.
"""

from __future__ import annotations

import errno
from pathlib import Path
from traceback import walk_tb

from dreamd.errors import DreamdError

_TORCH_MACHINE_ERRORS = ("OutOfMemoryError", "AcceleratorError")
"""Names of torch's errors that are a machine's fault: the daemon has no torch to ask for the classes."""

_MACHINE_WORDS = ("DefaultCPUAllocator", "CUDA error", "CUBLAS_STATUS", "CUDNN_STATUS")
"""Words in an error's text that show that a machine failed, whatever the error's class."""

_MACHINE_ERRNOS = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE)
"""Numbers of operating-system errors that are a machine's fault."""


class TookTooLongError(BaseException):
    """A plugin takes too long. No `Exception`, so that a plugin which catches those does not swallow it."""


def describe_error(error: BaseException, file: str = "") -> str:
    """Describe a plugin's error in one line, with the line of the plugin's file where it happened.

    Args:
        error: what the plugin raised.
        file: the plugin's file; where it is empty or not in the traceback, the innermost line is named.
    """
    if isinstance(error, DreamdError | TookTooLongError):
        return str(error)
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{Path(error.filename or '').name}:{error.lineno}: {error.msg}"
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [place for place in places if place[0] == file] or places
    where = f" ({Path(own[-1][0]).name}:{own[-1][1]})" if own else ""
    first_line = f": {str(error).splitlines()[0]}" if str(error) else ""
    notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}{first_line}{where}{notes}"


def is_plugins_fault(error: BaseException) -> bool:
    """Whether an error is a plugin's own, and neither dreamd's nor that of a machine out of memory or disks."""
    if isinstance(error, DreamdError | MemoryError) or type(error).__name__ in _TORCH_MACHINE_ERRORS:
        return False
    if isinstance(error, OSError) and error.errno in _MACHINE_ERRNOS:
        return False
    return not any(word in str(error) for word in _MACHINE_WORDS)


def is_of_the_engine(error: BaseException) -> bool:
    """Whether an error happened in an ascent that a schedule called, and not in the schedule itself."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return any(module.startswith("dreamd.engine") for module in modules)
