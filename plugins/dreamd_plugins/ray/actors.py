"""A host on another machine, called as an actor of Ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from dreamd.api import ClusterError, FarBatch, FarNews, HostLostError

TOLD, HEARD = "told", "heard"
"""The groups of an actor's calls. Those of one group wait for each other: what a seat is told keeps its order, and
never waits for news."""

GROUPS = {TOLD: 1, HEARD: 1}
"""How many calls of each group run at once."""

_ANSWER_SECONDS = 120.0
"""A machine that does not answer for so many seconds is gone; Ray notices most ends sooner."""


class ActorHost:
    """The host behind an actor. Its first answer may take as long as it likes: the actor waits for its place."""

    def __init__(self, actor: Any, node: str) -> None:
        """Call an actor on a machine of that name."""
        self.actor = actor
        self._node = node
        self._has_answered = False

    def lacks(self, names: Sequence[str]) -> list[str]:
        found: list[str] = self._call(TOLD, "lacks", list(names))
        return found

    def lacks_weights(self, name: str) -> bool:
        return bool(self._call(TOLD, "lacks_weights", name))

    def write(self, name: str, offset: int, piece: bytes) -> None:
        self._call(TOLD, "write", name, offset, piece)

    def keep(self, name: str, digest: str, suffix: str) -> None:
        self._call(TOLD, "keep", name, digest, suffix)

    def keep_weights(self, name: str, cache_name: str, digest: str) -> None:
        self._call(TOLD, "keep_weights", name, cache_name, digest)

    def keep_source(self, name: str, job: str, source: str) -> None:
        self._call(TOLD, "keep_source", name, job, source)

    def order(self, batch: FarBatch) -> None:
        self._call(TOLD, "order", batch)

    def cancel(self, jobs: Sequence[str]) -> None:
        self._call(TOLD, "cancel", tuple(jobs))

    def poll(self, seconds: float, *, is_looked_at: bool) -> list[FarNews]:
        news: list[FarNews] = self._call(HEARD, "poll", seconds, is_looked_at=is_looked_at)
        return news

    def read(self, job: str, file: str, offset: int) -> bytes:
        return bytes(self._call(HEARD, "read", job, file, offset))

    def forget(self, job: str) -> None:
        self._call(TOLD, "forget", job)

    def end(self) -> None:
        self._call(TOLD, "end")

    def _call(self, group: str, method: str, *values: object, **named: object) -> Any:
        """Call a method and wait for what it returns.

        Raises:
            HostLostError: the actor is gone.
            ClusterError: the method raised, or the actor could not begin.
        """
        try:
            call = getattr(self.actor, method).options(concurrency_group=group)
            answer = ray.get(call.remote(*values, **named), timeout=_ANSWER_SECONDS if self._has_answered else None)
        except RayTaskError as error:
            raise ClusterError(f"{self._node}: {_last_line(error)}") from error
        except GetTimeoutError as error:
            raise HostLostError(f"{self._node} has not answered for {_ANSWER_SECONDS:g} s") from error
        except RayActorError as error:
            if getattr(error, "actor_init_failed", False):
                raise ClusterError(f"{self._node}: the seat cannot begin: {_last_line(error)}") from error
            raise HostLostError(f"{self._node}: the machine or its Ray is gone") from error
        except RayError as error:
            raise HostLostError(f"{self._node} is not reached: {_last_line(error)}") from error
        self._has_answered = True
        return answer


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
