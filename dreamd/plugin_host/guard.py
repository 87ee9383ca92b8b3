"""Guards: what goes wrong in a plugin's function is told in that plugin's name, and held against nobody else.

Knows functions and errors. Never imports torch: a tensor is looked at through its own methods.
"""

from __future__ import annotations

import errno
import inspect
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import wraps
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

from dreamd.errors import DreamdError, PluginError

Check = Callable[[str, tuple[Any, ...], Any], Any]
"""Looks at what a plugin's function returned: `(label, arguments, result) → result`. Raises PluginError."""

_looks_for_nan: ContextVar[bool] = ContextVar("looks_for_nan", default=False)


class TookTooLongError(BaseException):
    """A plugin takes too long. No `Exception`, so that a plugin which catches those does not swallow it."""


@contextmanager
def time_limit(seconds: float, otherwise: str = "it was not loaded") -> Iterator[None]:
    """Raise TookTooLongError inside after so many seconds. Works in the main thread; elsewhere there is no limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLongError(f"{otherwise} after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    begun = time.monotonic()
    others, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        left = max(0.001, others - (time.monotonic() - begun)) if others else 0.0
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, left)


@contextmanager
def looking_for_nan() -> Iterator[None]:
    """Inside, every guarded function's result is looked at, and one that is not a number is told with its plugin.

    That makes a GPU wait for each result: it is for finding out after something went wrong.
    """
    token = _looks_for_nan.set(True)
    try:
        yield
    finally:
        _looks_for_nan.reset(token)


def guarded(function: Callable[..., Any], label: str, check: Check | None = None) -> Callable[..., Any]:
    """The same function, whose errors are PluginErrors that begin with the label.

    dreamd's own errors pass as they are, and so do those of a machine that ran out of memory or lost its GPU.

    Args:
        function: a plugin's.
        label: what it is and whose: "loss 'contrast' of plugin 'mine'".
        check: looks at what it returns.
    """

    @wraps(function)
    def call(*arguments: Any, **parameters: Any) -> Any:
        try:
            result = function(*arguments, **parameters)
        except (Exception, SystemExit) as error:
            if not _is_plugins_fault(error):
                raise
            raise PluginError(f"{label}: {explained(error, _file_of(function))}") from error
        return check(label, arguments, result) if check else result

    if (sums := getattr(call, "dreamd_sums", None)) is not None:
        part, finish = (guarded(half, label, _finite) for half in (sums.part, sums.finish))
        call.dreamd_sums = replace(sums, part=part, finish=finish)  # type: ignore[attr-defined]
    return call


def explained(error: BaseException, file: str = "") -> str:
    """An error of a plugin in one line, with the line of the plugin's file where it happened."""
    if isinstance(error, DreamdError | TookTooLongError):
        return str(error)
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{Path(error.filename or '').name}:{error.lineno}: {error.msg}"
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(error.__traceback__)]
    own = [place for place in places if place[0] == file] or places
    where = f" ({Path(own[-1][0]).name}:{own[-1][1]})" if own else ""
    first_line = f": {str(error).splitlines()[0]}" if str(error) else ""
    return f"{type(error).__name__}{first_line}{where}"


# What a function may return


def one_value_a_picture(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """A loss `[N, C, ...] → [N]`; when looking for not-a-numbers, its gradient is looked at as well."""
    activation = arguments[0]
    wanted = list(activation.shape[:1])
    if _shape(result) != wanted:
        raise PluginError(
            f"{label} returned {_told(result)} for an activation of shape {list(activation.shape)}; it must return "
            f"one value a picture, {wanted}"
        )
    if _looks_for_nan.get() and activation.requires_grad:
        activation.register_hook(lambda slope: _finite(f"the gradient of {label}", (activation,), slope))
    return _finite(label, arguments, result)


def like_the_gradient(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """A gradient step `[N, 3, H, W] → [N, 3, H, W]`, of one dtype."""
    gradient = arguments[0]
    if _shape(result) != list(gradient.shape) or result.dtype != gradient.dtype:
        raise PluginError(f"{label} returned {_told(result)} for {_told(gradient)}; it must return the like")
    return _finite(label, arguments, result)


def pictures_like_the_first(label: str, arguments: tuple[Any, ...], result: Any) -> Iterator[Any]:
    """A schedule, which yields pictures: the last is as large as the one that it was given."""
    if not isinstance(result, Iterable):
        raise PluginError(f"{label} returned {_told(result)}; it must yield pictures")
    # Only the shape, because of a very large picture every copy counts.
    return _frames(label, list(arguments[0].shape), iter(result), _file_of_iterable(result))


def eight_bit_colours(label: str, _arguments: tuple[Any, ...], result: Any) -> Any:
    """A decoder, which gives `[H, W, 3]` or `[H, W, 4]`."""
    shape = _shape(result)
    if shape is None or str(result.dtype) != "uint8" or len(shape) != 3 or shape[2] not in (3, 4) or 0 in shape:
        raise PluginError(f"{label} returned {_told(result)}; it must return 8-bit pixels, [H, W, 3] or [H, W, 4]")
    return result


def _frames(label: str, wanted: list[int], frames: Iterator[Any], file: str) -> Iterator[Any]:
    last = None
    while True:
        try:
            last = next(frames)
        except StopIteration:
            break
        except (Exception, SystemExit) as error:
            if not _is_plugins_fault(error) or _is_of_the_engine(error):
                raise
            raise PluginError(f"{label}: {explained(error, file)}") from error
        yield _finite(label, (), last) if _shape(last) is not None else last
    if _shape(last) != wanted:
        gave = "nothing" if last is None else _told(last)
        raise PluginError(f"{label} gave {gave} for pictures of shape {wanted}; its last pictures must be as large")


def _finite(label: str, arguments: tuple[Any, ...], result: Any) -> Any:
    """When looking for not-a-numbers: raise for a result that has some although the arguments had none."""
    if _looks_for_nan.get() and not _all_finite(result) and all(map(_all_finite, arguments)):
        raise PluginError(f"{label} is not-a-number or infinite: it divides by zero or overflows")
    return result


def _all_finite(value: Any) -> bool:
    return not hasattr(value, "isfinite") or bool(value.isfinite().all())


def _shape(value: Any) -> list[int] | None:
    """Of a tensor; None for whatever is none."""
    return list(value.shape) if hasattr(value, "shape") and hasattr(value, "dtype") else None


def _told(value: Any) -> str:
    shape = _shape(value)
    if shape is None:
        return f"a {type(value).__name__}"
    return f"a {type(value).__name__.lower()} of shape {shape} ({str(value.dtype).removeprefix('torch.')})"


# Whose fault


_OF_THE_MACHINE = ("OutOfMemoryError", "AcceleratorError")  # torch's, by name: the daemon has no torch
_MACHINE_WORDS = ("DefaultCPUAllocator", "CUDA error")
_MACHINE_ERRNOS = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOMEM, errno.ENOSPC, errno.EMFILE, errno.ENFILE)


def _is_plugins_fault(error: BaseException) -> bool:
    if isinstance(error, DreamdError | MemoryError) or type(error).__name__ in _OF_THE_MACHINE:
        return False
    if isinstance(error, OSError) and error.errno in _MACHINE_ERRNOS:
        return False
    return not any(word in str(error) for word in _MACHINE_WORDS)


def _is_of_the_engine(error: BaseException) -> bool:
    """Whether it happened in an ascent that a schedule called, and not in the schedule itself."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    return any(module.startswith("dreamd.engine") for module in modules)


def _file_of(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code.co_filename if code else ""


def _file_of_iterable(frames: object) -> str:
    code = getattr(frames, "gi_code", None)
    return code.co_filename if code else ""
