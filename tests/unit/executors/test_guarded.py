"""The guard around a plugin's executor: whatever it raises or returns, the loop goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dreamd.executors.executor import Demand
from dreamd.executors.guarded import GuardedExecutor
from dreamd.messages import Batch

LABEL = "executor 'mine' of plugin 'yours'"

CALLS: dict[str, tuple[Callable[[GuardedExecutor], Any], Any]] = {
    "want": (lambda executor: executor.want(Demand(jobs=1)), None),
    "order": (lambda executor: executor.order("a", Batch(recipe="{}", orders=())), False),
    "cancel": (lambda executor: executor.cancel("a", ["1"]), None),
    "drop": (lambda executor: executor.drop("a", "it was idle", now=False), None),
    "close": (lambda executor: executor.close(1.0), None),
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
            return name == "order"

        return call


@pytest.mark.parametrize("error", [ValueError("no such cluster"), SystemExit("no such cluster")])
@pytest.mark.parametrize("method", CALLS)
def test_an_executor_that_raises_is_asked_for_nothing_until_its_problem_is_cleared(
    method: str, error: BaseException
) -> None:
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
    executor.problem = None
    assert executor.order("a", Batch(recipe="{}", orders=())) is (method != "order")


@pytest.mark.parametrize("returned", [None, 1, "given"])
def test_an_executor_that_does_not_say_whether_it_took_a_batch_is_told_so(returned: object) -> None:
    odd = type("Odd", (), {"order": lambda self, seat, batch: returned})()
    executor = GuardedExecutor(odd, LABEL)
    assert executor.order("a", Batch(recipe="{}", orders=())) is False
    words = f"TypeError: it returned {returned!r}, which is neither True nor False"
    assert (executor.problem or "").startswith(f"{LABEL}: order: {words}")


def test_an_executor_without_a_method_is_told_which() -> None:
    executor = GuardedExecutor(object(), LABEL)  # type: ignore[arg-type]
    executor.want(Demand(jobs=1))
    assert "'object' object has no attribute 'want'" in (executor.problem or "")
