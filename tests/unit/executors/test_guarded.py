"""The guard around a plugin's executor: whatever it raises or returns, the loop goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from dreamd.executors.executor import WorkerDied
from dreamd.executors.guarded import GuardedExecutor
from dreamd.messages import Batch

LABEL = "executor 'mine' of plugin 'yours'"

CALLS: dict[str, tuple[Callable[[GuardedExecutor], Any], Any]] = {
    "start": (lambda executor: executor.start(), None),
    "wake": (lambda executor: executor.wake(), None),
    "free": (lambda executor: executor.free(), 0),
    "submit": (lambda executor: executor.submit(Batch(recipe="{}", orders=())), None),
    "cancel": (lambda executor: executor.cancel(["a"]), None),
    "workers": (lambda executor: executor.workers(), ()),
    "tick": (lambda executor: executor.tick(time.monotonic()), None),
    "next_deadline": (lambda executor: executor.next_deadline(), None),
}


class Fitful:
    """An executor that raises in one method, or in every one that it does not have."""

    def __init__(self, raises: str, error: BaseException) -> None:
        self._raises = raises
        self._error = error
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*_: object, **__: object) -> object:
            self.calls.append(name)
            if name == self._raises:
                raise self._error
            return {"free": 1, "workers": []}.get(name)

        return call


@pytest.mark.parametrize("error", [ValueError("no such cluster"), SystemExit("no such cluster")])
@pytest.mark.parametrize("method", CALLS)
def test_an_executor_that_raises_takes_no_more_work_until_it_is_restarted(method: str, error: BaseException) -> None:
    fitful = Fitful(method, error)
    executor = GuardedExecutor(fitful, LABEL)  # type: ignore[arg-type]
    assert executor.problem is None
    call, otherwise = CALLS[method]
    assert call(executor) == otherwise
    problem = executor.problem
    assert problem is not None
    assert problem.startswith(f"{LABEL}: {method}: {type(error).__name__}: no such cluster (test_guarded.py:")
    for again, nothing in CALLS.values():
        assert again(executor) == nothing
    assert fitful.calls == [method]
    executor.handle(WorkerDied((), "it fell over", was_ready=True))
    assert executor.problem == problem
    executor.restart()
    assert executor.problem is None
    assert fitful.calls == [method, "handle", "restart"]


@pytest.mark.parametrize(
    ("method", "returned", "words"),
    [
        ("free", None, "TypeError: it returned None, which is no whole number"),
        ("free", "many", "TypeError: it returned 'many', which is no whole number"),
        ("next_deadline", "soon", "TypeError: it returned 'soon', which is no time of time.monotonic, and not None"),
        ("workers", None, "TypeError: it returned None, which is no list of WorkerView"),
        ("workers", ["one"], "TypeError: it returned ['one'], which is no list of WorkerView"),
    ],
)
def test_an_executor_that_returns_something_else_is_told_what(method: str, returned: object, words: str) -> None:
    fitful = type("Odd", (), {method: lambda self, **_: returned})()
    executor = GuardedExecutor(fitful, LABEL)
    call, otherwise = CALLS[method]
    assert call(executor) == otherwise
    assert (executor.problem or "").startswith(f"{LABEL}: {method}: {words}")


def test_an_executor_without_a_method_is_told_which() -> None:
    executor = GuardedExecutor(object(), LABEL)  # type: ignore[arg-type]
    assert executor.free() == 0
    assert "'object' object has no attribute 'free'" in (executor.problem or "")


def test_an_executor_that_has_raised_is_stopped_all_the_same() -> None:
    fitful = Fitful("tick", ValueError())
    executor = GuardedExecutor(fitful, LABEL)  # type: ignore[arg-type]
    executor.tick(0.0)
    executor.stop()
    assert fitful.calls == ["tick", "stop"]
